"""SMM, SM4 and SAC of this project against Stable-Baselines3's SAC, environment and all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import gymnasium

from smm_ros.bench.comparison import (
    Aim,
    Comparison,
    Contestant,
    Line,
    Setting,
    optional_module,
)
from smm_ros.bench.player import RANDOM_STEPS, WARM_UP, Player, seconds
from smm_ros.dclaw import ENV_ID

BASE = "Stable-Baselines3 SAC"
OURS: dict[str, dict[str, Any]] = {
    "SAC": {"method": "sac"},
    "SMM, histogram": {"density": {"model": "histogram"}},
    "SMM, VAE": {},
    "SM4 of 4 skills, histogram": {"num_skills": 4, "density": {"model": "histogram"}},
    "SM4 of 4 skills, VAE": {"num_skills": 4},
}
AIMS = {"SMM, histogram": Aim(2.0), "SMM, VAE": Aim(2.0)}
BATCH, HIDDEN = 256, (256, 256)


@contextmanager
def _prepare(setting: Setting) -> Iterator[list[Contestant]]:
    steps = setting.pick(150, 50)
    with ExitStack() as stack:
        contestants = [_contestant(BASE, _theirs(stack), steps)]
        for name, settings in OURS.items():
            given = {"batch_size": BATCH, "sac": {"hidden": HIDDEN}, **settings}
            player = Player(ENV_ID, given, [0])
            stack.callback(player.close)
            player.warm_up()
            contestants.append(_contestant(name, player.play, steps))
        yield contestants


def _contestant(name: str, play: Callable[[int], Any], steps: int) -> Contestant:
    line = Line(name, "steps/s", BASE, aim=AIMS.get(name))
    return Contestant((line,), lambda: [steps / seconds(lambda: play(steps))])


def _theirs(stack: ExitStack) -> Callable[[int], Any]:
    """Return what plays and learns so many steps with Stable-Baselines3's SAC, warm."""
    package = optional_module("stable_baselines3", "stable-baselines3 is not installed")
    env = gymnasium.make(ENV_ID)
    stack.callback(env.close)
    model = package.SAC(
        "MlpPolicy",
        env,
        batch_size=BATCH,
        learning_starts=RANDOM_STEPS,
        buffer_size=100_000,
        policy_kwargs={"net_arch": list(HIDDEN)},
        seed=0,
        device="cpu",
    )

    def play(steps: int) -> None:
        model.learn(steps, reset_num_timesteps=False, log_interval=None)

    play(RANDOM_STEPS + WARM_UP)
    return play


COMPARISON = Comparison(
    "sac",
    "environment steps learnt per second: this project against Stable-Baselines3's SAC, D'Claw, "
    "networks 256-256, batch 256, one update a step",
    _prepare,
)
