"""Configuration as frozen dataclasses: ranges are checked at birth, mappings are read strictly."""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Mapping
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

C = TypeVar("C", bound="Config")


class ConfigError(ValueError):
    """A setting has an unknown name, the wrong type, or a value outside its range."""


def option(
    default: Any,
    help: str,  # noqa: A002 - the word every command line uses
    low: float | None = None,
    high: float | None = None,
    choices: tuple[Any, ...] | None = None,
) -> Any:
    """Declare a field: its default, one sentence of help, and the inclusive range or choices."""
    metadata = {"help": help, "low": low, "high": high, "choices": choices}
    if dataclasses.is_dataclass(default):
        return dataclasses.field(default_factory=lambda: default, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class Config:
    """Base of every configuration; a subclass may extend `__post_init__` after calling it."""

    def __post_init__(self) -> None:
        """Check each field against its declared type, range and choices."""
        types = get_type_hints(type(self))
        for field in dataclasses.fields(self):
            where = f"{type(self).__name__}.{field.name}"
            value = _checked_type(where, getattr(self, field.name), types[field.name])
            object.__setattr__(self, field.name, value)
            for item in value if isinstance(value, tuple) else (value,):
                _check_range(where, item, field.metadata)


def from_mapping(
    cls: type[C], mapping: Mapping[str, Any], where: str = "", default: C | None = None
) -> C:
    """Read a nested mapping strictly; what it does not name is as in `default`.

    Raises ConfigError for an unknown key (naming the nearest known one) or a bad value, by the
    path that leads there: `where`, which ends in a dot or is empty, and the names of the groups.
    """
    if not isinstance(mapping, Mapping):
        raise ConfigError(f"'{where[:-1]}' is {mapping!r}, expected a group of settings")
    known = {f.name for f in dataclasses.fields(cls)}
    types = get_type_hints(cls)
    plain = cls()
    default = plain if default is None else default
    # Only what differs: a class may keep in mind what it was given.
    values = {n: getattr(default, n) for n in known if getattr(default, n) != getattr(plain, n)}
    for key, value in mapping.items():
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(sorted(known))}"
            raise ConfigError(f"unknown setting '{where}{key}'; {hint}")
        nested = types[key]
        if isinstance(nested, type) and issubclass(nested, Config):
            value = from_mapping(nested, value, f"{where}{key}.", getattr(default, key))
        values[key] = value
    try:
        return cls(**values)
    except ConfigError as error:
        raise by_path(error, cls, where) from error


def by_path(error: ConfigError, cls: type[Config], where: str) -> ConfigError:
    """Return the error of a setting as its user knows it: by its path, not by its class."""
    return ConfigError(str(error).replace(f"{cls.__name__}.", where, 1))


def to_mapping(config: Config) -> dict[str, Any]:
    """Return the nested plain mapping that `from_mapping` reads back; tuples become lists."""
    plain: dict[str, Any] = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if isinstance(value, Config):
            value = to_mapping(value)
        plain[field.name] = list(value) if isinstance(value, tuple) else value
    return plain


def _checked_type(where: str, value: Any, annotation: Any) -> Any:
    """Return the value in the annotated type; an int is taken for a float, a list for a tuple."""
    if get_origin(annotation) is tuple:
        if not isinstance(value, (list, tuple)):
            raise ConfigError(f"{where} is {value!r}, expected a list")
        return tuple(_checked_type(where, item, get_args(annotation)[0]) for item in value)
    if annotation is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    is_bool_for_number = isinstance(value, bool) and annotation is not bool
    if is_bool_for_number or not isinstance(value, annotation):
        raise ConfigError(f"{where} is {value!r}, expected {annotation.__name__}")
    return value


def _check_range(where: str, value: Any, rules: Mapping[str, Any]) -> None:
    low, high, choices = (rules.get(name) for name in ("low", "high", "choices"))
    if choices is not None and value not in choices:
        raise ConfigError(f"{where} is {value!r}, expected one of {', '.join(map(str, choices))}")
    if isinstance(value, float) and math.isnan(value):
        raise ConfigError(f"{where} is NaN, expected a number")
    if isinstance(value, float) and math.isinf(value) and (low is not None or high is not None):
        raise ConfigError(f"{where} is {value!r}, expected a finite number")
    if low is not None and value < low:
        raise ConfigError(f"{where} is {value!r}, expected at least {low}")
    if high is not None and value > high:
        raise ConfigError(f"{where} is {value!r}, expected at most {high}")
