"""Soft actor-critic, R runs at once: today's twin-Q form and the one with a value network.

Sources: Haarnoja et al., Soft Actor-Critic Algorithms and Applications (2018b), for `twin_q`, and
Soft Actor-Critic (2018a) for `q_and_v`; Kumar et al., Conservative Q-Learning for Offline
Reinforcement Learning (2020), for the conservative term. Each loss is summed over runs; since no
parameter belongs to two runs, every run gets the gradient it would get alone.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from smm_core import native
from smm_core.adam import Adam
from smm_core.config import Config, option
from smm_core.generators import Generators
from smm_core.mlp import ACTIVATIONS, MLP
from smm_core.networks import Actor, Critic, sample_squashed, squashed_log_prob
from smm_core.replay import Batch
from smm_core.transitions import Layout

_ops = torch.ops.smm_core

VARIANTS = ("twin_q", "q_and_v")
"""`twin_q`: two Q functions and their targets; `q_and_v`: one Q, one V and the target of V."""


@dataclass(frozen=True)
class SACConfig(Config):
    """Networks and optimisation of the policy."""

    variant: str = option("twin_q", "critics: two Q, or one Q and one V", choices=VARIANTS)
    hidden: tuple[int, ...] = option((256, 256), "widths of the hidden layers", low=1)
    policy_activation: str = option(
        "relu", "between the policy's layers", choices=tuple(ACTIVATIONS)
    )
    layer_norm: bool = option(
        False,
        "whether Q and V normalise their hidden layers, which keeps them bounded where many"
        " updates are made of few steps",
    )
    learning_rate: float = option(3e-4, "Adam's step size for actor, Q and V", low=0.0)
    temperature_learning_rate: float = option(3e-4, "Adam's step size for alpha", low=0.0)
    discount: float = option(0.99, "discount of future reward", low=0.0, high=1.0)
    reward_scale: float = option(1.0, "factor of the whole reward", low=0.0)
    tau: float = option(0.005, "share of the critic moved into its target", low=0.0, high=1.0)
    learn_temperature: bool = option(True, "whether alpha is learnt or stays as at the start")
    initial_temperature: float = option(0.1, "alpha at the start", low=1e-6)
    entropy_per_action: float = option(
        -0.5, "target entropy for each action dimension, nats", low=-100.0, high=10.0
    )
    mean_regularization: float = option(0.0, "weight of the policy's squared mean", low=0.0)
    log_std_regularization: float = option(0.0, "weight of its squared log deviation", low=0.0)
    conservative: float = option(
        0.0,
        "weight of CQL(H), which lowers Q where the data have no actions; for learning from fixed"
        " data; 0: off",
        low=0.0,
    )
    conservative_actions: int = option(
        10, "actions of the policy, and as many uniform ones, that CQL(H) is estimated from", low=1
    )


class SAC(nn.Module):
    """Actor, critics, their target and the temperature, with their optimisers by name."""

    def __init__(self, generators: Generators, layout: Layout, config: SACConfig) -> None:
        super().__init__()
        self.config = config
        inputs = layout.obs_size + layout.skill_size
        actions, hidden = layout.action_size, config.hidden
        self.actor = Actor(generators, inputs, actions, hidden, config.policy_activation)
        members = 2 if config.variant == "twin_q" else 1
        self.critic = Critic(generators, inputs + actions, hidden, members, config.layer_norm)
        learning: dict[str, nn.Module] = {"actor": self.actor, "critic": self.critic}
        if config.variant == "twin_q":
            self.target_critic = copy.deepcopy(self.critic).requires_grad_(False)
            self._tracking = (self.target_critic.net, self.critic.net)
        else:
            self.value = MLP(generators, (inputs, *hidden, 1), layer_norm=config.layer_norm)
            self.target_value = copy.deepcopy(self.value).requires_grad_(False)
            self._tracking = (self.target_value, self.value)
            learning["value"] = self.value
        start = torch.full((len(generators), 1), math.log(config.initial_temperature))
        self.log_alpha = nn.Parameter(start, requires_grad=config.learn_temperature)
        self.target_entropy = config.entropy_per_action * actions
        self.action_size = actions
        self._is_plain = config.variant == "twin_q" and not (
            config.conservative or config.mean_regularization or config.log_std_regularization
        )
        self.optimizers = self._optimizers(learning)

    def _optimizers(self, learning: dict[str, nn.Module]) -> dict[str, Adam]:
        rate = self.config.learning_rate
        optimizers: dict[str, Adam] = {
            name: Adam(module.parameters(), rate) for name, module in learning.items()
        }
        if self.config.learn_temperature:
            rate = self.config.temperature_learning_rate
            optimizers["temperature"] = Adam([self.log_alpha], rate)
        return optimizers

    def update(
        self, batch: Batch, reward: Tensor, skill_onehot: Tensor, generators: Generators
    ) -> dict[str, Tensor]:
        """Take one gradient step on critics, actor and temperature; return metrics, (R,) each.

        `reward` (R, B) replaces the batch's own; `skill_onehot` is (R, B, skill_size). The order
        decides which weights a loss means: Q first; then the actor, judged by the Q just moved;
        V, where there is one, learns from that same Q and the action drawn before the actor moved.
        """
        obs = torch.cat((batch.obs, skill_onehot), -1)
        next_obs = torch.cat((batch.next_obs, skill_onehot), -1)
        target = self.critic_target(next_obs, reward, batch.terminated, generators)
        metrics = self._update_critic(obs, batch.action, target, generators)
        metrics["actor_loss"], log_prob, soft_value = self._update_actor(obs, generators)
        metrics["policy_entropy"] = -log_prob.mean(-1)
        if self.config.variant == "q_and_v":
            metrics["value_loss"] = self._update_value(obs, soft_value)
        if self.config.learn_temperature:
            metrics["temperature_loss"] = self._update_temperature(log_prob)
        self._move_targets()
        return metrics | {"temperature": self.log_alpha.detach().exp().squeeze(-1)}

    @torch.no_grad()
    def critic_target(
        self, next_obs: Tensor, reward: Tensor, terminated: Tensor, generators: Generators
    ) -> Tensor:
        """Return what the critics should say of the present state and action, (R, B).

        `next_obs` is (R, B, obs and skill). The next state's value is the target V's, or that of
        a fresh action: the smaller target Q less alpha log pi (2018b, equations 3 and 5).
        """
        if self.config.variant == "q_and_v":
            next_value = self.target_value(next_obs).squeeze(-1)
        elif self._is_compiled(next_obs):
            return self._compiled_target(next_obs, reward, terminated, generators)
        else:
            next_action, log_prob = self.actor.sample(next_obs, self._noise(next_obs, generators))
            next_q = _smallest(self.target_critic(next_obs, next_action))
            next_value = next_q - self.log_alpha.exp() * log_prob
        goes_on = 1.0 - terminated  # truncation is no end: its value is bootstrapped
        return self.config.reward_scale * reward + self.config.discount * goes_on * next_value

    def _is_compiled(self, x: Tensor) -> bool:
        """Return whether native/sac.cpp has the gradients: of the losses without more terms."""
        return self._is_plain and native.serves(x)

    def _compiled_target(
        self, next_obs: Tensor, reward: Tensor, terminated: Tensor, generators: Generators
    ) -> Tensor:
        found: Tensor = _ops.critic_target.default(
            next_obs,
            reward,
            terminated,
            self._noise(next_obs, generators),
            self.log_alpha,
            self.config.reward_scale,
            self.config.discount,
            *self.actor.compiled,
            *self.target_critic.compiled,
        )
        return found

    def _noise(self, obs: Tensor, generators: Generators) -> Tensor:
        return generators.normal(obs.shape[1], self.action_size)

    def _update_critic(
        self, obs: Tensor, action: Tensor, target: Tensor, generators: Generators
    ) -> dict[str, Tensor]:
        if self._is_compiled(obs):
            with torch.no_grad():
                loss, *grads = _ops.critic_gradient.default(
                    obs, action, target, *self.critic.compiled
                )
            self.optimizers["critic"].move(grads)
            return {"critic_loss": loss}
        values = self.critic(obs, action)
        errors = F.mse_loss(values, target.unsqueeze(1).expand_as(values), reduction="none")
        loss, metrics = 0.5 * errors.mean(-1).sum(1), {}
        if self.config.conservative:
            gap = (self.log_integral(obs, generators) - values).mean(-1)
            loss = loss + self.config.conservative * gap.sum(1)
            metrics["conservative_gap"] = gap.detach().mean(1)
        return metrics | {"critic_loss": self.optimizers["critic"].descend(loss)}

    def log_integral(self, obs: Tensor, generators: Generators) -> Tensor:
        """Estimate the log of the integral of exp Q(s, a) over all actions, (R, members, B).

        It is what CQL(H) lowers and the Q of the data's action what it raises (Kumar et al. 2020,
        equation 4). As there in appendix F the actions are uniform ones and the policy's, but each
        is weighed by the density of both together (the balance heuristic of Veach and Guibas,
        1995): weighed by the policy's density alone, a rare action of a narrow policy would decide
        the sum. `obs` is (R, B, obs and skill).
        """
        actions, log_density = self._spread_actions(obs, generators)
        count = actions.shape[1] // obs.shape[1]
        q = self.critic(obs.repeat_interleave(count, 1), actions) - log_density.unsqueeze(1)
        return q.unflatten(-1, (-1, count)).logsumexp(-1) - math.log(count)

    @torch.no_grad()
    def _spread_actions(self, obs: Tensor, generators: Generators) -> tuple[Tensor, Tensor]:
        """Draw actions of both kinds for each row; return them and the log of their density.

        (R, B count, actions) and (R, B count), the actions of a row next to each other.
        """
        size, half = self.action_size, self.config.conservative_actions
        # (R, B, 1, actions), against (R, B, half, actions) of what is drawn.
        mean, log_std = (tensor.unsqueeze(2) for tensor in self.actor(obs))
        uniform = generators.uniform(obs.shape[1], half, size, low=-1.0)
        noise = generators.normal(obs.shape[1], half, size)
        drawn, log_prob = sample_squashed(mean, log_std.expand_as(noise), noise)
        both = torch.cat((squashed_log_prob(uniform, mean, log_std), log_prob), 2)
        log_uniform = both.new_full((), -size * math.log(2.0))
        log_density = torch.logaddexp(both, log_uniform) - math.log(2.0)
        return torch.cat((uniform, drawn), 2).flatten(1, 2), log_density.flatten(1)

    def _update_actor(self, obs: Tensor, generators: Generators) -> tuple[Tensor, Tensor, Tensor]:
        """Return the loss (R,), and log pi and the soft value of the actions drawn, (R, B)."""
        noise = self._noise(obs, generators)
        if self._is_compiled(obs):
            with torch.no_grad():
                loss, log_prob, soft_value, *grads = _ops.actor_gradient.default(
                    obs, noise, self.log_alpha, *self.actor.compiled, *self.critic.compiled
                )
            self.optimizers["actor"].move(grads)
            return loss, log_prob, soft_value
        mean, log_std = self.actor(obs)
        action, log_prob = sample_squashed(mean, log_std, noise)
        self.critic.requires_grad_(False)  # it only judges here: no gradient of its own is wanted
        q = _smallest(self.critic(obs, action))
        self.critic.requires_grad_(True)
        negative_value = self.log_alpha.detach().exp() * log_prob - q
        loss = negative_value.mean(-1)
        if self.config.mean_regularization:
            loss = loss + self.config.mean_regularization * mean.square().mean((1, 2))
        if self.config.log_std_regularization:
            loss = loss + self.config.log_std_regularization * log_std.square().mean((1, 2))
        loss = self.optimizers["actor"].descend(loss)
        return loss, log_prob.detach(), -negative_value.detach()

    def _update_value(self, obs: Tensor, soft_value: Tensor) -> Tensor:
        """Move V towards E[Q - alpha log pi] (2018a, equation 5)."""
        error = self.value(obs).squeeze(-1) - soft_value
        return self.optimizers["value"].descend(0.5 * error.square().mean(-1))

    def _update_temperature(self, log_prob: Tensor) -> Tensor:
        surplus = (log_prob + self.target_entropy).mean(-1, keepdim=True)
        loss = -self.log_alpha.detach() * surplus
        self.optimizers["temperature"].move([-surplus])
        return loss.squeeze(-1)

    @torch.no_grad()
    def _move_targets(self) -> None:
        slow, fast = self._tracking
        torch._foreach_lerp_(slow.weights, fast.weights, self.config.tau)


def _smallest(values: Tensor) -> Tensor:
    """Return the least of the members' values, (R, members, B) -> (R, B)."""
    return reduce(torch.minimum, values.unbind(1))
