"""Whether a stream of messages fits together: each by its type, transitions among themselves."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from smm_ros.bag.definitions import decoder, type_hash
from smm_ros.bag.finding import Findings
from smm_ros.bag.mcap_file import BagError, Topic
from smm_ros.bag.reading import TRANSITION, BagMessage
from smm_ros.bag.salvage import Salvaged
from smm_ros.bag.topics import installed_topic
from smm_ros.dclaw.spec import CONTROL_PERIOD
from smm_ros.records import TransitionRecord
from smm_ros.transition_runs import TransitionRuns
from smm_ros.transition_wire import parse_transition

_MISSED_NS = round(1.1e9 * CONTROL_PERIOD)
"""Stamps further apart have a missed sample between them: the states differ rightly."""
_CONSTANT = ("skill", "policy_version")
_ARRAYS = ("observation", "action", "next_observation")


class StreamCheck:
    """Takes the messages of a bag one by one, over all its files."""

    def __init__(self, findings: Findings) -> None:
        """Start with no message seen."""
        self._findings = findings
        self._decoders: dict[Topic, Callable[[bytes], Any] | None] = {}
        self._types: dict[str, Topic] = {}
        self._hands: dict[str, TransitionRecord] = {}
        self._runs = TransitionRuns()

    def see(self, found: Salvaged, path: Path) -> None:
        """Look at one message of a file."""
        message = found.message
        if message.topic not in self._decoders:
            self._decoders[message.topic] = self._see_topic(message.topic, path)
        decode = self._decoders[message.topic]
        if decode is None:
            return
        try:
            content = decode(message.data)
        except Exception as error:  # the code that rosbags makes of a definition raises anything
            place = _place(message, found.place)
            text = f"a message of {message.topic.name} is no {message.topic.type}: {error}"
            self._findings.error("decoding", path, place, text)
            return
        if isinstance(content, TransitionRecord):
            self._see_transition(content, path)

    def _see_topic(self, topic: Topic, path: Path) -> Callable[[bytes], Any] | None:
        """Compare a topic with what it was before; return what reads its messages, if anything."""
        before = self._types.setdefault(topic.name, topic)
        if (before.type, before.type_hash) != (topic.type, topic.type_hash):
            same = "another version of " if before.type == topic.type else ""
            text = f"{topic.name} is {topic.type} here, but {same}{before.type} before"
            self._findings.error("mixed types", path, "", text, "use the parts each by itself")
        try:
            if topic.type_hash and type_hash(topic) != topic.type_hash:
                text = f"the definition of {topic.type} is not the one that its hash belongs to"
                self._findings.warn("definition", path, "", text)
            return self._reader(topic, path)
        except BagError as error:
            self._findings.warn("definition", path, "", f"{error}; its messages are not looked at")
            return None

    def _reader(self, topic: Topic, path: Path) -> Callable[[bytes], Any]:
        decode = decoder(topic)
        if topic.type != TRANSITION:
            return decode
        here = installed_topic(topic.name, topic.type).type_hash
        if (topic.type_hash or type_hash(topic)) == here:
            return parse_transition
        text = f"{topic.name} was recorded with another layout of {topic.type}"
        self._findings.error("layout", path, "", text, "read it with the version that recorded it")
        return decode

    def _see_transition(self, record: TransitionRecord, path: Path) -> None:
        place = f"{record.hand} {record.sequence}"
        if not (_is_finite(record) and math.isfinite(record.log_p_shaping)):
            self._findings.error("numbers", path, place, "a number is infinite or not a number")
        before = self._hands.get(record.hand)
        if not self._runs.take_record(record):
            assert before is not None
            text = f"number {record.sequence} comes again, behind {before.sequence}"
            self._findings.warn("repeated", path, place, text, "readers pass it over")
            return
        self._hands[record.hand] = record
        if before is None:
            return
        if record.sequence <= before.sequence:
            text = f"the numbers begin again, behind {before.sequence}"
            self._findings.warn("another run", path, place, text, "readers begin anew")
            return
        if record.sequence > before.sequence + 1:
            missing = record.sequence - before.sequence - 1
            text = f"{missing:,} transitions are missing before it"
            self._findings.warn("gap", path, place, text)
        for fault in _faults(before, record):
            self._findings.error(fault.partition(",")[0], path, place, fault)


def _is_finite(record: TransitionRecord) -> bool:
    with np.errstate(over="ignore"):
        for name in _ARRAYS:
            values = getattr(record, name)
            # The product tells at once, but for large numbers, whose squares are beyond float32.
            if not (math.isfinite(values.dot(values)) or np.isfinite(values).all()):
                return False
    return True


def _faults(before: TransitionRecord, now: TransitionRecord) -> list[str]:
    """Return what does not fit between two transitions of a hand, the second one later."""
    faults = []
    has_gap = now.sequence > before.sequence + 1
    sizes, were = ([len(getattr(r, name)) for name in _ARRAYS] for r in (now, before))
    if sizes != were:
        faults.append(f"sizes change, from {were} to {sizes}")
    if now.episode < before.episode:
        faults.append(f"episode goes back, from {before.episode} to {now.episode}")
    elif now.episode > before.episode:
        if now.step and not has_gap:
            faults.append(f"an episode begins late, with step {now.step}")
    else:
        faults += _faults_in_episode(before, now, has_gap)
    return faults


def _faults_in_episode(
    before: TransitionRecord, now: TransitionRecord, has_gap: bool
) -> list[str]:
    faults = []
    if before.terminated or before.truncated:
        faults.append("an episode goes on, that had ended")
    if now.step <= before.step or (now.step != before.step + 1 and not has_gap):
        faults.append(f"steps do not follow, {now.step} comes behind {before.step}")
    if now.stamp_ns <= before.stamp_ns:
        faults.append(f"stamps go back, from {before.stamp_ns} to {now.stamp_ns} ns")
    for name in _CONSTANT:
        was, is_now = getattr(before, name), getattr(now, name)
        if was != is_now:
            faults.append(f"{name} changes within an episode, from {was} to {is_now}")
    follows = not has_gap and now.stamp_ns - before.stamp_ns <= _MISSED_NS
    if follows and now.observation.tobytes() != before.next_observation.tobytes():
        faults.append(
            "states do not follow, the observation is not the next one of the step before"
        )
    return faults


def _place(message: BagMessage, place: str) -> str:
    return f"{place}, at {message.log_time_ns} ns"
