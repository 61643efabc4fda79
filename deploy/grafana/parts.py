"""Dashboards of the parts' times and of their causes."""

from __future__ import annotations

from panels import YELLOW, Panel, Query, Row, dashboard
from terms import L, graph, per_minute

_BUCKETS = "edge_part_latency_seconds_bucket"
_UNDECIDED = f'edge_station_causes_total{{{L},outcome="NO_DECISION"}}'

LATENCY = dashboard(
    "latency",
    "Latency",
    "How long parts take from their edge (T0) to frame (T1), verdict (T2), sending (T3) and acceptance (T4).",
    (
        Row(
            "From edge to acceptance",
            (
                Panel(
                    "Latency by instant, p99 and deadline",
                    "timeseries",
                    (
                        Query(f"line_until:edge_part_latency_seconds:p99_5m{{{L}}}", "{{until}}"),
                        Query(f"edge_station_deadline_seconds{{{L}}}", "deadline"),
                    ),
                    "One part in a hundred takes longer. Alert: t2 above 80 % of the deadline.",
                    "s",
                    least=0,
                ),
                graph(
                    "Latency by instant, median",
                    f"line_until:edge_part_latency_seconds:p50_5m{{{L}}}",
                    "{{until}}",
                    "Half of the parts take longer.",
                    "s",
                ),
                Panel(
                    "Edge to verdict",
                    "heatmap",
                    (Query(f'sum by (le) (increase({_BUCKETS}{{{L},until="t2"}}[$__rate_interval]))', "{{le}}"),),
                    "Each column is a span of time, its colour how many parts took so long.",
                ),
                graph(
                    "Mean, by instant",
                    f"sum by (until) (rate(edge_part_latency_seconds_sum{{{L}}}[$__rate_interval])) "
                    f"/ sum by (until) (rate(edge_part_latency_seconds_count{{{L}}}[$__rate_interval]))",
                    "{{until}}",
                    "The difference of two lines is the time between the two instants.",
                    "s",
                ),
            ),
        ),
        Row(
            "What waits",
            (
                graph("Open parts", f"edge_station_open_parts{{{L}}}", "open", "Parts on their way to a verdict."),
                graph(
                    "Frame slots, by holder",
                    f"edge_station_pool_slots{{{L}}}",
                    "{{holder}}",
                    "Alert where none is free.",
                    stacked=True,
                ),
                graph(
                    "Too late",
                    "sum by (cause) (line_outcome_cause:edge_station_causes:increase5m{"
                    f'{L},cause=~"compute_timeout|commit_passed"}})',
                    "{{cause}}",
                    "Parts in 5 minutes; alert above 5.",
                ),
                graph(
                    "Results after closing",
                    f"increase(edge_station_late_results_total{{{L}}}[5m])",
                    "results",
                    "In 5 minutes. They change nothing.",
                ),
            ),
        ),
    ),
)

CAUSES = dashboard(
    "causes",
    "Causes",
    "Why parts were not passed: at the station, at the gateway, at the camera.",
    (
        Row(
            "At the station",
            (
                Panel(
                    "Parts without a decision, last 5 minutes",
                    "bargauge",
                    (
                        Query(
                            f'line_outcome_cause:edge_station_causes:increase5m{{{L},outcome="NO_DECISION"}} > 0',
                            "{{cause}}",
                        ),
                    ),
                    "By cause. docs/signal.md has the remedy of each.",
                    steps=((None, YELLOW),),
                ),
                graph(
                    "Parts without a decision a minute",
                    f"60 * sum by (cause) (rate({_UNDECIDED}[$__rate_interval])) > 0",
                    "{{cause}}",
                    "By cause.",
                    stacked=True,
                ),
            ),
        ),
        Row(
            "At the gateway",
            (
                Panel(
                    "Parts without a permit, last 5 minutes",
                    "bargauge",
                    (Query(f"line_cause:edge_gateway_rejected_parts:increase5m{{{L}}} > 0", "{{cause}}"),),
                    "reject is a finding; everything else is a fault or follows from one.",
                    steps=((None, YELLOW),),
                ),
                graph(
                    "Parts without a permit a minute",
                    f"60 * sum by (cause) (rate(edge_gateway_rejected_parts_total{{{L}}}[$__rate_interval])) > 0",
                    "{{cause}}",
                    "By cause.",
                    stacked=True,
                ),
                graph(
                    "Verdicts that were not taken",
                    f'60 * sum by (disposition) (rate(edge_station_dispositions_total{{{L},disposition!="ACCEPTED"}}'
                    "[$__rate_interval])) > 0",
                    "{{disposition}}",
                    "A minute, as the station was answered.",
                ),
                per_minute(
                    "Permits withdrawn a minute", "edge_gateway_voided_permits_total", "cause", "Before the gate."
                ),
            ),
        ),
        Row(
            "Camera and trigger",
            (
                per_minute(
                    "Frames lost a minute",
                    "edge_station_lost_frames_total",
                    "cause",
                    "By cause; alert above 5 in 5 minutes.",
                ),
                Panel(
                    "Frames and triggers a minute",
                    "timeseries",
                    (
                        Query(f"60 * rate(edge_station_frames_total{{{L}}}[$__rate_interval])", "frames"),
                        Query(f"60 * rate(edge_station_triggers_total{{{L}}}[$__rate_interval])", "triggers"),
                    ),
                    "They should lie on each other.",
                    least=0,
                ),
                per_minute(
                    "Devices opened again, a minute", "edge_device_reconnects_total", "device", "Camera and trigger."
                ),
                Panel(
                    "Strange triggers",
                    "timeseries",
                    (
                        Query(f"increase(edge_station_unknown_triggers_total{{{L}}}[5m])", "repeated or behind"),
                        Query(f"increase(edge_station_trigger_jumps_total{{{L}}}[5m])", "counter jumps"),
                    ),
                    "In 5 minutes.",
                    least=0,
                ),
            ),
        ),
    ),
)
