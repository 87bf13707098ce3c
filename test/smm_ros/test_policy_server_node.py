"""The policy server as a process, with the real hand; the test takes the part of the trainer."""

import time

import pytest
import torch
from rcl_interfaces.srv import DescribeParameters
from std_srvs.srv import Trigger

from smm_core.generators import Generators
from smm_core.history import Snapshot, checksum
from smm_core.networks import Actor
from smm_core.transitions import Layout
from smm_ros import interfaces as names
from smm_ros.conversions import policy_to_msg, status_to_msg, transition_from_msg
from smm_ros.msg import EpisodeSummary, PolicySnapshot, TrainingStatus, Transition
from smm_ros.records import HandProgress, PolicyRecord, StatusRecord

OK, WARN = 0, 1
LAYOUT = Layout(12, 9)
HIDDEN = [16]
EPISODE_STEPS = 10


def policy(version, layout=LAYOUT, hidden=HIDDEN, kept=None, damage="", fill=None):
    """Return a snapshot of random weights as a message's content; `damage` goes to the bytes."""
    weights = Actor(
        Generators([version]), layout.obs_size, layout.action_size, hidden
    ).state_dict()
    if fill is not None:
        weights = {name: torch.full_like(tensor, fill) for name, tensor in weights.items()}
    data = Snapshot(version, layout, weights).to_bytes()
    kept = kept or {version: 1.0}
    return PolicyRecord(
        stamp_ns=0,
        version=version,
        sha256=checksum(data + damage.encode()),
        observation_size=layout.obs_size,
        action_size=layout.action_size,
        num_skills=layout.num_skills,
        trained_steps=0,
        history_versions=tuple(kept),
        history_weights=tuple(kept.values()),
        skill_prior=(1.0 / layout.num_skills,) * layout.num_skills,
        weights=data,
    )


class Trainer:
    """What the policy server sees of a trainer."""

    def __init__(self, ros):
        self.ros = ros
        self.statuses = ros.node.create_publisher(
            TrainingStatus, names.TRAINING_STATUS, names.TRAINING_STATUS_QOS
        )
        self.policies = ros.node.create_publisher(PolicySnapshot, names.POLICY, names.POLICY_QOS)
        self.messages = ros.collect(Transition, names.TRANSITIONS, names.TRANSITIONS_QOS)
        self.episodes = ros.collect(EpisodeSummary, names.EPISODES, names.EPISODES_QOS)

    @property
    def transitions(self):
        return [transition_from_msg(message) for message in self.messages]

    @property
    def sequences(self):
        return [message.sequence for message in self.messages]

    def say(self, allowed, received=None, version=0, hand="dclaw"):
        """Tell how far the hand may go; by default as if all that came was taken."""
        received = len(self.messages) if received is None else received
        status = StatusRecord(
            stamp_ns=0, steps=0, updates=0, total_steps=0, steps_per_second=0.0,
            updates_per_second=0.0, policy_version=version, replay_size=0, replay_capacity=1,
            hands=(HandProgress(hand, received, allowed, 0),), metrics={}, checkpoint="",
            done=False,
        )  # fmt: skip
        self.statuses.publish(status_to_msg(status))

    def send(self, *records):
        for record in records:
            self.policies.publish(policy_to_msg(record))

    def wait_for(self, count):
        self.ros.wait_for(lambda: len(self.messages) >= count, what=f"{count} transitions")


@pytest.fixture
def trainer(ros):
    return Trainer(ros)


@pytest.fixture
def serve(start_node, tmp_path):
    """Return a function that starts the policy server."""

    def serve(**settings):
        return start_node(
            "policy_server",
            **{
                "run_dir": str(tmp_path),
                "hidden": HIDDEN,
                "episode_steps": EPISODE_STEPS,
                "state_timeout": 1.0,
                "history": {"capacity": 5},
                **settings,
            },
        )

    return serve


@pytest.fixture
def hand(start_node):
    return start_node("hand", real_time_factor=0.0)


def test_transitions_are_numbered_without_gap_and_end_exactly_at_the_allowance(
    trainer, hand, serve, reports
):
    serve()
    reports.wait_for("policy_server", lambda report: "the trainer" in report.values["phase"])
    assert trainer.sequences == []
    for allowed in (25, 26, 60):
        trainer.say(allowed)
        trainer.wait_for(allowed)
        trainer.ros.spin(0.3)
        assert trainer.sequences == list(range(allowed))
    for index, transition in enumerate(trainer.transitions):
        assert (transition.episode, transition.step) == divmod(index, EPISODE_STEPS)
        assert transition.truncated == (transition.step == EPISODE_STEPS - 1)
        assert (transition.hand, transition.policy_version) == ("dclaw", 0)
    stamps = [t.stamp_ns for t in trainer.transitions[:EPISODE_STEPS]]
    assert [after - stamps[0] for after in stamps] == [n * 10**8 for n in range(EPISODE_STEPS)]


def test_episode_waits_for_the_policy_that_the_trainer_announced(trainer, hand, serve, reports):
    serve()
    trainer.say(100, version=1)
    reports.wait_for("policy_server", lambda r: "waits for policy 1" in r.message)
    assert trainer.sequences == []
    trainer.send(policy(1))
    trainer.wait_for(100)
    assert {t.policy_version for t in trainer.transitions} == {1}


def test_policy_that_does_not_fit_is_refused_and_the_last_good_one_plays_on(
    trainer, hand, serve, reports
):
    server = serve()
    trainer.say(10, version=1)
    trainer.send(policy(1))
    trainer.wait_for(10)
    bad = {
        "checksum": policy(2, damage="!"),
        "Layout": policy(3, layout=Layout(11, 9)),
        "sac.hidden": policy(4, hidden=[32]),
        "not finite": policy(5, fill=float("nan")),
    }
    for number, (reason, record) in enumerate(bad.items(), start=1):
        trainer.send(record)
        report = reports.wait_for(
            "policy_server", lambda r, n=number: r.values["policies refused"] == str(n)
        )
        assert report.level == WARN
        assert reason in report.message
        assert reason in server.output
        trainer.say(10 + 10 * number, version=record.version)
        trainer.wait_for(10 + 10 * number)
    assert {t.policy_version for t in trainer.transitions} == {1}
    trainer.send(policy(6, kept={1: 0.5, 6: 0.5}))
    trainer.say(60, version=6)
    trainer.wait_for(60)
    assert trainer.transitions[-1].policy_version == 6
    assert reports.wait_for("policy_server", lambda r: "refused" not in r.message)


def test_stopped_hand_is_named_as_the_reason_and_clearing_the_stop_goes_on(
    trainer, hand, serve, reports, ros
):
    serve(episode_steps=1_000_000)
    trainer.say(1_000_000)
    trainer.wait_for(20)
    assert ros.call(Trigger, names.STOP).success
    report = reports.wait_for("policy_server", lambda r: "clear_stop" in r.message)
    assert report.level == WARN
    stopped = len(trainer.messages)
    ros.spin(1.0)
    assert len(trainer.messages) == stopped
    assert hand.output.count("reset refused") < 10
    assert ros.call(Trigger, names.CLEAR_STOP).success
    trainer.wait_for(stopped + 20)
    assert trainer.sequences == list(range(len(trainer.sequences)))
    assert [episode.interrupted for episode in trainer.episodes] == [True]
    assert reports.wait_for("policy_server", lambda r: r.level == OK)


def test_server_that_is_killed_goes_on_with_the_next_number(trainer, hand, serve, reports):
    first = serve()
    trainer.say(1_000_000)
    trainer.wait_for(30)
    first.kill()
    trainer.ros.spin(0.5)
    before = len(trainer.messages)
    second = serve()
    trainer.wait_for(before + 30)
    numbers = trainer.sequences
    assert numbers == sorted(set(numbers))
    # At most the one under way when it was killed is missing.
    assert numbers[-1] - (len(numbers) - 1) <= 1
    assert trainer.messages[before].step == 0
    begin = time.monotonic()
    assert second.terminate() == 0
    assert time.monotonic() - begin < 2.0


def test_hand_that_is_killed_in_a_reset_is_asked_again_when_it_is_back(
    trainer, serve, start_node, reports
):
    first = start_node("hand", real_time_factor=0.05)  # a reset of 2 s: a report falls into it
    serve(state_timeout=5.0)  # the new hand is there, and shows states, before this is over
    trainer.say(20)
    reports.wait_for("hand", lambda r: r.values["phase"] == "resetting")
    first.kill()
    start_node("hand", real_time_factor=0.0)
    trainer.wait_for(20)


def test_ending_tells_of_the_episode_under_way_and_leaves_the_hand_alone(trainer, hand, serve):
    server = serve()
    trainer.say(EPISODE_STEPS + 5)
    trainer.wait_for(EPISODE_STEPS + 5)
    assert server.terminate() == 0
    trainer.ros.wait_for(lambda: len(trainer.episodes) == 2, what="the last episode")
    assert [(e.steps, e.interrupted) for e in trainer.episodes] == [
        (EPISODE_STEPS, False),
        (5, True),
    ]
    assert "reset" not in hand.output


def test_one_more_is_played_when_the_trainer_waits_for_transitions_that_are_lost(
    trainer, hand, serve, ros
):
    server = serve(loss_timeout=1.0)
    trainer.say(12)
    trainer.wait_for(12)
    end = time.monotonic() + 20
    while len(trainer.messages) < 13:
        trainer.say(12, received=9)
        ros.spin(0.1)
        assert time.monotonic() < end
    assert "has not taken transitions 9 to 11" in server.output
    trainer.say(14)
    trainer.wait_for(14)
    assert trainer.sequences == list(range(14))


def test_server_without_its_numbers_goes_on_from_the_trainer_s(trainer, hand, serve):
    serve(run_dir="")
    trainer.say(520, received=500)
    trainer.wait_for(20)
    assert trainer.sequences == list(range(500, 520))


def test_trainer_of_another_hand_is_told_apart(trainer, hand, serve, reports):
    serve()
    trainer.say(100, hand="other")
    report = reports.wait_for("policy_server", lambda r: "other" in r.message)
    assert "dclaw" in report.message
    assert trainer.sequences == []


def test_parameters_are_described_with_their_ranges(trainer, serve, ros):
    serve()
    request = DescribeParameters.Request(names=["episode_steps", "valve_reset", "history.growth"])
    answer = ros.call(DescribeParameters, "policy_server/describe_parameters", request)
    steps, reset, growth = answer.descriptors
    assert steps.integer_range[0].from_value == 1
    assert "'keep'" in reset.description
    assert reset.additional_constraints == "one of: zero, keep"
    assert growth.floating_point_range[0].from_value == 1.0
    assert all(d.description and d.read_only for d in answer.descriptors)


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"episode_step": 10}, "unknown parameter 'episode_step'; did you mean 'episode_steps'?"),
        ({"valve_reset": "no"}, "parameter valve_reset is 'no', expected one of zero, keep"),
    ],
)
def test_bad_parameter_is_one_line_and_status_one(start_node, settings, error):
    server = start_node("policy_server", **settings)
    assert server.wait() == 1
    assert server.output.strip() == f"error: {error}"
