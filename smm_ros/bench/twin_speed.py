"""What the environments add to the physics of the twin, and what many twins at once gain.

All sides of a comparison do the same work in short turns, one after the other: the same episodes,
from the same states with the same targets. What else the machine does then meets all of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gymnasium
import mujoco
import numpy as np
from numpy.typing import NDArray

from smm_core.config import from_mapping
from smm_core.train import TrainConfig, Training
from smm_ros.dclaw import ENV_ID, task
from smm_ros.dclaw.mujoco_hands import ALL_CORES, MujocoHands
from smm_ros.dclaw.spec import CONTROL_PERIOD, EPISODE_STEPS, NUM_JOINTS
from smm_ros.dclaw.twin_model import physics_steps

BARE = "bare mj_step"

Array = NDArray[np.float64]
Obs = NDArray[np.float32]


@dataclass(frozen=True)
class Speed:
    """How fast one side of a comparison is, medians over the turns."""

    steps_per_second: float
    """Environment steps (control periods) of all twins together, by the clock."""
    ratio: float
    """To bare mj_step on one core in the same turn; 1 is as fast."""


@dataclass(frozen=True)
class Episode:
    """An episode of N twins as MuJoCo sees it, and what is observed at its end."""

    starts: Sequence[mujoco.MjData]
    """Of each twin."""
    targets: Array
    """(EPISODE_STEPS, N, 9) rad."""
    last_obs: Obs
    """(N, 12)."""


def one_twin(turns: int = 60, seed: int = 0) -> dict[str, Speed]:
    """Return the speeds of bare mj_step and of the gymnasium environment, its resets included."""
    with closing(gymnasium.make(ENV_ID)) as env:

        def play(actions: Obs) -> Obs:
            env.reset()
            for action in actions[:, 0]:
                obs = env.step(action)[0]
            return obs[None]

        return _compare({"environment": play}, 1, turns, seed)


def many_twins(
    count: int = 16, threads: Sequence[int] = (1, 2), turns: int = 15, seed: int = 0
) -> dict[str, Speed]:
    """Return the speeds of bare mj_step on one core and of the vectorised environment.

    The latter with each number of `threads`, its resets included.
    """
    envs = {
        f"{count} twins, {_threads(number)}": gymnasium.make_vec(
            ENV_ID, count, vectorization_mode="vector_entry_point", physics_threads=number
        )
        for number in threads
    }
    try:
        players = {name: _player_of_many(env) for name, env in envs.items()}
        return _compare(players, count, turns, seed)
    finally:
        for env in envs.values():
            env.close()


def train_speed(
    envs: Sequence[int] = (1, 4, 16, 64),
    steps: int = 2000,
    rounds: int = 3,
    updates_per_step: float = 1.0,
    physics_threads: int = ALL_CORES,
    learner: Mapping[str, Any] | None = None,
) -> dict[int, float]:
    """Return environment steps per second of `smm train --envs N`, medians over the rounds.

    Of the second half of each training, when it learns; `learner` are settings besides.
    """
    rates: dict[int, list[float]] = {number: [] for number in envs}
    settings = {
        "env": ENV_ID,
        "env_options": [f"physics_threads={physics_threads}"],
        "steps": steps,
        "report_period": steps // 2,
        "checkpoint_period": 2 * steps,
        "learner": {
            "random_steps": steps // 4,
            "updates_per_step": updates_per_step,
            **(learner or {}),
        },
    }
    for _ in range(rounds):
        for number in envs:
            config = from_mapping(TrainConfig, {**settings, "envs": number})
            with TemporaryDirectory() as folder:
                metrics = Training(config, Path(folder, "run")).run(lambda metrics: None)
            rates[number].append(metrics["steps_per_second"])
    return {number: float(np.median(found)) for number, found in rates.items()}


def _compare(
    players: Mapping[str, Callable[[Obs], Obs]], count: int, turns: int, seed: int
) -> dict[str, Speed]:
    """Time bare mj_step and the players, which play actions (steps, N, 9) from a reset.

    Raises RuntimeError where a player did not do the same work: what it observes last tells.
    """
    rng, hands = np.random.default_rng(seed), MujocoHands(count, 1)
    seconds: dict[str, list[float]] = {name: [] for name in (BARE, *players)}
    for turn in range(turns):
        actions = rng.uniform(-1, 1, (EPISODE_STEPS, count, NUM_JOINTS)).astype(np.float32)
        episode = _record(hands, actions)
        names = [*seconds]
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            if name == BARE:
                seconds[name].append(_bare_seconds(hands.model, episode))
                continue
            begin = time.perf_counter()
            obs = players[name](actions)
            seconds[name].append(time.perf_counter() - begin)
            if not np.array_equal(obs, episode.last_obs):
                raise RuntimeError(f"{name} ended where bare mj_step did not: other work was done")
    hands.close()
    bare = np.array(seconds[BARE])
    steps = EPISODE_STEPS * count
    return {
        name: Speed(float(np.median(steps / np.array(taken))), float(np.median(bare / taken)))
        for name, taken in seconds.items()
    }


def _record(hands: MujocoHands, actions: Obs) -> Episode:
    """Play an episode from a reset; return what bare mj_step needs to do the same."""
    hands.place(range(len(hands)), np.zeros(len(hands)))
    starts = [mujoco.MjData(hands.model) for _ in hands.data]
    for start, data in zip(starts, hands.data, strict=True):
        mujoco.mj_copyData(start, hands.model, data)
    targets = []
    for action in actions:
        targets.append(hands.command(task.target_from_action(action, hands.read())))
        hands.advance(CONTROL_PERIOD)
    return Episode(starts, np.array(targets), task.observation(hands.read()))


def _bare_seconds(model: mujoco.MjModel, episode: Episode) -> float:
    """Return how long bare mj_step takes for an episode, s; its starts are used up."""
    num_steps = physics_steps(CONTROL_PERIOD)
    begin = time.perf_counter()
    for targets in episode.targets:
        for data, target in zip(episode.starts, targets, strict=True):
            data.ctrl[:] = target
            mujoco.mj_step(model, data, num_steps)
    return time.perf_counter() - begin


def _player_of_many(env: gymnasium.vector.VectorEnv[Any, Any, Any]) -> Callable[[Obs], Obs]:
    def play(actions: Obs) -> Obs:
        env.reset()
        for action in actions:
            obs: Obs = env.step(action)[0]
        return obs

    return play


def _threads(number: int) -> str:
    if number == ALL_CORES:
        return "a thread for each core"
    return f"{number} thread{'s' if number > 1 else ''}"
