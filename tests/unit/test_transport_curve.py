"""Who is heard over TCP: each option of the signal path's protection is applied, and not only accepted."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import zmq

from edge.errors import ConfigError, PortBusy
from edge.gateway import door
from edge.wire import allow, sockets
from edge.wire.allow import TOKEN_BYTES, AllowFile, Binding, Fixed, Rights, ServerKeys, write_allowed
from edge.wire.keys import ClientKeys, generate
from edge.wire.messages import MAX_BYTES
from edge.wire.sockets import Context, Dealer, bind, connect
from edge.wire.zap import Doorkeeper
from tests.support_curve import LANE, PATIENCE_S, QUIET_S, Cast, Served, free_port


@pytest.fixture
def context() -> Iterator[Context]:
    with zmq.Context[zmq.Socket[bytes]]() as made:
        yield made


@pytest.fixture
def cast() -> Cast:
    return Cast.new()


@pytest.fixture
def served(context: Context, cast: Cast) -> Iterator[Served]:
    made = Served(context, cast)
    with closing(made.router):
        yield made


def test_the_right_key_is_heard_and_answered(context: Context, cast: Cast, served: Served) -> None:
    with closing(Dealer(context, served.endpoint, cast.client())) as station:
        sender = served.hears(station, b"hello", PATIENCE_S)
        assert sender is not None
        assert served.router.admits(sender, "station-1", LANE)
        assert served.router.send(sender, b"answer")
        assert station.socket.poll(1000)
        assert station.receive() == b"answer"
    assert served.router.strangers == 0


def test_a_stranger_without_curve_is_not_heard_and_counted(context: Context, served: Served) -> None:
    with context.socket(zmq.DEALER) as bare:
        bare.linger = 0
        bare.connect(served.endpoint)
        assert served.hears(bare, b"hello") is None
        assert served.until(lambda: served.router.strangers > 0)


def test_a_key_on_no_list_is_not_heard_counted_and_named(
    context: Context, cast: Cast, served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(Dealer(context, served.endpoint, cast.client(cast.stranger))) as stranger:
        assert served.hears(stranger, b"hello") is None
        assert served.until(lambda: served.router.strangers > 0)
    assert f"key {cast.stranger.public} at 127.0.0.1 is not on the allow-list" in caplog.text


def test_a_station_that_expects_another_gateway_says_nothing(context: Context, cast: Cast, served: Served) -> None:
    with closing(Dealer(context, served.endpoint, ClientKeys(cast.station, cast.stranger.public))) as station:
        assert served.hears(station, b"hello") is None
        assert not station.send(b"hello"), "a station must not speak to who cannot prove to be its gateway"
        assert served.until(lambda: served.router.strangers > 0)


def test_a_key_of_another_lane_is_not_let_in(context: Context, cast: Cast, caplog: pytest.LogCaptureFixture) -> None:
    served = Served(context, cast, lane=LANE + 1)
    with closing(served.router), closing(Dealer(context, served.endpoint, cast.client())) as station:
        assert served.hears(station, b"hello") is None
        assert served.until(lambda: served.router.strangers > 0)
    assert f"is for lane {LANE} (station 'station-1'), and this is lane {LANE + 1}" in caplog.text


@pytest.mark.parametrize(("name", "lane"), [("station-2", LANE), ("station-1", LANE + 1), ("", 0)])
def test_a_key_speaks_for_its_own_station_and_lane_only(
    context: Context, cast: Cast, served: Served, name: str, lane: int
) -> None:
    with closing(Dealer(context, served.endpoint, cast.client())) as station:
        sender = served.hears(station, b"hello", PATIENCE_S)
        assert sender is not None
        assert not served.router.admits(sender, name, lane)
        assert served.router.strangers == 1
        assert served.router.admits(sender, "station-1", LANE)


def test_two_keys_are_two_senders_even_with_one_routing_id(context: Context, cast: Cast) -> None:
    other = generate()
    both = Fixed(Rights([cast.binding, Binding(other.public, "station-2", LANE)]))
    served = Served(context, cast, both)
    senders = []
    with closing(served.router):
        for own in (cast.station, other):
            with connect_as(context, served.endpoint, cast.client(own), b"same") as station:
                senders.append(served.hears(station, b"hello", PATIENCE_S))
                assert served.until(lambda: served.router._door.inside == 1)
            assert served.until(lambda: served.router._door.inside == 0)
    assert None not in senders
    assert senders[0] != senders[1]


def connect_as(context: Context, endpoint: str, keys: ClientKeys, identity: bytes) -> zmq.Socket[bytes]:
    made = context.socket(zmq.DEALER)
    made.linger = 0
    made.routing_id = identity
    made.curve_serverkey, made.curve_publickey = keys.server.encode(), keys.own.public.encode()
    made.curve_secretkey = keys.own.secret.encode()
    made.connect(endpoint)
    return made


@pytest.mark.parametrize(
    "change", ["revoked", "another stays", "bound anew", "list gone", "list broken", "list writable"]
)
def test_who_loses_his_rights_is_no_longer_heard_on_a_connection_that_stands(
    context: Context, cast: Cast, tmp_path: Path, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(allow, "POLL_S", 0.02)
    path = tmp_path / "allow.toml"
    write_allowed(path, [cast.binding])
    with closing(AllowFile(path)) as allowed:
        served = Served(context, cast, allowed)
        with closing(served.router), closing(Dealer(context, served.endpoint, cast.client())) as station:
            before = served.hears(station, b"hello", PATIENCE_S)
            assert before is not None
            rights = allowed.rights  # before the list changes: its thread may be faster than this one
            if change == "revoked":
                write_allowed(path, [])
            elif change == "another stays":
                write_allowed(path, [Binding(cast.stranger.public, "station-2", LANE)])
            elif change == "bound anew":
                write_allowed(path, [Binding(cast.station.public, "station-2", LANE)])
            elif change == "list gone":
                path.unlink()
            elif change == "list broken":
                path.write_text("[[allow]\n")
            else:
                path.chmod(0o666)
            assert served.until(lambda: allowed.rights is not rights)
            served.turn()  # what was said before
            after = served.hears(station, b"PASS")
            assert after is None or (change == "bound anew" and after != before)
            assert not served.router.admits(before, "station-1", LANE)
            path.unlink(missing_ok=True)
            write_allowed(path, [cast.binding])

            def heard_again() -> bool:
                return (served.hears(station, b"again") or b"")[:TOKEN_BYTES] == before[:TOKEN_BYTES]

            assert served.until(heard_again), "allowed again, heard again"


def test_without_a_doorkeeper_nobody_is_let_in(context: Context, cast: Cast) -> None:
    keys = ServerKeys(cast.gateway, Fixed(Rights([cast.binding])))
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    with (
        bind(context, zmq.ROUTER, endpoint, keys) as router,
        closing(Dealer(context, endpoint, cast.client())) as station,
    ):
        assert not station.socket.poll(int(1000 * QUIET_S), zmq.POLLOUT)
        assert not router.poll(0)


def test_a_context_has_one_doorkeeper(context: Context, cast: Cast) -> None:
    keys = ServerKeys(cast.gateway, Fixed(Rights()))
    with closing(Doorkeeper(context, keys, LANE)), pytest.raises(PortBusy, match="zap"):
        Doorkeeper(context, keys, LANE)


def test_the_doorkeeper_refuses_what_is_no_curve_request_of_its_domain(context: Context, cast: Cast) -> None:
    key = bytes.fromhex("00") * 32
    with closing(Doorkeeper(context, ServerKeys(cast.gateway, Fixed(Rights([cast.binding]))), LANE)) as keeper:
        for request in (
            [],
            [b"1.0"],
            [b"1.0", b"1", b"edge", b"", b"", b"NULL"],
            [b"1.0", b"1", b"other", b"", b"", b"CURVE", key],
            [b"1.0", b"1", b"edge", b"", b"", b"PLAIN", key],
            [b"1.0", b"1", b"edge", b"", b"", b"CURVE", key],
        ):
            assert keeper._reply(request)[2] == b"400", request


@pytest.mark.parametrize("kind", [zmq.ROUTER, zmq.DEALER])
def test_tcp_without_keys_is_refused_where_verdicts_travel(context: Context, kind: int) -> None:
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    with pytest.raises(ConfigError, match="unprotected"):
        bind(context, kind, endpoint)
    with pytest.raises(ConfigError, match="unprotected"):
        connect(context, kind, endpoint)


def test_a_message_beyond_the_limit_ends_its_connection(context: Context, cast: Cast, served: Served) -> None:
    with closing(Dealer(context, served.endpoint, cast.client())) as station:
        assert served.hears(station, b"x" * MAX_BYTES, PATIENCE_S)
        served.heard.clear()
        station.socket.send(b"x" * (MAX_BYTES + 1))
        assert not served.until(lambda: bool(served.heard), QUIET_S)


def test_a_connection_that_proves_nothing_is_closed_in_time(
    context: Context, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sockets.HANDSHAKE_MS <= 2000
    monkeypatch.setattr(sockets, "HANDSHAKE_MS", 300)
    served = Served(context, cast)
    with closing(served.router):
        prove_nothing(served)


def prove_nothing(served: Served) -> None:
    address = ("127.0.0.1", int(served.endpoint.rpartition(":")[2]))
    begun = time.monotonic()
    with closing(socket.create_connection(address)) as silent:
        assert served.until(lambda: served.router._door.inside == 1)
        assert served.until(lambda: served.router._door.inside == 0)
        assert 0.25 < time.monotonic() - begun < 2.0, "not after these 300 ms"
        silent.settimeout(1.0)
        while silent.recv(4096):  # libzmq's greeting, then the end
            pass
    assert served.router.strangers == 1


def test_the_door_is_shut_at_the_limit_and_the_station_inside_goes_on(
    context: Context, cast: Cast, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "MOST", 5)
    address = ("127.0.0.1", int(served.endpoint.rpartition(":")[2]))
    watched = served.router._door
    with closing(Dealer(context, served.endpoint, cast.client())) as station:
        assert served.hears(station, b"hello", PATIENCE_S)
        crowd = [socket.create_connection(address) for _ in range(4)]
        assert served.until(lambda: watched.shut)
        with pytest.raises(TimeoutError):
            socket.create_connection(address, QUIET_S)
        assert served.hears(station, b"still here", PATIENCE_S)
        for stranger in crowd:
            stranger.close()
        assert served.until(lambda: not watched.shut), "open again when they have gone"
        with closing(socket.create_connection(address, 3.0)):
            assert served.until(lambda: watched.inside == 2)
