"""Dashboards of all lines, and of one."""

from __future__ import annotations

from panels import BLUE, GREEN, RED, YELLOW, Panel, Query, Row, dashboard
from terms import BOOKS, NONE, REJECTS, SHARE, STATES, YES_NO, L, alert_table, graph, per_minute, stat, state

FLEET = dashboard(
    "fleet",
    "Fleet of stations",
    "All lines at a glance: which of them inspect, how much they reject, what is wrong.",
    (
        Row(
            "Now",
            (
                stat("Lines that inspect", "sum(line:edge_inspecting)", "Station RUNNING, gateway in auto, PLC there."),
                stat(
                    "Lines that do not",
                    "sum(1 - line:edge_inspecting)",
                    "Their parts are rejected or held.",
                    steps=NONE,
                ),
                stat(
                    "Monitors that do not answer",
                    'count(up{job="edge"} == 0) or vector(0)',
                    "Nobody sees these lines.",
                    steps=NONE,
                ),
                stat(
                    "Critical alerts",
                    'count(ALERTS{alertstate="firing",severity="critical"}) or vector(0)',
                    "Act now.",
                    steps=NONE,
                ),
                stat(
                    "Warnings",
                    'count(ALERTS{alertstate="firing",severity="warning"}) or vector(0)',
                    "Act in this shift.",
                    steps=((None, GREEN), (1, YELLOW)),
                ),
                stat(
                    "Parts a minute, all lines",
                    "60 * sum(line_outcome:edge_station_parts:rate1m)",
                    "All lines together.",
                ),
            ),
        ),
        Row(
            "Lines",
            (
                Panel(
                    "Lines",
                    "table",
                    (
                        Query("line:edge_inspecting"),
                        Query("60 * sum by (line) (line_outcome:edge_station_parts:rate1m)"),
                        Query("line:edge_reject:ratio15m"),
                        Query("line:edge_no_decision:ratio5m"),
                        Query('line_until:edge_part_latency_seconds:p99_5m{until="t4"}'),
                    ),
                    "Inspects: 1 yes, 0 no. Shares are of 1, over 15 and 5 minutes. Latency is T0 to T4.",
                    height=9,
                    renamed={
                        "line": "Line",
                        "Value #A": "Inspects",
                        "Value #B": "Parts/min",
                        "Value #C": "Rejects",
                        "Value #D": "No decision",
                        "Value #E": "p99 latency (s)",
                    },
                ),
                alert_table(),
                Panel(
                    "Inspecting",
                    "state-timeline",
                    (Query("line:edge_inspecting", "{{line}}"),),
                    "Red: parts of this line were rejected or held.",
                    words=YES_NO,
                    width=24,
                ),
            ),
        ),
        Row(
            "Compared",
            (
                graph(
                    "Parts a minute",
                    "60 * sum by (line) (line_outcome:edge_station_parts:rate1m)",
                    "{{line}}",
                    "By line.",
                ),
                graph(
                    "Reject share",
                    "line:edge_reject:ratio15m",
                    "{{line}}",
                    "Over 15 minutes.",
                    "percentunit",
                    steps=REJECTS,
                ),
                graph(
                    "Share without a decision",
                    "line:edge_no_decision:ratio5m",
                    "{{line}}",
                    "Over 5 minutes.",
                    "percentunit",
                    steps=SHARE,
                ),
                graph(
                    "Latency, p99",
                    'line_until:edge_part_latency_seconds:p99_5m{until="t4"}',
                    "{{line}}",
                    "T0 to T4.",
                    "s",
                ),
            ),
        ),
        Row(
            "What decides",
            (
                Panel(
                    "Stations",
                    "table",
                    (Query("edge_build_info"),),
                    "Recipe, model, engine, precision and version.",
                    width=24,
                    renamed={
                        "line": "Line",
                        "station": "Station",
                        "lane": "Lane",
                        "recipe": "Recipe",
                        "model": "Model",
                        "engine": "Engine",
                        "precision": "Precision",
                        "version": "Version",
                    },
                ),
            ),
        ),
    ),
    of_a_line=False,
)

LINE = dashboard(
    "line",
    "Line overview",
    "Is this line inspecting, is it rejecting too much, what is wrong with it.",
    (
        Row(
            "Now",
            (
                stat(
                    "State now",
                    state("," + L),
                    "The station's state; SILENT: the monitor does not hear it.",
                    words=STATES,
                ),
                stat("Station heard", f"edge_station_up{{{L}}}", "Its status is at most 2 s old.", words=YES_NO),
                stat("Gateway heard", f"edge_gateway_up{{{L}}}", "Its status is at most 2 s old.", words=YES_NO),
                stat("PLC runs", f"edge_gateway_plc_up{{{L}}}", "It answers and its program beats.", words=YES_NO),
                stat(
                    "Standing alarms",
                    f"sum(edge_station_alarm{{{L}}}) + sum(edge_gateway_alarm{{{L}}})",
                    "That stand.",
                    steps=NONE,
                ),
                stat(
                    "Parts a minute",
                    f"60 * sum(line_outcome:edge_station_parts:rate1m{{{L}}})",
                    "Over the last minute.",
                ),
                stat(
                    "Rejects",
                    f"line:edge_reject:ratio15m{{{L}}}",
                    "Share over 15 minutes.",
                    "percentunit",
                    steps=REJECTS,
                ),
                stat(
                    "Without a decision",
                    f"line:edge_no_decision:ratio5m{{{L}}}",
                    "Share over 5 minutes; rejected too.",
                    "percentunit",
                    steps=SHARE,
                ),
                stat(
                    "Latency, p99", f'line_until:edge_part_latency_seconds:p99_5m{{{L},until="t4"}}', "T0 to T4.", "s"
                ),
                stat("Deadline", f"edge_station_deadline_seconds{{{L}}}", "From T0 to the verdict.", "s"),
                stat("Books of the station", f"edge_station_unreconciled_parts{{{L}}}", "Must be 0.", steps=BOOKS),
                stat("Books of the gateway", f"edge_gateway_unreconciled_parts{{{L}}}", "Must be 0.", steps=BOOKS),
            ),
        ),
        Row(
            "Over time",
            (
                per_minute(
                    "Parts a minute, by outcome",
                    "edge_station_parts_total",
                    "outcome",
                    "NO_DECISION is rejected too.",
                    stacked=True,
                ),
                graph(
                    "Reject share",
                    f"line:edge_reject:ratio15m{{{L}}}",
                    "rejects",
                    "Over 15 minutes; alert above 30 %.",
                    "percentunit",
                    steps=REJECTS,
                ),
                Panel(
                    "State",
                    "state-timeline",
                    (Query(state("," + L), "station"),),
                    "The station's state.",
                    words=STATES,
                    height=4,
                ),
                Panel(
                    "Mode",
                    "state-timeline",
                    (Query(f"edge_gateway_mode{{{L}}} == 1", "{{mode}}"),),
                    "The gateway's mode; parts pass in auto only, and uninspected in bypass.",
                    words={"1": ("yes", BLUE)},
                    height=4,
                ),
                alert_table("," + L),
                Panel(
                    "Alarms",
                    "state-timeline",
                    (
                        Query(f"edge_station_alarm{{{L}}} == 1", "station: {{alarm}}"),
                        Query(f"edge_gateway_alarm{{{L}}} == 1", "gateway: {{alarm}}"),
                    ),
                    "Alarms of station and gateway, while they stand.",
                    words={"1": ("stands", RED)},
                    width=24,
                ),
            ),
        ),
    ),
)
