"""Faults of frames, triggers, verdicts and the network."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

from edge.simulate.line.director import Fault, Line
from edge.simulate.line.floor import HELLO_NS, NO_PLATE, FrameMessage, TriggerMessage
from edge.simulate.line.setup import MS, PITCH_MM, V_MIN
from edge.simulate.world import COUNTER_SPAN

_FEW = (1, 1, 1, 2, 3)
"""How many messages in a row a fault spoils."""

_M = TypeVar("_M", FrameMessage, TriggerMessage)

_NEXT_PART_MS = 1000.0 * PITCH_MM / V_MIN
"""At the latest after that the next part is there."""


def _few(where: str, spoil: Callable[[Line, _M], list[tuple[int, _M]]]) -> Callable[[Line], None]:
    """Return a fault of the next few messages that pass ``where`` on the floor."""

    def inject(line: Line) -> None:
        left = line.rng.choice(_FEW)

        def tamper(message: _M) -> list[tuple[int, _M]]:
            nonlocal left
            left -= 1
            if not left:
                setattr(line.floor, where, None)
                line.repaired()
            return spoil(line, message)

        setattr(line.floor, where, tamper)

    return inject


def _frames(spoil: Callable[[Line, FrameMessage], list[tuple[int, FrameMessage]]]) -> Callable[[Line], None]:
    """Return a fault of the next few frames."""
    return _few("tamper_frame", spoil)


def _late_frame(line: Line, frame: FrameMessage) -> list[tuple[int, FrameMessage]]:
    return [(int(line.rng.uniform(10.0, 200.0) * MS), frame)]


def _camera_gap(line: Line) -> None:
    floor = line.floor
    floor.camera_counter = (floor.camera_counter + line.rng.randrange(1, 6)) % COUNTER_SPAN
    line.repaired()


def _stray_frame(line: Line) -> None:
    line.floor.expose(line.sim.now, NO_PLATE, line.station)
    line.repaired()


def _camera_silent(line: Line) -> None:
    line.floor.camera_silent = True
    line.for_a_while(100.0, 600.0, lambda: setattr(line.floor, "camera_silent", False))


def _triggers(spoil: Callable[[Line, TriggerMessage], list[tuple[int, TriggerMessage]]]) -> Callable[[Line], None]:
    """Return a fault of the next few triggers."""
    return _few("tamper_trigger", spoil)


def _lost_trigger(line: Line, edge: TriggerMessage) -> list[tuple[int, TriggerMessage]]:
    now = line.sim.now  # the eye's next hello names the number that did not come
    line.sim.at(now - now % HELLO_NS + HELLO_NS, line.station.eye_hello, (edge.number, edge.epoch))
    return []


def _late_trigger(line: Line, edge: TriggerMessage) -> list[tuple[int, TriggerMessage]]:
    return [(int(line.rng.uniform(3.0, 150.0) * MS), edge)]


def _doubled_trigger(line: Line, edge: TriggerMessage) -> list[tuple[int, TriggerMessage]]:
    return [(0, edge), (int(line.rng.uniform(0.0, 150.0) * MS), edge)]


def _verdicts(
    spoil: Callable[[Line, bytes, dict[str, Any]], list[int]], repaired_ms: float = 0.0
) -> Callable[[Line], None]:
    """Return a fault of the next few verdicts, repaired so long after the last of them."""

    def inject(line: Line) -> None:
        left = line.rng.choice(_FEW)

        def tamper(data: bytes) -> list[int] | None:
            nonlocal left
            if b'"verdict"' not in data:
                return None
            left -= 1
            if not left:
                line.network.tamper_up = None
                line.later(repaired_ms, line.repaired)
            return spoil(line, data, json.loads(data))

        line.network.tamper_up = tamper

    return inject


def _late(line: Line, _data: bytes, _verdict: dict[str, Any]) -> list[int]:
    """Half of them about when the part comes to its commit points, the others anywhere around."""
    around = line.rng.random() < 0.5
    return [int((line.rng.uniform(390.0, 470.0) if around else line.rng.uniform(200.0, 1100.0)) * MS)]


def _lost(_line: Line, _data: bytes, _verdict: dict[str, Any]) -> list[int]:
    return []


def _duplicated(line: Line, _data: bytes, _verdict: dict[str, Any]) -> list[int]:
    return [0, *(int(line.rng.uniform(0.0, 700.0) * MS) for _ in range(line.rng.randrange(1, 4)))]


def _reordered(line: Line, _data: bytes, _verdict: dict[str, Any]) -> list[int]:
    return [int(line.rng.uniform(70.0, 180.0) * MS)]


def _message(verdict: dict[str, Any], **changes: object) -> bytes:
    return json.dumps({**verdict, **changes}).encode()


def _unknown(line: Line, _data: bytes, verdict: dict[str, Any]) -> list[int]:
    """A PASS for a part that the PLC has not counted, or not there, comes along with the verdict."""
    number = (verdict["part"] + line.rng.choice((-300, -40, 20, 50, 1 << 20))) % COUNTER_SPAN
    line.network.inject_up(_message(verdict, part=number, outcome="PASS", cause="clean"))
    return [0]


def _misplaced(line: Line, _data: bytes, verdict: dict[str, Any]) -> list[int]:
    """A PASS under the number of the next part, with the count of this one, comes before that part's own verdict."""
    number = (verdict["part"] + 1) % COUNTER_SPAN
    line.network.inject_up(_message(verdict, part=number, outcome="PASS", cause="clean"))
    return [0]


def _conflicting(line: Line, _data: bytes, verdict: dict[str, Any]) -> list[int]:
    """A second verdict on the same part that says PASS, after the first, whatever that said."""
    line.network.inject_up(_message(verdict, outcome="PASS", cause="clean"), int(line.rng.uniform(1.0, 120.0) * MS))
    return [0]


def _replayed(line: Line) -> None:
    """What was said in an earlier session is said again: as it was, and for parts that are announced now."""
    left, old = line.rng.choice((3, 4, 5)), line.network.old_session(line.rng)

    def tamper(data: bytes) -> list[int] | None:
        nonlocal left
        if b'"announce"' not in data:
            return None
        left -= 1
        if not left:
            line.network.tamper_up = None
            line.repaired()
        announce = json.loads(data)
        part, count = announce["part"], announce["count"]
        verdict = {"kind": "verdict", "session": old, "part": part, "count": count, "outcome": "PASS", "cause": "clean"}
        line.network.inject_up(_message(verdict), 1 * MS)
        line.network.inject_up(_message(verdict, part=(part - 40) % COUNTER_SPAN), 2 * MS)
        return None

    line.network.tamper_up = tamper


def _cut(kind: str) -> Callable[[Line], None]:
    def inject(line: Line) -> None:
        line.network.sever(kind)
        line.for_a_while(40.0, 700.0, line.network.heal)

    return inject


FAULTS = (
    Fault("frame_lost", "the next frames never arrive", _frames(lambda _line, _frame: [])),
    Fault("frame_late", "the next frames arrive 10 to 200 ms late", _frames(_late_frame)),
    Fault("frame_corrupt", "short frames", _frames(lambda _line, f: [(0, f._replace(intact=False))])),
    Fault("frame_doubled", "the next frames arrive twice", _frames(lambda _line, f: [(0, f), (3 * MS, f)])),
    Fault("camera_gap", "the camera's counter jumps over a few numbers", _camera_gap, "resync"),
    Fault("frame_stray", "a frame of the bare belt, without a trigger", _stray_frame, "resync"),
    Fault("camera_silent", "exposed frames are not sent", _camera_silent),
    Fault("trigger_lost", "the next edges never arrive at the station", _triggers(_lost_trigger)),
    Fault("trigger_late", "the next edges arrive 3 to 150 ms late", _triggers(_late_trigger)),
    Fault("trigger_doubled", "the next edges arrive twice", _triggers(_doubled_trigger), "resync"),
    Fault("verdict_late", "verdicts arrive 0.2 to 1.1 s late", _verdicts(_late)),
    Fault("verdict_lost", "verdicts do not arrive", _verdicts(_lost)),
    Fault("verdict_duplicated", "verdicts arrive up to four times", _verdicts(_duplicated)),
    Fault("verdict_reordered", "verdicts are overtaken by later ones", _verdicts(_reordered)),
    Fault("verdict_unknown", "a PASS for a part that nobody counted", _verdicts(_unknown)),
    Fault(
        "verdict_misplaced",
        "a PASS for the next part, at this one's place",
        _verdicts(_misplaced, _NEXT_PART_MS),
        "empty",
    ),
    Fault("verdict_conflicting", "a PASS after the part's own verdict", _verdicts(_conflicting)),
    Fault("verdict_replayed", "a PASS of an earlier session, for old and present parts", _replayed),
    Fault("network_cut", "what is sent is lost, until the cable is mended", _cut("lost"), "process"),
    Fault("network_held", "what is sent arrives when the cable is mended", _cut("held"), "process"),
)
