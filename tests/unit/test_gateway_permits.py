"""The ring of permit slots against a PLC that scans when it likes."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from edge.core.session import Permit, Session
from edge.gateway.permits import Echo, PermitRing
from edge.gateway.plc.signals import ARMED, EXECUTED, PERMIT_SLOTS, PERMIT_STATUS
from tests.support_hypothesis import usual

SESSION = Session(1, 2, 3, 0, 0)


class RingMachine(RuleBasedStateMachine):
    """The PLC echoes what it has scanned; the ring reads that later, or never."""

    def __init__(self) -> None:
        super().__init__()
        self.ring = PermitRing()
        self.number = 0
        self.written: list[tuple[int, Permit] | None] = [None] * PERMIT_SLOTS  # in the PLC's registers
        self.echoes = [(0, 0)] * PERMIT_SLOTS
        self.open: dict[int, tuple[int, Permit]] = {}  # slot -> what awaits its echo
        self.armed: dict[int, tuple[int, int]] = {}  # slot -> sequence and part, to be heard of once more
        self.answered: set[int] = set()

    @rule(skip=st.sampled_from([0, 0, 0, 65_530]))
    def place(self, skip: int) -> None:
        if not self.open:
            self.ring._sequence = (self.ring._sequence + skip) % 65_536  # as after that many permits
        self.number += 1
        permit = Permit(self.number, 10 * self.number, SESSION)
        placed = self.ring.place(permit)
        if placed is None:
            assert self.open, "an idle ring refused a permit"
            return
        slot, sequence = placed
        assert slot not in self.open, "a slot was overwritten before its echo"
        assert 1 <= sequence <= 0xFFFF
        assert sequence != self.echoes[slot][0], "the PLC would take it for the old permit"
        self.written[slot] = (sequence, permit)
        self.open[slot] = (sequence, permit)
        self.armed.pop(slot, None)

    @rule(slots=st.sets(st.integers(0, PERMIT_SLOTS - 1)), status=st.sampled_from(sorted(PERMIT_STATUS)))
    def scan(self, slots: set[int], status: int) -> None:
        for slot in slots:
            written = self.written[slot]
            if written is not None:
                self.echoes[slot] = (written[0], status)

    @rule()
    def read(self) -> None:
        expected = []
        for slot, (sequence, number) in list(self.armed.items()):
            if self.echoes[slot] != (sequence, ARMED):
                expected.append(Echo(number, self.echoes[slot][1]))
                del self.armed[slot]
        for slot, (sequence, permit) in list(self.open.items()):
            if self.echoes[slot][0] == sequence:
                status = self.echoes[slot][1]
                expected.append(Echo(permit.number, status))
                assert permit.number not in self.answered, "a permit was answered twice"
                self.answered.add(permit.number)
                if status == ARMED:
                    self.armed[slot] = (sequence, permit.number)
                del self.open[slot]
        assert sorted(self.ring.read(self.echoes), key=lambda e: e.number) == sorted(expected, key=lambda e: e.number)

    @rule()
    def restart(self) -> None:
        self.ring.restart(self.echoes)
        self.open.clear()
        self.armed.clear()

    @invariant()
    def unanswered_is_what_awaits_its_echo(self) -> None:
        assert {p.number for p in self.ring.unanswered()} == {p.number for _, p in self.open.values()}
        assert len(self.ring.unanswered()) <= PERMIT_SLOTS


TestRing = RingMachine.TestCase
TestRing.settings = usual(80)


def permit(number: int) -> Permit:
    return Permit(number, 0, SESSION)


def test_the_ring_is_full_after_eight_and_frees_its_slots_in_order() -> None:
    ring = PermitRing()
    placed = [ring.place(permit(n)) for n in range(PERMIT_SLOTS)]
    assert [p[0] for p in placed if p] == list(range(PERMIT_SLOTS))
    assert ring.place(permit(99)) is None
    echoes = [(0, 0)] * PERMIT_SLOTS
    echoes[3] = (4, ARMED)
    assert [e.number for e in ring.read(echoes)] == [3]
    assert ring.place(permit(99)) is None, "slot 0 has not been echoed"
    echoes[0] = (1, 5)
    assert ring.read(echoes) == [Echo(0, 5)]
    assert ring.place(permit(99)) == (0, 9)


def test_an_echo_of_an_earlier_process_answers_no_permit_of_this_one() -> None:
    ring = PermitRing()
    echoes = [(1, ARMED)] * PERMIT_SLOTS
    ring.restart(echoes)
    placed = ring.place(permit(7))
    assert placed == (0, 2)
    assert ring.read(echoes) == []


def test_the_sequence_wraps_past_zero() -> None:
    ring = PermitRing()
    ring._sequence = 0xFFFF
    assert ring.place(permit(1)) == (0, 1)


def test_an_armed_permit_is_heard_of_once_more() -> None:
    ring = PermitRing()
    ring.place(permit(7))
    echoes = [(1, ARMED)] + [(0, 0)] * (PERMIT_SLOTS - 1)
    assert ring.read(echoes) == [Echo(7, ARMED)]
    assert ring.read(echoes) == []
    echoes[0] = (1, EXECUTED)
    assert ring.read(echoes) == [Echo(7, EXECUTED)]
    assert ring.read(echoes) == []


def test_of_a_permit_whose_slot_shows_another_nothing_more_is_heard() -> None:
    ring = PermitRing()
    ring.place(permit(7))
    echoes = [(1, ARMED)] + [(0, 0)] * (PERMIT_SLOTS - 1)
    ring.read(echoes)
    echoes[0] = (9, EXECUTED)
    assert ring.read(echoes) == []
    echoes[0] = (1, EXECUTED)
    assert ring.read(echoes) == []


def test_a_slot_that_is_used_again_tells_of_its_new_permit_alone() -> None:
    ring = PermitRing()
    echoes = [(0, 0)] * PERMIT_SLOTS
    for number in range(PERMIT_SLOTS):
        placed = ring.place(permit(number))
        assert placed is not None
        echoes[placed[0]] = (placed[1], ARMED)
    ring.read(echoes)
    assert ring.place(permit(99)) == (0, PERMIT_SLOTS + 1)
    assert ring.read(echoes) == []
    echoes[0] = (1, EXECUTED)
    assert ring.read(echoes) == [], "of part 0 only the gate ring will tell"
    echoes[0] = (PERMIT_SLOTS + 1, ARMED)
    assert ring.read(echoes) == [Echo(99, ARMED)]


def test_after_a_restart_nothing_is_heard_of_earlier_permits() -> None:
    ring = PermitRing()
    ring.place(permit(7))
    echoes = [(1, ARMED)] + [(0, 0)] * (PERMIT_SLOTS - 1)
    ring.read(echoes)
    ring.restart(echoes)
    echoes[0] = (1, EXECUTED)
    assert ring.read(echoes) == []
