"""What somebody who is let in can cost the gateway: not its life, not its door, and a bounded share of a turn."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
import zmq

from edge.gateway import door, transport
from edge.gateway.transport import Router
from edge.wire import unix
from edge.wire.allow import Binding, Rights
from edge.wire.keys import generate
from edge.wire.sockets import Context, Dealer, bind, connect
from tests.support_curve import LANE, PATIENCE_S, QUIET_S, Cast, Served, free_port

FIRST_ID = "006b8b4567"
"""What libzmq calls the first nameless peer of a ROUTER while nobody has seeded libc's rand()."""

CLAIM = """
import sys, zmq
from edge.gateway.transport import Router
context, folder = zmq.Context(), sys.argv[1]
router = Router(context, f"ipc://{folder}/g", f"ipc://{folder}/t")
def heard(peer):
    peer.connect(f"ipc://{folder}/g")
    peer.send(b"hello")
    for _ in range(200):
        router.wait(10)
        if router.receive():
            return True
claims, station = context.socket(zmq.DEALER), context.socket(zmq.DEALER)
claims.routing_id = bytes.fromhex(sys.argv[2])
assert heard(claims) and heard(station)
print("survived")
context.destroy(linger=0)
"""


@dataclass
class Live:
    """An allow-list that changes."""

    rights: Rights


@pytest.fixture
def context() -> Iterator[Context]:
    with zmq.Context[zmq.Socket[bytes]]() as made:
        yield made


def test_a_peer_that_claims_the_id_of_the_next_one_does_not_end_the_gateway(tmp_path: Path) -> None:
    command = [sys.executable, "-c", CLAIM, str(tmp_path), FIRST_ID]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert (done.returncode, done.stdout) == (0, "survived\n"), done.stderr


def test_no_process_with_keys_leaves_a_core() -> None:
    code = "import resource, edge.realtime as r; r.leave_no_core(); print(resource.getrlimit(resource.RLIMIT_CORE))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True, timeout=20) == "(0, 0)\n"


@pytest.mark.parametrize("spare_revoked", [True, False])
def test_connections_of_a_revoked_key_do_not_keep_the_door_shut(
    context: Context, monkeypatch: pytest.MonkeyPatch, spare_revoked: bool
) -> None:
    monkeypatch.setattr(door, "MOST", 4)
    cast, spare = Cast.new(), generate()
    both = Rights([cast.binding, Binding(spare.public, "spare", LANE)])
    live = Live(both)
    served = Served(context, cast, live)
    with closing(served.router):
        crowd = [Dealer(context, served.endpoint, cast.client(spare)) for _ in range(4)]
        assert served.until(lambda: served.router._door.shut)
        live.rights = Rights([cast.binding] if spare_revoked else both.bindings)
        with closing(Dealer(context, served.endpoint, cast.client())) as station:
            knocks_s = 4 * PATIENCE_S  # the kernel sends a dropped SYN again after 1, 3, 7 s
            heard = served.hears(station, b"hello", knocks_s if spare_revoked else 1.0)
            assert (heard is not None) is spare_revoked
        for dealer in crowd:
            dealer.close()


def test_hanging_up_touches_no_connection_of_somebody_else(context: Context) -> None:
    served = Served(context, Cast.new())
    with closing(served.router), socket.create_server(("127.0.0.1", 0)) as other:
        mine = socket.create_connection(other.getsockname())
        theirs, _ = other.accept()
        pipe = os.pipe()
        served.turn()
        served.router._door._connections |= {mine.fileno(), pipe[0], 4000}  # libzmq's numbers of before, in new hands
        served.router._door.hang_up()
        mine.sendall(b"still here")
        assert theirs.recv(20) == b"still here"
        mine.close()
        theirs.close()
        os.close(pipe[0])
        os.close(pipe[1])


def test_a_listener_whose_door_cannot_be_shut_goes_on(context: Context, caplog: pytest.LogCaptureFixture) -> None:
    served = Served(context, Cast.new())
    with closing(served.router):
        served.turn()
        listener = served.router._door._listener
        assert listener is not None
        os.close(listener.detach())
        served.router._door._listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        served.router._door._set(9999, b"")
    assert "cannot be bounded" in caplog.text


def test_a_message_without_end_costs_a_bounded_share_of_each_call(context: Context, tmp_path: Path) -> None:
    with (
        closing(Router(context, f"ipc://{tmp_path}/g", f"ipc://{tmp_path}/t")) as router,
        connect(context, zmq.DEALER, f"ipc://{tmp_path}/g") as peer,
    ):
        assert peer.poll(2000, zmq.POLLOUT)
        for _ in range(3 * transport._FRAMES_A_CALL):
            peer.send(b"", zmq.SNDMORE)
        peer.send(b"end")
        peer.send(b"next")
        router.wait(2000)
        answers = [router.receive() for _ in range(4)]
        assert answers[:3] == [[], [], []], "more may wait"
        assert answers[3] is not None
        assert len(answers[3]) == transport._MOST_FRAMES, "one that is too long, and not kept whole"
        router.wait(2000)
        behind = router.receive()
        assert behind is not None
        assert behind[1:] == [b"next"]
        assert router.receive() is None


def test_noise_under_a_revoked_key_hides_no_message_behind_it(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "_FRAMES_A_CALL", 4)
    monkeypatch.setattr(door.Door, "hang_up", lambda _: None)
    cast, spare = Cast.new(), generate()
    live = Live(Rights([cast.binding, Binding(spare.public, "spare", LANE)]))
    served = Served(context, cast, live)
    with (
        closing(served.router),
        closing(Dealer(context, served.endpoint, cast.client(spare))) as noisy,
        closing(Dealer(context, served.endpoint, cast.client())) as station,
    ):
        assert served.hears(noisy, b"x", PATIENCE_S)
        assert served.hears(station, b"x", PATIENCE_S)
        live.rights = Rights([cast.binding])
        for _ in range(20):
            noisy.send(b"noise")
        time.sleep(QUIET_S)  # all is there
        assert served.router.receive() == [], "not the end: more may wait"
        station.send(b"heartbeat")
        assert served.until(lambda: b"heartbeat" in [said for _, said in served.heard])


def test_ipv6_works_in_brackets(context: Context) -> None:
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            return  # this host has none
    endpoint = f"tcp://[::1]:{free_port()}"
    with bind(context, zmq.PUB, endpoint) as publisher, connect(context, zmq.SUB, endpoint) as subscriber:
        heard = False
        for _ in range(100):
            publisher.send(b"x")
            if heard := bool(subscriber.poll(20)):
                break
        assert heard


@pytest.mark.parametrize(("mode", "me", "believed"), [(0o1777, 0, True), (0o1777, 54321, False), (0o755, 54321, True)])
def test_where_every_user_may_put_a_socket_another_user_is_not_taken_for_the_gateway(
    context: Context, tmp_path: Path, mode: int, me: int, believed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.chmod(mode)
    monkeypatch.setattr(unix, "_ROOT", 54322)  # who is trusted beside the own user, and is not the one who runs this
    endpoint = f"ipc://{tmp_path}/g"
    with (
        closing(Router(context, endpoint, f"ipc://{tmp_path}/t")) as router,
        closing(Dealer(context, endpoint)) as station,
    ):
        assert station.socket.poll(2000, zmq.POLLOUT)
        station.send(b"hello")
        router.wait(2000)
        frames = router.receive()
        assert frames
        router.send(frames[0], b"grant")
        assert station.socket.poll(2000)
        if me:
            monkeypatch.setattr(os, "geteuid", lambda: me)
        assert (station.receive() == b"grant") is believed
