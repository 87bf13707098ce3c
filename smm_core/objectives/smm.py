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
        self._means: tuple[Tensor, ...] = ()
        self._fitted: tuple[Tensor, ...] | None = None
        self.density = make_density(generators, space, layout.skill_size, density)
        self.optimizers = dict(self.density.optimizers)
        self.discriminator: Discriminator | None = None
        if layout.num_skills > 1:
            self.discriminator = Discriminator(generators, space, layout.num_skills, discriminator)
            self.optimizers["discriminator"] = self.discriminator.optimizer

    def observe(self, state: Tensor, skill_onehot: Tensor) -> None:
        """Let the density count the states reached."""
        self.density.observe(state, skill_onehot)

    def fit(
        self, batch: Batch, state: Tensor, skill_onehot: Tensor, generators: Generators
    ) -> dict[str, Tensor]:
        """Raise the likelihood of states under q_z(s) and of skills under d(z|s)."""
        log_density = self.density.fit(state, skill_onehot, generators)
        log_posterior = torch.zeros_like(log_density)
        losses = {"density_loss": -log_density.mean(1)}
        if self.discriminator is not None:
            log_posterior = self.discriminator.fit(state, batch.skill)
            losses["discriminator_loss"] = -log_posterior.mean(1)
        self._fitted = (state, log_density, log_posterior)
        return losses

    def _log_posterior(self, state: Tensor, skill: Tensor) -> Tensor:
        """Return log d(z|s), (R, B): zero where there is one skill."""
        if self.discriminator is None:
            return torch.zeros(skill.shape, device=skill.device)
        return self.discriminator.log_prob(state, skill)

    @torch.no_grad()
    def terms(
        self,
        batch: Batch,
        state: Tensor,
        skill_onehot: Tensor,
        log_target: Tensor,
        generators: Generators,
    ) -> dict[str, Tensor]:
        """Return the four terms of equation 8, (R, B) nats each.

        The states of the last `fit` are paid by the models that it began with: one more pass of
        each, for the difference of one step in thousands, would cost half as much as the step.
        """
        if self._fitted is not None and self._fitted[0] is state:
            _, log_density, log_posterior = self._fitted
        else:
            log_density = self.density.log_prob(state, skill_onehot, generators)
            log_posterior = self._log_posterior(state, batch.skill)
        logs = (log_target, log_density, log_posterior, self.skill_prior.log_prob(batch.skill))
        self._means = tuple(log.mean(-1) for log in logs)
        return smm_reward(*logs, self.weights)

    def entropies(self) -> dict[str, Tensor]:
        """Return H[s|z], H[z|s] and KL(rho || p*), (R,) each, of the states last paid for.

        H[s|z] and H[z|s] are -E log q and -E log d, whatever the weights of the reward; the
        divergence, with H[s] = H[s|z] + H[z] - H[z|s], is up to the constant that an unnormalised
        p* leaves open.
        """
        if not self._means:
            return {}
        log_target, log_density, log_posterior, log_prior = self._means
        found = {"entropy_s_given_z": -log_density}
        if self.discriminator is not None:
            found["entropy_z_given_s"] = -log_posterior
        entropy_s = -log_density - log_prior + log_posterior
        return found | {"kl_to_target": -entropy_s - log_target}
