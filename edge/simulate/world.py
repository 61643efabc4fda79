"""The physical line: belt, infeed, part eye, encoder, gate and bins.  Pure: time is an argument.

Everything on the belt happens at a place, so marks are kept by belt travel and their times follow from the speed.  A
belt that runs backwards crosses its marks backwards, the last one first.

This module judges, so it shares no code with what it judges.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from enum import Enum

from edge.simulate.belt import COUNTER_SPAN, NM_PER_MM, Belt, Encoder
from edge.simulate.fixtures import Gate, PartEye
from edge.simulate.plates import UNCOUNTED, Bin, Event, Kind, Line, Plate, Ride

__all__ = ["COUNTER_SPAN", "UNCOUNTED", "Bin", "Event", "Kind", "Line", "Plate", "World"]

NS_PER_MS = 1_000_000
BOUNCE_NM = NM_PER_MM // 2  # a bouncing eye loses sight of the plate this often


class _Place(Enum):
    """What a mark on the belt meets."""

    FRONT_AT_EYE = 0
    TAIL_AT_EYE = 1
    BOUNCE_AT_EYE = 2
    FRONT_AT_GATE = 3
    TAIL_AT_GATE = 4
    PAST_GATE = 5


_Mark = tuple[int, int, int, _Place, Ride]  # (travel, fronts before tails, order of making, ...)


def _nm(length_mm: float) -> int:
    return round(length_mm * NM_PER_MM)


class World:
    """The line from ``start_ns`` on.  Call ``advance`` before any command of the same instant.

    Attributes:
        good, reject: how many plates fell into each bin.
        removed: how many were taken off the belt by hand.
    """

    def __init__(self, line: Line, start_ns: int) -> None:
        self.line = line
        self.good = self.reject = self.removed = 0
        self._belt = Belt(start_ns, line.speed_mm_s)
        self._encoder = Encoder(self._belt, line.counts_per_mm, start_ns, line.count_start, line.epoch)
        self._gate = Gate(round((line.output_ms + line.response_ms) * NS_PER_MS))
        self._random = random.Random(line.seed)
        self._now_ns = start_ns

        self._infeed_open = not line.interlock
        self._entered = 0
        self._feed_nm = 0  # travel at which the next plate may enter
        self._feed_waits = False  # it stands at the closed infeed
        self._last_front_nm: int | None = None
        self._touch_next = False

        self._eye = PartEye(line.first_number, line.eye_jitter_counts, line.seed, self.count_at)
        self._bounces = 0  # at the next plate
        self._blocked_until_ns: int | None = None

        self._rides: dict[int, Ride] = {}
        self._ahead: list[_Mark] = []  # heap
        self._behind: deque[_Mark] = deque()  # crossed, in order, as far as a plate on the belt could cross them back
        self._marks_made = 0
        self._pending: list[Event] = []  # of a command, for the next advance
        self._plan()

    # -- what can be read off --------------------------------------------------------------------------------------

    @property
    def eye_number(self) -> int:
        """Reading of the eye's hardware counter, 32 bit: the number of the latest rising edge."""
        return self._eye.number

    @property
    def eye_covered(self) -> bool:
        """The part eye's output now."""
        return self._eye.covered

    @property
    def entered(self) -> int:
        """How many plates have entered."""
        return self._entered

    @property
    def epoch(self) -> int:
        """The encoder's present epoch, 16 bit."""
        return self._encoder.epoch

    @property
    def speed_mm_s(self) -> float:
        """The belt's present speed; negative while it runs backwards."""
        return self._belt.speed_um_s(self._now_ns) / 1000

    def count_at(self, now_ns: int) -> int:
        """Return the encoder's reading, 32 bit; exact for the last five seconds."""
        return self._encoder.count_at(now_ns)

    def travel_mm(self, now_ns: int) -> float:
        """Return the belt's true travel since the start, whatever the encoder says."""
        return self._belt.travel_nm(now_ns) / NM_PER_MM

    def place_at(self, now_ns: int) -> int:
        """Return the belt's true travel in encoder counts, unbounded; exact for the last five seconds."""
        return self._belt.travel_nm(now_ns) * self.line.counts_per_mm // NM_PER_MM

    def moving(self) -> bool:
        """True while the belt moves, in either direction."""
        return self._belt.speed_um_s(self._now_ns) != 0

    def next_ns(self) -> int | None:
        """Return when the next thing happens, or None while nothing is due."""
        return self._now_ns if self._pending else self._due_ns

    # -- time ------------------------------------------------------------------------------------------------------

    def advance(self, now_ns: int) -> list[Event]:
        """Return what happened up to and including ``now_ns``, in order."""
        events, self._pending = self._pending, []
        while self._due_ns is not None and self._due_ns <= now_ns:
            self._now_ns = self._due_ns
            event = self._step()
            if event is not None:
                events.append(event)
            self._plan()
        self._now_ns = max(self._now_ns, now_ns)
        return events

    def _plan(self) -> None:
        """Find what happens next, and when."""
        while self._behind and self._behind[-1][4].gone:
            self._behind.pop()
        ahead = self._ahead[0][0] if self._ahead else None
        down = self._behind[-1][0] if self._behind else None
        is_feed = self._is_feeding and (ahead is None or self._feed_nm <= ahead)
        self._due_ns: int | None = None
        found = self._belt.crossing(self._now_ns, self._feed_nm if is_feed else ahead, down)
        if found:
            self._due_ns, upwards = found
            self._step = (self._feed if is_feed else self._cross_up) if upwards else self._cross_down
        if self._blocked_until_ns is not None and (self._due_ns is None or self._blocked_until_ns <= self._due_ns):
            self._due_ns, self._step = self._blocked_until_ns, self._unblock_eye

    # -- commands --------------------------------------------------------------------------------------------------

    def set_infeed(self, now_ns: int, is_open: bool) -> None:
        """Open or hold the infeed; without an interlock nothing holds it."""
        self._infeed_open = is_open or not self.line.interlock
        if self._infeed_open and self._feed_waits:
            self._now_ns = max(self._now_ns, now_ns)
            self._feed_waits = False
            self._feed_nm = max(self._feed_nm, self._belt.travel_nm(now_ns))
            self._plan()

    def command_gate(self, now_ns: int, is_open: bool) -> None:
        """Switch the PLC's output; the gate follows after output and response time."""
        self._gate.command(now_ns, is_open)

    def set_speed(self, now_ns: int, speed_mm_s: float) -> None:
        """Change the belt's speed at once; 0 stops it, a negative one runs it backwards."""
        self._now_ns = max(self._now_ns, now_ns)
        self._belt.set_speed(now_ns, speed_mm_s)
        self._plan()

    def ramp(self, now_ns: int, to_mm_s: float, accel_mm_s2: float) -> None:
        """Change the belt's speed evenly, from now on; ``accel_mm_s2`` is positive also to slow down."""
        self._now_ns = max(self._now_ns, now_ns)
        self._belt.ramp(now_ns, to_mm_s, accel_mm_s2)
        self._plan()

    def freeze_encoder(self, now_ns: int) -> None:
        """Let the encoder's reading stand while the belt goes on."""
        self._encoder.freeze(now_ns)

    def thaw_encoder(self, now_ns: int) -> None:
        """Let the reading go on from where it stands."""
        self._encoder.thaw(now_ns)

    def jump_encoder(self, now_ns: int, counts: int) -> None:
        """Let the reading jump, either way."""
        self._encoder.jump(now_ns, counts)

    def new_epoch(self, now_ns: int, count: int) -> None:
        """Let the encoder start anew at ``count``, in the next epoch."""
        self._encoder.new_epoch(now_ns, count)

    def block_eye(self, now_ns: int, time_ms: float) -> None:
        """Cover the eye for a time, from now on."""
        self._now_ns = max(self._now_ns, now_ns)
        self._blocked_until_ns = now_ns + round(time_ms * NS_PER_MS)
        self._tell_later(self._eye.block(now_ns, True))
        self._plan()

    def bounce_next(self, edges: int) -> None:
        """Let the eye give this many extra rising edges at the next plate, within its first millimetres."""
        self._bounces = edges

    @property
    def bounces(self) -> int:
        """How many extra edges the next plate will give."""
        return self._bounces

    def touch_next(self) -> None:
        """Let the next plate touch the one before it; where it is too late for that, the one after next."""
        touching_nm = None if self._last_front_nm is None else self._last_front_nm + _nm(self.line.length_mm)
        if touching_nm is not None and self._is_feeding and self._belt.travel_nm(self._now_ns) <= touching_nm:
            self._feed_nm = touching_nm
            self._plan()
        else:
            self._touch_next = True

    def remove(self, plate_index: int) -> bool:
        """Take a plate off the belt by hand; False if it is not on the belt, or has reached the gate."""
        ride = self._rides.get(plate_index)
        if ride is None or ride.met_open is not None:
            return False
        self._leave(ride)
        self.removed += 1
        self._tell_later(self._eye.lift_plate(self._now_ns, ride))
        self._plan()
        return True

    def _unblock_eye(self) -> Event | None:
        self._blocked_until_ns = None
        return self._eye.block(self._now_ns, False)

    def _tell_later(self, edge: Event | None) -> None:
        if edge:
            self._pending.append(edge)

    # -- infeed ----------------------------------------------------------------------------------------------------

    @property
    def _is_feeding(self) -> bool:
        return not self._feed_waits and not 0 < self.line.parts <= self._entered

    def _feed(self) -> None:
        """Let the next plate's front pass the infeed, or hold it there."""
        if not self._infeed_open:
            self._feed_waits = True
            return
        line, front_nm = self.line, self._feed_nm
        ride = Ride(Plate(self._entered, f"{self._random.getrandbits(64):016x}"))
        self._rides[self._entered] = ride
        self._entered += 1
        length_nm, eye_nm = _nm(line.length_mm), front_nm + _nm(line.infeed_mm)
        gate_nm = eye_nm + _nm(line.gate_mm)
        self._push(eye_nm, _Place.FRONT_AT_EYE, ride)
        self._push(eye_nm + length_nm, _Place.TAIL_AT_EYE, ride)
        self._push(gate_nm, _Place.FRONT_AT_GATE, ride)
        self._push(gate_nm + length_nm, _Place.TAIL_AT_GATE, ride)
        scatter = self._random.uniform(-line.pitch_jitter_mm, line.pitch_jitter_mm)
        pitch_nm = length_nm if self._touch_next else max(_nm(line.pitch_mm + scatter), length_nm)
        self._touch_next = False
        self._last_front_nm, self._feed_nm = front_nm, front_nm + pitch_nm

    def _push(self, travel_nm: int, place: _Place, ride: Ride) -> None:
        # A plate that touches the one before it covers the eye before that one leaves it.
        is_tail = place in (_Place.TAIL_AT_EYE, _Place.TAIL_AT_GATE)
        heapq.heappush(self._ahead, (travel_nm, is_tail, self._marks_made, place, ride))
        self._marks_made += 1

    # -- marks -----------------------------------------------------------------------------------------------------

    def _cross_up(self) -> Event | None:
        mark = heapq.heappop(self._ahead)
        travel_nm, _, _, place, ride = mark
        if place is _Place.PAST_GATE:
            return self._event(Kind.CONFIRM, ride)
        if ride.gone:
            return None
        self._behind.append(mark)
        if place is _Place.FRONT_AT_GATE:
            ride.met_open = self._gate.state(self._now_ns)
            return None
        if place is _Place.TAIL_AT_GATE:
            return self._fall(travel_nm, ride)
        if place is _Place.BOUNCE_AT_EYE:
            return self._eye.bounce(self._now_ns, ride)
        if place is _Place.FRONT_AT_EYE:
            self._make_bounces(travel_nm, ride)
        return self._eye.pass_plate(self._now_ns, ride, place is _Place.FRONT_AT_EYE)

    def _cross_down(self) -> Event | None:
        mark = self._behind.pop()
        heapq.heappush(self._ahead, mark)
        _, _, _, place, ride = mark
        if place is _Place.FRONT_AT_GATE:
            ride.met_open = None
            return None
        if place is _Place.BOUNCE_AT_EYE:
            return self._eye.bounce(self._now_ns, ride)
        return self._eye.pass_plate(self._now_ns, ride, place is _Place.TAIL_AT_EYE)

    def _make_bounces(self, travel_nm: int, ride: Ride) -> None:
        for change in range(1, 2 * self._bounces + 1):
            self._push(travel_nm + change * BOUNCE_NM, _Place.BOUNCE_AT_EYE, ride)
        self._bounces = 0

    def _fall(self, travel_nm: int, ride: Ride) -> Event:
        """Judge the plate at the gate: it goes where the gate let it pass, and only if that never moved meanwhile."""
        state = self._gate.state(self._now_ns)
        clipped = ride.met_open != state
        fell = Bin.GOOD if state[0] and not clipped else Bin.REJECT
        self._leave(ride)
        while self._behind and self._behind[0][4].gone:
            self._behind.popleft()
        if fell is Bin.REJECT:
            self.reject += 1
            return self._event(Kind.GATE, ride, fell, clipped)
        self.good += 1
        if self.line.confirm_mm > 0:
            self._push(travel_nm + _nm(self.line.confirm_mm), _Place.PAST_GATE, ride)
        return self._event(Kind.GATE, ride, fell)

    def _leave(self, ride: Ride) -> None:
        ride.gone = True
        del self._rides[ride.plate.index]

    def _event(self, kind: Kind, ride: Ride, fell: Bin | None = None, clipped: bool = False) -> Event:
        return Event(kind, self._now_ns, ride.plate, ride.number, self.count_at(self._now_ns), fell, clipped)
