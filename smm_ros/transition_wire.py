"""Serialised transitions (CDR) read and written without a message in between."""

# Reading with a message of rclpy in between it is 41 k transitions/s instead of 115 k. Writing,
# rclpy leaves what was in memory in the bytes between fields, where the network has zeros.

from __future__ import annotations

import struct

import numpy as np

from smm_core.transitions import Floats
from smm_ros.records import TransitionRecord

_LITTLE_ENDIAN = b"\x00\x01"
_ORIGIN = 4  # alignment counts from behind the four bytes that name the encoding
_STAMP = struct.Struct("<iI")
_LENGTH = struct.Struct("<I")
_SEQUENCE = struct.Struct("<Q")
_NUMBERS = struct.Struct("<QQIIQ")  # sequence, episode, step, skill, policy version
_END = struct.Struct("<f??")  # log_p_shaping, terminated, truncated
_SECOND = 1_000_000_000


class TransitionWireError(ValueError):
    """Bytes that are no serialised transition."""


def peek_transition(data: bytes) -> tuple[str, int]:
    """Return hand and sequence number of a serialised smm_ros/msg/Transition."""
    try:
        hand, at = _hand(data)
        return hand, _SEQUENCE.unpack_from(data, at)[0]
    except (struct.error, UnicodeDecodeError) as error:
        raise TransitionWireError(f"{len(data)} bytes are no transition: {error}") from error


def peek_stamp(data: bytes) -> int:
    """Return the stamp of a serialised smm_ros/msg/Transition that `peek_transition` reads, ns."""
    sec, nanosec = _STAMP.unpack_from(data, _ORIGIN)
    return int(sec * _SECOND + nanosec)


def parse_transition(data: bytes) -> TransitionRecord:
    """Return the transition; its arrays are read-only views of the bytes."""
    try:
        return _parse(data)
    except (struct.error, ValueError) as error:
        raise TransitionWireError(f"{len(data)} bytes are no transition: {error}") from error


def serialize_transition(record: TransitionRecord) -> bytes:
    """Return the bytes of the transition's message as they come over the network.

    Raises TransitionWireError for a number that its field can not hold.
    """
    seconds, nanoseconds = divmod(record.stamp_ns, _SECOND)
    hand = record.hand.encode() + b"\0"
    data = bytearray(_LITTLE_ENDIAN + bytes(2))
    try:
        data += _STAMP.pack(seconds, nanoseconds)
        data += _LENGTH.pack(1) + b"\0"  # frame_id is empty
        _pad(data, 4)
        data += _LENGTH.pack(len(hand)) + hand
        _pad(data, 8)
        data += _NUMBERS.pack(
            record.sequence, record.episode, record.step, record.skill, record.policy_version
        )
        for numbers in (record.observation, record.action, record.next_observation):
            data += _LENGTH.pack(len(numbers)) + np.asarray(numbers, "<f4").tobytes()
        data += _END.pack(record.log_p_shaping, record.terminated, record.truncated)
    except (struct.error, OverflowError) as error:
        raise TransitionWireError(
            f"transition {record.sequence} of {record.hand} does not fit its message: {error}"
        ) from error
    _pad(data, 4)
    return bytes(data)


def _pad(data: bytearray, size: int) -> None:
    data += bytes(_aligned(len(data), size) - len(data))


def _parse(data: bytes) -> TransitionRecord:
    sec, nanosec = _STAMP.unpack_from(data, _ORIGIN)
    hand, at = _hand(data)
    sequence, episode, step, skill, policy_version = _NUMBERS.unpack_from(data, at)
    observation, at = _floats(data, at + _NUMBERS.size)
    action, at = _floats(data, at)
    next_observation, at = _floats(data, at)
    log_p_shaping, terminated, truncated = _END.unpack_from(data, at)
    return TransitionRecord(
        stamp_ns=sec * _SECOND + nanosec,
        hand=hand,
        sequence=sequence,
        episode=episode,
        step=step,
        skill=skill,
        policy_version=policy_version,
        observation=observation,
        action=action,
        next_observation=next_observation,
        log_p_shaping=log_p_shaping,
        terminated=terminated,
        truncated=truncated,
    )


def _hand(data: bytes) -> tuple[str, int]:
    """Return the hand's name and where the sequence number lies."""
    if data[:2] != _LITTLE_ENDIAN:
        raise struct.error(f"encoding {data[:2]!r}, expected {_LITTLE_ENDIAN!r}")
    at = _ORIGIN + _STAMP.size
    at = _aligned(at + _LENGTH.size + _LENGTH.unpack_from(data, at)[0], 4)  # behind frame_id
    begin = at + _LENGTH.size
    end = begin + _LENGTH.unpack_from(data, at)[0]
    return data[begin : end - 1].decode(), _aligned(end, 8)  # a string ends with a zero byte


def _floats(data: bytes, at: int) -> tuple[Floats, int]:
    count = _LENGTH.unpack_from(data, at)[0]
    begin = at + _LENGTH.size
    return np.frombuffer(data, "<f4", count, begin), begin + 4 * count


def _aligned(at: int, size: int) -> int:
    return at + (_ORIGIN - at) % size
