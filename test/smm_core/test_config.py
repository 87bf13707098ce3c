"""A configuration holds only values it allows, and says what is wrong with any other."""

import json
import math
from dataclasses import FrozenInstanceError, dataclass

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from smm_core.config import Config, ConfigError, from_mapping, option, to_mapping


@dataclass(frozen=True)
class Inner(Config):
    rate: float = option(0.5, "a share", low=0.0, high=1.0)
    names: tuple[str, ...] = option((), "any names")


@dataclass(frozen=True)
class Outer(Config):
    count: int = option(3, "a number of things", low=1)
    rule: str = option("near", "which rule", choices=("near", "far"))
    active: bool = option(False, "whether it runs")
    sizes: tuple[int, ...] = option((2, 3), "widths", low=1, high=9)
    inner: Inner = option(Inner(), "the inner group")


inners = st.builds(
    Inner, rate=st.floats(0, 1), names=st.lists(st.text(max_size=3), max_size=3).map(tuple)
)
outers = st.builds(
    Outer,
    count=st.integers(1, 10**12),
    rule=st.sampled_from(("near", "far")),
    active=st.booleans(),
    sizes=st.lists(st.integers(1, 9), max_size=4).map(tuple),
    inner=inners,
)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Outer(count=0), ("Outer.count", "0", "at least 1")),
        (lambda: Inner(rate=1.5), ("Inner.rate", "1.5", "at most 1")),
        (lambda: Inner(rate=-0.1), ("Inner.rate", "-0.1", "at least 0")),
        (lambda: Inner(rate=math.nan), ("Inner.rate", "NaN")),
        (lambda: Outer(rule="nearby"), ("Outer.rule", "'nearby'", "near, far")),
        (lambda: Outer(sizes=(3, 10)), ("Outer.sizes", "10", "at most 9")),
        (lambda: Outer(count=2.0), ("Outer.count", "2.0", "int")),
        (lambda: Outer(count=True), ("Outer.count", "True", "int")),
        (lambda: Outer(active=1), ("Outer.active", "1", "bool")),
        (lambda: Outer(sizes=3), ("Outer.sizes", "3", "list")),
        (lambda: Outer(sizes=("a",)), ("Outer.sizes", "'a'", "int")),
        (lambda: Inner(rate="0.5"), ("Inner.rate", "'0.5'", "float")),
        (lambda: Inner(rate=True), ("Inner.rate", "True", "float")),
        (lambda: Outer(inner={"rate": 0.5}), ("Outer.inner", "Inner")),
    ],
)
def test_a_bad_value_is_refused_by_field_value_and_what_is_allowed(make, words):
    with pytest.raises(ConfigError) as error:
        make()
    assert all(word in str(error.value) for word in words), str(error.value)


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_the_ends_of_a_range_belong_to_it(rate):
    assert Inner(rate=rate).rate == rate


def test_a_whole_number_is_taken_for_a_float_and_a_list_for_a_tuple():
    inner = Inner(rate=1, names=["a"])
    assert isinstance(inner.rate, float)
    assert inner.names == ("a",)


@given(outers)
def test_a_configuration_survives_json_and_yaml(config):
    assert from_mapping(Outer, to_mapping(config)) == config
    assert from_mapping(Outer, json.loads(json.dumps(to_mapping(config)))) == config
    assert from_mapping(Outer, yaml.safe_load(yaml.safe_dump(to_mapping(config)))) == config


def test_a_mapping_is_plain():
    assert to_mapping(Outer()) == {
        "count": 3,
        "rule": "near",
        "active": False,
        "sizes": [2, 3],
        "inner": {"rate": 0.5, "names": []},
    }


def test_settings_that_are_not_named_keep_their_defaults():
    config = from_mapping(Outer, {"inner": {"rate": 0.25}})
    assert config == Outer(inner=Inner(rate=0.25))


@pytest.mark.parametrize(
    ("mapping", "words"),
    [
        ({"cuont": 4}, ("'cuont'", "'count'")),
        ({"inner": {"rat": 0.5}}, ("'inner.rat'", "'rate'")),
        ({"inner": {"zzz": 0.5}}, ("'inner.zzz'", "names, rate")),
        ({"inner": 4}, ("'inner'", "4", "group")),
        ({7: 4}, ("'7'", "count")),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest_or_the_known_ones(mapping, words):
    with pytest.raises(ConfigError) as error:
        from_mapping(Outer, mapping)
    assert all(word in str(error.value) for word in words), str(error.value)


@pytest.mark.parametrize(
    ("mapping", "where", "words"),
    [
        ({"inner": {"rate": 2}}, "", "inner.rate is 2.0, expected at most 1"),
        ({"inner": {"names": 3}}, "", "inner.names is 3, expected a list"),
        ({"count": 0}, "", "count is 0, expected at least 1"),
        ({"inner": {"rate": "x"}}, "job.", "job.inner.rate is 'x', expected float"),
        ({"inner": 4}, "job.", "'job.inner' is 4, expected a group"),
        ([], "job.", "'job' is [], expected a group"),
    ],
)
def test_a_bad_value_in_a_mapping_is_named_by_its_path(mapping, where, words):
    with pytest.raises(ConfigError) as error:
        from_mapping(Outer, mapping, where)
    assert str(error.value).startswith(words)


@dataclass(frozen=True)
class Span(Config):
    low: float = option(0.0, "one end")
    high: float = option(1.0, "the other")

    def __post_init__(self):
        super().__post_init__()
        if not self.low < self.high:
            raise ConfigError(f"the span reaches from {self.low} to {self.high}")


@dataclass(frozen=True)
class Spanned(Config):
    span: Span = option(Span(), "a group with a rule of its own")


def test_what_a_group_says_of_itself_is_left_as_it_is():
    with pytest.raises(ConfigError, match=r"^the span reaches from 3\.0 to 1\.0$"):
        from_mapping(Spanned, {"span": {"low": 3}})


def test_a_configuration_can_not_be_changed():
    with pytest.raises(FrozenInstanceError):
        Outer().count = 4


@dataclass(frozen=True)
class Holder(Config):
    inner: Inner = option(Inner(rate=0.25), "a group whose default is not its class's")


def test_a_group_keeps_the_defaults_of_the_field_that_holds_it():
    assert from_mapping(Holder, {"inner": {"names": ["a"]}}).inner == Inner(0.25, ("a",))


def test_infinity_is_outside_every_range():
    with pytest.raises(ConfigError, match=r"rate is inf, expected a finite number"):
        Inner(rate=math.inf)
