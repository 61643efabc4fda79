import json
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import zmq
from typer.testing import CliRunner

from edge.errors import ConfigError, PortBusy
from edge.monitor.cli import monitor_command
from edge.monitor.server import Monitor
from edge.wire.messages import MAX_PUBLISHED_BYTES, Heartbeat, encode

STATION: dict[str, Any] = {
    "kind": "station_status", "station": "s-1", "lane": 0, "state": "RUNNING", "reason": "", "session": 1,
    "triggers": 3, "outcomes": {"PASS": 2, "NO_DECISION": 1}, "causes": {"clean": 2, "frame_missing": 1}, "open": 0,
    "acknowledged": 3, "dispositions": {}, "late_results": 0, "unknown_triggers": 0, "trigger_jumps": 0,
    "dropped_messages": 0, "outcomes_lost": 0, "frames": 2, "lost_frames": {}, "wire_errors": 0,
    "pool": {"free": 12}, "deadline_ms": 100.0, "recipe": "r", "model": "m", "engine": "e", "precision": "fp32",
    "version": "1", "started_wall": "now", "alarms": {}, "journal": {}, "reconnects": {},
}  # fmt: skip
GATEWAY: dict[str, Any] = {
    "kind": "gateway_status", "gateway": "g-1", "lane": 0, "plc_ok": False, "reason": "no PLC", "station": "s-1",
    "station_session": 1, "plc_session": 1, "fence": 0, "plc_triggers": 3, "announced": 3, "unannounced": 0,
    "permitted": 2, "rejected": {"no_decision": 1}, "pending": 0, "dispositions": {}, "executed": 2,
    "wire_errors": 0, "plc_errors": 0, "sessions_granted": 1, "sessions_lost": 0, "version": "1",
    "voided": {}, "armed": 0, "mode": "auto", "alarms": {}, "confirmed": 0, "contradicted": 0,
    "journal": {}, "strangers": 0,
}  # fmt: skip
PART: dict[str, Any] = {
    "kind": "part", "station": "s-1", "lane": 0, "part": 1, "count": 1, "outcome": "PASS", "cause": "clean",
    "rule": "", "disposition": "ACCEPTED", "findings": [], "tag": "", "t0_ns": 0, "t1_ns": 1, "t2_ns": 2,
    "t3_ns": 3, "t4_ns": 40_000_000, "recipe": "r", "model": "m", "engine": "e",
    "precision": "fp32", "version": "1", "wall": "now", "session": 1,
}  # fmt: skip


class Line:
    """The PUB sockets of a station and a gateway, and a monitor that listens to both."""

    def __init__(self, folder: Path) -> None:
        self.endpoints = f"ipc://{folder}/station", f"ipc://{folder}/gateway"
        self._context = zmq.Context()
        self.station, self.gateway = (self._context.socket(zmq.PUB) for _ in self.endpoints)
        self.station.bind(self.endpoints[0])
        self.gateway.bind(self.endpoints[1])
        self.monitor = Monitor(*self.endpoints, port=0)

    def get(self, path: str, method: str = "GET") -> tuple[int, str, str]:
        request = urllib.request.Request(f"http://127.0.0.1:{self.monitor.port}{path}", method=method)
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read().decode()

    def until(self, send: Callable[[], None], holds: Callable[[], bool]) -> None:
        """Send until it has got through: a PUB socket drops what nobody listens to yet."""
        deadline = time.monotonic() + 5
        while not holds():
            assert time.monotonic() < deadline
            send()
            time.sleep(0.01)

    def publish(self) -> None:
        self.station.send_multipart([b"station", json.dumps(STATION).encode()])
        self.station.send_multipart([b"part", json.dumps(PART).encode()])
        self.gateway.send_multipart([b"gateway", json.dumps(GATEWAY).encode()])

    def heard(self) -> bool:
        state = self.monitor.state
        return state.station is not None and state.gateway is not None and state.parts > 0

    def close(self) -> None:
        self.monitor.close()
        self.station.close(0)
        self.gateway.close(0)
        self._context.term()


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    before = threading.active_count()
    line = Line(tmp_path)
    line.monitor.start()
    yield line
    line.close()
    deadline = time.monotonic() + 2
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() == before


def test_what_the_line_publishes_is_scraped(line: Line) -> None:
    line.until(line.publish, line.heard)
    status, content_type, body = line.get("/metrics")
    assert status == 200
    assert content_type.startswith("text/plain")
    assert 'edge_station_parts_total{outcome="PASS"} 2.0' in body
    assert "edge_station_up 1.0" in body
    assert "edge_gateway_up 1.0" in body
    assert "edge_gateway_plc_up 0.0" in body
    assert 'edge_part_latency_seconds_bucket{le="0.05",until="t4"}' in body
    assert 'edge_station_causes_total{cause="frame_missing",outcome="NO_DECISION"} 1.0' in body


def test_health_tells_of_the_line_and_is_the_monitors_own(line: Line) -> None:
    status, content_type, body = line.get("/healthz")
    assert (status, content_type) == (200, "application/json")
    assert json.loads(body)["station_up"] is False
    line.until(line.publish, line.heard)
    health = json.loads(line.get("/healthz")[2])
    assert health["listening"] is True
    assert (health["station_up"], health["station_state"], health["plc_ok"]) == (True, "RUNNING", False)
    line.monitor._stopping.set()
    line.monitor._threads[0].join()
    with pytest.raises(urllib.error.HTTPError, match="503"):
        line.get("/healthz")


def test_the_page_and_what_is_not_there(line: Line) -> None:
    line.until(line.publish, line.heard)
    status, content_type, body = line.get("/?x=1")
    assert (status, content_type) == (200, "text/html; charset=utf-8")
    assert "s-1" in body
    assert line.get("/", "HEAD") == (200, "text/html; charset=utf-8", "")
    for path in ("/nothing", "/../etc/passwd"):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            line.get(path)
    with pytest.raises(urllib.error.HTTPError, match="501"):
        line.get("/metrics", "POST")


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
    line.until(line.publish, line.heard)
    for count, message in enumerate(MALFORMED, 1):
        line.station.send_multipart(message)
        line.until(lambda: None, lambda count=count: line.monitor.malformed == count)  # type: ignore[misc]
    triggers = {**STATION, "triggers": 99}
    line.station.send_multipart([b"station", json.dumps(triggers).encode()])
    line.until(lambda: None, lambda: "edge_station_triggers_total 99.0" in line.get("/metrics")[2])
    assert f"edge_monitor_malformed_messages_total {len(MALFORMED)}.0" in line.get("/metrics")[2]


def test_a_station_that_falls_silent_shows(line: Line) -> None:
    line.until(line.publish, line.heard)
    with line.monitor.lock:
        assert line.monitor.state._station_ns is not None
        line.monitor.state._station_ns -= 2_000_000_000
    body = line.get("/metrics")[2]
    assert "edge_station_up 0.0" in body
    assert "edge_station_triggers_total 3.0" in body


def test_a_slow_client_holds_neither_others_nor_the_end(line: Line) -> None:
    with socket.create_connection(("127.0.0.1", line.monitor.port)) as idle:
        idle.sendall(b"GET /metr")
        assert line.get("/healthz")[0] == 200
        start = time.monotonic()
        line.monitor.close()
        assert time.monotonic() - start < 2


def test_it_starts_again_after_close(line: Line) -> None:
    line.monitor.close()
    line.monitor.start()
    line.until(line.publish, line.heard)
    assert line.get("/healthz")[0] == 200


def test_without_a_gateway(tmp_path: Path) -> None:
    with Monitor(f"ipc://{tmp_path}/station", None, port=0) as monitor:
        assert monitor.health()["gateway_up"] is False


def test_a_port_in_use_is_named(line: Line) -> None:
    other = Monitor(*line.endpoints, port=line.monitor.port)
    with pytest.raises(PortBusy, match=f"Port {line.monitor.port} of 127.0.0.1"):
        other.start()
    other.close()


@pytest.mark.parametrize(
    ("endpoint", "host"), [("ipc:///tmp/" + "x" * 200, "127.0.0.1"), ("ipc:///tmp/x", "203.0.113.1")]
)
def test_addresses_that_cannot_be_used_are_refused(endpoint: str, host: str) -> None:
    monitor = Monitor(endpoint, None, host, port=0)
    with pytest.raises(ConfigError, match=r"x{200}|203\.0\.113\.1"):
        monitor.start()


def test_the_command_takes_the_endpoints_from_the_config_files(line: Line, tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(monitor_command)
    config = tmp_path / "station.toml"
    config.write_text('[telemetry]\nendpoint = "ipc:///tmp/x"\n[[recipe.rules]]\nname = "any"\n')
    result = CliRunner().invoke(app, ["--station", str(config), "--port", str(line.monitor.port)])
    assert isinstance(result.exception, PortBusy)
    missing = CliRunner().invoke(app, ["--gateway", str(tmp_path / "none.toml")])
    assert isinstance(missing.exception, ConfigError)
