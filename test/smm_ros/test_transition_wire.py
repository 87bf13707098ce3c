"""The quick reading of serialised transitions agrees with rclpy's own."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rclpy.serialization import deserialize_message, serialize_message

from smm_ros.conversions import transition_from_msg, transition_to_msg
from smm_ros.msg import Transition
from smm_ros.records import TransitionRecord
from smm_ros.transition_wire import TransitionWireError, parse_transition, peek_transition

uint32, uint64 = st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)
floats = st.lists(st.floats(width=32, allow_nan=False), max_size=40).map(
    lambda values: np.array(values, np.float32)
)
records = st.builds(
    TransitionRecord,
    stamp_ns=st.integers(0, 2**31 * 10**9 - 1),
    hand=st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20),
    sequence=uint64,
    episode=uint64,
    step=uint32,
    skill=uint32,
    policy_version=uint64,
    observation=floats,
    action=floats,
    next_observation=floats,
    log_p_shaping=st.floats(width=32, allow_nan=False),
    terminated=st.booleans(),
    truncated=st.booleans(),
)


@given(records, st.text("ab/", max_size=9))
def test_it_agrees_with_rclpy(record, frame_id):
    message = transition_to_msg(record)
    message.header.frame_id = frame_id
    data = serialize_message(message)
    expected = transition_from_msg(deserialize_message(data, Transition))
    found = parse_transition(data)
    for name, value in vars(expected).items():
        assert np.array_equal(getattr(found, name), value), name
    assert peek_transition(data) == (record.hand, record.sequence)


def test_other_bytes_are_refused():
    data = serialize_message(Transition())
    for bad in (b"", b"\x00\x00" + data[2:], data[: len(data) // 2]):
        with pytest.raises(TransitionWireError):
            parse_transition(bad)
