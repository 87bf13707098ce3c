"""Targets for reaching goals: the bound on the hitting time and what makes it small (Appendix C).

A goal g ~ p_g is reached when a state comes within epsilon of it. With states distributed like p*
the expected number of episodes until then is at most (equation 14)

    F(p*) = E_{g ~ p_g} [ 1 / c(g) ],    c(g) = mass of p* within epsilon of g.

Lemma C.2 proposes p* proportional to the square root of p_g smoothed over the epsilon ball. That
minimises F as epsilon goes to 0, where a ball is one cell, and where goals lie in clusters much
narrower than epsilon and further apart. In between it does not: the derivative of 1 / c(g) has
c(g)^2 in its denominator, where equation 16 has p*^2. `optimum` finds the minimum itself.

The functions work on masses of a grid's cells, not on densities.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt
from torch import Tensor, nn

from smm_core.config import Config, ConfigError, option
from smm_core.state_space import StateSpace
from smm_core.targets.box import BoxConfig, Skirt
from smm_core.targets.grid import MAX_COORDINATES, Grid, GridInterpolation, Masses
from smm_core.targets.mixture import MixtureConfig, MixtureTarget
from smm_core.targets.state_file import read_states

DEFAULT_CELLS = {1: 400, 2: 100, 3: 40}


@dataclass(frozen=True)
class GoalConfig(Config):
    """Goals that may be asked for, within the box and all round the angles of the target."""

    density: str = option(
        "uniform_box",
        "how goals are distributed: 'uniform_box' all over the box, 'gaussian_mixture' as the"
        " mixture says, 'samples' as in the file",
        choices=("uniform_box", "gaussian_mixture", "samples"),
    )
    file: str = option("", "goals, or observations at goals, in a .npy, .npz or .csv file")
    epsilon: float = option(
        0.1,
        "a goal is reached within this distance, Euclidean over all coordinates of s, each in its"
        " own unit; at least a cell of the grid, or 0 for p* like sqrt(p_g)",
        low=0.0,
    )
    cells: int = option(
        0, "cells of the grid along each coordinate; 0: 400, 100 or 40 for 1, 2 or 3", low=0
    )


class GoalTarget(nn.Module):
    """The target of Lemma C.2, computed on a grid over the box; log p* is linear between cells.

    It stays within the box of the goals, although the smoothing reaches epsilon beyond: a state
    out there covers no goal that its nearest point of the box does not cover. `box.drop` nats
    below the highest density p* goes no lower by itself; from there it falls with the distance to
    the region above, by `box.slope` nats for each width of the box, and outside as `Skirt` says.
    Normalised as far as the grid resolves it, leaving out what lies outside the box.
    """

    is_normalised = True

    def __init__(
        self, space: StateSpace, config: GoalConfig, box: BoxConfig, mixture: MixtureConfig
    ) -> None:
        super().__init__()
        self._skirt = Skirt(space, box)
        self.grid = space_grid(space, box, config.cells)
        _check_resolved(self.grid, config.epsilon)
        self.goals = _goal_masses(self.grid, space, config, mixture)
        lemma = lemma_target(self.grid, self.goals, config.epsilon)
        log_density = _with_floor(self.grid, lemma, box)
        log_density -= math.log(np.exp(log_density).sum() * self.grid.cell_volume)
        self._log_density = GridInterpolation(self.grid, log_density)

    def log_prob(self, state: Tensor) -> Tensor:
        """Return the log-density in nats, (...) from s (..., size)."""
        log_density: Tensor = self._log_density(state)
        return log_density - self._skirt.depth(state)


class LogDensity(Protocol):
    """What gives a log-density in nats, (...) from s (..., size), normalised or not."""

    def log_prob(self, state: Tensor) -> Tensor:
        """Return the log-density."""


def space_grid(space: StateSpace, box: BoxConfig, cells: int = 0) -> Grid:
    """Return a grid over the box and the whole circles of s; 0 cells: as many as are handy.

    Raises ConfigError where s has more coordinates than a grid can have.
    """
    if space.size > MAX_COORDINATES:
        raise ConfigError(
            f"target.name 'goal' works on a grid of 1 to {MAX_COORDINATES} coordinates, but the "
            f"matched state has {space.size}; name fewer entries in state.linear and "
            "state.circular"
        )
    turn = (math.pi,) * space.num_circular
    return Grid(
        (*box.low, *(-angle for angle in turn)),
        (*box.high, *turn),
        (cells or DEFAULT_CELLS[space.size],) * space.size,
        (False,) * space.num_linear + (True,) * space.num_circular,
    )


def cell_masses(grid: Grid, density: LogDensity) -> Masses:
    """Return a density's masses in the cells, which sum to 1, from its values at the centres."""
    log_density = density.log_prob(torch.tensor(grid.centres(), dtype=torch.float32)).double()
    return torch.softmax(log_density.flatten(), 0).view(grid.shape).numpy()


def lemma_target(grid: Grid, goals: Masses, epsilon: float) -> Masses:
    """Return the target of Lemma C.2 (equation 18), masses that sum to 1."""
    return _normalised(np.sqrt(grid.ball_sums(goals, epsilon)))


def hitting_time_bound(grid: Grid, goals: Masses, target: Masses, epsilon: float) -> float:
    """Return F (equation 14) in episodes; infinite where a goal is never covered.

    `goals` and `target` are masses in the shape of the grid and need not sum to 1.
    """
    covered = grid.ball_sums(_normalised(target), epsilon)
    wanted = _normalised(goals)
    is_goal = wanted > 0
    with np.errstate(divide="ignore"):
        return float((wanted[is_goal] / covered[is_goal]).sum())


def optimum(
    grid: Grid, goals: Masses, epsilon: float, gap: float = 1e-3, iterations: int = 20_000
) -> tuple[Masses, float]:
    """Return the target that minimises F, and by which share F may be above the minimum.

    Each step multiplies a cell's mass by the square root of how fast F falls with it, which never
    raises F. F is convex, so its slope bounds the minimum: with d(s) = -dF/dp*(s), whose mean
    under p* is F, no target has less than 2 F - max d. Ends once the share is at most `gap`, or
    after `iterations`.
    """
    wanted = _normalised(goals)
    target = np.full(grid.shape, 1.0 / wanted.size)
    for _ in range(iterations):
        covered = grid.ball_sums(target, epsilon)
        ratio = np.divide(wanted, covered, out=np.zeros_like(wanted), where=wanted > 0)
        bound = ratio.sum()
        slope = grid.ball_sums(
            np.divide(ratio, covered, out=np.zeros_like(ratio), where=wanted > 0), epsilon
        )
        excess = float(slope.max() / bound - 1.0)
        if excess <= gap:
            break
        target = _normalised(target * np.sqrt(slope))
    return target, excess


def episodes_to_goal(
    grid: Grid,
    goals: Masses,
    target: Masses,
    epsilon: float,
    steps: int,
    trials: int,
    rng: np.random.Generator,
    longest: int = 100_000,
) -> Masses:
    """Play until a goal is hit; return the number of episodes of each trial, (trials,).

    Each trial draws a goal, and each of its episodes `steps` independent states from the target.
    A trial that has not ended after `longest` episodes counts as that many.
    """
    points = grid.centres().reshape(-1, len(grid.shape))
    wanted = points[_draw(goals, trials, rng)]
    episodes, open_trials = np.zeros(trials), np.arange(trials)
    while open_trials.size and episodes.max() < longest:
        episodes[open_trials] += 1
        states = points[_draw(target, (open_trials.size, steps), rng)]
        offset = np.abs(states - wanted[open_trials, None])
        offset = np.where(grid.circular, np.minimum(offset, grid.extent - offset), offset)
        is_hit = (np.linalg.norm(offset, axis=-1) <= epsilon + 1e-9).any(-1)
        open_trials = open_trials[~is_hit]
    return episodes


def _draw(masses: Masses, size: int | tuple[int, ...], rng: np.random.Generator) -> Masses:
    """Draw cells, as indices into the flattened grid."""
    cumulative = np.cumsum(masses.ravel())
    return np.searchsorted(cumulative, rng.random(size) * cumulative[-1], side="right")


def _normalised(masses: Masses) -> Masses:
    return masses / masses.sum()


def _check_resolved(grid: Grid, epsilon: float) -> None:
    """Raise ConfigError where a ball would be a single cell, wider than itself, along an axis.

    A radius of 0 asks for just that: the Lemma's limit, the square root of p_g.
    """
    axis = int(grid.step.argmax())
    cell = float(grid.step[axis])
    if 0.0 < epsilon < cell - 1e-9:
        needed = math.ceil(float(grid.extent[axis]) / epsilon - 1e-9)
        raise ConfigError(
            f"target.goal.epsilon is {epsilon:g}, but along coordinate {axis} of s the target is "
            f"computed on cells of {cell:.3g} ({grid.shape[axis]} over {grid.extent[axis]:.5g}), "
            f"expected cells no wider than epsilon: set target.goal.cells to {needed} or more, or "
            "make target.box smaller or epsilon larger; epsilon 0 gives sqrt(p_g), unsmoothed"
        )


def _goal_masses(
    grid: Grid, space: StateSpace, config: GoalConfig, mixture: MixtureConfig
) -> Masses:
    if config.density == "gaussian_mixture":
        return cell_masses(grid, MixtureTarget(space, mixture))
    if config.density == "uniform_box":
        return _normalised(np.ones(grid.shape))
    states = read_states(config.file, space, "target.goal.file")
    counts = grid.counts(states.numpy())
    if not counts.sum():
        raise ConfigError(
            f"target.goal.file {config.file}: none of its {len(states)} goals lies in target.box"
        )
    return _normalised(counts)


def _with_floor(grid: Grid, masses: Masses, box: BoxConfig) -> Masses:
    """Return log-densities that fall gently, but always, where the masses have almost ended."""
    highest = masses.max()
    is_low = masses < highest * math.exp(-box.drop)
    # Distances run round the circle: half a turn is repeated at either end of a circular axis.
    turns = [n // 2 if c else 0 for n, c in zip(grid.shape, grid.circular, strict=True)]
    around = np.pad(is_low, [(n, n) for n in turns], mode="wrap")
    distance = distance_transform_edt(around, sampling=grid.step / grid.extent)
    distance = distance[tuple(slice(t, t + n) for t, n in zip(turns, grid.shape, strict=True))]
    with np.errstate(divide="ignore"):
        log_density = np.log(masses / grid.cell_volume)
    floor = math.log(highest / grid.cell_volume) - box.drop - box.slope * distance
    floored: Masses = np.where(is_low, floor, log_density)
    return floored
