"""What the monitor exports of evidence, and what the reporter tells of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
import zmq
from prometheus_client import CollectorRegistry

from edge.config import StationConfig, parse
from edge.core import budget
from edge.core.alarms import ALARMS
from edge.core.part import UNNAMED, Part
from edge.core.pool import FramePool
from edge.monitor.metrics import LineCollector
from edge.monitor.state import LineState
from edge.record.evidence.schema import DROPPED, REASONS
from edge.station.evidence import FrameEvidence
from edge.station.reporting import Reporter
from edge.station.sizing import part_ledger
from edge.wire.messages import EvidenceStatus, PartRecord, StationStatus, decode_published
from edge.wire.sockets import connect
from tests.support_evidence import closed
from tests.unit.test_monitor_metrics import station

STATUS = EvidenceStatus(
    written={"reject": 7}, dropped={"no_slot": 2}, bytes=4096, free_bytes=1 << 40, waiting=3, problem="bad"
)


class Told:
    """In the place of the hook."""

    def __init__(self) -> None:
        self.records = list[tuple[Part, PartRecord]]()
        self.standing: dict[str, str] = {}

    def recorded(self, part: Part, record: PartRecord) -> None:
        self.records.append((part, record))

    def status(self) -> EvidenceStatus:
        return STATUS

    def alarms(self) -> dict[str, str]:
        return self.standing


class Reporting:
    """A reporter with somebody who hears its telemetry."""

    def __init__(self, context: zmq.Context[Any], folder: str) -> None:
        values = {"recipe": {"name": "r", "rules": [{"name": "any"}]}, "telemetry": {"endpoint": f"ipc://{folder}/t"}}
        self.config = parse(values, StationConfig, "test")
        lines = self.config.line, self.config.actuator, self.config.plc_timing
        ledger = part_ledger(self.config, budget.compute(*lines, 100.0))
        self.told = Told()
        hook = cast(FrameEvidence, self.told)
        pool = FramePool(1, (2, 2), {})
        self.reporter = Reporter(self.config, UNNAMED, ledger, pool, None, 100.0, None, context, evidence=hook)
        self.ear = connect(context, zmq.SUB, self.config.telemetry.endpoint)

    def hears(self) -> StationStatus:
        """Return the next status."""
        for _ in range(50):
            self.now = getattr(self, "now", 0) + 2_000_000_000
            self.reporter.tick(self.now, ("RUNNING", ""), {})
            if self.ear.poll(50):
                message = decode_published(self.ear.recv_multipart()[1])
                if isinstance(message, StationStatus):
                    return message
        raise AssertionError("it says nothing")

    def close(self) -> None:
        self.ear.close()
        self.reporter.close()


@pytest.fixture
def reporting(tmp_path: Any) -> Any:
    with zmq.Context[Any]() as context:
        made = Reporting(context, str(tmp_path))
        yield made
        made.close()


def test_the_station_tells_of_its_evidence_and_its_alarms(reporting: Reporting) -> None:
    assert reporting.hears().evidence == STATUS
    reporting.told.standing = {"disk_low": "full"}
    while (heard := reporting.hears()).alarms == {}:
        pass
    assert heard.alarms == {"disk_low": "full"}


def test_evidence_gets_the_record_of_every_part(reporting: Reporting) -> None:
    part = closed(3)
    reporting.reporter.concluded(part, 0)
    ((same, record),) = reporting.told.records
    assert same is part
    assert (record.part, record.outcome) == (3, "REJECT")


def test_all_of_it_is_exported_with_every_reason_and_cause_at_zero(reporting: Reporting) -> None:
    state, registry = LineState(), CollectorRegistry()
    LineCollector(state, registry)
    state.take(station(), 0)

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"edge_evidence_{name}", labels)

    assert [value("pictures_total", reason=reason) for reason in REASONS] == [0] * len(REASONS)
    assert [value("dropped_total", cause=cause) for cause in DROPPED] == [0] * len(DROPPED)
    state.take(reporting.hears(), 1)
    assert (value("pictures_total", reason="reject"), value("dropped_total", cause="no_slot")) == (7, 2)
    assert (value("bytes"), value("free_bytes"), value("waiting")) == (4096, 1 << 40, 3)
    for alarm in ("evidence", "disk_low"):
        assert alarm in ALARMS
        assert registry.get_sample_value("edge_station_alarm", {"alarm": alarm}) == 0


def test_the_page_tells_what_every_reason_and_cause_means() -> None:
    page = (Path(__file__).parents[2] / "docs" / "evidence.md").read_text(encoding="utf-8")
    assert [name for name in (*REASONS, *DROPPED) if f"| `{name}` |" not in page] == []
