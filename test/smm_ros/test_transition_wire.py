"""The quick reading of serialised transitions agrees with rclpy's own."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rclpy.serialization import deserialize_message, serialize_message

from smm_ros.conversions import transition_from_msg, transition_to_msg
from smm_ros.msg import Transition
from smm_ros.records import TransitionRecord
from smm_ros.transition_wire import (
    TransitionWireError,
    parse_transition,
    peek_transition,
    serialize_transition,
)

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


@given(records)
def test_what_is_written_is_the_message_that_rclpy_writes(record):
    data = serialize_transition(record)
    assert deserialize_message(data, Transition) == transition_to_msg(record)
    assert len(data) % 4 == 0
    assert len(data) - len(serialize_message(transition_to_msg(record))) in range(4)
    assert parse_transition(data).hand == record.hand


def test_what_is_written_is_what_comes_over_the_network():
    # As a recorder got it from Fast DDS.
    wire = bytes.fromhex(
        "000100000402000000a3e11101000000000000000600000064636c617700000000000000871300000000"
        "00006300000000000000310000000000000028000000000000000c00000017d3193ea0c27a3f6ffc273f"
        "f4a1b93ea278d6be6069c23f6729a8be95a544beeb64653fb6b173bf3ed59cbe35340c380900000053ab"
        "c7bdd3fa6f3fa52954bf4af05a3f84a92fbe1382e43e367c70bf4afe6dbf82e2753f0c000000d7ed21bd"
        "f55e723fe13698bdc568be3e1e9b42bec4f9493f1f2dcdbe6e1166bf0290b93fb3b173bf53d59cbe725d"
        "a134d62affbd00010000"
    )
    assert serialize_transition(parse_transition(wire)) == wire
    assert parse_transition(wire).sequence == 4999


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("step", 2**32),
        ("skill", -1),
        ("episode", 2**64),
        ("stamp_ns", 2**62),
        ("log_p_shaping", 1e39),
    ],
)
def test_a_number_that_does_not_fit_is_refused(make_record, field, value):
    with pytest.raises(TransitionWireError, match="transition 1 of dclaw does not fit"):
        serialize_transition(make_record(1, **{field: value}))
