"""The D'Claw graph: hand, policy server, trainer and recorder; its twin with sim:=true.

What is started, with which parameters, is described in smm_ros/graph.py, which `smm up` reads too.
When a node dies the launch ends with status 1, naming it and showing its last lines; when the
trainer is done it ends with status 0. launch stops all nodes at once; each has 2 s to end.
"""

import os
from collections import deque

from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    LogInfo,
    OpaqueFunction,
    RegisterEventHandler,
    SetEnvironmentVariable,
)
from launch.event_handlers import OnProcessExit, OnProcessIO
from launch.events import Shutdown
from launch.events.process import ProcessExited, ProcessIO
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from smm_ros.graph import Graph, NodeSpec, arguments, render
from smm_ros.node_process import TAIL_LINES, describe_status
from smm_ros.ros_environment import missing_variables

GRAPH = "dclaw_hardware"


class NodeDied(Exception):  # noqa: N818 - launch shows it to the user as it is
    """Raised in an event handler, it shuts launch down and makes its exit status 1."""


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments of the graph and start it once they are known."""
    declared = [
        DeclareLaunchArgument(a.name, default_value=a.default, description=a.description)
        for a in arguments(GRAPH)
    ]
    return LaunchDescription([*declared, OpaqueFunction(function=start)])


def start(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """Render the graph with the arguments in force; return its environment and nodes."""
    names = [argument.name for argument in arguments(GRAPH)]
    graph = render(GRAPH, {name: LaunchConfiguration(name).perform(context) for name in names})
    graph.write_parameter_files()
    entities: list[LaunchDescriptionEntity] = [LogInfo(msg=f"run folder: {graph.run_dir}")]
    entities += [
        SetEnvironmentVariable(name, value)
        for name, value in missing_variables(os.environ).items()
    ]
    for node in graph.nodes:
        entities += supervised(graph, node)
    return entities


def supervised(graph: Graph, node: NodeSpec) -> list[LaunchDescriptionEntity]:
    """Return a node with the handlers that remember its last lines and watch for its end."""
    action = Node(
        package="smm_ros",
        executable=node.executable,
        name=node.name,
        namespace=node.namespace,
        parameters=[str(graph.parameter_file(node))],
        remappings=list(node.remappings),
        ros_arguments=["--log-level", graph.log_level],
        output="both",
        sigterm_timeout="2",
        sigkill_timeout="1",
    )
    tail: deque[str] = deque(maxlen=TAIL_LINES)

    def remember(event: ProcessIO) -> None:
        tail.extend(event.text.decode(errors="replace").splitlines())

    def on_exit(event: ProcessExited, context: LaunchContext) -> EmitEvent | None:
        if context.is_shutdown:
            return None
        if node.ends_graph and event.returncode == 0:
            return EmitEvent(event=Shutdown(reason=f"{node.name} has finished"))
        lines = "\n".join(f"  | {line}" for line in tail)
        end = describe_status(event.returncode)
        raise NodeDied(f"{node.name} died: {end}; its last lines:\n{lines}")

    return [
        RegisterEventHandler(
            OnProcessIO(target_action=action, on_stdout=remember, on_stderr=remember)
        ),
        RegisterEventHandler(OnProcessExit(target_action=action, on_exit=on_exit)),
        action,
    ]
