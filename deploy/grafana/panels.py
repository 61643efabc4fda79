"""Grafana dashboards from a few typed values: what a panel shows is a line or two in build.py, the rest is here.

Panels flow from left to right over Grafana's 24 columns, and a row ends where the next one does not fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

PROMETHEUS = {"type": "prometheus", "uid": "edge-prometheus"}
COLUMNS = 24
SCHEMA = 39
"""Version of the dashboard model; newer Grafanas bring it up to their own."""

GREEN, YELLOW, RED, BLUE, GREY = "green", "yellow", "red", "blue", "text"

Kind = Literal["stat", "timeseries", "state-timeline", "table", "heatmap", "bargauge"]
Json = dict[str, Any]


@dataclass(frozen=True)
class Query:
    """A query, and how its series are called."""

    expr: str
    legend: str = "__auto"


@dataclass(frozen=True)
class Panel:
    """A panel.

    Attributes:
        title: what it shows, in words of the line.
        kind: Grafana's name of the panel.
        queries: what is asked of Prometheus.
        text: what it means, and when to worry.
        unit: Grafana's name of the unit.
        width, height: in columns and rows.
        steps: colours from a value on, the first from minus infinity; none: no thresholds.
        words: texts and colours of single values.
        least, most: bounds of the axis.
        stacked: values are parts of a whole.
        renamed: of a table: its columns' names, in order; others are left out.
    """

    title: str
    kind: Kind
    queries: Sequence[Query]
    text: str
    unit: str = "short"
    width: int = 12
    height: int = 8
    steps: Sequence[tuple[float | None, str]] = ()
    words: dict[str, tuple[str, str]] = field(default_factory=dict)
    least: float | None = None
    most: float | None = None
    stacked: bool = False
    renamed: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """A heading, with the panels below it."""

    title: str
    panels: Sequence[Panel]


def dashboard(uid: str, title: str, text: str, rows: Sequence[Row], *, of_a_line: bool = True) -> Json:
    """Return a dashboard; ``of_a_line`` gives it the choice of a line."""
    return {
        "uid": f"edge-{uid}",
        "title": title,
        "description": text,
        "tags": ["edge"],
        "editable": False,
        "graphTooltip": 1,
        "schemaVersion": SCHEMA,
        "refresh": "5s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "links": [{"type": "dashboards", "tags": ["edge"], "title": "Dashboards", "asDropdown": False, "keepTime": True,
                   "includeVars": True}],
        "templating": {"list": [_line()] if of_a_line else []},
        "annotations": {"list": [_alerts(of_a_line)]},
        "panels": _panels(rows),
    }  # fmt: skip


def _line() -> Json:
    return {
        "name": "line",
        "label": "Line",
        "type": "query",
        "datasource": PROMETHEUS,
        "definition": "label_values(edge_station_up, line)",
        "query": {"query": "label_values(edge_station_up, line)", "refId": "line"},
        "refresh": 2,
        "sort": 1,
        "multi": False,
        "includeAll": False,
    }


def _alerts(of_a_line: bool) -> Json:
    where = ',line="$line"' if of_a_line else ""
    return {
        "name": "Critical alerts",
        "datasource": PROMETHEUS,
        "enable": True,
        "iconColor": RED,
        "expr": f'ALERTS{{alertstate="firing",severity="critical"{where}}}',
        "titleFormat": "{{alertname}}",
        "textFormat": "{{line}}",
        "step": "10s",
    }


def _panels(rows: Sequence[Row]) -> list[Json]:
    result: list[Json] = []
    y = 0
    for row in rows:
        place = {"x": 0, "y": y, "w": COLUMNS, "h": 1}
        result.append({"type": "row", "title": row.title, "collapsed": False, "gridPos": place, "panels": []})
        y, x, tallest = y + 1, 0, 0
        for panel in row.panels:
            if x + panel.width > COLUMNS:
                x, y, tallest = 0, y + tallest, 0
            result.append(_panel(panel, {"x": x, "y": y, "w": panel.width, "h": panel.height}))
            x, tallest = x + panel.width, max(tallest, panel.height)
        y += tallest
    for number, made in enumerate(result, 1):
        made["id"] = number
    return result


def _panel(panel: Panel, place: Json) -> Json:
    made: Json = {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.text,
        "datasource": PROMETHEUS,
        "gridPos": place,
        "targets": [_target(panel, query, chr(ord("A") + i)) for i, query in enumerate(panel.queries)],
        "fieldConfig": {"defaults": _defaults(panel), "overrides": []},
        "options": _OPTIONS[panel.kind],
    }
    if panel.kind == "table":
        made["transformations"] = _columns(panel)
    return made


def _target(panel: Panel, query: Query, letter: str) -> Json:
    target: Json = {"refId": letter, "datasource": PROMETHEUS, "expr": query.expr, "legendFormat": query.legend}
    if panel.kind in ("stat", "table", "bargauge"):
        target["instant"] = True
        target["range"] = False
    if panel.kind == "table":
        target["format"] = "table"
    if panel.kind == "heatmap":
        target["format"] = "heatmap"
    return target


def _defaults(panel: Panel) -> Json:
    defaults: Json = {"unit": panel.unit, "noValue": "-"}
    for name, value in (("min", panel.least), ("max", panel.most)):
        if value is not None:
            defaults[name] = value
    steps = panel.steps or ((None, GREY if panel.kind == "stat" else GREEN),)
    defaults["thresholds"] = {"mode": "absolute", "steps": [{"value": v, "color": c} for v, c in steps]}
    if panel.kind == "timeseries":
        defaults["color"] = {"mode": "palette-classic"}
        defaults["custom"] = {
            "lineWidth": 1,
            "fillOpacity": 30 if panel.stacked else 5,
            "showPoints": "never",
            "stacking": {"mode": "normal" if panel.stacked else "none", "group": "A"},
            "thresholdsStyle": {"mode": "dashed" if panel.steps else "off"},
        }
    else:
        defaults["color"] = {"mode": "thresholds"}
    if panel.words:
        options = {value: {"text": text, "color": color, "index": i} for i, (value, (text, color)) in
                   enumerate(panel.words.items())}  # fmt: skip
        defaults["mappings"] = [{"type": "value", "options": options}]
    return defaults


def _columns(panel: Panel) -> list[Json]:
    """Join the queries by their labels, and keep and name the wanted columns."""
    order = {name: i for i, name in enumerate(panel.renamed)}
    wanted = [{"id": "filterFieldsByName", "options": {"include": {"names": list(panel.renamed)}}}]
    named = {"id": "organize", "options": {"indexByName": order, "renameByName": panel.renamed}}
    return [{"id": "merge", "options": {}}, *wanted, named]


_REDUCE = {"calcs": ["lastNotNull"], "fields": "", "values": False}
_OPTIONS: dict[str, Json] = {
    "stat": {"reduceOptions": _REDUCE, "colorMode": "background", "graphMode": "none", "textMode": "auto"},
    "timeseries": {
        "legend": {"displayMode": "table", "placement": "right", "calcs": ["lastNotNull", "max"], "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    },
    "state-timeline": {"showValue": "auto", "mergeValues": True, "rowHeight": 0.8, "legend": {"showLegend": False}},
    "table": {"showHeader": True, "cellHeight": "sm"},
    "heatmap": {"calculate": False, "yAxis": {"unit": "s"}, "color": {"scheme": "Oranges", "mode": "scheme"}},
    "bargauge": {"reduceOptions": _REDUCE, "orientation": "horizontal", "displayMode": "basic", "showUnfilled": True},
}
