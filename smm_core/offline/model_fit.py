"""Fits a density, and with several skills a discriminator, to collected states."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from smm_core.densities.fitting import batches
from smm_core.generators import Generators
from smm_core.objectives.discriminator import Discriminator
from smm_core.offline.fit_figures import FitFigures, measure
from smm_core.offline.fitted_models import FittedModels
from smm_core.offline.state_samples import FitError, Part, StateSamples

OnStep = Callable[[int, int], None]
"""Called now and then with the gradient steps done and those to be done."""

_PERIOD = 50


@dataclass(frozen=True)
class Fit:
    """What was learnt, and how good it is."""

    models: FittedModels
    figures: FitFigures


def fit_models(samples: StateSamples, on_step: OnStep = lambda done, steps: None) -> Fit:
    """Fit the models that the settings name, and measure them on the states held out.

    `samples` are used up: give a copy of those that more is to be added to. The same samples
    give the same parameters, bit for bit on the same machine.

    Raises FitError where either part has no states.
    """
    torch.set_num_threads(samples.config.threads)
    _check(samples)
    density, train = samples.density(), samples.part(samples.train)
    skills = samples.num_skills
    generators = Generators([samples.config.seed])
    discriminator = None
    if skills > 1:
        discriminator = Discriminator(
            generators, samples.space, skills, samples.config.discriminator
        )
    # One pseudo-state each: a skill that was not seen stays possible.
    shares = torch.bincount(train.skill[0], minlength=skills) + 1.0
    models = FittedModels(
        samples.config, samples.obs_size, skills, density, discriminator, shares / shares.sum()
    )
    _learn(models, train, generators, on_step)
    return Fit(models, measure(models, samples, generators))


def _learn(models: FittedModels, train: Part, generators: Generators, on_step: OnStep) -> None:
    config, density, discriminator = models.config, models.density, models.discriminator
    steps = config.steps if density.optimizers or discriminator is not None else 0
    drawn = batches(train.state, train.onehot, generators, steps, config.batch_size)
    for step, (state, onehot) in enumerate(drawn):
        if step % _PERIOD == 0:
            on_step(step, steps)
        if density.optimizers:
            density.fit(state, onehot, generators)
        if discriminator is not None:
            discriminator.fit(state, onehot.argmax(-1))
    on_step(steps, steps)


def _check(samples: StateSamples) -> None:
    seen, kept = samples.train.seen, samples.held_out.seen
    if not seen + kept:
        raise FitError("there are no transitions to fit to")
    if not seen or (samples.config.held_out and not kept):
        raise FitError(
            f"{kept} of {seen + kept} states would be held out, expected some on either side: "
            "whole episodes are; give more of them, another --held_out or another --seed"
        )
