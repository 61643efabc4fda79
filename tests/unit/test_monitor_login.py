"""Who may act, what a foreign page can't do, and who can reach the monitor: over real HTTP."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.clock import NS_PER_S
from edge.config import MonitorConfig
from edge.errors import ConfigError
from edge.monitor import exposure
from edge.monitor.server import Monitor
from edge.monitor.web import serve, users
from tests.support_monitor import Browser, Line, Stream, until

S = NS_PER_S
HERE = socket.gethostname()
PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("users") / "users.toml"
    users.add(path, "anna", PASSWORD)
    return path


@pytest.fixture
def line(tmp_path: Path, file: Path) -> Iterator[Line]:
    own = tmp_path / "users.toml"
    own.write_bytes(file.read_bytes())
    line = Line(tmp_path, users=str(own), annotations=str(tmp_path / "annotations.sqlite"))
    line.monitor.start()
    yield line
    line.close()


# -- over HTTP --------------------------------------------------------------------------------------------------------


def test_login_and_logout(line: Line) -> None:
    browser = line.browser()
    assert browser.get("/api/me").json["user"] is None
    reply = browser.login("anna", PASSWORD)
    assert reply.status == 200
    cookie = reply.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert "path=/" in cookie
    assert "secure" not in cookie, "the connection is not"
    me = browser.get("/api/me").json
    assert (me["user"], me["csrf"], me["login"], me["private"]) == ("anna", browser.csrf, True, False)
    assert browser.post("/api/logout").status == 200
    assert browser.get("/api/me").json["user"] is None


def test_behind_a_proxy_that_encrypts_the_cookie_is_secure(line: Line) -> None:
    browser = line.browser(headers={"X-Forwarded-Proto": "https"})
    reply = browser.login("anna", PASSWORD)
    assert "secure" in reply.headers["set-cookie"].lower()
    assert "strict-transport-security" not in reply.headers, "it would hold for Grafana on this host too"


def test_a_new_login_takes_another_session(line: Line) -> None:
    browser = line.browser()
    browser.login("anna", PASSWORD)
    before = browser.cookie
    browser.login("anna", PASSWORD)
    assert browser.cookie != before
    assert Browser(line.monitor.port, before).get("/api/me").json["user"] is None


def test_wrong_passwords_are_told_and_slowed_down(line: Line) -> None:
    browser = line.browser()
    for name in ("anna", "nobody", "anna", "nobody", "anna"):
        reply = browser.login(name, "wrong password")
        assert (reply.status, reply.json["error"]) == (401, "wrong")
        assert "set-cookie" not in reply.headers
    reply = browser.login("anna", PASSWORD)
    assert (reply.status, reply.json["error"]) == (429, "wait")
    assert 1 <= reply.json["retry_s"] <= 5
    assert reply.headers["retry-after"] == str(reply.json["retry_s"])


def test_a_removed_user_is_out(line: Line, tmp_path: Path) -> None:
    browser = line.browser()
    browser.login("anna", PASSWORD)
    users.remove(tmp_path / "users.toml", "anna")
    until(lambda: browser.get("/api/me").json["user"] is None)
    assert browser.post("/api/mark", session=1, part=1, verdict="wrong").status == 403


@pytest.mark.parametrize("path", ["/api/mark", "/api/acknowledge", "/api/challenge", "/api/logout"])
def test_what_changes_something_needs_a_login_and_its_token(line: Line, path: str) -> None:
    browser = line.browser()
    assert (browser.post(path).status, browser.post(path).json["error"]) == (403, "login")
    browser.login("anna", PASSWORD)
    csrf = browser.csrf
    for wrong in ("", csrf[:-1], csrf + "x"):
        browser.csrf = wrong
        reply = browser.post(path)
        assert (reply.status, reply.json["error"]) == (403, "csrf")


def test_a_foreign_page_cannot_post(line: Line) -> None:
    browser = line.browser()
    browser.login("anna", PASSWORD)
    told = {"Content-Type": "application/json", "X-CSRF-Token": browser.csrf}
    foreign = browser.ask("POST", "/api/logout", b"{}", Origin="https://elsewhere.example", **told)
    assert (foreign.status, foreign.json["error"]) == (403, "csrf")
    broken = browser.ask("POST", "/api/logout", b"{}", Origin="http://[", **told)
    assert (broken.status, broken.json["error"]) == (403, "csrf")
    form = browser.ask("POST", "/api/login", b"user=anna", **{"Content-Type": "application/x-www-form-urlencoded"})
    assert form.status == 415
    own = browser.ask("POST", "/api/logout", b"{}", Origin=f"http://127.0.0.1:{line.monitor.port}", **told)
    assert own.status == 200


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"user": 1, "password": "x"}', b"{}", b'"\xff"'])
def test_a_request_that_is_no_object_is_refused(line: Line, body: bytes) -> None:
    reply = line.browser().ask("POST", "/api/login", body, Content_Type="application/json")
    assert (reply.status, reply.json["error"]) == (400, "value")


def test_a_request_has_bounds(line: Line) -> None:
    reply = line.browser().ask("POST", "/api/login", b" " * 20_000, Content_Type="application/json")
    assert reply.status == 413


@pytest.mark.parametrize("host", ["elsewhere.example", "127.0.0.1.nip.io", "", "[", "localhost.evil:80"])
def test_a_foreign_name_is_not_answered(line: Line, host: str) -> None:
    browser = line.browser()
    reply = browser.get("/api/state", Host=host)
    assert (reply.status, reply.json["error"]) == (421, "host")
    assert browser.get("/metrics", Host=host).status == 421, "nor may a page of that name read figures here"


def test_where_other_hosts_reach_it_programs_may_come_under_any_name(tmp_path: Path) -> None:
    line = Line(tmp_path, host="0.0.0.0")
    line.monitor.start()
    try:
        browser = line.browser()
        assert browser.get("/metrics", Host="elsewhere.example").status == 200
        assert browser.get("/api/state", Host="elsewhere.example").status == 421
    finally:
        line.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:1", "[::1]:80", "LOCALHOST", "10.1.2.3", HERE])
def test_an_own_name_or_an_address_is_answered(line: Line, host: str) -> None:
    assert line.browser().get("/api/state", Host=host).status == 200


@pytest.mark.parametrize("path", ["/", "/api/state", "/metrics", "/static/js/main.js", "/nothing", "/api/pictures"])
def test_every_answer_has_its_security_headers(line: Line, path: str) -> None:
    headers = line.browser().get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert "server" not in headers


def test_a_failure_has_its_security_headers_too(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line.monitor.line, "live_jpeg", lambda _: 1 / 0)
    reply = line.browser().get("/api/live.jpg")
    assert (reply.status, reply.json["error"]) == (500, "failed")
    assert "default-src 'none'" in reply.headers["content-security-policy"]


def test_where_everything_needs_a_login_nothing_is_shown_without(tmp_path: Path, file: Path) -> None:
    line = Line(tmp_path, users=str(file), login="everything")
    line.monitor.start()
    try:
        browser = line.browser()
        for path in (
            "/api/state",
            "/api/events",
            "/api/live.jpg",
            "/pictures/1.jpg",
            "/api/pictures",
            "/api/shifts.csv",
        ):
            assert browser.get(path).status == 401, path
        page = browser.get("/gallery")
        assert (page.status, page.headers["location"]) == (303, "/login")
        for path in ("/login", "/api/me", "/static/js/main.js", "/metrics", "/healthz"):
            assert browser.get(path).status == 200, path
        assert browser.get("/api/me").json["private"] is True
        browser.login("anna", PASSWORD)
        assert browser.get("/api/state").status == 200
    finally:
        line.close()


def test_a_viewer_who_logs_out_sees_no_more(tmp_path: Path, file: Path) -> None:
    line = Line(tmp_path, users=str(file), login="everything")
    line.monitor.start()
    try:
        browser = line.browser()
        browser.login("anna", PASSWORD)
        stream = Stream(line.monitor.port, browser.cookie)
        stream.next("state")
        assert browser.post("/api/logout").status == 200
        while stream.reply.readline():
            pass
        assert stream.reply.isclosed()
        stream.close()
    finally:
        line.close()


# -- exposure ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "stays"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False), ("panel", False)],
)
def test_who_can_reach_it(host: str, stays: bool) -> None:
    assert exposure.stays_on_host(host) is stays
    assert bool(exposure.warnings(MonitorConfig(host=host), users=True)) is not stays


def test_another_address_is_warned_of_with_its_remedies() -> None:
    open_, plain = exposure.warnings(MonitorConfig(host="0.0.0.0"), users=False)
    assert "without a login" in open_
    assert "edge users add" in open_
    assert "certificate" in plain
    guarded = MonitorConfig(host="0.0.0.0", users="u", login="everything", certificate="c", key="k")
    assert exposure.warnings(guarded, users=True) == []


def test_a_monitor_that_nobody_could_look_at_is_refused(tmp_path: Path) -> None:
    config = MonitorConfig(port=0, users=str(tmp_path / "none.toml"), login="everything")
    with pytest.raises(ConfigError, match="nobody could look"):
        Monitor(config).start()


def test_there_are_not_too_many_connections(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "CONNECTIONS", 2)
    held = [socket.create_connection(("127.0.0.1", line.monitor.port)) for _ in range(2)]
    with socket.create_connection(("127.0.0.1", line.monitor.port)) as beyond:
        beyond.settimeout(serve.PATIENCE_S / 2)
        assert _ended(beyond)
    held.pop().close()
    until(lambda: _answers(line))
    held.pop().close()


def test_a_connection_must_ask_in_time(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "PATIENCE_S", 0.2)
    address = ("127.0.0.1", line.monitor.port)
    silent, slow = socket.create_connection(address), socket.create_connection(address)
    slow.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET / HTTP/1.1\r\nX: ")
    until(lambda: not _takes(slow, b"x"), lambda: time.sleep(0.02))  # a byte now and then buys no time
    silent.settimeout(2)
    assert _ended(silent)
    for connection in (silent, slow):
        connection.close()
    stream = Stream(line.monitor.port)
    end = time.monotonic() + 1
    while time.monotonic() < end:
        stream.next("state")  # one that is answered goes on
    stream.close()


def _answers(line: Line) -> bool:
    try:
        return line.browser().get("/healthz").status == 200
    except OSError:
        return False


def _ended(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def _takes(connection: socket.socket, data: bytes) -> bool:
    try:
        connection.sendall(data)
    except OSError:
        return False
    return True
