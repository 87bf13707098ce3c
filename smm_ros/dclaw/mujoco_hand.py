"""The hand's twin: the D'Claw of urdf/dclaw.xml in MuJoCo."""

import math
from pathlib import Path

import mujoco
import numpy as np

from smm_ros.dclaw.hand import HandError, HandHealth, HandState, ResetStage, ResetStages
from smm_ros.dclaw.safety_clamp import SafetyClamp
from smm_ros.dclaw.spec import (
    CONTROL_PERIOD,
    NUM_JOINTS,
    PHYSICS_STEP,
    POSITION_HIGH,
    POSITION_LOW,
    VELOCITY_LIMIT,
    Joints,
)
from smm_ros.dclaw.twin_model import (
    JOINTS,
    VALVE,
    check_finite,
    check_valve_angle,
    load_model,
    physics_steps,
    place,
)

_ANGLES = NUM_JOINTS + 1

# MuJoCo's mask of disabled actuator groups: all nine motors are in group 0.
_TORQUE_ON, _TORQUE_OFF = 0, 1 << 0

# Widths of the ranges that observation noise is a share of: angles, then velocities.
_NOISE_SCALE = np.array(
    [*(POSITION_HIGH - POSITION_LOW), 2 * math.pi, *[2 * VELOCITY_LIMIT] * NUM_JOINTS, 0.0]
)


class MujocoHand:
    """A simulated `Hand`. Its clock is simulated time, which a reset never turns back.

    `observation_noise` makes every reading (not the physics) uniformly wrong by up to half that
    share of its range to either side, as in ROBEL's randomised tasks; 0 reads exactly.
    """

    def __init__(
        self, seed: int = 0, model_path: Path | None = None, observation_noise: float = 0.0
    ) -> None:
        """Prepare a hand that is not connected yet; `seed` is for the observation noise."""
        self.clamp = SafetyClamp()
        self.model_path = model_path
        self.observation_noise = observation_noise
        self._model: mujoco.MjModel | None = None
        self._data: mujoco.MjData | None = None
        self._num_steps = 0
        self.seed(seed)

    def seed(self, seed: int) -> None:
        """Start the noise's generator anew."""
        self._generator = np.random.default_rng(seed)
        self._error = np.zeros(_NOISE_SCALE.shape)

    @property
    def model(self) -> mujoco.MjModel:
        """The connected model, for rendering and inspection."""
        return self._connected()[0]

    @property
    def data(self) -> mujoco.MjData:
        """The connected model's state, for rendering and inspection."""
        return self._connected()[1]

    @property
    def fault(self) -> str:
        """Nothing ever keeps the twin from being driven."""
        return ""

    def health(self) -> HandHealth:
        """The twin is always well."""
        return HandHealth()

    def take_events(self) -> list[str]:
        """Nothing ever happens to the twin by itself."""
        return []

    def connect(self) -> None:
        """Load the model in its reset pose, torque off."""
        model = load_model(self.model_path)
        self._model, self._data = model, mujoco.MjData(model)
        self.disable()
        self._place(0.0)

    def close(self) -> None:
        """Let go of the model; the clock keeps its time for a later connect()."""
        self._model = self._data = None

    def enable(self) -> None:
        """Switch torque on, holding the present pose."""
        model, data = self._connected()
        data.ctrl[:] = self._measured()[JOINTS]
        model.opt.disableactuator = _TORQUE_ON

    def disable(self) -> None:
        """Switch torque off: the joints are left to gravity and friction."""
        if self._model is not None:
            self._model.opt.disableactuator = _TORQUE_OFF

    def read(self) -> HandState:
        """Return the present state.

        Raises:
            HandError: not connected, or the simulation has diverged.
        """
        _, data = self._connected()
        values = self._measured()
        angles, velocities = values[:_ANGLES], values[_ANGLES:]
        return HandState(
            stamp=self._num_steps * PHYSICS_STEP,
            joint_position=angles[JOINTS],
            joint_velocity=velocities[JOINTS],
            joint_effort=data.actuator_force.copy(),
            valve_angle=float(angles[VALVE]),
            valve_velocity=float(velocities[VALVE]),
            valve_effort=0.0,
        )

    def command(self, target: Joints) -> Joints:
        """Set the joint targets (9,) rad after the clamp; return what was set.

        Raises:
            HandError: not connected, or torque is off.
        """
        _, data = self._powered("command")
        clamped = self.clamp(target, self._measured()[JOINTS])
        data.ctrl[:] = clamped.target
        return clamped.target

    def advance(self, period_s: float) -> None:
        """Integrate for `period_s`, a whole number of physics steps.

        Raises:
            HandError: not connected.
            ValueError: the period is not a positive multiple of spec.PHYSICS_STEP.
        """
        model, data = self._connected()
        num_steps = physics_steps(period_s)
        mujoco.mj_step(model, data, num_steps)
        self._tick(num_steps)

    def reset(self, valve_angle: float) -> ResetStages:
        """Put joints and valve where they belong, at rest; one control period goes by.

        Raises:
            HandError: not connected, or torque is off.
            ValueError: the valve can not turn that far.
        """
        self._powered("reset")
        check_valve_angle(valve_angle)
        return self._reset_stages(valve_angle)

    def _reset_stages(self, valve_angle: float) -> ResetStages:
        yield ResetStage("place", attempt=1)
        self._powered("reset")
        self._place(valve_angle)

    def _place(self, valve_angle: float) -> None:
        place(*self._connected(), valve_angle)
        self._tick(physics_steps(CONTROL_PERIOD))

    def _tick(self, num_steps: int) -> None:
        self._num_steps += num_steps
        if self.observation_noise:
            spread = self._generator.uniform(-0.5, 0.5, _NOISE_SCALE.shape)
            self._error = self.observation_noise * _NOISE_SCALE * spread

    def _measured(self) -> Joints:
        """Return angles and velocities of joints and valve, (20,) rad and rad/s."""
        _, data = self._connected()
        values = np.concatenate([data.qpos, data.qvel]) + self._error
        check_finite(values, "the hand")
        return values

    def _connected(self) -> tuple[mujoco.MjModel, mujoco.MjData]:
        if self._model is None or self._data is None:
            raise HandError("the hand is not connected: call connect() first")
        return self._model, self._data

    def _powered(self, action: str) -> tuple[mujoco.MjModel, mujoco.MjData]:
        model, data = self._connected()
        if model.opt.disableactuator != _TORQUE_ON:
            raise HandError(f"a {action} needs torque: call enable() first")
        return model, data
