"""The referee: says of every plate whether it lies where it had a right to lie.

It trusts nobody's bookkeeping.  It sees the plates physically, the registers as they were written on the wire, and the
station's telemetry, and works out rights and fences by itself; its register table is its own.  It only collects while
the line runs, and judges afterwards, so the order in which threads report does not matter.
"""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from edge.simulate.world import Bin, Event, Kind

CONTROL, CONTROL_SIZE, SESSIONS = 200, 14, slice(2, 6)
PERMITS, SLOTS, SLOT_SIZE = 220, 8, 11
RESULT_PASS = 1
_HALF = 1 << 31


@dataclass(frozen=True)
class JudgeSettings:
    """What the rights of a plate are computed from; the terms are those of the commit point and the tolerance.

    ``pulse``: the gateway times the gate and writes no permits, so a plate has a right to pass if the station passed
    it by its own frame.
    """

    counts_per_mm: int = 10
    gate_mm: float = 500.0
    lead_mm: float = 5.0
    v_max_mm_s: float = 1000.0
    response_ms: float = 10.0
    scan_ms: float = 10.0
    output_ms: float = 2.0
    margin_ms: float = 5.0
    pitch_min_mm: float = 80.0
    eye_scatter_mm: float = 2.0
    epoch: int = 1
    pulse: bool = False

    @property
    def commit_counts(self) -> int:
        """Counts from the eye's edge to the commit point."""
        delay_ms = self.response_ms + self.scan_ms + self.output_ms + self.margin_ms
        closing = math.ceil(round(self.counts_per_mm * self.v_max_mm_s * delay_ms / 1000, 6))
        return round((self.gate_mm - self.lead_mm) * self.counts_per_mm) - closing

    @property
    def tolerance_counts(self) -> int:
        """Largest difference between a permit's latched count and the true one."""
        return round((self.pitch_min_mm / 2 - self.eye_scatter_mm) * self.counts_per_mm)

    @property
    def pitch_counts(self) -> int:
        """One smallest pitch: the fence lies this far upstream of what the eye saw when a session began."""
        return round(self.pitch_min_mm * self.counts_per_mm)


@dataclass(frozen=True)
class Grant:
    """Sessions in the control block from ``at_ns`` on."""

    at_ns: int
    gateway: int
    station: int


@dataclass(frozen=True)
class WrittenPermit:
    """One permit as it was written on the wire, and the sessions that stood in the control block by then."""

    at_ns: int
    number: int
    count: int
    plc_session: int
    gateway_session: int
    epoch: int
    result: int
    grant: Grant | None


def flaw(
    s: JudgeSettings, permit: WrittenPermit, latched: int, written: int, granted: int, plc_session: int, epoch: int
) -> str:
    """Return "" if the permit, as written, was a plate's by right, else the first condition that it breaks.

    A late one breaks nothing else: that condition comes last.

    Args:
        s: of the line.
        permit: with the plate's number.
        latched: encoder count at the plate's edge, 32 bit.
        written: counts that the belt had travelled from that edge when the permit was written.
        granted: counts from where the belt stood when the sessions were granted to the plate's edge.
        plc_session, epoch: true ones, when the permit was written.
    """
    grant = permit.grant
    if permit.result != RESULT_PASS:
        return "result"
    if permit.epoch != epoch:
        return "epoch"
    if permit.plc_session != plc_session:
        return "plc_session"
    if grant is None or grant.station == 0:
        return "station_session"
    if not permit.gateway_session == grant.gateway != 0:
        return "gateway_session"
    if abs(_delta(permit.count, latched)) > s.tolerance_counts:
        return "count"
    if granted < s.pitch_counts:
        return "fence"
    return "late" if written > s.commit_counts else ""


@dataclass
class PlateRecord:
    """All that is known of one plate.  ``defective`` is None where the truth is unknown, ``bin`` while on the belt."""

    index: int
    number: int
    count: int
    tag: str
    defective: bool | None = None
    classes: tuple[str, ...] = ()
    bin: str | None = None
    permit: bool = False
    frame_sent: bool = False
    outcome: str | None = None
    cause: str | None = None
    rule: str | None = None
    disposition: str | None = None
    wrong_part: bool = False
    escaped: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return the record as plain values."""
        return asdict(self)


def _delta(later: int, earlier: int) -> int:
    return (later - earlier + _HALF) % (2 * _HALF) - _HALF


class WireWatch:
    """Reads grants and permits out of the registers as they are written, by a register table of its own."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """The PLC started anew, with empty registers."""
        self._shadow = [0] * (PERMITS + SLOTS * SLOT_SIZE)
        self._sequences = [0] * SLOTS
        self.grant: Grant | None = None

    def written(self, address: int, values: list[int], now_ns: int) -> list[WrittenPermit]:
        """Take note of a write; return the permits that it completed.  ``grant`` is up to date afterwards."""
        end = address + len(values)
        self._shadow[address:end] = values
        if address < CONTROL + CONTROL_SIZE and end > CONTROL:
            self._note_control(now_ns)
        if end <= PERMITS:
            return []
        first = max(0, (address - PERMITS) // SLOT_SIZE)
        slots = range(first, min(SLOTS, (end - PERMITS - 1) // SLOT_SIZE + 1))
        return [permit for slot in slots if (permit := self._read_slot(slot, now_ns)) is not None]

    def _note_control(self, now_ns: int) -> None:
        gateway, station = self._long(CONTROL + SESSIONS.start), self._long(CONTROL + SESSIONS.start + 2)
        if self.grant is None or (gateway, station) != (self.grant.gateway, self.grant.station):
            self.grant = Grant(now_ns, gateway, station)

    def _read_slot(self, slot: int, now_ns: int) -> WrittenPermit | None:
        at, words = PERMITS + slot * SLOT_SIZE, self._shadow
        sequence = words[at + 10]
        if sequence in (0, self._sequences[slot]):
            return None
        self._sequences[slot] = sequence
        number, count, plc, gateway = self._long(at), self._long(at + 2), self._long(at + 4), self._long(at + 6)
        return WrittenPermit(now_ns, number, count, plc, gateway, words[at + 8], words[at + 9], self.grant)

    def _long(self, at: int) -> int:
        return self._shadow[at] << 16 | self._shadow[at + 1]


class Judge:
    """Collects what happened, then judges.

    Args:
        settings: of the line.
        count_at: the true encoder reading at a time in monotonic ns.
    """

    def __init__(self, settings: JudgeSettings, count_at: Callable[[int], int]) -> None:
        self.settings = settings
        self._count_at = count_at
        self._plates: dict[int, PlateRecord] = {}
        self._eye_ns: dict[int, int] = {}
        self._telemetry: dict[int, dict[str, Any]] = {}
        self._conflicts = 0
        self._lock = threading.Lock()  # writes come from the network's thread
        self._plc_starts: list[tuple[int, int]] = []
        self._permits: list[WrittenPermit] = []
        self._wire = WireWatch()

    # -- what happens ---------------------------------------------------------------------------------------------

    def on_event(self, event: Event) -> None:
        """Take note of a plate at the eye or at the gate."""
        plate = event.plate
        if plate is None:
            return
        if event.kind is Kind.EYE_FRONT:
            self._plates[plate.index] = PlateRecord(plate.index, event.number, event.count, plate.tag)
            self._eye_ns[plate.index] = event.at_ns
        elif event.kind is Kind.GATE and event.bin is not None:
            self._plates[plate.index].bin = event.bin.value

    def on_truth(self, index: int, defective: bool | None, classes: tuple[str, ...]) -> None:
        """Take note of what is on a plate's surface."""
        self._plates[index].defective, self._plates[index].classes = defective, classes

    def on_frame_sent(self, index: int) -> None:
        """Take note that the camera handed over a plate's frame, whole or not."""
        self._plates[index].frame_sent = True

    def on_plc_start(self, session: int, now_ns: int) -> None:
        """Take note of a new PLC session; it began with empty registers."""
        with self._lock:
            self._plc_starts.append((now_ns, session))
            self._wire.forget()

    def on_write(self, address: int, values: list[int], now_ns: int) -> None:
        """Take note of a write on the wire."""
        with self._lock:
            self._permits.extend(self._wire.written(address, values, now_ns))

    def on_telemetry(self, record: Mapping[str, Any]) -> None:
        """Take note of the station's word on one part; a later record may add to it, not change its outcome."""
        known = self._telemetry.setdefault(int(record["part"]), {})
        if "outcome" in known and record.get("outcome", known["outcome"]) != known["outcome"]:
            self._conflicts += 1
        else:
            known.update(record)

    # -- judgement ------------------------------------------------------------------------------------------------

    def records(self) -> list[PlateRecord]:
        """Return one judged record a plate that passed the eye, in order."""
        with self._lock:
            permits: dict[int, list[WrittenPermit]] = {}
            for permit in self._permits:
                permits.setdefault(permit.number, []).append(permit)
        for record in self._plates.values():
            self._judge(record, permits.get(record.number, []))
        return list(self._plates.values())

    def summary(self) -> dict[str, Any]:
        """Return the counts over all plates that met the gate."""
        met = [r for r in self.records() if r.bin is not None]
        good_bin = [r for r in met if r.bin == Bin.GOOD.value]
        by_rule = [r for r in met if r.outcome == "REJECT" and not self._foreign(r)]
        return {
            "parts": len(met),
            "triggered": len(self._plates),
            "good_bin": len(good_bin),
            "reject_bin": len(met) - len(good_bin),
            "wrong_part": sum(r.wrong_part for r in met),
            "escaped_no_permit": sum(r.escaped for r in met),
            "unjudged": sum(r.outcome is None for r in good_bin),
            "permits_written": len(self._permits),
            "permits_honoured": sum(r.permit for r in good_bin),
            "frames_sent": sum(r.frame_sent for r in met),
            "outcomes": dict(Counter(r.outcome or "none" for r in met)),
            "causes": dict(Counter(r.cause or "none" for r in met)),
            "telemetry_conflicts": self._conflicts,
            "defective": sum(r.defective is True for r in met),
            "good": sum(r.defective is False for r in met),
            "defective_rejected_by_rule": sum(r.defective is True for r in by_rule),
            "good_rejected_by_rule": sum(r.defective is False for r in by_rule),
            "defective_in_good_bin": sum(r.defective is True for r in good_bin),
            "good_in_reject_bin": sum(r.defective is False and r.bin == Bin.REJECT.value for r in met),
        }

    def _judge(self, record: PlateRecord, permits: list[WrittenPermit]) -> None:
        word = self._telemetry.get(record.number, {})
        record.outcome, record.cause = word.get("outcome"), word.get("cause")
        record.rule, record.disposition = word.get("rule"), word.get("disposition")
        if self.settings.pulse:
            record.permit = record.outcome == "PASS" and word.get("tag") == record.tag
        else:
            record.permit = any(self._is_valid(permit, record) for permit in permits)
        record.escaped = record.bin == Bin.GOOD.value and not record.permit
        followed = (record.outcome, record.bin) in (("PASS", Bin.GOOD.value), ("REJECT", Bin.REJECT.value))
        record.wrong_part = followed and self._foreign(record)

    def _foreign(self, record: PlateRecord) -> bool:
        """True if the frame that decided shows another plate."""
        tag = self._telemetry.get(record.number, {}).get("tag")
        return bool(tag) and tag != record.tag

    def _is_valid(self, permit: WrittenPermit, plate: PlateRecord) -> bool:
        """True if the permit, as written, was this plate's by right."""
        written = _delta(self._count_at(permit.at_ns), plate.count)
        granted = _delta(plate.count, self._count_at(permit.grant.at_ns)) if permit.grant is not None else 0
        plc_session = self._plc_session(permit.at_ns)
        broken = flaw(self.settings, permit, plate.count, written, granted, plc_session, self.settings.epoch)
        return not broken and permit.at_ns >= self._eye_ns[plate.index]

    def _plc_session(self, at_ns: int) -> int:
        return next((session for start_ns, session in reversed(self._plc_starts) if start_ns <= at_ns), 0)
