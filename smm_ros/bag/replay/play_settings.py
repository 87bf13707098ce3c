"""What of a bag is played, and how."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from smm_core.config import Config, ConfigError, option
from smm_ros.bag.mcap_file import BagError
from smm_ros.bag.replay.play_time import Span


@dataclass(frozen=True)
class PlaySettings(Config):
    """What is played, and how."""

    rate: float = option(
        1.0,
        "Seconds of the bag for each second; 0: as fast as reliable subscribers take it in.",
        low=0.0,
        high=1e6,
    )
    start: float = option(0.0, "Seconds of the bag to leave out at its beginning.", low=0.0)
    duration: float = option(0.0, "Seconds of the bag to play; 0: to its end.", low=0.0)
    max_gap: float = option(
        0.0, "Silences longer than this are made this short, s of the bag; 0: none.", low=0.0
    )
    topics: tuple[str, ...] = option((), "Topics to play; without it all.")
    exclude: tuple[str, ...] = option((), "Topics to leave out.")
    remap: tuple[str, ...] = option((), "Other names for topics, each as OLD:=NEW.")
    clock: float = option(
        0.0, "Rate at which the bag's time is published on /clock, Hz; 0: not.", low=0.0, high=1e4
    )
    delay: float = option(0.0, "Time to wait before each pass, s.", low=0.0)
    wait: float = option(
        0.0, "Time in which a subscriber has to be there, s; 0: plays without any.", low=0.0
    )
    anyway: bool = option(False, "Play topics that other nodes publish, too.")
    loop: bool = option(False, "Begin again at the end.")
    start_paused: bool = option(False, "Wait for a key before the first message.")

    def names(self, recorded: Collection[str]) -> dict[str, str]:
        """Return the topics to play, of those recorded, and what each is called now.

        Raises ConfigError for a topic that the bag does not have and for text that is no pair,
        BagError where no topic is left.
        """
        new = dict(text.partition(":=")[::2] for text in self.remap)
        for old, name in new.items():
            if not old or not name:
                raise ConfigError(f"--remap is {old or name!r}, expected OLD:=NEW")
        for name in (*self.topics, *self.exclude, *new):
            if name not in recorded:
                has = ", ".join(sorted(recorded))
                raise ConfigError(f"there is no topic {name!r} in the bag, which has {has}")
        chosen = (set(self.topics) or set(recorded)) - set(self.exclude)
        if not chosen:
            raise BagError("no topic is left to play")
        return {name: new.get(name, name) for name in sorted(chosen)}

    def span(self, start_ns: int) -> Span:
        """Return the part to be played of a bag that begins at a log time, ns."""
        begin = start_ns + round(self.start * 1e9)
        return Span(begin, begin + round(self.duration * 1e9) if self.duration else 2**63)

    @property
    def tick_ns(self) -> int:
        """The bag's time between two messages on /clock, ns; 0: there are none."""
        return round(1e9 * (self.rate or 1.0) / self.clock) if self.clock else 0

    @property
    def max_gap_ns(self) -> float:
        """Longest silence, ns."""
        return self.max_gap * 1e9 if self.max_gap else float("inf")
