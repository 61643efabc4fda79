"""Dashboards of the gateway with its PLC, and of the health of everything."""

from __future__ import annotations

from panels import GREEN, RED, YELLOW, Panel, Query, Row, dashboard
from terms import BOOKS, NONE, YES_NO, L, graph, per_minute, stat

_SINCE = ((None, GREEN), (8 * 3600, YELLOW), (24 * 3600, RED))


def _check(title: str, names: str, text: str, unit: str = "short") -> Panel:
    return Panel(
        title, "timeseries", (Query(f'edge_health{{{L},check=~"{names}"}}', "{{check}}"),), text, unit, width=8
    )


GATEWAY = dashboard(
    "gateway",
    "Gateway and PLC",
    "What the gateway permits, what the PLC does with it, and whether their books balance.",
    (
        Row(
            "Now",
            (
                stat("Gateway heard", f"edge_gateway_up{{{L}}}", "Its status is at most 2 s old.", words=YES_NO),
                stat("PLC runs", f"edge_gateway_plc_up{{{L}}}", "It answers and its program beats.", words=YES_NO),
                stat(
                    "Same session",
                    f"edge_station_session{{{L}}} == bool edge_gateway_station_session{{{L}}}",
                    "Station and gateway hold one session.",
                    words=YES_NO,
                ),
                stat(
                    "Parts",
                    f"edge_gateway_unreconciled_parts{{{L}}}",
                    "PLC triggers less permitted, rejected and pending: must be 0.",
                    steps=BOOKS,
                ),
                stat(
                    "Announcements",
                    f"edge_gateway_unreconciled_announcements{{{L}}}",
                    "PLC triggers less announced and unannounced: must be 0 while nothing is pending.",
                ),
                stat(
                    "Permits",
                    f"sum(edge_gateway_permitted_parts_total{{{L}}}) - sum(edge_gateway_executed_parts_total{{{L}}}) "
                    f"- sum(edge_gateway_voided_permits_total{{{L}}}) - sum(edge_gateway_armed_permits{{{L}}})",
                    "Permitted less executed, voided and armed: must be 0.",
                    steps=BOOKS,
                ),
            ),
        ),
        Row(
            "Parts",
            (
                Panel(
                    "Parts a minute",
                    "timeseries",
                    (
                        Query(
                            f"60 * rate(edge_gateway_plc_triggers_total{{{L}}}[$__rate_interval])", "counted by the PLC"
                        ),
                        Query(f"60 * rate(edge_gateway_announced_parts_total{{{L}}}[$__rate_interval])", "announced"),
                        Query(
                            f"60 * rate(edge_gateway_unannounced_parts_total{{{L}}}[$__rate_interval])", "unannounced"
                        ),
                        Query(f"60 * rate(edge_gateway_permitted_parts_total{{{L}}}[$__rate_interval])", "permitted"),
                        Query(f"60 * rate(edge_gateway_executed_parts_total{{{L}}}[$__rate_interval])", "let through"),
                    ),
                    "Counted and announced should lie on each other, and so should permitted and let through.",
                    least=0,
                ),
                Panel(
                    "On the belt",
                    "timeseries",
                    (
                        Query(f"edge_gateway_pending_parts{{{L}}}", "undecided"),
                        Query(f"edge_gateway_armed_permits{{{L}}}", "with a permit"),
                    ),
                    "Parts between eye and gate.",
                    least=0,
                ),
                Panel(
                    "Behind the gate, a minute",
                    "timeseries",
                    (
                        Query(f"60 * rate(edge_gateway_confirmed_parts_total{{{L}}}[$__rate_interval])", "in place"),
                        Query(
                            f"60 * rate(edge_gateway_contradicted_parts_total{{{L}}}[$__rate_interval])",
                            "against the gate",
                        ),
                    ),
                    "What the sensor behind the gate saw.",
                    least=0,
                ),
                per_minute(
                    "Verdicts a minute, by disposition",
                    "edge_gateway_dispositions_total",
                    "disposition",
                    "ACCEPTED is right; the others are explained in docs/signal.md.",
                ),
            ),
        ),
        Row(
            "Links",
            (
                Panel(
                    "Failed messages, in 5 minutes",
                    "timeseries",
                    (
                        Query(f"increase(edge_gateway_plc_errors_total{{{L}}}[5m])", "PLC: failed reads and writes"),
                        Query(f"increase(edge_gateway_wire_errors_total{{{L}}}[5m])", "gateway: unreadable"),
                        Query(f"increase(edge_station_wire_errors_total{{{L}}}[5m])", "station: unreadable"),
                        Query(f"increase(edge_station_dropped_messages_total{{{L}}}[5m])", "station: not sent"),
                        Query(f"increase(edge_gateway_strangers_total{{{L}}}[5m])", "of strangers"),
                    ),
                    "All should be 0.",
                    least=0,
                ),
                Panel(
                    "Sessions, in 15 minutes",
                    "timeseries",
                    (
                        Query(f"increase(edge_gateway_sessions_granted_total{{{L}}}[15m])", "granted"),
                        Query(f"increase(edge_gateway_sessions_lost_total{{{L}}}[15m])", "lost"),
                        Query(f"changes(edge_gateway_plc_session{{{L}}}[15m])", "changes of the PLC's"),
                    ),
                    "Each costs the parts on the belt.",
                    least=0,
                ),
                Panel(
                    "Starts, in 30 minutes",
                    "timeseries",
                    (
                        Query(f"changes(edge_station_start_timestamp_seconds{{{L}}}[30m])", "of the station"),
                        Query(f"changes(edge_gateway_start_timestamp_seconds{{{L}}}[30m])", "of the gateway"),
                    ),
                    "More than 2 are an alert.",
                    least=0,
                ),
                graph(
                    "Fence",
                    f"edge_gateway_fence_counts{{{L}}}",
                    "fence",
                    "In encoder counts; parts triggered before it get no permit.",
                    least=None,
                ),
                graph(
                    "Verdicts acknowledged a minute",
                    f"60 * rate(edge_station_acknowledged_parts_total{{{L}}}[$__rate_interval])",
                    "acknowledged",
                    "By the gateway, as the station heard it.",
                ),
            ),
        ),
    ),
)

HEALTH = dashboard(
    "health",
    "Health",
    "Camera, computer, drift, evidence, journal, challenges, and the monitor itself.",
    (
        Row(
            "Camera and drift",
            (
                _check(
                    "Light and sharpness",
                    "brightness|clipped|sharpness",
                    "As the camera check measures them; see docs/health.md.",
                ),
                _check("Frozen picture", "frozen_s", "How long the picture has been the same.", "s"),
                _check("Shift", "shift_px", "Against the reference picture, in pixels."),
                _check(
                    "Reject rate and its baseline",
                    "reject_rate|reject_rate_baseline",
                    "The station's own.",
                    "percentunit",
                ),
                _check("Score drift", "score_drift", "Of scores against the model's own baseline."),
                _check("Throughput", "parts_per_min", "Parts a minute."),
                _check("Temperature", "temperature_c", "Of the computer, where it tells.", "celsius"),
                _check("Clock of the processor", "clock_mhz", "Throttling shows here.", "rotmhz"),
                _check("All other checks", "clock_share|baseline_parts|reference", "See docs/health.md."),
            ),
        ),
        Row(
            "Evidence",
            (
                per_minute(
                    "Pictures kept a minute", "edge_evidence_pictures_total", "reason", "By reason.", stacked=True
                ),
                per_minute(
                    "Pictures dropped a minute",
                    "edge_evidence_dropped_total",
                    "cause",
                    "By cause; verdicts are never delayed for a picture.",
                ),
                Panel(
                    "Disk of the evidence",
                    "timeseries",
                    (
                        Query(f"edge_evidence_bytes{{{L}}}", "pictures"),
                        Query(f"edge_evidence_free_bytes{{{L}}}", "free"),
                    ),
                    "Alert where an hour's trend fills it within a day.",
                    "bytes",
                    least=0,
                ),
                graph("Pictures that wait", f"edge_evidence_waiting{{{L}}}", "waiting", "For the disk."),
            ),
        ),
        Row(
            "Journal",
            (
                per_minute("Rows a minute", "edge_journal_rows_total", "process", "That reached the disk."),
                graph(
                    "Behind",
                    f"edge_journal_behind_seconds{{{L}}}",
                    "{{process}}",
                    "Age of the oldest row that waits.",
                    "s",
                    steps=((None, GREEN), (5, RED)),
                ),
                graph("Rows that wait", f"edge_journal_waiting{{{L}}}", "{{process}}", "In memory."),
                graph(
                    "Rows lost",
                    f"increase(edge_journal_lost_total{{{L}}}[15m])",
                    "{{process}}",
                    "In 15 minutes; must be 0.",
                ),
            ),
        ),
        Row(
            "Challenge parts",
            (
                stat(
                    "Last run",
                    f"time() - (edge_challenge_last_timestamp_seconds{{{L}}} > 0)",
                    "How long ago.",
                    "s",
                    steps=_SINCE,
                    width=6,
                ),
                stat("Passed", f"edge_challenge_passed{{{L}}}", "The last run.", words=YES_NO, width=6),
                Panel(
                    "Due",
                    "state-timeline",
                    (Query(f"edge_challenge_due{{{L}}} == 1", "{{reason}}"),),
                    "Why a challenge is due.",
                    words={"1": ("due", YELLOW)},
                    height=4,
                ),
                graph(
                    "Runs",
                    f"edge_challenge_runs_total{{{L}}}",
                    "{{result}}",
                    "By result, since the station's start.",
                    height=4,
                ),
            ),
        ),
        Row(
            "Monitor",
            (
                Panel(
                    "Scrape",
                    "timeseries",
                    (Query(f'scrape_duration_seconds{{job="edge",{L}}}', "duration"),),
                    "How long the monitor takes to answer Prometheus.",
                    "s",
                    least=0,
                ),
                Panel(
                    "What the monitor could not use, in 15 minutes",
                    "timeseries",
                    (
                        Query(f"increase(edge_monitor_malformed_messages_total{{{L}}}[15m])", "unreadable messages"),
                        Query(f"increase(edge_monitor_negative_latencies_total{{{L}}}[15m])", "latencies below 0"),
                        Query(f"increase(edge_station_lost_outcomes_total{{{L}}}[15m])", "outcome records lost"),
                    ),
                    "All should be 0.",
                    least=0,
                ),
                Panel(
                    "Part records a minute",
                    "timeseries",
                    (
                        Query(
                            f"60 * rate(edge_monitor_part_records_total{{{L}}}[$__rate_interval])",
                            "heard by the monitor",
                        ),
                        Query(
                            f"60 * sum(rate(edge_station_parts_total{{{L}}}[$__rate_interval]))",
                            "closed by the station",
                        ),
                    ),
                    "They should lie on each other.",
                    least=0,
                ),
                stat(
                    "Alertmanager answers",
                    'min(up{job="alertmanager"})',
                    "Otherwise nobody is told.",
                    words=YES_NO,
                    width=6,
                ),
                stat(
                    "Notifications that failed",
                    "sum(increase(alertmanager_notifications_failed_total[1h])) or vector(0)",
                    "In the last hour.",
                    steps=NONE,
                    width=6,
                ),
            ),
        ),
    ),
)
