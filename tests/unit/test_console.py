import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge import errors
from edge.simulate.console import MAX_LINE, Console, ConsoleError, ConsoleServer


def echo(request: dict[str, Any], now_ns: int) -> dict[str, Any]:
    if "bad" in request:
        raise ValueError("that is bad")
    return {"heard": request, "asked_ns": now_ns}


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    """A console that is served in a thread."""
    server, stop = ConsoleServer(tmp_path / "console", echo), threading.Event()

    def serve() -> None:
        while not stop.wait(0.001):
            server.turn()

    thread = threading.Thread(target=serve)
    thread.start()
    yield tmp_path / "console"
    stop.set()
    thread.join()
    server.close()
    assert not (tmp_path / "console").exists()


def raw(path: Path) -> socket.socket:
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.settimeout(5)
    client.connect(str(path))
    return client


def test_requests_are_answered_in_order_and_by_name(path: Path) -> None:
    with Console(path) as console:
        assert console.state()["heard"] == {"do": "state"}
        assert console.fault("x", ms=3.0) > 0
        assert console.begin("killed") <= console.end("killed", 10.0)
    with Console(path) as again:
        assert again.state()["ok"] is True


def test_what_makes_no_sense_is_answered_and_the_connection_stays(path: Path) -> None:
    with raw(path) as client, client.makefile("rb") as answers:
        client.sendall(b'no json\n[1]\n{"bad": 1}\n\xff\n{"a"')
        texts = [json.loads(answers.readline()) for _ in range(4)]
        client.sendall(b": 2}\n")
        last = json.loads(answers.readline())
        client.sendall(b"[" * 2000 + b"\n")
        assert json.loads(answers.readline())["ok"] is False
    assert [text["ok"] for text in texts] == [False] * 4
    assert texts[2]["error"] == "that is bad"
    assert last["heard"] == {"a": 2}


def test_a_line_without_end_and_a_client_that_does_not_read_are_dropped(path: Path) -> None:
    with raw(path) as endless:
        endless.sendall(b"x" * (MAX_LINE + 1))
        assert endless.recv(1) == b""
    line = json.dumps({"a": "b" * 1000}).encode() + b"\n"
    with raw(path) as deaf, pytest.raises((BrokenPipeError, ConnectionResetError)):
        deaf.sendall(line * 10_000)
    with Console(path) as console:
        assert console.state()["ok"] is True


def test_a_refusal_says_what_was_asked_and_why(path: Path) -> None:
    with Console(path) as console, pytest.raises(ConsoleError, match=r"'bad': 1\.0.*that is bad"):
        console.fault("x", bad=1.0)


def test_nobody_there_and_nobody_left(tmp_path: Path) -> None:
    with pytest.raises(ConsoleError, match="No plant answers"):
        Console(tmp_path / "none")
    server = ConsoleServer(tmp_path / "console", echo)
    with Console(tmp_path / "console") as console:
        server.turn()
        server.close()
        with pytest.raises(ConsoleError, match=r"did not answer|has closed"):
            console.state()


def test_a_socket_left_behind_is_replaced_and_a_bad_path_is_named(tmp_path: Path) -> None:
    first = ConsoleServer(tmp_path / "console", echo)
    first._listener.close()
    ConsoleServer(tmp_path / "console", echo).close()
    first._selector.close()
    with pytest.raises(errors.PortBusy, match="nowhere"):
        ConsoleServer(tmp_path / "nowhere" / "console", echo)
