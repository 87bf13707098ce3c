"""ROS parameter files: read strictly as nested settings by node, and written for one node each."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from smm_core.config import ConfigError
from smm_core.options import read_yaml

_EVERY_NODE = "/**"
_PARAMETERS = "ros__parameters"


class ParameterFileError(ValueError):
    """A parameter file can not be read or says something that no node would hear."""


def read_parameter_file(path: Path, nodes: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return the settings of each node as nested mappings.

    Sections are named ``/**/NODE``; what stands under ``/**`` is for every node. A dotted name
    is the same as nesting.

    Raises ParameterFileError naming the file and the section or setting that is wrong.
    """
    try:
        sections = read_yaml(path)
    except ConfigError as error:
        raise ParameterFileError(f"{error} (expected sections by node)") from error
    settings: dict[str, dict[str, Any]] = {node: {} for node in nodes}
    known = {_EVERY_NODE: list(settings)}
    known |= {f"{_EVERY_NODE}/{node}": [node] for node in settings}
    for section in sorted(sections, key=str):
        content = sections[section]
        if section not in known:
            raise ParameterFileError(
                f"{path} has the section {section!r}; {nearest(str(section), known)}"
            )
        if not isinstance(content, dict) or list(content) != [_PARAMETERS]:
            raise ParameterFileError(f"{path}: {section} must hold {_PARAMETERS} and nothing else")
        for node in known[section]:
            _merge(settings[node], content[_PARAMETERS] or {}, f"{path}: {section}")
    return settings


def write_parameter_file(path: Path, settings: Mapping[str, Any]) -> None:
    """Write nested settings as a parameter file for whichever node it is given to."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {_EVERY_NODE: {_PARAMETERS: dict(settings)}}
    path.write_text(yaml.safe_dump(content, sort_keys=False))


def get_setting(settings: Mapping[str, Any], name: str) -> Any:
    """Return the setting (or group) with a dotted name, or None where it is not given."""
    value: Any = settings
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def put_setting(settings: dict[str, Any], name: str, value: Any) -> None:
    """Set the setting (or group) with a dotted name."""
    *groups, leaf = name.split(".")
    for group in groups:
        settings = settings.setdefault(group, {})
    settings[leaf] = value


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a hint for a name that is not known: the nearest ones, or all of them."""
    names = list(known)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    if near:
        return "did you mean " + " or ".join(f"'{name}'" for name in near) + "?"
    return "known: " + ", ".join(names)


def _merge(settings: dict[str, Any], content: Any, where: str) -> None:
    if not isinstance(content, dict):
        raise ParameterFileError(f"{where} holds {content!r}, expected settings by name")
    for name, value in content.items():
        if isinstance(value, dict):
            group = get_setting(settings, str(name)) or {}
            _merge(group, value, f"{where}.{name}")
            value = group
        put_setting(settings, str(name), value)
