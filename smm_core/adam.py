"""Adam, with no more done for a step than the step."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.optim.adam import adam


class Adam(torch.optim.Adam):
    """Torch's fused Adam, whose `descend` takes the gradient too.

    What torch's own `step` does besides, hooks, groups and checks of each parameter, takes longer
    on a small network than the arithmetic, and `backward` goes the way over `grad`. The state is
    torch's, so that either can go on with what the other has begun.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], learning_rate: float) -> None:
        super().__init__(parameters, lr=learning_rate, fused=True)

    def descend(self, losses: Tensor) -> Tensor:
        """Take one step down the losses (R,), each run's own; return them, detached."""
        self.move(torch.autograd.grad(losses.sum(), self._learnt))
        return losses.detach()

    def climb(self, log_prob: Tensor) -> Tensor:
        """Take one step up the likelihood, from log-probabilities (R, B); return them detached."""
        self.descend(-log_prob.mean(1))
        return log_prob.detach()

    @torch.no_grad()
    def move(self, grads: Sequence[Tensor]) -> None:
        """Take one step against the gradients of the parameters learnt, in their order."""
        (group,), learnt = self.param_groups, self._learnt
        adam(
            learnt,
            list(grads),
            self._kept("exp_avg", learnt),
            self._kept("exp_avg_sq", learnt),
            [],
            self._kept("step", learnt),
            fused=True,
            amsgrad=False,
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            lr=group["lr"],
            weight_decay=0.0,
            eps=group["eps"],
            maximize=False,
        )

    @property
    def _learnt(self) -> list[Tensor]:
        return [p for p in self.param_groups[0]["params"] if p.requires_grad]

    def _kept(self, name: str, parameters: list[Tensor]) -> list[Tensor]:
        """Return a part of the state of each parameter, zeros where nothing is known yet."""
        found = []
        for parameter in parameters:
            state = self.state[parameter]
            if name not in state:
                like = parameter.new_zeros(()) if name == "step" else torch.zeros_like(parameter)
                state[name] = like.detach()
            found.append(state[name])
        return found
