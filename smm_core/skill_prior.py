"""The distribution p(z) over the skills of a mixture."""

from __future__ import annotations

import torch
from torch import Tensor


class SkillPrior:
    """p(z), uniform while a mixture is trained."""

    def __init__(self, num_skills: int) -> None:
        self.probabilities = torch.full((num_skills,), 1.0 / num_skills)
        """p(z), (num_skills,)"""

    def log_prob(self, skill: Tensor) -> Tensor:
        """Return log p(z) in nats, of the shape of `skill` (int64)."""
        return self.probabilities.log()[skill]
