"""What a recorder says on /diagnostics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from smm_ros.recording import RecordingStatus
from smm_ros.reports import Level

PATIENCE = 2.0
"""Time that the disk may take for one write before that is worth a warning, s."""


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
    tape = status.tape
    if status.dropped or tape.gaps:
        text = f"{status.dropped} messages dropped, {tape.gaps} transitions never arrived"
        return Level.WARN, text
    if tape.notes:
        return Level.WARN, "; ".join(tape.notes)
    return Level.OK, "recording" if is_recording else "stopped"


def _figures(status: RecordingStatus, is_recording: bool) -> dict[str, Any]:
    tape = status.tape
    values: dict[str, Any] = {
        "state": "recording" if is_recording else "stopped",
        "file": tape.file,
        "received": status.received,
        "written": tape.written,
        "dropped": status.dropped,
        "skipped": tape.skipped,
        "written_bytes": tape.written_bytes,
        "waiting_bytes": status.waiting_bytes,
        "free_bytes": tape.free_bytes,
        "longest_sync (s)": tape.longest_sync,
    }
    for hand, counts in tape.hands.items():
        values |= {f"{hand}/{name}": count for name, count in counts.items() if name != "repeated"}
        if counts["repeated"]:
            values[f"{hand}/transitions recorded before"] = counts["repeated"]
    return values
