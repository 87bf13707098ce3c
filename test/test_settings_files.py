"""The settings files of Table 3: each can be run as it stands, and says what the table says."""

import functools
import math
from pathlib import Path

import numpy as np
import pytest
import torch

import smm_core.envs
import smm_ros.dclaw
from smm_core.config import from_mapping
from smm_core.environments import layout_of, make_env
from smm_core.generators import Generators
from smm_core.learner import Learner, LearnerConfig
from smm_core.options import read_options, read_yaml
from smm_core.replay import Batch
from smm_core.symmetry import Symmetry
from smm_core.train import TrainConfig, with_env_defaults
from smm_core.transitions import Layout

REGISTERED = (smm_core.envs, smm_ros.dclaw)
FOLDER = Path(__file__).resolve().parent.parent / "config" / "table3"
ROWS = {
    "manipulation_uniform": {"sm4", "sac", "count", "pseudocount", "icm"},
    "manipulation_half": {"sm4", "sac", "count", "icm"},
    "navigation": {"smm", "sac"},
    "dclaw": {"smm", "sac"},
}
FILES = [f"{env}_{method}" for env, methods in ROWS.items() for method in sorted(methods)]
SHARED = {f"{env}.yaml" for env in ROWS} | {"paper_sac.yaml"}


@functools.cache
def environment(env_id):
    env = make_env(env_id)
    found = layout_of(env, 1), env.unwrapped.metadata
    env.close()
    return found


def config_of(name):
    return read_options(TrainConfig, FOLDER / f"{name}.yaml", {})


def test_every_row_has_a_file_and_every_file_is_a_row():
    assert {path.name for path in FOLDER.iterdir()} == SHARED | {f"{n}.yaml" for n in FILES}


@pytest.mark.parametrize("name", FILES)
def test_a_row_makes_a_learner_for_its_environment(name):
    config = config_of(name)
    layout, metadata = environment(config.env)
    wanted = with_env_defaults(config.learner, metadata)
    with_skills = type(layout)(layout.obs_size, layout.action_size, wanted.num_skills)
    learner = Learner(with_skills, wanted, [0])
    assert learner.config.method == {"sm4": "smm"}.get(name.split("_")[-1], name.split("_")[-1])
    assert learner.space.size < layout.obs_size or "navigation" in name


@pytest.mark.parametrize("name", FILES)
def test_a_row_has_the_networks_and_steps_of_the_paper(name):
    config = config_of(name)
    learner, sac = config.learner, config.learner.sac
    assert (learner.batch_size, sac.discount, sac.learning_rate) == (128, 0.99, 3e-4)
    assert (sac.hidden, sac.policy_activation, sac.variant) == ((300, 300), "tanh", "q_and_v")
    assert config.steps == (100_000 if "navigation" in name else 1_000_000)
    scale = {"manipulation": 0.1, "navigation": 25.0, "dclaw": 5.0}[name.split("_")[0]]
    assert sac.reward_scale == scale


def test_what_makes_a_row_is_in_its_file():
    assert config_of("dclaw_smm").learner.reward.state_entropy == 250.0
    assert config_of("manipulation_half_sm4").learner.num_skills == 4
    assert config_of("manipulation_uniform_count").learner.count.coefficient == 10.0
    icm = read_yaml(FOLDER / "manipulation_uniform_icm.yaml")["learner"]["icm"]
    assert icm == {"learning_rate": 1e-3, "hidden": [300, 300]}


@pytest.mark.parametrize("variant", ["", "_high_ratio"])
def test_the_graph_learns_the_dclaw_as_smm_train_does(variant):
    in_process = read_options(TrainConfig, FOLDER.parent / f"train_dclaw{variant}.yaml", {})
    metadata = environment(in_process.env)[1]
    nodes = read_yaml(FOLDER.parent / f"dclaw{variant}.yaml")
    graph = nodes["/**/trainer"]["ros__parameters"]["learner"]
    expected = with_env_defaults(in_process.learner, metadata)
    assert from_mapping(LearnerConfig, graph) == expected


def test_the_twin_moves_by_the_symmetry_in_its_settings():
    """For some steps: places of the fingers are rounded, and contacts let that grow."""
    config = read_options(TrainConfig, FOLDER.parent / "train_dclaw_high_ratio.yaml", {})
    env, layout = make_env(config.env), Layout(obs_size=12, action_size=9)
    symmetry = Symmetry(config.learner.symmetry, layout)
    actions = np.random.default_rng(1).uniform(-1, 1, (5, 9)).astype(np.float32)
    seen = played(env, 0.0, actions)
    assert abs(seen[-1, 11]) > 0.1  # the valve is touched
    rows = 100
    blank = torch.zeros(1, rows)
    turned = symmetry.turned(
        Batch(
            obs=seen[0].expand(1, rows, -1),
            action=torch.tensor(actions[0]).expand(1, rows, -1),
            next_obs=seen[-1].expand(1, rows, -1),
            reward=blank,
            skill=blank.long(),
            terminated=blank,
        ),
        Generators((0,)),
    )
    tried = set()
    for obs, action, reached in zip(
        turned.obs[0], turned.action[0].numpy(), turned.next_obs[0], strict=True
    ):
        turn = round(math.atan2(obs[10], obs[9]) / (2 * math.pi / 3))
        by_finger = actions.reshape(-1, 3, 3)
        moved = [np.roll(by_finger, parts, 1).reshape(-1, 9) for parts in range(3)]
        (parts,) = [k for k in range(3) if np.array_equal(moved[k][0], action)]
        if (turn, parts) not in tried:
            tried.add((turn, parts))
            found = played(env, turn * 2 * math.pi / 3, moved[parts])[-1]
            torch.testing.assert_close(found[:11], reached[:11], rtol=0, atol=0.1)
    assert len(tried) == 9
    env.close()


def played(env, start, actions):
    """Return the observations that actions lead to from an angle of the valve, rad."""
    found = [env.reset(seed=0, options={"valve_angle": start})[0]]
    return torch.tensor(np.array(found + [env.step(action)[0] for action in actions]))
