"""What gives a plate a right to pass: permits as they are written on the wire, and what may be wrong with one.

The referee works rights and fences out by itself; its register table is its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

CONTROL, CONTROL_SIZE, SESSIONS = 200, 14, slice(2, 6)
PERMITS, SLOTS, SLOT_SIZE = 220, 8, 11
RESULT_PASS = 1
_HALF = 1 << 31


@dataclass(frozen=True)
class JudgeSettings:
    """What the rights of a plate are computed from; the terms are those of the commit point and the tolerance.

    ``watchdog_ms``: a heartbeat of the gateway that does not change for so long ends what it has permitted.
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
    watchdog_ms: float = 150.0
    pulse: bool = False

    @property
    def commit_counts(self) -> int:
        """Counts from the eye's edge to the commit point."""
        delay_ms = self.response_ms + self.scan_ms + self.output_ms + self.margin_ms
        closing = math.ceil(round(self.counts_per_mm * self.v_max_mm_s * delay_ms / 1000, 6))
        return round((self.gate_mm - self.lead_mm) * self.counts_per_mm) - closing

    @property
    def opens_counts(self) -> int:
        """Counts from the eye's edge before which no gate's window has begun, a scan's delay included."""
        opening_ms = self.response_ms + self.output_ms + 2 * self.scan_ms
        early = math.ceil(round(self.counts_per_mm * self.v_max_mm_s * opening_ms / 1000, 6))
        return round((self.gate_mm - self.lead_mm) * self.counts_per_mm) - early

    @property
    def stale_ns(self) -> int:
        """A heartbeat that has not changed for this long on the wire was stale to the PLC, whenever its scans were."""
        return round((self.watchdog_ms + 3 * self.scan_ms) * 1_000_000)

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
    if abs(delta(permit.count, latched)) > s.tolerance_counts:
        return "count"
    if granted < s.pitch_counts:
        return "fence"
    return "late" if written > s.commit_counts else ""


def delta(later: int, earlier: int) -> int:
    """Return the signed difference of two 32-bit counts."""
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
        self.beat_ns = 0  # when the gateway's heartbeat changed last

    def written(self, address: int, values: list[int], now_ns: int) -> list[WrittenPermit]:
        """Take note of a write; return the permits that it completed.  ``grant`` is up to date afterwards."""
        end, beat = address + len(values), self._shadow[CONTROL]
        self._shadow[address:end] = values
        if address <= CONTROL < end and values[CONTROL - address] != beat:
            self.beat_ns = now_ns
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
