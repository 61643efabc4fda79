"""Who looks on: told after the verdict has left, and one that breaks ends nothing; a challenge that breaks holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest

from edge.core.outcome import Outcome
from edge.core.part import Part, Verdict
from edge.core.pool import FramePool, Lease
from edge.core.rules import Rule
from edge.errors import ChallengeError, ControlError
from edge.station.bystanders import Bystanders
from edge.station.challenge import Challenges
from edge.station.challenge_record import Starter
from edge.station.frames import Frames
from edge.station.guarded import Guard, GuardedChallenges, GuardedEvidence, GuardedWatch
from edge.station.interfaces import Evidence
from edge.station.no_challenges import NoChallenges
from edge.station.orders import Order
from edge.station.pairs import Pair
from edge.station.watch import Watch
from edge.wire import messages as wire
from edge.wire.control import Command, Peer
from tests.support_station import PASS, SLOTS, Rig

REJECT = Verdict(Outcome.REJECT, "rule")


class Broken(Exception):
    """A bug."""


def breaks(*_: Any, **__: Any) -> Any:
    raise Broken("nonsense")


def ready(rig: Rig) -> bool:
    """What the last heartbeat says: may parts be sent?"""
    rig.wait_ms(100)
    return [message.ready for message in rig.heard() if isinstance(message, wire.Heartbeat)][-1]


# -- in which order -------------------------------------------------------------------------------------------------


class Told(NoChallenges):
    """Challenges that note whether the verdict had left."""

    def __init__(self, rig: Rig, pieces: Sequence[int] = ()) -> None:
        self._rig, self._pieces = rig, pieces
        self.calls: list[tuple[str, int, bool]] = []

    def _verdict_sent(self) -> bool:
        return any(b'"verdict"' in sent for sent in self._rig.gateway.sent)

    def is_piece(self, number: int) -> bool:
        """As the test says."""
        return number in self._pieces

    def opened(self, number: int, now: int) -> None:  # noqa: ARG002
        """Note it."""
        self.calls.append(("opened", number, self._verdict_sent()))

    def concluded(self, part: Part, rules: Sequence[Rule], now: int) -> None:  # noqa: ARG002
        """Note it."""
        self.calls.append(("concluded", part.number, self._verdict_sent()))


class Judged:
    """A watch that notes what it is told of."""

    def __init__(self) -> None:
        self.samples: list[tuple[int, bool]] = []

    def look(self, lease: Lease, now: int) -> None:
        """Do nothing."""

    def concluded(self, part: Part, pair: Pair | None) -> None:
        """Note it."""
        self.samples.append((part.number, pair is not None))

    def alarms(self, now: int) -> dict[str, str]:  # noqa: ARG002
        """Return none."""
        return {}

    def holds(self, now: int) -> dict[str, str]:  # noqa: ARG002
        """Return none."""
        return {}


def test_a_challenge_names_a_part_before_its_verdict_is_sent_and_judges_it_after() -> None:
    rig = Rig(challenges=Told).grant()
    challenges = rig.station._challenges
    assert isinstance(challenges, Told)
    rig.part(1, verdict=REJECT)
    assert challenges.calls == [("opened", 1, False), ("opened", 1, False), ("concluded", 1, True)]


def test_test_pieces_are_no_sample_of_the_parts() -> None:
    watch = Judged()
    rig = Rig(watch=lambda *_: watch, challenges=lambda rig: Told(rig, pieces=(2,))).grant()
    for number in (1, 2, 3):
        rig.part(number, verdict=REJECT)
        rig.wait_ms(100)
    assert watch.samples == [(1, True), (2, False), (3, True)]


# -- one that breaks ------------------------------------------------------------------------------------------------


def test_a_guard_calls_nobody_again() -> None:
    calls: list[int] = []

    def once(number: int) -> int:
        calls.append(number)
        return 10 // number

    guard = Guard("Something")
    assert [guard.call(-1, once, number) for number in (5, 0, 2)] == [2, -1, -1]
    assert calls == [5, 0]
    assert guard.fault == "Something has failed (ZeroDivisionError: integer division or modulo by zero)."
    assert set(guard.alarm("health")) == {"health"}
    with pytest.raises(ControlError, match="Something has failed"):
        guard.ask(once, 1)


def test_an_order_that_is_refused_breaks_nothing() -> None:
    def refuse() -> str:
        raise ChallengeError("Not now.", "later.")

    guard = Guard("Something")
    with pytest.raises(ChallengeError):
        guard.ask(refuse)
    assert not guard.fault
    with pytest.raises(ControlError, match="Broken: nonsense"):
        guard.ask(breaks)
    assert guard.fault


class _Watch(Judged):
    def __init__(self) -> None:
        super().__init__()
        self.held: dict[str, str] = {}

    def holds(self, now: int) -> dict[str, str]:  # noqa: ARG002
        """As the test says."""
        return self.held

    def receiver(self, post: Callable[[Order], None]) -> Callable[[Command], None]:
        """Take commands that break it."""
        return lambda command: post(Order(command, act=breaks))


@pytest.mark.parametrize("method", ["look", "concluded", "alarms", "holds"])
def test_a_watch_that_breaks_ends_nothing(method: str, caplog: pytest.LogCaptureFixture) -> None:
    watch = _Watch()
    rig = Rig(watch=lambda *_: GuardedWatch(cast(Watch, watch))).grant()
    rig.part(1)
    setattr(watch, method, breaks)
    for number in (2, 3):
        rig.wait_ms(100)
        rig.part(number)
    assert ready(rig)
    assert rig.reports.causes() == {1: "clean", 2: "clean", 3: "clean"}
    assert rig.free()
    assert "Broken: nonsense" in rig.reports.alarms["health"]
    assert rig.reports.state[0] == "WARNING"
    assert len([record for record in caplog.records if "goes on without it" in record.message]) == 1


def test_a_watch_that_breaks_lifts_no_hold() -> None:
    watch = _Watch()
    rig = Rig(watch=lambda *_: GuardedWatch(cast(Watch, watch))).grant()
    watch.held = {"camera_dark": "Dark. No part is let in."}
    assert not ready(rig)
    watch.concluded = breaks  # type: ignore[method-assign]
    rig.part(1)
    watch.held = {}
    assert not ready(rig)
    assert rig.reports.state == ("FAULT", "Dark. No part is let in.")
    assert set(rig.reports.alarms) == {"camera_dark", "health"}


def test_an_alarm_of_before_stays_where_who_raised_it_breaks() -> None:
    stands = {"camera_dark": "Dark."}
    watch = _Watch()
    watch.alarms = lambda _: stands  # type: ignore[method-assign, assignment]
    watched = GuardedWatch(cast(Watch, watch))
    assert watched.alarms(0) == stands
    watch.alarms = breaks  # type: ignore[method-assign]
    assert set(watched.alarms(0)) == {"camera_dark", "health"}
    made = _Challenges()
    made.alarms = lambda: {"challenge_failed": "Gate."}  # type: ignore[method-assign]
    guarded = GuardedChallenges(cast(Challenges, made))
    assert set(guarded.alarms()) == {"challenge_failed"}
    made.alarms = breaks  # type: ignore[method-assign]
    for _ in range(2):
        assert set(guarded.alarms()) == {"challenge_failed", "challenge_due"}


def test_a_command_that_breaks_the_watch_is_answered() -> None:
    guarded = GuardedWatch(cast(Watch, _Watch()))
    command, orders = Command("health", {"action": "clear"}, Peer(0, "root", 1)), list[Order]()
    guarded.receiver(orders.append)(command)
    orders[0].carry_out(lambda _: None, lambda: ("RUNNING", ""))
    answer = command.wait(1)
    assert not answer.ok
    assert "The watch over health has failed" in answer.text
    assert set(guarded.alarms(0)) == {"health"}


class _Evidence:
    def keep(self, lease: Lease, part: Part) -> bool:  # noqa: ARG002
        """Keep none."""
        return False

    def missed(self, part: Part) -> None:
        """Do nothing."""

    def recorded(self, part: Part, record: wire.PartRecord) -> None:
        """Do nothing."""

    def status(self) -> wire.EvidenceStatus:
        """Return one."""
        return wire.EvidenceStatus(bytes=7)

    def alarms(self) -> dict[str, str]:
        """Return none."""
        return {}


@pytest.mark.parametrize("method", ["keep", "recorded", "status", "alarms"])
def test_evidence_that_breaks_ends_nothing_and_keeps_no_slot(method: str) -> None:
    evidence = _Evidence()
    guarded: Evidence = GuardedEvidence(evidence)
    setattr(evidence, method, breaks)
    rig = Rig().grant()
    rig.station._frames = Frames(rig.pool, None, guarded)
    for number in (1, 2):
        rig.part(number)
        rig.wait_ms(100)
    guarded.recorded(rig.reports.parts[1], cast(wire.PartRecord, None))
    guarded.status(), guarded.alarms()
    assert rig.reports.causes() == {1: "clean", 2: "clean"}
    assert rig.pool.occupancy()["free"] == SLOTS
    assert "Broken: nonsense" in guarded.alarms()["evidence"]
    assert guarded.status().bytes == 7
    assert "Broken: nonsense" in guarded.status().problem


class _Challenges(NoChallenges):
    """What ``GuardedChallenges`` asks of the real ones."""

    under_way = False

    def status(self) -> wire.ChallengeStatus:
        """Return one."""
        return wire.ChallengeStatus(configured=True, phase="placing" if self.under_way else "", text="Do this.")

    def start(self, starter: Starter, pair: Pair) -> str:  # noqa: ARG002
        """Start."""
        self.under_way = True
        return "started"


METHODS = ("holds", "alarms", "instruction", "is_piece", "opened", "concluded", "heard", "tick")


@pytest.mark.parametrize("amid", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_challenges_that_break_end_nothing_and_hold_where_one_was_under_way(method: str, amid: bool) -> None:
    made = _Challenges()
    guarded = GuardedChallenges(cast(Challenges, made))
    rig = Rig(challenges=lambda _: guarded, watch=lambda *_: Judged()).grant()
    assert ready(rig)
    made.under_way = amid
    assert ready(rig)  # these admit parts all the same

    def breaks_halfway(*_: Any) -> None:
        made.under_way = False
        breaks()

    setattr(made, method, breaks_halfway)
    rig.part(1)
    rig.say(wire.Ack(session=rig.session, part=1, disposition="permitted", accepted_ns=rig.now))
    assert rig.reports.causes() == {1: "clean"}
    assert ready(rig) is not amid
    name = "challenge_failed" if amid else "challenge_due"
    assert set(rig.reports.alarms) == {name}
    assert "Broken: nonsense" in rig.reports.alarms[name]
    assert rig.reports.state[0] == ("FAULT" if amid else "WARNING")
    assert guarded.admits is not amid
    assert (guarded.status().phase, guarded.status().text) == ("", "")
    assert "Broken: nonsense" in guarded.status().problem
    with pytest.raises(ControlError, match="has failed"):
        guarded.start(cast(Starter, None), cast(Pair, None))


def test_challenges_that_break_as_one_begins_hold() -> None:
    made = _Challenges()
    guarded = GuardedChallenges(cast(Challenges, made))
    assert guarded.start(cast(Starter, None), cast(Pair, None)) == "started"
    made.tick = breaks  # type: ignore[method-assign]
    guarded.tick(0, 1, 0, cast(Pair, None), False)
    assert not guarded.admits
    assert set(guarded.holds()) == {"challenge_failed"}


def test_a_hold_of_before_stays_where_challenges_break() -> None:
    made = _Challenges()
    guarded = GuardedChallenges(cast(Challenges, made))
    made.holds = lambda: {"challenge_failed": "It was not passed."}  # type: ignore[method-assign]
    assert guarded.holds()
    made.tick = breaks  # type: ignore[method-assign]
    guarded.tick(0, 1, 0, cast(Pair, None), False)
    assert guarded.holds() == {"challenge_failed": "It was not passed."}
    assert set(guarded.alarms()) == {"challenge_failed", "challenge_due"}


def test_nobody_need_look_on() -> None:
    alone = Bystanders()
    assert (alone.tape, alone.pictures, alone.watch) == (None, None, None)
    assert alone.challenges.admits
    rig = Rig().grant()
    rig.part(1, verdict=PASS)
    assert rig.reports.causes() == {1: "clean"}
    assert isinstance(rig.pool, FramePool)
