"""Soft actor-critic with twin critics and a learnt temperature, R runs at once.

Source: Haarnoja et al., Soft Actor-Critic Algorithms and Applications (2018). Each loss is summed
over runs; since no parameter belongs to two runs, every run gets the gradient it would get alone.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from smm_core.config import Config, option
from smm_core.generators import Generators
from smm_core.networks import Actor, TwinCritic
from smm_core.replay import Batch
from smm_core.transitions import Layout


@dataclass(frozen=True)
class SACConfig(Config):
    """Networks and optimisation of the policy."""

    hidden: tuple[int, ...] = option((256, 256), "widths of the hidden layers", low=1)
    learning_rate: float = option(3e-4, "Adam's step size for actor and critics", low=0.0)
    temperature_learning_rate: float = option(3e-4, "Adam's step size for alpha", low=0.0)
    discount: float = option(0.99, "discount of future reward", low=0.0, high=1.0)
    tau: float = option(0.005, "share of the critic moved into its target", low=0.0, high=1.0)
    initial_temperature: float = option(0.1, "alpha at the start", low=1e-6)
    entropy_per_action: float = option(-0.5, "target entropy for each action dimension, nats")


class SAC(nn.Module):
    """Actor, twin critics, their target and the temperature, with their optimisers."""

    def __init__(self, generators: Generators, layout: Layout, config: SACConfig) -> None:
        super().__init__()
        self.config = config
        inputs = layout.obs_size + layout.skill_size
        actions = layout.action_size
        self.actor = Actor(generators, inputs, actions, config.hidden)
        self.critic = TwinCritic(generators, inputs + actions, config.hidden)
        self.target_critic = copy.deepcopy(self.critic).requires_grad_(False)
        start = torch.full((len(generators), 1), math.log(config.initial_temperature))
        self.log_alpha = nn.Parameter(start)
        self.target_entropy = config.entropy_per_action * actions
        self.action_size = actions
        rate = config.learning_rate
        self.optimizers: dict[str, torch.optim.Optimizer] = {
            "actor": torch.optim.Adam(self.actor.parameters(), lr=rate, fused=True),
            "critic": torch.optim.Adam(self.critic.parameters(), lr=rate, fused=True),
            "temperature": torch.optim.Adam([self.log_alpha], lr=config.temperature_learning_rate),
        }

    def update(
        self, batch: Batch, reward: Tensor, skill_onehot: Tensor, generators: Generators
    ) -> dict[str, Tensor]:
        """Take one gradient step on critic, actor and temperature; return metrics, (R,) each.

        `reward` (R, B) replaces the batch's own; `skill_onehot` is (R, B, skill_size).
        """
        obs = torch.cat((batch.obs, skill_onehot), -1)
        next_obs = torch.cat((batch.next_obs, skill_onehot), -1)
        critic_loss = self._update_critic(obs, next_obs, batch, reward, generators)
        actor_loss, log_prob = self._update_actor(obs, generators)
        self._update_temperature(log_prob)
        with torch.no_grad():
            for slow, fast in zip(
                self.target_critic.parameters(), self.critic.parameters(), strict=True
            ):
                slow.lerp_(fast, self.config.tau)
        return {
            "critic_loss": critic_loss,
            "actor_loss": actor_loss,
            "policy_entropy": -log_prob.mean(-1),
            "temperature": self.log_alpha.detach().exp().squeeze(-1),
        }

    def _noise(self, obs: Tensor, generators: Generators) -> Tensor:
        return generators.normal(obs.shape[1], self.action_size)

    def _update_critic(
        self, obs: Tensor, next_obs: Tensor, batch: Batch, reward: Tensor, generators: Generators
    ) -> Tensor:
        with torch.no_grad():
            next_action, log_prob = self.actor.sample(next_obs, self._noise(obs, generators))
            next_value = self.target_critic(next_obs, next_action).amin(1)
            soft_value = next_value - self.log_alpha.exp() * log_prob
            goes_on = 1.0 - batch.terminated  # truncation is no end: its value is bootstrapped
            target = reward + self.config.discount * goes_on * soft_value
        values = self.critic(obs, batch.action)
        loss = F.mse_loss(values, target.unsqueeze(1).expand_as(values), reduction="none")
        loss = loss.mean(-1).sum(1)
        self.optimizers["critic"].zero_grad()
        loss.sum().backward()
        self.optimizers["critic"].step()
        return loss.detach()

    def _update_actor(self, obs: Tensor, generators: Generators) -> tuple[Tensor, Tensor]:
        action, log_prob = self.actor.sample(obs, self._noise(obs, generators))
        value = self.critic(obs, action).amin(1)
        loss = (self.log_alpha.detach().exp() * log_prob - value).mean(-1)
        self.optimizers["actor"].zero_grad()
        loss.sum().backward(inputs=list(self.actor.parameters()))
        self.optimizers["actor"].step()
        return loss.detach(), log_prob.detach()

    def _update_temperature(self, log_prob: Tensor) -> None:
        surplus = (log_prob + self.target_entropy).mean(-1, keepdim=True)
        self.optimizers["temperature"].zero_grad()
        (-self.log_alpha * surplus).sum().backward()
        self.optimizers["temperature"].step()
