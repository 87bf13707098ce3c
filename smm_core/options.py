"""Command-line options made from configuration dataclasses, and read back into them."""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar, get_args, get_origin, get_type_hints

import yaml

from smm_core.config import Config, ConfigError, from_mapping

C = TypeVar("C", bound=Config)


class OptionParser(argparse.ArgumentParser):
    """Says in one line what is wrong with a command line, and which option may be meant."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(allow_abbrev=False, **settings)

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse a command line; ends the process with status 2 where it is not understood."""
        found, unknown = self.parse_known_args(args, namespace)
        if unknown:
            # What follows an unknown option is taken for its value, and is unknown as well.
            options = [word for word in unknown if word.startswith("-")]
            self.error("; ".join(map(self._unknown, options or unknown)))
        return found

    def error(self, message: str) -> NoReturn:
        """End the process with status 2 and one line; there are pages of usage."""
        self.exit(2, f"error: {message} ({self.prog} --help lists all options)\n")

    def _unknown(self, word: str) -> str:
        if not word.startswith("-"):
            return f"unexpected argument {word!r}"
        name, known = word.partition("=")[0], sorted(self._option_string_actions, key=len)
        in_groups = [option for option in known if option.endswith(f".{name.lstrip('-')}")]
        near = in_groups[:3] or difflib.get_close_matches(name, known, cutoff=0.7)
        return f"unknown option {name}" + (f"; did you mean {' or '.join(near)}?" if near else "")


def add_options(
    parser: argparse.ArgumentParser,
    config: type[Config],
    prefix: str = "",
    leave_out: Sequence[str] = (),
    defaults: Config | None = None,
) -> None:
    """Add one `--group.name VALUE` for each field, with its help, range and default."""
    types = get_type_hints(config)
    group = parser.add_argument_group(prefix.rstrip(".") or "run", (config.__doc__ or "").strip())
    defaults = config() if defaults is None else defaults
    for field in dataclasses.fields(config):
        name, kind = prefix + field.name, types[field.name]
        if name in leave_out:
            continue
        if isinstance(kind, type) and issubclass(kind, Config):
            add_options(parser, kind, f"{name}.", defaults=getattr(defaults, field.name))
            continue
        group.add_argument(
            f"--{name}",
            type=_reader(kind),
            choices=field.metadata["choices"],
            nargs="*" if get_origin(kind) is tuple else None,
            default=argparse.SUPPRESS,
            metavar="X" if field.metadata["choices"] is None else None,
            help=_help(field.metadata, getattr(defaults, field.name)),
        )


def read_options(
    config: type[C], file: Path | None, given: Mapping[str, Any], defaults: C | None = None
) -> C:
    """Build a configuration from a YAML file and the options given on the command line.

    An option beats the file, the file beats the one it names as its `base`, that beats the
    default: that of `defaults`, where it is given. Raises ConfigError for a file that can
    not be read and for every setting that is unknown or out of range.
    """
    values = _with_base(file) if file else {}
    names = set(_names(config, ""))
    for name, value in given.items():
        if name in names:
            *groups, leaf = name.split(".")
            level = values
            for group in groups:
                level = level.setdefault(group, {})
                if not isinstance(level, dict):
                    raise ConfigError(f"'{group}' is {level!r} in {file}, expected a group")
            level[leaf] = value
    return from_mapping(config, values, default=defaults)


def _with_base(file: Path, above: tuple[Path, ...] = ()) -> dict[str, Any]:
    """Read a file over the one that it names as its `base`, relative to itself."""
    if file in above:
        raise ConfigError(f"{file} is its own base, by way of {above[-1]}")
    values = read_yaml(file)
    base = values.pop("base", None)
    if base is None:
        return values
    if not isinstance(base, str):
        raise ConfigError(f"'base' is {base!r} in {file}, expected the name of a file")
    return _merged(_with_base(file.parent / base, (*above, file)), values)


def _merged(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    both = dict(under)
    for name, value in over.items():
        known = under.get(name)
        is_group = isinstance(known, dict) and isinstance(value, dict)
        both[name] = _merged(known, value) if is_group else value  # type: ignore[arg-type]
    return both


class _Loader(yaml.SafeLoader):
    """Reads 3e-4 as a number, as ROS does; plain PyYAML takes it for text."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?\d+(\.\d*)?[eE][-+]?\d+$"),
    list("-+0123456789"),
)


def read_yaml(file: Path) -> dict[str, Any]:
    """Read a YAML mapping; raises ConfigError naming the file and what is wrong with it."""
    try:
        values = yaml.load(file.read_text(), _Loader) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"can not read {file}: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{file} holds {type(values).__name__}, expected settings by name")
    return values


def read_value(text: str) -> Any:
    """Read one value as settings files do; raises ConfigError where it is no YAML."""
    try:
        return yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        raise ConfigError(f"{text!r} is no value, expected YAML") from error


def _names(config: type[Config], prefix: str) -> list[str]:
    names = []
    for name, kind in get_type_hints(config).items():
        nested = isinstance(kind, type) and issubclass(kind, Config)
        names += _names(kind, f"{prefix}{name}.") if nested else [prefix + name]
    return names


def _reader(kind: Any) -> Any:
    item = get_args(kind)[0] if get_origin(kind) is tuple else kind
    return _read_bool if item is bool else item


def _read_bool(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"{text!r}, expected true or false")
    return text.lower() == "true"


def _help(metadata: Mapping[str, Any], default: Any) -> str:
    low, high = metadata["low"], metadata["high"]
    limits = [f"at least {low}"] if low is not None else []
    limits += [f"at most {high}"] if high is not None else []
    notes = ", ".join([*limits, f"default {default}"])
    return f"{metadata['help']} ({notes})".replace("%", "%%")
