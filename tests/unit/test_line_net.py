import random

from edge.simulate.line.net import HIGH_WATER, GatewayEnd, Network, StationEnd
from edge.simulate.line.scheduler import NEVER, Scheduler

MS = 1_000_000


class Still:
    due_ns = scan_ns = NEVER

    def happen(self, now_ns: int) -> None:
        raise AssertionError(now_ns)

    scan = happen


class Process:
    pokes = 0

    def poke(self) -> None:
        self.pokes += 1


class Net:
    """A gateway, a station, and what the referee saw arrive."""

    def __init__(self) -> None:
        self.sim = Scheduler(0)
        self.sim.physics = Still()
        self.seen: list[bytes] = []
        self.network = Network(self.sim, random.Random(1), self.seen.append)
        self.gateway_process, self.station_process = Process(), Process()
        self.gateway: GatewayEnd = self.network.join_gateway(self.gateway_process)
        self.station: StationEnd = self.network.join_station(self.station_process)

    def run(self, ms: float = 50) -> None:
        self.sim.run_until(self.sim.now + int(ms * MS))

    def at_gateway(self) -> list[bytes]:
        out = []
        while (frames := self.gateway.receive()) is not None:
            out.append(frames[1])
        return out


def test_messages_arrive_in_order_soon_and_wake_the_gateway() -> None:
    net = Net()
    for i in range(20):
        assert net.station.send(b"%d" % i)
    net.run(1)
    assert net.at_gateway() == [b"%d" % i for i in range(20)] == net.seen
    assert net.gateway_process.pokes == 20


def test_an_answer_finds_its_station() -> None:
    net = Net()
    net.station.send(b"hello")
    net.run()
    frames = net.gateway.receive()
    assert frames is not None
    assert net.gateway.send(frames[0], b'{"kind":"grant","session":5}')
    net.run()
    assert net.station.receive() == b'{"kind":"grant","session":5}'
    assert net.station.receive() is None
    assert net.station_process.pokes == 1
    assert not net.gateway.send(b"nobody", b"x")


def test_an_acknowledgement_does_not_wake_the_station() -> None:
    net = Net()
    for kind in (b'"ack"', b'"executed"', b'"gateway_heartbeat"'):
        net.gateway.send(net.station.identity, kind)
    net.run()
    assert net.station_process.pokes == 0
    assert len(net.station.inbox) == 3


def test_without_a_gateway_nothing_can_be_sent() -> None:
    net = Net()
    net.gateway.close()
    assert not net.station.send(b"x")


def test_a_new_gateway_knows_stations_under_new_identities() -> None:
    net = Net()
    before = net.station.identity
    net.station.send(b"in flight")
    net.network.join_gateway(net.gateway_process)
    assert net.station.identity != before
    net.run()
    assert net.seen == []  # it was for the connection that is gone


def test_what_a_station_that_is_gone_has_sent_is_lost() -> None:
    net = Net()
    net.station.send(b"last words")
    net.station.close()
    net.run()
    assert net.at_gateway() == []


def test_a_cut_loses_or_holds() -> None:
    net = Net()
    net.network.sever("lost")
    assert net.station.send(b"a")
    net.network.heal()
    net.network.sever("held")
    net.station.send(b"b")
    net.station.send(b"c")
    net.run()
    assert net.at_gateway() == []
    net.network.heal()
    net.run()
    assert net.at_gateway() == [b"b", b"c"]


def test_a_held_cable_holds_no_more_than_its_queue() -> None:
    net = Net()
    net.network.sever("held")
    for _ in range(HIGH_WATER + 10):
        net.station.send(b"x")
    net.network.heal()
    net.run()
    assert len(net.at_gateway()) == HIGH_WATER


def test_a_fault_loses_delays_and_doubles() -> None:
    net = Net()
    what: dict[bytes, list[int] | None] = {b"lost": [], b"late": [30 * MS], b"doubled": [0, 5 * MS], b"whole": None}
    net.network.tamper_up = what.__getitem__
    for data in what:
        net.station.send(data)
    net.run(10)
    assert sorted(net.at_gateway()) == [b"doubled", b"doubled", b"whole"]
    net.run(30)
    assert net.at_gateway() == [b"late"]


def test_injected_messages_seem_to_come_from_the_station() -> None:
    net = Net()
    told: list[int] = []
    net.network.on_injected = told.append
    net.network.inject_up(b'{"part":7}', 2 * MS)
    assert told == [7]
    net.run()
    assert net.gateway.receive() == [net.station.identity, b'{"part":7}']


def test_old_sessions_are_remembered() -> None:
    net = Net()
    rng = random.Random(2)
    for session in (11, 12):
        net.gateway.send(net.station.identity, b'{"kind":"grant","session":%d}' % session)
        net.run()
    assert net.network.old_session(rng) == 11
