"""What the endpoints share, and how they answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec
from prometheus_client import CollectorRegistry
from starlette.requests import Request
from starlette.responses import Response

from edge.config.monitor import MonitorConfig
from edge.monitor.line import Line
from edge.monitor.sources import Sources
from edge.monitor.web.history import History
from edge.monitor.web.hub import Hub
from edge.monitor.web.sessions import Session, Sessions
from edge.monitor.web.throttle import Throttle
from edge.monitor.web.users import Users
from edge.record.annotations import Annotations

T = TypeVar("T")

BODY_MOST = 16_384
"""Bytes of a request."""

_BODY_S = 5.0

WORKERS = 2
"""Threads that read journals and pictures."""

WAITING = 32
"""Requests that may wait for them; what comes beyond is told to come again."""

LONG_WAITING = 8
"""Of those, requests that read whole days, one after the other."""

ACTING = 16
"""Commands and notes of people that may wait for the one that is carried out."""


class Reply(Exception):
    """An answer other than the one asked for.

    Attributes:
        status: of HTTP.
        code: for programs.
        text: for people.
        headers: more of them.
    """

    def __init__(self, status: int, code: str, text: str = "", headers: dict[str, str] | None = None, **more: object):
        super().__init__(status, code, text)
        self.status, self.code, self.text, self.headers, self.more = status, code, text, headers or {}, more


class Workers:
    """Threads that may wait for a disk or another process, and the requests that wait for them.

    Args:
        threads, name: how many, and what they are called.
        most: requests at once.

    Attributes:
        pool: the threads.
    """

    def __init__(self, threads: int, name: str, most: int) -> None:
        self.pool = ThreadPoolExecutor(threads, name)
        self._most, self._under_way = most, 0

    async def run(self, work: Callable[..., T], *arguments: object) -> T:
        """Run ``work`` in one of the threads.

        Raises:
            Reply: too many wait already.
        """
        if self._under_way >= self._most:
            raise Reply(503, "busy", "Too many requests wait.", {"Retry-After": "2"})
        self._under_way += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self.pool, work, *arguments)
        finally:
            self._under_way -= 1


@dataclass
class Site:
    """The parts of a monitor that answer requests.

    Attributes:
        config, sources: of the monitor, and where it reads.
        line: what is heard.
        hub: who looks on.
        history: journals and pictures.
        users, sessions: who may act.
        annotations: marks and acknowledgements; None where the configuration names no database.
        registry: what `/metrics` renders.
        health: tells the monitor's own health.
        disk: reads journals and pictures.
        acts: carries out what people do, so that nobody who reads keeps them from it.
        door: the thread that looks at passwords, one at a time: each takes memory and time.
        throttle: how often they may be tried.
        at_door: logins that wait for ``door``.
    """

    config: MonitorConfig
    sources: Sources
    line: Line
    hub: Hub
    history: History
    users: Users
    sessions: Sessions
    annotations: Annotations | None
    registry: CollectorRegistry
    health: Callable[[], dict[str, object]]
    disk: Workers = field(default_factory=lambda: Workers(WORKERS, "monitor-disk", WAITING))
    acts: Workers = field(default_factory=lambda: Workers(1, "monitor-act", ACTING))
    door: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "monitor-door"))
    throttle: Throttle = field(default_factory=Throttle)
    at_door: int = 0
    _long: asyncio.Lock = field(default_factory=asyncio.Lock)
    _long_waiting: int = 0

    def close(self) -> None:
        """End the threads and close the files."""
        for pool in (self.disk.pool, self.acts.pool, self.door):
            pool.shutdown(cancel_futures=True)
        self.history.close()
        if self.annotations is not None:
            self.annotations.close()

    async def read(self, work: Callable[..., T], *arguments: object) -> T:
        """Run ``work``, which reads a little, in a thread that may wait for a disk.  Raises as ``Workers.run``."""
        return await self.disk.run(work, *arguments)

    async def read_long(self, work: Callable[..., T], *arguments: object) -> T:
        """Run ``work``, which may read for minutes: one at a time, so that a thread is left for what is short.

        Raises:
            Reply: too many wait already.
        """
        if self._long_waiting >= LONG_WAITING:
            raise Reply(503, "busy", "Too many wait for long readings.", {"Retry-After": "10"})
        self._long_waiting += 1
        try:
            async with self._long:
                return await self.read(work, *arguments)
        finally:
            self._long_waiting -= 1

    def who(self, secret: str | None, now_ns: int) -> Session | None:
        """Return the session of a cookie; None without one, when its time is over, or its user has gone."""
        found = self.sessions.find(secret, now_ns) if secret else None
        if found is None or secret is None or self.users.token(found.user) == found.token:
            return found
        self.sessions.end(secret)
        return None


def site(request: Request) -> Site:
    """Return the site that answers ``request``."""
    found: Site = request.app.state.site
    return found


def session(request: Request) -> Session | None:
    """Return who asks, or None for somebody who is not logged in."""
    found: Session | None = request.scope.get("edge_session")
    return found


async def _bytes(request: Request) -> bytes:
    data = b""
    async for chunk in request.stream():
        data += chunk
        if len(data) > BODY_MOST:
            raise Reply(413, "value", f"A request may have {BODY_MOST} bytes.")
    return data


async def body(request: Request) -> dict[str, Any]:
    """Return the JSON object that a request carries.

    Raises:
        Reply: it is none, or too long.
    """
    try:
        data = await asyncio.wait_for(_bytes(request), _BODY_S)
    except (TimeoutError, asyncio.TimeoutError):  # one and the same from Python 3.11 on
        raise Reply(408, "value", f"The request was not complete within {_BODY_S:g} s.") from None
    try:
        found: dict[str, Any] = msgspec.json.decode(data, type=dict[str, Any])
    except msgspec.DecodeError:
        raise Reply(400, "value", "The request must be a JSON object.") from None
    return found


def actor(request: Request) -> Session:
    """Return who asks.

    Raises:
        Reply: nobody is logged in.
    """
    who = session(request)
    if who is None:
        raise Reply(403, "login", "Log in first.")
    return who


def text_of(values: dict[str, Any], name: str, most: int, default: str | None = None) -> str:
    """Return a text of a request's object.

    Raises:
        Reply: it is none, or too long.
    """
    found = values.get(name, default)
    if not isinstance(found, str) or len(found) > most:
        raise Reply(400, "value", f"{name} must be a text of at most {most} characters.")
    return found


def answer(values: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return ``values`` as JSON that no cache keeps."""
    told = {"Cache-Control": "no-store", **(headers or {})}
    return Response(msgspec.json.encode(values), status, told, "application/json")


def integer(request: Request, name: str, least: int, most: int) -> int | None:
    """Return a number of the query string, None where it is not given.

    Raises:
        Reply: it is no whole number from ``least`` to ``most``.
    """
    text = request.query_params.get(name, "")
    if not text:
        return None
    try:
        value = int(text) if len(text) <= 20 else None
    except ValueError:
        value = None
    if value is None or not least <= value <= most:
        raise Reply(400, "value", f"{name} must be a whole number from {least} to {most}.")
    return value


def word(request: Request, name: str, most: int = 200) -> str:
    """Return a text of the query string, "" where it is not given.

    Raises:
        Reply: it is too long.
    """
    text = request.query_params.get(name, "")
    if len(text) > most:
        raise Reply(400, "value", f"{name} has more than {most} characters.")
    return text
