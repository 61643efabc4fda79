"""Who is told of which alert, and in which words."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.support_prometheus import DEPLOY, Rule, alerts, load_yaml, tool

PATH = DEPLOY / "alertmanager" / "alertmanager.yml"
CONFIG = load_yaml(PATH)
OF_IT = {"alerting", "monitor", "computer", "versions", "security", "journal", "evidence"}


def amtool(*words: str) -> str:
    return subprocess.run([tool("amtool"), *words], capture_output=True, text=True, check=True).stdout


def test_it_names_only_components_and_alerts_that_there_are() -> None:
    text = PATH.read_text(encoding="utf-8")
    named = {name for found in re.findall(r'component=~"([^"]+)"', text) for name in found.split("|")}
    assert named <= {rule.labels["component"] for rule in alerts()}
    by_name = {name for found in re.findall(r'alertname[!=~]+"([^"]+)"', text) for name in found.split("|")}
    assert by_name
    assert by_name <= {rule.name for rule in alerts()}
    assert named >= OF_IT


LINE = {"line": "line-7"}
_MATCHER = re.compile(r'(\w+)(=~|!~|!=|=)"([^"]*)"')


def matches(matchers: list[str], labels: dict[str, str]) -> bool:
    """Say whether labels satisfy all matchers, as Alertmanager has it: a label that is not there is empty."""
    found = [match.groups() for text in matchers if (match := _MATCHER.fullmatch(text))]
    assert len(found) == len(matchers), matchers
    return all(
        (re.fullmatch(value, labels.get(name, "")) is not None if "~" in operator else labels.get(name, "") == value)
        != operator.startswith("!")
        for name, operator, value in found
    )


def kept_back(target: str, by: str) -> bool:
    """Say whether an alert is kept back while another one stands on its line."""
    of = {rule.name: {"alertname": rule.name, **LINE, **rule.labels} for rule in alerts()}
    return any(
        matches(rule["source_matchers"], of[by])
        and matches(rule["target_matchers"], of[target])
        and all(of[by].get(name) == of[target].get(name) for name in rule["equal"])
        for rule in CONFIG["inhibit_rules"]
    )


NOTHING_PASSES = ("EdgeEverythingRejected", "EdgeNotDeciding")
CRITICAL = (*NOTHING_PASSES, "EdgeStationFault", "EdgeCameraSilent")
RECORDS = ("EdgeJournalFailing", "EdgeJournalStopped", "EdgeJournalLosesRows")
STAND_FOR_DAYS = ("EdgeChallengeFailed", "EdgeBypass", "EdgeBinFull", "EdgeContradicted", "EdgePartsUnreconciled")


@pytest.mark.parametrize("target", CRITICAL)
@pytest.mark.parametrize("by", RECORDS + STAND_FOR_DAYS)
def test_what_does_not_stop_the_line_keeps_no_news_of_the_line_back(target: str, by: str) -> None:
    assert not kept_back(target, by)


@pytest.mark.parametrize("target", NOTHING_PASSES)
def test_that_nothing_passes_is_kept_back_by_what_says_so_alone(target: str) -> None:
    by = {rule.name for rule in alerts() if kept_back(target, rule.name)}
    says_so = {"EdgeStationDown", "EdgeGatewayDown", "EdgePlcLost", "EdgeCameraLost", "EdgeTriggerLost"}
    same = {"EdgeNotDeciding": {"EdgeConsecutiveNoDecisions"}}
    assert by == says_so | {"EdgeEyeBlocked", "EdgeEncoderLost"} | same.get(target, set())


ONE_FAULT = {
    "EdgeStationFault": ("EdgeCameraLost", "EdgePlcLost", "EdgeStationDown", "EdgeStationRestartLoop"),
    "EdgeCameraSilent": ("EdgeCameraLost", "EdgeTriggerLost"),
    "EdgePartsUnannounced": ("EdgeStationDown", "EdgeEyeBlocked"),
    "EdgeVerdictsUnacknowledged": ("EdgeGatewayDown",),
    "EdgePlcErrors": ("EdgePlcLost",),
    "EdgeChallengeNotPassed": ("EdgeChallengeFailed",),
}


@pytest.mark.parametrize("target", ONE_FAULT)
def test_one_fault_is_one_message(target: str) -> None:
    assert [by for by in ONE_FAULT[target] if not kept_back(target, by)] == []


def test_no_cause_is_kept_back_and_nothing_that_is_not_critical_keeps_back() -> None:
    for target in alerts():
        by = [rule for rule in alerts() if kept_back(target.name, rule.name)]
        assert not by or target.labels["kind"] == "consequence"
        assert {(rule.labels["severity"], rule.labels["kind"]) for rule in by} <= {("critical", "cause")}


def test_another_line_keeps_nothing_back() -> None:
    assert all("line" in rule["equal"] for rule in CONFIG["inhibit_rules"])


@pytest.mark.deploy
def test_the_configuration_is_sound(tmp_path: Path) -> None:
    there = tmp_path / "alertmanager.yml"
    template = DEPLOY / "alertmanager" / "edge.tmpl"
    there.write_text(PATH.read_text(encoding="utf-8").replace("/etc/alertmanager/edge.tmpl", str(template)))
    assert "1 templates" in amtool("check-config", str(there))


@pytest.mark.deploy
@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule.name)
def test_the_right_people_are_told(rule: Rule) -> None:
    labels = [f"{name}={value}" for name, value in {"alertname": rule.name, "line": "a", **rule.labels}.items()]
    told = set(amtool("config", "routes", "test", f"--config.file={PATH}", *labels).strip().split(","))
    critical, it = rule.labels["severity"] == "critical", rule.labels["component"] in OF_IT
    if rule.labels["severity"] == "info":
        expected = {"nobody"}
    elif it:
        expected = {"it", "shift"} if critical else {"it", "nobody"}
    else:
        expected = {"shift"}
    assert told == expected


@pytest.mark.deploy
@pytest.mark.parametrize(("status", "subject"), [("firing", "line-7: 1 alert(s)"), ("resolved", "line-7: resolved")])
def test_a_message_says_what_is_wrong_and_what_to_do(tmp_path: Path, status: str, subject: str) -> None:
    alert = {
        "status": status,
        "labels": {"alertname": "EdgeCameraLost", "line": "line-7", "severity": "critical"},
        "annotations": {"summary": "line-7: the camera is gone", "description": "No part passes.", "remedy": "Cable."},
        "startsAt": "2026-01-02T03:04:05Z",
        "endsAt": "2026-01-02T03:05:06Z",
    }
    data = {"status": status, "alerts": [alert], "commonLabels": {"line": "line-7"}}
    (tmp_path / "data.json").write_text(json.dumps(data))
    template = f"--template.glob={DEPLOY / 'alertmanager' / 'edge.tmpl'}"

    def rendered(name: str) -> str:
        text = f'--template.text={{{{ template "{name}" . }}}}'
        return amtool("template", "render", template, f"--template.data={tmp_path / 'data.json'}", text)

    assert rendered("edge.subject").strip() == subject
    body = rendered("edge.text")
    assert "line-7: the camera is gone" in body
    assert ("What to do: Cable." in body) == (status == "firing")
    assert ("[no longer reported]" in body and "unless the monitor" in body) == (status == "resolved")
    assert "2026-01-02 03:04:05" in body
