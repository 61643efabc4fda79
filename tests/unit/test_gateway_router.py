"""The gateway's transport over real sockets."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import zmq

from edge import config as cfg
from edge.errors import ConfigError, PlcError, PortBusy
from edge.gateway.plc.modbus import resolved
from edge.gateway.run import assemble, gateway, make_driver
from edge.gateway.transport import Router
from edge.record.journal.reader import Folder
from edge.wire import messages as wire
from edge.wire.allow import Fixed, Rights, ServerKeys
from edge.wire.keys import generate
from edge.wire.sockets import Context, connect, receive
from tests.support_gateway import HELLO, Clock, Plc

PATIENCE_MS = 10_000


@pytest.fixture
def context() -> Iterator[Context]:
    with zmq.Context[zmq.Socket[bytes]]() as made:
        yield made


@pytest.fixture
def router(context: Context, tmp_path: Path) -> Iterator[Router]:
    made = Router(context, f"ipc://{tmp_path}/g", f"ipc://{tmp_path}/t")
    yield made
    made.close()


def test_a_station_is_heard_and_answered_and_one_that_is_not_there_is_told_apart(
    context: Context, router: Router, tmp_path: Path
) -> None:
    assert router.receive() is None
    with connect(context, zmq.DEALER, f"ipc://{tmp_path}/g") as station:
        assert station.poll(PATIENCE_MS, zmq.POLLOUT)
        station.send(b"hello")
        router.wait(PATIENCE_MS)
        frames = router.receive()
        assert frames is not None
        identity, data = frames
        assert (data, router.receive()) == (b"hello", None)
        assert router.send(identity, b"answer")
        assert station.poll(PATIENCE_MS)
        assert receive(station) == [b"answer"]
    assert not router.send(b"nobody", b"answer")


def test_what_is_published_reaches_who_listens(context: Context, router: Router, tmp_path: Path) -> None:
    with connect(context, zmq.SUB, f"ipc://{tmp_path}/t") as listener:
        for _ in range(PATIENCE_MS // 10):
            router.publish(b"gateway", b"state")
            if listener.poll(10):
                break
        assert listener.recv_multipart() == [b"gateway", b"state"]


@pytest.mark.parametrize("taken", ["g", "t"])
def test_a_taken_endpoint_is_named_and_nothing_is_left_open(context: Context, taken: str) -> None:
    with ExitStack() as stack:
        listeners = {name: stack.enter_context(socket.create_server(("127.0.0.1", 0))) for name in "gt"}
        ports = {name: listener.getsockname()[1] for name, listener in listeners.items()}
        listeners["t" if taken == "g" else "g"].close()
        endpoints = (f"tcp://127.0.0.1:{ports[name]}" for name in "gt")
        with pytest.raises(PortBusy, match=str(ports[taken])):
            Router(context, *endpoints, ServerKeys(generate(), Fixed(Rights())))
    # The fixture's context would wait for ever on a socket that was left open.


def test_a_session_over_real_sockets(context: Context, router: Router, tmp_path: Path) -> None:
    clock = Clock()
    made = assemble(cfg.GatewayConfig(), Plc(clock), router, clock=clock)
    with connect(context, zmq.DEALER, f"ipc://{tmp_path}/g") as station:
        for _ in range(20):
            clock.ns += 10_000_000
            made.work()
        assert station.poll(PATIENCE_MS, zmq.POLLOUT)
        station.send(wire.encode(HELLO))
        router.wait(PATIENCE_MS)
        made.work()
        answers = []
        while not any(isinstance(a, wire.Grant) for a in answers):
            assert station.poll(PATIENCE_MS)
            answers.append(wire.decode_to_station(station.recv()))
    assert made.status().station == "s"


def test_a_gateway_is_built_from_its_configuration_and_closed(tmp_path: Path) -> None:
    config = cfg.GatewayConfig(
        bind=f"ipc://{tmp_path}/g",
        telemetry=cfg.TelemetryConfig(endpoint=f"ipc://{tmp_path}/t"),
        control=cfg.ControlConfig(path=f"{tmp_path}/control", record=f"{tmp_path}/record.jsonl"),
        plc=cfg.PlcConfig(port=9, timeout_ms=20),
    )
    for mode in ("inspect-only", "purge", "purge"):
        with gateway(config) as made:
            before = made.status().mode
            made.turn()
            made.set_mode(mode)
    assert before == "purge", "a mode outlives the process"
    make_driver(config).close()


def test_a_gateway_keeps_its_journal_from_its_start_to_its_end(tmp_path: Path) -> None:
    config = cfg.GatewayConfig(
        bind=f"ipc://{tmp_path}/g",
        telemetry=cfg.TelemetryConfig(endpoint=f"ipc://{tmp_path}/t"),
        control=cfg.ControlConfig(path=f"{tmp_path}/control"),
        plc=cfg.PlcConfig(host="localhost", port=9, timeout_ms=20),
        journal=cfg.JournalConfig(folder=f"{tmp_path}/journal"),
    )
    with gateway(config) as made:
        made.turn()
        made.set_mode("purge")
        recorded = made.status().journal
    assert (recorded.lost, recorded.problem) == (0, "")
    journal = Folder(tmp_path / "journal")
    kinds = [event.kind for event in journal.events()]
    assert (kinds[0], kinds[-1]) == ("started", "stopped")
    assert {"mode", "plc"} <= set(kinds)
    assert len(list(journal.counts())) == 2, "as it begins and at the end"


def test_the_plcs_name_is_looked_up_once_before_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    look_up = socket.getaddrinfo

    def noted(host: str, *args: Any, **kwargs: Any) -> Any:
        asked.append(host)
        return look_up(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", noted)
    driver = make_driver(cfg.GatewayConfig(plc=cfg.PlcConfig(host="localhost", port=9, timeout_ms=20)))
    assert asked == ["localhost"]
    for _ in range(2):
        with pytest.raises(PlcError, match="cannot be reached"):
            driver.read()
    assert {str(ip_address(host)) for host in asked[1:]} <= {"127.0.0.1", "::1"}, "numbers need no name server"


@pytest.mark.parametrize("host", ["no-such-host.invalid", "two words", "a" * 300])
def test_a_name_without_an_address_is_refused_at_the_start(host: str) -> None:
    with pytest.raises(ConfigError, match=r"plc\.host.*IP address"):
        make_driver(cfg.GatewayConfig(plc=cfg.PlcConfig(host=host)))


def test_of_a_names_addresses_an_ipv4_one_is_taken_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    known = [
        (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", 9, 0, 0)),
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 9)),
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.2", 9)),
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: known)
    assert resolved(cfg.PlcConfig(host="plc")).host == "127.0.0.1"
    del known[1:]
    assert resolved(cfg.PlcConfig(host="plc")).host == "::1"
