"""The station's link to the gateway, over a real socket to a gateway that the test plays.  Time is the test's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest
import zmq

from edge.clock import NS_PER_MS, boot_id
from edge.config import GatewayLinkConfig, RecipeConfig, RuleConfig, StationConfig
from edge.core.outcome import Outcome
from edge.core.part import Part, Trigger, Verdict
from edge.wire import messages as wire
from edge.wire.publisher import HELLO_NS, Progress, Publisher
from edge.wire.sockets import Context, Dealer, bind, receive

PATIENCE_MS = 10_000
GRANT = wire.Grant(session=41, gateway_session=1, plc_session=2, epoch=3, fence=4, fail_safe="reject", boot_id="other")
RECIPE = RecipeConfig(name="r", rules=(RuleConfig(name="any"),))
TOLD = wire.Recipe(session=41, recipe="r", recipe_number=RECIPE.number())
PROGRESS = Progress(triggers=9, frames=8, closed=7, open=2)
STALE_NS, BEAT_NS = 300 * NS_PER_MS, 50 * NS_PER_MS
Kind = TypeVar("Kind", bound=wire.Message)


def part(number: int = 5, verdict: Verdict | None = None) -> Part:
    trigger = Trigger(number, count=1000 * number, t0_ns=0)
    return Part(trigger, "recipe", 0, 0, count=1000 * number, verdict=verdict)


PASSED = part(verdict=Verdict(Outcome.PASS, "clean"))


class Link:
    """A publisher, and the gateway's end of its socket.  ``now`` moves only where the test moves it."""

    def __init__(self, folder: Path, context: Context) -> None:
        endpoint = f"ipc://{folder}/gateway"
        self.config = StationConfig(
            recipe=RECIPE,
            gateway=GatewayLinkConfig(endpoint=endpoint, heartbeat_ms=50.0, stale_ms=300.0),
        )
        self.router = bind(context, zmq.ROUTER, endpoint)
        self.dealer = Dealer(context, endpoint)
        self.publisher = Publisher(self.config, self.dealer, "instance")
        assert self.dealer.socket.poll(PATIENCE_MS, zmq.POLLOUT)
        self.now = HELLO_NS
        self.identity = b""

    def tick(self, after_ns: int = 0, ready: bool = True) -> bool:
        self.now += after_ns
        return self.publisher.tick(self.now, ready, PROGRESS)

    def next(self, kind: type[Kind]) -> Kind:
        """Return the next message that the station said, which must be of that kind."""
        assert self.router.poll(PATIENCE_MS)
        frames = receive(self.router)
        assert frames is not None
        self.identity = frames[0]
        message = wire.decode_to_gateway(frames[-1])
        assert isinstance(message, kind)
        return message

    def silent(self) -> bool:
        """True if the station has said nothing more: what it says in order would have come before this."""
        self.dealer.socket.send(wire.encode(wire.Goodbye(session=99)))
        return self.next(wire.Message) == wire.Goodbye(session=99)

    def answer(self, *messages: wire.ToStation | bytes) -> list[wire.ToStation]:
        """Say something to the station; return what it makes of it."""
        for message in messages:
            data = message if isinstance(message, bytes) else wire.encode(message)
            self.router.send_multipart([self.identity, data])
        self.router.send_multipart([self.identity, b"the end"])  # counted as an error, and comes last
        garbage = sum(isinstance(message, bytes) for message in messages) + 1
        goal, out = self.publisher.errors + garbage, []
        while self.publisher.errors < goal:
            assert self.dealer.socket.poll(PATIENCE_MS)
            out += self.publisher.receive(self.now)
        return out

    def grant(self) -> None:
        """Bring the link into a session."""
        self.tick()
        self.next(wire.Hello)
        assert self.answer(GRANT) == [GRANT]
        self.publisher.tick(self.now, True, PROGRESS)
        assert self.next(wire.Recipe) == TOLD
        self.next(wire.Heartbeat)


@pytest.fixture
def link(tmp_path: Path) -> Iterator[Link]:
    with zmq.Context[zmq.Socket[bytes]]() as context:
        made = Link(tmp_path, context)
        yield made
        if not made.dealer.socket.closed:
            made.publisher.close()
        made.router.close()


def test_hello_is_said_again_until_a_session_is_granted(link: Link) -> None:
    assert link.tick()
    hello = link.next(wire.Hello)
    assert (hello.station, hello.lane, hello.instance) == ("station-1", 0, "instance")
    assert (hello.line_digest, hello.recipe) == (link.config.line.digest(), "r")
    assert (hello.recipe_number, hello.fail_safe) == (link.config.recipe.number(), "reject")
    link.tick(HELLO_NS - 1)
    assert link.silent()
    assert link.publisher.next_ns() == link.now + 1
    for _ in range(3):
        link.tick(HELLO_NS)
        assert link.next(wire.Hello) == hello
    assert link.answer(GRANT) == [GRANT]
    assert (link.publisher.session, link.publisher.refusal) == (GRANT.session, "")
    link.tick(HELLO_NS)
    assert link.next(wire.Recipe) == TOLD
    link.next(wire.Heartbeat)
    assert link.silent()


def test_a_refusal_is_kept_in_words_and_is_no_session(link: Link) -> None:
    link.tick()
    link.next(wire.Hello)
    assert link.answer(wire.Refuse(reason="the lane is held", remedy="stop one")) == []
    assert link.publisher.session == 0
    assert link.publisher.refusal == "the lane is held (stop one)"
    link.tick(HELLO_NS)
    link.next(wire.Hello)


def test_a_grant_under_another_fail_safe_is_given_back(link: Link) -> None:
    link.tick()
    link.next(wire.Hello)
    assert link.answer(msgspec.structs.replace(GRANT, fail_safe="stop_line")) == []
    assert (link.publisher.session, link.publisher.grant) == (0, None)
    assert "stop_line" in link.publisher.refusal
    assert link.next(wire.Goodbye).session == GRANT.session
    assert not link.publisher.verdict(PASSED)


def test_a_refused_grant_ends_the_session_that_it_replaces(link: Link) -> None:
    link.grant()
    assert link.answer(msgspec.structs.replace(GRANT, session=42, fail_safe="stop_line")) == []
    assert (link.publisher.session, link.publisher.grant) == (0, None)
    assert link.next(wire.Goodbye).session == 42
    assert not link.publisher.verdict(PASSED)
    link.tick(HELLO_NS)
    link.next(wire.Hello)
    assert link.answer(GRANT) == [GRANT]
    assert (link.publisher.session, link.publisher.refusal) == (GRANT.session, "")


def test_each_grant_is_told_the_recipe_once(link: Link) -> None:
    link.grant()
    link.tick(BEAT_NS - 1)
    assert link.silent()
    again = msgspec.structs.replace(GRANT, session=42)
    assert link.answer(again) == [again]
    link.tick()
    assert link.next(wire.Recipe) == msgspec.structs.replace(TOLD, session=42)
    assert link.silent()


def test_heartbeats_carry_progress_and_come_on_time(link: Link) -> None:
    link.grant()
    link.tick(BEAT_NS)
    first = link.next(wire.Heartbeat)
    assert (first.session, first.ready) == (GRANT.session, True)
    assert (first.triggers, first.frames, first.closed, first.open) == (9, 8, 7, 2)
    link.tick(BEAT_NS - 1)
    assert link.silent()
    link.tick(1, ready=False)
    second = link.next(wire.Heartbeat)
    assert (second.beat, second.ready) == (first.beat + 1, False)


def test_announcements_and_verdicts_go_out_under_the_session_alone(link: Link) -> None:
    link.publisher.announce(part())
    assert not link.publisher.verdict(PASSED)
    link.grant()
    link.publisher.announce(part())
    assert link.publisher.verdict(PASSED)
    assert link.next(wire.Announce) == wire.Announce(session=41, part=5, count=5000)
    assert link.next(wire.Verdict) == wire.Verdict(session=41, part=5, count=5000, outcome="PASS", cause="clean")
    with pytest.raises(ValueError, match="still open"):
        link.publisher.verdict(part())


def test_after_a_revocation_comes_a_new_hello(link: Link) -> None:
    link.grant()
    assert link.answer(wire.Revoke(session=40, reason="older")) == []
    assert link.publisher.session == GRANT.session
    revoke = wire.Revoke(session=GRANT.session, reason="the PLC was restarted")
    assert link.answer(revoke) == [revoke]
    assert (link.publisher.session, link.publisher.grant) == (0, None)
    assert link.publisher.refusal == "the PLC was restarted"
    assert not link.publisher.verdict(PASSED)
    link.tick(HELLO_NS)
    link.next(wire.Hello)


@pytest.mark.parametrize(("after_ns", "kept"), [(STALE_NS, True), (STALE_NS + 1, False)])
def test_a_silent_gateway_loses_the_session(link: Link, after_ns: int, kept: bool) -> None:
    link.grant()
    assert link.tick(after_ns) is kept
    assert bool(link.publisher.session) is kept
    assert link.publisher.verdict(PASSED) is kept


def test_the_gateways_heartbeat_keeps_the_session_and_garbage_does_not(link: Link) -> None:
    link.grant()
    link.now += STALE_NS
    beat = wire.GatewayBeat(beat=1, plc_ok=True, count=0, mode="auto")
    assert link.answer(beat) == [beat]
    assert link.tick(STALE_NS)
    link.answer(b"garbage")
    assert not link.tick(1)


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"\xff\xfe",
        b"[" * 10_000,
        b'{"x":' * 2_000,
        b"null",
        b'{"kind":"grant"}',
        b'{"kind":"hello"}',
        wire.encode(msgspec.structs.replace(GRANT, v=2)),
        b'{"kind":"revoke","session":' + b"9" * 5000 + b',"reason":""}',
        b" " * 16_000 + b"0",
    ],
)
def test_garbage_is_counted_and_changes_nothing(link: Link, garbage: bytes) -> None:
    link.grant()
    before = link.publisher.errors
    assert link.answer(garbage) == []
    assert link.publisher.errors == before + 2  # and the mark behind it
    assert link.publisher.session == GRANT.session
    assert link.publisher.verdict(PASSED)


def test_answers_of_another_session_are_not_passed_on(link: Link) -> None:
    link.grant()
    ack = wire.Ack(session=GRANT.session, part=5, disposition="ACCEPTED", accepted_ns=7)
    executed = wire.Executed(session=GRANT.session, part=5, echoed_ns=8)
    others = [msgspec.structs.replace(message, session=40) for message in (ack, executed)]
    assert link.answer(ack, *others, executed) == [ack, executed]


def test_renewing_gives_the_session_back_and_asks_again(link: Link) -> None:
    link.publisher.renew("nothing to renew yet")
    link.grant()
    link.publisher.renew("the counter jumped")
    assert link.publisher.session == 0
    assert link.next(wire.Goodbye).session == GRANT.session
    link.tick(HELLO_NS)
    link.next(wire.Hello)


@pytest.mark.parametrize(("boot", "t4_ns"), [(boot_id(), 7), ("another host", 99)])
def test_the_gateways_clock_counts_on_the_same_host_alone(link: Link, boot: str, t4_ns: int) -> None:
    link.tick()
    link.next(wire.Hello)
    link.answer(msgspec.structs.replace(GRANT, boot_id=boot))
    ack = wire.Ack(session=GRANT.session, part=5, disposition="ACCEPTED", accepted_ns=7)
    assert link.publisher.accepted_ns(ack, arrived_ns=99) == t4_ns


def test_closing_says_goodbye(link: Link) -> None:
    link.grant()
    link.publisher.close()
    assert link.next(wire.Goodbye).session == GRANT.session


def test_a_message_for_nobody_is_dropped_and_counted(tmp_path: Path) -> None:
    config = StationConfig(recipe=RecipeConfig(rules=(RuleConfig(name="any"),)))
    with zmq.Context[zmq.Socket[bytes]]() as context:
        publisher = Publisher(config, Dealer(context, f"ipc://{tmp_path}/nobody"), "instance")
        for n in range(1, 4):
            assert publisher.tick(n * HELLO_NS, True, PROGRESS)
            assert publisher.dropped == n
        publisher.session = GRANT.session
        assert not publisher.verdict(PASSED)
        assert publisher.dropped == 4
        publisher.close()


def test_a_gateway_that_reads_nothing_holds_nobody_up(link: Link) -> None:
    link.grant()
    sent = 0
    while link.publisher.verdict(PASSED):
        sent += 1
        assert sent < 200_000, "the queue has no bound"
    assert link.publisher.dropped == 1
