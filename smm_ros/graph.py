"""Which nodes with which parameters make up a graph: the one description that is started.

Both `smm up` and the launch file render it; it knows neither of them, nor rclpy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from smm_ros.arguments import (
    Argument,
    flag,
    integer,
    log_level,
    namespace,
    number,
    path,
    paths,
    read_arguments,
)
from smm_ros.parameter_file import (
    get_setting,
    nearest,
    put_setting,
    read_parameter_file,
    write_parameter_file,
)
from smm_ros.share import share_path

HAND, POLICY_SERVER, TRAINER, RECORDER = "hand", "policy_server", "trainer", "recorder"

# Settings that the policy server must have as the trainer has them; they are given to the trainer.
_AGREED = (
    ("learner.num_skills", "num_skills"),
    ("learner.sac.hidden", "hidden"),
    ("learner.sac.policy_activation", "policy_activation"),
    ("learner.history", "history"),
)


class GraphError(ValueError):
    """There is no such graph, or it can not be made of what the config file says."""


@dataclass(frozen=True)
class NodeSpec:
    """One node as a process."""

    name: str
    namespace: str
    """With the leading slash."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """Nested, by name."""
    remappings: tuple[tuple[str, str], ...] = ()
    ends_graph: bool = False
    """Its leaving with status 0 is the graph's good end; any other node has to stay."""

    @property
    def executable(self) -> str:
        """What `ros2 run smm_ros` calls it."""
        return self.name

    @property
    def module(self) -> str:
        """What `python -m` calls it."""
        return f"smm_ros.{self.name}_node"


@dataclass(frozen=True)
class Graph:
    """A graph ready to be started."""

    name: str
    nodes: tuple[NodeSpec, ...]
    """In the order to start them."""
    stop_order: tuple[tuple[str, ...], ...]
    """Names in groups; a group is asked to end when the one before it has ended."""
    run_dir: Path
    """Absolute; everything the graph leaves behind is in it, the bag elsewhere if asked."""
    log_level: str

    def parameter_file(self, node: NodeSpec) -> Path:
        """Return where the parameters of a node are written."""
        return self.run_dir / "params" / f"{node.name}.yaml"

    def write_parameter_files(self) -> None:
        """Write the parameters of every node into the run folder."""
        for node in self.nodes:
            write_parameter_file(self.parameter_file(node), node.parameters)


def graph_names() -> list[str]:
    """Return the graphs there are."""
    return list(_GRAPHS)


def arguments(graph_name: str) -> tuple[Argument, ...]:
    """Return the arguments of a graph; raises GraphError where there is no such graph."""
    return _graph(graph_name)[0]


def render(graph_name: str, values: Mapping[str, str]) -> Graph:
    """Make the graph from arguments given as text; those not given have their defaults.

    Writes nothing. Raises a ValueError that names what is wrong: GraphError, or the errors of
    arguments and of parameter files.
    """
    known, make = _graph(graph_name)
    return make(known, read_arguments(known, values))


def _graph(name: str) -> tuple[tuple[Argument, ...], Callable[..., Graph]]:
    if name not in _GRAPHS:
        raise GraphError(f"there is no graph '{name}'; {nearest(name, _GRAPHS)}")
    return _GRAPHS[name]


def _config_file(text: str) -> Path:
    given = Path(text).expanduser()
    if given.is_file():
        return given.absolute()
    known = sorted(file.name for file in share_path("config").glob("*.yaml"))
    for name in (text, f"{text}.yaml"):
        if name in known:
            return share_path("config", name)
    raise ValueError(f"which is no file, and none of the package's: {', '.join(known)}")


def _seeds(*nodes: str) -> tuple[tuple[str, str], ...]:
    return tuple((node, "seed") for node in nodes)


_FROM_CONFIG = "; empty: as in the config file"

_DCLAW_ARGUMENTS = (
    Argument("sim", "false", "true: the MuJoCo twin; false: the hand itself", flag),
    Argument(
        "port", "", f"serial port of the hand's servos{_FROM_CONFIG}", str, ((HAND, "port"),)
    ),
    Argument(
        "baud_rate", "", f"speed of the servo bus, bit/s{_FROM_CONFIG}", integer,
        ((HAND, "baud_rate"),),
    ),
    Argument("namespace", "dclaw", "namespace of the hand and of all its nodes", namespace),
    Argument("record", "true", "record a bag, from which a restarted trainer goes on", flag),
    Argument("bag_dir", "", "folder of the bag; empty: bag in the run folder", path),
    Argument(
        "config", "dclaw.yaml", "parameter file, or the name of one of the package", _config_file
    ),
    Argument(
        "seed", "", f"seed of everything random{_FROM_CONFIG}", integer,
        _seeds(HAND, POLICY_SERVER, TRAINER),
    ),
    Argument(
        "num_skills", "", f"skills of the mixture; 1: no mixture{_FROM_CONFIG}", integer,
        ((TRAINER, "learner.num_skills"),),
    ),
    Argument(
        "real_time_factor", "",
        f"simulated seconds per second; 0: as fast as it can{_FROM_CONFIG}", number,
        ((HAND, "real_time_factor"),),
    ),
    Argument("checkpoint", "", "checkpoint to go on from; empty: the run folder's newest", path),
    Argument(
        "bags", "", f"bags of earlier runs to begin with, [a, b] or a,b{_FROM_CONFIG}", paths,
        ((TRAINER, "bags"),),
    ),
    Argument("log_level", "info", "debug, info, warn, error or fatal", log_level),
    Argument(
        "total_steps", "", f"control periods after which to end; 0: no end{_FROM_CONFIG}",
        integer, ((TRAINER, "total_steps"),),
    ),
    Argument("run_dir", "", "folder of the run, continued if it exists; empty: a new one", path),
)  # fmt: skip


def _render_dclaw(known: Iterable[Argument], values: Mapping[str, Any]) -> Graph:
    run_dir = values["run_dir"] or _new_run_dir("dclaw")
    settings = _dclaw_settings(known, values, run_dir)
    if not values["record"]:
        del settings[RECORDER]
    return Graph(
        name="dclaw_hardware",
        nodes=tuple(
            NodeSpec(name, values["namespace"], parameters, ends_graph=name == TRAINER)
            for name, parameters in settings.items()
        ),
        # Torque off before anything else; the recorder hears the others' last words.
        stop_order=((HAND,), (POLICY_SERVER, TRAINER), (RECORDER,)),
        run_dir=run_dir,
        log_level=values["log_level"],
    )


def _dclaw_settings(
    known: Iterable[Argument], values: Mapping[str, Any], run_dir: Path
) -> dict[str, dict[str, Any]]:
    """Return each node's parameters: the config file's, then the arguments', then the wiring."""
    settings = read_parameter_file(values["config"], (RECORDER, TRAINER, HAND, POLICY_SERVER))
    for argument in known:
        for node, parameter in argument.settings:
            if values[argument.name] is not None:
                put_setting(settings[node], parameter, values[argument.name])
    _share_agreed(settings, values["config"])
    bag_dir = values["bag_dir"] or run_dir / "bag"
    settings[HAND]["sim"] = values["sim"]
    settings[POLICY_SERVER]["run_dir"] = str(run_dir)
    settings[TRAINER] |= {
        "hands": [values["namespace"]],
        "run_dir": str(run_dir),
        "bag": str(bag_dir) if values["record"] else "",
        "checkpoint": str(values["checkpoint"] or ""),
    }
    settings[RECORDER] |= {"hands": [values["namespace"]], "bag_dir": str(bag_dir)}
    # The policy server takes its stamps from the states, and would hear of each period twice.
    for node in (TRAINER, RECORDER):
        settings[node]["use_sim_time"] = values["sim"]
    return settings


def _share_agreed(settings: dict[str, dict[str, Any]], file: Path) -> None:
    for source, copy in _AGREED:
        if get_setting(settings[POLICY_SERVER], copy) is not None:
            raise GraphError(
                f"{file} sets {copy} of the {POLICY_SERVER}; set {source} of the {TRAINER}, "
                "which both then have"
            )
        value = get_setting(settings[TRAINER], source)
        if value is not None:
            put_setting(settings[POLICY_SERVER], copy, value)


def _new_run_dir(prefix: str) -> Path:
    """Return a folder that does not exist yet, named after the time."""
    first = Path("runs").absolute() / f"{prefix}-{datetime.now():%Y%m%d-%H%M%S}"
    run_dir, number = first, 1
    while run_dir.exists():
        number += 1
        run_dir = first.with_name(f"{first.name}-{number}")
    return run_dir


_GRAPHS: dict[str, tuple[tuple[Argument, ...], Callable[..., Graph]]] = {
    "dclaw_hardware": (_DCLAW_ARGUMENTS, _render_dclaw)
}
