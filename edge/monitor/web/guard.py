"""What holds for every request and answer: under which name it asks, who is logged in, and what a browser may do."""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edge.clock import now_ns
from edge.monitor.exposure import stays_on_host
from edge.monitor.web.sessions import Session, carries
from edge.monitor.web.site import Site, answer

COOKIE = "edge_session"

HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        b"font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
)

MACHINES = ("/metrics", "/healthz")
"""For programs: without a login, and under any name where other hosts reach the monitor."""

_OPEN = (*MACHINES, "/login", "/api/login", "/api/me")
_READS = ("GET", "HEAD")


class Guard:
    """Stands before the application."""

    def __init__(self, app: ASGIApp, site: Site) -> None:
        self._app, self._site = app, site
        self._names = {
            name.lower() for name in (*site.config.names, site.config.host, socket.gethostname(), "localhost")
        }
        self._any_name = () if stays_on_host(site.config.host) else MACHINES

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or refuse it; add the headers to either answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *HEADERS]
            await send(message)

        headers = Headers(scope=scope)
        secret = cookie_parser(headers.get("cookie", "")).get(COOKIE)
        scope["edge_cookie"] = secret
        scope["edge_session"] = session = self._site.who(secret, now_ns())
        refusal = self._refusal(scope["method"], scope["path"], headers, session)
        await (refusal or self._app)(scope, receive, dressed)

    def _refusal(self, method: str, path: str, headers: Headers, session: Session | None) -> Response | None:
        host = headers.get("host", "")
        if path not in self._any_name and not self._is_ours(host):
            text = f"This monitor does not answer to the name {host[:100]!r}; add it to `names` in monitor.toml."
            return answer({"error": "host", "text": text}, 421)
        if method not in _READS:
            return self._of_post(path, host, headers, session)
        if self._site.config.login == "everything" and session is None:
            if path.startswith(("/api/", "/pictures/")) and path not in _OPEN:
                return answer({"error": "login", "text": "Log in first."}, 401)
            if path not in _OPEN and not path.startswith("/static/"):
                return RedirectResponse("/login", 303)
        return None

    def _of_post(self, path: str, host: str, headers: Headers, session: Session | None) -> Response | None:
        """Refuse what a page of somebody else may have made a browser send."""
        origin = headers.get("origin")
        if origin is not None and _netloc(origin) != host.lower():
            return answer({"error": "csrf", "text": "The request comes from another page."}, 403)
        if not headers.get("content-type", "").lower().startswith("application/json"):
            return answer({"error": "csrf", "text": "Requests must be application/json."}, 415)
        if path == "/api/login":
            return None
        if session is None:
            return answer({"error": "login", "text": "Log in first."}, 403)
        if not carries(session, headers.get("x-csrf-token", "")):
            return answer({"error": "csrf", "text": "The token of the session is missing or wrong."}, 403)
        return None

    def _is_ours(self, host: str) -> bool:
        """Say whether a Host header names this monitor: a page of a foreign name could be made to point here."""
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name.rstrip(".").lower() in self._names
        return True


def _netloc(origin: str) -> str | None:
    """Return host and port of an Origin header, None for what is none."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None
