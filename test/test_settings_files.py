"""The settings files of Table 3: each can be run as it stands, and says what the table says."""

import functools
from pathlib import Path

import pytest

import smm_core.envs
import smm_ros.dclaw
from smm_core.environments import layout_of, make_env
from smm_core.learner import Learner
from smm_core.options import read_options, read_yaml
from smm_core.train import TrainConfig, with_env_defaults

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


def test_the_graph_learns_by_the_settings_that_explore_the_dclaw_fastest():
    in_process = read_yaml(FOLDER.parent / "train_dclaw.yaml")["learner"]
    graph = read_yaml(FOLDER.parent / "dclaw.yaml")["/**/trainer"]["ros__parameters"]["learner"]
    for group, settings in in_process.items():
        assert {name: graph[group][name] for name in settings} == settings
