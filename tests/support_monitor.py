"""A monitor with what it hears and reads: PUB sockets in place of a line, real journals, real pictures, real HTTP."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import zmq

from edge.config import MonitorConfig, SourcesConfig
from edge.monitor.server import Monitor

STATION: dict[str, Any] = {
    "kind": "station_status", "station": "s-1", "lane": 0, "state": "RUNNING", "reason": "", "session": 1,
    "triggers": 3, "outcomes": {"PASS": 2, "NO_DECISION": 1}, "causes": {"clean": 2, "frame_missing": 1}, "open": 0,
    "acknowledged": 3, "dispositions": {}, "late_results": 0, "unknown_triggers": 0, "trigger_jumps": 0,
    "dropped_messages": 0, "outcomes_lost": 0, "frames": 2, "lost_frames": {}, "wire_errors": 0,
    "pool": {"free": 12}, "deadline_ms": 100.0, "recipe": "r", "model": "m", "engine": "e", "precision": "fp32",
    "version": "1", "started_wall": "2026-01-01T00:00:00.500+00:00", "alarms": {}, "journal": {}, "reconnects": {},
}  # fmt: skip
GATEWAY: dict[str, Any] = {
    "kind": "gateway_status", "gateway": "g-1", "lane": 0, "plc_ok": True, "reason": "", "station": "s-1",
    "station_session": 1, "plc_session": 1, "fence": 0, "plc_triggers": 3, "announced": 3, "unannounced": 0,
    "permitted": 2, "rejected": {"no_decision": 1}, "pending": 0, "dispositions": {}, "executed": 2,
    "wire_errors": 0, "plc_errors": 0, "sessions_granted": 1, "sessions_lost": 0, "version": "1",
    "voided": {}, "armed": 0, "mode": "auto", "alarms": {}, "confirmed": 0, "contradicted": 0,
    "journal": {}, "strangers": 0, "started_wall": "2026-01-01T00:01:00.500+00:00",
}  # fmt: skip
PART: dict[str, Any] = {
    "kind": "part", "station": "s-1", "lane": 0, "part": 1, "count": 1, "outcome": "PASS", "cause": "clean",
    "rule": "", "disposition": "ACCEPTED", "findings": [], "tag": "", "t0_ns": 0, "t1_ns": 1, "t2_ns": 2,
    "t3_ns": 3, "t4_ns": 40_000_000, "recipe": "r", "model": "m", "engine": "e",
    "precision": "fp32", "version": "1", "wall": "now", "session": 1,
}  # fmt: skip
LIVE: dict[str, Any] = {
    "kind": "live", "station": "s-1", "lane": 0, "part": 1, "outcome": "REJECT", "cause": "rule", "rule": "r",
    "findings": [], "wall": "now", "width": 640, "height": 512,
}  # fmt: skip
JPEG = b"\xff\xd8\xff\xe0 a picture"


@dataclass
class Reply:
    """An answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """What it carries."""
        return json.loads(self.body)


@dataclass
class Browser:
    """Asks a monitor, and keeps its cookie and token as a browser does."""

    port: int
    cookie: str = ""
    csrf: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Reply:
        """Send a request as it is."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            told = {name.replace("_", "-"): value for name, value in headers.items()}
            if self.cookie:
                told.setdefault("Cookie", f"edge_session={self.cookie}")
            connection.request(method, path, body, {**self.headers, **told})
            answer = connection.getresponse()
            return Reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Reply:
        """Get a page."""
        return self.ask("GET", path, None, **headers)

    def post(self, path: str, **values: Any) -> Reply:
        """Post a JSON object, with the session's token."""
        headers = {"Content-Type": "application/json", "X-CSRF-Token": self.csrf}
        return self.ask("POST", path, json.dumps(values).encode(), **headers)

    def login(self, user: str, password: str) -> Reply:
        """Log in, and keep what came of it."""
        reply = self.post("/api/login", user=user, password=password)
        if reply.status == 200:
            self.csrf = reply.json["csrf"]
            self.cookie = reply.headers["set-cookie"].partition(";")[0].partition("=")[2]
        return reply


class Stream:
    """A viewer that reads server-sent events, as a browser does."""

    def __init__(self, port: int, cookie: str = "") -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        self._connection.request("GET", "/api/events", headers={"Cookie": f"edge_session={cookie}"} if cookie else {})
        self.reply = self._connection.getresponse()

    def next(self, wanted: str) -> Any:
        """Return the next event of a name."""
        name = ""
        while True:
            text = self.reply.readline().decode().rstrip("\n")
            assert not self.reply.isclosed(), "the stream ended"
            if text.startswith("event: "):
                name = text.removeprefix("event: ")
            elif text.startswith("data: ") and name == wanted:
                return json.loads(text.removeprefix("data: "))

    def close(self) -> None:
        """Go."""
        self._connection.close()


class Line:
    """The PUB sockets of a station and a gateway, and a monitor that listens to both."""

    def __init__(self, folder: Path, sources: dict[str, str] | None = None, **settings: Any) -> None:
        self.endpoints = {
            "station_telemetry": f"ipc://{folder}/station.pub",
            "gateway_telemetry": f"ipc://{folder}/gateway.pub",
            "live": f"ipc://{folder}/live.pub",
        }
        self._context = zmq.Context()
        self.station, self.gateway, self.live = (self._bind(endpoint) for endpoint in self.endpoints.values())
        config = MonitorConfig(port=0, sources=SourcesConfig(**{**self.endpoints, **(sources or {})}), **settings)
        self.monitor = Monitor(config)

    def browser(self, **values: Any) -> Browser:
        """Return a browser without a cookie."""
        return Browser(self.monitor.port, **values)

    def get(self, path: str) -> Any:
        """Return the JSON at ``path``."""
        reply = self.browser().get(path)
        assert reply.status == 200, reply
        return reply.json

    def tell_station(self, **values: Any) -> None:
        """Publish a status of the station."""
        self.station.send_multipart([b"station", json.dumps({**STATION, **values}).encode()])

    def tell_gateway(self, **values: Any) -> None:
        """Publish a status of the gateway."""
        self.gateway.send_multipart([b"gateway", json.dumps({**GATEWAY, **values}).encode()])

    def tell_part(self, **values: Any) -> None:
        """Publish a part."""
        self.station.send_multipart([b"part", json.dumps({**PART, **values}).encode()])

    def tell_live(self, jpeg: bytes = JPEG, **values: Any) -> None:
        """Publish a live picture."""
        self.live.send_multipart([b"live", json.dumps({**LIVE, **values}).encode(), jpeg])

    def publish(self) -> None:
        """Publish one of everything."""
        self.tell_station()
        self.tell_part()
        self.tell_gateway()

    def heard(self) -> bool:
        """True once one of everything has got through, but for live pictures, which only viewers ask for."""
        state = self.monitor.line.state
        return state.station is not None and state.gateway is not None and state.parts > 0

    def connect(self) -> None:
        """Publish until everything gets through: a PUB socket drops what nobody listens to yet."""
        until(self.heard, self.publish)

    def close(self) -> None:
        """End the monitor and the sockets."""
        self.monitor.close()
        for socket in (self.station, self.gateway, self.live):
            socket.close(0)
        self._context.term()

    def _bind(self, endpoint: str) -> zmq.Socket[bytes]:
        socket = self._context.socket(zmq.PUB)
        socket.bind(endpoint)
        return socket


def until(holds: Callable[[], object], do: Callable[[], None] = lambda: None, seconds: float = 5.0) -> None:
    """Do something until a condition holds."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come to pass"
        do()
        time.sleep(0.01)
