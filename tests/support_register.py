"""A referee of the register: counts parts, belt and permits with unbounded numbers, and says who may pass."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from edge.core.counter import delta, wrap
from edge.core.outcome import Disposition as D
from edge.core.outcome import Outcome
from edge.core.register import Register
from edge.core.session import Decision, Geometry

PASS = Outcome.PASS
SPAN = 1 << 32
GATE, COMMIT, PITCH, MATCH, SPACING, BACKLASH = 5000, 4000, 1000, 450, 900, 20
GEOMETRY = Geometry(GATE, COMMIT, PITCH, MATCH, SPACING, BACKLASH)
REACH = GATE + 2 * PITCH
ROOM = 6
MOST = 4 * (COMMIT // PITCH + ROOM)
"""Parts that can be pending: the oldest one gives way to another."""

VISIBLE = 4
"""How many of its last parts the PLC shows."""

STATION = 77
FIRST = PITCH
"""Count of the first part behind the fence of a session granted at 0."""


def granted(at: int = 0, last_part: int = 0) -> Register:
    """Return a register whose lane a station has held since the belt was at ``at``."""
    register = Register(GEOMETRY, 1, ROOM)
    register.restart(plc=5, gateway=6, epoch=2, last_part=last_part)
    register.grant(STATION, wrap(at))
    return register


def passed(register: Register, number: int, count: int, now: int, claimed: int | None = None) -> tuple[D, bool]:
    """Say PASS of a part; return the answer, and whether it holds a permit."""
    claimed = count if claimed is None else claimed
    decision = register.verdict(STATION, number, wrap(claimed), Outcome.PASS, wrap(now))
    assert (decision.number, decision.answers) == (number, True)
    return decision.disposition, decision.permit is not None


def permitted(register: Register, number: int, count: int) -> None:
    """Count a part, pass it, and let the PLC arm its permit."""
    register.plc_part(number, count, count)
    assert passed(register, number, count, count) == (D.ACCEPTED, True)
    register.permit_written(number)


def ends(register: Register) -> list[tuple[int, str]]:
    """Take the register's news: the parts that were permitted, or ended without that, and how."""
    news = [n for n in register.take_news() if n.fact in ("armed", "ended")]
    return [(n.number, "permitted" if n.fact == "armed" else n.detail) for n in news]


@dataclass
class Claim:
    """What the station said of a part."""

    session: int
    count: int
    outcome: Outcome


class Referee(RuleBasedStateMachine):
    """Sessions, belt and PLC.  ``belt``, ``number`` and ``fence`` are absolute; the register sees 32 bits of them."""

    register_class = Register

    def __init__(self) -> None:
        super().__init__()
        self.register = self.register_class(GEOMETRY, 1, ROOM)
        self.sessions = 100
        self.plc = self.gateway = self.epoch = 0
        self.station, self.old_station, self.fence = 0, 0, 0
        self.counted: dict[int, int] = {}  # all that the PLC ever counted -> its count
        self.unread: list[int] = []
        self.read: set[int] = set()  # of this gateway session
        self.open: list[int] = []  # of those, what has not ended, in order
        self.barred: set[int] = set()
        self.newest: int | None = None
        self.claims: dict[int, list[Claim]] = {}  # of verdicts
        self.held: dict[int, Claim] = {}  # of those, what waits for its part
        self.said: dict[int, int] = {}  # announced ahead of the part -> count
        self.permits: set[int] = set()  # all that were ever permitted
        self.outstanding: list[int] = []  # permits on the way to the PLC
        self.armed: dict[int, int] = {}  # permits that the PLC holds -> count
        self.voided: Counter[str] = Counter()
        self.triggers = self.taken = self.executed = self.crowded = self.ended = self.told_voided = 0
        self.furthest: int | None = None
        self.reading = 0
        self.back = False

    @initialize(belt=st.sampled_from([0, SPAN - 2500, 2 * SPAN - 1]), number=st.sampled_from([0, SPAN - 3, SPAN - 1]))
    def begin(self, belt: int, number: int) -> None:
        self.belt, self.number = belt, number
        self.restart("plc")

    # -- the referee ------------------------------------------------------------------------------------------------

    def may_pass(self, number: int) -> bool:
        """True where nothing in the contract speaks against a permit for the part, now, beside its verdict."""
        count = self.counted.get(number)
        return (
            count is not None
            and number in self.open
            and self.station != 0
            and count + GATE >= self.fence
            and self.belt <= count + COMMIT
            and number not in self.barred
            and number not in self.permits
        )

    def agrees(self, number: int, claim: Claim) -> bool:
        return claim.session == self.station != 0 and abs(claim.count - self.counted[number]) <= MATCH

    def is_behind(self, count: int) -> bool:
        return self.furthest is not None and count < self.furthest - BACKLASH

    def end(self, number: int) -> None:
        if number in self.open:
            self.open.remove(number)
            self.ended += 1
        if number in self.outstanding:
            self.outstanding.remove(number)

    def arm(self, number: int) -> None:
        self.taken += 1
        self.armed[number] = self.counted[number]

    def waits(self, number: int, claim: Claim) -> bool:
        """True where a verdict waits for its part: the next ones to be read, near enough to be on the belt."""
        return (
            claim.session == self.station != 0
            and number > self.number - len(self.unread)
            and number not in self.held
            and len(self.held) < ROOM
            and (self.furthest is None or abs(claim.count - self.reading) <= GATE + PITCH)
        )

    def whose(self, number: int) -> int:
        """Return the part that the register means by 32 bits."""
        return next(n for n in sorted(self.counted, reverse=True) if wrap(n) == number)

    def take(self, decision: Decision | None) -> None:
        if decision is None or decision.permit is None:
            return
        permit, number = decision.permit, self.whose(decision.permit.number)
        assert decision.disposition is D.ACCEPTED
        assert self.may_pass(number), f"part {number} got a permit that it must not have"
        if decision.answers:
            assert not self.register.withheld, "a permit where all are withheld"
            agreed = [c.outcome for c in self.claims.get(number, []) if self.agrees(number, c)]
            assert agreed, "no verdict of this session names this part"
            assert agreed[0] is PASS, "a permit without PASS"
        else:
            assert self.register.bypass, "a permit that nobody asked for"
        session = permit.session
        assert permit.count == wrap(self.counted[number])
        assert (session.plc, session.gateway, session.epoch) == (self.plc, self.gateway, self.epoch)
        assert session.station == self.station
        self.permits.add(number)
        self.outstanding.append(number)

    # -- sessions ---------------------------------------------------------------------------------------------------

    @rule(kind=st.sampled_from([""] * 20 + ["gateway", "plc", "epoch"]))
    def maybe_restart(self, kind: str) -> None:
        if kind:
            self.restart(kind)

    def restart(self, kind: str) -> None:
        """Of the gateway's session alone, of the PLC, or with a new encoder epoch."""
        known = self.plc != 0
        self.sessions += 1
        self.gateway = self.sessions + 1000
        self.plc = self.sessions if kind == "plc" else self.plc
        self.epoch += kind == "epoch"
        self.old_station, self.station = self.station or self.old_station, 0
        self.register.restart(self.plc, self.gateway, self.epoch, wrap(self.number))
        for number in list(self.outstanding):
            self.end(number)
            self.arm(number)  # it may have arrived
        if known and kind != "plc":
            self.triggers += len(self.unread)
        if kind != "gateway":
            self.voided["session_lost"] += len(self.armed)
            self.armed.clear()
        for number in list(self.open):
            self.end(number)
        self.unread.clear()
        self.read.clear()
        self.claims.clear()
        self.held.clear()
        self.said.clear()
        self.furthest, self.newest, self.back, self.reading = None, None, False, 0
        assert (self.register.pending, self.outstanding) == (0, [])
        assert self.register.session.station == 0
        assert self.register.highest == wrap(self.number)

    @rule(really=st.sampled_from([False, False, False, True]))
    def maybe_grant(self, really: bool) -> None:
        if really or not self.station:
            self.grant()

    def grant(self) -> None:
        self.sessions += 1
        self.old_station, self.station = self.station or self.old_station, self.sessions
        self.held.clear()
        self.said.clear()
        self.fence = max(self.belt, self.belt if self.furthest is None else self.furthest) + GATE + PITCH
        session = self.register.grant(self.station, wrap(self.belt))
        assert (session.plc, session.gateway, session.station) == (self.plc, self.gateway, self.station)
        assert session.fence == wrap(self.fence)

    @rule(really=st.sampled_from([False] * 15 + [True]))
    def maybe_revoke(self, really: bool) -> None:
        if really:
            self.old_station, self.station = self.station or self.old_station, 0
            self.held.clear()
            self.said.clear()
            self.register.revoke()

    @rule(withheld=st.sampled_from([False] * 4 + [True]), bypass=st.sampled_from([False] * 4 + [True]))
    def mode(self, withheld: bool, bypass: bool) -> None:
        self.register.withheld, self.register.bypass = withheld, bypass

    # -- belt and PLC -----------------------------------------------------------------------------------------------

    @rule(counts=st.sampled_from([0, 1, 100, 999, 1000, 2000, 4001]))
    def move(self, counts: int) -> None:
        self.belt += counts

    @rule(counts=st.sampled_from([0, 1, BACKLASH, BACKLASH + 1, 300, 1500]))
    def back_and_read(self, counts: int) -> None:
        """The belt turns round only between two reads."""
        self.poll()
        self.belt -= counts
        self.poll()

    @rule(gap=st.sampled_from([0, 1, 400, SPACING - 1, SPACING, PITCH, PITCH, PITCH, 1500]), read=st.booleans())
    def part(self, gap: int, read: bool) -> None:
        self.belt += gap
        self.number += 1
        self.counted[self.number] = self.belt
        self.unread.append(self.number)
        if read:
            self.poll()

    @rule(more=st.sampled_from([0, 1, 3]))
    def parts_faster_than_reads(self, more: int) -> None:
        """As many as the PLC shows, or more: nobody can read the first of them."""
        for _ in range(VISIBLE + more):
            self.part(PITCH, read=False)
        self.poll()

    @rule()
    def poll(self) -> None:
        """Read the PLC's last parts, of which it shows a few, and then the belt."""
        shown = [n for n in sorted(self.counted) if n > self.number - VISIBLE]
        self.triggers += len(self.unread)
        for number in shown:
            fresh = number in self.unread
            if fresh:
                self.meet(number)
            decision = self.register.plc_part(wrap(number), wrap(self.counted[number]), wrap(self.belt))
            assert fresh or decision is None
            self.take(decision)
            if fresh:
                self.settle(number)
        self.unread.clear()
        self.register.moved(wrap(self.belt))
        self.reading = self.belt
        self.furthest = self.belt if self.furthest is None else max(self.furthest, self.belt)
        was, self.back = self.back, self.is_behind(self.belt)
        if self.back and not was:
            for number in list(self.open):
                self.end(number)

    def meet(self, number: int) -> None:
        """The referee's own view of a part that is read for the first time."""
        count = self.counted[number]
        self.read.add(number)
        if len(self.open) >= MOST:
            self.end(self.open[0])
        if self.is_behind(count):
            self.ended += 1
            return
        self.open.append(number)
        if self.newest is not None and abs(count - self.counted[self.newest]) < SPACING:
            self.barred |= {number, self.newest}
            self.crowded += 1
        self.newest = number

    def settle(self, number: int) -> None:
        """What was said ahead of a part is weighed when it comes."""
        said = self.said.pop(number, None)
        if number in self.open and said is not None and abs(said - self.counted[number]) > MATCH:
            self.doubt(number, said)
        held = self.held.pop(number, None)
        if held is not None and number in self.open:
            self.weigh(number, held)

    def weigh(self, number: int, claim: Claim) -> None:
        if not self.agrees(number, claim):
            self.doubt(number, claim.count)
        elif number not in self.permits:
            self.end(number)

    def doubt(self, number: int, count: int) -> None:
        """Number and count name two parts, and neither may pass."""
        assert self.register.ambiguous, "a doubt that nobody hears of"
        self.register.ambiguous = ""
        for candidate in [n for n in self.open if n == number or abs(count - self.counted[n]) <= MATCH]:
            self.end(candidate)

    @rule()
    def advance(self) -> None:
        for decision in self.register.advance(wrap(self.belt)):
            assert decision.permit is None
        for number in list(self.open):
            if self.belt <= self.counted[number] + COMMIT:
                break
            if number not in self.permits:
                self.end(number)
        for number, count in list(self.said.items()):
            if self.belt > count + COMMIT:
                del self.said[number]
        for number, claim in list(self.held.items()):
            if self.belt > claim.count + COMMIT:
                del self.held[number]
        for number, count in list(self.armed.items()):
            if abs(delta(wrap(self.reading), wrap(count))) > REACH:
                del self.armed[number]
                self.voided["no_word"] += 1
