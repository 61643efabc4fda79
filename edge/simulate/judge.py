"""The referee: says of every plate whether it lies where it had a right to lie.

It trusts nobody's bookkeeping.  It sees the plates physically, the registers as they were written on the wire, and the
station's telemetry.  Distances are true belt travel, whatever the encoder says.  What the network brings is placed on
the belt within a scan; a plate is judged when all that concerns it must have come, so the order in which threads report
does not matter, and what has been judged is forgotten but for its record.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from edge.simulate.affected import ALLOWANCE_MS, FaultLog
from edge.simulate.rights import Grant, JudgeSettings, WireWatch, WrittenPermit, flaw
from edge.simulate.tally import PlateRecord, Tally
from edge.simulate.world import UNCOUNTED, Bin, Event, Kind

CLOSE_NS = 10_000_000_000
"""How long after the gate a plate is judged for good: a station that was stopped meanwhile has told its outcome."""

BACKLASH_MM = 4.0
"""A belt that has gone back by more than this has run backwards; the drive's play is half of it."""

_KEPT_NUMBERS = 4096
"""Numbers without a plate that permits and telemetry may name before the oldest are forgotten."""


_KEPT_ENDS = 256
"""Ends of sessions that are remembered: a plate on the belt has outlived fewer."""


class _Front(NamedTuple):
    """One rising edge under which a plate passed the eye; ``place`` in counts of true travel."""

    number: int
    latched: int
    place: int
    epoch: int
    at_ns: int


class _Permit(NamedTuple):
    """A permit, where the belt was when it was written, and when its sessions were granted."""

    written: WrittenPermit
    place: int
    granted: int
    plc_session: int


class _End(NamedTuple):
    """When and where the belt was as what permits rested on came to an end."""

    at_ns: int
    place: int


class Judge:
    """Collects what happens, and judges.  All methods but ``on_write`` belong to the thread that runs the line.

    Args:
        settings: of the line.
        place_at: true travel of the belt at a time in monotonic ns, not further back than five seconds, in counts.
    """

    def __init__(self, settings: JudgeSettings, place_at: Callable[[int], int]) -> None:
        self.settings = settings
        self.faults = FaultLog(self._counts(settings.gate_mm) + settings.pitch_counts, settings.pitch_counts)
        self._place_at = place_at
        self._plates: dict[int, PlateRecord] = {}
        self._fronts: dict[int, list[_Front]] = {}  # by plate index, until it is closed
        self._met: deque[tuple[int, int]] = deque()  # (when, plate index) of those not closed
        self._tally = Tally()
        self._triggered = 0
        self._telemetry: dict[int, dict[str, Any]] = {}
        self._conflicts = 0
        self._writes: deque[tuple[int, int, list[int]]] = deque()  # from the network's thread
        self._wire = WireWatch()
        self._granted = 0  # place of the belt when the present sessions were granted
        self._plc_session = 0
        self._ends: deque[_End] = deque(maxlen=_KEPT_ENDS)
        self._stale_beat_ns = -1  # the heartbeat that was the last one before it was stale
        self._permits: dict[int, list[_Permit]] = {}
        self._permits_written = 0
        self._high = 0  # the furthest that the belt has come
        self._reversed_ns = -1  # when it was last seen to have gone back by more than the drive's play

    def _counts(self, length_mm: float) -> int:
        return round(length_mm * self.settings.counts_per_mm)

    # -- what happens ---------------------------------------------------------------------------------------------

    def on_event(self, event: Event, epoch: int) -> None:
        """Take note of a plate at the eye or at the gate; ``epoch`` is the encoder's."""
        plate = event.plate
        if plate is None:
            return
        if event.kind is Kind.EYE_FRONT:
            front = _Front(event.number, event.count, self._place_at(event.at_ns), epoch, event.at_ns)
            self._fronts.setdefault(plate.index, []).append(front)
            if plate.index not in self._plates:
                self._triggered += 1
                self._plates[plate.index] = PlateRecord(plate.index, event.number, event.count, plate.tag)
        elif event.kind is Kind.GATE and event.bin is not None:
            record = self._plates.setdefault(plate.index, PlateRecord(plate.index, UNCOUNTED, event.count, plate.tag))
            record.bin = event.bin.value
            record.affected = self.faults.reaching(self._eye_place(plate.index, event.at_ns))
            # A belt that ran back took every right from what lay on it; one that does so later takes nothing.
            fronts = self._fronts.get(plate.index, [])
            self._fronts[plate.index] = [front for front in fronts if front.at_ns > self._reversed_ns]
            self._met.append((event.at_ns, plate.index))

    def on_truth(self, index: int, defective: bool | None, classes: tuple[str, ...]) -> None:
        """Take note of what is on a plate's surface."""
        if (record := self._plates.get(index)) is not None:
            record.defective, record.classes = defective, classes

    def on_frame_sent(self, index: int) -> None:
        """Take note that the camera handed over a plate's frame, whole or not."""
        self._plates[index].frame_sent = True

    def on_plc_start(self, session: int, now_ns: int) -> None:
        """Take note of a new PLC session; it began with empty registers."""
        self._take_writes(now_ns)
        self._end_rights(now_ns)
        self._plc_session = session
        self._wire.forget()

    def on_write(self, address: int, values: list[int], now_ns: int) -> None:
        """Take note of a write on the wire; from any thread."""
        self._writes.append((now_ns, address, values))

    def on_telemetry(self, record: Mapping[str, Any]) -> None:
        """Take note of the station's word on one part; a later record may add to it, not change its outcome."""
        known = self._telemetry.setdefault(int(record["part"]), {})
        if "outcome" in known and record.get("outcome", known["outcome"]) != known["outcome"]:
            self._conflicts += 1
        else:
            known.update(record)

    def fault_begins(self, name: str, now_ns: int) -> None:
        """Take note that something is broken from now on, inside the plant or outside."""
        self.faults.begin(name, self._place_at(now_ns))

    def fault_ends(self, name: str, now_ns: int, allowance_ms: float = ALLOWANCE_MS) -> None:
        """Take note that it is mended; the line may take its allowance to recover.

        Raises:
            ValueError: no fault of this name runs.
        """
        self.faults.end(name, now_ns, allowance_ms)

    def watch(self, now_ns: int) -> None:
        """Place what was written, watch the belt, and close what is old; once a scan."""
        self._take_writes(now_ns)
        place = self._place_at(now_ns)
        self.faults.watch(now_ns, place)
        self._high = max(self._high, place)
        beat_ns = self._wire.beat_ns
        if now_ns - beat_ns > self.settings.stale_ns and beat_ns != self._stale_beat_ns:
            self._stale_beat_ns = beat_ns
            self._end_rights(now_ns)
        if place < self._high - self._counts(BACKLASH_MM):
            self._reversed_ns = now_ns
        while self._met and self._met[0][0] + CLOSE_NS <= now_ns:
            self._close(self._plates[self._met.popleft()[1]])

    # -- judgement ------------------------------------------------------------------------------------------------

    def records(self) -> list[PlateRecord]:
        """Return one record a plate that passed the eye or met the gate, in order; those not closed are judged now."""
        self._judge_open()
        return sorted(self._plates.values(), key=lambda record: record.index)

    def summary(self) -> dict[str, Any]:
        """Return the counts over all plates that met the gate so far."""
        self._judge_open()
        tally = self._tally.copy()
        for _, index in self._met:
            tally.add(self._plates[index], self._foreign(self._plates[index]))
        return {
            "triggered": self._triggered,
            **tally.counts,
            "permits_written": self._permits_written,
            "outcomes": dict(tally.outcomes),
            "causes": dict(tally.causes),
            "telemetry_conflicts": self._conflicts,
            "faults": dict(self.faults.begun),
        }

    def _judge_open(self) -> None:
        self._take_writes(None)
        for index in self._fronts.keys() | {index for _, index in self._met}:
            self._judge(self._plates[index])

    def _close(self, record: PlateRecord) -> None:
        self._judge(record)
        self._tally.add(record, self._foreign(record))
        for front in self._fronts.pop(record.index, ()):
            self._permits.pop(front.number, None)
            self._telemetry.pop(front.number, None)
        for known in (self._permits, self._telemetry):
            while len(known) > _KEPT_NUMBERS:
                del known[next(iter(known))]

    def _judge(self, record: PlateRecord) -> None:
        fronts = self._fronts.get(record.index, [])
        word = self._telemetry.get(record.number, {})
        record.outcome, record.cause = word.get("outcome"), word.get("cause")
        record.rule, record.disposition = word.get("rule"), word.get("disposition")
        if self.settings.pulse:
            record.permit = record.outcome == "PASS" and word.get("tag") == record.tag
        else:
            known = self._permits
            record.permit = any(self._is_right(p, front) for front in fronts for p in known.get(front.number, ()))
        record.escaped = record.bin == Bin.GOOD.value and not record.permit
        record.unasked = record.bin == Bin.GOOD.value and self._is_unasked(record, fronts)
        followed = (record.outcome, record.bin) in (("PASS", Bin.GOOD.value), ("REJECT", Bin.REJECT.value))
        record.wrong_part = followed and self._foreign(record)

    def _is_unasked(self, record: PlateRecord, fronts: list[_Front]) -> bool:
        """True if under none of its numbers the station passed the plate by its own frame."""
        words = [self._telemetry.get(number, {}) for number in {record.number, *(front.number for front in fronts)}]
        if record.affected and not any(words):
            return False
        return not any(word.get("outcome") == "PASS" and word.get("tag") == record.tag for word in words)

    def _foreign(self, record: PlateRecord) -> bool:
        """True if the frame that decided shows another plate."""
        tag = self._telemetry.get(record.number, {}).get("tag")
        return bool(tag) and tag != record.tag

    def _is_right(self, permit: _Permit, front: _Front) -> bool:
        """True if the permit, as written, was the right of the plate that passed the eye under this edge."""
        written, granted = permit.place - front.place, front.place - permit.granted
        broken = flaw(self.settings, permit.written, front.latched, written, granted, permit.plc_session, front.epoch)
        return not broken and permit.written.at_ns >= front.at_ns and not self._has_ended(permit, front)

    def _has_ended(self, permit: _Permit, front: _Front) -> bool:
        """True if what the permit rested on has ended before the plate's window could have begun."""
        for end in reversed(self._ends):
            if end.at_ns <= permit.written.at_ns:
                return False
            if end.place < front.place + self.settings.opens_counts:
                return True
        return False

    def _end_rights(self, at_ns: int) -> None:
        """Void what was permitted before, for plates whose window has not begun by now."""
        self._ends.append(_End(at_ns, max(self._high, self._place_at(at_ns))))

    def _eye_place(self, index: int, gate_ns: int) -> int:
        """Return where the belt was when the plate that now meets the gate was at the eye."""
        fronts = self._fronts.get(index)
        return fronts[0].place if fronts else self._place_at(gate_ns) - self._counts(self.settings.gate_mm)

    # -- the wire -------------------------------------------------------------------------------------------------

    def _take_writes(self, until_ns: int | None) -> None:
        """Read permits and grants out of what was written up to ``until_ns``, and note where the belt was."""
        while self._writes and (until_ns is None or self._writes[0][0] <= until_ns):
            at_ns, address, values = self._writes.popleft()
            before = self._wire.grant
            permits = self._wire.written(address, values, at_ns)
            if self._wire.grant is not before:
                self._granted = self._place_at(at_ns)
                if before is not None and self._wire.grant is not None and _is_fenced_off(before, self._wire.grant):
                    self._end_rights(at_ns)
            for permit in permits:
                placed = _Permit(permit, self._place_at(at_ns), self._granted, self._plc_session)
                self._permits.setdefault(permit.number, []).append(placed)
                self._permits_written += 1


def _is_fenced_off(before: Grant, after: Grant) -> bool:
    """True if what was permitted before lies behind a fence now.

    A station session that ends without a successor takes nothing back: its verdicts were given.
    """
    return after.gateway != before.gateway or after.station not in (before.station, 0)
