"""Playing a learnt policy, or none, to see which states it visits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from smm_core.acting import ActingPolicy
from smm_core.environments import make_envs
from smm_core.history import PolicyHistory, Snapshot
from smm_core.learner import Learner
from smm_core.rollout import Rollout


def visit(
    learner: Learner, env_id: str, history: PolicyHistory, seeds: Sequence[int], steps: int
) -> NDArray[np.float32]:
    """Play `steps` steps in one environment for each seed; return the states s, (R, steps, size).

    Each episode draws its policy from `history`; an empty one plays uniformly random actions.
    A learner of several runs is represented by its first.
    """
    hidden, played = learner.config.sac.hidden, _repeated(history, len(seeds))
    acting = ActingPolicy(learner.layout, hidden, played, seeds)
    rollout = Rollout(make_envs(env_id, len(seeds)), acting, seeds)
    next_obs = np.stack([rollout.step().next_obs for _ in range(steps)], axis=1)
    rollout.close()
    states: NDArray[np.float32] = learner.space.select(torch.from_numpy(next_obs)).numpy()
    return states


def _repeated(history: PolicyHistory, runs: int) -> PolicyHistory:
    """Return the history's first run repeated over as many runs as are played side by side."""
    played = PolicyHistory(history.config)
    played.weights = dict(history.weights)
    played.snapshots = {
        version: Snapshot(
            version,
            snapshot.layout,
            {name: t[:1].expand(runs, *t.shape[1:]) for name, t in snapshot.weights.items()},
        )
        for version, snapshot in history.snapshots.items()
    }
    return played
