"""Panels and values that several dashboards use."""

from __future__ import annotations

from typing import Any

from panels import BLUE, GREEN, RED, YELLOW, Panel, Query

L = 'line="$line"'
YES_NO = {"0": ("no", RED), "1": ("yes", GREEN)}
STATES = {
    "0": ("SILENT", RED),
    "1": ("STARTING", BLUE),
    "2": ("RUNNING", GREEN),
    "3": ("WARNING", YELLOW),
    "4": ("FAULT", RED),
}
BOOKS = ((None, RED), (0, GREEN), (1, RED))
NONE = ((None, GREEN), (1, RED))
SHARE = ((None, GREEN), (0.02, YELLOW), (0.05, RED))
REJECTS = ((None, GREEN), (0.15, YELLOW), (0.3, RED))


def state(where: str) -> str:
    """Return a query for the station's state as a number of STATES."""
    names = ("STARTING", "RUNNING", "WARNING", "FAULT")
    terms = (f'{i} * edge_station_state{{state="{name}"{where}}}' for i, name in enumerate(names, 1))
    known = f"max by (line) (edge_station_up{{{where.lstrip(',')}}})"
    return "max by (line) (" + " or ".join(terms) + f") * on (line) {known}"


def stat(title: str, expr: str, text: str, unit: str = "short", **more: Any) -> Panel:
    """Return a panel of one number."""
    return Panel(title, "stat", (Query(expr),), text, unit, **{"width": 4, "height": 4, **more})


def graph(title: str, expr: str, legend: str, text: str, unit: str = "short", **more: Any) -> Panel:
    """Return a panel of one query over time, from 0 on."""
    return Panel(title, "timeseries", (Query(expr, legend),), text, unit, **{"least": 0, **more})


def per_minute(title: str, metric: str, by: str, text: str, **more: Any) -> Panel:
    """Return a panel of a counter's events a minute, by one of its labels."""
    expr = f"60 * sum by ({by}) (rate({metric}{{{L}}}[$__rate_interval]))"
    return graph(title, expr, f"{{{{{by}}}}}", text, **more)


def alert_table(where: str = "") -> Panel:
    """Return a table of the alerts that fire."""
    columns = {"severity": "Severity", "line": "Line", "alertname": "Alert", "component": "About"}
    expr = f'max by (severity, line, alertname, component) (ALERTS{{alertstate="firing"{where}}})'
    text = "What to do is in the alert itself: see Alerting."
    return Panel("Alerts that fire now", "table", (Query(expr),), text, height=9, renamed=columns)
