"""What a fit leaves behind: models, figures and a picture, in a new folder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from smm_core.config import to_mapping
from smm_core.offline.fit_figures import MEANINGS
from smm_core.offline.fit_picture import draw_marginals
from smm_core.offline.fitted_models import FILE
from smm_core.offline.model_fit import Fit
from smm_core.offline.state_samples import StateSamples
from smm_ros.bag.offline.fit_stream import FitStream, coordinate_names

JSON, PICTURE = "fit.json", "marginals.png"


def write_fit(
    folder: Path,
    fit: Fit,
    samples: StateSamples,
    stream: FitStream,
    origin: Mapping[str, Any],
    notes: Sequence[str],
) -> None:
    """Make the folder with the models (safetensors), fit.json and marginals.png; raises OSError.

    `origin` is any JSON data about where the transitions came from, `notes` what is to be known.
    """
    folder.mkdir()
    fit.models.save(folder / FILE)
    names = coordinate_names(samples.space, samples.obs_size)
    draw_marginals(folder / PICTURE, fit.models, samples, fit.figures, names)
    told = {
        "origin": dict(origin),
        "hands": {hand: vars(counts) for hand, counts in stream.hands.items()},
        "coordinates": names,
        "num_skills": samples.num_skills,
        "density_is_exact": fit.models.density.is_exact,
        "figures": fit.figures.values,
        "notes": list(notes),
        "settings": to_mapping(samples.config),
    }
    (folder / JSON).write_text(json.dumps(told, indent=2) + "\n")


def lines_of(fit: Fit) -> list[tuple[str, str]]:
    """Return the figures for a person: what each is, and its value."""
    return [
        (MEANINGS[name], f"{value:.4g}" if isinstance(value, float) else str(value))
        for name, value in fit.figures.values.items()
    ]


def summary(fit: Fit) -> str:
    """Return the most important figures in one line."""
    at_most = "" if fit.models.density.is_exact else "at most "
    values = fit.figures.values
    parts = [f"{fit.models.config.density.model} of {values['train_states']} states"]
    if "held_out_nll" in values:
        parts.append(f"-E log q of those held out {at_most}{values['held_out_nll']:.4f} nats")
    if "kl_rho_target" in values:
        parts.append(f"KL(rho || p*) {values['kl_rho_target']:.4f} nats")
    return ", ".join(parts)


def losses(stream: FitStream) -> list[str]:
    """Return a sentence for each hand of which transitions are missing, or came again."""
    told = []
    for hand, counts in stream.hands.items():
        if counts.gaps:
            told.append(f"{counts.gaps} transitions of {hand} are missing between those that came")
        if counts.doubles:
            told.append(
                f"{counts.doubles} transitions of {hand} came more than once, or late, and were "
                "passed over"
            )
    return told
