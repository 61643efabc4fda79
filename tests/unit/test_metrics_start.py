"""A monitor that was just started: nothing is told of a process that it has not heard, and never a zero for it."""

from __future__ import annotations

import msgspec
from prometheus_client import CollectorRegistry

from edge.clock import NS_PER_S
from edge.monitor.metric_table import METRICS
from edge.monitor.metrics import LineCollector
from edge.monitor.state import LineState
from edge.wire.messages import GatewayStatus, StationStatus
from tests.support_monitor import GATEWAY, STATION

HOUR_NS = 3600 * NS_PER_S
MONITORS_OWN = {"edge_station_up", "edge_gateway_up"} | {m.name for m in METRICS if m.name.startswith("edge_monitor_")}


class Scrape:
    """A collector that was made at time 0."""

    def __init__(self) -> None:
        self.state, self.registry, self.now_ns = LineState(), CollectorRegistry(), 0
        LineCollector(self.state, self.registry, now_ns=lambda: self.now_ns)

    def __call__(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)

    def told(self) -> set[str]:
        """Return the metrics that have a sample, but for the histogram, which is the monitor's own."""
        samples = {sample.name for family in self.registry.collect() for sample in family.samples}
        return {name for name in samples if not name.startswith("edge_part_latency_seconds")}


def test_of_what_was_not_heard_only_the_silence_is_told_however_long_it_lasts() -> None:
    scrape = Scrape()
    for now_ns in (0, HOUR_NS):
        scrape.now_ns = now_ns
        assert scrape.told() == MONITORS_OWN
        assert (scrape("edge_station_up"), scrape("edge_gateway_up")) == (0, 0)


def test_what_was_heard_is_told_at_once() -> None:
    scrape = Scrape()
    scrape.state.take(msgspec.convert(STATION, StationStatus), 0)
    assert scrape("edge_station_triggers_total") == 3
    assert scrape("edge_evidence_bytes") == 0
    assert scrape("edge_journal_rows_total", process="station") == 0
    assert not any(name.startswith("edge_gateway_") for name in scrape.told() - MONITORS_OWN)
    assert scrape("edge_journal_rows_total", process="gateway") is None
    scrape.state.take(msgspec.convert(GATEWAY, GatewayStatus), 0)
    assert scrape("edge_gateway_plc_triggers_total") == 3
    assert scrape("edge_journal_rows_total", process="gateway") == 0


def test_every_metric_is_named_from_the_first_scrape_on() -> None:
    named = {family.name for family in Scrape().registry.collect()}
    assert named == {metric.name.removesuffix("_total") for metric in METRICS}
