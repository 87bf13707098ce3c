"""The motors' own clocks: whether what they tell was measured after they were asked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from smm_ros.dclaw.dynamixel import units
from smm_ros.dclaw.dynamixel.motor_sample import Array, MotorSample, RestartedError, StaleError

DRIFT = 0.01
"""By how much of the time that passes a motor's clock may go wrong."""
JITTER = 2 * units.TICK
"""By how much a clock that is read may be behind the values read with it, s."""
JUMP = 0.05
"""A clock that is wrong by more, s, has begun anew, and so has its motor."""


class MotorClocks:
    """What is known of how far each motor's clock is ahead of time.monotonic(): bounds of it.

    A value was measured after the question and before the last answer, so every sample bounds how
    far each clock is ahead. What lies below the bounds of earlier ones is older than its question.
    """

    def __init__(self) -> None:
        self._last: MotorSample | None = None
        self._low = self._high = np.zeros(0)

    def forget(self) -> None:
        """Begin anew with the next sample: motors may have been started anew on purpose."""
        self._last = None

    def check(self, sample: MotorSample, ids: Sequence[int]) -> None:
        """Take a sample in, or raise.

        Raises:
            RestartedError: a motor has started anew since the last one.
            StaleError: a motor's values were measured before it was asked for them.
        """
        # What gathers the data is lost in a restart: then all of it reads 0, the voltage too.
        restarted, stale = sample.voltage == 0, np.zeros(len(ids), np.bool_)
        low, high = sample.clock - sample.stamp, sample.clock + units.TICK - sample.asked
        if self._last is not None:
            shift = self._turns(low) * units.TICK_PERIOD
            low, high = low + shift, high + shift
            drift = DRIFT * (sample.stamp - self._last.asked)
            lowest, highest = self._low - drift, self._high + drift
            restarted |= (high < lowest - JUMP) | (low > highest + JUMP)
            stands = (sample.clock == self._last.clock) & (
                sample.asked - self._last.stamp > JITTER
            )
            stale = (high < lowest - JITTER) | stands
            # Bounds that do not meet are those of clocks that are read with jitter.
            is_met = (low <= highest) & (high >= lowest)
            low = np.where(is_met, np.maximum(low, lowest), low)
            high = np.where(is_met, np.minimum(high, highest), high)
        if restarted.any():
            self.forget()
            raise RestartedError(np.array(ids)[restarted].tolist())
        if stale.any():
            raise StaleError(np.array(ids)[stale].tolist())
        self._last, self._low, self._high = sample, low, high

    def _turns(self, low: Array) -> Array:
        """Return how often each clock has begun again since the bounds were laid."""
        return np.round((self._low - low) / units.TICK_PERIOD)
