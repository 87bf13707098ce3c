"""Target distributions p*(s): what the visited states are to be distributed like."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from smm_core.config import Config, ConfigError, option
from smm_core.state_space import StateSpace
from smm_core.targets.box import BoxConfig, BoxTarget, HalvesConfig
from smm_core.targets.demonstrations import DemonstrationsConfig, DemonstrationTarget
from smm_core.targets.goal import GoalConfig, GoalTarget
from smm_core.targets.mixture import MixtureConfig, MixtureTarget

SUGGESTED, REWARD = "suggested", "reward"


@dataclass(frozen=True)
class LimitsConfig(Config):
    """Soft limits on the coordinates of s: beyond them log p* falls, whatever the reference."""

    low: tuple[float, ...] = option(
        (), "lowest value of each coordinate of s, -.inf for none; angles in rad; empty: no limits"
    )
    high: tuple[float, ...] = option((), "highest value of each coordinate of s, .inf for none")
    penalty: float = option(10.0, "nats for each unit, or rad, beyond a limit", low=0.0)


@dataclass(frozen=True)
class TargetConfig(Config):
    """The target p*(s): a reference density times exp(reward) and less beyond the limits."""

    name: str = option(
        SUGGESTED,
        "reference density: 'suggested' is what the environment names, else 'reward'; 'reward' is"
        " flat: p* is exp(environment reward); 'uniform_circle' is uniform over all angles;"
        " 'uniform_box' over the box, 'halves' over either side of it; 'gaussian_mixture' is the"
        " mixture; 'demonstrations' is fitted to a file; 'goal' is the best for reaching goals",
        choices=(
            SUGGESTED,
            REWARD,
            "uniform_circle",
            "uniform_box",
            "halves",
            "gaussian_mixture",
            "demonstrations",
            "goal",
        ),
    )
    reward_weight: float = option(
        1.0, "nats for each unit of the environment's reward; 0 leaves it out", low=0.0
    )
    limits: LimitsConfig = option(LimitsConfig(), "soft limits")
    box: BoxConfig = option(BoxConfig(), "of 'uniform_box', 'halves' and 'goal'")
    halves: HalvesConfig = option(HalvesConfig(), "of 'halves'")
    mixture: MixtureConfig = option(MixtureConfig(), "of 'gaussian_mixture', and goals by it")
    demonstrations: DemonstrationsConfig = option(DemonstrationsConfig(), "of 'demonstrations'")
    goal: GoalConfig = option(GoalConfig(), "of 'goal'")


class Reference(Protocol):
    """A density over s that a target is made of; also a torch module."""

    is_normalised: bool
    """Whether it integrates to one over all s."""

    def log_prob(self, state: Tensor) -> Tensor:
        """Return the log-density in nats, (...) from s (..., size)."""


class Target(nn.Module):
    """log p*(s) in nats: a reference density times exp(weight * reward) less beyond limits.

    A torch module with its parts, to be brought to a device; nothing in it is learnt or saved.
    """

    def __init__(self, config: TargetConfig, space: StateSpace) -> None:
        super().__init__()
        self._weight = config.reward_weight
        self._limits = Limits(space, config.limits)
        self.reference = _REFERENCES[config.name](config, space)

    @property
    def is_normalised(self) -> bool:
        """Whether `log_prob` is known without an open constant.

        What the reward adds is not, and limits take mass away, whatever the reference.
        """
        return self.reference.is_normalised and not self._weight and not self._limits.are_set

    def log_prob(self, state: Tensor, reward: Tensor) -> Tensor:
        """Return log p*(s), (R, B) nats, up to a constant where it is not normalised.

        `state` is (R, B, size); `reward` (R, B) is the environment's, a log-density in nats.
        """
        log_prob = self.log_reference(state) + self._weight * reward
        return log_prob - self._limits.penalty(state) if self._limits.are_set else log_prob

    def log_reference(self, state: Tensor) -> Tensor:
        """Return the log of the reference density alone, (...) nats from s (..., size)."""
        return self.reference.log_prob(state)


class Limits(nn.Module):
    """A penalty in nats that grows with the way back between the limits.

    An angle's limits are the ends of the arc from low up to high, and its way the shorter one
    round the circle.
    """

    def __init__(self, space: StateSpace, config: LimitsConfig) -> None:
        super().__init__()
        given = (len(config.low), len(config.high))
        if given not in ((0, 0), (space.size, space.size)):
            raise ConfigError(
                f"target.limits has {given[0]} low and {given[1]} high limits, expected "
                f"{space.size} of each, one for every coordinate of the matched state, or none"
            )
        for index, (low, high) in enumerate(zip(config.low, config.high, strict=True)):
            is_angle = index >= space.num_linear
            if not low < high or (is_angle and not high - low <= 2 * math.pi + 1e-6):
                raise ConfigError(
                    f"target.limits of coordinate {index} of s are {low} and {high}, expected "
                    "low below high" + " and no more than a turn apart" * is_angle
                )
        self._space, self._per_unit = space, config.penalty
        self._low = nn.Buffer(torch.tensor(config.low))
        self._high = nn.Buffer(torch.tensor(config.high))
        self.are_set = bool(config.low)

    def penalty(self, state: Tensor) -> Tensor:
        """Return the nats that set limits take from log p*, (...) from s (..., size)."""
        linear, angles = self._space.split(state)
        low, low_angle = self._space.split(self._low)
        high, high_angle = self._space.split(self._high)
        beyond = torch.maximum(low - linear, linear - high)
        middle, half = (low_angle + high_angle) / 2, (high_angle - low_angle) / 2
        offset = torch.remainder(angles - middle + math.pi, 2 * math.pi) - math.pi
        beyond = torch.cat((beyond, offset.abs() - half), -1).clamp_min(0.0)
        return self._per_unit * beyond.sum(-1)


class _Flat(nn.Module):
    """No preference: the environment's reward alone makes the target."""

    is_normalised = False

    def log_prob(self, state: Tensor) -> Tensor:
        return torch.zeros_like(state[..., 0])


def _flat(config: TargetConfig, space: StateSpace) -> Reference:
    return _Flat()


def _uniform_circle(config: TargetConfig, space: StateSpace) -> Reference:
    if space.num_linear or not space.num_circular:
        raise ConfigError(
            "target.name 'uniform_circle' needs a matched state of angles only; "
            "name them in state.circular, or take 'uniform_box'"
        )
    return BoxTarget(space, BoxConfig())


_REFERENCES: dict[str, Callable[[TargetConfig, StateSpace], Reference]] = {
    SUGGESTED: _flat,
    REWARD: _flat,
    "uniform_circle": _uniform_circle,
    "uniform_box": lambda config, space: BoxTarget(space, config.box),
    "halves": lambda config, space: BoxTarget(space, config.box, config.halves),
    "gaussian_mixture": lambda config, space: MixtureTarget(space, config.mixture),
    "demonstrations": lambda config, space: DemonstrationTarget(space, config.demonstrations),
    "goal": lambda config, space: GoalTarget(space, config.goal, config.box, config.mixture),
}
