"""Who may import whom, read from the syntax trees: nothing is imported to check it."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# A file of smm_core imports only files of a lower level. A new file is added here by hand: its
# place is a decision.
CORE_LEVELS = {
    "adam": 0,
    "config": 0,
    "generators": 0,
    "update_graph": 0,
    "counter_generators": 1,
    "device": 1,
    "transitions": 0,
    "tabular": 0,
    "targets.grid": 0,
    "envs.fetch": 0,
    "envs.halls": 0,
    "evaluation.intervals": 0,
    "densities.von_mises": 1,
    "mlp": 1,
    "options": 1,
    "replay": 1,
    "objectives.reward": 1,
    "state_space": 1,
    "running_scale": 1,
    "envs.halls_view": 1,
    "envs.manipulation": 1,
    "evaluation.episode": 1,
    "evaluation.marginals": 1,
    "densities.vae_likelihood": 2,
    "objectives.discriminator": 2,
    "history": 2,
    "networks": 2,
    "skill_prior": 2,
    "symmetry": 2,
    "targets.state_file": 2,
    "targets.box": 2,
    "envs.navigation": 2,
    "densities.vae": 3,
    "densities.flow": 3,
    "densities.histogram": 3,
    "densities.gaussian_mixture": 3,
    "targets.mixture": 3,
    "acting": 3,
    "sac": 3,
    "evaluation.goals": 3,
    "evaluation.run_result": 4,
    "densities.density": 4,
    "targets.goal": 4,
    "densities.fitting": 5,
    "targets.demonstrations": 6,
    "targets.target": 7,
    "objectives.objective": 8,
    "objectives.smm": 9,
    "objectives.count": 9,
    "objectives.pseudocount": 9,
    "objectives.prediction_error": 9,
    "learner": 10,
    "checkpoint": 11,
    "evaluation.metrics": 11,
    "environments": 11,
    "run_folder": 11,
    "rollout": 12,
    "train": 13,
    "progress_bar": 0,
    "offline.training": 14,
    "offline.reservoir": 1,
    "offline.fit_config": 8,
    "offline.state_samples": 9,
    "offline.fitted_models": 9,
    "offline.state_bins": 9,
    "offline.fit_figures": 10,
    "offline.model_fit": 11,
    "offline.fit_picture": 11,
    "evaluation.trained_runs": 12,
    "evaluation.groups": 13,
    "evaluation.player": 13,
    "evaluation.evaluate": 14,
    "evaluation.comparison": 15,
    "evaluation.plots": 16,
    "cli": 17,
    "evaluation.cli": 17,
}

ROS = {
    "action_msgs",
    "ament_index_python",
    "builtin_interfaces",
    "diagnostic_msgs",
    "launch",
    "launch_ros",
    "lifecycle_msgs",
    "rcl_interfaces",
    "rclpy",
    "rosgraph_msgs",
    "sensor_msgs",
    "std_msgs",
    "std_srvs",
    "trajectory_msgs",
    "unique_identifier_msgs",
}

# The libraries that read and write bags are known by these files alone.
BAG_LIBRARIES = {"mcap", "rosbags"}
BAG_FOLDER = ROOT / "smm_ros" / "bag"
# And by that which measures ours against them.
BAG_BENCHMARK = ROOT / "smm_ros" / "bench" / "bags.py"


def python_files(folder: str) -> list[Path]:
    """Return the Python files below a folder of the repository."""
    return sorted(ROOT.joinpath(folder).rglob("*.py"))


def imports(path: Path) -> set[str]:
    """Return the dotted names a file imports, wherever in the file it does.

    ``from a.b import c`` gives ``a.b`` and ``a.b.c``, since ``c`` may be a module. Relative
    imports are made absolute.
    """
    names = set()
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = absolute(path, node)
            names.add(module)
            names.update(f"{module}.{alias.name}" for alias in node.names)
    return names


def absolute(path: Path, node: ast.ImportFrom) -> str:
    """Return the module that an import statement in a file names, made absolute."""
    if not node.level:
        return node.module or ""
    folder = path.relative_to(ROOT).parts[: -node.level]
    return ".".join([*folder, node.module] if node.module else folder)


def packages(path: Path) -> set[str]:
    """Return the top-level packages a file imports."""
    return {name.partition(".")[0] for name in imports(path)}


def messages_made(source: str) -> set[str]:
    """Return the message types that a file makes instances of; to name one is not to make one."""
    tree = ast.parse(source)
    # Those of rcl_interfaces are how rclpy declares parameters, not what the graph says, and
    # rclpy.action holds no messages.
    message_module = re.compile(r"(?!rcl_interfaces|rclpy)\w+\.(msg|srv|action)")
    types = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and message_module.fullmatch(node.module or "")
        for alias in node.names
    }
    called = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    # ResetHand.Goal() is made of ResetHand.
    owners = [func.value if isinstance(func, ast.Attribute) else func for func in called]
    return {owner.id for owner in owners if isinstance(owner, ast.Name)} & types


def described(path: Path) -> str:
    """Name a test case after the file it looks at."""
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", python_files("smm_core"), ids=described)
def test_smm_core_never_imports_ros_physics_or_a_motor_sdk(path):
    forbidden = ROS | {"dynamixel_sdk", "mujoco", "smm_ros"}
    assert not packages(path) & forbidden


def core_name(path: Path) -> str:
    """Return what a file of smm_core is called in CORE_LEVELS."""
    return ".".join(path.relative_to(ROOT / "smm_core").with_suffix("").parts)


CORE_FILES = [p for p in python_files("smm_core") if p.name != "__init__.py"]


@pytest.mark.parametrize("path", CORE_FILES, ids=described)
def test_smm_core_imports_point_down(path):
    name = core_name(path)
    assert name in CORE_LEVELS, f"give {name} a level in CORE_LEVELS"
    used = {n.removeprefix("smm_core.") for n in imports(path)} & CORE_LEVELS.keys()
    upward = {other for other in used if CORE_LEVELS[other] >= CORE_LEVELS[name]}
    assert not upward, f"{name} is on level {CORE_LEVELS[name]} and may import only lower ones"


def test_every_level_belongs_to_a_file():
    assert set(CORE_LEVELS) == {core_name(path) for path in CORE_FILES}


@pytest.mark.parametrize("path", python_files("smm_ros/dclaw"), ids=described)
def test_the_hand_is_free_of_ros_and_of_torch(path):
    assert not packages(path) & (ROS | {"smm_core", "torch"})
    ours = {name for name in imports(path) if name.startswith("smm_ros.")}
    allowed = ("smm_ros.dclaw", "smm_ros.share", "smm_ros.periods")
    assert all(name.startswith(allowed) for name in ours), ours


@pytest.mark.parametrize("path", python_files("smm_ros"), ids=described)
def test_only_the_bag_files_know_the_bag_libraries(path):
    knows = path.is_relative_to(BAG_FOLDER) or path == BAG_BENCHMARK
    assert knows or not packages(path) & BAG_LIBRARIES


@pytest.mark.parametrize(
    "path", [p for p in python_files("smm_ros") if p.stem != "conversions"], ids=described
)
def test_messages_are_made_in_conversions_only(path):
    assert not messages_made(path.read_text())


@pytest.mark.parametrize("path", python_files("smm_ros"), ids=described)
def test_a_node_is_imported_by_nothing(path):
    assert not [name for name in imports(path) if re.fullmatch(r"smm_ros\.\w+_node", name)]


def test_a_made_message_is_noticed():
    source = """
from std_msgs.msg import Header as Head
from smm_ros.action import ResetHand
def open(node): node.create_publisher(Head, "header", 1)
def make(): return Head(frame_id="x"), ResetHand.Result()
"""
    assert messages_made(source) == {"Head", "ResetHand"}


def test_a_relative_import_is_understood(tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    path = tmp_path / "smm_ros" / "dclaw" / "env.py"
    path.parent.mkdir(parents=True)
    path.write_text("from . import spec\nfrom ..bag import read\nimport torch.nn as nn\n")
    found = imports(path)
    assert {"smm_ros.dclaw.spec", "smm_ros.bag.read", "torch.nn"} <= found
    assert packages(path) == {"smm_ros", "torch"}
