"""The rules, read as a table: nothing that can fail is without an alert, and every alert says what to do."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterable
from itertools import pairwise

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from edge.core.alarms import ALARMS
from edge.core.modes import Mode
from edge.core.outcome import CAUSES, Disposition, Outcome
from edge.monitor.metrics import LineCollector
from edge.monitor.state import LineState
from edge.wire.messages import GatewayStatus, StationStatus
from tests.deploy import alerts_page
from tests.support_monitor import GATEWAY, STATION
from tests.support_prometheus import (
    DEPLOY,
    KNOWN,
    RULE_TESTS,
    RULES,
    WATCHERS,
    Rule,
    alerts,
    dashboards,
    load_yaml,
    metrics,
    names,
    queries,
    rules,
)

SEVERITIES = {"critical", "warning", "info"}

NOT_ALARMING = {
    "edge_gateway_announced_parts_total": "its difference to the PLC's is edge_gateway_unreconciled_announcements",
    "edge_station_dispositions_total": "the gateway's own count, edge_gateway_dispositions_total, is alarmed",
    "edge_gateway_fence_counts": "a place on the belt, neither good nor bad",
    "edge_journal_waiting": "rows always wait for a moment; edge_journal_behind_seconds says for how long",
    "edge_evidence_bytes": "bounded by its quota; the disk's free space is alarmed",
    "edge_evidence_waiting": "pictures always wait for a moment; what found no place is edge_evidence_dropped_total",
    "edge_health": "the station judges it against [health] and raises an alarm of its own",
}
"""Metrics without an alert, and why."""


def selected(metric: str, label: str, values: Iterable[str]) -> dict[str, list[str]]:
    """Return, by label value, the alerts that select it from ``metric`` or from what is recorded of it."""
    found: dict[str, list[str]] = {value: [] for value in values}
    sources = [metric, *(rule.name for rule in rules() if not rule.alert and metric in names(rule.expr))]
    pattern = rf"(?:{'|'.join(map(re.escape, sources))})\{{[^}}]*?\b{label}(=~|!~|!=|=)\"([^\"]*)\""
    for rule in alerts():
        for operator, operand in re.findall(pattern, rule.expr.replace("\n", " ")):
            for value, by in found.items():
                matches = re.fullmatch(operand, value) is not None if "~" in operator else operand == value
                if matches != operator.startswith("!"):
                    by.append(rule.name)
    return found


def exported(metric: str, label: str) -> set[str]:
    """Return the values of a label that a monitor exports of a line where nothing has come up."""
    registry, state = CollectorRegistry(), LineState()
    LineCollector(state, registry)
    state.take(msgspec.convert(STATION | {"outcomes": {}, "causes": {}}, StationStatus), 0)
    state.take(msgspec.convert(GATEWAY | {"rejected": {}}, GatewayStatus), 0)
    samples = (sample for family in registry.collect() for sample in family.samples if sample.name == metric)
    return {sample.labels[label] for sample in samples}


# -- each rule -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule.name)
def test_an_alert_says_how_bad_what_and_what_to_do(rule: Rule) -> None:
    assert re.fullmatch(r"Edge[A-Z]\w+", rule.name)
    assert rule.labels["severity"] in SEVERITIES
    assert rule.labels["kind"] in {"cause", "consequence"}
    assert rule.labels["component"]
    assert rule.annotations.keys() == {"summary", "description", "remedy"}
    assert all(len(text) > 8 and "TODO" not in text for text in rule.annotations.values())
    assert "$labels.line" in rule.annotations["summary"] or rule.labels.get("line") == "all"


def test_no_two_rules_have_one_name() -> None:
    everyone = [rule.name for rule in rules()]
    assert len(everyone) == len(set(everyone))


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.name)
def test_every_metric_named_exists(rule: Rule) -> None:
    named = metrics(rule.expr)
    assert named
    assert named <= KNOWN | WATCHERS, named - KNOWN - WATCHERS


def test_a_recorded_series_is_used_by_somebody() -> None:
    used: set[str] = set()
    for query in (*(rule.expr for rule in rules()), *(q for board in dashboards().values() for q in queries(board))):
        used |= names(query)
    recorded = {rule.name for rule in rules() if not rule.alert}
    assert recorded <= used, recorded - used


# -- nothing is forgotten --------------------------------------------------------------------------------------------


def test_every_metric_has_an_alert_or_a_reason_against_it() -> None:
    alarmed = set().union(*(metrics(rule.expr) for rule in alerts()))
    assert NOT_ALARMING.keys() <= KNOWN, NOT_ALARMING.keys() - KNOWN
    assert not alarmed & NOT_ALARMING.keys()
    assert alarmed | NOT_ALARMING.keys() >= KNOWN, KNOWN - alarmed - NOT_ALARMING.keys()


def test_every_cause_of_no_decision_belongs_to_one_alert() -> None:
    undecided = {c.name for c in CAUSES.values() if c.outcome is Outcome.NO_DECISION}
    found = selected("edge_station_causes_total", "cause", CAUSES)
    assert {name: len(by) for name, by in found.items() if name in undecided and name != "station_stopping"} == (
        dict.fromkeys(undecided - {"station_stopping"}, 1)
    )
    assert not any(found[name] for name in ("clean", "rule", "station_stopping"))


def test_every_cause_of_a_rejection_belongs_to_one_alert() -> None:
    verdicts = {"reject", "no_decision"}
    follow = {"fenced", "session_lost"}  # from a new session, which has alerts of its own
    elsewhere = {"unannounced"}  # edge_gateway_unannounced_parts_total
    causes = exported("edge_gateway_rejected_parts_total", "cause")
    found = selected("edge_gateway_rejected_parts_total", "cause", causes)
    assert {name for name, by in found.items() if not by} == verdicts | follow | elsewhere
    assert all(len(by) <= 1 for by in found.values()), found


def test_every_cause_of_a_voided_permit_belongs_to_one_alert() -> None:
    found = selected(
        "edge_gateway_voided_permits_total", "cause", exported("edge_gateway_voided_permits_total", "cause")
    )
    assert {name for name, by in found.items() if not by} == {"fenced", "session_lost"}
    assert all(len(by) <= 1 for by in found.values()), found


def test_every_disposition_that_is_a_fault_of_verdicts_has_an_alert() -> None:
    found = selected("edge_gateway_dispositions_total", "disposition", [d.value for d in Disposition])
    others = {"ACCEPTED", "EXECUTED", "FENCED", "VOIDED", "COLLATERAL", "UNANNOUNCED", "UNANSWERED"}
    assert {name for name, by in found.items() if not by} == others


def test_every_mode_but_auto_and_every_state_but_running_has_an_alert() -> None:
    modes = selected("edge_gateway_mode", "mode", [mode.value for mode in Mode])
    assert "EdgeNotInAuto" not in modes["auto"]
    assert all("EdgeNotInAuto" in modes[mode] for mode in ("inspect-only", "jog", "purge"))
    assert "EdgeBypass" in {rule.name for rule in alerts()}  # bypass is an alarm of the gateway
    states = selected("edge_station_state", "state", exported("edge_station_state", "state"))
    assert {name for name, by in states.items() if not by} == {"RUNNING"}


def test_every_end_of_a_challenge_but_passed_belongs_to_one_alert() -> None:
    found = selected("edge_challenge_runs_total", "result", exported("edge_challenge_runs_total", "result"))
    assert {name for name, by in found.items() if not by} == {"passed"}
    assert all(len(by) <= 1 for by in found.values()), found


def test_every_alarm_has_an_alert_of_its_own() -> None:
    known = {alarm for metric in ("station", "gateway") for alarm in exported(f"edge_{metric}_alarm", "alarm")}
    for alarm in known | ALARMS.keys():
        by = [
            rule.name
            for rule in alerts()
            if rule.name != "EdgeUnlistedAlarm" and re.search(rf'alarm{{alarm="{alarm}"}}', rule.expr)
        ]
        assert len(by) == 1, (alarm, by)


def test_the_alerts_of_alarms_are_in_the_words_of_the_alarms() -> None:
    made = subprocess.run(
        [sys.executable, str(DEPLOY / "prometheus" / "alarms.py")], capture_output=True, text=True, check=True
    )
    assert made.stdout == (RULES / "alarms.yml").read_text(encoding="utf-8"), (
        "run: python deploy/prometheus/alarms.py --write"
    )


# -- the tests of the rules ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule.name)
def test_an_alert_is_seen_to_fire_and_to_end(rule: Rule) -> None:
    fires = ends = False
    for path in RULE_TESTS.glob("*.yml"):
        for scenario in load_yaml(path)["tests"]:
            steps = [{s["labels"] for s in step["exp_samples"]} for step in scenario["promql_expr_test"]]
            firing = [{labels for labels in step if f'"{rule.name}"' in labels} for step in steps]
            fires |= any(firing)
            ends |= any(before - after for before, after in pairwise(firing))
    assert fires, "no scenario lets it fire"
    assert ends, "no scenario sees it end"


def test_the_page_shows_the_alerts_that_there_are() -> None:
    page = alerts_page.PAGE.read_text(encoding="utf-8")
    assert page == alerts_page.filled(), "run: python -m tests.deploy.alerts_page --write"
    assert page.count("| `Edge") == len(alerts())
