"""A picture of a fit: the marginal of the states, of the density and of the target."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from smm_core.evaluation.marginals import Array
from smm_core.generators import Generators
from smm_core.offline.fit_figures import FitFigures
from smm_core.offline.fitted_models import FittedModels
from smm_core.offline.state_bins import make_bins
from smm_core.offline.state_samples import StateSamples

MOST_SKILLS = 8
"""Skills that have a line of their own, the first ones."""

_POINTS = 400
_DRAWS = 50_000
_BOUNDS = 50
_DPI = 130
_TICKS = {-np.pi: "-π", -np.pi / 2: "-π/2", 0.0: "0", np.pi / 2: "π/2", np.pi: "π"}


def draw_marginals(
    path: Path,
    models: FittedModels,
    samples: StateSamples,
    figures: FitFigures,
    names: Sequence[str],
) -> None:
    """Write a PNG with a panel for each coordinate of s, by name; raises OSError.

    The density's line is evaluated where s is one coordinate, else it is of states drawn from it,
    as the target's is of the bins.
    """
    painter = _Painter(models, samples, figures)
    count = models.space.size
    columns = min(4, count)
    rows = -(-count // columns)
    width, height = (7.2, 4.2) if count == 1 else (3.6 * columns, 2.8 * rows + 0.6)
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)  # no window, and nothing that other pictures share
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for place, axes in enumerate(panels[:count]):
        painter.paint(axes, place)
        is_angle = place >= models.space.num_linear
        axes.set_xlabel(names[place] + (" [rad]" if is_angle else ""))
    for empty in panels[count:]:
        empty.remove()
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2 + columns, frameon=False)
    figure.suptitle(_title(models, figures), fontsize=10)
    figure.savefig(path, dpi=_DPI)


def _title(models: FittedModels, figures: FitFigures) -> str:
    values, is_at_most = figures.values, "" if models.density.is_exact else "at most "
    parts = [f"{int(values['train_states'] + values['held_out_states'])} states"]
    if "held_out_nll" in values:
        parts.append(f"-E log q of those held out {is_at_most}{values['held_out_nll']:.3f} nats")
    if "kl_rho_target" in values:
        parts.append(f"KL(ρ || p*) {values['kl_rho_target']:.3f} nats")
    return ", ".join(parts)


class _Painter:
    """Paints the marginals of one fit, coordinate by coordinate."""

    def __init__(self, models: FittedModels, samples: StateSamples, figures: FitFigures) -> None:
        parts = samples.part(samples.train), samples.part(samples.held_out)
        states = torch.cat([part.state for part in parts], 1)[0]
        self.models, self.states = models, states.double().numpy()
        self.bins = make_bins(models.space, states, models.config)
        self.log_target = figures.log_target
        self.line = f"fitted q(s), {models.config.density.model}"
        if not models.density.is_exact:
            self.line += ", lower bound" if models.space.size == 1 else ""
        self.shares = models.skill_shares.tolist()
        self.draws: list[Array] = []
        if models.space.size > 1:
            generators = Generators([models.config.seed])
            self.draws = [
                models.sample(_DRAWS, skill, generators).double().numpy()
                for skill in range(models.num_skills)
            ]

    def paint(self, axes: Axes, place: int) -> None:
        edges = self.bins.edges[place]
        width = edges[1] - edges[0]
        counts = np.histogram(self.states[:, place], edges)[0]
        height = counts / len(self.states) / width
        axes.stairs(height, edges, fill=True, color="0.82", label="recorded states")
        self._paint_density(axes, place, edges)
        if self.log_target is not None:
            others = tuple(i for i in range(len(self.bins.shape)) if i != place)
            share = np.exp(self.log_target).reshape(self.bins.shape).sum(others)
            axes.stairs(
                share / width,
                edges,
                baseline=None,
                color="k",
                linestyle="--",
                label="target p*(s)",
            )
        axes.set(xlim=(edges[0], edges[-1]), ylim=(0, None))
        axes.grid(alpha=0.25)
        axes.set_ylabel("density" + (" [1/rad]" if place >= self.models.space.num_linear else ""))
        if place >= self.models.space.num_linear:
            axes.set_xticks(list(_TICKS), list(_TICKS.values()))

    def _paint_density(self, axes: Axes, place: int, edges: Array) -> None:
        curves = [self._curve(skill, place, edges) for skill in range(self.models.num_skills)]
        x = curves[0][0]
        whole = sum(s * y for s, (_, y) in zip(self.shares, curves, strict=True))
        axes.plot(x, whole, color="C0", linewidth=2, label=self.line)
        for skill, (_, y) in enumerate(curves[:MOST_SKILLS] if len(curves) > 1 else []):
            label = f"p(z) q(s|z), z = {skill}"
            axes.plot(x, self.shares[skill] * y, f"C{skill + 1}", linewidth=1.1, label=label)

    def _curve(self, skill: int, place: int, edges: Array) -> tuple[Array, Array]:
        """Return where a skill's marginal density is known, and its values there."""
        if self.draws:
            counts = np.histogram(self.draws[skill][:, place], edges)[0]
            width = edges[1] - edges[0]
            return (edges[:-1] + edges[1:]) / 2, counts / _DRAWS / width
        x = torch.linspace(float(edges[0]), float(edges[-1]), _POINTS)
        state, onehot = x.view(1, -1, 1), self.models.onehot(skill, _POINTS)
        generators = Generators([self.models.config.seed])
        repeats = 1 if self.models.density.is_exact else _BOUNDS
        logs = [self._log_prob(state, onehot, generators) for _ in range(repeats)]
        # The mean of q's estimates, which is the bound with so many times more codes.
        log_mean = torch.stack(logs).logsumexp(0) - math.log(repeats)
        return x.double().numpy(), log_mean.exp().double().numpy()

    def _log_prob(self, state: Tensor, onehot: Tensor, generators: Generators) -> Tensor:
        with torch.no_grad():
            return self.models.density.log_prob(state, onehot, generators)[0]
