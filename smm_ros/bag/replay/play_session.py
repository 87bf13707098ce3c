"""A bag on its way into the graph: publishers, the passes through the bag, and what came of it."""

from __future__ import annotations

import heapq
import sys
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from rclpy.executors import SingleThreadedExecutor
from rosgraph_msgs.msg import Clock

from smm_ros.bag.contents import read_contents
from smm_ros.bag.mcap_file import BagError
from smm_ros.bag.read_ahead import ReadAhead
from smm_ros.bag.reading import BagMessage, read_messages
from smm_ros.bag.replay.outlet import NotPlayableError, Outlet, check_name
from smm_ros.bag.replay.play_keys import Key, Keys
from smm_ros.bag.replay.play_settings import PlaySettings
from smm_ros.bag.replay.play_time import time_line
from smm_ros.bag.replay.player import Player
from smm_ros.conversions import clock_to_msg
from smm_ros.guest import Guest
from smm_ros.interfaces import CLOCK, CLOCK_QOS
from smm_ros.node_main import NodeError

SETTLED = 0.5
"""The subscribers that are there are taken for all when no other came for so long, s."""
SETTLE_AT_MOST = 5.0
LOOK = 1.0
"""Least time to look for subscribers, and for others that publish the same topics, s."""
EVERYBODYS = ("/rosout", "/parameter_events")
"""Topics that each node publishes by itself."""
ARRIVE_WITHIN = 4.0
"""Time that the last messages get to arrive before the publishers go, s. Writers of Fast DDS ask
whether they have every 3 s."""


class PlaySession:
    """Plays bags once, or again and again. To be used in a `with`, which leaves the graph."""

    def __init__(self, bags: Sequence[Path], settings: PlaySettings, keys: Keys) -> None:
        """Look through the bags; raises BagError or ConfigError where they can not be played."""
        self._bags, self._settings, self._keys = bags, settings, keys
        self._contents = read_contents(bags)
        self._names = settings.names(self._contents.topics)
        for name in self._names.values():
            check_name(name)

    def __enter__(self) -> PlaySession:
        self._node = Guest("bag_player")
        return self

    def __exit__(self, *_: object) -> None:
        self._node.destroy_node()

    def run(self) -> int:
        """Play; return the exit status: 0, or 130 after Ctrl-C.

        Raises BagError where the bag is damaged or no topic can be played, NodeError where a
        subscriber was to be there and is not, or others publish the same topics.
        """
        outlets = self._make_outlets()
        clock_out = None
        if self._settings.clock and CLOCK in self._names.values():
            _tell(f"/clock is the bag's own; --clock needs --exclude {CLOCK}")
        elif self._settings.clock:
            clock_out = self._node.create_publisher(Clock, CLOCK, CLOCK_QOS)
        self._published = [self._names[each] for each in outlets] + [CLOCK] * bool(clock_out)
        self._wait_for_subscribers(outlets)
        self._check_others()
        if self._keys.are_heard:
            _tell(f"{Key.PAUSE.value}: hold, go on; {Key.STEP.value}: play the next message")

        def tell_time(stamp_ns: int) -> None:
            if clock_out is not None:
                clock_out.publish(clock_to_msg(stamp_ns))

        player = Player(outlets, tell_time, self._keys, self._on_beat)
        begun, is_whole = time.monotonic(), False
        with suppress(KeyboardInterrupt):
            self._play(player, outlets, with_clock=clock_out is not None)
            is_whole = True
        seconds = time.monotonic() - begun
        _erase_line()
        print(_summary(player, outlets, seconds), flush=True)
        if is_whole:
            self._wait_for_arrival(outlets)
        return 0 if is_whole else 130

    def _make_outlets(self) -> dict[str, Outlet]:
        outlets: dict[str, Outlet] = {}
        for recorded, name in self._names.items():
            try:
                outlets[recorded] = Outlet(self._node, self._contents.topics[recorded], name)
            except NotPlayableError as error:
                count = self._contents.counts[recorded]
                _tell(f"{recorded} is not played ({count} messages): {error}")
        if not outlets:
            raise BagError("none of the topics can be played; build their message packages first")
        return outlets

    def _wait_for_subscribers(self, outlets: dict[str, Outlet]) -> None:
        """Wait until those that are there are found: what is sent before is lost to them."""
        executor = SingleThreadedExecutor(context=self._node.context)
        executor.add_node(self._node)  # tells of subscribers that want another quality
        begun = changed = now = time.monotonic()
        known = 0
        least, most = begun + LOOK, begun + SETTLE_AT_MOST
        while now < least or now < min(most, changed + SETTLED) or not known:
            executor.spin_once(timeout_sec=0.05)
            now, found = time.monotonic(), sum(each.num_subscribers for each in outlets.values())
            if found != known:
                known, changed = found, now
            if not known and now > max(least, begun + self._settings.wait):
                break
        executor.shutdown()
        if self._settings.wait and not known:
            names = ", ".join(self._names.values())
            raise NodeError(f"nobody subscribed to {names} within {self._settings.wait:g} s")

    def _play(self, player: Player, outlets: dict[str, Outlet], with_clock: bool) -> None:
        settings = self._settings
        tick_ns = settings.tick_ns if with_clock else 0
        is_first = True
        while is_first or settings.loop:
            time.sleep(settings.delay)
            with ReadAhead(_in_time(self._bags, outlets)) as messages:
                span = settings.span(self._contents.start_ns)
                events = time_line(messages, span, settings.max_gap_ns, tick_ns)
                player.play(events, settings.rate, is_first and settings.start_paused)
            is_first = False

    def _wait_for_arrival(self, outlets: dict[str, Outlet]) -> None:
        end = time.monotonic() + ARRIVE_WITHIN
        for name, outlet in outlets.items():
            if not outlet.has_arrived(max(0.0, end - time.monotonic())):
                _tell(f"the last messages of {name} may not have arrived at all subscribers")

    def _check_others(self) -> None:
        """Raise NodeError where others publish what is played: nobody could tell it apart."""
        if self._settings.anyway:
            return
        found = {
            name: ", ".join(sorted(set(others)))
            for name in self._published
            if name not in EVERYBODYS and (others := self._node.other_publishers(name))
        }
        if found:
            told = "; ".join(f"{name} by {others}" for name, others in found.items())
            raise NodeError(
                f"published already: {told}. Leave these out (--exclude), give them other names "
                "(--remap), or play them all the same (--anyway)"
            )

    def _on_beat(self, stamp_ns: int, is_held: bool) -> None:
        self._check_others()
        if sys.stderr.isatty():
            start, end = self._contents.start_ns, self._contents.end_ns
            place, whole = (stamp_ns - start) / 1e9, (end - start) / 1e9
            held = "  held" if is_held else ""
            sys.stderr.write(f"\r\x1b[K{place:.1f} of {whole:.1f} s{held}")
            sys.stderr.flush()


def _in_time(bags: Sequence[Path], topics: Collection[str]) -> Iterator[BagMessage]:
    """Yield the messages of several bags by their log times; within each as recorded."""
    readings = [read_messages(bag, topics) for bag in bags]
    return heapq.merge(*readings, key=lambda message: message.log_time_ns)


def _summary(player: Player, outlets: dict[str, Outlet], seconds: float) -> str:
    total, late = sum(outlet.count for outlet in outlets.values()), player.lateness
    lines = [f"played {total} messages in {seconds:.2f} s"]
    lines += [f"  {outlet.count:>9}  {name}" for name, outlet in outlets.items()]
    if late.count:
        times = (late.quantile(0.5), late.quantile(0.99), late.longest)
        p50, p99, longest = (1e3 * each for each in times)
        lines.append(f"late by {p50:.2f} ms (p50), {p99:.2f} ms (p99), {longest:.2f} ms (longest)")
    return "\n".join(lines)


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _erase_line() -> None:
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()
