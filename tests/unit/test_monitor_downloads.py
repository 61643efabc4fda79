"""Pictures go out in pieces: whoever does not read holds little of the monitor's memory, and is cut off in time."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.monitor.web import serve
from edge.monitor.web.download import PIECE_BYTES
from edge.record.evidence.reader import Evidence
from edge.record.evidence.store import Store
from tests import support_evidence as evidence
from tests.support_monitor import Line, until

SIZE = 5_000_000
MANY = 12


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    """A monitor of one picture, which is large."""
    (tmp_path / "evidence").mkdir()
    store = Store(tmp_path / "evidence", evidence.quota())
    evidence.put(store, evidence.record(1))
    store.close()
    reader = Evidence(tmp_path / "evidence")
    reader.path(reader.search()[0]).write_bytes(os.urandom(SIZE))
    reader.close()
    line = Line(tmp_path, {"evidence": str(tmp_path / "evidence")})
    line.monitor.start()
    yield line
    line.close()


def asked(line: Line) -> socket.socket:
    url = line.get("/api/pictures")["pictures"][0]["url"]
    browser = socket.socket()
    browser.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
    browser.connect(("127.0.0.1", line.monitor.port))
    browser.sendall(f"GET {url} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    return browser


def connections(line: Line) -> list[serve.Connection]:
    web = line.monitor._web
    assert web is not None
    return list(web._server.server_state.connections)  # type: ignore[arg-type]


def test_who_does_not_read_holds_a_piece_of_the_picture_and_not_the_whole(line: Line) -> None:
    browsers = [asked(line) for _ in range(MANY)]
    until(lambda: sum(c.flow.write_paused for c in connections(line)) == MANY)
    held = [connection.transport.get_write_buffer_size() for connection in connections(line)]
    assert max(held) <= 2 * PIECE_BYTES + 1024
    for browser in browsers:
        browser.close()


def test_who_does_not_read_is_cut_off(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "PATIENCE_S", 0.3)
    browser = asked(line)
    until(lambda: any(c.flow.write_paused for c in connections(line)))
    start = time.monotonic()
    until(lambda: not connections(line))
    assert time.monotonic() - start < 2
    browser.close()


def test_who_reads_slowly_gets_all_of_it(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "PATIENCE_S", 0.1)
    browser, got = asked(line), 0
    browser.settimeout(5)
    start = time.monotonic()
    while got < SIZE and (data := browser.recv(65_536)):
        got += len(data)
        time.sleep(0.01)
    browser.close()
    assert got >= SIZE
    assert time.monotonic() - start > 5 * serve.PATIENCE_S, "it took many looks"


def test_a_file_that_has_gone_is_not_there(line: Line, tmp_path: Path) -> None:
    picture = line.get("/api/pictures")["pictures"][0]
    reader = Evidence(tmp_path / "evidence")
    reader.path(reader.search()[0]).unlink()
    reader.close()
    assert line.browser().get(picture["url"]).status == 404
    assert line.browser().get(picture["thumb"]).status == 404


def test_a_path_that_leaves_the_folder_is_not_served(line: Line, tmp_path: Path) -> None:
    (tmp_path / "users.toml").write_text("secret")
    reader = Evidence(tmp_path / "evidence")
    known = reader.path(reader.search()[0])
    reader.close()
    url = line.get("/api/pictures")["pictures"][0]["url"]
    known.unlink()
    known.symlink_to(tmp_path / "users.toml")
    assert line.browser().get(url).status == 404
    known.unlink()
    known.write_bytes(b"a picture")
    assert line.browser().get(url).body == b"a picture"


def test_a_viewer_that_reads_nothing_is_cut_off_quietly(
    line: Line, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(serve, "PATIENCE_S", 0.3)
    line.connect()
    viewer = socket.socket()
    viewer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    viewer.connect(("127.0.0.1", line.monitor.port))
    viewer.sendall(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
    site = line.monitor._site
    assert site is not None
    until(lambda: site.hub.viewers == 1)
    many = [{"cls": "x" * 200, "score": 0.5, "box": [1, 2, 3, 4]}] * 50
    until(lambda: site.hub.viewers == 0, lambda: line.tell_part(outcome="REJECT", findings=many), seconds=10)
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []
    viewer.close()
