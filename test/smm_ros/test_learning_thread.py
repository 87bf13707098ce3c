"""The learner's thread, fed by hand: no ROS."""

import dataclasses
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from smm_core import checkpoint
from smm_core.config import ConfigError
from smm_core.densities.density import DensityConfig
from smm_core.densities.vae import VAEConfig
from smm_core.history import HistoryConfig
from smm_core.learner import LearnerConfig
from smm_core.sac import SACConfig
from smm_core.state_space import StateConfig
from smm_core.targets.target import TargetConfig
from smm_core.transitions import Layout, TransitionError
from smm_ros.learning_thread import LearningThread
from smm_ros.records import HandProgress
from smm_ros.trainer_config import TrainerConfig

LAYOUT = Layout(4, 2)
SMALL = LearnerConfig(
    batch_size=8,
    replay_capacity=1000,
    random_steps=10,
    sac=SACConfig(hidden=(8,)),
    density=DensityConfig(vae=VAEConfig(hidden=(8,), code_size=2)),
    state=StateConfig(circular=(2, 3)),
    target=TargetConfig(name="uniform_circle"),
    history=HistoryConfig(period=5, capacity=4),
)


class Started:
    """A thread under test and what it told."""

    def __init__(self, make_record, **settings):
        self.make_record = make_record
        self.snapshots, self.told = [], threading.Event()
        config = TrainerConfig(**{"learner": SMALL, **settings})
        self.thread = LearningThread(config, LAYOUT, self.snapshots.append, self.told.set)
        self.thread.start()

    def wait_for(self, condition, timeout=30.0):
        end = time.monotonic() + timeout
        while not condition(self.thread.progress):
            if self.thread.error:
                raise self.thread.error
            assert time.monotonic() < end, self.thread.progress
            time.sleep(0.005)

    def feed(self, *sequences, hand="dclaw", **fields):
        for sequence in sequences:
            self.thread.put(self.make_record(sequence, 4, 2, hand=hand, **fields))


@pytest.fixture
def start(make_record):
    started = []

    def start(**settings):
        started.append(Started(make_record, **settings))
        return started[-1]

    yield start
    for one in started:
        one.thread.stop()


def test_it_makes_one_update_for_each_step_after_the_random_ones(start):
    run = start()
    run.feed(*range(30))
    run.wait_for(lambda progress: progress.updates == 20)
    assert run.thread.progress.steps == 30


def test_it_lets_a_hand_be_one_window_ahead(start):
    run = start(window=16)
    run.wait_for(lambda progress: progress.hands)
    assert run.thread.progress.hands[0].allowed_sequence == 16
    run.feed(*range(5))
    run.wait_for(lambda progress: progress.steps == 5)
    assert run.thread.progress.hands[0].allowed_sequence == 21


def test_all_hands_together_are_allowed_exactly_the_total(start):
    run = start(hands=("a", "b", "c"), total_steps=25, window=10)
    run.wait_for(lambda progress: progress.hands)
    produced = dict.fromkeys(("a", "b", "c"), 0)
    while not run.thread.progress.done:
        for hand in run.thread.progress.hands:
            run.feed(*range(produced[hand.hand], hand.allowed_sequence), hand=hand.hand)
            produced[hand.hand] = max(produced[hand.hand], hand.allowed_sequence)
        time.sleep(0.01)
    assert sum(produced.values()) == 25 == run.thread.progress.steps


def test_a_gap_is_counted_and_a_repeated_transition_is_not_learnt_twice(start):
    run = start()
    run.feed(0, 1, 1, 0, 5, 6)
    run.wait_for(lambda progress: progress.steps == 4)
    assert run.thread.progress.hands[0].gaps == 3
    assert run.thread.progress.hands[0].received_sequence == 7


def test_a_hand_whose_numbers_begin_again_is_learnt_from_and_let_go_on(start):
    run = start(window=8)
    run.feed(*range(30))
    run.wait_for(lambda progress: progress.steps == 30)
    run.feed(*range(5), policy_version=1)
    run.wait_for(lambda progress: progress.steps == 35)
    (hand,) = run.thread.progress.hands
    assert (hand.received_sequence, hand.allowed_sequence, hand.gaps) == (5, 13, 0)


def test_snapshots_are_told_in_order_and_the_kept_ones_have_weights(start):
    run = start()
    run.feed(*range(60))
    run.wait_for(lambda progress: progress.policy_version == 11)
    assert [snapshot.version for snapshot in run.snapshots] == list(range(1, 12))
    kept = run.thread.kept
    assert [s.version for s in kept.snapshots] == list(kept.weights) == list(kept.trained_steps)
    assert len(kept.snapshots) == SMALL.history.capacity
    assert sum(kept.weights.values()) == pytest.approx(1)
    assert kept.trained_steps[11] == 60


def test_stopping_saves_and_a_new_thread_goes_on(start, tmp_path):
    run = start(run_dir=str(tmp_path))
    run.feed(*range(25), 27)
    run.wait_for(lambda progress: progress.updates == 16)
    run.thread.stop()
    again = start(run_dir=str(tmp_path))
    again.wait_for(lambda progress: progress.hands)
    progress = again.thread.progress
    assert (progress.steps, progress.updates) == (26, 16)
    assert progress.hands[0].received_sequence == 28
    assert progress.hands[0].gaps == 2
    assert [s.version for s in again.snapshots] == list(run.thread.kept.weights)
    assert again.thread.kept.trained_steps == run.thread.kept.trained_steps


def test_reaching_the_total_saves_a_checkpoint_of_all(start, tmp_path):
    run = start(run_dir=str(tmp_path), total_steps=20)
    run.feed(*range(20))
    run.wait_for(lambda progress: progress.done)
    path = checkpoint.newest(tmp_path / "checkpoints")
    assert str(path) == run.thread.progress.checkpoint
    assert checkpoint.read(path)[1]["steps"] == 20


def test_a_checkpoint_of_another_run_brings_what_was_learnt_but_not_its_numbers(start, tmp_path):
    first = start(run_dir=str(tmp_path / "first"))
    first.feed(*range(25), 27)
    first.wait_for(lambda progress: progress.updates == 16)
    first.thread.stop()
    path = first.thread.progress.checkpoint
    second = start(run_dir=str(tmp_path / "second"), checkpoint=path)
    second.wait_for(lambda progress: progress.hands)
    assert second.thread.progress.hands[0] == HandProgress("dclaw", 0, 32, 0)
    second.feed(0, 1)
    second.wait_for(lambda progress: progress.updates == 18)
    assert second.thread.progress.steps == 28
    # Started anew with the same settings it goes on from its own checkpoint.
    second.thread.stop()
    third = start(run_dir=str(tmp_path / "second"), checkpoint=path)
    third.wait_for(lambda progress: progress.hands)
    assert third.thread.progress.steps == 28
    assert third.thread.progress.hands[0].received_sequence == 2


def test_hands_of_an_earlier_start_that_are_not_fed_from_get_no_share(start, tmp_path):
    first = start(run_dir=str(tmp_path), hands=("a", "b"))
    first.feed(0, 1, hand="a")
    first.wait_for(lambda progress: progress.steps == 2)
    first.thread.stop()
    second = start(run_dir=str(tmp_path), hands=("/a/", "a"), total_steps=10)
    second.wait_for(lambda progress: progress.hands)
    assert [hand.hand for hand in second.thread.progress.hands] == ["a"]
    assert second.thread.progress.hands[0].allowed_sequence == 10


def test_learning_goes_on_when_no_checkpoint_can_be_saved(start, tmp_path):
    obstacle = tmp_path / "checkpoints"
    obstacle.write_text("a file where the folder should be")
    run = start(run_dir=str(tmp_path), checkpoint_period=10)
    run.feed(*range(15))
    run.wait_for(lambda progress: progress.updates == 5)
    assert str(obstacle) in run.thread.progress.save_fault
    obstacle.unlink()
    run.feed(*range(15, 25))
    run.wait_for(lambda progress: progress.checkpoint)
    assert run.thread.progress.save_fault == ""


def test_an_empty_bag_folder_is_one_that_nothing_was_recorded_in_yet(start, tmp_path):
    (tmp_path / "bag").mkdir()
    run = start(bag=str(tmp_path / "bag"), bag_delay=30.0)
    run.feed(0)
    run.wait_for(lambda progress: progress.steps == 1)


def test_what_waits_to_be_taken_in_counts_as_behind(start):
    slow = dataclasses.replace(SMALL, updates_per_step=1e6)
    run = start(learner=slow)
    run.feed(*range(SMALL.random_steps + 4))
    run.wait_for(lambda progress: progress.updates > 0)
    run.wait_for(lambda progress: progress.behind > 3e6)
    assert run.thread.progress.behind <= 4e6


def test_stopping_does_not_wait_for_the_updates_owed(start, tmp_path):
    slow = dataclasses.replace(SMALL, updates_per_step=1e6)
    run = start(learner=slow, run_dir=str(tmp_path))
    run.feed(*range(12))
    run.wait_for(lambda progress: progress.behind > 0 and progress.updates > 0)
    begin = time.monotonic()
    run.thread.stop()
    assert time.monotonic() - begin < 1.0
    assert checkpoint.read(Path(run.thread.progress.checkpoint))[1]["updates"] > 0


def test_stopping_does_not_wait_for_the_bag(start, tmp_path):
    (tmp_path / "bag_0.mcap").touch()
    run = start(bag=str(tmp_path), bag_delay=60.0)
    time.sleep(0.1)
    begin = time.monotonic()
    run.thread.stop()
    assert time.monotonic() - begin < 1.0


def test_a_transition_that_is_no_number_stops_it_with_the_reason(start, make_record):
    run = start()
    bad = make_record(0, 4, 2)
    bad.observation[1] = np.nan
    run.thread.put(bad)
    with pytest.raises(TransitionError, match="obs"):
        run.wait_for(lambda progress: progress.steps > 0)


def test_a_device_that_is_not_there_is_refused_before_the_thread_begins():
    config = TrainerConfig(learner=SMALL, device="cuda:99")
    with pytest.raises(ConfigError, match="device is 'cuda:99', but torch"):
        LearningThread(config, LAYOUT, print, print)
