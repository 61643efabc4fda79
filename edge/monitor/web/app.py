"""The web application: its routes, and what becomes of errors."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from anyio import to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from edge.errors import AnnotationError, ControlError, EdgeError
from edge.monitor.web import actions, challenge, live, pages, past
from edge.monitor.web.guard import Guard
from edge.monitor.web.history import NotRecorded, readable
from edge.monitor.web.site import Reply, Site, answer

ROUTES = [
    Route("/metrics", live.metrics),
    Route("/healthz", live.healthz),
    Route("/api/state", live.state),
    Route("/api/events", live.Events, methods=["GET"]),
    Route("/api/live.jpg", live.live_jpeg),
    Route("/api/pictures", past.pictures),
    Route("/pictures/{id:int}.jpg", past.picture),
    Route("/api/part/{session:int}/{part:int}", past.part),
    Route("/api/shifts", past.shifts),
    Route("/api/shifts.csv", past.shifts_csv),
    Route("/api/alarms", past.alarms),
    Route("/api/me", actions.me),
    Route("/api/login", actions.login, methods=["POST"]),
    Route("/api/logout", actions.logout, methods=["POST"]),
    Route("/api/mark", actions.mark, methods=["POST"]),
    Route("/api/acknowledge", actions.acknowledge, methods=["POST"]),
    Route("/api/challenge", challenge.show),
    Route("/api/challenge", challenge.command, methods=["POST"]),
    *(Route(path, pages.shell) for path in pages.PAGES),
    Mount("/static", pages.static()),
]

_USERS_S = 1.0
"""How often the file of users is looked at."""

_FILE_THREADS = 4
"""Threads that read the pages' files."""

_log = logging.getLogger(__name__)


def build(site: Site) -> ASGIApp:
    """Return the application that serves ``site``, behind its guard: the headers are on failures too."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        to_thread.current_default_thread_limiter().total_tokens = _FILE_THREADS
        tasks = [asyncio.create_task(work) for work in (site.hub.run(), _watch_users(site), _remember(site))]
        for task in tasks:
            task.add_done_callback(_ended)
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    app = Starlette(
        routes=ROUTES,
        exception_handlers={
            Reply: _reply,
            NotRecorded: _not_recorded,
            EdgeError: _of_the_line,
            HTTPException: _refused,
            Exception: _failed,
        },
        lifespan=lifespan,
    )
    app.state.site = site
    return Guard(app, site)


async def _watch_users(site: Site) -> None:
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(_USERS_S)
        await loop.run_in_executor(site.door, site.users.refresh)


async def _remember(site: Site) -> None:
    """Show what was before the monitor started, as far as the journals tell; it need not wait for that."""
    try:
        if site.annotations is not None:
            for told in await site.read(site.annotations.acknowledged):
                site.line.acknowledge(told)
        raised, minutes = await site.read_long(site.history.before)
    except (NotRecorded, EdgeError, Reply) as error:
        _log.info("What was before is not known: %s", error)
        return
    site.line.remember(raised, minutes)


def _ended(task: asyncio.Task[None]) -> None:
    """Say so where a task ended that should not have; without the hub's turns the watchdog starts the process anew."""
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("A task of the monitor failed.", exc_info=error)


async def _reply(_: Request, error: Exception) -> Response:
    assert isinstance(error, Reply)
    return answer({"error": error.code, "text": error.text, **error.more}, error.status, error.headers)


async def _not_recorded(_: Request, error: Exception) -> Response:
    return answer({"error": "not_recorded", "text": str(error)}, 404)


async def _of_the_line(request: Request, error: Exception) -> Response:
    """Say what could not be done: a command to the station, a note of somebody's, or reading what is recorded."""
    assert isinstance(error, EdgeError)
    status, code = 503, "unreadable"
    if isinstance(error, ControlError):
        status, code = 502, "control"
    elif isinstance(error, AnnotationError) and request.method == "POST":
        status, code = 507, "unwritten"
    return answer({"error": code, "text": readable(error)}, status)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = {404: "not_found", 405: "method"}.get(error.status_code, "refused")
    text = f"{request.method} {request.url.path}: {error.detail}."
    return answer({"error": code, "text": text}, error.status_code, dict(error.headers or {}))


async def _failed(request: Request, error: Exception) -> Response:
    _log.error("%s %s failed.", request.method, request.url.path, exc_info=error)
    return answer({"error": "failed", "text": "The monitor failed to answer; see its log."}, 500)
