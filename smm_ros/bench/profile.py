"""Where the milliseconds of one learnt step go, looked at from outside."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import mujoco

from smm_core.options import read_yaml
from smm_ros.bench.comparison import Comparison, Contestant, Line, Setting
from smm_ros.bench.player import Player, seconds
from smm_ros.bench.stopwatch import Stopwatch
from smm_ros.dclaw import ENV_ID
from smm_ros.share import share_path

WHOLE, REST = "whole step", "the rest"
PHYSICS, ENVIRONMENT, ACTING = "physics: mj_step", "environment beside it", "acting"
OBSERVE, SAMPLE, FIT, REWARD = "observe", "sample", "fit of the density", "reward"
TARGET, CRITIC, ACTOR, ADAM = "target of the critics", "critics", "actor", "Adam"
MOVING = "moving the target critics"
PARTS = (
    PHYSICS, ENVIRONMENT, ACTING, OBSERVE, SAMPLE, FIT, REWARD, TARGET, CRITIC, ACTOR, ADAM,
    MOVING, REST,
)  # fmt: skip


@contextmanager
def _prepare(setting: Setting) -> Iterator[list[Contestant]]:
    shared = read_yaml(share_path("config", "train_dclaw.yaml"))["learner"]
    steps = setting.pick(150, 40)
    with ExitStack() as stack:
        contestants = []
        for density in ("histogram", "vae"):
            player = Player(ENV_ID, {**shared, "density": {"model": density}}, [0])
            stack.callback(player.close)
            player.warm_up()
            names = (WHOLE, *PARTS)
            lines = tuple(Line(name, "ms", WHOLE, f"SMM, {density}") for name in names)
            contestants.append(Contestant(lines, partial(_turn, player, steps)))
        yield contestants


def _turn(player: Player, steps: int) -> Sequence[float]:
    watch = Stopwatch()
    try:
        _watch(watch, player)
        whole = seconds(lambda: player.play(steps))
    finally:
        watch.close()
    found = [watch.seconds[part] for part in PARTS[:-1]]
    return [x / steps * 1e3 for x in (whole, *found, whole - sum(found))]


def _watch(watch: Stopwatch, player: Player) -> None:
    learner, sac = player.learner, player.learner.sac
    functions: list[tuple[Any, str, str]] = [
        (mujoco, "mj_step", PHYSICS),
        (player.envs, "step", ENVIRONMENT),
        (player.envs, "reset", ENVIRONMENT),
        (player.acting, "act", ACTING),
        (learner, "observe", OBSERVE),
        (learner.replay, "sample", SAMPLE),
        (learner.objective, "fit", FIT),
        (learner.objective, "terms", REWARD),
        (learner.target, "log_prob", REWARD),
        (sac, "critic_target", TARGET),
        (sac, "_update_critic", CRITIC),
        (sac, "_update_actor", ACTOR),
        (sac, "_move_targets", MOVING),
        *((optimizer, "move", ADAM) for optimizer in sac.optimizers.values()),
    ]
    for owner, name, part in functions:
        watch.watch(owner, name, part)


COMPARISON = Comparison(
    "profile",
    "where the milliseconds of one learnt step of SMM go, D'Claw, config/train_dclaw.yaml; "
    "ratio: share of the whole",
    _prepare,
    turns=7,
)
