"""State Marginal Matching and its mixture SM4 as an objective: equation 8 with learnt models."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from smm_core.densities.density import DensityConfig, make_density
from smm_core.generators import Generators
from smm_core.objectives.discriminator import Discriminator, DiscriminatorConfig
from smm_core.objectives.reward import RewardConfig, smm_reward
from smm_core.replay import Batch
from smm_core.skill_prior import SkillPrior
from smm_core.state_space import StateSpace
from smm_core.transitions import Layout


class StateMarginalMatching(nn.Module):
    """Fits q_z(s) and d(z|s) and pays by them (Algorithm 2); one skill is Algorithm 1."""

    def __init__(
        self,
        generators: Generators,
        layout: Layout,
        space: StateSpace,
        skill_prior: SkillPrior,
        weights: RewardConfig,
        density: DensityConfig,
        discriminator: DiscriminatorConfig,
    ) -> None:
        super().__init__()
        self.weights, self.skill_prior = weights, skill_prior
        self.density = make_density(generators, space, layout.skill_size, density)
        self.optimizers = dict(self.density.optimizers)
        self.discriminator: Discriminator | None = None
        if layout.num_skills > 1:
            self.discriminator = Discriminator(
                generators, space, layout.num_skills, discriminator
            )
            self.optimizers["discriminator"] = self.discriminator.optimizer

    def observe(self, state: Tensor, skill_onehot: Tensor) -> None:
        """Let the density count the states reached."""
        self.density.observe(state, skill_onehot)

    def fit(
        self, batch: Batch, state: Tensor, skill_onehot: Tensor, generators: Generators
    ) -> dict[str, Tensor]:
        """Raise the likelihood of states under q_z(s) and of skills under d(z|s)."""
        losses = {"density_loss": self.density.fit(state, skill_onehot, generators)}
        if self.discriminator is not None:
            losses["discriminator_loss"] = self.discriminator.fit(state, batch.skill)
        return losses

    @torch.no_grad()
    def terms(
        self,
        batch: Batch,
        state: Tensor,
        skill_onehot: Tensor,
        log_target: Tensor,
        generators: Generators,
    ) -> dict[str, Tensor]:
        """Return the four terms of equation 8, (R, B) nats each."""
        log_density = self.density.log_prob(state, skill_onehot, generators)
        if self.discriminator is not None:
            log_posterior = self.discriminator.log_prob(state, batch.skill)
        else:
            log_posterior = torch.zeros_like(log_density)
        log_prior = self.skill_prior.log_prob(batch.skill)
        return smm_reward(log_target, log_density, log_posterior, log_prior, self.weights)

    def entropies(self, terms: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return H[s|z], H[z|s] and KL(rho || p*), (R,) each.

        The entropies are bounds from above, -E log q and -E log d; the divergence, with them
        H[s] = H[s|z] + H[z] - H[z|s], is up to the constant that an unnormalised p* leaves open.
        """
        weights = self.weights
        found: dict[str, Tensor] = {}
        means = {name: term.mean(-1) for name, term in terms.items()}
        if not weights.state_entropy:
            return found
        found["entropy_s_given_z"] = means["density"] / weights.state_entropy
        entropy_s = found["entropy_s_given_z"]
        if weights.skill_entropy and self.discriminator is not None:
            found["entropy_z_given_s"] = -means["posterior"] / weights.skill_entropy
            entropy_s = entropy_s + means["prior"] - found["entropy_z_given_s"]
        if weights.target:
            found["kl_to_target"] = -entropy_s - means["target"] / weights.target
        return found
