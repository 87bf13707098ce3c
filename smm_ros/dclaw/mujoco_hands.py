"""Many of the hand's twins in one process, stepped by several threads."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import mujoco
import numpy as np
from numpy.typing import NDArray

from smm_ros.dclaw.hand import HandStates
from smm_ros.dclaw.safety_clamp import NOT_FINITE, POSITION, VELOCITY, limited
from smm_ros.dclaw.spec import NUM_JOINTS, Joints
from smm_ros.dclaw.twin_model import (
    JOINTS,
    VALVE,
    check_finite,
    check_valve_angle,
    load_model,
    physics_steps,
    place,
)

ALL_CORES = 0
"""A number of threads: one for each core that this process may use."""


class MujocoHands:
    """N simulated hands with torque on, each moving exactly as a `MujocoHand` does.

    The twins share the model and nothing else. While one is stepped the interpreter is free for
    the threads that step the others; which thread steps which twin changes no number.
    """

    def __init__(self, count: int, threads: int = ALL_CORES) -> None:
        """Make the twins, in their reset pose; of more threads than twins the rest is not used.

        Raises ValueError where there is no twin, and as `check_threads`.
        """
        if count < 1:
            raise ValueError(f"count is {count!r}, expected at least 1 twin")
        self.threads = min(count, check_threads(threads) or _cores())
        self.model = load_model()
        self.data = [mujoco.MjData(self.model) for _ in range(count)]
        """The state of each twin, for rendering and inspection."""
        # Views of what MuJoCo writes, (10,) each.
        self._angles = [data.qpos for data in self.data]
        self._velocities = [data.qvel for data in self.data]
        self._pool = ThreadPoolExecutor(max(1, self.threads - 1), "twins")
        self.clamp_counts = {
            reason: np.zeros(count, np.int64) for reason in (NOT_FINITE, POSITION, VELOCITY)
        }
        """Commands of each twin that the clamp changed so far, (N,), by reason."""
        self.place(range(count), np.zeros(count))

    def __len__(self) -> int:
        return len(self.data)

    def place(self, twins: Iterable[int], valve_angle: NDArray[np.float64]) -> None:
        """Put the twins named in the reset pose, at rest, their valves to `valve_angle` (N,) rad.

        Raises ValueError where one of these valves can not turn that far.
        """
        named = list(twins)
        for twin in named:
            check_valve_angle(float(valve_angle[twin]))
        for twin in named:
            place(self.model, self.data[twin], float(valve_angle[twin]))

    def read(self) -> HandStates:
        """Return the present states; raises HandError where a simulation has diverged."""
        values = self._measured()
        angles, velocities = values[:, : NUM_JOINTS + 1], values[:, NUM_JOINTS + 1 :]
        return HandStates(
            joint_position=angles[:, JOINTS],
            joint_velocity=velocities[:, JOINTS],
            valve_angle=angles[:, VALVE],
            valve_velocity=velocities[:, VALVE],
        )

    def command(self, target: Joints) -> Joints:
        """Set joint targets (N, 9) rad after the clamp; return what was set, (N, 9).

        Raises ValueError for another shape, HandError where a simulation has diverged.
        """
        if target.shape != (len(self), NUM_JOINTS):
            raise ValueError(f"target has shape {target.shape}, expected {len(self), NUM_JOINTS}")
        safe, changed = limited(target, self._measured()[:, JOINTS])
        for reason, happened in changed.items():
            self.clamp_counts[reason] += happened
        for data, joints in zip(self.data, safe, strict=True):
            data.ctrl[:] = joints
        return safe

    def advance(self, period_s: float) -> None:
        """Integrate all for `period_s`, a whole number of physics steps; else ValueError."""
        num_steps = physics_steps(period_s)
        # Every thread takes the next twin as it gets free: the steps do not last equally long.
        waiting = iter(self.data)
        helpers = [
            self._pool.submit(self._integrate, waiting, num_steps) for _ in range(self.threads - 1)
        ]
        self._integrate(waiting, num_steps)
        for helper in helpers:
            helper.result()

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown()

    def _integrate(self, waiting: Iterator[mujoco.MjData], num_steps: int) -> None:
        for data in waiting:
            mujoco.mj_step(self.model, data, num_steps)

    def _measured(self) -> Joints:
        """Return angles and velocities of joints and valve, (N, 20) rad and rad/s."""
        values = np.concatenate([self._angles, self._velocities], axis=1)
        if not np.isfinite(values).all():
            for twin, row in enumerate(values):
                check_finite(row, f"hand {twin}")
        return values


def check_threads(threads: int) -> int:
    """Return what was given; raises ValueError where it is no number of threads."""
    if not isinstance(threads, int) or isinstance(threads, bool) or threads < 0:
        raise ValueError(
            f"physics_threads is {threads!r}, expected a whole number, {ALL_CORES} for all cores"
        )
    return threads


def _cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
