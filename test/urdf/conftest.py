import importlib
import importlib.util
import shutil
from pathlib import Path
from types import ModuleType

import mujoco
import pytest

FOLDER = Path(__file__).resolve().parents[2] / "urdf"


@pytest.fixture
def generate(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The generator of the two descriptions, a script beside its modules."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("generate")


@pytest.fixture(scope="session")
def twin() -> mujoco.MjModel:
    """The project's own model."""
    return mujoco.MjModel.from_xml_path(str(FOLDER / "dclaw.xml"))


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> mujoco.MjModel:
    """ROBEL's own model of the D'Claw with its valve."""
    found = importlib.util.find_spec("robel")
    if found is None or not found.submodule_search_locations:
        pytest.skip("needs the reference model: pip install --no-deps robel==0.1.2")
    copy = tmp_path_factory.mktemp("reference") / "robel"
    shutil.copytree(found.submodule_search_locations[0], copy)
    for path in copy.rglob("*.xml"):
        # The declaration comes after a comment there, which is no well-formed XML.
        path.write_text(path.read_text().replace('<?xml version="1.0"?>', ""))
    return mujoco.MjModel.from_xml_path(str(copy / "dclaw/assets/dclaw3xh_valve3_v0.xml"))
