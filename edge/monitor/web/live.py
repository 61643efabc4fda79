"""What the line does now: the state, its events, the live picture, and what Prometheus scrapes."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import suppress
from typing import Any

from prometheus_client.exposition import choose_encoder
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from edge.clock import now_ns
from edge.monitor.web.hub import Viewer
from edge.monitor.web.site import Reply, Site, answer, integer, site

_RETRY = b"retry: 1000\n\n"


async def metrics(request: Request) -> Response:
    """Render all metrics."""
    encode, content_type = choose_encoder(request.headers.get("accept", ""))
    return Response(encode(site(request).registry), headers={"Content-Type": content_type, "Cache-Control": "no-store"})


async def healthz(request: Request) -> Response:
    """Tell the monitor's own health: restarting it does not help a station that is down."""
    health = site(request).health()
    return answer(health, 200 if health["listening"] else 503)


async def state(request: Request) -> Response:
    """Tell the whole state."""
    return answer(site(request).line.snapshot())


async def live_jpeg(request: Request) -> Response:
    """Return a live picture."""
    jpeg = site(request).line.live_jpeg(integer(request, "n", 0, 1 << 62))
    if jpeg is None:
        raise Reply(404, "not_found", "There is no such live picture (any more).")
    return Response(jpeg, headers={"Content-Type": "image/jpeg", "Cache-Control": "no-store"})


class Events:
    """Server-sent events to one viewer, until it goes."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope = scope
        self._site: Site = scope["app"].state.site
        self._receive, self._send = receive, send

    def __await__(self) -> Generator[Any, None, None]:
        return self._serve().__await__()

    async def _serve(self) -> None:
        viewer = self._site.hub.join()
        if viewer is None:
            raise Reply(503, "busy", "Too many look on.", {"Retry-After": "5"})
        tasks = [asyncio.create_task(self._gone()), asyncio.create_task(self._tell(viewer))]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._site.hub.leave(viewer)
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError, OSError):
                    await task

    async def _gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            continue

    async def _tell(self, viewer: Viewer) -> None:
        headers = [
            (b"content-type", b"text/event-stream; charset=utf-8"),
            (b"cache-control", b"no-store"),
            (b"x-accel-buffering", b"no"),
        ]
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})
        told = b"" if self._scope["method"] == "HEAD" else _RETRY
        while told and self._may_look():
            body = {"type": "http.response.body", "body": told, "more_body": True}
            await self._send(body)  # a viewer that takes in nothing is cut off by its connection
            told = await viewer.take()
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    def _may_look(self) -> bool:
        """Say whether the viewer is still logged in, where that is needed; looking on is use of the session."""
        if self._site.config.login != "everything":
            return True
        return self._site.who(self._scope["edge_cookie"], now_ns()) is not None
