"""Prediction-error bonuses: the policy is paid where a network still errs (ICM and RND).

Sources: Pathak et al., Curiosity-Driven Exploration by Self-Supervised Prediction (2017);
Burda et al., Exploration by Random Network Distillation (2018).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from smm_core.adam import Adam
from smm_core.config import Config, option
from smm_core.generators import Generators
from smm_core.mlp import MLP
from smm_core.objectives.objective import Bonus
from smm_core.replay import Batch
from smm_core.running_scale import RunningScale
from smm_core.state_space import StateSpace
from smm_core.transitions import Layout

CLIP = 5.0
"""Normalised inputs of RND are cut here (Burda et al.)."""


@dataclass(frozen=True)
class ICMConfig(Config):
    """Intrinsic Curiosity Module."""

    coefficient: float = option(1.0, "weight of the bonus", low=0.0)
    feature_size: int = option(300, "width of the embedding", low=1)
    hidden: tuple[int, ...] = option(
        (128,),
        "widths of the hidden layers of embedding and forward model; the authors' are 300 300, at"
        " three times the cost",
        low=1,
    )
    forward_weight: float = option(
        0.2,
        "share of the forward loss; the rest is the inverse loss's (Pathak et al.)",
        low=0.0,
        high=1.0,
    )
    learning_rate: float = option(1e-3, "Adam's step size", low=0.0)


@dataclass(frozen=True)
class RNDConfig(Config):
    """Random network distillation."""

    coefficient: float = option(1.0, "weight of the bonus", low=0.0)
    feature_size: int = option(64, "outputs of the random network", low=1)
    hidden: tuple[int, ...] = option((256,), "widths of the hidden layers of both", low=1)
    learning_rate: float = option(1e-4, "Adam's step size", low=0.0)


class ICM(Bonus):
    """Pays the error of a forward model in an embedding that actions can be read from.

    Embedding and models see the whole observation: what follows an action can not be told from a
    part of it.
    """

    def __init__(
        self,
        generators: Generators,
        layout: Layout,
        space: StateSpace,
        target_weight: float,
        config: ICMConfig,
    ) -> None:
        super().__init__(target_weight, config.coefficient)
        self.config = config
        features, actions = config.feature_size, layout.action_size
        self.embedding = MLP(generators, (layout.obs_size, *config.hidden, features))
        self.forward_model = MLP(generators, (features + actions, *config.hidden, features))
        self.inverse_model = MLP(generators, (2 * features, actions))
        self.optimizer = Adam(self.parameters(), config.learning_rate)
        self.optimizers = {"icm": self.optimizer}
        self._fitted: tuple[Batch, Tensor] | None = None

    @torch.no_grad()
    def fit(
        self, batch: Batch, state: Tensor, skill_onehot: Tensor, generators: Generators
    ) -> dict[str, Tensor]:
        """Take one gradient step of all three networks; return both mean squared errors, (R,)."""
        both = torch.cat((batch.obs, batch.next_obs), 1)
        embedded, embedding_gradients = self.embedding.passed(both)
        features, next_features = embedded.chunk(2, dim=1)
        seen = torch.cat((features, batch.action), -1)
        predicted, forward_gradients = self.forward_model.passed(seen, of_x=True)
        pair = torch.cat((features, next_features), -1)
        guessed, inverse_gradients = self.inverse_model.passed(pair, of_x=True)
        forward_error, inverse_error = predicted - next_features, guessed - batch.action
        # The gradients in closed form: of a mean square, two n-ths of what is squared.
        share = self.config.forward_weight
        of_predicted = forward_error * (2.0 * share / forward_error[0].numel())
        of_guessed = inverse_error * (2.0 * (1.0 - share) / inverse_error[0].numel())
        of_seen, *of_forward = forward_gradients(of_predicted)
        of_pair, *of_inverse = inverse_gradients(of_guessed)
        of_features, of_next = of_pair.chunk(2, dim=-1)
        of_features = of_features + of_seen[..., : features.shape[-1]]
        of_embedded = torch.cat((of_features, of_next - of_predicted), 1)
        self.optimizer.move((*embedding_gradients(of_embedded), *of_forward, *of_inverse))
        self._fitted = (batch, forward_error.norm(dim=-1))
        return {
            "forward_loss": forward_error.square().mean((1, 2)),
            "inverse_loss": inverse_error.square().mean((1, 2)),
        }

    def paid(self, batch: Batch, state: Tensor) -> Tensor:
        """Return the bonus of a batch, (R, B).

        The batch of the last `fit` is paid the error that it made before the step: what is a
        surprise is measured before it is learnt, and costs no second pass.
        """
        if self._fitted is not None and self._fitted[0] is batch:
            return self._fitted[1]
        return self.bonus(batch)

    @torch.no_grad()
    def bonus(self, batch: Batch) -> Tensor:
        """Return the Euclidean length of the forward model's error, (R, B)."""
        both = torch.cat((batch.obs, batch.next_obs), 1)
        features, next_features = self.embedding(both).chunk(2, dim=1)
        predicted = self.forward_model(torch.cat((features, batch.action), -1))
        return (predicted - next_features).norm(dim=-1)


class RND(Bonus):
    """Pays the error of a network that learns what a fixed random network says of a state.

    Both see the matched state s, as the counting methods do, normalised by the mean and deviation
    of all states observed; the error is divided by its own running deviation, so that the
    coefficient means the same in every task.
    """

    def __init__(
        self,
        generators: Generators,
        layout: Layout,
        space: StateSpace,
        target_weight: float,
        config: RNDConfig,
    ) -> None:
        super().__init__(target_weight, config.coefficient)
        self.config, self.space = config, space
        sizes = (space.feature_size, *config.hidden, config.feature_size)
        self.target_net = MLP(generators, sizes).requires_grad_(False)
        self.predictor = MLP(generators, sizes)
        self.inputs = RunningScale(len(generators), space.feature_size)
        self.errors = RunningScale(len(generators), 1)
        parameters = self.predictor.parameters()
        self.optimizer = Adam(parameters, config.learning_rate)
        self.optimizers = {"rnd": self.optimizer}
        self._fitted: tuple[Tensor, Tensor] | None = None

    def observe(self, state: Tensor, skill_onehot: Tensor) -> None:
        """Keep the moments of the states reached, (R, B, size), for normalised inputs."""
        self.inputs.observe(self.space.features(state))

    @torch.no_grad()
    def fit(
        self, batch: Batch, state: Tensor, skill_onehot: Tensor, generators: Generators
    ) -> dict[str, Tensor]:
        """Take one gradient step of the predictor; return its mean squared error before, (R,)."""
        inputs = self._inputs(state)
        predicted, gradients = self.predictor.passed(inputs)
        missed = predicted - self.target_net(inputs)
        self.optimizer.move(gradients(missed * (2.0 / missed[0].numel())))
        error = missed.square().mean(-1)
        self.errors.observe(error.unsqueeze(-1))
        self._fitted = (state, error)
        return {"predictor_loss": error.mean(-1)}

    def paid(self, batch: Batch, state: Tensor) -> Tensor:
        """Return the bonus of the states, (R, B); measured when ICM measures it."""
        if self._fitted is not None and self._fitted[0] is state:
            return self._in_deviations(self._fitted[1])
        return self.bonus(state)

    @torch.no_grad()
    def bonus(self, state: Tensor) -> Tensor:
        """Return the squared error in units of its running deviation, (R, B)."""
        inputs = self._inputs(state)
        missed = self.predictor(inputs) - self.target_net(inputs)
        return self._in_deviations(missed.square().mean(-1))

    def _in_deviations(self, error: Tensor) -> Tensor:
        return error / self.errors.deviation.squeeze(-1)

    def _inputs(self, state: Tensor) -> Tensor:
        return self.inputs.normalise(self.space.features(state)).clamp(-CLIP, CLIP)
