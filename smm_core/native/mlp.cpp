// Multilayer perceptrons with a run axis in front, passed forwards and backwards (see mlp.py).
//
// Networks that have nothing in common are passed one after the other, or each on a thread of its
// own, so that threads meet once in a pass and not once in a layer. Products are oneDNN's where
// those are the faster.

#include "mlp.h"

#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/native_layer_norm.h>
#include <ATen/ops/native_layer_norm_backward.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/tanh_backward.h>
#include <ATen/ops/threshold_backward.h>
#include <torch/library.h>

#include <optional>
#include <tuple>

namespace smm_core {
namespace {

using at::Tensor;

// Below this many rows, or for a single column, torch's own product is the faster.
constexpr int64_t kFew = 16;
// With AVX2 alone torch's own (MKL's) is, most of all for narrow layers.
bool is_one_dnn_faster() {
  static const bool found = at::get_cpu_capability() == "AVX512";
  return found;
}

// That of torch.nn.LayerNorm.
constexpr double kEpsilon = 1e-5;
// Rows below which a pass is shorter than waking a thread.
constexpr int64_t kFewRows = 32;

Tensor one_dnn_linear(const Tensor& x, const Tensor& weight, const std::optional<Tensor>& bias,
                      std::string_view activation) {
  using Scalars = c10::List<std::optional<at::Scalar>>;
  using Signature = Tensor(const Tensor&, const Tensor&, const std::optional<Tensor>&,
                           std::string_view, Scalars, std::optional<std::string_view>);
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("mkldnn::_linear_pointwise", "")
                             .typed<Signature>();
  return op.call(x, weight, bias, activation, Scalars(), std::string_view(""));
}

// The activation of x (B, in) times weight (in, out), plus bias (out,).
Tensor affine(const Tensor& x, const Tensor& weight, const std::optional<Tensor>& bias = {},
              std::string_view activation = "none") {
  const bool is_wide = x.size(0) >= kFew && weight.size(0) > 1 && weight.size(1) > 1;
  if (is_wide && is_one_dnn_faster()) {
    return one_dnn_linear(x, weight.t(), bias, activation);
  }
  Tensor output = bias ? at::addmm(*bias, x, weight) : at::mm(x, weight);
  if (activation == "relu") return at::relu_(output);
  if (activation == "tanh") return at::tanh_(output);
  return output;
}

// The gradient (in, out) of a weight from the layer's input (B, in) and its output's gradient.
Tensor weight_gradient(const Tensor& input, const Tensor& gradient) {
  // oneDNN has the first of two factors copied where it is transposed: let it be the smaller.
  if (gradient.size(1) < input.size(1)) return affine(gradient.t(), input).t();
  return affine(input.t(), gradient);
}

// Tensors that `forward` keeps of each hidden layer: its output, and with layer norm what was
// normalised, its mean and the inverse of its deviation.
int64_t kept_by(const Networks& networks) { return networks.layer_norm ? 4 : 1; }

Tensor stacked(const Tensors& tensors) {
  return tensors.size() == 1 ? tensors[0].unsqueeze(0).contiguous() : at::stack(tensors);
}

}  // namespace

void for_each(int64_t count, int64_t rows, const std::function<void(int64_t)>& part) {
  // Fewer parts than threads: the threads share each product instead.
  if (count < at::get_num_threads() || rows < kFewRows) {
    for (int64_t i = 0; i < count; ++i) part(i);
    return;
  }
  at::parallel_for(0, count, 1, [&](int64_t begin, int64_t end) {
    at::AutoDispatchBelowADInplaceOrView no_gradient;  // what a thread is told, others do not know
    for (int64_t i = begin; i < end; ++i) part(i);
  });
}

Tensors forward(const Tensor& x, const Networks& networks) {
  const int64_t layers = networks.layers(), kept = kept_by(networks);
  Tensors outputs(networks.count()), found(1 + networks.count() * (layers - 1) * kept);
  for_each(networks.count(), x.size(1), [&](int64_t network) {
    Tensor now = x[network / networks.copies];
    for (int64_t layer = 0; layer < layers; ++layer) {
      const Tensor weight = networks.weights[2 * layer][network];
      const Tensor bias = networks.weights[2 * layer + 1][network][0];
      if (layer == layers - 1) {
        outputs[network] = affine(now, weight, bias);
        continue;
      }
      Tensor* keep = &found[1 + (network * (layers - 1) + layer) * kept];
      if (networks.layer_norm) {
        keep[1] = affine(now, weight, bias);
        std::tie(now, keep[2], keep[3]) =
            at::native_layer_norm(keep[1], {weight.size(1)}, {}, {}, kEpsilon);
        networks.activation == "relu" ? at::relu_(now) : at::tanh_(now);
      } else {
        now = affine(now, weight, bias, networks.activation);
      }
      keep[0] = now;
    }
  });
  found[0] = stacked(outputs);
  return found;
}

Tensors backward(const Tensor& gradient, const Tensor& x, const Networks& networks,
                 at::TensorList found, bool wants_x, bool wants_weights) {
  const int64_t layers = networks.layers(), kept = kept_by(networks);
  Tensors of_x(networks.count());
  std::vector<Tensors> of_weights(wants_weights ? 2 * layers : 0, Tensors(networks.count()));
  for_each(networks.count(), x.size(1), [&](int64_t network) {
    Tensor now = gradient[network];
    for (int64_t layer = layers - 1; layer >= 0; --layer) {
      // What the layer below left behind; the lowest has x below it.
      const Tensor* keep = layer ? &found[1 + (network * (layers - 1) + layer - 1) * kept] : nullptr;
      const Tensor input = layer ? keep[0] : x[network / networks.copies];
      if (wants_weights) {
        of_weights[2 * layer][network] = weight_gradient(input, now);
        of_weights[2 * layer + 1][network] = now.sum(0, true);
      }
      if (layer || wants_x) now = affine(now, networks.weights[2 * layer][network].t());
      if (!layer) continue;
      if (networks.activation == "relu") at::threshold_backward_out(now, now, input, 0);
      if (networks.activation == "tanh") at::tanh_backward_out(now, now, input);
      if (networks.layer_norm) {
        now = std::get<0>(at::native_layer_norm_backward(now, keep[1], {keep[1].size(1)}, keep[2],
                                                         keep[3], {}, {}, {true, false, false}));
      }
    }
    of_x[network] = now;
  });
  Tensors gradients;
  if (wants_x) {
    Tensor all = stacked(of_x);
    if (networks.copies > 1) all = all.unflatten(0, {-1, networks.copies}).sum(1);
    gradients.push_back(all);
  }
  for (const Tensors& one : of_weights) gradients.push_back(stacked(one));
  return gradients;
}

namespace {

Tensors forward_op(const Tensor& x, at::TensorList weights, int64_t copies,
                   std::string_view activation, bool layer_norm) {
  return forward(x, {weights, copies, activation, layer_norm});
}

Tensors backward_op(const Tensor& gradient, const Tensor& x, at::TensorList weights,
                    int64_t copies, std::string_view activation, bool layer_norm,
                    at::TensorList found, bool wants_x, bool wants_weights) {
  const Networks networks{weights, copies, activation, layer_norm};
  return backward(gradient, x, networks, found, wants_x, wants_weights);
}

}  // namespace
}  // namespace smm_core

TORCH_LIBRARY_FRAGMENT(smm_core, library) {
  library.def(
      "mlp_forward(Tensor x, Tensor[] weights, int copies, str activation, bool layer_norm)"
      " -> Tensor[]");
  library.def(
      "mlp_backward(Tensor gradient, Tensor x, Tensor[] weights, int copies, str activation,"
      " bool layer_norm, Tensor[] found, bool wants_x, bool wants_weights) -> Tensor[]");
}

TORCH_LIBRARY_IMPL(smm_core, CPU, library) {
  library.impl("mlp_forward", &smm_core::forward_op);
  library.impl("mlp_backward", &smm_core::backward_op);
}
