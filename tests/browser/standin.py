"""A small server that answers the monitor's API with contract-shaped data, and serves the real pages.

For tests of the pages alone: a test puts the line into any state, at any moment, and makes the server slow or mute.
"""

from __future__ import annotations

import json
import queue
import re
import threading
import time
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, cast
from urllib.parse import parse_qs, urlsplit

import edge.monitor
from tests.browser import sample
from tests.browser.sample import Json

STATIC = Path(edge.monitor.__file__).parent / "static"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; font-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript", ".json": "application/json", ".css": "text/css"}
PAGES = re.compile(r"/(gallery|shifts|alarms|challenge|login|part/\d+/\d+)?")
PASSWORD = "correct horse"
CSRF = "token-1"


class StandIn:
    """Serves from ``start`` to ``close``, on a free port of the loopback.

    Attributes:
        state: what /api/state and the events tell.
        pictures: of the evidence, newest first.
        mute: nobody is answered any more, as by a monitor that hangs.
        day: to which the present shift belongs.
        unserved: live pictures that were asked for come too late: 404.
        user: who is logged in.
        private: nothing is shown without a login.
        posted: paths and bodies of accepted POSTs.
    """

    def __init__(self) -> None:
        self.state = sample.state(now_ms())
        self.pictures: list[Json] = []
        self.marks: dict[tuple[int, int, int], list[Json]] = {}
        self.day = datetime.now(timezone.utc).date().isoformat()
        self.unserved = False
        self.mute = False
        self.user: str | None = None
        self.posted: list[tuple[str, Json]] = []
        self.history: list[Json] = sample.alarm_history(now_ms())
        self.runs: list[Json] = sample.challenge_runs(now_ms())
        self.language = "en"
        self.private = False
        self.live_shot = sample.shots()[0][0]
        self.catalogue: dict[str, str] | None = None
        self.viewers: list[queue.Queue[bytes]] = []
        self.closing = False
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        cast("Any", self._server).stand_in = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        """Where it serves."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> StandIn:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closing = True
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def show(self, state: Json) -> None:
        """Put the line into another state, and tell the viewers."""
        self.state = state
        self.send("state", state)

    def send(self, name: str, told: Json) -> None:
        """Send an event to all viewers."""
        for viewer in self.viewers:
            viewer.put(f"event: {name}\ndata: {json.dumps(told)}\n\n".encode())

    def hang_up(self) -> None:
        """End every viewer's connection."""
        for viewer in self.viewers:
            viewer.put(b"")

    def live(self, number: int = 61_240) -> None:
        """Show a rejected plate as the live picture."""
        self.live_shot = sample.shots()[0][number % len(sample.shots()[0])]
        told = {
            **sample.reject(number, now_ms()),
            "findings": self.live_shot.findings,
            "url": f"/api/live.jpg?n={number}",
        }
        self.send("live", told)


def now_ms() -> int:
    """Return the wall clock's time."""
    return time.time_ns() // 1_000_000


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    _gets: ClassVar[dict[str, str]] = {
        "/api/events": "_events",
        "/api/state": "_state",
        "/api/me": "_me",
        "/api/pictures": "_pictures",
        "/api/shifts": "_shifts",
        "/api/alarms": "_alarms",
        "/api/challenge": "_challenge",
    }

    @property
    def _site(self) -> StandIn:
        return cast("StandIn", cast("Any", self.server).stand_in)

    def do_GET(self) -> None:
        """Answer a request."""
        url = urlsplit(self.path)
        self._query = {name: values[0] for name, values in parse_qs(url.query).items()}
        if url.path in self._gets:
            getattr(self, self._gets[url.path])()
        elif PAGES.fullmatch(url.path):
            self._file(STATIC / "index.html")
        elif url.path == "/api/live.jpg":
            if self._site.unserved:
                self._json({"error": "not_found"}, 404)
            else:
                self._answer(200, "image/jpeg", self._site.live_shot.jpeg)
        elif found := re.fullmatch(r"/pictures/(\d+)\.jpg", url.path):
            shots = sample.shots()[0]
            self._answer(200, "image/jpeg", shots[int(found[1]) % len(shots)].jpeg)
        elif found := re.fullmatch(r"/api/part/(\d+)/(\d+)", url.path):
            self._part(int(found[1]), int(found[2]))
        elif url.path.startswith("/static/"):
            self._file(STATIC / url.path.removeprefix("/static/"))
        else:
            self._json({"error": "missing"}, 404)

    def do_POST(self) -> None:
        """Answer a request that changes something."""
        site, path = self._site, urlsplit(self.path).path
        body: Json = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if path == "/api/login":
            if body["password"] != PASSWORD:
                self._json({"error": "wrong"}, 401)
                return
            site.user = body["user"]
            self._json({"csrf": CSRF})
            return
        if self.headers.get("X-CSRF-Token") != CSRF or site.user is None:
            self._json({"error": "login"}, 403)
            return
        site.posted.append((path, body))
        if path == "/api/logout":
            site.user = None
        if path == "/api/mark":
            given = {"verdict": body["verdict"], "who": site.user, "wall_ms": now_ms(), "note": body["note"]}
            site.marks.setdefault((body["session"], body["part"], body["near"]), []).insert(0, given)
        if path == "/api/acknowledge":
            alarms = [
                a | {"acknowledged_by": site.user} if a["name"] == body["alarm"] else a for a in site.state["alarms"]
            ]
            site.show({**site.state, "alarms": alarms})
        self._json({})

    def log_message(self, format: str, *args: object) -> None:
        """Keep requests out of standard error."""

    def _events(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.close_connection = True
        site, mine = self._site, queue.Queue[bytes]()
        site.viewers.append(mine)
        mine.put(f"event: state\ndata: {json.dumps(site.state)}\n\n".encode())
        try:
            while not site.closing:
                try:
                    told = mine.get(timeout=0.5)
                except queue.Empty:
                    told = f"event: state\ndata: {json.dumps(site.state)}\n\n".encode()
                if not told:
                    return
                if not site.mute:
                    self.wfile.write(told)
                    self.wfile.flush()
        except OSError:
            pass  # the viewer went away
        finally:
            site.viewers.remove(mine)

    def _state(self) -> None:
        self._json(self._site.state)

    def _me(self) -> None:
        site = self._site
        while site.mute and not site.closing:
            time.sleep(0.05)
        offers = {"login": True, "actions": True, "challenge": True, "private": site.private, "live": True}
        shifts = ["06:00", "14:00", "22:00"]
        about = {"language": site.language, "timezone": "UTC", "day": site.day, "shifts": shifts, **offers}
        self._json({"user": site.user, "csrf": CSRF if site.user else None, **about})

    def _pictures(self) -> None:
        found, limit = self._site.pictures, int(self._query.get("limit", 60))
        for name in ("cls", "outcome", "reason"):
            if name in self._query:
                found = [p for p in found if p[name] == self._query[name]]
        if "before" in self._query:
            found = [p for p in found if p["id"] < int(self._query["before"])]
        if "since" in self._query:
            found = [p for p in found if p["wall_ms"] >= int(self._query["since"])]
        if "until" in self._query:
            found = [p for p in found if p["wall_ms"] < int(self._query["until"])]
        classes = sorted({p["cls"] for p in self._site.pictures if p["cls"]})
        self._json({"pictures": found[:limit], "classes": classes, "more": len(found) > limit})

    def _part(self, session: int, number: int) -> None:
        """Answer as the monitor: the part of that number that is nearest to the given time, else the newest."""
        found = [p for p in self._site.pictures if (p["session"], p["part"]) == (session, number)]
        if not found:
            self._json({"error": "missing"}, 404)
            return
        near = int(self._query.get("near") or found[0]["wall_ms"])
        shown = min(found, key=lambda picture: abs(picture["wall_ms"] - near))
        self._json(sample.part(shown) | {"marks": self._site.marks.get((session, number, shown["wall_ms"]), [])})

    def _shifts(self) -> None:
        self._json(sample.shifts(self._query["day"]))

    def _alarms(self) -> None:
        self._json({"alarms": self._site.history, "more": False})

    def _challenge(self) -> None:
        self._json({"runs": self._site.runs})

    def _file(self, path: Path) -> None:
        if self._site.catalogue is not None and path.parent.name == "i18n" and path.stem in ("en", "de"):
            self._json(self._site.catalogue)
            return
        if not path.is_file():
            self._json({"error": "missing"}, 404)
            return
        self._answer(200, TYPES.get(path.suffix, "image/svg+xml"), path.read_bytes())

    def _json(self, values: Any, status: int = 200) -> None:
        self._answer(status, "application/json", json.dumps(values).encode())

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", POLICY)
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)
