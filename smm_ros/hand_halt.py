"""Why a hand is not to be driven: a person has stopped it, or a fault, for now or for good.

A pause ends by itself, when the hand has got over its fault. A stop waits for `clear_stop`.
"""

from __future__ import annotations

from typing import Protocol

from rclpy.node import Node

from smm_ros.dclaw.hand import Hand, HandError, HandLimpError
from smm_ros.hand_stop import StopServer
from smm_ros.lockstep import LockStep


class HandOwner(Protocol):
    """What is asked of the node that owns the hand."""

    def driven_hand(self) -> Hand | None:
        """Return the hand that is active, None where none is."""

    def connected_hand(self) -> Hand | None:
        """Return the hand, None where none is connected."""

    def on_halt(self) -> None:
        """The hand has been stopped, goes on, or has another fault."""


class HandHalt:
    """Holds the latch; serves `stop` and `clear_stop`."""

    def __init__(self, node: Node, lockstep: LockStep, owner: HandOwner) -> None:
        self.fault = ""
        """What is wrong with the hand, empty where nothing is."""
        self.is_paused = False
        """Whether the hand goes on by itself once it has no fault any more."""
        self._told = ""
        self._lockstep, self._owner, self._logger = lockstep, owner, node.get_logger()
        self._server = StopServer(node, self)

    def fail(self, error: HandError) -> None:
        """After a fault the hand stays limp: until someone clears the stop, or it can go on."""
        if self._lockstep.stopped and str(error) == self._told:
            return
        self.fault = self._told = str(error)
        # What a person has stopped, or a fault that waits for one, stays so whatever comes after.
        is_latched = self._lockstep.stopped and not self.is_paused
        self.is_paused = isinstance(error, HandLimpError) and not is_latched
        self._logger.error(f"{'limp' if self.is_paused else 'stopped by a fault'}: {error}")
        if not self.is_paused and not is_latched:
            self._switch_off()
        self._halt()

    def end_pause(self) -> None:
        """Forget a fault that the hand was to get over by itself: the hand is let go of."""
        if self.is_paused:
            self._go_on()

    def look_after(self, hand: Hand) -> None:
        """Pause while the hand has a fault of its own, and go on when it has got over it."""
        if hand.fault and not self._lockstep.stopped:
            self.fail(HandLimpError(hand.fault))
        elif self.is_paused and not hand.fault:
            self._logger.info(f"goes on after: {self.fault}")
            self._go_on()

    # See hand_stop.Stoppable.

    def stop(self) -> str:
        """Switch torque off and refuse everything until `clear_stop`; return what failed."""
        self.is_paused = False
        trouble = self._switch_off()
        self._halt()
        return trouble

    def clear_stop(self) -> str:
        """Take the hand up again; return what that waits for. Raises HandError if it can not."""
        hand = self._owner.driven_hand()
        if hand is not None and self._lockstep.stopped:
            try:
                hand.enable()
            except HandLimpError as error:
                self.is_paused, self.fault = True, str(error)
                return self.fault
        self._go_on()
        return ""

    def _switch_off(self) -> str:
        """Switch torque off; return what failed, empty where torque is off."""
        hand = self._owner.connected_hand()
        try:
            if hand is not None:
                hand.disable()
        except HandError as error:
            self.fault = f"torque may be on: {error}"
            return self.fault
        return ""

    def _halt(self) -> None:
        self._lockstep.stop()
        self._server.tell(True)
        self._owner.on_halt()

    def _go_on(self) -> None:
        self.is_paused, self.fault, self._told = False, "", ""
        self._lockstep.clear_stop()
        self._server.tell(False)
        self._owner.on_halt()
