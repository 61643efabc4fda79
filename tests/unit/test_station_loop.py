"""The station's loop over real sockets, threads, ledger and pool; camera, engine and gateway alone are played."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest
import zmq
from numpy.typing import NDArray

from edge import config as cfg
from edge.capture.events import EpochChanged, FrameArrived, FrameLost
from edge.capture.thread import UNHEARD_NS
from edge.clock import NS_PER_MS, NS_PER_S, now_ns
from edge.core.ledger import PartLedger
from edge.core.match import Matcher
from edge.core.outcome import Outcome
from edge.core.part import FrameInfo, Identity, Trigger, Verdict
from edge.core.pool import FramePool, Purpose
from edge.core.rules import Rule
from edge.station.hang import EngineHung
from edge.station.inspection import InspectThread
from edge.station.interfaces import StationEvent
from edge.station.loop import Station
from edge.station.mailbox import Mailbox
from edge.station.reporting import Reporter
from edge.wire import messages as wire
from edge.wire.publisher import Publisher
from edge.wire.sockets import Context, Dealer, bind, connect, receive, send, waiter

PATIENCE_S = 10.0
SLOTS = 6
GOOD, BAD = 0, 255
GRANT = wire.Grant(session=0, gateway_session=1, plc_session=1, epoch=0, fence=0, fail_safe="reject", boot_id="")
RECIPE = cfg.RecipeConfig(rules=(cfg.RuleConfig(name="any"),))


class Brightness:  # an inspector that rejects bright frames, and can be held up
    def __init__(self) -> None:
        self.may_go = threading.Event()
        self.may_go.set()

    def inspect(self, frame: NDArray[np.uint8], rules: Sequence[Rule]) -> Verdict:  # noqa: ARG002
        assert self.may_go.wait(PATIENCE_S)
        return Verdict(Outcome.REJECT, "rule", rule="any") if frame[0, 0] > 127 else Verdict(Outcome.PASS, "clean")


class Rig:
    """A station on its own, with a hand on everything around it.  Time-outs are far off unless a test moves them."""

    def __init__(self, folder: Path, context: Context, gateway: bool, inspections: int) -> None:
        endpoint = f"ipc://{folder}/gateway"
        self.config = cfg.StationConfig(
            recipe=RECIPE,
            limits=cfg.LimitsConfig(ceiling_ms=40.0, frame_timeout_ms=50_000.0, hang_ms=50_000.0),
            gateway=cfg.GatewayLinkConfig(endpoint=endpoint if gateway else None, heartbeat_ms=5.0, stale_ms=10_000.0),
            telemetry=cfg.TelemetryConfig(endpoint=f"ipc://{folder}/telemetry"),
        )
        self.router = bind(context, zmq.ROUTER, endpoint)
        self.said: list[wire.ToGateway] = []
        self.granting = True
        self.sessions = 0
        self.inspector = Brightness()
        self.mailbox: Mailbox[StationEvent] = Mailbox()
        self.pool = FramePool(SLOTS, (4, 4), {Purpose.CAPTURE: SLOTS, Purpose.INSPECTION: inspections}, poison=True)
        self.ledger = PartLedger(8, 60 * NS_PER_S, 50 * NS_PER_S, 600, 600_000, 400)
        matcher = Matcher(NS_PER_MS, 25 * NS_PER_MS, sync_pairs=1)
        self.publisher, wait = None, waiter(self.mailbox.fd)
        if gateway:
            dealer = Dealer(context, endpoint)
            self.publisher, wait = Publisher(self.config, dealer, "test"), waiter(self.mailbox.fd, dealer.socket)
        identity = Identity("model", "engine", "fp32")
        self.reporter = Reporter(self.config, identity, self.ledger, self.pool, self.publisher, 100.0, None, context)
        self.inspect = InspectThread(self.inspector, self.pool, self.mailbox.post)
        self.inspect.start()
        self.heard: int | None = None
        alive = {"camera": lambda: self.heard or now_ns()}
        box, link, reporter = self.mailbox, self.publisher, self.reporter
        self.station = Station(
            self.config, self.ledger, matcher, self.pool, box, self.inspect, link, reporter, alive, lambda _: (), wait
        )
        self.start_ns = now_ns() - 5 * NS_PER_S

    def close(self) -> None:
        self.inspector.may_go.set()
        assert self.inspect.stop()
        if self.publisher is not None:
            self.publisher.close()
        self.reporter.close()
        self.router.close()
        self.mailbox.close()

    def t0(self, number: int) -> int:
        return self.start_ns + number * 100 * NS_PER_MS

    def trigger(self, number: int, t0_ns: int | None = None) -> None:
        self.mailbox.post(Trigger(number, 1000 * number, self.t0(number) if t0_ns is None else t0_ns))

    def info(self, number: int, exposed_ns: int | None = None) -> FrameInfo:
        return FrameInfo(500 + number, self.t0(number) if exposed_ns is None else exposed_ns, self.t0(number))

    def frame(self, number: int, level: int = GOOD, exposed_ns: int | None = None) -> None:
        lease = self.pool.lease(Purpose.CAPTURE)
        assert lease is not None
        self.pool.frame(lease).fill(level)
        self.mailbox.post(FrameArrived(lease, self.info(number, exposed_ns)))

    def turn(self) -> None:
        self.station.turn()
        self.listen()

    def listen(self) -> None:  # as the gateway
        while (frames := receive(self.router)) is not None:
            self.said.append(message := wire.decode_to_gateway(frames[-1]))
            if isinstance(message, wire.Hello) and self.granting:
                self.sessions += 1
                send(self.router, frames[0], msgspec.structs.replace(GRANT, session=self.sessions))

    def until(self, done: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE_S
        while not done():
            assert time.monotonic() < end, f"it never came to that; said: {self.said}"
            self.turn()

    def granted(self) -> Rig:
        self.until(lambda: self.publisher is not None and self.publisher.session > 0)
        return self

    def verdicts(self) -> list[tuple[int, int, str, str]]:
        return [(m.part, m.count, m.outcome, m.cause) for m in self.said if isinstance(m, wire.Verdict)]

    def wait_verdicts(self, count: int) -> list[tuple[int, int, str, str]]:  # and a few turns more
        self.until(lambda: len(self.verdicts()) >= count)
        for _ in range(3):
            self.turn()
        return self.verdicts()

    def said_goodbye(self) -> bool:
        return any(isinstance(message, wire.Goodbye) for message in self.said)

    def all_free(self) -> bool:
        return self.pool.occupancy()["free"] == SLOTS


Make = Callable[..., Rig]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    rigs: list[Rig] = []
    with zmq.Context[zmq.Socket[bytes]]() as context:

        def build(gateway: bool = True, inspections: int = SLOTS) -> Rig:
            rigs.append(Rig(tmp_path, context, gateway, inspections))
            return rigs[-1]

        yield build
        for rig in rigs:
            rig.close()


def test_a_part_is_announced_and_gets_one_verdict_with_its_count(make: Make) -> None:
    rig = make().granted()
    for number, level in ((1, GOOD), (2, BAD)):
        rig.trigger(number)
        rig.frame(number, level)
    assert rig.wait_verdicts(2) == [(1, 1000, "PASS", "clean"), (2, 2000, "REJECT", "rule")]
    assert [(m.part, m.count) for m in rig.said if isinstance(m, wire.Announce)] == [(1, 1000), (2, 2000)]
    assert rig.ledger.reconciles()
    assert rig.all_free()


def test_a_late_result_changes_nothing(make: Make) -> None:
    rig = make().granted()
    rig.inspector.may_go.clear()
    rig.trigger(1)
    rig.frame(1)
    rig.turn()
    next(iter(rig.ledger)).deadline_ns = now_ns()
    assert rig.wait_verdicts(1) == [(1, 1000, "NO_DECISION", "compute_timeout")]
    rig.inspector.may_go.set()
    rig.until(lambda: rig.ledger.late == 1)
    rig.turn()
    assert rig.verdicts() == [(1, 1000, "NO_DECISION", "compute_timeout")]
    assert rig.ledger.outcomes["PASS"] == 0
    assert rig.all_free()


def test_a_frame_may_come_before_its_trigger(make: Make) -> None:
    rig = make().granted()
    rig.frame(1, BAD)
    rig.turn()
    rig.trigger(1)
    assert rig.wait_verdicts(1) == [(1, 1000, "REJECT", "rule")]
    assert rig.all_free()


def test_a_frame_that_fits_two_parts_decides_neither(make: Make) -> None:
    rig = make().granted()
    rig.trigger(1, rig.t0(1))
    rig.trigger(2, rig.t0(1) + 10 * NS_PER_MS)
    rig.frame(1, exposed_ns=rig.t0(1) + 12 * NS_PER_MS)
    expected = [(n, 1000 * n, "NO_DECISION", "frame_ambiguous") for n in (1, 2)]
    assert rig.wait_verdicts(2) == expected
    assert rig.all_free()


def test_without_a_slot_for_inspection_the_part_has_no_decision(make: Make) -> None:
    rig = make(inspections=1).granted()
    rig.inspector.may_go.clear()
    for number in (1, 2):
        rig.trigger(number)
        rig.frame(number)
    assert rig.wait_verdicts(1) == [(2, 2000, "NO_DECISION", "pool_exhausted")]
    rig.inspector.may_go.set()
    assert rig.wait_verdicts(2)[1] == (1, 1000, "PASS", "clean")
    assert rig.all_free()


@pytest.mark.parametrize("cause", ["frame_corrupt", "pool_exhausted"])
def test_a_frame_without_pixels_ends_its_part_by_its_cause(make: Make, cause: str) -> None:
    rig = make().granted()
    rig.trigger(1)
    rig.mailbox.post(FrameLost(rig.info(1), cause))
    assert rig.wait_verdicts(1) == [(1, 1000, "NO_DECISION", cause)]


def test_the_frame_of_a_lost_trigger_is_released(make: Make) -> None:
    rig = make().granted()
    for number in (1, 2, 3):
        rig.frame(number)
        if number != 2:
            rig.trigger(number)
    assert rig.wait_verdicts(2) == [(1, 1000, "PASS", "clean"), (3, 3000, "PASS", "clean")]
    assert rig.ledger.causes["trigger_lost"] == 1, "and nothing was said of it: nobody knows its count"
    assert rig.all_free()


def test_a_frame_seen_twice_counts_once(make: Make) -> None:
    rig = make().granted()
    rig.frame(1)
    rig.frame(1)
    rig.trigger(1)
    assert rig.wait_verdicts(1) == [(1, 1000, "PASS", "clean")]
    assert rig.all_free()


def test_finishing_closes_what_was_posted_and_never_taken(make: Make) -> None:
    rig = make().granted()
    rig.trigger(1)
    rig.turn()
    rig.trigger(2)
    rig.frame(7)
    rig.station.finish()
    assert rig.all_free()
    while len(rig.verdicts()) < 2:
        assert rig.router.poll(int(PATIENCE_S * 1000))
        rig.listen()
    assert rig.verdicts() == [(n, 1000 * n, "NO_DECISION", "station_stopping") for n in (1, 2)]
    assert len(rig.ledger) == 0


def test_a_trigger_from_the_future_is_closed_at_once(make: Make) -> None:
    rig = make().granted()
    rig.trigger(1, now_ns() + 3600 * NS_PER_S)
    assert rig.wait_verdicts(1) == [(1, 1000, "NO_DECISION", "not_synchronised")]


def test_a_counter_that_begins_anew_or_a_new_epoch_asks_for_a_new_session_and_doubled_edges_do_not(make: Make) -> None:
    rig = make().granted()
    for number in (10, 10, 9, 10, 11, 11):  # each with its own T0: edges that came twice, or out of order
        rig.trigger(number)
    rig.until(lambda: rig.ledger.unknown_triggers == 4)
    rig.turn()
    assert not rig.said_goodbye()
    rig.trigger(5, rig.t0(12))
    rig.until(rig.said_goodbye)
    rig.granted()
    assert rig.ledger.causes["not_synchronised"] == 3, "the two that were open, and the first of the new counter"
    rig.trigger(6, rig.t0(13))
    rig.until(lambda: rig.ledger.get(6) is not None)
    rig.said.clear()
    rig.mailbox.post(EpochChanged(2))  # another way for the counts to begin anew
    rig.until(rig.said_goodbye)
    rig.granted()


def test_a_device_that_shows_no_life_is_a_fault_and_drops_ready(make: Make) -> None:
    rig = make().granted()
    rig.until(lambda: any(isinstance(m, wire.Heartbeat) and m.ready for m in rig.said))
    assert rig.station.state(now_ns())[0] == "RUNNING"
    rig.heard = now_ns() - UNHEARD_NS - 1
    assert rig.station.state(now_ns()) == ("FAULT", "the camera shows no sign of life")
    rig.until(lambda: any(isinstance(m, wire.Heartbeat) and not m.ready for m in rig.said))


def test_a_camera_that_delivers_nothing_for_two_triggers_is_silent(make: Make) -> None:
    rig = make().granted()
    for number, state in ((1, "RUNNING"), (2, "FAULT")):
        rig.trigger(number)
        rig.turn()
        next(iter(rig.ledger)).frame_deadline_ns = now_ns()
        assert rig.wait_verdicts(number)[-1] == (number, 1000 * number, "NO_DECISION", "frame_missing")
        assert rig.station.state(rig.station._health._trigger_ns)[0] == state
    rig.frame(3)
    rig.trigger(3)
    rig.wait_verdicts(3)
    assert rig.station.state(rig.station._health._trigger_ns)[0] == "RUNNING"


def test_an_engine_that_hangs_ends_the_process_unless_the_process_itself_was_held_up(make: Make) -> None:
    rig, long_ns = make(), 60 * NS_PER_S
    rig.inspector.may_go.clear()
    rig.trigger(1)
    rig.frame(1)
    rig.until(lambda: rig.inspect.hung(now_ns()))
    rig.inspect._busy_since_ns -= long_ns
    rig.station._hang._awake_ns -= long_ns
    rig.station._hang.turned_ns -= long_ns
    rig.turn()
    rig.station._hang._awake_ns -= long_ns  # now the time has passed while the loop turned
    with pytest.raises(EngineHung):
        rig.turn()


@pytest.mark.parametrize("gateway", [True, False])
def test_without_a_session_the_record_goes_out_without_a_disposition(make: Make, tmp_path: Path, gateway: bool) -> None:
    rig = make(gateway)
    rig.granting = False
    with zmq.Context[zmq.Socket[bytes]]() as context, connect(context, zmq.SUB, f"ipc://{tmp_path}/telemetry") as sub:
        heard: list[wire.Published] = []

        def listen() -> list[wire.Published]:
            while (frames := receive(sub)) is not None:
                heard.append(wire.decode_published(frames[-1]))
            return heard

        while not listen():  # until the subscription has arrived
            rig.reporter.tick(now_ns(), ("STARTING", str(now_ns())), {})
        rig.trigger(1)
        rig.frame(1)
        rig.until(lambda: any(isinstance(m, wire.PartRecord) for m in listen()))
    record = next(m for m in heard if isinstance(m, wire.PartRecord))
    assert (record.part, record.outcome, record.disposition) == (1, "PASS", "")
    assert (record.t3_ns, record.t4_ns) == (None, None)
    assert not rig.verdicts()
