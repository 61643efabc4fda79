"""The line's metrics as a table, and the label values that are exported as zero before they have come up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edge.capture.events import CAMERA, TRIGGER
from edge.config import HealthConfig


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
    Metric("edge_station_start_timestamp_seconds", "gauge", "When the station's process started; 0: it does not tell."),
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
    Metric("edge_health", "gauge", "What the station measures of camera, machine and drift, by name.", ("check",)),
    Metric("edge_gateway_up", "gauge", "1 while the gateway's status is at most 2 s old."),
    Metric("edge_gateway_start_timestamp_seconds", "gauge", "When the gateway's process started; 0: it does not tell."),
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
    Metric("edge_evidence_pictures_total", "counter", "Pictures kept as evidence, by reason.", ("reason",)),
    Metric("edge_evidence_dropped_total", "counter", "Pictures wanted and not kept, by cause.", ("cause",)),
    Metric("edge_evidence_bytes", "gauge", "Bytes of all pictures in the evidence folder."),
    Metric("edge_evidence_free_bytes", "gauge", "Bytes that the evidence folder's disk has left."),
    Metric("edge_evidence_waiting", "gauge", "Pictures that wait for their record or the disk."),
    Metric("edge_challenge_last_timestamp_seconds", "gauge", "When the last challenge was recorded; 0: none was."),
    Metric("edge_challenge_passed", "gauge", "1 while the last challenge was passed and none has failed since."),
    Metric("edge_challenge_due", "gauge", "1 while the reason makes a challenge due.", ("reason",)),
    Metric("edge_challenge_runs_total", "counter", "Challenges that ended or were skipped, by result.", ("result",)),
    Metric(
        "edge_part_latency_seconds", "histogram", "T0 to T1..T4 of the parts that the monitor heard of.", ("until",)
    ),
    Metric("edge_monitor_part_records_total", "counter", "Part records that the monitor heard of."),
    Metric("edge_monitor_malformed_messages_total", "counter", "Messages that the monitor could not understand."),
    Metric("edge_monitor_negative_latencies_total", "counter", "Latencies below 0, kept out of the histogram."),
)

STATES = ("STARTING", "RUNNING", "WARNING", "FAULT")
DEVICES = (CAMERA, TRIGGER)
_CHALLENGE = ("challenge_failed", "challenge_due")
STATION_ALARMS = (*DEVICES, "journal", "evidence", "disk_low", *HealthConfig().reactions(), "health", *_CHALLENGE)
LOST_FRAME_CAUSES = ("counter_gap", "frame_corrupt", "pool_exhausted", "repeated", "without_trigger")
VOIDED_CAUSES = (
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
REJECTED_CAUSES = (
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
