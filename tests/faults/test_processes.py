"""Kill and stop real processes in mid-run, with parts arriving all the while, and ask the referee."""

from __future__ import annotations

import contextlib
import json
import signal
import time

import pytest
import zmq

from edge.commands.processes import Line
from edge.wire.sockets import connect
from tests.support_line import (
    FENCE_PARTS,
    Ended,
    assert_nothing_escaped,
    end,
    running_line,
    send,
    watch_states,
)

pytestmark = [pytest.mark.process, pytest.mark.timeout(180)]

TARGETS = [("station",), ("gateway",), ("station", "gateway")]
OUTAGE_PARTS = 50
RECOVERY_PARTS = FENCE_PARTS + 10
SETTLED_PARTS = 8
"""Parts between eye and gate, and those whose verdict was on its way, when a process is hurt."""


def start_again(line: Line, names: tuple[str, ...]) -> None:
    """Start killed processes anew."""
    if "gateway" in names:
        line.start_gateway()
    if "station" in names:
        line.start_station()


def judge(seen: Ended, hurt: int, healed: int) -> None:
    """What must hold for every outage between the parts ``hurt`` and ``healed``."""
    assert_nothing_escaped(seen)
    assert seen.good(0, hurt), "permits were not honoured before the fault"
    assert not seen.good(hurt + SETTLED_PARTS, healed - 1), "a part went through in mid-outage"
    assert seen.good(healed, 1 << 32), "no part passes after the fault"


@pytest.mark.parametrize("targets", TARGETS, ids="+".join)
def test_killed_processes_let_nothing_through_and_recover(targets: tuple[str, ...]) -> None:
    with running_line(0, "--infeed", "free") as (line, eye):
        eye.wait_honoured(10, 30)
        hurt = eye.last_part()
        send(line, signal.SIGKILL, *targets)
        eye.wait_parts(OUTAGE_PARTS)
        before = eye.honoured()
        healed = eye.last_part()
        start_again(line, targets)
        eye.wait_honoured(before + 10, 30)
        seen = end(line, stop=True)
    judge(seen, hurt, healed)
    # How long a process takes to start depends on the machine; from its first session on, it is the fence that counts.
    in_session = min(n for n, record in seen.outcomes.items() if n > healed and record["disposition"])
    first = min(seen.good(healed, 1 << 32))
    assert first <= in_session + RECOVERY_PARTS, f"the first part to pass is {first - in_session} after the session"


@pytest.mark.parametrize("targets", TARGETS, ids="+".join)
def test_stopped_processes_let_nothing_through_and_recover(targets: tuple[str, ...]) -> None:
    with running_line(0, "--infeed", "free") as (line, eye):
        eye.wait_honoured(10, 30)
        hurt = eye.last_part()
        send(line, signal.SIGSTOP, *targets)
        eye.wait_parts(OUTAGE_PARTS)
        before = eye.honoured()
        healed = eye.last_part()
        send(line, signal.SIGCONT, *targets)
        eye.wait_honoured(before + 10, 30)
        seen = end(line, stop=True)
    judge(seen, hurt, healed)
    first = min(seen.good(healed, 1 << 32))
    assert first <= healed + RECOVERY_PARTS, f"the first part to pass is {first - healed} after SIGCONT"


def test_a_dropped_frame_costs_its_own_part_and_no_other() -> None:
    with running_line(60, "--drop-frames", "20,33", "--corrupt-frames", "41") as (line, _):
        seen = end(line)
    assert_nothing_escaped(seen)
    undecided = {n - 1001: r["cause"] for n, r in seen.outcomes.items() if r["outcome"] == "NO_DECISION"}
    assert undecided == {20: "frame_missing", 33: "frame_missing", 41: "frame_corrupt"}
    assert len(seen.outcomes) == 60


def test_a_lost_trigger_becomes_a_part_without_a_decision() -> None:
    with running_line(50, "--drop-triggers", "20") as (line, _):
        seen = end(line)
    assert_nothing_escaped(seen)
    assert seen.outcomes[1021]["cause"] == "trigger_lost"
    assert len(seen.outcomes) == 50


def test_delayed_frames_and_triggers_decide_their_own_part_or_none() -> None:
    delays = ("--delay-frames", "15:30", "--delay-frames", "25:150", "--delay-triggers", "35:20,45:130")
    with running_line(70, *delays) as (line, _):
        seen = end(line)
    assert_nothing_escaped(seen)
    assert seen.outcomes[1016]["outcome"] != "NO_DECISION", "30 ms late is in time"
    assert seen.outcomes[1026]["cause"] == "frame_missing"
    assert seen.outcomes[1036]["outcome"] != "NO_DECISION", "20 ms late is in time"
    assert seen.outcomes[1046]["outcome"] == "NO_DECISION"
    assert len(seen.outcomes) == 70


# Each protection is taken out in turn, and the same judgement must turn red.


def test_a_plc_that_passes_by_default_is_caught() -> None:
    with running_line(40, sabotage="default_pass", which="plant") as (line, _):
        seen = end(line)
    with pytest.raises(AssertionError, match="without a permit"):
        assert_nothing_escaped(seen)


def test_a_register_without_fence_is_caught() -> None:
    # Frames come 50 ms late, so that verdicts are on their way at any time, also when a session is granted.
    options = ("--infeed", "free", "--delay-frames", "0-2000:50")
    with running_line(0, *options, sabotage="no_fence", which="gateway") as (line, eye):
        eye.wait_honoured(5, 30)
        for _ in range(3):
            send(line, signal.SIGSTOP, "gateway")
            time.sleep(0.4)
            send(line, signal.SIGCONT, "gateway")
            eye.wait_parts(15)
        seen = end(line, stop=True)
    with pytest.raises(AssertionError, match="without a permit"):
        assert_nothing_escaped(seen)


def drop_a_frame(sabotage: str) -> Ended:
    """At 1200 parts a minute the next frame comes while the part without one still waits."""
    belt = ("--speed", "3000", "--v-max", "3000", "--pitch", "150", "--pitch-min", "140", "--length", "20")
    limits = """
pitch_min_mm = 150.0
part_length_min_mm = 20.0
part_length_max_mm = 20.0
speed_min_mm_s = 3000.0
speed_max_mm_s = 3000.0
"""
    with running_line(60, *belt, "--drop-frames", "20", limits=limits, sabotage=sabotage, which="station") as (line, _):
        return end(line)


def test_frames_matched_by_counter_survive_a_dropped_one_at_1200_a_minute() -> None:
    assert_nothing_escaped(drop_a_frame(""))


def test_frames_matched_by_order_are_caught_when_one_is_dropped() -> None:
    seen = drop_a_frame("by_order")
    with pytest.raises(AssertionError, match="another part's frame"):
        assert_nothing_escaped(seen)


def test_a_camera_that_delivers_nothing_is_noticed_within_two_triggers() -> None:
    with running_line(40, "--infeed", "free", "--drop-frames", "20-39") as (line, _):
        states = watch_states(line, until="FAULT", timeout_s=30)
        seen = end(line)
    assert states[-1].reason == "the camera delivers nothing while parts are triggered"
    second = seen.outcomes[1001 + 21]
    assert states[-1].causes["frame_missing"] == 2, "noticed with the second part that has no frame, not later"
    assert (int(second["t2_ns"]) - int(second["t0_ns"])) / 1e6 < 100


def test_strangers_and_garbage_change_nothing() -> None:
    with running_line(60) as (line, _):
        with zmq.Context() as context, connect(context, zmq.DEALER, line.endpoint("gateway")) as stranger:
            session = {"v": 1, "session": 1, "part": 1001, "count": 4_000_000}
            messages = [
                b"",
                b"garbage",
                b"\xff" * 4000,
                b'{"kind":"goodbye","v":9,"session":1}',
                b'{"kind":"goodbye","session":1,"x":' + b"[" * 2000 + b"]" * 2000 + b"}",
                json.dumps({"kind": "verdict", "outcome": "PASS", "cause": "clean", **session}).encode(),
                json.dumps({"kind": "heartbeat", "session": 1, "beat": 1}).encode(),
            ]
            end_ns = time.monotonic_ns() + 4_000_000_000
            while time.monotonic_ns() < end_ns:
                for message in messages:
                    with contextlib.suppress(zmq.Again):  # not connected yet, or its queue is full
                        stranger.send_multipart([message, message] if message == b"garbage" else [message])
                time.sleep(0.02)
        seen = end(line)
    assert_nothing_escaped(seen)
    assert {record["outcome"] for record in seen.outcomes.values()} == {"PASS", "REJECT"}
    assert len(seen.outcomes) == 60
