"""The collector that renders ``LineState`` as the metrics of the table.

A process that this monitor has not heard has no series but its ``..._up`` gauge: a zero in place of an unknown count
would look like a restart, and all that the process ever counted like news once it is heard.  From its first status on
every outcome, cause and disposition that the tables know is there, at zero until it comes up, so that ``increase`` sees
the first event.  The ``..._up`` gauges say whether the values are fresh.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from edge.clock import NS_PER_S
from edge.clock import now_ns as monotonic_ns
from edge.core.alarms import ALARMS
from edge.core.challenge import Result
from edge.core.challenge_due import REASONS as DUE
from edge.core.modes import Mode
from edge.core.outcome import CAUSES, Disposition, Outcome
from edge.core.pool import Purpose
from edge.monitor.metric_table import (
    DEVICES,
    LOST_FRAME_CAUSES,
    METRICS,
    REJECTED_CAUSES,
    STATES,
    STATION_ALARMS,
    VOIDED_CAUSES,
    Metric,
)
from edge.monitor.recent import wall_ms_of
from edge.monitor.state import BUCKETS_MS, LineState
from edge.record.evidence.schema import DROPPED, REASONS
from edge.wire.messages import ChallengeStatus, EvidenceStatus, GatewayStatus, StationStatus

Family = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily
Samples = Iterable[tuple[tuple[str, ...], float]]


class LineCollector(Collector):
    """Renders ``LineState`` at each scrape.

    Args:
        state: what to render.
        registry: where to register.
        lock: held while ``state`` is read.
        malformed: gives the number of messages that could not be understood.
        now_ns: gives monotonic nanoseconds.
    """

    def __init__(
        self,
        state: LineState,
        registry: CollectorRegistry,
        lock: threading.Lock | None = None,
        malformed: Callable[[], int] = lambda: 0,
        now_ns: Callable[[], int] = monotonic_ns,
    ) -> None:
        self._state = state
        self._lock = lock or threading.Lock()
        self._malformed = malformed
        self._now_ns = now_ns
        registry.register(self)

    def collect(self) -> Iterable[Family]:
        """Return all metrics of ``METRICS``, in its order."""
        with self._lock:
            values: dict[str, Samples] = dict(self._values(self._now_ns()))
            return [
                _histogram(metric, self._state)
                if metric.kind == "histogram"
                else _fill(metric, values.get(metric.name, ()))
                for metric in METRICS
            ]

    def _values(self, now_ns: int) -> Iterator[tuple[str, Samples]]:
        state = self._state
        yield "edge_station_up", _one(state.station_up(now_ns))
        yield "edge_gateway_up", _one(state.gateway_up(now_ns))
        yield "edge_monitor_part_records_total", _one(state.parts)
        yield "edge_monitor_malformed_messages_total", _one(self._malformed())
        yield "edge_monitor_negative_latencies_total", _one(state.negative_latencies)
        if state.station is not None:
            yield from _station_values(state.station)
            yield "edge_station_unreconciled_parts", _one(state.station_unreconciled())
            yield from _evidence_values(state.station.evidence)
            yield from _challenge_values(state.station.challenge)
        if state.gateway is not None:
            yield from _gateway_values(state.gateway)
            yield "edge_gateway_unreconciled_announcements", _one(state.gateway_unannounced_difference())
            yield "edge_gateway_unreconciled_parts", _one(state.gateway_unreconciled())
        yield from _journal_values(state)


def _station_values(s: StationStatus) -> Iterator[tuple[str, Samples]]:
    yield "edge_build_info", [((s.station, str(s.lane), s.recipe, s.model, s.engine, s.precision, s.version), 1.0)]
    yield "edge_station_start_timestamp_seconds", _one(wall_ms_of(s.started_wall, 0) / 1000)
    yield "edge_station_state", _by({s.state: 1}, STATES)
    yield "edge_station_session", _one(s.session)
    yield "edge_station_deadline_seconds", _one(s.deadline_ms / 1000)
    yield "edge_station_triggers_total", _one(s.triggers)
    yield "edge_station_parts_total", _by(s.outcomes, [o.value for o in Outcome])
    causes = dict(_by(s.causes, CAUSES))
    yield "edge_station_causes_total", [((_outcome_of(c), c), count) for (c,), count in causes.items()]
    yield "edge_station_open_parts", _one(s.open)
    yield "edge_station_acknowledged_parts_total", _one(s.acknowledged)
    yield "edge_station_dispositions_total", _by(s.dispositions, [d.value for d in Disposition])
    yield "edge_station_late_results_total", _one(s.late_results)
    yield "edge_station_unknown_triggers_total", _one(s.unknown_triggers)
    yield "edge_station_trigger_jumps_total", _one(s.trigger_jumps)
    yield "edge_station_dropped_messages_total", _one(s.dropped_messages)
    yield "edge_station_lost_outcomes_total", _one(s.outcomes_lost)
    yield "edge_station_frames_total", _one(s.frames)
    yield "edge_station_lost_frames_total", _by(s.lost_frames, LOST_FRAME_CAUSES)
    yield "edge_station_pool_slots", _by(s.pool, [*(p.value for p in Purpose), "free"])
    yield "edge_station_wire_errors_total", _one(s.wire_errors)
    yield "edge_station_alarm", _by(dict.fromkeys(s.alarms, 1), STATION_ALARMS)
    yield "edge_device_reconnects_total", _by(s.reconnects, DEVICES)
    health = {"reference": 0.0, **s.health}  # what is not measured is absent, and not 0
    yield "edge_health", [((name,), value) for name, value in health.items()]


def _gateway_values(g: GatewayStatus) -> Iterator[tuple[str, Samples]]:
    yield "edge_gateway_info", [((g.gateway, str(g.lane), g.version), 1.0)]
    yield "edge_gateway_start_timestamp_seconds", _one(wall_ms_of(g.started_wall, 0) / 1000)
    yield "edge_gateway_plc_up", _one(g.plc_ok)
    yield "edge_gateway_plc_triggers_total", _one(g.plc_triggers)
    yield "edge_gateway_announced_parts_total", _one(g.announced)
    yield "edge_gateway_unannounced_parts_total", _one(g.unannounced)
    yield "edge_gateway_permitted_parts_total", _one(g.permitted)
    yield "edge_gateway_rejected_parts_total", _by(g.rejected, REJECTED_CAUSES)
    yield "edge_gateway_pending_parts", _one(g.pending)
    yield "edge_gateway_executed_parts_total", _one(g.executed)
    yield "edge_gateway_voided_permits_total", _by(g.voided, VOIDED_CAUSES)
    yield "edge_gateway_armed_permits", _one(g.armed)
    yield "edge_gateway_mode", [((mode.value,), float(g.mode == mode.value)) for mode in Mode]
    yield "edge_gateway_alarm", _by(dict.fromkeys(g.alarms, 1), ALARMS)
    yield "edge_gateway_confirmed_parts_total", _one(g.confirmed)
    yield "edge_gateway_contradicted_parts_total", _one(g.contradicted)
    yield "edge_gateway_dispositions_total", _by(g.dispositions, [d.value for d in Disposition])
    yield "edge_gateway_wire_errors_total", _one(g.wire_errors)
    yield "edge_gateway_strangers_total", _one(g.strangers)
    yield "edge_gateway_plc_errors_total", _one(g.plc_errors)
    yield "edge_gateway_sessions_granted_total", _one(g.sessions_granted)
    yield "edge_gateway_sessions_lost_total", _one(g.sessions_lost)
    yield "edge_gateway_station_session", _one(g.station_session)
    yield "edge_gateway_plc_session", _one(g.plc_session)
    yield "edge_gateway_fence_counts", _one(g.fence)


def _journal_values(state: LineState) -> Iterator[tuple[str, Samples]]:
    sides = {"station": state.station, "gateway": state.gateway}
    journals = {process: status.journal for process, status in sides.items() if status is not None}
    yield "edge_journal_rows_total", [((process,), float(j.recorded)) for process, j in journals.items()]
    yield "edge_journal_lost_total", [((process,), float(j.lost)) for process, j in journals.items()]
    yield "edge_journal_waiting", [((process,), float(j.waiting)) for process, j in journals.items()]
    yield "edge_journal_behind_seconds", [((process,), j.behind_ms / 1000) for process, j in journals.items()]


def _evidence_values(e: EvidenceStatus) -> Iterator[tuple[str, Samples]]:
    yield "edge_evidence_pictures_total", _by(e.written, REASONS)
    yield "edge_evidence_dropped_total", _by(e.dropped, DROPPED)
    yield "edge_evidence_bytes", _one(e.bytes)
    yield "edge_evidence_free_bytes", _one(e.free_bytes)
    yield "edge_evidence_waiting", _one(e.waiting)


def _challenge_values(c: ChallengeStatus) -> Iterator[tuple[str, Samples]]:
    yield "edge_challenge_last_timestamp_seconds", _one(c.last.wall_ms / 1000 if c.last else 0)
    yield "edge_challenge_passed", _one(c.passed)
    yield "edge_challenge_due", _by(dict.fromkeys(c.due, 1), DUE)
    yield "edge_challenge_runs_total", _by(c.runs, [result.value for result in Result])


def _one(value: float) -> Samples:
    return [((), float(value))]


def _by(counts: dict[str, int], known: Iterable[str]) -> Samples:
    """Return a sample for each known name, at zero where it has not come up, and for each other name that has."""
    return [((name,), float(count)) for name, count in {**dict.fromkeys(known, 0), **counts}.items()]


def _outcome_of(cause: str) -> str:
    return CAUSES[cause].outcome.value if cause in CAUSES else "unknown"


def _fill(metric: Metric, samples: Samples) -> CounterMetricFamily | GaugeMetricFamily:
    make = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    family = make(metric.name, metric.text, labels=metric.labels)
    for labels, value in samples:
        family.add_metric(labels, value)
    return family


def _histogram(metric: Metric, state: LineState) -> HistogramMetricFamily:
    family = HistogramMetricFamily(metric.name, metric.text, labels=metric.labels)
    bounds = [*(str(ms / 1000) for ms in BUCKETS_MS), "+Inf"]
    for instant, histogram in state.latencies.items():
        buckets = [(bound, float(n)) for bound, n in zip(bounds, histogram.cumulative(), strict=True)]
        family.add_metric((instant,), buckets, histogram.sum_ns / NS_PER_S)
    return family
