"""What the fault matrix is too coarse for: delays that are just in time, how soon something is noticed, strangers."""

from __future__ import annotations

import contextlib
import json
import time

import pytest
import zmq

from edge.wire.sockets import connect
from tests.support_line import (
    assert_nothing_escaped,
    end,
    running_line,
    watch_states,
)

pytestmark = [pytest.mark.process, pytest.mark.timeout(180)]


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


def test_a_camera_that_delivers_nothing_is_noticed_within_two_triggers() -> None:
    with running_line(60, "--infeed", "free", "--drop-frames", "40-59") as (line, _):
        states = watch_states(line, until="FAULT", timeout_s=30)
        seen = end(line)
    assert states[-1].reason == "the camera delivers nothing while parts are triggered"
    second = seen.outcomes[1001 + 41]
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
