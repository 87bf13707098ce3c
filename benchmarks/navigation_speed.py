"""How fast Navigation is, and how far uniformly random actions get in it.

Prints two Markdown tables: environment steps per second of one environment and of the vectorised
one, and, for several maps, the share of random episodes that reach a hall's end. With --picture
also a heat map of the random episodes of each map.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/navigation_speed.py --picture random_walk.png
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from smm_core.envs import NAVIGATION_ID
from smm_core.envs.halls import Halls

NUM_POINTS = (1, 16, 256, 4096)
MAPS = ({}, {"num_halls": 5}, {"num_halls": 7}, {"hall_length": 50.0})


@dataclass
class Walk:
    """What random episodes in one map came to."""

    halls: Halls
    reached: float
    """Share of the episodes in which a hall's end was reached."""
    deepest: float
    """m from a hall's mouth."""
    xy: NDArray[np.float32]
    """(steps, episodes, 2) m."""


def speed_alone(seconds: float) -> float:
    """Return the steps per second of one environment."""
    env, steps = gymnasium.make(NAVIGATION_ID), 0
    actions = np.random.default_rng(0).uniform(-1, 1, (100, 2)).astype(np.float32)
    begin = time.perf_counter()
    while time.perf_counter() - begin < seconds:
        env.reset()
        for action in actions:
            env.step(action)
        steps += len(actions)
    return steps / (time.perf_counter() - begin)


def speed_together(num_points: int, seconds: float) -> float:
    """Return the steps per second, over all points, of the vectorised environment."""
    env, steps = gymnasium.make_vec(NAVIGATION_ID, num_envs=num_points), 0
    rng = np.random.default_rng(0)
    actions = rng.uniform(-1, 1, (100, num_points, 2)).astype(np.float32)
    begin = time.perf_counter()
    while time.perf_counter() - begin < seconds:
        env.reset()
        for action in actions:
            env.step(action)
        steps += len(actions) * num_points
    return steps / (time.perf_counter() - begin)


def walk(options: dict[str, Any], episodes: int) -> Walk:
    """Play episodes of uniformly random actions."""
    env: Any = gymnasium.make_vec(NAVIGATION_ID, num_envs=episodes, **options)
    rng = np.random.default_rng(0)
    env.reset()
    reached, deepest, xy = np.zeros(episodes, bool), 0.0, []
    truncated = np.zeros(episodes, bool)
    while not truncated.all():
        obs, _, _, truncated, info = env.step(rng.uniform(-1, 1, (episodes, 2)))
        reached |= info["hall_reached"] >= 0
        deepest = max(deepest, float(info["depth"].max()))
        xy.append(obs)
    return Walk(env.unwrapped.halls, float(reached.mean()), deepest, np.array(xy))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0, help="for each speed")
    parser.add_argument("--episodes", type=int, default=1000, help="of random actions, per map")
    parser.add_argument("--picture", type=Path, help="PNG for the random episodes' heat maps")
    options = parser.parse_args()
    print("| points at once | environment steps/s |\n|---|---|")
    print(f"| one environment | {speed_alone(options.seconds):,.0f} |")
    for num_points in NUM_POINTS:
        speed = speed_together(num_points, options.seconds)
        print(f"| vectorised, {num_points} | {speed:,.0f} |", flush=True)
    walks = [walk(given, options.episodes) for given in MAPS]
    print(f"\n| map, {options.episodes} random episodes | reach an end | furthest depth, m |")
    print("|---|---|---|")
    for found in walks:
        name = f"{found.halls.num_halls} halls of length {found.halls.hall_length:g}"
        print(f"| {name} | {100 * found.reached:.1f} % | {found.deepest:.2f} |")
    if options.picture:
        draw(walks, options.picture)


def draw(walks: list[Walk], path: Path) -> None:
    """Write the heat maps, one panel for each map."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from smm_core.envs.halls_view import draw_visits

    figure = Figure(figsize=(3.4 * len(walks), 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, found in zip(figure.subplots(1, len(walks)), walks, strict=True):
        draw_visits(axes, found.halls, found.xy.reshape(-1, 2), 0.1)
        axes.set_title(f"{found.halls.num_halls} halls of {found.halls.hall_length:g} m")
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
