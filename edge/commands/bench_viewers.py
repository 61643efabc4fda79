"""Who looks at the dashboard in `edge bench monitor`: a process of its own, as the browsers of other machines would be.

Each viewer asks for what the overview page asks for (edge/monitor/static/js): the page with all that it is made of, the
stream of server-sent events, every live picture that the stream tells of, and after a reject its picture.
"""

from __future__ import annotations

import http.client
import json
import re
import signal
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from multiprocessing.connection import Connection
from typing import Any

from edge.clock import NS_PER_MS, now_ns

VIEWERS = 5
HOST = "127.0.0.1"
PATIENCE_S = 10.0

REJECTS = 8
REJECTS_AFTER_NS = 400 * NS_PER_MS
"""How many rejects the page shows, and how long after one it asks for its picture."""

SCRAPE_S = 1.0
METRICS = "/metrics"

_PARTS_OF_PAGE = re.compile(r'(?:src|href)="(/static/[^"]+)"')
_ASKED_BY_SCRIPT = ("/static/i18n/languages.json", "/static/i18n/en.json", "/api/me")


class Condition(str, Enum):
    """Who looks."""

    UNWATCHED = "nobody looks"
    WATCHED = "watched"


@dataclass
class Tally:
    """What viewers and scrapes got.

    Attributes:
        pages_ms: from the first connection to the page, all that it is made of, and the line's first state.
        states, live, thumbs, scrapes: how many of each were received.
        problems: what went wrong, in words.
    """

    pages_ms: list[float] = field(default_factory=list)
    states: int = 0
    live: int = 0
    thumbs: int = 0
    scrapes: int = 0
    problems: list[str] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Add what another one got."""
        self.pages_ms += other.pages_ms
        self.states += other.states
        self.live += other.live
        self.thumbs += other.thumbs
        self.scrapes += other.scrapes
        self.problems += other.problems


class Connected:
    """A connection that is kept, as a browser keeps it.

    Args:
        port: of the monitor.
    """

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection(HOST, port, timeout=PATIENCE_S)

    def get(self, path: str) -> bytes:
        """Return what lies at ``path``.

        Raises:
            OSError, HTTPException: the monitor does not answer, or with anything but 200.
        """
        with self.open(path) as answer:
            return answer.read()

    def open(self, path: str) -> http.client.HTTPResponse:
        """Return the answer at ``path``, to be read.  Raises as ``get``."""
        try:
            answer = self._ask(path)
        except ConnectionError:  # the monitor ends connections that are not used for a while
            self._connection.close()
            answer = self._ask(path)
        if answer.status != http.client.OK:
            raise http.client.HTTPException(f"{path}: {answer.status}: {answer.read(200)!r}")
        return answer

    def _ask(self, path: str) -> http.client.HTTPResponse:
        self._connection.request("GET", path)
        return self._connection.getresponse()

    def close(self) -> None:
        """Close it."""
        self._connection.close()


class Looker(ABC):
    """Does something in a thread of its own, until it is told to end.

    Args:
        port: of the monitor.

    Attributes:
        tally: what it got; to be read once it has ended.
    """

    def __init__(self, port: int) -> None:
        self.tally = Tally()
        self._port = port
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def tell_to_end(self) -> None:
        """Let it end; ``join`` waits for it."""
        self._ending.set()

    def join(self) -> None:
        """Wait until it has ended."""
        self._thread.join()

    def _run(self) -> None:
        try:
            self._look()
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.tally.problems.append(f"{type(self).__name__}: {error!r}")

    @abstractmethod
    def _look(self) -> None:
        """Look, until ``_ending`` is set."""


class Scraper(Looker):
    """Scrapes the metrics once a second, as Prometheus would."""

    def _look(self) -> None:
        connected = Connected(self._port)
        try:
            while True:
                connected.get(METRICS)
                self.tally.scrapes += 1
                if self._ending.wait(SCRAPE_S):
                    return
        finally:
            connected.close()


class Viewer(Looker):
    """Has the overview open.  ``open`` comes first: it is what is timed."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self._asks, self._listens = Connected(port), Connected(port)
        self._events: Iterator[tuple[str, Any]] = iter(())
        self._rejects_due_ns: int | None = now_ns()
        self._thumbs: set[str] = set()

    def open(self) -> None:
        """Load the page, and wait for the first state of the line.

        Everything comes over one connection, one after the other, with nothing kept from an earlier visit: a browser
        is quicker.

        Raises:
            OSError, HTTPException: the monitor does not answer.
        """
        began = now_ns()
        page = self._asks.get("/").decode()
        for path in (*dict.fromkeys(_PARTS_OF_PAGE.findall(page)), *_ASKED_BY_SCRIPT):
            self._asks.get(path)
        self._events = events(self._listens.open("/api/events"))
        while next(self._events)[0] != "state":
            pass
        self.tally.states += 1
        self.tally.pages_ms.append((now_ns() - began) / NS_PER_MS)

    def join(self) -> None:
        """Wait until it has ended: it looks up at each event, which come once a second at the least."""
        super().join()
        self._asks.close()
        self._listens.close()

    def _look(self) -> None:
        for name, told in self._events:
            if self._ending.is_set():
                return
            if name == "state":
                self.tally.states += 1
            elif name == "live":
                self._asks.get(told["url"])
                self.tally.live += 1
            elif told["outcome"] == "REJECT" and self._rejects_due_ns is None:
                self._rejects_due_ns = now_ns() + REJECTS_AFTER_NS
            if self._rejects_due_ns is not None and now_ns() >= self._rejects_due_ns:
                self._rejects_due_ns = None
                self._see_rejects()

    def _see_rejects(self) -> None:
        found = json.loads(self._asks.get(f"/api/pictures?outcome=REJECT&limit={REJECTS}"))
        for thumb in [picture["thumb"] for picture in found["pictures"]]:
            if thumb not in self._thumbs:  # a browser keeps them
                self._thumbs.add(thumb)
                self._asks.get(thumb)
                self.tally.thumbs += 1


def events(stream: http.client.HTTPResponse) -> Iterator[tuple[str, Any]]:
    """Yield name and data of each server-sent event.

    Raises:
        HTTPException: the stream has ended.
    """
    name = ""
    while line := stream.readline().decode():
        key, _, value = line.rstrip("\n").partition(": ")
        if key == "event":
            name = value
        elif key == "data":
            yield name, json.loads(value)
    raise http.client.HTTPException("the stream of events ended")


class Audience:
    """All who look.

    Args:
        port: of the monitor.

    Attributes:
        tally: what those got who have gone.
    """

    def __init__(self, port: int) -> None:
        self.tally = Tally()
        self._port = port
        self._lookers: list[Looker] = []

    def come(self) -> None:
        """Let the viewers open the page, one after the other, and look on; and begin to scrape."""
        for _ in range(VIEWERS):
            viewer = Viewer(self._port)
            self._lookers.append(viewer)
            try:
                viewer.open()
            except (OSError, http.client.HTTPException) as error:
                self.tally.problems.append(f"the page: {error!r}")
            viewer.start()
        self._lookers.append(Scraper(self._port))
        self._lookers[-1].start()

    def go(self) -> None:
        """Let all of them go, and take what they got."""
        for looker in self._lookers:
            looker.tell_to_end()
        for looker in self._lookers:
            looker.join()
            self.tally.add(looker.tally)
        self._lookers = []


def serve(commands: Connection, port: int) -> None:
    """Run the audience as a process.

    Args:
        commands: takes a ``Condition`` and answers True once it is so, or None and answers with the ``Tally``.
        port: of the monitor.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent says when to end
    audience = Audience(port)
    try:
        while True:
            command = commands.recv()
            if command is None:
                commands.send(audience.tally)
                continue
            audience.go()
            if command is Condition.WATCHED:
                audience.come()
            commands.send(True)
    except EOFError:
        audience.go()  # the parent has closed the pipe
