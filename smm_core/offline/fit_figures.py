"""How good a fit is, and how close the states are to a target."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from smm_core.densities.fitting import CHUNK, negative_log_likelihood
from smm_core.evaluation.marginals import Array, Bins, Marginal
from smm_core.generators import Generators
from smm_core.offline.fitted_models import FittedModels
from smm_core.offline.state_bins import features, log_target_of, make_bins
from smm_core.offline.state_samples import Part, StateSamples
from smm_core.targets.target import REWARD, SUGGESTED, Target

MEANINGS = {
    "train_states": "states to learn from",
    "held_out_states": "states held out",
    "train_nll": "-E log q(s), learnt states [nats]",
    "held_out_nll": "-E log q(s), states held out [nats]",
    "discriminator_cross_entropy": "-E log d(z|s), states held out [nats]",
    "discriminator_accuracy": "skill told from the state, states held out",
    "skill_entropy": "H[z], what -E log d(z|s) is without looking [nats]",
    "kl_to_target": "KL(rho || p*) as the models see it [nats]",
    "shaping": "E log p* shaping, all states kept [nats]",
    "state_entropy": "H[s] over bins [nats]",
    "max_entropy": "largest H[s] over these bins [nats]",
    "entropy_bias": "H[s] over bins is too low by about [nats]",
    "kl_rho_target": "KL(rho || p*) over bins [nats]",
    "kl_target_rho": "KL(p* || rho) over bins [nats]",
    "total_variation": "total variation of rho and p* over bins",
}
"""What each figure is; rho is what all states kept are distributed like."""


@dataclass(frozen=True)
class FitFigures:
    """Figures by the names of MEANINGS, and what is to be known about them."""

    values: dict[str, float]
    notes: list[str] = field(default_factory=list)
    bins: Bins | None = None
    """Over the features of s; None where there would be more of them than states."""
    log_target: Array | None = None
    """The target's log-probability of each bin, (bins,); None where it is not known."""


@torch.no_grad()
def measure(models: FittedModels, samples: StateSamples, generators: Generators) -> FitFigures:
    """Measure fitted models on the samples' own states; those held out may be none."""
    train, test = samples.part(samples.train), samples.part(samples.held_out)
    notes = _notes(models, samples)
    values: dict[str, float] = {
        "train_states": samples.train.seen,
        "held_out_states": samples.held_out.seen,
        "train_nll": _nll(models, train, generators),
    }
    if samples.held_out.seen:
        values |= _held_out_figures(models, samples.target, test, generators)
    values["shaping"] = float(torch.cat((train.shaping, test.shaping), 1).mean())
    states = torch.cat((train.state, test.state), 1)[0]
    bins = make_bins(samples.space, states, samples.config)
    if bins.size > len(states):
        notes.append(
            f"no figures over bins: {bins.size} bins for {len(states)} states; give fewer --bins, "
            "or match fewer coordinates"
        )
        return FitFigures(values, notes)
    log_target = None
    if models.config.target.name not in (SUGGESTED, REWARD):
        log_target = log_target_of(bins, samples.space, samples.target)
    marginal = Marginal.of(bins, features(samples.space, states))
    values |= _over_bins(marginal, log_target)
    return FitFigures(values, notes, bins, log_target)


def _notes(models: FittedModels, samples: StateSamples) -> list[str]:
    notes = []
    if not models.density.is_exact:
        notes.append("log q is a lower bound: the true -E log q(s) is at most what is given")
    if samples.refused:
        notes.append(f"{samples.refused} transitions left out: a number in them is not finite")
    if samples.beside:
        notes.append(
            f"{samples.beside} transitions left out: those next to them in a long episode are in "
            "the other part"
        )
    if models.config.target.name in (SUGGESTED, REWARD):
        notes.append("no target is named, so there are no divergences from one")
    elif not samples.target.is_normalised:
        notes.append(
            "p* is normalised over the bins, without what the shaping adds to it; KL as the "
            "models see it has the shaping and is off by a constant"
        )
    for part, name in ((samples.train, "learnt"), (samples.held_out, "held out")):
        if part.seen > part.capacity:
            notes.append(f"of {part.seen} states {name} an even sample of {part.capacity} is kept")
    return notes


def _nll(models: FittedModels, part: Part, generators: Generators) -> float:
    found = negative_log_likelihood(models.density, part.state, part.onehot, generators)
    return float(found)


def _held_out_figures(
    models: FittedModels, target: Target, test: Part, generators: Generators
) -> dict[str, float]:
    """Return the figures of the states held out, with KL as `StateMarginalMatching` has it."""
    values = {"held_out_nll": _nll(models, test, generators)}
    log_prior = float(models.skill_shares.log()[test.skill].mean())
    log_posterior = 0.0
    if models.discriminator is not None:
        parts = [models.discriminator.log_posterior(s) for s in test.state.split(CHUNK, 1)]
        logs = torch.cat(parts, 1)
        log_posterior = float(logs.gather(-1, test.skill.unsqueeze(-1)).mean())
        values["discriminator_cross_entropy"] = -log_posterior
        values["discriminator_accuracy"] = float((logs.argmax(-1) == test.skill).float().mean())
        values["skill_entropy"] = -log_prior
    if models.config.target.name not in (SUGGESTED, REWARD):
        log_target = float(target.log_prob(test.state, test.shaping).mean())
        log_state = -values["held_out_nll"] + log_prior - log_posterior
        values["kl_to_target"] = log_state - log_target
    return values


def _over_bins(marginal: Marginal, log_target: Array | None) -> dict[str, float]:
    values = {
        "state_entropy": marginal.entropy,
        "max_entropy": marginal.bins.max_entropy,
        "entropy_bias": marginal.bias,
    }
    if log_target is not None:
        found = marginal.divergences(log_target)
        values["kl_rho_target"] = found["kl_policy_target"]
        values["kl_target_rho"] = found["kl_target_policy"]
        values["total_variation"] = found["total_variation"]
    return values
