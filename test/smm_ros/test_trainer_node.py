"""The trainer as a process; the test takes the part of the hand and its policy server."""

import re
import time
from pathlib import Path

import numpy as np
import pytest
from rcl_interfaces.srv import DescribeParameters

from smm_core import checkpoint
from smm_core.history import Snapshot
from smm_core.transitions import Layout
from smm_ros import interfaces as names
from smm_ros.conversions import policy_from_msg, status_from_msg, transition_to_msg
from smm_ros.msg import PolicySnapshot, TrainingStatus, Transition
from smm_ros.records import HandProgress

WARN, ERROR = 1, 2
RANDOM_STEPS, PERIOD, CAPACITY = 10, 10, 3
LEARNER = {
    "batch_size": 8,
    "replay_capacity": 500,
    "random_steps": RANDOM_STEPS,
    "sac": {"hidden": [8]},
    "density": {"vae": {"hidden": [8], "code_size": 2}},
    "state": {"circular": [9, 10]},
    "target": {"name": "uniform_circle"},
    "history": {"period": PERIOD, "capacity": CAPACITY},
}


class Hand:
    """What the trainer sees of a hand and its policy server, and what they see of it."""

    def __init__(self, ros, make_record):
        self.ros, self.make_record = ros, make_record
        self.transitions = self._publisher()
        self.statuses = ros.collect(
            TrainingStatus, names.TRAINING_STATUS, names.TRAINING_STATUS_QOS
        )
        self.policies = self.listen()

    def _publisher(self):
        return self.ros.node.create_publisher(Transition, names.TRANSITIONS, names.TRANSITIONS_QOS)

    def start_anew(self):
        """Forget all transitions, as a policy server does that was killed and started again."""
        self.ros.node.destroy_publisher(self.transitions)
        self.transitions = self._publisher()

    def listen(self):
        return self.ros.collect(PolicySnapshot, names.POLICY, names.policy_qos(CAPACITY))

    def wait_for_listeners(self, count=1):
        """Wait until the trainer is ready for transitions; with it the recorder, if any."""
        heard = self.transitions.get_subscription_count
        self.ros.wait_for(lambda: heard() >= count, what="who listens to transitions")
        self.wait_for(lambda status: status.hands)
        self.ros.spin(0.3)

    def feed(self, *sequences):
        for sequence in sequences:
            self.transitions.publish(transition_to_msg(self.make_record(sequence)))

    def wait_for(self, condition):
        """Return the first status from now on that meets the condition."""
        self.statuses.clear()

        def found():
            statuses = map(status_from_msg, list(self.statuses))
            return next((status for status in statuses if condition(status)), None)

        return self.ros.wait_for(found, what="a training status")


@pytest.fixture
def hand(ros, make_record):
    return Hand(ros, make_record)


@pytest.fixture
def start(start_node, tmp_path):
    """Return a function that starts the trainer; dictionaries are settings of the learner."""

    def start(learner=None, **settings):
        learner = {**LEARNER, **(learner or {})}
        return start_node("trainer", run_dir=str(tmp_path), learner=learner, window=16, **settings)

    return start


def checkpoints(folder):
    return sorted((folder / "checkpoints").iterdir())


def test_status_counts_what_was_learnt_and_a_signal_saves_it(hand, start, tmp_path):
    trainer = start(learner={"updates_per_step": 0.5})
    hand.wait_for_listeners()
    hand.feed(*range(57), 60)
    status = hand.wait_for(lambda s: s.updates >= (58 - RANDOM_STEPS) / 2 and s.metrics)
    assert (status.steps, status.updates) == (58, (58 - RANDOM_STEPS) // 2)
    assert status.hands == (HandProgress("dclaw", 61, 61 + 16, 3),)
    assert (status.replay_size, status.replay_capacity) == (58, 500)
    assert status.policy_version == 1 + (58 - RANDOM_STEPS) // PERIOD
    assert status.metrics["angle_entropy_replay"] > 0
    assert (status.total_steps, status.done, status.checkpoint) == (0, False, "")
    hand.ros.spin(0.5)
    assert hand.wait_for(lambda s: s).updates == status.updates
    assert trainer.terminate() == 0
    assert checkpoint.read(checkpoints(tmp_path)[-1])[1]["updates"] == status.updates


def test_policies_are_whole_and_a_late_server_gets_all_that_are_kept(hand, start):
    start()
    hand.wait_for_listeners()
    for first in range(0, 60, PERIOD):
        hand.feed(*range(first, first + PERIOD))
        hand.wait_for(lambda s, n=first + PERIOD: s.steps == n)
    hand.ros.wait_for(lambda: len(hand.policies) == 6, what="the policies")
    for version, record in enumerate(map(policy_from_msg, hand.policies), start=1):
        assert (record.version, record.trained_steps) == (version, RANDOM_STEPS * version)
        layout = Layout(record.observation_size, record.action_size, record.num_skills)
        assert layout == Layout(12, 9, 1)
        Snapshot.from_bytes(version, layout, record.weights, record.sha256)
        assert version == record.history_versions[-1]
        assert len(record.history_versions) == len(record.history_weights) <= CAPACITY
        assert sum(record.history_weights) == pytest.approx(1)
        assert record.skill_prior == (1.0,)
    newest = policy_from_msg(hand.policies[-1])
    late = hand.listen()
    hand.ros.wait_for(
        lambda: set(newest.history_versions) <= {message.version for message in late},
        what="all kept policies",
    )
    assert policy_from_msg(late[-1]).history_weights == newest.history_weights


def test_it_ends_with_a_checkpoint_after_exactly_its_steps(hand, start, tmp_path):
    trainer = start(total_steps=25)
    hand.wait_for_listeners()
    hand.feed(*range(5))
    assert hand.wait_for(lambda s: s.steps == 5).hands[0].allowed_sequence == 21
    hand.feed(*range(5, 30))
    status = hand.wait_for(lambda s: s.done)
    assert (status.steps, status.updates) == (25, 15)
    assert trainer.wait() == 0
    assert Path(status.checkpoint) == checkpoints(tmp_path)[-1]
    numbers = checkpoint.read(Path(status.checkpoint))[1]
    assert (numbers["steps"], numbers["updates"]) == (25, 15)


@pytest.mark.parametrize("kept_by", ["bag", "policy server", "nobody"])
def test_trainer_that_is_killed_goes_on_from_checkpoint_and_what_others_kept(
    hand, start, start_node, tmp_path, kept_by
):
    bag = str(tmp_path / "bag") if kept_by == "bag" else ""
    if bag:
        start_node("recorder", bag_dir=bag)
    first = start(bag=bag, checkpoint_period=20)
    hand.wait_for_listeners(2 if bag else 1)
    hand.feed(*range(45))
    hand.wait_for(lambda s: s.updates == 35)
    first.kill()
    hand.feed(*range(45, 50))  # it never hears these
    if kept_by != "policy server":
        hand.ros.spin(0.5)
        hand.start_anew()
    second = start(bag=bag, checkpoint_period=20)
    restored = 40 if kept_by == "nobody" else 50
    status = hand.wait_for(lambda s: s.hands and s.updates == restored - RANDOM_STEPS)
    assert (status.steps, status.hands[0].received_sequence) == (restored, restored)
    origin = f"goes on from .*checkpoint-000000040.* and {10 if bag else 0} transitions of the bag"
    hand.ros.wait_for(lambda: re.search(origin, second.output), what=origin)
    hand.ros.spin(0.5)
    hand.feed(49, 50, 53) if restored == 50 else hand.feed(50, 53)
    status = hand.wait_for(lambda s: s.steps == restored + 2)
    assert status.hands[0] == HandProgress("dclaw", 54, 70, 50 - restored + 2)
    assert second.terminate() == 0


def test_trainer_with_bags_that_is_killed_has_what_one_has_that_was_not(
    hand, start, start_node, bag_of, make_record, reports, tmp_path
):
    """Killed before its first checkpoint: it reads the bags anew, and then its own."""
    earlier = {n: [make_record(sequence) for sequence in range(n, n + 30)] for n in (100, 200)}
    bags = [str(bag_of(f"earlier_{n}", records)) for n, records in earlier.items()]
    own = {"bag": str(tmp_path / "bag"), "bags": bags, "bag_updates": 5}
    start_node("recorder", bag_dir=own["bag"])
    first = start(**own)
    hand.wait_for_listeners(2)
    hand.feed(*range(20))
    status = hand.wait_for(lambda s: s.updates == 20 - RANDOM_STEPS)
    assert (status.steps, status.replay_size) == (20, 80)
    hand.ros.spin(1.0)  # the recorder has it all
    first.kill()
    hand.start_anew()
    second = start(**own)
    report = reports.wait_for("trainer", lambda r: r.values.get("replay") == "80")
    assert report.values["transitions of earlier runs"] == "60"
    hand.wait_for(lambda s: s.hands and s.updates == 20 - RANDOM_STEPS)
    assert "goes on from 60 transitions of" in second.output
    assert second.terminate() == 0
    found = checkpoint.open_learner(checkpoints(tmp_path)[-1])
    assert (found.prefilled, found.steps) == (60, 20)
    seen = [*range(100, 130), *range(200, 230), *range(20)]
    expected = np.array([make_record(sequence).next_observation for sequence in seen])
    assert np.array_equal(found.replay.reached()[0].numpy(), expected)


def test_trainer_whose_bags_are_missing_ends_with_the_reason(start, tmp_path):
    trainer = start(bags=[str(tmp_path / "absent")])
    assert trainer.wait() == 1
    assert "absent" in trainer.output
    assert "Traceback" not in trainer.output


def test_it_says_what_it_reads_and_stays_responsive(hand, start, bag_of, make_record, reports):
    """Its services answer meanwhile, and a signal ends it without a checkpoint of a part."""
    bag = bag_of("large", [make_record(sequence) for sequence in range(3000)])
    trainer = start(bags=[str(bag)], bag_updates=1_000_000)
    report = reports.wait_for("trainer", lambda r: "fitting" in r.message)
    assert report.message.startswith("restoring: fitting the density")
    assert report.values["replay"] == "500"
    request = DescribeParameters.Request(names=["bags"])
    (described,) = hand.ros.call(
        DescribeParameters, f"{names.TRAINER_NODE}/describe_parameters", request
    ).descriptors
    assert "earlier runs" in described.description
    begin = time.monotonic()
    assert trainer.terminate() == 0
    assert time.monotonic() - begin < 3.0


def test_update_under_way_does_not_hold_up_a_signal(hand, start, tmp_path):
    trainer = start(
        learner={"updates_per_step": 1e6, "batch_size": 4096, "sac": {"hidden": [256, 256]}}
    )
    hand.wait_for_listeners()
    hand.feed(*range(12))
    hand.wait_for(lambda s: s.updates > 0)
    begin = time.monotonic()
    assert trainer.terminate() == 0
    assert time.monotonic() - begin < 3.0
    assert checkpoint.read(checkpoints(tmp_path)[-1])[1]["updates"] > 0


def test_hand_and_recorder_that_fall_silent_are_reported(
    hand, start, start_node, reports, tmp_path
):
    recorder = start_node("recorder", bag_dir=str(tmp_path / "bag"))
    start(bag=str(tmp_path / "bag"))
    hand.wait_for_listeners(2)
    hand.feed(0, 3)
    report = reports.wait_for("trainer", lambda r: "lost" in r.message)
    assert report.message == "2 transitions of dclaw were lost on the way"
    reports.wait_for("recorder", lambda r: True)  # one that was never heard is given longer
    recorder.kill()
    expected = "recorder is silent", "no transitions of dclaw", "2 transitions of dclaw"
    report = reports.wait_for("trainer", lambda r: all(text in r.message for text in expected), 45)
    assert report.level == WARN


def test_run_goes_on_when_no_checkpoint_can_be_saved_and_says_so(hand, start, reports, tmp_path):
    obstacle = tmp_path / "checkpoints"
    obstacle.write_text("a file where the folder should be")
    trainer = start(checkpoint_period=10, total_steps=40)
    hand.wait_for_listeners()
    hand.feed(*range(15))
    report = reports.wait_for("trainer", lambda r: str(obstacle) in r.message)
    assert report.level == ERROR
    hand.feed(*range(15, 40))
    assert trainer.wait() == 1
    assert "learnt from all 40 transitions" in trainer.output.splitlines()[-1]
    assert trainer.output.count(str(obstacle)) >= 2


def test_parameters_are_described_with_their_ranges(start, ros):
    start()
    request = DescribeParameters.Request(
        names=["window", "hands", "learner.sac.discount", "learner.history.rule"]
    )
    answer = ros.call(DescribeParameters, "trainer/describe_parameters", request)
    window, hands, discount, rule = answer.descriptors
    limits = window.integer_range[0]
    assert (limits.from_value, limits.to_value) == (1, 100_000)
    limits = discount.floating_point_range[0]
    assert (limits.from_value, limits.to_value) == (0.0, 1.0)
    assert rule.additional_constraints == "one of: uniform, linear, exponential, last"
    assert "Namespaces" in hands.description
    assert all(d.description and d.read_only for d in answer.descriptors)


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        (
            {"learner": {"batch_sise": 8}},
            "'learner.batch_sise'; did you mean 'learner.batch_size'",
        ),
        ({"window": 0}, "parameter window is 0, expected at least 1"),
        ({"hands": [""]}, "parameter hands is ('',), expected at least one hand"),
        ({"checkpoint": "/no/such"}, "/no/such is not a readable checkpoint"),
    ],
)
def test_what_it_can_not_start_with_is_one_line_and_status_one(start_node, settings, error):
    trainer = start_node("trainer", **settings)
    assert trainer.wait(20) == 1
    assert len(trainer.output.splitlines()) == 1
    assert trainer.output.startswith("error: ")
    assert error in trainer.output
