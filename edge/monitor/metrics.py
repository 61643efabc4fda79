"""The line's metrics, as one table and one collector over ``LineState``.

Before the first status of a process its counters are exported as zero, with every outcome, cause and disposition that
the tables know, so that ``increase`` sees the first event.  The ``..._up`` gauges say whether the values are fresh.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from edge.capture.events import CAMERA, TRIGGER
from edge.clock import NS_PER_S
from edge.clock import now_ns as monotonic_ns
from edge.core.alarms import ALARMS
from edge.core.modes import Mode
from edge.core.outcome import CAUSES, Disposition, Outcome
from edge.core.pool import Purpose
from edge.monitor.state import BUCKETS_MS, LineState
from edge.wire.messages import JournalStatus

Family = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily
Samples = Iterable[tuple[tuple[str, ...], float]]


@dataclass(frozen=True)
class Metric:
    """A metric: its full name, kind, help text and labels."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    text: str
    labels: tuple[str, ...] = ()


_IDENTITY = ("station", "lane", "recipe", "model", "engine", "precision", "version")

METRICS: tuple[Metric, ...] = (
    Metric("edge_build_info", "gauge", "What decides: always 1, identity in the labels.", _IDENTITY),
    Metric(
        "edge_gateway_info", "gauge", "The gateway: always 1, identity in the labels.", ("gateway", "lane", "version")
    ),
    Metric("edge_station_up", "gauge", "1 while the station's status is at most 2 s old."),
    Metric("edge_station_state", "gauge", "1 for the station's present state, 0 for the others.", ("state",)),
    Metric("edge_station_session", "gauge", "Session that the gateway granted to the station, 0 for none."),
    Metric("edge_station_deadline_seconds", "gauge", "Compute timeout of a part, from T0."),
    Metric("edge_station_triggers_total", "counter", "Part edges that opened a part."),
    Metric("edge_station_parts_total", "counter", "Parts closed, by outcome.", ("outcome",)),
    Metric("edge_station_causes_total", "counter", "Parts closed, by outcome and cause.", ("outcome", "cause")),
    Metric("edge_station_open_parts", "gauge", "Parts opened and not yet closed."),
    Metric("edge_station_unreconciled_parts", "gauge", "Triggers - closed parts - open parts; must be 0."),
    Metric("edge_station_acknowledged_parts_total", "counter", "Verdicts that the gateway acknowledged."),
    Metric("edge_station_dispositions_total", "counter", "Acknowledgements, by disposition.", ("disposition",)),
    Metric("edge_station_late_results_total", "counter", "Results that came after their part had closed."),
    Metric("edge_station_unknown_triggers_total", "counter", "Part edges that repeated a number or lay behind it."),
    Metric("edge_station_trigger_jumps_total", "counter", "Jumps of the trigger counter too large for lost triggers."),
    Metric("edge_station_dropped_messages_total", "counter", "Messages to the gateway that could not be sent."),
    Metric("edge_station_lost_outcomes_total", "counter", "Outcome records that did not reach the disk."),
    Metric("edge_station_frames_total", "counter", "Frames that the camera delivered."),
    Metric("edge_station_lost_frames_total", "counter", "Frames lost, by cause.", ("cause",)),
    Metric("edge_station_pool_slots", "gauge", "Slots of the frame pool, by holder.", ("holder",)),
    Metric("edge_station_wire_errors_total", "counter", "Messages that the station could not understand."),
    Metric("edge_station_alarm", "gauge", "1 while the alarm stands.", ("alarm",)),
    Metric("edge_device_reconnects_total", "counter", "Times that a lost device was opened again.", ("device",)),
    Metric("edge_gateway_up", "gauge", "1 while the gateway's status is at most 2 s old."),
    Metric("edge_gateway_plc_up", "gauge", "1 while the gateway's PLC answers and its program runs."),
    Metric("edge_gateway_plc_triggers_total", "counter", "Parts that the PLC counted with its own eye."),
    Metric("edge_gateway_announced_parts_total", "counter", "Parts that the PLC counted and the station announced."),
    Metric("edge_gateway_unannounced_parts_total", "counter", "Parts that the PLC counted and the station did not."),
    Metric(
        "edge_gateway_unreconciled_announcements",
        "gauge",
        "PLC triggers - announced - unannounced; a pending part counts until it is announced, then it must be 0.",
    ),
    Metric("edge_gateway_permitted_parts_total", "counter", "Parts for which a permit went to the PLC."),
    Metric("edge_gateway_rejected_parts_total", "counter", "Parts without a permit, by cause.", ("cause",)),
    Metric("edge_gateway_pending_parts", "gauge", "Parts that the PLC counted and nothing is decided on."),
    Metric("edge_gateway_unreconciled_parts", "gauge", "PLC triggers - permitted - rejected - pending; must be 0."),
    Metric("edge_gateway_executed_parts_total", "counter", "Permits that the PLC echoed as executed."),
    Metric("edge_gateway_voided_permits_total", "counter", "Permits withdrawn after they were armed.", ("cause",)),
    Metric("edge_gateway_armed_permits", "gauge", "Permits that the PLC holds."),
    Metric("edge_gateway_mode", "gauge", "1 for the present mode, 0 for the others.", ("mode",)),
    Metric("edge_gateway_alarm", "gauge", "1 while the alarm stands.", ("alarm",)),
    Metric("edge_gateway_confirmed_parts_total", "counter", "Parts that the sensor behind the gate saw in place."),
    Metric("edge_gateway_contradicted_parts_total", "counter", "Parts that it saw, or missed, against the gate."),
    Metric("edge_gateway_dispositions_total", "counter", "Verdicts received, by disposition.", ("disposition",)),
    Metric("edge_gateway_wire_errors_total", "counter", "Messages that the gateway could not understand."),
    Metric("edge_gateway_strangers_total", "counter", "Messages dropped: their sender had no right to send them."),
    Metric("edge_gateway_plc_errors_total", "counter", "Failed reads and writes of the PLC."),
    Metric("edge_gateway_sessions_granted_total", "counter", "Sessions that the gateway granted."),
    Metric(
        "edge_gateway_sessions_lost_total",
        "counter",
        "Times that the gateway began anew, in doubt of PLC, encoder or itself; each try at a silent PLC counts.",
    ),
    Metric("edge_gateway_station_session", "gauge", "Session of the station at the gateway, 0 for none."),
    Metric("edge_gateway_plc_session", "gauge", "Session of the PLC; changes with each of its starts."),
    Metric("edge_gateway_fence_counts", "gauge", "Fence of the present session, in encoder counts."),
    Metric("edge_journal_rows_total", "counter", "Rows that the journal has on disk.", ("process",)),
    Metric("edge_journal_lost_total", "counter", "Rows that found no room in the journal's queue.", ("process",)),
    Metric("edge_journal_waiting", "gauge", "Rows that wait for the disk.", ("process",)),
    Metric("edge_journal_behind_seconds", "gauge", "Age of the oldest row that waits for the disk.", ("process",)),
    Metric(
        "edge_part_latency_seconds", "histogram", "T0 to T1..T4 of the parts that the monitor heard of.", ("until",)
    ),
    Metric("edge_monitor_part_records_total", "counter", "Part records that the monitor heard of."),
    Metric("edge_monitor_malformed_messages_total", "counter", "Messages that the monitor could not understand."),
    Metric("edge_monitor_negative_latencies_total", "counter", "Latencies below 0, kept out of the histogram."),
)

_STATES = ("STARTING", "RUNNING", "WARNING", "FAULT")
_DEVICES = (CAMERA, TRIGGER)
_STATION_ALARMS = (*_DEVICES, "journal")
_LOST_FRAME_CAUSES = ("counter_gap", "frame_corrupt", "pool_exhausted", "repeated", "without_trigger")
_VOIDED_CAUSES = (
    "cleared",
    "fenced",
    "not_permittable",
    "rejected_at_gate",
    "collateral",
    "overheated",
    "reversed",
    "session_lost",
    "no_word",
)
_REJECTED_CAUSES = (
    "reject",
    "no_decision",
    "late",
    "fenced",
    "unanswered",
    "unannounced",
    "collateral",
    "ambiguous",
    "reversed",
    "re_pass",
    "unknown_position",
    "withheld",
    "session_lost",
    "not_read",
    "crowded_out",
    "permit_unwritten",
    "permit_empty",
    "permit_wrong_session",
    "permit_unknown_part",
    "permit_wrong_count",
    "permit_late",
    "permit_fenced",
    "permit_cleared",
    "permit_not_permittable",
    "permit_bad_result",
)


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
                _histogram(metric, self._state) if metric.kind == "histogram" else _fill(metric, values[metric.name])
                for metric in METRICS
            ]

    def _values(self, now_ns: int) -> Iterator[tuple[str, Samples]]:
        state = self._state
        yield "edge_station_up", _one(state.station_up(now_ns))
        yield "edge_gateway_up", _one(state.gateway_up(now_ns))
        yield "edge_monitor_part_records_total", _one(state.parts)
        yield "edge_monitor_malformed_messages_total", _one(self._malformed())
        yield "edge_monitor_negative_latencies_total", _one(state.negative_latencies)
        yield from _station_values(state)
        yield from _gateway_values(state)
        yield from _journal_values(state)


def _station_values(state: LineState) -> Iterator[tuple[str, Samples]]:
    s = state.station
    identity = [((s.station, str(s.lane), s.recipe, s.model, s.engine, s.precision, s.version), 1.0)] if s else []
    yield "edge_build_info", identity
    yield "edge_station_state", _by({s.state: 1} if s else {}, _STATES)
    yield "edge_station_session", _one(s.session if s else 0)
    yield "edge_station_deadline_seconds", _one(s.deadline_ms / 1000 if s else 0)
    yield "edge_station_triggers_total", _one(s.triggers if s else 0)
    yield "edge_station_parts_total", _by(s.outcomes if s else {}, [o.value for o in Outcome])
    causes = dict(_by(s.causes if s else {}, CAUSES))
    yield "edge_station_causes_total", [((_outcome_of(c), c), count) for (c,), count in causes.items()]
    yield "edge_station_open_parts", _one(s.open if s else 0)
    yield "edge_station_unreconciled_parts", _one(state.station_unreconciled())
    yield "edge_station_acknowledged_parts_total", _one(s.acknowledged if s else 0)
    yield "edge_station_dispositions_total", _by(s.dispositions if s else {}, [d.value for d in Disposition])
    yield "edge_station_late_results_total", _one(s.late_results if s else 0)
    yield "edge_station_unknown_triggers_total", _one(s.unknown_triggers if s else 0)
    yield "edge_station_trigger_jumps_total", _one(s.trigger_jumps if s else 0)
    yield "edge_station_dropped_messages_total", _one(s.dropped_messages if s else 0)
    yield "edge_station_lost_outcomes_total", _one(s.outcomes_lost if s else 0)
    yield "edge_station_frames_total", _one(s.frames if s else 0)
    yield "edge_station_lost_frames_total", _by(s.lost_frames if s else {}, _LOST_FRAME_CAUSES)
    yield "edge_station_pool_slots", _by(s.pool if s else {}, [*(p.value for p in Purpose), "free"])
    yield "edge_station_wire_errors_total", _one(s.wire_errors if s else 0)
    yield "edge_station_alarm", _by(dict.fromkeys(s.alarms, 1) if s else {}, _STATION_ALARMS)
    yield "edge_device_reconnects_total", _by(s.reconnects if s else {}, _DEVICES)


def _gateway_values(state: LineState) -> Iterator[tuple[str, Samples]]:
    g = state.gateway
    yield "edge_gateway_info", [((g.gateway, str(g.lane), g.version), 1.0)] if g else []
    yield "edge_gateway_plc_up", _one(g is not None and g.plc_ok)
    yield "edge_gateway_plc_triggers_total", _one(g.plc_triggers if g else 0)
    yield "edge_gateway_announced_parts_total", _one(g.announced if g else 0)
    yield "edge_gateway_unannounced_parts_total", _one(g.unannounced if g else 0)
    yield "edge_gateway_unreconciled_announcements", _one(state.gateway_unannounced_difference())
    yield "edge_gateway_permitted_parts_total", _one(g.permitted if g else 0)
    yield "edge_gateway_rejected_parts_total", _by(g.rejected if g else {}, _REJECTED_CAUSES)
    yield "edge_gateway_pending_parts", _one(g.pending if g else 0)
    yield "edge_gateway_unreconciled_parts", _one(state.gateway_unreconciled())
    yield "edge_gateway_executed_parts_total", _one(g.executed if g else 0)
    yield "edge_gateway_voided_permits_total", _by(g.voided if g else {}, _VOIDED_CAUSES)
    yield "edge_gateway_armed_permits", _one(g.armed if g else 0)
    yield "edge_gateway_mode", [((mode.value,), float(g is not None and g.mode == mode.value)) for mode in Mode]
    yield "edge_gateway_alarm", [((name,), float(g is not None and name in g.alarms)) for name in ALARMS]
    yield "edge_gateway_confirmed_parts_total", _one(g.confirmed if g else 0)
    yield "edge_gateway_contradicted_parts_total", _one(g.contradicted if g else 0)
    yield "edge_gateway_dispositions_total", _by(g.dispositions if g else {}, [d.value for d in Disposition])
    yield "edge_gateway_wire_errors_total", _one(g.wire_errors if g else 0)
    yield "edge_gateway_strangers_total", _one(g.strangers if g else 0)
    yield "edge_gateway_plc_errors_total", _one(g.plc_errors if g else 0)
    yield "edge_gateway_sessions_granted_total", _one(g.sessions_granted if g else 0)
    yield "edge_gateway_sessions_lost_total", _one(g.sessions_lost if g else 0)
    yield "edge_gateway_station_session", _one(g.station_session if g else 0)
    yield "edge_gateway_plc_session", _one(g.plc_session if g else 0)
    yield "edge_gateway_fence_counts", _one(g.fence if g else 0)


def _journal_values(state: LineState) -> Iterator[tuple[str, Samples]]:
    none = JournalStatus()
    journals = {
        "station": state.station.journal if state.station else none,
        "gateway": state.gateway.journal if state.gateway else none,
    }
    yield "edge_journal_rows_total", [((process,), float(j.recorded)) for process, j in journals.items()]
    yield "edge_journal_lost_total", [((process,), float(j.lost)) for process, j in journals.items()]
    yield "edge_journal_waiting", [((process,), float(j.waiting)) for process, j in journals.items()]
    yield "edge_journal_behind_seconds", [((process,), j.behind_ms / 1000) for process, j in journals.items()]


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
