"""Transitions into samples: gaps and recordings are counted, the D'Claw has its own defaults."""

from dataclasses import replace

import numpy as np
import pytest

from smm_core.config import ConfigError, from_mapping
from smm_core.offline.fit_config import FitConfig
from smm_core.offline.state_samples import FitError
from smm_core.state_space import StateSpace
from smm_ros.bag.offline.fit_stream import (
    MARGIN,
    STRETCH,
    FitStream,
    coordinate_names,
    with_defaults,
)

CONFIG = from_mapping(
    FitConfig, {"density": {"model": "gaussian_mixture"}, "steps": 3, "state": {"linear": [0]}}
)


@pytest.fixture
def stream_of(make_record):
    """Return a function that makes a stream of transitions with these numbers."""

    def make(*sequences, config=CONFIG, **fields):
        stream = FitStream(config)
        for sequence in sequences:
            stream.add(make_record(sequence, **{"episode": sequence // 10} | fields))
        return stream

    return make


def again(records):
    """Return transitions of other content under the same numbers and stamps."""
    return [replace(r, next_observation=r.next_observation + 1) for r in records]


def test_what_is_missing_is_counted_and_numbers_that_begin_again_are_a_recording(
    stream_of, make_record
):
    stream = stream_of(5, 6, 9, 10, 9, 10)
    for record in again(map(make_record, (5, 6, 9))):
        stream.add(record)
    (counts,) = stream.hands.values()
    expected = {"transitions": 7, "gaps": 4, "recordings": 2, "doubles": 2}
    assert vars(counts) == expected
    assert (stream.num_transitions, stream.num_gaps) == (7, 4)


def test_where_a_bag_begins_nothing_is_missing_before_its_first_number(make_record):
    stream = FitStream(CONFIG)
    for first in (0, 10, 70):
        stream.begin_bag()
        for number in (first, first + 1, *range(first + 4, first + 10)):
            stream.add(make_record(number, step=number))
    (counts,) = stream.hands.values()
    # The second goes on where the first has ended.
    assert (counts.gaps, counts.recordings) == (6, 2)


def test_hands_are_counted_apart(make_record):
    stream = FitStream(CONFIG)
    for sequence in range(6):
        for hand in ("left", "right"):
            if (hand, sequence) != ("right", 3):
                stream.add(make_record(sequence, hand=hand))
    assert [(h, c.transitions, c.gaps) for h, c in stream.hands.items()] == [
        ("left", 6, 0),
        ("right", 5, 1),
    ]


def test_episodes_of_the_same_name_are_held_out_each_for_itself(make_record):
    """Of two recordings: or all that was recorded first would decide for the rest."""
    records = [make_record(n, episode=n // 10, step=n % 10) for n in range(400)]
    both, stream = (records, again(records)), FitStream(CONFIG)
    for record in [*both[0], *both[1]]:
        stream.add(record)
    samples = stream.samples()
    assert samples.train.seen + samples.held_out.seen == 800
    kept = [
        [n for n, r in enumerate(part) if r.next_observation[0] in samples.held_out.rows[:, 0]]
        for part in both
    ]
    assert kept[0] != kept[1]
    for numbers in kept:
        assert len(numbers) == 10 * len({n // 10 for n in numbers}) > 0


def test_an_episode_is_on_the_same_side_wherever_it_comes_again(make_record):
    """As of a copy that is read behind another bag."""
    one = [make_record(n, episode=n // 10, step=n % 10) for n in range(400)]
    stream = FitStream(CONFIG)
    for record in [*one, *again(one), *one]:
        stream.add(record)
    samples = stream.samples()
    learnt, kept = (set(part.rows[:, 0]) for part in (samples.train, samples.held_out))
    assert not learnt & kept
    assert samples.held_out.seen > len(kept)


def test_long_episodes_are_held_out_in_stretches_that_are_no_neighbours(make_record):
    count = 40 * STRETCH
    stream = FitStream(CONFIG, 12)
    records = [make_record(sequence) for sequence in range(count)]
    for record in records:
        stream.add(record)
    samples = stream.samples()
    place = {record.next_observation[0]: record.step for record in records}
    learnt, kept = (
        np.array([place[value] for value in values])
        for values in ((samples.train.rows[:, 0]), (samples.held_out.rows[:, 0]))
    )
    assert 0.05 < len(kept) / count < 0.4
    apart = min(np.abs(learnt - step).min() for step in kept)
    assert apart == MARGIN + 1
    assert samples.beside == count - len(learnt) - len(kept)
    assert samples.beside % MARGIN == 0


def test_the_samples_are_those_so_far_and_more_where_it_is_given(stream_of, make_record):
    stream = stream_of(*range(100))
    more = [make_record(100 + n) for n in range(50)]
    assert [s.train.seen + s.held_out.seen for s in (stream.samples(), stream.samples(more))] == [
        100,
        150,
    ]
    assert stream.num_transitions == 100


def test_a_stream_of_nothing_can_not_be_fitted():
    with pytest.raises(FitError, match="there are no transitions to fit to"):
        FitStream(CONFIG).samples()
    with pytest.raises(FitError, match="there are no transitions to fit to"):
        FitStream(CONFIG, 12).samples()


def test_where_the_observation_is_known_wrong_settings_are_too(make_record):
    config = from_mapping(FitConfig, {"state": {"linear": [12]}})
    with pytest.raises(ConfigError, match="entry 12 is outside the observation of 12"):
        FitStream(config, 12)
    with pytest.raises(FitError, match=r"shape \(3,\), expected \(12,\)"):
        FitStream(CONFIG, 12).add(make_record(0, 3))


def test_the_dclaw_is_matched_by_its_valve_unless_something_is_named():
    found = with_defaults(FitConfig(), 12)
    assert (found.state.circular, found.target.name) == ((9, 10), "uniform_circle")
    assert with_defaults(FitConfig(), 11) == FitConfig()
    named = from_mapping(FitConfig, {"state": {"linear": [0]}})
    assert with_defaults(named, 12) == named
    aimed = from_mapping(FitConfig, {"target": {"name": "reward"}})
    assert with_defaults(aimed, 12).target.name == "reward"


def test_coordinates_have_the_names_of_the_observation():
    config = from_mapping(FitConfig, {"state": {"linear": [0, 11], "circular": [9, 10]}})
    space = StateSpace(config.state, 12)
    assert coordinate_names(space, 12) == ["joint_10", "valve_velocity", "valve angle"]
    assert coordinate_names(space, 13) == ["entry 0", "entry 11", "angle of entries 9, 10"]
