"""The register machine, with a reader of the journal beside it: each part is told of once, and has one end."""

from __future__ import annotations

from hypothesis.stateful import invariant

from edge.core.counter import wrap
from edge.core.session import Decision
from edge.core.slots import News
from edge.gateway.recorder import Recorder
from edge.record.journal.rows import Fact, Row
from edge.wire.messages import JournalStatus
from tests.support_register_machine import RegisterMachine

ENDS = ("ended", "executed", "voided", "unread")


class FactsMachine(RegisterMachine):
    """``facts`` holds what the journal was told, by absolute part number."""

    def __init__(self) -> None:
        super().__init__()
        self.facts: dict[int, list[Fact]] = {}
        self.began: dict[int, int] = {}  # part -> session of the PLC that counted it
        self.nobodys: set[int] = set()  # counted before this gateway first heard of the PLC's session
        self.recorder = Recorder(self.put, JournalStatus, lambda: 0)

    def put(self, row: Row) -> None:
        assert isinstance(row, Fact)
        last = self.whose(row.number)
        for number in range(last, last - (row.count if row.fact == "unread" else 1), -1):
            self.facts.setdefault(number, []).append(row)

    def restart(self, kind: str) -> None:
        """Whatever a PLC counted before it died, and was not read, is nobody's."""
        if kind == "plc":
            self.nobodys.update(self.unread)
        super().restart(kind)

    def take(self, decision: Decision | None) -> None:
        super().take(decision)
        if decision is not None and decision.permit is not None:
            self.recorder.parts(self.news(), 0)
            self.recorder.permit(decision.permit, "", 0)

    def news(self) -> list[News]:
        news = self.register.take_news()
        self.ended -= sum(n.fact in ("armed", "ended") for n in news)
        return news

    @invariant()
    def each_part_ends_once(self) -> None:
        self.recorder.parts(self.news(), 0)
        assert self.ended == 0
        for number in range(max(self.counted, default=0), min(self.open, default=self.number - 8) - 1, -1):
            if number in self.counted:
                self.check(number, is_open=number in self.open or number in self.armed)

    def teardown(self) -> None:
        """A gateway that stops in order leaves no part without an end."""
        self.register.stop()
        self.recorder.parts(self.register.take_news(), 0)
        for number in self.counted:
            if number in self.unread:
                assert number not in self.facts
            else:
                self.check(number, is_open=False)

    def check(self, number: int, is_open: bool) -> None:
        facts = self.facts.get(number, [])
        if number in self.unread or number in self.nobodys:
            assert not facts, f"part {number} was told of before it was read"
            return
        kinds = [fact.fact for fact in facts]
        assert kinds[:1] in (["counted"], ["unread"]), f"part {number} began as {kinds}"
        assert kinds.count("counted") + kinds.count("unread") == 1, f"part {number} began twice: {kinds}"
        assert sum(kind in ENDS for kind in kinds) == (not is_open), f"part {number} has no end, or two: {kinds}"
        assert is_open or kinds[-1] in ENDS, f"part {number} goes on after its end: {kinds}"
        if kinds[0] == "counted":
            assert facts[0].count == wrap(self.counted[number])
        sessions = {(fact.plc, fact.gateway, fact.station, fact.epoch) for fact in facts}
        assert len(sessions) == 1, f"part {number} under two sessions: {sessions}"
