"""What can be done to a virtual hand by a line of text: faults above all."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from smm_ros.dclaw.dynamixel import registers as reg
from smm_ros.dclaw.virtual.hand import VirtualHand

Action = Callable[..., str | None]
"""Returns what it found out, None where it only did something; raises ValueError."""

_MOST_VOLTS, _MOST_KELVIN, _MOST_MILLISECONDS = 50.0, 200.0, 60_000.0


def _show(hand: VirtualHand) -> str:
    """Return a line for each servo: id, torque, watchdog, error, position, velocity (ticks)."""
    told = (
        reg.ID,
        reg.TORQUE_ENABLE,
        reg.BUS_WATCHDOG,
        reg.HARDWARE_ERROR_STATUS,
        reg.PRESENT_POSITION,
        reg.PRESENT_VELOCITY,
        reg.GOAL_POSITION,
    )
    lines = []
    for servo in hand.servos:
        servo.read(0, 1)  # brings what it measures up to date
        lines.append(" ".join(str(servo.get(register)) for register in told))
    return "\n".join(lines)


def _overload(hand: VirtualHand, servo: int) -> None:
    hand.servo(servo).fail(reg.OVERLOAD_BIT)


def _shock(hand: VirtualHand, servo: int) -> None:
    hand.servo(servo).fail(reg.SHOCK_BIT)


def _heat(hand: VirtualHand, servo: int, kelvin: float) -> None:
    hand.servo(servo).heat = _within("K", kelvin, -_MOST_KELVIN, _MOST_KELVIN)


def _supply(hand: VirtualHand, volts: float) -> None:
    volts = _within("V", volts, 0.0, _MOST_VOLTS)
    for servo in hand.servos:
        servo.supply = volts


def _brownout(hand: VirtualHand) -> None:
    """Let the voltage fail so that all servos start anew."""
    for servo in hand.servos:
        servo.reboot()


def _reboot(hand: VirtualHand, servo: int) -> None:
    hand.servo(servo).reboot()


def _turn(hand: VirtualHand, servo: int, turns: int) -> None:
    hand.servo(servo).turn(turns)


def _silent(hand: VirtualHand, servo: int) -> None:
    hand.servo(servo)
    hand.bus.faults.silent.add(servo)


def _heard(hand: VirtualHand, servo: int) -> None:
    hand.servo(servo)
    hand.bus.faults.silent.discard(servo)


def _cut(hand: VirtualHand, *servos: int) -> None:
    for servo in servos:
        hand.servo(servo)
    hand.bus.faults.cut.update(servos)


def _join(hand: VirtualHand, *servos: int) -> None:
    for servo in servos:
        hand.servo(servo)
    hand.bus.faults.cut.difference_update(servos)


def _slow(hand: VirtualHand, servo: int, milliseconds: float) -> None:
    hand.servo(servo)
    hand.bus.faults.slow[servo] = _seconds(milliseconds)


def _hiccup(hand: VirtualHand, milliseconds: float) -> None:
    hand.bus.faults.hiccup = _seconds(milliseconds)


def _drop(hand: VirtualHand, probability: float) -> None:
    hand.bus.faults.drop_byte = _within("P", probability, 0.0, 1.0)


def _corrupt(hand: VirtualHand, probability: float) -> None:
    hand.bus.faults.corrupt_byte = _within("P", probability, 0.0, 1.0)


def _unplug(hand: VirtualHand) -> None:
    hand.bus.faults.unplugged = True


def _plug(hand: VirtualHand) -> None:
    hand.bus.faults.unplugged = False


def _within(name: str, value: float, low: float, high: float) -> float:
    if not (math.isfinite(value) and low <= value <= high):
        raise ValueError(f"{name} is {value}, expected {low:g} to {high:g}")
    return value


def _seconds(milliseconds: float) -> float:
    return _within("MS", milliseconds, 0.0, _MOST_MILLISECONDS) / 1000


COMMANDS: dict[str, tuple[Action, tuple[type, ...], str]] = {
    "show": (_show, (), "id, torque, watchdog, error, position, velocity and goal of each, ticks"),
    "overload": (_overload, (int,), "ID: raise its overload error, which switches it off"),
    "shock": (_shock, (int,), "ID: raise its electrical shock error"),
    "heat": (_heat, (int, float), "ID K: make it hotter than it makes itself; 0 ends it"),
    "supply": (_supply, (float,), "V: input voltage of all servos; below 6 they are off"),
    "brownout": (_brownout, (), "all servos start anew, their RAM is lost"),
    "reboot": (_reboot, (int,), "ID: it starts anew"),
    "turn": (_turn, (int, int), "ID TURNS: count whole turns more, as if it was turned by hand"),
    "silent": (_silent, (int,), "ID: it hears and obeys, but does not answer any more"),
    "heard": (_heard, (int,), "ID: it answers again"),
    "cut": (_cut, (int,), "ID ...: off the wire, they neither hear nor answer, but have power"),
    "join": (_join, (int,), "ID ...: on the wire again"),
    "slow": (_slow, (int, float), "ID MS: its answers are late by so much"),
    "hiccup": (_hiccup, (float,), "MS: the next answers are held up by the adapter, once"),
    "drop": (_drop, (float,), "P: each byte is lost with this probability"),
    "corrupt": (_corrupt, (float,), "P: each byte is changed with this probability"),
    "unplug": (_unplug, (), "the cable to the servos"),
    "plug": (_plug, (), "the cable in again"),
}
"""By name: what it does, types of what it takes, and what to say of it."""
_OF_MANY = ("cut", "join")
"""Those that take their argument once or several times."""


def execute(hand: VirtualHand, line: str) -> str:
    """Carry out a command; return what was done, or what is wrong with the line."""
    name, *words = line.split() or ["help"]
    if name == "help":
        return "\n".join(f"{name} {text}" for name, (_, _, text) in COMMANDS.items())
    if name not in COMMANDS:
        return f"error: there is no command {name!r}; expected one of {', '.join(COMMANDS)}, help"
    action, types, text = COMMANDS[name]
    try:
        told = action(hand, *_arguments(name, types, words))
    except ValueError as error:
        return f"error: {name} {text}; {error}"
    return f"done: {line}" if told is None else told


def _arguments(name: str, types: tuple[type, ...], words: list[str]) -> list[Any]:
    if name in _OF_MANY:
        types *= max(1, len(words))
    if len(words) != len(types):
        raise ValueError(f"expected {len(types)} arguments, got {len(words)}")
    return [kind(word) for kind, word in zip(types, words, strict=True)]
