"""What the files that describe the package have to agree on, and the limits on size."""

import ast
import importlib.util
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from packaging.requirements import Requirement

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
INTERFACES = sorted(
    path for kind in ("msg", "srv", "action") for path in ROOT.glob(f"{kind}/*.{kind}")
)
SOURCES = sorted(
    path
    for folder in ("smm_core", "smm_ros", "launch", "urdf", "test")
    for path in ROOT.joinpath(folder).rglob("*.py")
)
PINNED = sorted(
    path.name for kind in ("requirements", "constraints") for path in ROOT.glob(f"{kind}*.txt")
)
PYTHONS = ("3.10", "3.11")  # one on each side of the only border that a marker draws

LONGEST_FILE = 350
LONGEST_FUNCTION = 60

# Where the name to install by is not the name to import by.
INSTALLED_AS = {
    "dynamixel_sdk": "dynamixel-sdk",
    "gymnasium_robotics": "gymnasium-robotics",
    "yaml": "PyYAML",
}

# Not imported by name: torch writes its event files through it.
IMPORTED_BY_OTHERS = {"tensorboard"}


def described(path: Path) -> str:
    """Name a test case after the file it looks at."""
    return str(path.relative_to(ROOT))


def imported(*folders: str) -> set[str]:
    """Return the top-level packages that the files below these folders import."""
    names = set()
    for path in SOURCES:
        if path.relative_to(ROOT).parts[0] not in folders:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names.update(alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names.add((node.module or "").partition(".")[0])
    return names


def requirements(name: str, python: str = "3.11") -> list[Requirement]:
    """Return what a requirements or constraints file holds for a version of Python."""
    lines = ROOT.joinpath(name).read_text().splitlines()
    found = [Requirement(line) for line in lines if line and not line.startswith("#")]
    here = {"python_version": python}
    return [one for one in found if one.marker is None or one.marker.evaluate(here)]


def names(file: str, python: str = "3.11") -> set[str]:
    """Return the packages that a requirements or constraints file names."""
    return {one.name for one in requirements(file, python)}


def ros_packages() -> set[str]:
    """Return the packages of ROS that smm_ros imports."""
    pattern = re.compile(r"\w+_(msgs|srvs|interfaces)|rclpy|ament_index_python")
    return {name for name in imported("smm_ros") if pattern.fullmatch(name)}


def manifest() -> ElementTree.Element:
    """Return the root of package.xml."""
    return ElementTree.parse(ROOT / "package.xml").getroot()


def test_versions_agree():
    project = tomllib.loads(ROOT.joinpath("pyproject.toml").read_text())["project"]
    assert manifest().findtext("version") == project["version"]


def test_every_interface_is_built():
    listed = re.findall(r'"((?:msg|srv|action)/\w+\.\w+)"', (ROOT / "CMakeLists.txt").read_text())
    assert sorted(listed) == [described(path) for path in INTERFACES]


@pytest.mark.parametrize("path", INTERFACES, ids=described)
def test_every_field_of_an_interface_has_a_comment(path):
    lines = path.read_text().splitlines()
    for above, line in zip(["", *lines], lines, strict=False):
        if line and not line.startswith("#") and line != "---":
            assert above.startswith("#"), f"{line!r} needs its unit, shape and meaning above it"


@pytest.mark.parametrize("path", INTERFACES, ids=described)
def test_the_installed_interface_is_that_of_the_checkout(path):
    installed = Path(sys.prefix, "share", "smm_ros", described(path))
    if not installed.is_file():
        pytest.skip("the messages come from a ROS workspace, not from this environment")
    assert installed.read_text() == path.read_text(), "build the messages again: make setup"


@pytest.mark.parametrize(
    "name", ["hand", "policy_server", "trainer", "recorder", "density_fitter"]
)
def test_an_executable_starts_the_node_of_its_name(name):
    script = ROOT / "scripts" / name
    assert script.stat().st_mode & 0o111
    assert f"from smm_ros.{name}_node import main" in script.read_text()
    assert f"scripts/{name}\n" in (ROOT / "CMakeLists.txt").read_text()
    assert importlib.util.find_spec(f"smm_ros.{name}_node")


@pytest.mark.parametrize("version", PYTHONS)
def test_third_party_imports_are_required_and_requirements_are_imported(version):
    ours = {"smm_core", "smm_ros"}
    others = imported("smm_core", "smm_ros") - set(sys.stdlib_module_names) - ours
    python = {INSTALLED_AS.get(name, name) for name in others - ros_packages()}
    required = names("requirements.txt", version)
    assert python == required - IMPORTED_BY_OTHERS
    project = tomllib.loads(ROOT.joinpath("pyproject.toml").read_text())["project"]
    ranges = {re.match(r"[\w-]+", line).group() for line in project["dependencies"]}
    assert ranges == required


def test_imported_ros_packages_are_required_by_apt_and_by_pip():
    named = {node.text for node in manifest() if node.tag.endswith("depend")}
    launched = imported("launch") - set(sys.stdlib_module_names) - {"smm_core", "smm_ros"}
    assert ros_packages() | launched <= named
    wheels = {f"ros-kilted-{name.replace('_', '-')}" for name in ros_packages()}
    assert wheels <= names("requirements-ros.txt")


@pytest.mark.parametrize("version", PYTHONS)
@pytest.mark.parametrize("file", PINNED)
def test_a_python_gets_exactly_one_version_of_a_package(file, version):
    pins = requirements(file, version)
    assert all(re.fullmatch(r"==[\d.]+", str(pin.specifier)) for pin in pins)
    assert len(pins) == len(names(file, version))


def test_what_one_file_pins_no_other_pins():
    pinned = [name for file in PINNED for name in names(file)]
    assert len(pinned) == len(set(pinned))


def test_constraints_keep_ros_wheels_apart_from_what_they_leave_in_the_list():
    # The wheels also leave entries such as `rclpy==9.1.2` in pip's list, which on the index are
    # other people's packages.
    wheels = names("constraints-ros.txt")
    assert all(name.startswith("ros-") for name in wheels)
    left = {name.removeprefix("ros-").replace("-", "_") for name in wheels}
    assert not left & {name.replace("-", "_") for name in names("constraints.txt")}


@pytest.mark.parametrize("path", SOURCES, ids=described)
def test_files_and_functions_are_short(path):
    text = path.read_text()
    assert text.count("\n") <= LONGEST_FILE
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            lines = node.end_lineno - node.lineno + 1
            assert lines <= LONGEST_FUNCTION, f"{node.name} has {lines} lines"


def test_folders_of_tests_are_no_packages():
    # As packages, test/smm_core and test/smm_ros would take the names of the real ones.
    assert not list(ROOT.joinpath("test").rglob("__init__.py"))


def test_a_second_set_up_has_nothing_to_do():
    stamp = ROOT / ".venv" / ".built"
    if not stamp.is_file():
        pytest.skip("this environment was not set up by make")
    done = subprocess.run(["make", "--question", "setup"], cwd=ROOT)
    assert done.returncode == 0, "something the set-up depends on is newer: make setup"
