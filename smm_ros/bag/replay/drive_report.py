"""What came of leading a hand through a recorded episode, as text and as plain data."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from smm_ros.bag.replay.episode_drive import Tracking
from smm_ros.bag.replay.recorded_episode import RecordedEpisode
from smm_ros.dclaw.spec import JOINT_NAMES, Joints


def as_data(episode: RecordedEpisode, tracking: Tracking, ended: str) -> dict[str, Any]:
    """Return the figures by name, as JSON has them; `ended`: how it did, empty for well."""
    off = np.abs(tracking.errors)
    has_any = len(off) > 0
    turned = tracking.valve_end - tracking.valve_start
    away = math.remainder(tracking.valve_end - episode.valve[-1], 2 * math.pi)
    return {
        "hand": episode.hand,
        "episode": episode.number,
        "recorded_steps": episode.num_steps,
        "commands": len(off),
        "clamped_commands": tracking.clamped,
        "late_states": tracking.late,
        "mean_error": _by_joint(off.mean(axis=0)) if has_any else {},
        "max_error": _by_joint(off.max(axis=0)) if has_any else {},
        "valve_turned": turned if has_any else None,
        "valve_turned_recorded": float(episode.valve[-1] - episode.valve[0]),
        "valve_error": away if has_any else None,
        "ended": ended,
    }


def _by_joint(values: Joints) -> dict[str, float]:
    return dict(zip(JOINT_NAMES, values.tolist(), strict=True))


def as_text(data: dict[str, Any]) -> str:
    """Return the figures as lines; angles in rad."""
    lines = [
        f"episode {data['episode']} of {data['hand']}: {data['recorded_steps']} recorded steps, "
        f"{data['commands']} commands, {data['clamped_commands']} clamped, "
        f"{data['late_states']} late states"
    ]
    if data["commands"]:
        lines.append(f"{'off the recording (rad)':<26}{'mean':>8}{'max':>8}")
        for joint, mean in data["mean_error"].items():
            lines.append(f"  {joint:<24}{mean:>8.4f}{data['max_error'][joint]:>8.4f}")
        lines.append(
            f"valve: turned by {data['valve_turned']:.3f} rad, recorded "
            f"{data['valve_turned_recorded']:.3f} rad; at the end {abs(data['valve_error']):.3f} "
            "rad from where it was"
        )
    if data["ended"]:
        lines.append(f"did not end as it should: {data['ended']}")
    return "\n".join(lines)
