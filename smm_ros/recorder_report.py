"""What a recorder says on /diagnostics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from smm_ros.recording import RecordingStatus
from smm_ros.reports import Level
from smm_ros.tape import TapeStatus

PATIENCE = 2.0
"""Time that the disk may take for one write before that is worth a warning, s."""

_OF_EACH_HAND = ("transitions", "gaps", "dropped", "skipped")
_RARE = {"repeated": "transitions recorded before", "restarts": "numbers begun again"}


def recorder_report(
    status: RecordingStatus, is_recording: bool
) -> tuple[Level, str, Mapping[str, Any]]:
    """Return level, message and figures; `is_recording`: what was asked for last."""
    level, text = _verdict(status, is_recording)
    return level, text, _figures(status, is_recording)


def _verdict(status: RecordingStatus, is_recording: bool) -> tuple[Level, str]:
    if status.fault:
        return Level.ERROR, f"{status.fault} ({status.tape.free_bytes / 1e6:.0f} MB free)"
    if status.busy > PATIENCE:
        return Level.WARN, f"the disk has not answered for {status.busy:.0f} s"
    trouble = [*_missing(status), *_begun_again(status.tape), *status.tape.notes]
    if trouble:
        return Level.WARN, "; ".join(trouble)
    return Level.OK, "recording" if is_recording else "stopped"


def _missing(status: RecordingStatus) -> Iterator[str]:
    gaps = status.tape.gaps
    if status.dropped or gaps:
        yield f"{status.dropped} messages dropped, {gaps} transitions never arrived"
    if status.tape.unreadable:
        yield (
            f"{status.tape.unreadable} transitions can not be read and are left out; is their "
            "publisher of another version?"
        )


def _begun_again(tape: TapeStatus) -> Iterator[str]:
    hands = [hand for hand, counts in tape.hands.items() if counts["restarts"]]
    if hands:
        yield (
            f"the numbers of {', '.join(hands)} began again, so that the bag has several runs; "
            "give the policy server a run_dir and they go on, or each run a bag_dir of its own"
        )


def _figures(status: RecordingStatus, is_recording: bool) -> dict[str, Any]:
    tape = status.tape
    values: dict[str, Any] = {
        "state": "recording" if is_recording else "stopped",
        "file": tape.file,
        "received": status.received,
        "written": tape.written,
        "dropped": status.dropped,
        "skipped": tape.skipped,
        "unreadable": tape.unreadable,
        "written_bytes": tape.written_bytes,
        "waiting_bytes": status.waiting_bytes,
        "free_bytes": tape.free_bytes,
        "longest_sync (s)": tape.longest_sync,
    }
    for hand, counts in tape.hands.items():
        values |= {f"{hand}/{name}": counts[name] for name in _OF_EACH_HAND}
        values |= {f"{hand}/{text}": counts[name] for name, text in _RARE.items() if counts[name]}
    return values
