"""What the station writes into a real journal, and what it says of a journal that cannot be written."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import zmq

from edge import config as cfg
from edge import flight
from edge.clock import NS_PER_S, now_ns
from edge.core.outcome import Outcome
from edge.core.part import FrameInfo, Identity, Part, Trigger, Verdict
from edge.record.journal import Journal
from edge.record.journal.reader import Folder
from edge.station.diary import COUNTS_NS, LOOK_NS
from edge.station.reporting import Reporter
from edge.station.standing import JOURNAL_TROUBLE
from edge.wire import messages as wire
from tests.support_station import Rig

RUNNING = ("RUNNING", "")
PATIENCE_S = 5.0


class Writing:
    """A reporter and the folder of its journal."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "journal"
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.rig = rig = Rig(telemetry=cfg.TelemetryConfig(endpoint=f"ipc://{folder}/telemetry"))
        self.journal = Journal(cfg.JournalConfig(folder=str(self.folder)), "station", "one", 0)
        identity = Identity("model", "engine", "fp32")
        self.reporter = Reporter(
            rig.config, identity, rig.ledger, rig.pool, rig.publisher, 100.0, None, self.context, self.journal
        )

    def wait_recorded(self) -> None:
        """Wait until all rows are on the disk."""
        end = time.monotonic() + PATIENCE_S
        while self.journal.status().waiting:
            assert time.monotonic() < end
            time.sleep(0.01)

    def read(self) -> Folder:
        """End the process, and open what it has recorded."""
        self.close()
        return Folder(self.folder)

    def status(self, now: int) -> wire.StationStatus:
        """Return what the reporter would publish."""
        return self.reporter._status(now)

    def close(self) -> None:
        """Close in the order in which the station does."""
        if not self.context.closed:
            self.reporter.flush()
            self.reporter.close()
            self.journal.close()
            self.context.term()


@pytest.fixture
def writing(tmp_path: Path) -> Iterator[Writing]:
    with closing(Writing(tmp_path)) as made:
        yield made


EARLIER = Identity("earlier", "onnxruntime", "int8")
"""Of a part that was triggered before another model came into force."""


def part(number: int, t0_ns: int, frame: FrameInfo | None = None) -> Part:
    made = Part(Trigger(number, 7, t0_ns), "night", 0, 0, count=7, frame=frame, identity=EARLIER)
    made.verdict, made.t2_ns, made.t3_ns = Verdict(Outcome.PASS, "clean"), t0_ns + 20, t0_ns + 30
    return made


def test_a_part_is_recorded_with_its_times_its_session_and_what_became_of_it(writing: Writing) -> None:
    t0 = now_ns()
    writing.reporter.concluded(part(1, t0, FrameInfo(9, t0, t0 + 10, tag="plate 1")), 5)
    writing.reporter.acknowledged(wire.Ack(session=5, part=1, disposition="ACCEPTED", accepted_ns=t0 + 40), t0 + 40)
    writing.reporter.concluded(part(2, t0), 0)
    first, second = writing.read().parts()
    assert (first.number, first.session, first.disposition, first.tag) == (1, 5, "ACCEPTED", "plate 1")
    assert [first.t0_ns, first.t1_ns, first.t2_ns, first.t3_ns, first.t4_ns] == [t0 + n for n in (0, 10, 20, 30, 40)]
    assert (first.recipe, first.model, first.engine, first.precision) == ("night", "earlier", "onnxruntime", "int8")
    assert (second.number, second.session, second.disposition, second.t4_ns) == (2, 0, "", None)


def test_what_happens_is_recorded_from_the_start_to_the_end(writing: Writing) -> None:
    now = now_ns()
    gone = {"camera": "the camera is gone: test"}
    writing.reporter.tick(now, RUNNING, {})
    writing.reporter.note("device_lost", "The camera is lost: test", now, device="camera")
    writing.reporter.tick(now + 1, ("FAULT", gone["camera"]), gone)
    writing.reporter.tick(now + 2, ("FAULT", gone["camera"]), gone)
    writing.reporter.tick(now + 3, RUNNING, {})
    events = list(writing.read().events())
    assert [event.kind for event in events] == [
        *("started", "state", "device_lost", "alarm", "state", "alarm_cleared", "state", "stopped"),
    ]  # fmt: skip
    assert events[0].data["config"]["recipe"]["name"] == "first"
    assert events[2].data == {"device": "camera"}
    assert events[3].data == {"alarm": "camera"}
    assert (events[4].text, events[4].data["state"]) == ("FAULT the camera is gone: test", "FAULT")


def test_the_counters_are_recorded_once_a_minute_at_each_change_of_session_and_at_the_end(writing: Writing) -> None:
    now = now_ns()
    for seconds in range(62):
        writing.reporter.tick(now + seconds * NS_PER_S, RUNNING, {})
    writing.reporter.frames = 3
    writing.reporter.note("session", "granted", now)
    writing.reporter.tick(now + 62 * NS_PER_S, RUNNING, {})
    writing.reporter.frames = 4
    counts = [(row.at_ns - now, row.data["frames"]) for row in writing.read().counts()]
    assert counts[:3] == [(0, 0), (COUNTS_NS, 0), (62 * NS_PER_S, 3)]
    assert [frames for _, frames in counts[3:]] == [4], "once"


def test_reconnects_and_alarms_are_in_the_status(writing: Writing) -> None:
    writing.reporter.reconnects["camera"] += 1
    writing.reporter.tick(0, RUNNING, {"trigger": "gone"})
    status = writing.status(0)
    assert (status.reconnects, status.alarms) == ({"camera": 1}, {"trigger": "gone"})


def test_a_fault_is_traced_when_it_comes_up(writing: Writing, tmp_path: Path) -> None:
    flight.start(4096, tmp_path / "traces", 10, "station test")
    try:
        for reason in ("", "the camera is gone: one", "the camera is gone: two", ""):
            writing.reporter.tick(now_ns(), ("FAULT" if reason else "RUNNING", reason), {})
    finally:
        flight.stop()
    (trace,) = (tmp_path / "traces").glob("*.json")
    assert json.loads(trace.read_text())["otherData"]["reason"] == "FAULT the camera is gone: one"


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Keep the journal's file from being written, as a stalled disk does."""
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def test_a_journal_that_cannot_be_written_is_an_alarm_and_costs_no_time(writing: Writing) -> None:
    writing.wait_recorded()
    (file,) = writing.folder.glob("*.sqlite")
    end = time.monotonic() + PATIENCE_S
    longest_s, number = 0.0, 0
    with locked(file):
        while "journal" not in writing.status(now_ns()).alarms:
            assert time.monotonic() < end, "no alarm"
            number += 1
            began = time.monotonic()
            writing.reporter.concluded(part(number, now_ns()), 0)
            writing.reporter.tick(now_ns(), RUNNING, {})
            longest_s = max(longest_s, time.monotonic() - began)
            time.sleep(0.005)
        assert writing.reporter.trouble(now_ns()) != ""
    assert longest_s < 0.1, "a busy machine may take its time, but nothing waits for the lock"
    while "journal" in writing.status(now_ns()).alarms:
        assert time.monotonic() < end, "the alarm stays"
        writing.reporter.tick(now_ns(), RUNNING, {})
        time.sleep(0.01)
    folder = writing.read()
    assert [row.number for row in folder.parts()] == list(range(1, number + 1)), "and nothing was lost"
    assert [event.kind for event in folder.events()].count("alarm") == 1


def test_a_stalled_journal_does_not_fill_with_how_long_it_has_been_stalled(
    writing: Writing, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = writing.rig
    writing.wait_recorded()
    rig.station._reporter = rig.station._standing._reporter = writing.reporter
    writing.journal._clock = lambda: rig.now
    rig.grant().wait_ms(200)
    entered, free, write = threading.Event(), threading.Event(), writing.journal._keeper.write

    def hung(*rows: Any) -> Any:
        entered.set()
        free.wait(PATIENCE_S)
        return write(*rows)

    monkeypatch.setattr(writing.journal._keeper, "write", hung)
    writing.reporter.note("test", "", rig.now)
    assert entered.wait(PATIENCE_S)
    alarms = set()
    for _ in range(50):
        rig.wait_ms(100)
        alarms.add(writing.status(rig.now).alarms.get("journal"))
    assert writing.status(rig.now).reason == JOURNAL_TROUBLE
    assert len(alarms) > 3, "the alarm does say how long"
    free.set()
    events = list(writing.read().events())
    assert [event.text for event in events if event.kind == "state"] == ["RUNNING", f"WARNING {JOURNAL_TROUBLE}"]
    assert [event.kind for event in events].count("alarm") == 1


def test_the_journal_is_asked_how_it_is_only_now_and_then(writing: Writing) -> None:
    now = now_ns()
    writing.status(now)
    writing.reporter.note("test", "", now)
    end = time.monotonic() + PATIENCE_S
    while writing.journal.status().recorded < 2:
        assert time.monotonic() < end
        time.sleep(0.01)
    assert writing.status(now + LOOK_NS - 1).journal.recorded < 2
    assert writing.status(now + LOOK_NS).journal.recorded == 2
