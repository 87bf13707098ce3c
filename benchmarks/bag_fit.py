"""How fast densities are fitted to a bag, and whether topics give the same models as the file.

Prints Markdown. Real time is a control period of 0.1 s for each transition. A fit is reading,
collecting, gradient steps and figures; the picture is left out. Seconds are of one processor, so
that other work on the machine counts little, but those of the topics are of the clock.

With --topics the recorded transitions are published, as fast as they are taken, to a
density_fitter process, and its models are compared with those of the file, byte by byte.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/bag_fit.py runs/demo/bag --topics
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import rclpy
from rclpy.node import Node
from rclpy.qos import QoSProfile

from smm_core.config import from_mapping
from smm_core.offline.fit_config import FitConfig
from smm_core.offline.fitted_models import FILE
from smm_core.offline.model_fit import Fit, fit_models
from smm_ros.bag.joint_messages import JointReading, JointTopics
from smm_ros.bag.offline.fit_stream import FitStream
from smm_ros.bag.reading import read_messages, read_transitions
from smm_ros.dclaw.spec import CONTROL_PERIOD
from smm_ros.interfaces import TRANSITIONS, TRANSITIONS_QOS
from smm_ros.msg import Transition
from smm_ros.records import TransitionRecord
from smm_ros.ros_environment import missing_variables

MODELS = ("histogram", "gaussian_mixture", "flow", "vae")
DOMAIN = "103"
NODE = "/benchmark/density_fitter"


def config_of(model: str, steps: int) -> FitConfig:
    """Return the settings of a fit."""
    return from_mapping(FitConfig, {"density": {"model": model}, "steps": steps})


def row(name: str, transitions: int, seconds: float, more: str = "") -> None:
    """Print one line of a table."""
    rate = transitions / seconds
    print(f"| {name} | {seconds:.2f} | {rate:,.0f} | {rate * CONTROL_PERIOD:,.0f} |{more}")


def timed(records: Iterable[TransitionRecord]) -> tuple[int, float]:
    """Return how many there are, and the seconds it takes to read them."""
    begin = time.process_time()
    count = sum(1 for _ in records)
    return count, time.process_time() - begin


def fit_file(bag: Path, config: FitConfig) -> tuple[Fit, FitStream, float]:
    """Fit to a bag; also return the seconds."""
    begin = time.process_time()
    stream = FitStream(config)
    for record in read_transitions(bag):
        stream.add(record)
    fit = fit_models(stream.samples())
    return fit, stream, time.process_time() - begin


def print_reading(bag: Path) -> None:
    """Print how fast transitions come out of the bag."""
    print("| reading | s | transitions/s | times real time |\n|---|---:|---:|---:|")
    row("recorded transitions", *timed(read_transitions(bag)))
    row("assembled from joint states and commands", *timed(JointReading(bag, JointTopics())))
    stream = FitStream(config_of("histogram", 0), 12)
    begin = time.process_time()
    for record in read_transitions(bag):
        stream.add(record)
    row("recorded, collected for a fit", stream.num_transitions, time.process_time() - begin)
    print()


def print_fits(bag: Path, steps: int) -> None:
    """Print what each model takes and comes to."""
    head = f"whole fit, {steps} steps | s | transitions/s | times real time | held-out NLL, nats"
    print(f"| {head} |\n|---|---:|---:|---:|---:|")
    for model in MODELS:
        fit, stream, seconds = fit_file(bag, config_of(model, steps))
        at_most = "" if fit.models.density.is_exact else "at most "
        nll = f" {at_most}{fit.figures.values['held_out_nll']:.4f} |"
        row(model, stream.num_transitions, seconds, nll)
    print()


def fit_topics(bag: Path, config: FitConfig, out: Path) -> tuple[int, float]:
    """Publish the bag's transitions to a density fitter; return their number and the seconds."""
    messages = [m for m in read_messages(bag) if m.topic.type == "smm_ros/msg/Transition"]
    hand = messages[0].topic.name.strip("/").rpartition("/")[0]
    command = [
        sys.executable, "-m", "smm_ros.density_fitter_node", "--ros-args", "-r",
        f"__ns:={NODE.rpartition('/')[0]}", "-p", f"out:={out}", "-p", "fit_after:=5.0",
        "-p", f"hands:=[{hand}]", "-p", f"fit.steps:={config.steps}",
        "-p", f"fit.density.model:={config.density.model}",
    ]  # fmt: skip
    process = subprocess.Popen(command)
    rclpy.init()
    node = Node("player")
    depth = len(messages)
    qos = QoSProfile(
        depth=depth, reliability=TRANSITIONS_QOS.reliability, durability=TRANSITIONS_QOS.durability
    )
    publisher = node.create_publisher(Transition, f"/{hand}/{TRANSITIONS}", qos)
    while not publisher.get_subscription_count():
        time.sleep(0.05)
    begin = time.perf_counter()
    for message in messages:
        publisher.publish(message.data)
    seconds = time.perf_counter() - begin
    status = process.wait()
    node.destroy_node()
    rclpy.shutdown()
    if status:
        raise SystemExit(f"the density fitter ended with status {status}")
    return len(messages), seconds


def print_topics(bag: Path, steps: int) -> None:
    """Print whether topics give the models of the file."""
    os.environ["ROS_DOMAIN_ID"] = DOMAIN
    os.environ.update(missing_variables(os.environ))
    config = config_of("flow", steps)
    with tempfile.TemporaryDirectory() as folder:
        fit, *_ = fit_file(bag, config)
        file = Path(folder, FILE)
        fit.models.save(file)
        count, seconds = fit_topics(bag, config, Path(folder, "topics"))
        is_equal = Path(folder, "topics", FILE).read_bytes() == file.read_bytes()
    print("| over topics | s | transitions/s | times real time |\n|---|---:|---:|---:|")
    row("published", count, seconds)
    print(f"\nmodels of the file and of the topics: {'equal' if is_equal else 'NOT EQUAL'}")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("bag", type=Path, help="bag of a run, with transitions and joint states")
    parser.add_argument("--steps", type=int, default=1000, help="gradient steps of 256 states")
    parser.add_argument("--topics", action="store_true", help="compare with a replay, too")
    args = parser.parse_args()
    fit_file(args.bag, config_of("flow", 1))  # torch takes its time at the first step
    print_reading(args.bag)
    print_fits(args.bag, args.steps)
    if args.topics:
        print_topics(args.bag, args.steps)


if __name__ == "__main__":
    main()
