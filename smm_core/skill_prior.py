"""The distribution p(z) over the skills of a mixture."""

from __future__ import annotations

import torch
from torch import Tensor


class SkillPrior:
    """p(z): uniform while a mixture is trained, re-estimated from successes at test time.

    p(z) is proportional to (successes + 1) / (rollouts + `pseudo_rollouts`) of the skill. The
    pseudo-success keeps every skill possible; the pseudo-rollouts, "SMM Latent Prior Coeff" in
    the paper's table 3, say how slowly a skill loses its share by failing: by k failures it
    falls to pseudo_rollouts / (pseudo_rollouts + k) of that of a skill not tried yet. The paper
    names the coefficient and the adaptation but gives no formula.
    """

    def __init__(self, num_skills: int, pseudo_rollouts: float = 1.0) -> None:
        if pseudo_rollouts <= 0:
            raise ValueError(f"pseudo_rollouts is {pseudo_rollouts}, expected a positive number")
        self.pseudo_rollouts = pseudo_rollouts
        self.successes = torch.zeros(num_skills)
        """(num_skills,)"""
        self.rollouts = torch.zeros(num_skills)
        """(num_skills,)"""
        self.probabilities = torch.full((num_skills,), 1.0 / num_skills)
        """p(z), (num_skills,)"""

    def log_prob(self, skill: Tensor) -> Tensor:
        """Return log p(z) in nats, of the shape of `skill` (int64)."""
        return self.probabilities.log()[skill]

    def draw(self, unit: float) -> int:
        """Return the skill that a number uniform on [0, 1) stands for."""
        above = torch.searchsorted(self.probabilities.cumsum(0), unit, right=True)
        return min(int(above), len(self.probabilities) - 1)

    def record(self, skill: int, success: bool) -> None:
        """Take in how an episode of a skill ended; p(z) is that of the next episode."""
        self.rollouts[skill] += 1
        self.successes[skill] += float(success)
        estimate = (self.successes + 1.0) / (self.rollouts + self.pseudo_rollouts)
        # In place: whoever acts by this p(z) holds the same tensor.
        self.probabilities.copy_(estimate / estimate.sum())
