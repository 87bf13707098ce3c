"""What is put into the replay buffer comes out, in order or every row as often."""

import numpy as np
import pytest
import torch

from smm_core.config import ConfigError
from smm_core.generators import Generators
from smm_core.replay import ReplayBuffer
from smm_core.transitions import Layout, Transition, TransitionError

LAYOUT = Layout(obs_size=3, action_size=2, num_skills=4)
CAPACITY = 8
RUNS = 2


@pytest.fixture
def numbered(make_transition):
    """Return a function that makes the transition whose every entry tells its step and run."""

    def make(step):
        number = 100.0 * step + 10.0 * np.arange(RUNS, dtype=np.float32)
        columns = np.arange(3, dtype=np.float32)
        return make_transition(
            LAYOUT,
            runs=RUNS,
            obs=number[:, None] + columns,
            action=number[:, None] + 3 + columns[:2],
            next_obs=number[:, None] + 5 + columns,
            reward=number + 9,
            skill=np.array([step % 4, (step + 1) % 4]),
            terminated=np.array([step % 2 == 0, step % 3 == 0]),
            truncated=np.array([True, True]),
        )

    return make


@pytest.fixture
def filled(numbered):
    """Return a function that makes a buffer after so many steps."""

    def fill(steps):
        replay = ReplayBuffer(LAYOUT, CAPACITY, RUNS)
        for step in range(steps):
            replay.add(numbered(step))
        return replay

    return fill


def steps_of(batch):
    """Return the step that each reward tells, (R, B), which has to be the same for every run."""
    return ((batch.reward - 9) // 100).long()


def assert_rows_belong_together(batch, step_of, numbered):
    for run, steps in enumerate(step_of.tolist()):
        for column, step in enumerate(steps):
            given = numbered(step)
            for name in ("obs", "action", "next_obs", "reward", "skill", "terminated"):
                expected = torch.as_tensor(getattr(given, name)[run])
                found = getattr(batch, name)[run, column]
                assert torch.equal(found.double(), expected.double()), (name, run, step)


@pytest.mark.parametrize("steps", [1, CAPACITY - 1, CAPACITY, CAPACITY + 1, 3 * CAPACITY + 5])
def test_rows_come_out_as_they_went_in(filled, numbered, steps):
    replay = filled(steps)
    assert len(replay) == min(steps, CAPACITY)
    batch = replay.sample(64, Generators((0, 1)))
    assert_rows_belong_together(batch, steps_of(batch), numbered)


@pytest.mark.parametrize("steps", [0, 5, CAPACITY, CAPACITY + 3, 2 * CAPACITY, 2 * CAPACITY + 1])
def test_what_was_reached_comes_oldest_first_also_over_the_wrap(filled, numbered, steps):
    found = filled(steps).reached()
    assert found.shape == (RUNS, min(steps, CAPACITY), 3)
    kept = [numbered(step).next_obs for step in range(max(0, steps - CAPACITY), steps)]
    assert found.tolist() == (np.stack(kept, 1).tolist() if kept else [[]] * RUNS)


def test_what_was_reached_is_not_copied_until_the_ring_is_full(filled):
    replay = filled(CAPACITY - 1)
    rows = replay.state()["rows"].untyped_storage().data_ptr()
    assert replay.reached().untyped_storage().data_ptr() == rows


def test_the_ring_forgets_the_oldest_and_nothing_else(filled):
    found = steps_of(filled(CAPACITY + 3).sample(500, Generators((0, 1))))
    assert found.unique().tolist() == list(range(3, CAPACITY + 3))


def test_skills_are_whole_numbers_and_truncation_is_no_end(filled):
    batch = filled(4).sample(50, seeds())
    assert batch.skill.dtype == torch.int64
    ends = torch.tensor([[1.0, 0.0, 1.0, 0.0], [1.0, 0.0, 0.0, 1.0]])
    assert torch.equal(batch.terminated, ends.gather(1, steps_of(batch)))


def test_every_row_is_drawn_as_often(filled):
    draws = 16_000
    counts = torch.stack(
        [run.bincount(minlength=CAPACITY) for run in steps_of(filled(8).sample(draws, seeds()))]
    )
    expected = draws / CAPACITY
    chi_square = ((counts - expected).square() / expected).sum(1)
    assert (chi_square < 30).all()  # seven degrees of freedom: passed by 1 in 10,000


def seeds():
    return Generators((0, 1))


def test_each_run_draws_rows_of_its_own(filled):
    found = steps_of(filled(CAPACITY).sample(64, seeds()))
    assert not torch.equal(found[0], found[1])


def test_drawing_from_an_empty_buffer_is_an_error():
    with pytest.raises(ValueError, match="empty"):
        ReplayBuffer(LAYOUT, CAPACITY, RUNS).sample(1, seeds())


@pytest.mark.parametrize(
    "bad",
    [
        {"obs": np.full((RUNS, 3), np.nan, np.float32)},
        {"reward": np.zeros((RUNS, 1), np.float32)},
        {"skill": np.array([0, 4])},
        {"terminated": np.zeros(1, bool)},
    ],
)
def test_a_bad_transition_changes_nothing(filled, make_transition, bad):
    replay = filled(3)
    before = replay.state()["rows"].clone()
    with pytest.raises(TransitionError):
        replay.add(make_transition(LAYOUT, runs=RUNS, **bad))
    assert len(replay) == 3
    assert torch.equal(replay.state()["rows"], before)


@pytest.mark.parametrize("runs", [1, 3])
def test_a_transition_of_another_number_of_runs_is_refused(filled, make_transition, runs):
    replay = filled(3)
    with pytest.raises(TransitionError, match=f"{runs} runs, expected {RUNS}"):
        replay.add(make_transition(LAYOUT, runs=runs))
    assert len(replay) == 3


@pytest.mark.parametrize("copies", [2, 3, CAPACITY])
@pytest.mark.parametrize("steps", [1, 2, 3, 5])
def test_what_environments_side_by_side_did_lies_there_in_their_order(
    filled, numbered, copies, steps
):
    replay = ReplayBuffer(LAYOUT, CAPACITY, RUNS)
    for step in range(steps):
        replay.add(
            side_by_side([numbered(step * copies + copy) for copy in range(copies)]), copies
        )
    one_by_one = filled(steps * copies)
    assert replay.added == one_by_one.added == steps * copies
    assert torch.equal(replay.state()["rows"], one_by_one.state()["rows"])


def side_by_side(steps):
    """Return transitions as one, in which those of a run are next to each other."""
    names = vars(steps[0])
    return Transition(
        **{
            n: np.concatenate([getattr(s, n)[[r]] for r in range(RUNS) for s in steps])
            for n in names
        }
    )


def test_more_rows_at_once_than_there_are_places_are_refused(filled, make_transition):
    replay = filled(3)
    with pytest.raises(TransitionError, match="9 rows at once, expected at most 8"):
        replay.add(make_transition(LAYOUT, runs=2 * 9), 9)
    with pytest.raises(TransitionError, match="5 runs, expected 2 with 3 environments each"):
        replay.add(make_transition(LAYOUT, runs=5), 3)
    assert len(replay) == 3


@pytest.mark.parametrize("steps", [0, 3, CAPACITY, 2 * CAPACITY + 3])
def test_a_restored_buffer_goes_on_as_the_first(filled, numbered, steps):
    first, second = filled(steps), ReplayBuffer(LAYOUT, CAPACITY, RUNS)
    second.load_state({name: t.clone() for name, t in first.state().items()})
    for replay in (first, second):
        replay.add(numbered(steps))
    assert second.added == first.added
    generators = (seeds(), seeds())
    drawn = [b.sample(20, g) for b, g in zip((first, second), generators, strict=True)]
    assert torch.equal(drawn[0].next_obs, drawn[1].next_obs)
    assert torch.equal(first.reached(), second.reached())


@pytest.mark.parametrize(
    "other",
    [
        ReplayBuffer(LAYOUT, CAPACITY, RUNS + 1),
        ReplayBuffer(LAYOUT, CAPACITY - 1, RUNS),
        ReplayBuffer(Layout(4, 2, 4), CAPACITY, RUNS),
    ],
)
def test_a_state_of_another_size_is_refused(filled, other):
    with pytest.raises(ValueError, match="saved replay has rows"):
        other.load_state(filled(CAPACITY).state())


def test_rows_are_read_by_their_place(filled):
    batch = filled(CAPACITY).rows(torch.tensor([5, 0]))
    assert batch.obs[..., 0].tolist() == [[500.0, 0.0], [510.0, 10.0]]
    assert batch.skill.tolist() == [[1, 0], [2, 1]]


def test_a_replay_that_the_device_has_no_room_for_says_how_large_it_is(monkeypatch):
    def full(*shape, **options):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(torch, "zeros", full)
    layout = Layout(obs_size=12, action_size=9)
    with pytest.raises(ConfigError, match=r"of 200 runs takes 26\.8 GiB, .*make replay_capacity"):
        ReplayBuffer(layout, 1_000_000, 200)
