"""What the tests of deploy/prometheus and deploy/grafana share: its files as values, its tools, metrics of a query."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from edge.monitor.metric_table import METRICS
from tests.support_tools import need

DEPLOY = Path(__file__).parents[1] / "deploy"
RULES = DEPLOY / "prometheus" / "rules"
RULE_TESTS = DEPLOY / "prometheus" / "tests"
DASHBOARDS = DEPLOY / "grafana" / "dashboards"

KNOWN = {metric.name for metric in METRICS}
"""The metrics of a monitor."""

WATCHERS = {
    *("up", "scrape_duration_seconds", "prometheus_rule_evaluation_failures_total", "ALERTS"),
    *("prometheus_config_last_reload_successful", "alertmanager_config_last_reload_successful"),
    *("prometheus_tsdb_compactions_failed_total", "prometheus_tsdb_wal_corruptions_total"),
    *("alertmanager_notifications_failed_total", "prometheus_sd_file_read_errors_total"),
}
"""Metrics that Prometheus and Alertmanager have of themselves."""

_WORDS = {
    *("and", "or", "unless", "by", "without", "on", "ignoring", "group_left", "group_right", "bool", "offset", "e"),
    *("inf", "nan"),
}


@dataclass(frozen=True, eq=False)
class Rule:
    """An alerting or recording rule, and the file that it is in."""

    file: str
    name: str
    expr: str
    alert: bool
    hold_for: str
    labels: dict[str, str]
    annotations: dict[str, str]


@cache
def load_yaml(path: Path) -> Any:
    """Return what a YAML file holds; not to be changed."""
    return yaml.load(path.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


@cache
def rules() -> list[Rule]:
    """Return all rules."""
    return [
        Rule(
            path.name,
            rule.get("alert") or rule["record"],
            rule["expr"],
            "alert" in rule,
            rule.get("for", ""),
            rule.get("labels", {}),
            rule.get("annotations", {}),
        )
        for path in sorted(RULES.glob("*.yml"))
        for group in load_yaml(path)["groups"]
        for rule in group["rules"]
    ]


def alerts() -> list[Rule]:
    """Return the alerting rules."""
    return [rule for rule in rules() if rule.alert]


def dashboards() -> dict[str, dict[str, Any]]:
    """Return the dashboards, by file name."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(DASHBOARDS.glob("*.json"))}


def queries(dashboard: dict[str, Any]) -> list[str]:
    """Return the queries of a dashboard's panels and annotations, as they are written."""
    targets = [target for panel in dashboard["panels"] for target in panel.get("targets", [])]
    return [one["expr"] for one in (*targets, *dashboard["annotations"]["list"])]


def filled(query: str, line: str) -> str:
    """Return a dashboard's query as Grafana would send it for ``line``."""
    return query.replace("$line", line).replace("$__rate_interval", "1m")


def names(query: str) -> set[str]:
    """Return the metrics and recorded series that a query reads, without the suffixes of a histogram."""
    bare = re.sub(r'"[^"]*"|\{[^}]*\}|\[[^\]]*\]', " ", query)
    bare = re.sub(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", " ", bare)
    found = re.findall(r"[a-zA-Z_:][\w:]*(?!\s*\()\b(?!\s*\()", bare)
    return {re.sub(r"(?<=seconds)_(bucket|sum|count)$", "", name) for name in found if name.lower() not in _WORDS}


@cache
def metrics(query: str) -> frozenset[str]:
    """Return the scraped metrics behind a query, through the recording rules."""
    recorded = {rule.name: rule.expr for rule in rules() if not rule.alert}
    found = (metrics(recorded[name]) if name in recorded else frozenset({name}) for name in names(query))
    return frozenset().union(*found)


def tool(name: str) -> str:
    """Return where a program of Debian's prometheus packages is."""
    return need(name, "prometheus prometheus-alertmanager")
