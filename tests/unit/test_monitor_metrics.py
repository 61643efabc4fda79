import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from edge.clock import NS_PER_MS
from edge.core.alarms import ALARMS
from edge.core.modes import Mode
from edge.core.outcome import CAUSES, Disposition
from edge.gateway.plc.signals import ARMED, EXECUTED, PERMIT_STATUS
from edge.monitor.metric_table import METRICS
from edge.monitor.metrics import LineCollector
from edge.monitor.state import BUCKETS_MS, STALE_NS, Histogram, LineState
from edge.wire.messages import GatewayStatus, JournalStatus, PartRecord, StationStatus

T0 = 5_000_000_000


def station(**changes: Any) -> StationStatus:
    values: dict[str, Any] = {
        "station": "s-1", "lane": 2, "state": "RUNNING", "reason": "", "session": 77, "triggers": 10,
        "outcomes": {"PASS": 6, "REJECT": 2, "NO_DECISION": 1}, "causes": {"clean": 6, "rule": 2, "frame_missing": 1},
        "open": 1, "acknowledged": 9, "dispositions": {"ACCEPTED": 8, "LATE": 1}, "late_results": 3,
        "unknown_triggers": 12, "trigger_jumps": 13, "dropped_messages": 14, "outcomes_lost": 15, "frames": 11,
        "lost_frames": {"pool_exhausted": 4}, "wire_errors": 5, "pool": {"capture": 1, "inspection": 2, "free": 9},
        "deadline_ms": 100.0, "recipe": "r", "model": "m", "engine": "e", "precision": "fp32", "version": "1",
        "started_wall": "2026-01-01T00:00:00.500+00:00", "alarms": {}, "journal": JournalStatus(), "reconnects": {},
    }  # fmt: skip
    return StationStatus(**{**values, **changes})


def gateway(**changes: Any) -> GatewayStatus:
    values: dict[str, Any] = {
        "gateway": "g-1", "lane": 2, "plc_ok": True, "reason": "", "station": "s-1", "station_session": 77,
        "plc_session": 88, "fence": 9000, "plc_triggers": 20, "announced": 17, "unannounced": 3, "permitted": 12,
        "rejected": {"reject": 5, "late": 1}, "pending": 2, "dispositions": {"ACCEPTED": 15}, "executed": 11,
        "wire_errors": 1, "plc_errors": 2, "sessions_granted": 3, "sessions_lost": 4, "version": "1",
        "voided": {"cleared": 1}, "armed": 0, "mode": "auto", "alarms": {}, "confirmed": 21, "contradicted": 22,
        "journal": JournalStatus(), "strangers": 0, "started_wall": "2026-01-01T00:01:00.500+00:00",
    }  # fmt: skip
    return GatewayStatus(**{**values, **changes})


def part(**changes: Any) -> PartRecord:
    values: dict[str, Any] = {
        "station": "s-1", "lane": 2, "part": 1, "count": 100, "outcome": "PASS", "cause": "clean", "rule": "",
        "disposition": "ACCEPTED", "findings": [], "tag": "", "t0_ns": T0, "t1_ns": T0 + 5 * NS_PER_MS,
        "t2_ns": T0 + 20 * NS_PER_MS, "t3_ns": T0 + 21 * NS_PER_MS, "t4_ns": T0 + 23 * NS_PER_MS,
        "recipe": "r", "model": "m", "engine": "e", "precision": "fp32", "version": "1", "wall": "now", "session": 77,
    }  # fmt: skip
    return PartRecord(**{**values, **changes})


class Scrape:
    """A state with a registry of its own, at a time that the test sets."""

    def __init__(self) -> None:
        self.state = LineState()
        self.now_ns = T0
        self.registry = CollectorRegistry()
        LineCollector(self.state, self.registry, malformed=lambda: 6, now_ns=lambda: self.now_ns)

    def __call__(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)


@pytest.fixture
def scrape() -> Scrape:
    return Scrape()


NOTHING: dict[str, Any] = {
    "outcomes": {},
    "causes": {},
    "dispositions": {},
    "lost_frames": {},
    "triggers": 0,
    "open": 0,
}


def test_from_the_first_status_on_everything_known_is_there_at_zero(scrape: Scrape) -> None:
    scrape.state.take(station(**NOTHING), T0)
    scrape.state.take(gateway(dispositions={}), T0)
    for cause in CAUSES.values():
        assert scrape("edge_station_causes_total", outcome=cause.outcome.value, cause=cause.name) == 0
    for disposition in Disposition:
        assert scrape("edge_station_dispositions_total", disposition=disposition.value) == 0
        assert scrape("edge_gateway_dispositions_total", disposition=disposition.value) == 0
    assert scrape("edge_station_parts_total", outcome="NO_DECISION") == 0
    assert scrape("edge_station_triggers_total") == 0
    assert scrape("edge_station_state", state="FAULT") == 0
    for lost in ("counter_gap", "without_trigger", "repeated", "pool_exhausted", "frame_corrupt"):
        assert scrape("edge_station_lost_frames_total", cause=lost) == 0, lost
    assert scrape("edge_part_latency_seconds_count", until="t4") == 0


def test_every_cause_of_a_rejection_is_there_at_zero(scrape: Scrape) -> None:
    refusals = {f"permit_{text}" for status, text in PERMIT_STATUS.items() if status not in (ARMED, EXECUTED)}
    of_register = {
        "reject", "no_decision", "late", "fenced", "unanswered", "unannounced", "session_lost", "not_read",
        "crowded_out", "permit_unwritten", "collateral", "ambiguous", "reversed", "re_pass", "unknown_position",
        "withheld",
    }  # fmt: skip
    scrape.state.take(gateway(rejected={}), T0)
    exported = {
        sample.labels["cause"]: sample.value
        for family in scrape.registry.collect()
        for sample in family.samples
        if sample.name == "edge_gateway_rejected_parts_total"
    }
    assert exported == dict.fromkeys(refusals | of_register, 0)


def test_the_station_status_is_exported(scrape: Scrape) -> None:
    scrape.state.take(station(), T0)
    assert scrape("edge_station_triggers_total") == 10
    assert scrape("edge_station_parts_total", outcome="PASS") == 6
    assert scrape("edge_station_causes_total", outcome="NO_DECISION", cause="frame_missing") == 1
    assert scrape("edge_station_causes_total", outcome="NO_DECISION", cause="engine_fault") == 0
    assert scrape("edge_station_open_parts") == 1
    assert scrape("edge_station_unreconciled_parts") == 0
    assert scrape("edge_station_acknowledged_parts_total") == 9
    assert scrape("edge_station_dispositions_total", disposition="LATE") == 1
    assert scrape("edge_station_late_results_total") == 3
    assert scrape("edge_station_unknown_triggers_total") == 12
    assert scrape("edge_station_trigger_jumps_total") == 13
    assert scrape("edge_station_dropped_messages_total") == 14
    assert scrape("edge_station_lost_outcomes_total") == 15
    assert scrape("edge_station_frames_total") == 11
    assert scrape("edge_station_lost_frames_total", cause="pool_exhausted") == 4
    assert scrape("edge_station_pool_slots", holder="inspection") == 2
    assert scrape("edge_station_pool_slots", holder="evidence") == 0
    assert scrape("edge_station_wire_errors_total") == 5
    assert scrape("edge_station_deadline_seconds") == 0.1
    assert scrape("edge_station_session") == 77
    assert scrape("edge_station_start_timestamp_seconds") == 1_767_225_600.5
    assert scrape("edge_monitor_malformed_messages_total") == 6
    identity = {"station": "s-1", "lane": "2", "recipe": "r", "model": "m", "engine": "e", "precision": "fp32"}
    assert scrape("edge_build_info", version="1", **identity) == 1


def test_the_gateway_status_is_exported(scrape: Scrape) -> None:
    scrape.state.take(gateway(), T0)
    assert scrape("edge_gateway_info", gateway="g-1", lane="2", version="1") == 1
    for name, value in {
        "start_timestamp_seconds": 1_767_225_660.5,
        "plc_up": 1, "plc_triggers_total": 20, "announced_parts_total": 17, "unannounced_parts_total": 3,
        "permitted_parts_total": 12, "pending_parts": 2, "unreconciled_parts": 0, "unreconciled_announcements": 0,
        "executed_parts_total": 11, "wire_errors_total": 1, "plc_errors_total": 2, "sessions_granted_total": 3,
        "sessions_lost_total": 4, "station_session": 77, "plc_session": 88, "fence_counts": 9000,
        "armed_permits": 0, "confirmed_parts_total": 21, "contradicted_parts_total": 22,
    }.items():  # fmt: skip
        assert scrape(f"edge_gateway_{name}") == value, name
    assert scrape("edge_gateway_rejected_parts_total", cause="reject") == 5
    assert scrape("edge_gateway_dispositions_total", disposition="ACCEPTED") == 15
    assert scrape("edge_gateway_voided_permits_total", cause="cleared") == 1
    assert scrape("edge_gateway_voided_permits_total", cause="no_word") == 0


def test_a_gateway_of_before_does_not_tell_when_it_started(scrape: Scrape) -> None:
    scrape.state.take(gateway(started_wall=""), T0)
    assert scrape("edge_gateway_start_timestamp_seconds") == 0


def test_one_mode_is_present_and_every_alarm_has_a_line(scrape: Scrape) -> None:
    scrape.state.take(gateway(mode="purge", alarms={"bin_full": "The reject bin is full.", "new": "other"}), T0)
    for mode in Mode:
        assert scrape("edge_gateway_mode", mode=mode.value) == (mode is Mode.PURGE)
    for name in ALARMS:
        assert scrape("edge_gateway_alarm", alarm=name) == (name == "bin_full")
    assert scrape("edge_gateway_alarm", alarm="new") == 1


def test_alarms_and_reconnects_of_the_station_are_there_at_zero_and_when_they_come_up(scrape: Scrape) -> None:
    scrape.state.take(station(alarms={"camera": "gone", "new": "other"}, reconnects={"camera": 3}), T0)
    assert [scrape("edge_station_alarm", alarm=a) for a in ("camera", "trigger", "journal", "new")] == [1, 0, 0, 1]
    assert [scrape("edge_device_reconnects_total", device=device) for device in ("camera", "trigger")] == [3, 0]


def test_both_journals_are_told_apart(scrape: Scrape) -> None:
    scrape.state.take(station(journal=JournalStatus(recorded=5, lost=4, waiting=3, behind_ms=2000.0)), T0)
    scrape.state.take(gateway(journal=JournalStatus(recorded=50), strangers=9), T0)
    for name, of_station, of_gateway in (
        *(("rows_total", 5, 50), ("lost_total", 4, 0), ("waiting", 3, 0), ("behind_seconds", 2, 0)),
    ):  # fmt: skip
        assert scrape(f"edge_journal_{name}", process="station") == of_station, name
        assert scrape(f"edge_journal_{name}", process="gateway") == of_gateway, name
    assert scrape("edge_gateway_strangers_total") == 9


@pytest.mark.parametrize(("changes", "difference"), [({"triggers": 11}, 1), ({"open": 2}, -1), ({"outcomes": {}}, 9)])
def test_a_station_that_does_not_reconcile_shows(scrape: Scrape, changes: dict[str, Any], difference: int) -> None:
    scrape.state.take(station(**changes), T0)
    assert scrape("edge_station_unreconciled_parts") == difference


@pytest.mark.parametrize(
    ("changes", "parts", "announcements"),
    [
        ({"plc_triggers": 21}, 1, 1),
        ({"permitted": 11}, 1, 0),
        ({"pending": 3}, -1, 0),
        ({"rejected": {}}, 6, 0),
        ({"announced": 16}, 0, 1),
        ({"unannounced": 4}, 0, -1),
    ],
)
def test_a_gateway_that_does_not_reconcile_shows(
    scrape: Scrape, changes: dict[str, Any], parts: int, announcements: int
) -> None:
    scrape.state.take(gateway(**changes), T0)
    assert scrape("edge_gateway_unreconciled_parts") == parts
    assert scrape("edge_gateway_unreconciled_announcements") == announcements


@pytest.mark.parametrize(("age_ns", "up"), [(0, 1), (STALE_NS, 1), (STALE_NS + 1, 0)])
def test_a_process_is_down_after_two_seconds_of_silence(scrape: Scrape, age_ns: int, up: int) -> None:
    scrape.state.take(station(), T0)
    scrape.state.take(gateway(), T0)
    scrape.now_ns = T0 + age_ns
    assert scrape("edge_station_up") == up
    assert scrape("edge_gateway_up") == up
    assert scrape("edge_station_triggers_total") == 10  # the last value known stays


def test_part_records_alone_do_not_mean_up(scrape: Scrape) -> None:
    scrape.state.take(part(), T0)
    assert scrape("edge_station_up") == 0
    assert scrape("edge_monitor_part_records_total") == 1


def test_one_state_is_present(scrape: Scrape) -> None:
    scrape.state.take(station(state="FAULT"), T0)
    assert scrape("edge_station_state", state="FAULT") == 1
    assert scrape("edge_station_state", state="RUNNING") == 0
    scrape.state.take(station(state="NEW_ONE"), T0)
    assert scrape("edge_station_state", state="NEW_ONE") == 1
    assert scrape("edge_station_state", state="FAULT") == 0


def test_names_that_the_tables_do_not_know_are_exported_too(scrape: Scrape) -> None:
    scrape.state.take(station(causes={"new_cause": 3}, lost_frames={"new": 1}), T0)
    assert scrape("edge_station_causes_total", outcome="unknown", cause="new_cause") == 3
    assert scrape("edge_station_lost_frames_total", cause="new") == 1


def test_latencies_are_counted_from_t0(scrape: Scrape) -> None:
    scrape.state.take(part(), T0)
    scrape.state.take(part(t4_ns=None), T0)
    assert scrape("edge_part_latency_seconds_count", until="t1") == 2
    assert scrape("edge_part_latency_seconds_count", until="t4") == 1
    assert scrape("edge_part_latency_seconds_sum", until="t4") == pytest.approx(0.023)
    assert scrape("edge_part_latency_seconds_bucket", until="t1", le="0.002") == 0
    assert scrape("edge_part_latency_seconds_bucket", until="t1", le="0.005") == 2
    assert scrape("edge_part_latency_seconds_bucket", until="t2", le="0.02") == 2
    assert scrape("edge_part_latency_seconds_bucket", until="t3", le="0.02") == 0
    assert scrape("edge_part_latency_seconds_bucket", until="t3", le="+Inf") == 2


def test_a_latency_below_zero_is_counted_apart(scrape: Scrape) -> None:
    scrape.state.take(part(t4_ns=T0 - 1, t1_ns=T0), T0)
    assert scrape("edge_part_latency_seconds_count", until="t4") == 0
    assert scrape("edge_part_latency_seconds_bucket", until="t1", le="0.001") == 1
    assert scrape("edge_monitor_negative_latencies_total") == 1


@pytest.mark.parametrize("index", range(len(BUCKETS_MS)))
def test_a_bound_belongs_to_its_bucket(index: int) -> None:
    histogram = Histogram()
    histogram.observe(BUCKETS_MS[index] * NS_PER_MS)
    assert histogram.counts.index(1) == index
    histogram.observe(BUCKETS_MS[index] * NS_PER_MS + 1)
    assert histogram.counts[index + 1] == 1


@given(st.lists(st.integers(0, 10**10)))
def test_a_histogram_loses_nothing(latencies: list[int]) -> None:
    histogram = Histogram()
    for latency_ns in latencies:
        histogram.observe(latency_ns)
    cumulative = histogram.cumulative()
    assert cumulative == sorted(cumulative)
    assert cumulative[-1] == len(latencies)
    assert histogram.sum_ns == sum(latencies)
    for bound_ms, count in zip(BUCKETS_MS, cumulative, strict=False):
        assert count == sum(ns <= bound_ms * NS_PER_MS for ns in latencies)


def test_a_restarted_station_begins_at_zero_again(scrape: Scrape) -> None:
    scrape.state.take(station(), T0)
    scrape.state.take(station(triggers=0, outcomes={}, causes={}, open=0), T0)
    assert scrape("edge_station_triggers_total") == 0
    assert scrape("edge_station_parts_total", outcome="PASS") == 0


def test_the_table_is_what_is_exported_and_follows_the_conventions(scrape: Scrape) -> None:
    scrape.state.take(station(), T0)
    scrape.state.take(gateway(), T0)
    scrape.state.take(part(), T0)
    families = {f.name: f for f in text_string_to_metric_families(generate_latest(scrape.registry).decode())}
    assert len(families) == len(METRICS) == len({m.name for m in METRICS})
    for metric in METRICS:
        family = families[metric.name.removesuffix("_total")]
        assert family.type == metric.kind
        assert family.samples, metric.name
        assert re.fullmatch(r"edge_[a-z0-9_]+[a-z]", metric.name)
        assert (metric.kind == "counter") == metric.name.endswith("_total")
        assert metric.text.endswith(".")
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(metric.labels)
