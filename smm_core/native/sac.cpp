// Soft actor-critic with several Q functions: its targets, and the gradients of its losses in
// closed form (see sac.py, whose plain operations say the same). A network's pass takes some tenths
// of a millisecond; the hundred small operations around it took as long from Python.

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/minimum.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/softplus.h>
#include <ATen/ops/tanh.h>
#include <torch/library.h>

#include <cmath>
#include <numbers>

#include "mlp.h"

namespace smm_core {
namespace {

using at::Tensor;

// An action drawn from a Gaussian squashed by tanh.
struct Sample {
  Tensor action;    // (R, B, actions)
  Tensor log_prob;  // (R, B)
  Tensor shift;     // noise times standard deviation
  Tensor place;     // tanh of the head's second half: 1 is the largest deviation, -1 the least
};

// head (R, B, 2 actions) is the mean, and what tanh brings into [low, high], the log deviation.
Sample sample(const Tensor& head, const Tensor& noise, double low, double high) {
  const int64_t actions = noise.size(-1);
  const Tensor place = at::tanh(head.narrow(-1, actions, actions));
  const Tensor log_std = place.mul(0.5 * (high - low)).add_(0.5 * (high + low));
  const Tensor shift = log_std.exp().mul_(noise);
  const Tensor unsquashed = head.narrow(-1, 0, actions).add(shift);
  const Tensor half_log_slope = unsquashed.sub(at::softplus(unsquashed, -2.0), 2.0);
  const double constant = 0.5 * std::log(2.0 * std::numbers::pi) + 2.0 * std::numbers::ln2;
  const Tensor sum = log_std.addcmul_(noise, noise, 0.5).sub_(half_log_slope, 2.0).sum(-1);
  return {at::tanh(unsquashed), sum.add_(constant * actions).neg_(), shift, place};
}

// The gradient of head from those of the action and, (R, 1, 1), of each log-density.
Tensor sample_backward(const Tensor& of_action, const Tensor& of_log_prob, const Sample& drawn,
                       double low, double high) {
  const int64_t actions = drawn.action.size(-1);
  auto sizes = drawn.action.sizes().vec();
  sizes.back() = 2 * actions;
  const Tensor of_head = at::empty(sizes, drawn.action.options());
  Tensor of_mean = of_head.narrow(-1, 0, actions);
  Tensor of_place = of_head.narrow(-1, actions, actions);
  // d tanh u / du = 1 - a^2, and the log of it enters the log-density with -d/du = 2 a.
  at::mul_out(of_mean, drawn.action, of_log_prob).mul_(2.0);
  of_mean.add_(of_action).addcmul_(drawn.action.square(), of_action, -1.0);
  at::mul_out(of_place, of_mean, drawn.shift).sub_(of_log_prob);
  of_place.mul_(drawn.place.square().neg_().add_(1.0)).mul_(0.5 * (high - low));
  return of_head;
}

Networks policy(at::TensorList weights, std::string_view activation) {
  return {weights, 1, activation, false};
}

Networks critics(at::TensorList weights, int64_t members, bool layer_norm) {
  return {weights, members, "relu", layer_norm};
}

// The output of `forward` of all Q functions, (R members, B, 1), by run: (R, members, B).
Tensor values_of(const Tensor& output, int64_t members) {
  return output.view({-1, members, output.size(1)});
}

// One run after the other, or each on its thread, and the results side by side again. What a run
// needs between its passes stays in the cache, which it would not if each pass went over all runs.
Tensors by_run(const Tensor& rows, const std::function<Tensors(int64_t)>& one) {
  std::vector<Tensors> found(rows.size(0));
  for_each(rows.size(0), rows.size(1), [&](int64_t run) { found[run] = one(run); });
  Tensors joined;
  for (size_t i = 0; i < found[0].size(); ++i) {
    Tensors parts;
    for (const Tensors& of_run : found) parts.push_back(of_run[i]);
    joined.push_back(at::cat(parts));
  }
  return joined;
}

// A run's part of what all runs have, of which each has `count` in a row.
Tensor of(const Tensor& all, int64_t run, int64_t count = 1) {
  return all.narrow(0, run * count, count);
}

Tensors of(at::TensorList all, int64_t run, int64_t count = 1) {
  Tensors found;
  for (const Tensor& tensor : all) found.push_back(of(tensor, run, count));
  return found;
}

Tensor smallest(const Tensor& values) {
  Tensor least = values.select(1, 0);
  for (int64_t i = 1; i < values.size(1); ++i) least = at::minimum(least, values.select(1, i));
  return least;
}

// What the Q functions should say, (R, B), of actions with `reward` that led to `next_obs`.
Tensor critic_target(const Tensor& next_obs, const Tensor& reward, const Tensor& terminated,
                     const Tensor& noise, const Tensor& log_alpha, double reward_scale,
                     double discount, at::TensorList actor, std::string_view activation,
                     double low, double high, at::TensorList target, int64_t members,
                     bool layer_norm) {
  if (next_obs.size(0) > 1) {
    return by_run(next_obs, [&](int64_t run) -> Tensors {
      return {critic_target(of(next_obs, run), of(reward, run), of(terminated, run),
                            of(noise, run), of(log_alpha, run), reward_scale, discount,
                            of(actor, run), activation, low, high, of(target, run, members),
                            members, layer_norm)};
    })[0];
  }
  const Tensor head = forward(next_obs, policy(actor, activation))[0];
  const Sample next = sample(head, noise, low, high);
  const Tensor x = at::cat({next_obs, next.action}, -1);
  const Tensor q = forward(x, critics(target, members, layer_norm))[0];
  Tensor value = smallest(values_of(q, members)).sub(log_alpha.exp().mul(next.log_prob));
  return value.mul_(terminated.mul(-discount).add_(discount)).add_(reward, reward_scale);
}

// The loss (R,) and the gradients of the Q functions' parameters.
Tensors critic_gradient(const Tensor& obs, const Tensor& action, const Tensor& target,
                        at::TensorList critic, int64_t members, bool layer_norm) {
  if (obs.size(0) > 1) {
    return by_run(obs, [&](int64_t run) {
      return critic_gradient(of(obs, run), of(action, run), of(target, run),
                             of(critic, run, members), members, layer_norm);
    });
  }
  const Tensor x = at::cat({obs, action}, -1);
  const Networks networks = critics(critic, members, layer_norm);
  const Tensors found = forward(x, networks);
  const Tensor error = values_of(found[0], members).sub(target.unsqueeze(1));
  const double rows = static_cast<double>(x.size(1));
  Tensors all{error.square().sum({1, 2}).mul_(0.5 / rows)};
  const Tensor of_q = error.div(rows).view(found[0].sizes());
  const Tensors gradients = backward(of_q, x, networks, found, false, true);
  all.insert(all.end(), gradients.begin(), gradients.end());
  return all;
}

// The loss (R,), log pi and the soft value of the actions drawn, (R, B) each, and the gradients
// of the actor's parameters.
Tensors actor_gradient(const Tensor& obs, const Tensor& noise, const Tensor& log_alpha,
                       at::TensorList actor, std::string_view activation, double low,
                       double high, at::TensorList critic, int64_t members, bool layer_norm) {
  if (obs.size(0) > 1) {
    return by_run(obs, [&](int64_t run) {
      return actor_gradient(of(obs, run), of(noise, run), of(log_alpha, run), of(actor, run),
                            activation, low, high, of(critic, run, members), members, layer_norm);
    });
  }
  const double rows = static_cast<double>(obs.size(1));
  const Networks own = policy(actor, activation), judges = critics(critic, members, layer_norm);
  const Tensors heads = forward(obs, own);
  const Sample drawn = sample(heads[0], noise, low, high);
  const Tensor x = at::cat({obs, drawn.action}, -1);
  const Tensors found = forward(x, judges);
  const Tensor q = values_of(found[0], members), least = smallest(q), alpha = log_alpha.exp();
  const Tensor soft_value = least.sub(alpha.mul(drawn.log_prob));

  Tensor of_q = q.eq(least.unsqueeze(1)).to(q.scalar_type());
  of_q.div_(of_q.sum(1, true)).mul_(-1.0 / rows);  // members that agree share the gradient
  const Tensor of_x = backward(of_q.view(found[0].sizes()), x, judges, found, true, false)[0];
  const Tensor of_action = of_x.narrow(-1, obs.size(-1), drawn.action.size(-1));
  const Tensor of_log_prob = alpha.div(rows).unsqueeze(-1);
  const Tensor of_head = sample_backward(of_action, of_log_prob, drawn, low, high);
  Tensors all{soft_value.mean(-1).neg_(), drawn.log_prob, soft_value};
  const Tensors gradients = backward(of_head, obs, own, heads, false, true);
  all.insert(all.end(), gradients.begin(), gradients.end());
  return all;
}

}  // namespace
}  // namespace smm_core

TORCH_LIBRARY_FRAGMENT(smm_core, library) {
  library.def(
      "critic_target(Tensor next_obs, Tensor reward, Tensor terminated, Tensor noise,"
      " Tensor log_alpha, float reward_scale, float discount, Tensor[] actor, str activation,"
      " float low, float high, Tensor[] target, int members, bool layer_norm) -> Tensor");
  library.def(
      "critic_gradient(Tensor obs, Tensor action, Tensor target, Tensor[] critic, int members,"
      " bool layer_norm) -> Tensor[]");
  library.def(
      "actor_gradient(Tensor obs, Tensor noise, Tensor log_alpha, Tensor[] actor, str activation,"
      " float low, float high, Tensor[] critic, int members, bool layer_norm) -> Tensor[]");
}

TORCH_LIBRARY_IMPL(smm_core, CPU, library) {
  library.impl("critic_target", &smm_core::critic_target);
  library.impl("critic_gradient", &smm_core::critic_gradient);
  library.impl("actor_gradient", &smm_core::actor_gradient);
}
