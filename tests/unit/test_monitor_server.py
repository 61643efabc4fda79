"""The monitor as a whole: what it hears, and what it answers."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from edge.config import MonitorConfig, SourcesConfig
from edge.errors import ConfigError, PortBusy
from edge.monitor.cli import monitor_command
from edge.monitor.server import Monitor
from edge.wire.messages import MAX_PUBLISHED_BYTES, Heartbeat, encode
from tests.support_monitor import GATEWAY, JPEG, LIVE, STATION, Line, Stream, until


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    before = threading.active_count()
    line = Line(tmp_path)
    line.monitor.start()
    yield line
    line.close()
    until(lambda: threading.active_count() <= before)


def test_what_the_line_publishes_is_scraped(line: Line) -> None:
    line.connect()
    reply = line.browser().get("/metrics")
    assert reply.status == 200
    assert reply.headers["content-type"].startswith("text/plain")
    body = reply.body.decode()
    assert 'edge_station_parts_total{outcome="PASS"} 2.0' in body
    assert "edge_station_up 1.0" in body
    assert "edge_gateway_up 1.0" in body
    assert "edge_gateway_plc_up 1.0" in body
    assert 'edge_part_latency_seconds_bucket{le="0.05",until="t4"}' in body
    assert 'edge_station_causes_total{cause="frame_missing",outcome="NO_DECISION"} 1.0' in body


def test_openmetrics_is_spoken_to_who_asks_for_it(line: Line) -> None:
    reply = line.browser().get("/metrics", Accept="application/openmetrics-text; version=1.0.0")
    assert reply.headers["content-type"].startswith("application/openmetrics-text")
    assert reply.body.endswith(b"# EOF\n")


def test_health_tells_of_the_line_and_is_the_monitors_own(line: Line) -> None:
    reply = line.browser().get("/healthz")
    assert (reply.status, reply.headers["content-type"]) == (200, "application/json")
    assert reply.json["station_up"] is False
    line.connect()
    health = line.get("/healthz")
    assert health["listening"] is True
    assert (health["station_up"], health["station_state"], health["plc_ok"]) == (True, "RUNNING", True)
    line.monitor._listener.close()
    assert line.browser().get("/healthz").status == 503


def test_both_threads_show_that_they_turn(line: Line) -> None:
    before = line.monitor.turns
    until(lambda: all(line.monitor.turns[name] > before[name] + 3 for name in ("listener", "http")), seconds=2)


def test_the_pages_and_what_is_not_there(line: Line) -> None:
    browser = line.browser()
    for path in ("/", "/?x=1", "/gallery", "/part/1/2", "/shifts", "/alarms", "/challenge", "/login"):
        reply = browser.get(path)
        assert (reply.status, reply.headers["content-type"]) == (200, "text/html; charset=utf-8"), path
        assert reply.body.startswith(b"<!doctype html>")
    assert browser.ask("HEAD", "/").body == b""
    absent = ("/nothing", "/../etc/passwd", "/static/../web/app.py", "/static/%2e%2e/web/app.py", "/part/1", "/static/")
    for path in absent:
        reply = browser.get(path)
        assert reply.status == 404, path
        assert reply.json["error"] == "not_found"


@pytest.mark.parametrize(("path", "kind"), [("js/main.js", "text/javascript"), ("i18n/en.json", "application/json")])
def test_static_files_have_their_types(line: Line, path: str, kind: str) -> None:
    reply = line.browser().get(f"/static/{path}")
    assert reply.status == 200
    assert reply.headers["content-type"].startswith(kind)
    assert reply.headers["cache-control"] == "no-cache"
    again = line.browser().get(f"/static/{path}", If_None_Match=reply.headers["etag"])
    assert (again.status, again.body, again.headers["cache-control"]) == (304, b"", "no-cache")


MALFORMED = [
    [b"station"],
    [b"station", b""],
    [b"station", b"{"],
    [b"station", b"\xff"],
    [b"station", json.dumps(GATEWAY).encode()],
    [b"other", json.dumps(STATION).encode()],
    [b"station", json.dumps({**STATION, "v": 2}).encode()],
    [b"station", json.dumps({**STATION, "triggers": "3"}).encode()],
    [b"station", json.dumps(STATION).encode(), b"more"],
    [b"station", json.dumps({**STATION, "reason": "x" * MAX_PUBLISHED_BYTES}).encode()],
    [b"station", encode(Heartbeat(session=1, beat=1, ready=True, triggers=0, frames=0, closed=0, open=0))],
]


def test_malformed_messages_are_counted_and_survived(line: Line) -> None:
    line.connect()
    for count, message in enumerate(MALFORMED, 1):
        line.station.send_multipart(message)
        until(lambda count=count: line.monitor.line.malformed == count)
    stream = Stream(line.monitor.port)
    until(lambda: line.monitor.line.live() is not None, line.tell_live)
    line.live.send_multipart([b"live", json.dumps(LIVE).encode(), b"no JPEG"])
    until(lambda: line.monitor.line.malformed == len(MALFORMED) + 1)
    stream.close()
    line.tell_station(triggers=99)
    until(lambda: b"edge_station_triggers_total 99.0" in line.browser().get("/metrics").body)
    told = f"edge_monitor_malformed_messages_total {len(MALFORMED) + 1}.0"
    assert told in line.browser().get("/metrics").body.decode()


def test_a_station_that_falls_silent_shows(line: Line) -> None:
    line.connect()
    state = line.monitor.line.state
    with line.monitor.line.lock:
        assert state._station_ns is not None
        state._station_ns -= 2_000_000_000
    body = line.browser().get("/metrics").body
    assert b"edge_station_up 0.0" in body
    assert b"edge_station_triggers_total 3.0" in body


def test_a_live_picture_is_served_as_long_as_it_is_kept(line: Line) -> None:
    stream = Stream(line.monitor.port)
    until(lambda: line.monitor.line.live() is not None, line.tell_live)
    live = line.monitor.line.live()
    assert live is not None
    reply = line.browser().get(live["url"])
    assert (reply.status, reply.headers["content-type"], reply.body) == (200, "image/jpeg", JPEG)
    for n in range(20):
        line.tell_live(JPEG + bytes([n]), part=n)
    until(lambda: (line.monitor.line.live() or {})["part"] == 19)
    assert line.browser().get(live["url"]).status == 404
    assert line.browser().get("/api/live.jpg").body == JPEG + bytes([19])
    assert line.browser().get("/api/live.jpg?n=x").status == 400
    stream.close()


def test_a_slow_client_holds_neither_others_nor_the_end(line: Line) -> None:
    with socket.create_connection(("127.0.0.1", line.monitor.port)) as idle:
        idle.sendall(b"GET /metr")
        assert line.browser().get("/healthz").status == 200
        start = time.monotonic()
        line.monitor.close()
        assert time.monotonic() - start < 2


def test_it_starts_again_after_close(tmp_path: Path) -> None:
    line = Line(tmp_path)
    for _ in range(2):
        line.monitor.start()
        line.connect()
        assert line.browser().get("/healthz").status == 200
        line.monitor.close()
    line.close()


def test_without_a_gateway(tmp_path: Path) -> None:
    station = tmp_path / "station.toml"
    telemetry = f'[telemetry]\nendpoint = "ipc://{tmp_path}/s"\n'
    station.write_text(telemetry + '[gateway]\nendpoint = "none"\n[[recipe.rules]]\nname = "any"\n')
    with Monitor(MonitorConfig(port=0, station=str(station))) as monitor:
        assert monitor.sources.gateway is None
        assert monitor.health()["gateway_up"] is False


def test_a_port_in_use_is_named(line: Line) -> None:
    other = Monitor(line.monitor.config.model_copy(update={"port": line.monitor.port}))
    with pytest.raises(PortBusy, match=f"Port {line.monitor.port} of 127.0.0.1"):
        other.start()
    other.close()


@pytest.mark.parametrize(
    ("endpoint", "host"), [("ipc:///tmp/" + "x" * 200, "127.0.0.1"), ("ipc:///tmp/x", "203.0.113.1")]
)
def test_addresses_that_cannot_be_used_are_refused(endpoint: str, host: str) -> None:
    monitor = Monitor(MonitorConfig(host=host, port=0, sources=SourcesConfig(station_telemetry=endpoint)))
    with pytest.raises(ConfigError, match=r"x{200}|203\.0\.113\.1"):
        monitor.start()


def test_a_certificate_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "c.pem").write_text("nothing")
    config = MonitorConfig(port=0, certificate=str(tmp_path / "c.pem"), key=str(tmp_path / "none.pem"))
    before = threading.active_count()
    with pytest.raises(ConfigError, match=r"c\.pem and key .*none\.pem cannot be used"):
        Monitor(config).start()
    assert threading.active_count() == before


def test_the_command_takes_the_endpoints_from_the_config_files(line: Line, tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(monitor_command)
    config = tmp_path / "station.toml"
    config.write_text('[telemetry]\nendpoint = "ipc:///tmp/x"\n[[recipe.rules]]\nname = "any"\n')
    result = CliRunner().invoke(app, ["--station", str(config), "--port", str(line.monitor.port)])
    assert isinstance(result.exception, PortBusy)
    missing = CliRunner().invoke(app, ["--gateway", str(tmp_path / "none.toml")])
    assert isinstance(missing.exception, ConfigError)


def test_without_the_extra_it_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['starlette'] = None\n"
        "from edge.config import MonitorConfig\nfrom edge.errors import MissingExtra\n"
        "from edge.monitor.server import Monitor\n"
        "try: Monitor(MonitorConfig(port=0)).start()\n"
        "except MissingExtra as error: print(error.remedy)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "edge-inspect[monitor]" in done.stdout
