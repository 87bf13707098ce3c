"""A transition that does not fit is refused, and the first bad entry is named."""

import numpy as np
import pytest

from smm_core.transitions import Layout, TransitionError

LAYOUT = Layout(obs_size=4, action_size=2, num_skills=3)


def test_a_good_transition_passes(make_transition):
    make_transition(LAYOUT, runs=3).check(LAYOUT)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e20])
@pytest.mark.parametrize("name", ["obs", "action", "next_obs", "reward"])
def test_the_first_entry_that_is_no_measurement_is_named(make_transition, name, value):
    step = make_transition(LAYOUT, runs=3)
    values = getattr(step, name)
    values[1:] = value
    expected = rf"^{name}\[1(, 0)?\] is .*, expected a number within"
    with pytest.raises(TransitionError, match=expected):
        step.check(LAYOUT)


def test_of_two_bad_fields_the_first_is_named(make_transition):
    step = make_transition(LAYOUT)
    step.reward[0] = step.action[0, 1] = np.nan
    with pytest.raises(TransitionError, match=r"^action\[0, 1\]"):
        step.check(LAYOUT)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("obs", (1, 5)),
        ("action", (1, 3)),
        ("next_obs", (2, 4)),
        ("reward", (1, 1)),
        ("skill", (2,)),
        ("terminated", (2,)),
        ("truncated", (1, 1)),
    ],
)
def test_a_wrong_shape_is_named(make_transition, name, shape):
    step = make_transition(LAYOUT, **{name: np.zeros(shape, np.float32)})
    with pytest.raises(TransitionError, match=rf"{name} has shape .*{shape[-1]}"):
        step.check(LAYOUT)


@pytest.mark.parametrize("skill", [-1, 3])
def test_a_skill_outside_the_layout_is_named(make_transition, skill):
    step = make_transition(LAYOUT, skill=np.array([skill]))
    with pytest.raises(TransitionError, match=rf"skill is \[{skill}\], expected 0 \.\. 2"):
        step.check(LAYOUT)


def test_one_skill_needs_no_input():
    assert Layout(4, 2, num_skills=1).skill_size == 0
    assert LAYOUT.skill_size == 3


def test_the_first_environments_of_every_run_are_a_transition_too(make_transition):
    step = make_transition(LAYOUT, runs=6)
    part = step.of_first(2, 3)
    for name, values in vars(step).items():
        np.testing.assert_array_equal(getattr(part, name), values[[0, 1, 3, 4]])
