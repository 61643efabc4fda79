"""What the station publishes of its parts, over a real socket; time is the test's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from edge.config import TelemetryConfig
from edge.core.outcome import Outcome
from edge.core.part import Identity, Part, Trigger, Verdict
from edge.station.reporting import ACK_PATIENCE_NS, Reporter
from edge.wire import messages as wire
from edge.wire.sockets import connect, receive
from tests.support_station import START_NS, Rig

PATIENCE_MS = 10_000
RUNNING = ("RUNNING", "")


class Heard:
    """A reporter, and what a subscriber hears of it."""

    def __init__(self, folder: Path, context: zmq.Context[zmq.Socket[bytes]]) -> None:
        endpoint = f"ipc://{folder}/telemetry"
        rig = Rig(telemetry=TelemetryConfig(endpoint=endpoint))
        identity = Identity("model", "engine", "fp32")
        self.reporter = Reporter(rig.config, identity, rig.ledger, rig.pool, rig.publisher, 100.0, None, context)
        self.subscriber = connect(context, zmq.SUB, endpoint)
        self.marks, self.arrived = 0, False
        while not self.messages():  # until the subscription has arrived
            pass

    def messages(self) -> list[wire.Published]:
        """Return what was published since the last call, up to a change of state made here."""
        self.marks += 1
        self.reporter.tick(0, ("MARK", str(self.marks)), {})
        out: list[wire.Published] = []
        while self.subscriber.poll(PATIENCE_MS if self.arrived else 5):
            self.arrived = True
            frames = receive(self.subscriber)
            assert frames is not None
            out.append(wire.decode_published(frames[-1]))
            if isinstance(out[-1], wire.StationStatus) and out[-1].reason == str(self.marks):
                return out
        return out

    def records(self) -> list[wire.PartRecord]:
        """Return the part records among ``messages``."""
        return [message for message in self.messages() if isinstance(message, wire.PartRecord)]


@pytest.fixture
def heard(tmp_path: Path) -> Iterator[Heard]:
    with zmq.Context[zmq.Socket[bytes]]() as context:
        made = Heard(tmp_path, context)
        yield made
        made.reporter.close()
        made.subscriber.close()


def part(number: int, t3_ns: int | None = START_NS, count: int | None = 7) -> Part:
    verdict = Verdict(Outcome.PASS, "clean")
    return Part(Trigger(number, count, START_NS), "r", 0, 0, count=count, verdict=verdict, t2_ns=START_NS, t3_ns=t3_ns)


def ack(number: int) -> wire.Ack:
    return wire.Ack(session=1, part=number, disposition="ACCEPTED", accepted_ns=9)


def test_a_record_goes_out_with_its_acknowledgement(heard: Heard) -> None:
    heard.reporter.concluded(part(1), 1)
    assert heard.records() == []
    heard.reporter.acknowledged(ack(1), 9)
    assert [(r.part, r.disposition, r.t4_ns) for r in heard.records()] == [(1, "ACCEPTED", 9)]


@pytest.mark.parametrize("t3_ns", [START_NS, None])
def test_a_record_waits_for_its_acknowledgement_as_long_as_agreed(heard: Heard, t3_ns: int | None) -> None:
    heard.reporter.concluded(part(1, t3_ns), 1)
    heard.reporter.tick(START_NS + ACK_PATIENCE_NS, RUNNING, {})
    assert heard.records() == []
    heard.reporter.tick(START_NS + ACK_PATIENCE_NS + 1, RUNNING, {})
    assert [(r.part, r.disposition, r.t4_ns) for r in heard.records()] == [(1, "", None)]


def test_a_part_without_a_session_or_a_count_is_recorded_at_once(heard: Heard) -> None:
    heard.reporter.concluded(part(1, count=None), 0)
    assert [(r.part, r.count, r.disposition) for r in heard.records()] == [(1, None, "")]


def test_the_status_names_the_recipe_in_force(heard: Heard) -> None:
    heard.reporter.recipe_changed("second")
    statuses = [message for message in heard.messages() if isinstance(message, wire.StationStatus)]
    assert statuses[-1].recipe == "second"


def test_what_waits_at_the_end_is_published(heard: Heard) -> None:
    heard.reporter.concluded(part(1), 1)
    heard.reporter.flush()
    assert [r.part for r in heard.records()] == [1]
