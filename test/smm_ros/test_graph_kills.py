"""The whole graph as processes: each node in turn is killed and started again on its own."""

import subprocess
from collections import Counter
from pathlib import Path

import pytest
import yaml

from smm_core import checkpoint
from smm_ros import interfaces as names
from smm_ros.bag.reading import read_messages
from smm_ros.conversions import status_from_msg
from smm_ros.graph import render
from smm_ros.msg import TrainingStatus
from smm_ros.node_process import command
from smm_ros.transition_wire import peek_transition

# The graph is held back to 250 steps/s; it goes on while the recorder is away.
REAL_TIME_FACTOR = 25
TOTAL = {"hand": 1000, "policy_server": 1000, "trainer": 1000, "recorder": 3000}
SETTINGS = {
    "hand": {"command_timeout": 2.0},
    "policy_server": {"state_timeout": 1.0},
    "recorder": {"flush_period": 0.5},
    "trainer": {
        "checkpoint_period": 200,
        "learner": {
            "batch_size": 16,
            "replay_capacity": 10_000,
            "random_steps": 100,
            "state": {"circular": [9, 10]},
            "target": {"name": "uniform_circle"},
            "sac": {"hidden": [16]},
            "density": {"vae": {"hidden": [16], "code_size": 2}},
            "history": {"period": 100, "capacity": 4},
        },
    },
}


class Run:
    """A running graph whose nodes can be killed and started again."""

    def __init__(self, ros, folder, total):
        self.ros, self.total = ros, total
        config = folder / "config.yaml"
        config.write_text(
            yaml.safe_dump({f"/**/{n}": {"ros__parameters": s} for n, s in SETTINGS.items()})
        )
        self.graph = render(
            "dclaw_hardware",
            {
                "sim": "true",
                "real_time_factor": str(REAL_TIME_FACTOR),
                "config": str(config),
                "total_steps": str(total),
                "run_dir": str(folder / "run"),
            },
        )
        self.graph.write_parameter_files()
        self.folder = folder
        self.processes = {}
        self._statuses = ros.collect(
            TrainingStatus, names.TRAINING_STATUS, names.TRAINING_STATUS_QOS
        )
        for node in self.graph.nodes:
            self.start(node.name)

    def start(self, name):
        node = next(node for node in self.graph.nodes if node.name == name)
        with self.log(name).open("a") as log:
            self.processes[name] = subprocess.Popen(
                command(self.graph, node), stdout=log, stderr=subprocess.STDOUT
            )

    def log(self, name):
        return self.folder / f"{name}.log"

    def kill(self, name):
        self.processes[name].kill()
        self.processes[name].wait()

    @property
    def status(self):
        return status_from_msg(self._statuses[-1]) if self._statuses else None

    def wait_until_it_learns(self):
        self.ros.wait_for(lambda: self.status and self.status.steps > 300, 90, "learning")

    def wait_for_the_end(self):
        """See the trainer end well, end the others, and return the last status."""
        self.ros.wait_for(lambda: self.processes["trainer"].poll() is not None, 90, "the end")
        assert self.processes["trainer"].returncode == 0
        for name in ("hand", "policy_server", "recorder"):
            self.processes[name].terminate()
            assert self.processes[name].wait(5) == 0, self.log(name).read_text()
        return self.status

    def recorded(self):
        """Return how often each transition is in the bag."""
        messages = read_messages(self.graph.run_dir / "bag", ["/dclaw/transitions"])
        return Counter(peek_transition(message.data)[1] for message in messages)

    def clean_up(self):
        for process in self.processes.values():
            if process.poll() is None:
                process.kill()
                process.wait()
        for name in self.processes:
            print(f"--- {name}\n{self.log(name).read_text()}")


@pytest.fixture
def run(ros, tmp_path, name):
    run = Run(ros, tmp_path, TOTAL[name])
    yield run
    run.clean_up()


def assert_counts_agree(run, status):
    """Each number is learnt from at most once; what is missing is counted, and told to the end."""
    hand = status.hands[0]
    assert status.done
    assert status.steps == run.total == hand.received_sequence - hand.gaps
    numbers = checkpoint.read(Path(status.checkpoint))[1]
    assert numbers["steps"] == run.total
    assert numbers["updates"] == run.total - SETTINGS["trainer"]["learner"]["random_steps"]
    assert numbers["extra"]["next_sequences"]["dclaw"] == hand.received_sequence
    assert set(run.recorded().values()) == {1}


@pytest.mark.parametrize("name", TOTAL)
def test_graph_goes_on_after_a_node_was_killed_and_started_again(run, reports, name):
    run.wait_until_it_learns()
    run.kill(name)
    for witness, words in {
        "hand": [("policy_server", "hand"), ("trainer", "no transitions of dclaw")],
        "policy_server": [("trainer", "no transitions of dclaw")],
        "trainer": [("policy_server", "waits for the trainer")],
        "recorder": [("trainer", "recorder is silent")],
    }[name]:
        reports.wait_for(witness, lambda r, words=words: r.level and words in r.message)
    run.start(name)
    status = run.wait_for_the_end()
    assert_counts_agree(run, status)
    # What is not learnt from, or not recorded, can only have died with the policy server.
    most = 1 if name == "policy_server" else 0
    assert status.hands[0].gaps <= most
    assert run.total - most <= len(run.recorded()) <= run.total
