"""What is wrong with a virtual bus."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Faults:
    """What is wrong with the bus; may be changed at any time."""

    drop_byte: float = 0.0
    """Probability that a byte is lost, either way."""
    corrupt_byte: float = 0.0
    """Probability that a byte becomes another one, either way."""
    silent: set[int] = field(default_factory=set)
    """Ids that hear and obey, but do not answer."""
    cut: set[int] = field(default_factory=set)
    """Ids off the wire, which neither hear nor answer, but have power."""
    slow: dict[int, float] = field(default_factory=dict)
    """Further delay of an id's answers, s."""
    hiccup: float = 0.0
    """For how long the next bytes to the program are held up on their way from the adapter, and
    all that come behind them, s; it is over with that."""
    unplugged: bool = False
    """Whether the cable to the servos is out."""
