"""The State Marginal Matching reward: equation 8 of the paper, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from smm_core.config import Config, option


@dataclass(frozen=True)
class RewardConfig(Config):
    """Weights of the terms; all ones is equation 8 itself."""

    target: float = option(1.0, "weight of log p*(s)", low=0.0)
    state_entropy: float = option(1.0, "weight of -log q_z(s), whose mean is H[s|z]", low=0.0)
    skill_entropy: float = option(1.0, "weight of log d(z|s), whose mean is -H[z|s]", low=0.0)


def smm_reward(
    log_p_target: Tensor,
    log_density: Tensor,
    log_skill_posterior: Tensor,
    log_skill_prior: Tensor,
    weights: RewardConfig,
) -> dict[str, Tensor]:
    """Return the four terms of r_z(s) = log p*(s) - log q_z(s) + log d(z|s) - log p(z).

    Equation 8: the reward is their sum. All inputs are log-probabilities in nats of one
    broadcastable shape; the terms come with sign and weight. A state is paid for being wanted, for
    being rare under its own skill, and for telling its skill apart.
    """
    return {
        "target": weights.target * log_p_target,
        "density": -weights.state_entropy * log_density,
        "posterior": weights.skill_entropy * log_skill_posterior,
        "prior": -log_skill_prior,
    }
