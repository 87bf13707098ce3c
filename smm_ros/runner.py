"""`smm up`: start a graph where there is no `ros2 launch`, with the same arguments."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from smm_ros.arguments import split_argument
from smm_ros.graph import Graph, arguments, graph_names, render
from smm_ros.ros_environment import missing_variables
from smm_ros.supervisor import Outcome, Supervisor
from smm_ros.watch import Watch, make_view


def main(argv: Sequence[str] | None = None) -> int:
    """Run a graph to its end; return 0 if it ended well."""
    options = _parser().parse_intermixed_args(argv)
    try:
        if options.show_args:
            print(describe_arguments(options.graph))
            return 0
        graph = render(options.graph, dict(map(split_argument, options.arguments)))
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    outcome = run_graph(graph, live=sys.stdout.isatty() if options.live is None else options.live)
    print(f"{outcome.message}\nrun folder: {graph.run_dir}", file=sys.stderr, flush=True)
    return 0 if outcome.ok else 1


def run_graph(graph: Graph, live: bool = False) -> Outcome:
    """Run a graph in the foreground, showing what its nodes print and how far they are.

    To be called in the main thread.
    """
    # For the watch, which is in this process; the nodes inherit it.
    os.environ.update(missing_variables(os.environ))
    namespace = graph.nodes[0].namespace
    return Supervisor(graph, lambda: Watch(namespace, make_view(live))).run()


def describe_arguments(graph_name: str) -> str:
    """Return the arguments of a graph with their descriptions and defaults, as a text."""
    lines = [f"Arguments of {graph_name} (as NAME:=VALUE):"]
    for argument in arguments(graph_name):
        lines += ["", f"    '{argument.name}':", f"        {argument.description}"]
        lines += [f"        (default: '{argument.default}')"]
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="smm up", description=__doc__)
    parser.add_argument("graph", help=f"which graph: {', '.join(graph_names())}")
    parser.add_argument("arguments", nargs="*", metavar="NAME:=VALUE", help="see --show-args")
    parser.add_argument(
        "-s", "--show-args", action="store_true", help="show the graph's arguments and end"
    )
    parser.add_argument(
        "--watch",
        dest="live",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="a live table instead of lines (default: on a terminal)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
