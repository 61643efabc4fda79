"""Protections of the rows of ``rows_line.py``, and how each is taken out."""

from __future__ import annotations

import functools
import sys
from collections.abc import Sequence
from math import ceil
from typing import Any

from edge.core.register import Register
from tests.faults.matrix.protections import Protection, put

# -- station ------------------------------------------------------------------------------------------------------


def frame_intact() -> None:
    """A station that takes every frame for whole."""
    from dataclasses import replace

    from edge.capture.plant import PlantCamera

    receive = PlantCamera._receive
    put(PlantCamera, "_receive", lambda self, *message: replace(receive(self, *message), intact=True))


def device_reopened() -> None:
    """A station that leaves a lost device alone."""
    from edge.capture.thread import DeviceThread

    put(DeviceThread, "_try_again", lambda self: self._stopping.wait() and None)


# -- gateway ------------------------------------------------------------------------------------------------------


class Crowding(Register):
    """A register that keeps no distance between parts."""

    def _keep_distance(self, _number: int, _slot: Any) -> None:
        return


def part_pitch() -> None:
    """A gateway that permits parts however close they are."""
    from edge.gateway import run

    put(run, "Register", Crowding)


def plc_heartbeat() -> None:
    """A gateway to which an open port is a running program."""
    from edge.gateway.link import PlcLink

    begin = PlcLink.__init__

    def patient(self: Any, config: Any) -> None:
        begin(self, config)
        self._stale_ns = 1 << 62

    put(PlcLink, "__init__", patient)


def map_version() -> None:
    """A gateway that reads any PLC's registers as its own."""
    from edge.gateway.plc import signals

    parse = signals.parse_status

    def trusting(registers: Sequence[int]) -> Any:
        return parse([signals.MAP_VERSION, *registers[1:]])

    for module in list(sys.modules.values()):
        if getattr(module, "parse_status", None) is parse:
            put(module, "parse_status", trusting)


def place_by_count() -> None:
    """A gateway that places parts by the time since they were counted, at the highest speed."""
    from edge.core.counter import wrap
    from edge.gateway.link import PlcLink

    began: list[tuple[int, int]] = []

    def by_time(self: Any, now_ns: int) -> int:
        if self.status is None:
            return 0
        if not began:
            began.append((self.status.count, self._read_ns))
        count, at_ns = began[0]
        return wrap(count + ceil(self._counts_per_ns * (now_ns - at_ns)))

    put(PlcLink, "count_now", by_time)


def wrapping_counts() -> None:
    """A gateway that compares counts as plain numbers."""
    from edge.core import counter

    delta = counter.delta
    for module in list(sys.modules.values()):
        if getattr(module, "delta", None) is delta:
            put(module, "delta", lambda later, earlier: later - earlier)


# -- PLC ----------------------------------------------------------------------------------------------------------


def plc_without(*methods: str) -> None:
    """A PLC whose program finds that nothing of this ever happens."""
    from edge.simulate.plc import PlcProgram

    for method in methods:
        put(PlcProgram, method, lambda *_: False)


def plc_clears() -> None:
    """A PLC that keeps parts and permits, whatever becomes of the sessions under which they were given."""
    from edge.simulate.plc import PlcProgram

    forget = PlcProgram._forget_parts
    put(PlcProgram, "_forget_parts", lambda self: None if hasattr(self, "_parts") else forget(self))
    plc_without("_void_fenced")


def _plc(name: str, text: str, row: str, red: str, *methods: str) -> Protection:
    return Protection(name, text, "plant", functools.partial(plc_without, *methods), row, red)


_NO_CAUSE = "have a cause of|has cause"

PROTECTIONS: tuple[Protection, ...] = (
    Protection(
        "frame_intact",
        "a frame that is not whole decides nothing",
        "station",
        frame_intact,
        "short frame",
        f"{_NO_CAUSE}|another part's frame|must not harm passed",  # half a frame on top of an older one can look bad
    ),
    Protection(
        "device_reopened",
        "a lost device is opened again, for ever",
        "station",
        device_reopened,
        "camera unplugged",
        "the first permit came|did not rise",
    ),
    Protection(
        "part_pitch",
        "parts too close to be told apart get no permit",
        "gateway",
        part_pitch,
        "eye bouncing",
        f"{_NO_CAUSE}|without a permit|the fault must not harm",
    ),
    Protection(
        "plc_heartbeat",
        "the PLC's program must beat: an open port is no running program",
        "gateway",
        plc_heartbeat,
        "PLC in STOP",
        "was never shown|did not rise",
    ),
    Protection(
        "map_version",
        "a PLC with another register map is not understood",
        "gateway",
        map_version,
        "PLC with another map",
        "in mid-fault",
    ),
    Protection(
        "place_by_count",
        "the belt's place is its count, never a time",
        "gateway",
        place_by_count,
        "belt stopped",
        "the first permit came|no part passes|of the good parts",
    ),
    Protection(
        "wrapping_counts",
        "counts are compared modulo 2^32",
        "gateway",
        wrapping_counts,
        "encoder wrapped",
        "lost its session|of the good parts|the first permit came",
    ),
    _plc(
        "plc_watchdog",
        "permits end with the gateway's heartbeat",
        "gateway killed",
        "without a permit",
        "_is_stale",
    ),
    Protection(
        "plc_clears",
        "a program that starts anew knows no permit",
        "plant",
        plc_clears,
        "PLC rebooted",
        "without a permit",
    ),
    _plc(
        "part_length",
        "what is longer than a part gets no permit",
        "eye blocked",
        f"{_NO_CAUSE}|without a permit|did not rise",
        "_is_too_long",
    ),
    _plc(
        "encoder_watch",
        "a count that stands or jumps while the belt runs ends every permit",
        "encoder frozen",
        f"without a permit|in mid-fault|{_NO_CAUSE}",
        "_stands",
        "_has_stalled",
        "_has_jumped",
    ),
    _plc(
        "reversal_watch",
        "a belt that runs back ends every permit",
        "belt reversed",
        f"without a permit|{_NO_CAUSE}",
        "_has_reversed",
        "_is_seen_before",
        "_has_jumped",
        "_has_stalled",
        "_stands",
    ),
    _plc(
        "speed_limit",
        "a belt faster than the windows are made for ends every permit",
        "belt too fast",
        f"in mid-fault|without a permit|{_NO_CAUSE}",
        "_runs_away",
    ),
)
