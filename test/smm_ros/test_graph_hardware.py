"""The whole graph on the real hand's driver, with virtual motors at the other end of the port."""

import subprocess
import sys
import time

import numpy as np
import pytest
import yaml

from smm_core import checkpoint
from smm_ros.bag.reading import read_messages, read_transitions
from smm_ros.dclaw.dynamixel import registers as reg
from smm_ros.dclaw.virtual.hand import VirtualHand
from smm_ros.dclaw.virtual.port import VirtualPort

TOTAL = 60
"""Transitions: an episode and a fifth, at ten a second."""
SETTINGS = {
    # The machine may be busy; how short these can be is measured by benchmarks.
    "hand": {
        "bus_rate": 50.0,
        "bus_margin": 0.2,
        "blind_for": 1.0,
        "bus_watchdog": 2.0,
        "hold_after": 1.5,
        "limp_after": 5.0,
    },
    "trainer": {
        "checkpoint_period": 20,
        "learner": {"batch_size": 16, "random_steps": 20, "sac": {"hidden": [16]}},
    },
}


@pytest.fixture(name="port")
def open_port():
    with VirtualPort(VirtualHand()) as port:
        yield port


@pytest.fixture(name="graph")
def running_graph(ros_environment, tmp_path, port):
    config = tmp_path / "config.yaml"
    config.write_text(
        yaml.safe_dump({f"/**/{n}": {"ros__parameters": s} for n, s in SETTINGS.items()})
    )
    arguments = {
        "sim": "false",
        "port": port.path,
        "config": config,
        "total_steps": TOTAL,
        "run_dir": tmp_path / "run",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "smm_ros.cli", "up", "--no-watch", "dclaw_hardware"]
        + [f"{name}:={value}" for name, value in arguments.items()],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    yield process
    process.terminate()
    print(process.communicate(timeout=30)[0])


def wait_until(condition, process, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        assert process.poll() is None
        time.sleep(0.05)


def test_the_graph_learns_from_a_real_hand_gets_over_a_fault_and_leaves_it_limp(
    graph, port, tmp_path
):
    def torque():
        return [servo.get(reg.TORQUE_ENABLE) for servo in port.hand.servos]

    wait_until(lambda: torque()[9], graph)  # the first reset turns the valve
    wait_until(lambda: not torque()[9], graph)
    time.sleep(1.0)
    port.command("overload 11")
    assert graph.wait(90) == 0
    assert torque() == [0] * 10

    bag = tmp_path / "run" / "bag"
    newest = checkpoint.newest(tmp_path / "run" / "checkpoints")
    assert checkpoint.read(newest)[1]["steps"] == TOTAL
    assert [t.sequence for t in read_transitions(bag)] == list(range(TOTAL))
    headers = [message.decode().header for message in read_messages(bag, ["/dclaw/joint_states"])]
    stamps = [header.stamp.sec * 10**9 + header.stamp.nanosec for header in headers]
    assert stamps == sorted(set(stamps))  # no measurement is shown twice
    assert np.median(np.diff(stamps)) == pytest.approx(1e8, rel=0.1)
    told = [
        pair.value
        for message in read_messages(bag, ["/diagnostics"])
        for status in message.decode().status
        for pair in status.values
        if pair.key == "last event"
    ]
    fault = "motor 11 reports overload"
    assert {fault, f"recovered from: {fault}"} <= set(told)
