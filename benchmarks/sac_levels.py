"""Plain SAC through `Training`: does it reach the published level at a stated number of steps?

Returns are of episodes played with the policy's mean action after the last step; the runs are
seeds learnt at once. Published levels, both with networks of 256x256:

- Pendulum-v1: -157 +- 89 over 750 episodes of one agent trained for 20,000 steps
  (RL Baselines3 Zoo, benchmark.md).
- HalfCheetah at 100,000 steps: 5,794 +- 435 over 10 seeds on v2 (ikostrikov/jaxrl, commit 7745b27,
  learning_curves/logs: learning rate 3e-4, learnt temperature, batch 256, 10,000 random steps).
  With learning rate 1e-3 and a fixed temperature of 0.2: 6,515 +- 514 over 10 seeds on v3, its
  10,000 random steps not counted (Tianshou, examples/mujoco/benchmark/HalfCheetah-v3/sac).

    .venv/bin/python benchmarks/sac_levels.py Pendulum-v1 HalfCheetah-v5 --runs 3
"""

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from smm_core.environments import make_envs
from smm_core.history import HistoryConfig
from smm_core.learner import LearnerConfig
from smm_core.networks import Actor
from smm_core.sac import VARIANTS, SACConfig
from smm_core.train import TrainConfig, Training

EVALUATION_SEED = 10_000


@dataclass(frozen=True)
class Level:
    """What was published, and how long is learnt to be compared with it."""

    steps: int
    random_steps: int
    published: str


LEVELS = {
    "Pendulum-v1": Level(10_000, 1_000, "-157 +- 89 (episodes) at 20,000"),
    "HalfCheetah-v5": Level(100_000, 10_000, "5,794 +- 435 (seeds) at 100,000"),
}


def train(env_id: str, level: Level, options: argparse.Namespace) -> Actor:
    """Return the policies of all runs after the last step."""
    config = TrainConfig(
        env=env_id,
        steps=options.steps or level.steps,
        seed=options.seed,
        runs=options.runs,
        threads=options.threads,
        report_period=1_000,
        checkpoint_period=10**9,
        learner=LearnerConfig(
            method="sac",
            batch_size=256,
            random_steps=level.random_steps,
            sac=SACConfig(
                variant=options.variant,
                learning_rate=options.learning_rate,
                temperature_learning_rate=options.learning_rate,
                initial_temperature=1.0,
                entropy_per_action=-1.0,
            ),
            # An episode plays one snapshot: a fresh one, as SAC plays its present policy.
            history=HistoryConfig(period=50, capacity=2),
        ),
    )
    with tempfile.TemporaryDirectory() as folder:
        training = Training(config, Path(folder) / "run")
        training.run(lambda metrics: progress(env_id, metrics))
    return training.learner.sac.actor


def progress(env_id: str, metrics: dict[str, object]) -> None:
    """Tell on the error stream how far the training is."""
    shown = {
        name: metrics[name]
        for name in ("steps", "steps_per_second", "policy_entropy", "temperature")
        if name in metrics
    }
    print(env_id, shown, file=sys.stderr, flush=True)


@torch.no_grad()
def mean_action_returns(actor: Actor, env_id: str, runs: int, episodes: int) -> np.ndarray:
    """Return the sums of reward of each run's first `episodes` episodes, (R, episodes)."""
    envs = make_envs(env_id, runs)
    obs = envs.reset(range(runs), [EVALUATION_SEED + run for run in range(runs)])
    returns: list[list[float]] = [[] for _ in range(runs)]
    sums = np.zeros(runs)
    while min(map(len, returns)) < episodes:
        mean, _ = actor(torch.from_numpy(obs).unsqueeze(1))
        obs, reward, terminated, truncated = envs.step(torch.tanh(mean).squeeze(1).numpy())
        sums += reward
        ended = np.flatnonzero(terminated | truncated).tolist()
        for run in ended:
            returns[run].append(float(sums[run]))
            sums[run] = 0.0
        if ended:
            obs[ended] = envs.reset(ended, [None] * len(ended))
    envs.close()
    return np.array([run[:episodes] for run in returns])


def main() -> None:
    """Train in each environment named and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("env", nargs="+", choices=list(LEVELS))
    parser.add_argument("--steps", type=int, help="environment steps instead of the level's")
    parser.add_argument("--runs", type=int, default=3, help="seeds learnt at once")
    parser.add_argument("--seed", type=int, default=0, help="first seed")
    parser.add_argument("--episodes", type=int, default=10, help="evaluation episodes a seed")
    parser.add_argument("--learning-rate", type=float, default=3e-4)
    parser.add_argument("--variant", choices=VARIANTS, default=VARIANTS[0])
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    print("| environment | steps | seeds | return of each seed | mean +- sd | published |")
    print("|---|--:|--:|---|--:|---|", flush=True)
    for env_id in options.env:
        level = LEVELS[env_id]
        actor = train(env_id, level, options)
        by_seed = mean_action_returns(actor, env_id, options.runs, options.episodes).mean(1)
        print(
            f"| {env_id} | {options.steps or level.steps:,} | {options.runs}"
            f" | {', '.join(f'{value:,.0f}' for value in by_seed)}"
            f" | {by_seed.mean():,.0f} +- {by_seed.std():,.0f} | {level.published} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
