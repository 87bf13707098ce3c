"""What each exploration method costs over plain SAC, beside Table 2 of the paper."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from smm_core.options import read_yaml
from smm_ros.bench.comparison import Aim, Comparison, Contestant, Line, Setting
from smm_ros.bench.player import Player, seconds
from smm_ros.dclaw import ENV_ID
from smm_ros.share import share_path

BASE = "SAC"
HISTOGRAM = {"density": {"model": "histogram"}}
VAE = {"density": {"model": "vae"}}
METHODS: dict[str, tuple[dict[str, Any], Aim | None, str]] = {
    BASE: ({"method": "sac"}, None, ""),
    "SMM, histogram": (HISTOGRAM, Aim(1.10, is_most=True), "1.44"),
    "SMM, VAE": (VAE, Aim(1.10, is_most=True), "1.44"),
    "SM4 of 4 skills, histogram": (
        {"num_skills": 4, **HISTOGRAM}, Aim(1.25, is_most=True), "1.44"
    ),
    "SM4 of 4 skills, VAE": ({"num_skills": 4, **VAE}, Aim(1.25, is_most=True), "1.44"),
    "pseudo-counts, VAE": ({"method": "pseudocount", **VAE}, Aim(1.89, is_most=True), "1.89"),
    "ICM": ({"method": "icm"}, Aim(1.27, is_most=True), "1.27"),
    "Count": ({"method": "count"}, None, "1.41"),
    "RND": ({"method": "rnd"}, None, ""),
}  # fmt: skip
"""Settings, aim, and the ratio that Table 2 reports, of whole epochs on Manipulation."""


@contextmanager
def _prepare(setting: Setting) -> Iterator[list[Contestant]]:
    shared = read_yaml(share_path("config", "train_dclaw.yaml"))["learner"]
    with ExitStack() as stack:
        contestants = []
        for name, (settings, aim, known) in METHODS.items():
            player = Player(ENV_ID, {**shared, **settings}, [0])
            stack.callback(player.close)
            player.warm_up()
            lines = (
                Line(name, "ms", BASE, "a step with the twin", aim, known),
                Line(name, "ms", BASE, "learning from a step", known=known),
            )
            contestants.append(Contestant(lines, partial(_turn, player, setting.pick(80, 25))))
        yield contestants


def _turn(player: Player, steps: int) -> Sequence[float]:
    """Return the milliseconds of a step in all, and those of them that learning takes."""
    learning = 0.0

    def work() -> None:
        nonlocal learning
        for _ in range(steps):
            transition = player.rollout.step()
            learning += seconds(partial(player.learner.observe, transition))
            learning += seconds(player.learn)

    whole = seconds(work)
    return [whole / steps * 1e3, learning / steps * 1e3]


COMPARISON = Comparison(
    "methods",
    "milliseconds per step of each exploration method over those of SAC, with the settings of "
    "config/train_dclaw.yaml (batch 128); elsewhere: Table 2 of the paper, simulator included",
    _prepare,
)
