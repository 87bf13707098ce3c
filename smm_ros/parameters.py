"""A configuration dataclass's fields as declared ROS parameters, and back."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.node import Node
from rclpy.parameter import Parameter

from smm_core.config import Config, ConfigError, by_path

C = TypeVar("C", bound=Config)

_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1
_SCALARS = {
    bool: Parameter.Type.BOOL,
    int: Parameter.Type.INTEGER,
    float: Parameter.Type.DOUBLE,
    str: Parameter.Type.STRING,
}
_ARRAYS = {
    bool: Parameter.Type.BOOL_ARRAY,
    int: Parameter.Type.INTEGER_ARRAY,
    float: Parameter.Type.DOUBLE_ARRAY,
    str: Parameter.Type.STRING_ARRAY,
}


def declare(
    node: Node,
    default: C,
    on_change: Mapping[str, Callable[[Any], None]] | None = None,
) -> C:
    """Declare every field of `default` as a parameter of the node and return the values in force.

    A nested configuration's fields get dotted names. A parameter is read-only unless `on_change`
    has its dotted name; that function is then called with each new value.

    Raises ConfigError naming the parameter for an unknown name, a wrong type or a bad value.
    """
    setters = dict(on_change or {})
    config = _overridden(default, _overrides(node))
    for name, value, field, annotation in _leaves(config):
        descriptor = _descriptor(field, annotation, read_only=name not in setters)
        if isinstance(value, tuple) and not value:
            # An empty list has no element to tell its type by: declared, but left unset.
            declared: Any = _parameter_type(annotation)
        else:
            declared = list(value) if isinstance(value, tuple) else value
        node.declare_parameter(name, declared, descriptor, ignore_override=True)
    if setters:
        _follow_changes(node, config, setters)
    return config


def flatten(config: Config) -> dict[str, Any]:
    """Return the configuration as dotted parameter names and plain values; tuples become lists."""
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value, _, _ in _leaves(config)
    }


def _overrides(node: Node) -> dict[str, Any]:
    # rclpy has no public way to list what the command line and the parameter files gave; without
    # the list a misspelt name would be ignored in silence.
    given = node._parameter_overrides
    return {
        # An empty list in a parameter file arrives as "not set".
        name: [] if parameter.value is None else parameter.value
        for name, parameter in given.items()
        if not node.has_parameter(name) and not name.startswith("qos_overrides.")
    }


def _overridden(config: C, overrides: Mapping[str, Any]) -> C:
    known = [name for name, _, _, _ in _leaves(config)]
    for name in overrides:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(known)}"
            raise ConfigError(f"unknown parameter '{name}'; {hint}")
    return _replaced(config, dict(overrides), prefix="")


def _replaced(config: C, overrides: Mapping[str, Any], prefix: str) -> C:
    """Return the configuration with the overrides put in; all fields of a group at once."""
    changes: dict[str, Any] = {}
    for field in dataclasses.fields(config):
        name = prefix + field.name
        value = getattr(config, field.name)
        if isinstance(value, Config):
            changes[field.name] = _replaced(value, overrides, f"{name}.")
        elif name in overrides:
            changes[field.name] = overrides[name]
    try:
        return dataclasses.replace(config, **changes)
    except ConfigError as error:
        raise ConfigError(f"parameter {by_path(error, type(config), prefix)}") from error


def _leaves(
    config: Config, prefix: str = ""
) -> Iterator[tuple[str, Any, dataclasses.Field[Any], Any]]:
    """Yield (dotted name, value, field, annotation) of every field that is not a group."""
    types = get_type_hints(type(config))
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if isinstance(value, Config):
            yield from _leaves(value, f"{prefix}{field.name}.")
        else:
            yield prefix + field.name, value, field, types[field.name]


def _parameter_type(annotation: Any) -> Parameter.Type:
    if get_origin(annotation) is tuple:
        return _ARRAYS[get_args(annotation)[0]]
    return _SCALARS[annotation]


def _descriptor(
    field: dataclasses.Field[Any], annotation: Any, read_only: bool
) -> ParameterDescriptor:
    rules = field.metadata
    descriptor = ParameterDescriptor(
        description=rules.get("help", ""),
        read_only=read_only,
        additional_constraints=_constraints(field, annotation),
    )
    low, high = rules.get("low"), rules.get("high")
    if low is None and high is None:
        return descriptor
    if annotation is float:
        descriptor.floating_point_range = [
            FloatingPointRange(
                from_value=-float("inf") if low is None else float(low),
                to_value=float("inf") if high is None else float(high),
            )
        ]
    elif annotation is int:
        descriptor.integer_range = [
            IntegerRange(
                from_value=_INT64_MIN if low is None else int(low),
                to_value=_INT64_MAX if high is None else int(high),
            )
        ]
    return descriptor


def _constraints(field: dataclasses.Field[Any], annotation: Any) -> str:
    """Say in words what a descriptor's range cannot: choices, and the range of list entries."""
    rules = field.metadata
    if rules.get("choices") is not None:
        return "one of: " + ", ".join(map(str, rules["choices"]))
    low, high = rules.get("low"), rules.get("high")
    if get_origin(annotation) is not tuple:
        return ""
    bounds = {"at least": low, "at most": high}
    words = [f"{word} {bound}" for word, bound in bounds.items() if bound is not None]
    return "each " + " and ".join(words) if words else ""


def _follow_changes(
    node: Node, config: Config, setters: Mapping[str, Callable[[Any], None]]
) -> None:
    def check(parameters: list[Parameter[Any]]) -> SetParametersResult:
        wanted = {p.name: p.value for p in parameters if p.name in setters}
        try:
            _replaced(config, wanted, prefix="")
        except ConfigError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def apply(parameters: list[Parameter[Any]]) -> None:
        for parameter in parameters:
            if parameter.name in setters:
                setters[parameter.name](parameter.value)

    node.add_on_set_parameters_callback(check)
    node.add_post_set_parameters_callback(apply)
