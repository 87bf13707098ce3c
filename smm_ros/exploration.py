"""How much of the valve's angle a policy explores: figures, and a picture of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # a picture is written, no window is opened
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.projections.polar import PolarAxes
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from smm_core.evaluation.metrics import ANGLE_BINS, angle_entropy, angle_histogram

MAX_ENTROPY = float(np.log(ANGLE_BINS))
LEARNT_COLOR, RANDOM_COLOR = "#1f6fb4", "#d9822b"


@dataclass(frozen=True)
class Exploration:
    """The valve's angle in episodes of one policy."""

    name: str
    color: str
    angles: NDArray[np.floating]
    """(episodes, steps) rad, wrapped"""

    @property
    def entropy(self) -> float:
        """Entropy of the angle over 36 bins, nats; at most log 36."""
        return angle_entropy(self.angles)

    @property
    def turns(self) -> NDArray[np.floating]:
        """How far the valve was turned to and fro in each episode: its range in turns."""
        unwrapped = np.unwrap(self.angles, axis=1)
        ranges: NDArray[np.floating] = np.ptp(unwrapped, axis=1) / (2 * np.pi)
        return ranges

    def figures(self) -> dict[str, float]:
        """Return the figures by name; nats and turns."""
        return {
            "entropy": self.entropy,
            "share_of_maximum": self.entropy / MAX_ENTROPY,
            "kl_to_uniform": MAX_ENTROPY - self.entropy,
            "mean_range_in_turns": float(self.turns.mean()),
            "episodes_of_half_a_turn": float((self.turns >= 0.5).mean()),
        }


def draw(
    explorations: list[Exploration],
    training: tuple[NDArray[np.integer], NDArray[np.floating]],
    path: Path,
) -> None:
    """Write a PNG: where the valve was, how that grew in training, how far episodes turn it.

    `training` is (environment steps, entropy of all angles up to there in nats).
    """
    figure = plt.figure(figsize=(15, 5.2), layout="constrained")
    figure.suptitle("Exploring the D'Claw's valve by State Marginal Matching", fontsize=15)
    polar = figure.add_subplot(1, 3, 1, projection="polar")
    assert isinstance(polar, PolarAxes)
    _draw_angles(polar, explorations)
    _draw_training(figure.add_subplot(1, 3, 2), explorations, training)
    _draw_turns(figure.add_subplot(1, 3, 3), explorations)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _draw_angles(axes: PolarAxes, explorations: list[Exploration]) -> None:
    edges = np.linspace(-np.pi, np.pi, ANGLE_BINS + 1)
    for exploration in explorations:
        share = angle_histogram(exploration.angles) / exploration.angles.size * 100
        label = f"{exploration.name}: {exploration.entropy / MAX_ENTROPY:.0%} of log 36"
        axes.stairs(share, edges, fill=True, alpha=0.35, color=exploration.color)
        axes.stairs(share, edges, color=exploration.color, linewidth=1.6, label=label)
    circle = np.linspace(0, 2 * np.pi, 200)
    axes.plot(circle, np.full(200, 100 / ANGLE_BINS), "k--", linewidth=1, label="uniform target")
    axes.set_theta_zero_location("N")
    axes.set_rlabel_position(202.5)  # between two angle labels, where little time is spent
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_formatter(PercentFormatter(decimals=0))
    axes.set_rlim(0, None)
    axes.set_title("share of time at each valve angle")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, -0.4), frameon=False)


def _draw_training(
    axes: plt.Axes,
    explorations: list[Exploration],
    training: tuple[NDArray[np.integer], NDArray[np.floating]],
) -> None:
    steps, entropy = training
    axes.plot(steps, entropy, color=LEARNT_COLOR, linewidth=2, label="all states up to here")
    axes.axhline(MAX_ENTROPY, color="k", linestyle="--", linewidth=1, label="uniform: log 36")
    for exploration in explorations:
        label = f"{exploration.name}, played after training"
        axes.axhline(exploration.entropy, color=exploration.color, linestyle=":", label=label)
    axes.set_xlabel("environment steps of training")
    axes.set_ylabel("entropy of the valve angle, nats (36 bins)")
    axes.set_title("coverage during training")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")


def _draw_turns(axes: plt.Axes, explorations: list[Exploration]) -> None:
    longest = max(float(e.turns.max()) for e in explorations)
    bins = np.linspace(0, max(longest, 0.5), 26).tolist()
    for exploration in explorations:
        weights = np.full(len(exploration.turns), 100 / len(exploration.turns))
        label = f"{exploration.name}: mean {exploration.turns.mean():.2f}"
        axes.hist(
            exploration.turns,
            bins,
            weights=weights,
            alpha=0.55,
            color=exploration.color,
            label=label,
        )
    axes.set_xlabel("range of the valve in one episode, turns")
    axes.set_ylabel("episodes, %")
    axes.set_title("how far an episode of 5 s turns the valve")
    axes.grid(alpha=0.3)
    axes.legend()
