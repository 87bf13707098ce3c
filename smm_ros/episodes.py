"""One hand's episodes: which command answers a state, and what the step before it came to.

Pure logic over states and their stamps; the policy server gives it the graph's events and sends
what it returns.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from smm_core.acting import ActingPolicy
from smm_core.transitions import Floats
from smm_ros.dclaw import task
from smm_ros.dclaw.hand import HandState
from smm_ros.dclaw.safety_clamp import SafetyClamp
from smm_ros.dclaw.spec import PERIOD_NS
from smm_ros.records import EpisodeRecord, JointTarget, TransitionRecord
from smm_ros.sequence_file import SequenceFile

TOLERANCE_NS = PERIOD_NS // 10
"""A state this much off its time still belongs to its control period."""


class Phase(Enum):
    """What the server waits for."""

    NEEDS_RESET = "a reset of the hand"
    AWAITING_RESET_STATE = "the first state after the reset"
    PAUSED = "the trainer"
    PLAYING = "the next state of the hand"


@dataclass
class Output:
    """What is to be sent now; each part may be absent."""

    command: JointTarget | None = None
    transition: TransitionRecord | None = None
    episode: EpisodeRecord | None = None


@dataclass
class _Step:
    """A command under way: the state it answers and what was asked for."""

    stamp_ns: int
    obs: Floats
    action: Floats


@dataclass
class _Tally:
    """What an episode's summary will say."""

    stamp_ns: int
    valve_start: float
    valve_end: float
    valve_min: float
    valve_max: float
    steps: int = 0
    log_p_shaping_sum: float = 0.0
    clamped_commands: int = 0
    missed_samples: int = 0

    def add_valve(self, angle: float) -> None:
        self.valve_end = angle
        self.valve_min = min(self.valve_min, angle)
        self.valve_max = max(self.valve_max, angle)


class Episodes:
    """Plays episodes of `length` control periods of one hand with one acting policy (R = 1)."""

    def __init__(
        self, hand: str, acting: ActingPolicy, sequences: SequenceFile, length: int
    ) -> None:
        self.hand, self.acting, self.sequences, self.length = hand, acting, sequences, length
        self.phase = Phase.NEEDS_RESET
        self.allowed_sequence: int | None = None
        """First transition that may not be produced yet; None where nothing sets the pace."""
        self.required_version = 0
        """The newest policy that is known to be on its way; an episode waits for it."""
        self.refused_version = 0
        """The newest policy that came but is no good; nothing waits for it."""
        self.missed_samples = 0
        self.interrupted = 0
        self._clamp = SafetyClamp()
        self._state: tuple[int, HandState] | None = None
        self._reset_stamp = 0
        self._episode = 0
        self._step: _Step | None = None
        self._tally: _Tally | None = None

    def reset_done(self, stamp_ns: int) -> Output:
        """Note that the hand was reset; the newest state since this stamp begins an episode."""
        self.phase, self._reset_stamp = Phase.AWAITING_RESET_STATE, stamp_ns
        return self._begin_episode()

    def see(self, stamp_ns: int, state: HandState) -> Output:
        """Take a measured state: it ends the step under way and asks for the next command."""
        went_back = self._state is not None and stamp_ns < self._state[0]
        self._state = (stamp_ns, state)
        if went_back and self.phase is not Phase.NEEDS_RESET:
            # The clock of a hand goes back only where it was started anew.
            return self.interrupt()
        if self.phase is Phase.AWAITING_RESET_STATE:
            return self._begin_episode()
        if self.phase is Phase.PAUSED and self._tally is not None:
            # The hand went on without a command: what follows is no single control period.
            return self.interrupt()
        if self.phase is not Phase.PLAYING or self._step is None:
            return Output()
        late = stamp_ns - self._step.stamp_ns - PERIOD_NS
        if late < -TOLERANCE_NS:
            return Output()
        output = Output() if late > TOLERANCE_NS else self._end_step(state)
        if late > TOLERANCE_NS:
            self._miss(state)
        if output.transition is not None and output.transition.truncated:
            output.episode = self._end_episode(interrupted=False)
        else:
            output.command = self._command()
        return output

    def allow(self, sequence: int | None, policy_version: int) -> Output:
        """Take the trainer's allowance and go on where it was waited for."""
        self.allowed_sequence, self.required_version = sequence, policy_version
        if self.phase is not Phase.PAUSED:
            return Output()
        return self._begin_episode() if self._tally is None else Output(command=self._command())

    def interrupt(self) -> Output:
        """Give up the episode: the step under way has no measured end, and is not told."""
        self.phase, self._state = Phase.NEEDS_RESET, None
        if self._tally is None:
            return Output()
        self.interrupted += 1
        return Output(episode=self._end_episode(interrupted=True))

    def _may_play(self) -> bool:
        return self.allowed_sequence is None or self.sequences.sequence < self.allowed_sequence

    def _has_policy(self) -> bool:
        """Tell whether all that is announced has come; without any good one it is waited for."""
        weights = self.acting.history.weights
        if not weights:
            return self.required_version == 0
        return self.required_version <= max(*weights, self.refused_version)

    def _begin_episode(self) -> Output:
        # After a pause the hand may have gone on holding its pose: any state since will do.
        if self._state is None or self._state[0] < self._reset_stamp:
            return Output()
        if not self._may_play() or not self._has_policy():
            self.phase = Phase.PAUSED
            return Output()
        stamp_ns, state = self._state
        self._episode = self.sequences.take_episode()
        self.acting.begin_episode()
        angle = state.valve_angle
        self._tally = _Tally(stamp_ns, angle, angle, angle, angle)
        return Output(command=self._command())

    def _command(self) -> JointTarget | None:
        """Answer the newest state, or pause where the trainer is not ready for more."""
        assert self._state is not None
        assert self._tally is not None
        if not self._may_play():
            self.phase, self._step = Phase.PAUSED, None
            return None
        stamp_ns, state = self._state
        obs = task.observation(state)
        action = self.acting.act(obs[None])[0]
        target = task.target_from_action(action, state)
        # The hand clamps with the same rules, so that what is told here is what it does.
        clamped = self._clamp(target, state.joint_position)
        self._tally.clamped_commands += bool(clamped.reasons)
        applied = task.action_applied(action, target, clamped.target)
        self.phase, self._step = Phase.PLAYING, _Step(stamp_ns, obs, applied)
        return JointTarget(stamp_ns, clamped.target)

    def _end_step(self, state: HandState) -> Output:
        assert self._step is not None
        assert self._tally is not None
        tally, shaping = self._tally, task.log_p_shaping(state)
        tally.add_valve(state.valve_angle)
        tally.log_p_shaping_sum += shaping
        record = TransitionRecord(
            stamp_ns=self._step.stamp_ns,
            hand=self.hand,
            sequence=self.sequences.take_sequence(),
            episode=self._episode,
            step=tally.steps,
            skill=int(self.acting.skill[0]),
            policy_version=int(self.acting.version[0]),
            observation=self._step.obs,
            action=self._step.action,
            next_observation=task.observation(state),
            log_p_shaping=shaping,
            terminated=False,
            truncated=tally.steps + 1 >= self.length,
        )
        tally.steps += 1
        return Output(transition=record)

    def _miss(self, state: HandState) -> None:
        assert self._tally is not None
        self._tally.add_valve(state.valve_angle)
        self._tally.missed_samples += 1
        self.missed_samples += 1

    def _end_episode(self, interrupted: bool) -> EpisodeRecord:
        tally = self._tally
        assert tally is not None
        # A state from before the reset must not begin the next episode.
        self.phase, self._state = Phase.NEEDS_RESET, None
        self._tally, self._step = None, None
        return EpisodeRecord(
            hand=self.hand,
            episode=self._episode,
            skill=int(self.acting.skill[0]),
            policy_version=int(self.acting.version[0]),
            interrupted=interrupted,
            **vars(tally),
        )
