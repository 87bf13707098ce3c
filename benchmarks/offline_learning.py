"""Off-line learning on the D'Claw: what policies learnt from fixed data reach, against the data.

    python benchmarks/offline_learning.py runs/offline --bag runs/dclaw-20260101-120000/bag

The data are 20,000 steps of random actions, made here, and the bag of a training run, such as
`smm demo` leaves. A second call goes on with what is missing.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from experiment import Figures, interval, measure, side_by_side
from torch import Tensor

from smm_core.acting import ActingPolicy
from smm_core.config import from_mapping
from smm_core.environments import layout_of, make_env, make_envs
from smm_core.evaluation.evaluate import EvaluateConfig
from smm_core.evaluation.player import AVERAGE, LAST, RANDOM
from smm_core.evaluation.trained_runs import TrainedRuns, open_runs
from smm_core.history import HistoryConfig, PolicyHistory
from smm_core.networks import skill_onehot
from smm_core.offline.training import OffLineConfig, OffLineTraining
from smm_core.options import read_yaml
from smm_core.replay import Batch
from smm_core.rollout import Rollout
from smm_core.run_folder import RunFolder
from smm_core.transitions import Transition
from smm_ros.bag.offline.experience import Experience
from smm_ros.bag.transition_source import TransitionSource

CONFIG = Path(__file__).resolve().parent.parent / "config" / "train_dclaw.yaml"
ENV = "smm_ros/DClawExplore-v0"
RANDOM_DATA, BAG_DATA = "random actions", "training run"
STEPS, EPISODES = 20_000, 100
HORIZON, JUDGED, PLAYED = 150, 50, 20
"""Steps played for a return, those of them whose Q is compared with it, and episodes: what lies
beyond is worth 0.95^100 = 0.6 % of it at most."""


def main() -> None:
    """Learn and measure what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the run folders are, or will be")
    parser.add_argument("--bag", type=Path, required=True, help="bag of a training run")
    parser.add_argument("--data", nargs="*", default=[RANDOM_DATA, BAG_DATA])
    parser.add_argument("--conservative", type=float, nargs="*", default=[0.0, 1.0, 10.0])
    parser.add_argument("--actions", type=int, default=4, help="for the conservative term")
    parser.add_argument("--updates", type=int, default=10_000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2, help="trainings at a time")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    cells = [(options, d, w) for w in options.conservative for d in options.data]
    found = side_by_side(_cell, cells, options.jobs)
    _print_table({(data, weight): f for (_, data, weight), f in zip(cells, found, strict=True)})


def _cell(options: argparse.Namespace, data: str, weight: float) -> dict[str, Figures]:
    """Return the figures of each policy, and of Q, by name."""
    torch.set_num_threads(1)
    folder = options.folder / f"{data.replace(' ', '_')}-{weight:g}"
    file = folder / "figures.json"
    if not file.exists():
        if not folder.exists():
            _learn(options, data, weight, folder)
        _check_ended(folder)
        config = EvaluateConfig(episodes=EPISODES, figures=("marginal", "valve"))
        # Random actions are the same whatever was learnt.
        policies = (AVERAGE, LAST) if weight else (AVERAGE, LAST, RANDOM)
        figures = {policy: measure(folder, policy, config) for policy in policies}
        file.write_text(json.dumps({**figures, "q": _believed_and_earned(open_runs(folder))}))
    found: dict[str, Figures] = json.loads(file.read_text())
    return found


def _check_ended(folder: Path) -> None:
    """Raise ValueError where a training was cut off: its figures would be taken for the end's."""
    run = RunFolder(folder)
    reported = run.metrics()
    if not reported or reported[-1]["updates"] < run.settings()["updates"]:
        raise ValueError(f"{folder} was cut off; remove it to begin anew")


def _learn(options: argparse.Namespace, data: str, weight: float, folder: Path) -> None:
    learner = read_yaml(CONFIG)["learner"]
    learner["sac"] |= {"conservative": weight, "conservative_actions": options.actions}
    settings = {
        "env": ENV,
        "data": [data],
        "updates": options.updates,
        "runs": options.seeds,
        "learner": learner,
    }
    training = OffLineTraining(from_mapping(OffLineConfig, settings), folder)
    if data == RANDOM_DATA:
        training.fill(random_transitions(STEPS))
    else:
        training.fill(Experience(TransitionSource(options.bag), training.layout))
    training.run(lambda m: print(f"{folder.name}: {m['updates']} updates", flush=True))


def random_transitions(steps: int, seed: int = 100) -> Iterator[Transition]:
    """Yield steps of uniformly random actions in the simulated hand."""
    env = make_env(ENV)
    acting = ActingPolicy(layout_of(env, 1), (8,), PolicyHistory(HistoryConfig()), [seed])
    env.close()
    rollout = Rollout(make_envs(ENV, 1), acting, [seed])
    for _ in range(steps):
        yield rollout.step()
    rollout.close()


@torch.no_grad()
def _believed_and_earned(runs: TrainedRuns) -> Figures:
    """Return, by run, Q of the actions that the last policy takes and the returns they had.

    The return is what Q stands for: discounted rewards, by the density of the data, and the
    policy's entropy from the next step on.
    """
    believed, earned = zip(*(_play(runs, seed) for seed in range(PLAYED)), strict=True)
    last = RunFolder(runs.folder).metrics()[-1]
    return {
        "q_played": torch.stack(believed).mean(0).tolist(),
        "return": torch.stack(earned).mean(0).tolist(),
        "updates": [last["updates"]],
        **{n: last[n] for n in ("q_data", "q_policy", "angle_entropy_data")},
    }


def _play(runs: TrainedRuns, seed: int) -> tuple[Tensor, Tensor]:
    """Play one episode of every run on beyond its end; return mean Q and mean return, (R,)."""
    learner, sac = runs.learner, runs.learner.sac
    count, actions = len(learner.generators), learner.layout.action_size
    envs, draw = make_envs(runs.env_id, count), torch.Generator().manual_seed(seed)
    skill = torch.zeros(count, 1, dtype=torch.long)
    onehot = skill_onehot(skill, learner.layout)
    obs = torch.from_numpy(envs.reset(range(count), [1000 * seed + run for run in range(count)]))
    values, rewards, surprise = [], [], []
    for _ in range(HORIZON):
        inputs = torch.cat((obs.unsqueeze(1), onehot), -1)
        noise = torch.randn(count, 1, actions, generator=draw)
        action, log_prob = sac.actor.sample(inputs, noise)
        values.append(sac.critic(inputs, action).amin((1, 2)))
        surprise.append(-log_prob[:, 0])
        next_obs, reward, *_ = envs.step(action[:, 0].numpy())
        told = torch.from_numpy(reward).unsqueeze(1)
        reached = torch.from_numpy(np.array(next_obs))
        rewards.append(_paid(runs, obs.unsqueeze(1), action, reached.unsqueeze(1), told, skill))
        obs = reached
    envs.close()
    bonus, discount = sac.log_alpha.exp().squeeze(-1), sac.config.discount
    # G_t = r_t + discount (alpha H_{t+1} + G_{t+1})
    returns, behind = [torch.zeros(count)] * HORIZON, torch.zeros(count)
    for step in reversed(range(HORIZON)):
        returns[step] = rewards[step] + discount * behind
        behind = bonus * surprise[step] + returns[step]
    return torch.stack(values[:JUDGED]).mean(0), torch.stack(returns[:JUDGED]).mean(0)


def _paid(
    runs: TrainedRuns, obs: Tensor, action: Tensor, reached: Tensor, told: Tensor, skill: Tensor
) -> Tensor:
    """Return the reward of one step of every run, (R,) nats."""
    learner = runs.learner
    state = learner.space.select(reached)
    batch = Batch(obs, action, reached, told, skill, torch.zeros_like(told))
    terms = learner.objective.terms(
        batch,
        state,
        skill_onehot(skill, learner.layout),
        learner.target.log_prob(state, told),
        learner.generators,
    )
    return torch.stack(list(terms.values())).sum(0).squeeze(1)


def _print_table(found: dict[tuple[str, float], dict[str, Figures]]) -> None:
    print(f"\n{EPISODES} episodes of 50 steps of each seed; mean over seeds [95 % interval]")
    print(
        "\n| data | H of the data | conservative | updates | H, average | H, last |"
        " range, average, turns | Q of the data | Q of the policy | Q where it is played |"
        " return there |"
    )
    print("|" + "---|" * 11)
    for (data, weight), figures in found.items():
        q = figures["q"]
        columns = [
            data,
            f"{np.mean(q['angle_entropy_data']):.2f}",
            f"{weight:g}",
            f"{q['updates'][0]:.0f}",
            interval(figures[AVERAGE]["state_entropy"]),
            interval(figures[LAST]["state_entropy"]),
            interval(figures[AVERAGE]["valve_range"]),
            *(interval(q[name]) for name in ("q_data", "q_policy", "q_played", "return")),
        ]
        print("| " + " | ".join(columns) + " |")
    for figures in found.values():
        if RANDOM in figures:
            print(f"\nrandom actions: H {interval(figures[RANDOM]['state_entropy'])}")
            break


if __name__ == "__main__":
    main()
