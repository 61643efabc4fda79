"""The streaming referee: says of every plate, when it meets the gate, whether it fell where it had a right to fall.

It sees the plates physically, the registers as they are written, the verdicts as they arrive, and which frame decided
about which number.  Distances are true belt travel, whatever the encoder says.  It keeps what is on the belt and
forgets the rest, so its memory does not grow.  It imports nothing of what it judges.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from math import floor
from typing import NamedTuple

import msgspec

from edge.simulate.line.trace import Trace
from edge.simulate.rights import Grant, JudgeSettings, WireWatch, WrittenPermit, flaw
from edge.simulate.world import Bin, Event, Kind, Plate

_PRUNE_EVERY = 512
_KEPT_NUMBERS = 512  # far more than are on the belt, also with a bouncing eye
_BEYOND = float("inf")

MIN_SCORE = 0.5
"""What the recipe asks for that is in force when nobody has told of any."""

_JUDGED = ("clean", "rule")

BACKLASH_MM = 4.0
"""A belt that has gone back by more than this has run backwards; the drive's play is half of it."""


class _Said(msgspec.Struct):
    """What matters in a verdict."""

    part: int
    session: int


_read = msgspec.json.Decoder(_Said).decode


class Front(NamedTuple):
    """One rising edge under which a plate passed the eye."""

    number: int
    latched: int
    travel_mm: float
    epoch: int
    ns: int


class Word(NamedTuple):
    """What the station came to about one number, and by which plate's frame."""

    outcome: str
    cause: str
    tag: str


class _Stretch:
    """Belt on which a fault may cost good parts."""

    __slots__ = ("from_mm", "to_mm")

    def __init__(self, from_mm: float) -> None:
        self.from_mm, self.to_mm = from_mm, _BEYOND


class Referee:
    """Collects and judges.

    Args:
        settings: of the line.
        travel_mm: true belt travel now.
        score: of what the network finds on the plate of this tag; 0 where that is nothing.
        defective: True if it is bad.
        trace: takes a part's history, or None.

    Attributes:
        counts: of everything, by name; ``misjudged``: own frames not judged by the recipe in force at the edge.
        first: the first plate that fell wrongly: (index, what is wrong), or None.
        on_met: told of the number by which a plate had its right when it met an open gate.
        on_turned: told while the belt is seen to have run backwards.
        on_taken: told of the numbers of a plate that a hand took.
    """

    def __init__(
        self,
        settings: JudgeSettings,
        travel_mm: Callable[[], float],
        score: Callable[[str], float],
        defective: Callable[[str], bool],
        trace: Trace | None = None,
    ) -> None:
        self._s = settings
        self._travel_mm, self._score, self._defective, self._trace = travel_mm, score, defective, trace
        self.counts: Counter[str] = Counter()
        self.first: tuple[int, str] | None = None
        self.on_met: Callable[[int], None] | None = None
        self.on_turned: Callable[[], None] | None = None
        self.on_taken: Callable[[int], None] | None = None
        self._fronts: dict[int, list[Front]] = {}  # by plate on the belt
        self._words: dict[int, Word] = {}  # by number, like all below
        self._permits: dict[int, list[tuple[WrittenPermit, float, int]]] = {}
        self._passed: dict[int, set[int]] = {}  # station sessions under which a PASS arrived
        self._wire = WireWatch()
        self._grants: list[tuple[Grant, float]] = []  # the last few, each with the travel at which it was written
        self._plc_session = 0
        self._stretches: list[_Stretch] = []
        self._high_mm = 0.0  # the furthest that the belt had come when it was last asked
        self._turned_mm = 0.0  # where it was when it last turned
        self._reversed_ns = -1  # when it was last seen to have gone back by more than the drive's play
        self._recipes: list[tuple[int, int, float]] = []  # doubtful since, in force since, and the score it asks for
        self._since_prune = 0

    # -- the line ---------------------------------------------------------------------------------------------------

    def on_event(self, event: Event, epoch: int) -> None:
        """Take note of a plate at the eye or at the gate."""
        plate = event.plate
        if event.kind is Kind.EYE_FRONT:
            self.counts["edges"] += 1
            if plate is not None:
                front = Front(event.number, event.count, self._travel_mm(), epoch, event.at_ns)
                self._fronts.setdefault(plate.index, []).append(front)
        elif event.kind is Kind.GATE and plate is not None:
            self._judge(plate, event)
            self._since_prune += 1
            if self._since_prune >= _PRUNE_EVERY:
                self._prune()

    def on_removed(self, plate_index: int) -> None:
        """A hand took a plate off the belt: it meets no gate."""
        for front in self._fronts.pop(plate_index, ()):
            if self.on_taken is not None:
                self.on_taken(front.number)
        self.counts["removed"] += 1

    def on_belt(self) -> list[int]:
        """Return the indices of the plates between eye and gate."""
        return list(self._fronts)

    # -- the wire ---------------------------------------------------------------------------------------------------

    def on_plc_start(self, session: int) -> None:
        """A new PLC session began with empty registers."""
        self._plc_session = session
        self._wire.forget()

    def on_write(self, address: int, values: list[int], now_ns: int) -> None:
        """Take note of a write on the wire."""
        before = self._wire.grant
        permits = self._wire.written(address, values, now_ns)
        grant = self._wire.grant
        if grant is not before and grant is not None:
            self._grants = [*self._grants[-15:], (grant, self._travel_mm())]
        for permit in permits:
            self.counts["permits_written"] += 1
            self._permits.setdefault(permit.number, []).append((permit, self._travel_mm(), self._plc_session))

    def on_arrival(self, data: bytes) -> None:
        """Take note of a message that reached the gateway; only a PASS gives a right."""
        if b'"PASS"' in data:
            message = _read(data)
            self._passed.setdefault(message.part, set()).add(message.session)

    # -- the station ------------------------------------------------------------------------------------------------

    def on_concluded(self, number: int, word: Word) -> None:
        """Take note of the station's word on one number."""
        self._words[number] = word

    def on_recipe(self, min_score: float, doubtful_ns: int, since_ns: int) -> None:
        """Another recipe was put in force: for edges from ``since_ns`` on, and perhaps from ``doubtful_ns`` on."""
        self._recipes = [*self._recipes[-15:], (doubtful_ns, since_ns, min_score)]

    # -- faults -----------------------------------------------------------------------------------------------------

    def fault_begins(self) -> _Stretch:
        """A fault is injected: what is between eye and gate, and one pitch more, may be affected from now on."""
        stretch = _Stretch(self._travel_mm() - self._s.gate_mm - self._s.pitch_min_mm)
        self._stretches.append(stretch)
        return stretch

    def fault_ends(self, stretch: _Stretch) -> None:
        """The fault is repaired and its allowance over: one pitch more, and nothing is affected any longer."""
        stretch.to_mm = self._travel_mm() + self._s.pitch_min_mm

    def is_affected(self, travel_mm: float) -> bool:
        """True if a part whose front was at the eye at this travel may suffer from a fault."""
        return any(stretch.from_mm <= travel_mm <= stretch.to_mm for stretch in self._stretches)

    def belt_runs_back(self, now_ns: int) -> None:
        """To be called now and then while the belt may run backwards."""
        travel_mm = self._travel_mm()
        if travel_mm > self._high_mm:
            self._high_mm = travel_mm
        elif travel_mm < self._high_mm - BACKLASH_MM:
            self._reversed_ns, self._turned_mm = now_ns, self._high_mm
            if self.on_turned is not None:
                self.on_turned()

    # -- judgement --------------------------------------------------------------------------------------------------

    def _judge(self, plate: Plate, event: Event) -> None:
        counts = self.counts
        fronts = self._fronts.pop(plate.index, [])
        counts["parts"] += 1
        good_bin = event.bin is Bin.GOOD
        broken, number = self._right(fronts) if good_bin or event.clipped else ("", 0)
        wrong = ""
        if event.clipped:
            counts["clipped"] += 1
        if good_bin:
            counts["good_bin"] += 1
            if broken:
                wrong = "late_fired" if broken == "late" else "escaped_no_permit"
                counts[wrong] += 1
        if (good_bin or event.clipped) and not broken and self.on_met is not None:
            self.on_met(number)
        if (good_bin or (event.clipped and broken)) and not self._own_pass(plate, fronts):
            wrong = "wrong_part"
            counts["wrong_part"] += 1
        defective, shows = self._defective(plate.tag), any(self._shows(plate, fronts, event.at_ns))
        if self._is_misjudged(plate, fronts):
            counts["misjudged"] += 1
            wrong = wrong or "misjudged"
        counts["defective"] += defective
        if defective:
            counts["defective_passed"] += good_bin
        else:
            wrong = self._judge_good(fronts, good_bin, shows) or wrong
        if wrong:
            self._report(plate, fronts, event, f"{wrong} ({broken or 'with its permit'})")

    def _judge_good(self, fronts: list[Front], good_bin: bool, shows: bool) -> str:
        """Book a plate without a defect; return what is wrong where it was lost for no reason."""
        counts = self.counts
        affected = not fronts
        for front in fronts:
            affected = affected or self.is_affected(front.travel_mm)
        counts["good"] += 1
        counts["good_unaffected"] += not affected
        if good_bin:
            counts["good_passed"] += 1
            counts["good_passed_unaffected"] += not affected
        elif shows:
            counts["false_alarms"] += 1
        else:
            counts["false_rejects"] += 1
            if not affected:
                counts["false_rejects_unaffected"] += 1
                return "false_rejects_unaffected"
        return ""

    def _own_pass(self, plate: Plate, fronts: list[Front]) -> bool:
        """True if the plate's own frame, under a number of its own, came to PASS, and rightly by what it shows."""
        if not fronts or all(self._shows(plate, fronts, 0)):
            return False
        for front in fronts:
            word = self._words.get(front.number)
            if word is not None and word.outcome == "PASS" and word.tag == plate.tag:
                return True
        return False

    def _shows(self, plate: Plate, fronts: list[Front], now_ns: int) -> list[bool]:
        """Return whether the network finds a defect, by each recipe that may have been in force at an edge."""
        score = self._score(plate.tag)
        times = [front.ns for front in fronts] or [now_ns]
        return [score >= least for ns in times for least in self._min_scores(ns)] if score else [False]

    def _min_scores(self, ns: int) -> list[float]:
        found = []
        for doubtful_ns, since_ns, min_score in reversed(self._recipes):
            if ns >= doubtful_ns:
                found.append(min_score)
            if ns >= since_ns:
                return found
        return [*found, MIN_SCORE]

    def _is_misjudged(self, plate: Plate, fronts: list[Front]) -> bool:
        """True if the plate's own frame was judged, and not by a recipe in force at its edge."""
        words = (self._words.get(front.number) for front in fronts)
        said = [word.cause == "rule" for word in words if word and word.tag == plate.tag and word.cause in _JUDGED]
        return bool(said) and not set(said) & set(self._shows(plate, fronts, 0))

    def _right(self, fronts: list[Front]) -> tuple[str, int]:
        """Return "" and the number of an edge that had a rightful permit, else what the best of them lacks."""
        best = "no permit"
        for front in fronts:
            for permit, at_mm, plc_session in self._permits.get(front.number, ()):
                broken = self._flaw(front, permit, at_mm, plc_session)
                if not broken:
                    return "", front.number
                best = broken if best == "no permit" or broken == "late" else best
        return best, 0

    def _flaw(self, front: Front, permit: WrittenPermit, at_mm: float, plc_session: int) -> str:
        k, grant = self._s.counts_per_mm, permit.grant
        granted = 1 << 40  # long ago
        for known, granted_mm in reversed(self._grants):
            if known is grant:
                granted = floor((front.travel_mm - granted_mm) * k)
                break
        written = floor((at_mm - front.travel_mm) * k)
        broken = flaw(self._s, permit, front.latched, written, granted, plc_session, front.epoch)
        if broken:
            return broken
        if grant is None or grant.station not in self._passed.get(front.number, ()):
            return "no PASS arrived under the present session"
        if front.ns <= self._reversed_ns:
            return "the belt ran back since"
        if front.travel_mm < self._turned_mm - BACKLASH_MM:
            return "a place that the belt had passed before"
        return "a later session's fence" if self._fenced_later(front, permit) else ""

    def _fenced_later(self, front: Front, permit: WrittenPermit) -> bool:
        """True if a session granted after the permit, but before the plate's commit point, put it behind its fence."""
        commit_mm = front.travel_mm + self._s.commit_counts / self._s.counts_per_mm
        for grant, at_mm in reversed(self._grants):
            if grant.at_ns <= permit.at_ns:
                return False
            if grant.station != 0 and at_mm <= commit_mm and front.travel_mm < at_mm + self._s.pitch_min_mm:
                return True
        return False

    def _report(self, plate: Plate, fronts: list[Front], event: Event, what: str) -> None:
        if self.first is None:
            self.first = (plate.index, what)
            if self._trace is not None:
                self._trace.close(plate, [front.number for front in fronts], event, what)

    def _prune(self) -> None:
        """Forget numbers and stretches that no plate on the belt can need."""
        self._since_prune = 0
        for table in (self._words, self._permits, self._passed):
            surplus = len(table) - _KEPT_NUMBERS
            for number in list(table)[: max(0, surplus)]:
                del table[number]
        oldest = min((f.travel_mm for fronts in self._fronts.values() for f in fronts), default=self._travel_mm())
        self._stretches = [s for s in self._stretches if s.to_mm >= oldest]
