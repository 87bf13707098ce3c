from pathlib import Path

import pytest

from smm_ros import arguments
from smm_ros.arguments import Argument, ArgumentError, read_arguments, split_argument

KNOWN = (
    Argument("sim", "false", "Whether.", arguments.flag),
    Argument("seed", "", "Which.", arguments.integer, (("hand", "seed"),)),
)


def test_defaults_stand_in_and_empty_settings_are_left_to_the_config_file():
    assert read_arguments(KNOWN, {}) == {"sim": False, "seed": None}
    assert read_arguments(KNOWN, {"sim": "True", "seed": "7"}) == {"sim": True, "seed": 7}


@pytest.mark.parametrize(
    ("texts", "error"),
    [
        ({"sin": "true"}, "no argument 'sin'; did you mean 'sim'"),
        ({"sim": "maybe"}, "sim is 'maybe', expected true or false"),
        ({"sim": ""}, "sim is '', expected true or false"),
        ({"seed": "-1"}, "seed is '-1', expected a whole number"),
    ],
)
def test_argument_that_can_not_be_understood_is_named(texts, error):
    with pytest.raises(ArgumentError, match=error):
        read_arguments(KNOWN, texts)


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [
        (arguments.number, "0.5", 0.5),
        (arguments.number, "1e1", 10.0),
        (arguments.namespace, "dclaw", "/dclaw"),
        (arguments.namespace, "/lab/dclaw_2/", "/lab/dclaw_2"),
        (arguments.log_level, "debug", "debug"),
        (arguments.path, "", None),
        (arguments.path, "a/b", Path.cwd() / "a" / "b"),
        (arguments.paths, "a", [str(Path.cwd() / "a")]),
        (arguments.paths, "/a, b/c", ["/a", str(Path.cwd() / "b" / "c")]),
        (arguments.paths, "[/a b, '/c']", ["/a b", "/c"]),
    ],
)
def test_text_is_read(read, text, value):
    assert read(text) == value


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (arguments.number, "nan"),
        (arguments.number, "inf"),
        (arguments.number, "-1"),
        (arguments.number, "fast"),
        (arguments.integer, "1.0"),
        (arguments.namespace, ""),
        (arguments.namespace, "2claw"),
        (arguments.namespace, "a//b"),
        (arguments.log_level, "loud"),
        (arguments.paths, "[a, b"),
        (arguments.paths, "a,,b"),
        (arguments.paths, "[]"),
    ],
)
def test_text_without_meaning_is_refused(read, text):
    with pytest.raises(ValueError, match="expected"):
        read(text)


def test_argument_is_name_and_value():
    assert split_argument("config:=a:=b") == ("config", "a:=b")
    for text in ("sim", "sim=true", ":=true"):
        with pytest.raises(ArgumentError, match="NAME:=VALUE"):
            split_argument(text)
