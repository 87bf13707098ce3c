from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import rclpy
from rclpy.context import Context
from rclpy.node import Node
from rclpy.parameter import Parameter

from smm_core.config import Config, ConfigError, option
from smm_ros.parameters import declare, flatten


@dataclass(frozen=True)
class Inner(Config):
    tau: float = option(0.005, "Smoothing per update.", low=0.0, high=1.0)
    sizes: tuple[int, ...] = option((64, 64), "Hidden layers.", low=1)


@dataclass(frozen=True)
class Outer(Config):
    steps: int = option(10, "How many.", low=0)
    rule: str = option("uniform", "Which rule.", choices=("uniform", "last"))
    flag: bool = option(True, "Whether.")
    names: tuple[str, ...] = option((), "Which ones.")
    inner: Inner = option(Inner(), "What is inside.")


@pytest.fixture
def context(ros_domain: int) -> Iterator[Context]:
    context = Context()
    rclpy.init(args=[], context=context)
    yield context
    context.try_shutdown()


def make_node(context: Context, *arguments: str) -> Node:
    """Return a node started with these parameters, given as NAME:=VALUE."""
    given = [part for argument in arguments for part in ("-p", argument)]
    return Node("tuned", context=context, cli_args=["--ros-args", *given] if given else None)


def test_defaults_come_back_unchanged(context):
    assert declare(make_node(context), Outer()) == Outer()


def test_given_values_come_back_in_their_groups(context):
    node = make_node(
        context,
        "steps:=7",
        "inner.tau:=0.5",
        "inner.sizes:=[8, 9]",
        "names:=[a, b]",
        "flag:=false",
    )
    config = declare(node, Outer())
    assert config == Outer(7, "uniform", False, ("a", "b"), Inner(0.5, (8, 9)))
    assert node.get_parameter("inner.tau").value == 0.5
    assert list(node.get_parameter("names").value) == ["a", "b"]


def test_whole_number_is_taken_for_a_float(context):
    node = make_node(context, "inner.tau:=1")
    assert declare(node, Outer()).inner.tau == 1.0
    assert node.get_parameter("inner.tau").type_ is Parameter.Type.DOUBLE


def test_empty_list_is_taken_for_a_list(context):
    config = declare(make_node(context, "inner.sizes:=[]"), Outer())
    assert config.inner.sizes == ()


@pytest.mark.parametrize(
    ("argument", "error"),
    [
        ("inner.tau:=2.0", "parameter inner.tau is 2.0, expected at most 1.0"),
        ("steps:=many", "parameter steps is 'many', expected int"),
        ("rule:=first", "parameter rule is 'first', expected one of uniform, last"),
        ("inner.tua:=0.1", "unknown parameter 'inner.tua'; did you mean 'inner.tau'"),
        ("zzz:=1", "unknown parameter 'zzz'; known: steps, rule"),
    ],
)
def test_bad_parameter_is_named(context, argument, error):
    with pytest.raises(ConfigError, match=error):
        declare(make_node(context, argument), Outer())


def test_describing_a_parameter_tells_its_meaning_and_its_range(context):
    node = make_node(context)
    declare(node, Outer())
    tau = node.describe_parameter("inner.tau")
    assert tau.description == "Smoothing per update."
    assert (tau.floating_point_range[0].from_value, tau.floating_point_range[0].to_value) == (0, 1)
    steps = node.describe_parameter("steps")
    assert steps.integer_range[0].from_value == 0
    assert steps.integer_range[0].to_value == 2**63 - 1
    assert node.describe_parameter("rule").additional_constraints == "one of: uniform, last"
    assert node.describe_parameter("inner.sizes").additional_constraints == "each at least 1"
    assert node.describe_parameter("names").type == Parameter.Type.STRING_ARRAY.value


def test_parameter_is_read_only_unless_the_node_follows_it(context):
    node = make_node(context)
    seen = []
    declare(node, Outer(), on_change={"inner.tau": seen.append})
    fixed, bad, good = (
        node.set_parameters([Parameter(name, value=value)])[0]
        for name, value in (("steps", 5), ("inner.tau", 7.0), ("inner.tau", 0.25))
    )
    assert not fixed.successful
    assert "read-only" in fixed.reason
    assert not bad.successful
    assert good.successful
    assert seen == [0.25]


def test_flat_names_are_those_of_the_parameters(context):
    node = make_node(context)
    declare(node, Outer())
    flat = flatten(Outer())
    assert flat["inner.sizes"] == [64, 64]
    assert all(node.has_parameter(name) for name in flat)
