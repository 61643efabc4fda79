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

CONTROL, CONTROL_SIZE, SESSIONS = 200, 12, slice(2, 6)
PERMITS, SLOTS, SLOT_SIZE = 220, 8, 11
RESULT_PASS = 1
_HALF = 1 << 31


@dataclass(frozen=True)
class JudgeSettings:
    """What the rights of a plate are computed from; the terms are those of the commit point and the tolerance."""

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
class _Grant:
    """Sessions in the control block from ``at_ns`` on."""

    at_ns: int
    gateway: int
    station: int


@dataclass(frozen=True)
class _Permit:
    """One permit as it was written on the wire."""

    at_ns: int
    number: int
    count: int
    plc_session: int
    gateway_session: int
    epoch: int
    result: int
    grant: _Grant | None


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


def _long(high: int, low: int) -> int:
    return high << 16 | low


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
        self._permits: list[_Permit] = []
        self._forget_registers()

    # -- what happens ---------------------------------------------------------------------------------------------

    def on_event(self, event: Event) -> None:
        """Take note of a plate at the eye or at the gate."""
        plate = event.plate
        if event.kind is Kind.EYE_FRONT:
            self._plates[plate.index] = PlateRecord(plate.index, plate.number, event.count, plate.tag)
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
            self._forget_registers()

    def on_write(self, address: int, values: list[int], now_ns: int) -> None:
        """Take note of a write on the wire."""
        with self._lock:
            for offset, value in enumerate(values):
                self._shadow[address + offset] = value
            if address < CONTROL + CONTROL_SIZE and address + len(values) > CONTROL:
                self._note_control(now_ns)
            if address + len(values) > PERMITS:
                for slot in range(SLOTS):
                    self._note_slot(slot, now_ns)

    def on_telemetry(self, record: Mapping[str, Any]) -> None:
        """Take note of the station's word on one part; a later record may add to it, not change its outcome."""
        known = self._telemetry.setdefault(int(record["part"]), {})
        if "outcome" in known and record.get("outcome", known["outcome"]) != known["outcome"]:
            self._conflicts += 1
        else:
            known.update(record)

    def _forget_registers(self) -> None:
        self._shadow: dict[int, int] = {}
        self._sequences = [0] * SLOTS
        self._grant: _Grant | None = None

    def _words(self, address: int, size: int) -> list[int]:
        return [self._shadow.get(address + offset, 0) for offset in range(size)]

    def _note_control(self, now_ns: int) -> None:
        words = self._words(CONTROL, CONTROL_SIZE)[SESSIONS]
        grant = _Grant(now_ns, _long(*words[:2]), _long(*words[2:]))
        if self._grant is None or (grant.gateway, grant.station) != (self._grant.gateway, self._grant.station):
            self._grant = grant

    def _note_slot(self, slot: int, now_ns: int) -> None:
        words = self._words(PERMITS + slot * SLOT_SIZE, SLOT_SIZE)
        if words[10] in (0, self._sequences[slot]):
            return
        self._sequences[slot] = words[10]
        number, count, plc, gateway = (_long(*words[at : at + 2]) for at in (0, 2, 4, 6))
        self._permits.append(_Permit(now_ns, number, count, plc, gateway, words[8], words[9], self._grant))

    # -- judgement ------------------------------------------------------------------------------------------------

    def records(self) -> list[PlateRecord]:
        """Return one judged record a plate that passed the eye, in order."""
        with self._lock:
            permits: dict[int, list[_Permit]] = {}
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

    def _judge(self, record: PlateRecord, permits: list[_Permit]) -> None:
        word = self._telemetry.get(record.number, {})
        record.outcome, record.cause = word.get("outcome"), word.get("cause")
        record.rule, record.disposition = word.get("rule"), word.get("disposition")
        record.permit = any(self._is_valid(permit, record) for permit in permits)
        record.escaped = record.bin == Bin.GOOD.value and not record.permit
        followed = (record.outcome, record.bin) in (("PASS", Bin.GOOD.value), ("REJECT", Bin.REJECT.value))
        record.wrong_part = followed and self._foreign(record)

    def _foreign(self, record: PlateRecord) -> bool:
        """True if the frame that decided shows another plate."""
        tag = self._telemetry.get(record.number, {}).get("tag")
        return bool(tag) and tag != record.tag

    def _is_valid(self, permit: _Permit, plate: PlateRecord) -> bool:
        """True if the permit, as written, was this plate's by right."""
        s, grant = self.settings, permit.grant
        written_at = self._count_at(permit.at_ns)
        return (
            permit.result == RESULT_PASS
            and permit.epoch == s.epoch
            and permit.plc_session == self._plc_session(permit.at_ns)
            and grant is not None
            and grant.station != 0
            and permit.gateway_session == grant.gateway != 0
            and abs(_delta(permit.count, plate.count)) <= s.tolerance_counts
            and permit.at_ns >= self._eye_ns[plate.index]
            and _delta(written_at, plate.count) <= s.commit_counts
            and _delta(plate.count, self._count_at(grant.at_ns)) >= s.pitch_counts
        )

    def _plc_session(self, at_ns: int) -> int:
        return next((session for start_ns, session in reversed(self._plc_starts) if start_ns <= at_ns), 0)
