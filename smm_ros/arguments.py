"""Arguments of a graph: what the user can say as NAME:=VALUE, and how the texts are read."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smm_ros.parameter_file import nearest


class ArgumentError(ValueError):
    """An argument is unknown or its value can not be understood."""


@dataclass(frozen=True)
class Argument:
    """One argument of a graph."""

    name: str
    default: str
    description: str
    read: Callable[[str], Any] = str
    """Turns the text into a value; raises ValueError saying what is expected."""
    settings: tuple[tuple[str, str], ...] = ()
    """(node, parameter) that it sets; an empty value leaves them as in the config file."""

    def value(self, text: str) -> Any:
        """Return what the text means; None where it is left to the config file."""
        if self.settings and not text:
            return None
        try:
            return self.read(text)
        except ValueError as error:
            raise ArgumentError(f"{self.name} is {text!r}, {error}") from error


def read_arguments(known: Iterable[Argument], texts: Mapping[str, str]) -> dict[str, Any]:
    """Return the value of every argument; those not given have their defaults.

    Raises ArgumentError naming an unknown argument, or one with a bad value.
    """
    by_name = {argument.name: argument for argument in known}
    for name in texts:
        if name not in by_name:
            raise ArgumentError(f"there is no argument '{name}'; {nearest(name, by_name)}")
    return {name: a.value(texts.get(name, a.default)) for name, a in by_name.items()}


def split_argument(text: str) -> tuple[str, str]:
    """Return name and value of NAME:=VALUE; raises ArgumentError where it is something else."""
    name, separator, value = text.partition(":=")
    if not separator or not name:
        raise ArgumentError(f"{text!r} is no argument; write NAME:=VALUE, such as sim:=true")
    return name, value


def flag(text: str) -> bool:
    """Read true or false."""
    words = {"true": True, "1": True, "false": False, "0": False}
    if text.lower() not in words:
        raise ValueError("expected true or false")
    return words[text.lower()]


def integer(text: str) -> int:
    """Read a whole number of 0 or more."""
    if not re.fullmatch(r"[0-9]+", text):
        raise ValueError("expected a whole number, 0 or more")
    return int(text)


def number(text: str) -> float:
    """Read a finite number of 0 or more."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise ValueError("expected a number, 0 or more")
    return value


def namespace(text: str) -> str:
    """Read a ROS namespace; returned with the leading slash."""
    name = text.strip("/")
    if not re.fullmatch(r"[A-Za-z_]\w*(/[A-Za-z_]\w*)*", name, re.ASCII):
        raise ValueError("expected a ROS namespace, such as dclaw or lab/dclaw_2")
    return f"/{name}"


def log_level(text: str) -> str:
    """Read the name of a level of ROS logging."""
    levels = ("debug", "info", "warn", "error", "fatal")
    if text not in levels:
        raise ValueError(f"expected one of {', '.join(levels)}")
    return text


def path(text: str) -> Path | None:
    """Read a path, made absolute; None where it is empty."""
    return Path(text).expanduser().absolute() if text else None


def paths(text: str) -> list[str]:
    """Read a list of paths, made absolute: 'a,b' or, as ROS writes lists, '[a, b]'."""
    is_list = text.startswith("[")
    if is_list != text.endswith("]"):
        raise ValueError("expected a list of paths, such as [a, b] or a,b")
    words = [word.strip().strip("'\"") for word in text.strip("[]").split(",")]
    if not all(words):
        raise ValueError("expected a list of paths, such as [a, b] or a,b")
    return [str(Path(word).expanduser().absolute()) for word in words]
