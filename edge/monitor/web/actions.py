"""What people do: log in and out, mark a part, acknowledge an alarm.  None of it reaches the line."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from edge.clock import NS_PER_MS, NS_PER_S, now_ns, wall_ns
from edge.monitor.web.guard import COOKIE
from edge.monitor.web.sessions import LONGEST_NS
from edge.monitor.web.site import Reply, Site, actor, answer, body, session, site, text_of
from edge.monitor.web.users import LONGEST
from edge.record.annotations import TEXT_MOST, VERDICTS, Acknowledgement, Annotations, Mark
from edge.record.evidence.reader import Picture
from edge.record.journal.lines import Line

_NUMBER = 1 << 53
_NAME = 200
_ADDRESS = 64
_WAITING = 4
"""Logins that may wait for the one that is looked at."""

_log = logging.getLogger(__name__)


async def me(request: Request) -> Response:
    """Tell who asks, and what the pages need to know."""
    here, who = site(request), session(request)
    return answer(
        {
            "user": who.user if who else None,
            "csrf": who.csrf if who else None,
            "language": here.config.language,
            "timezone": here.history.zone_key(),
            "day": here.history.today().isoformat(),
            "shifts": here.config.shifts,
            "login": bool(here.users),
            "private": here.config.login == "everything",
            "actions": here.annotations is not None,
            "live": here.sources.live is not None,
            "challenge": here.sources.control is not None,
        }
    )


async def login(request: Request) -> Response:
    """Begin a session."""
    here, wanted = site(request), await body(request)
    name, password = text_of(wanted, "user", _NAME), text_of(wanted, "password", LONGEST)
    address = request.client.host[:_ADDRESS] if request.client else ""  # as a proxy on this host says
    keys = [f"address {address}", f"name {name}"]
    if wait_ns := here.throttle.wait_ns(keys, now_ns()):
        seconds = -(-wait_ns // NS_PER_S)
        raise Reply(429, "wait", f"Try again in {seconds} s.", {"Retry-After": str(seconds)}, retry_s=seconds)
    if here.at_door >= _WAITING:
        raise Reply(503, "busy", "Too many log in at once.", {"Retry-After": "1"})
    here.throttle.failed(keys, now_ns())  # until it turns out right: those who try side by side are counted too
    here.at_door += 1
    try:
        token = here.users.token(name)
        right = await asyncio.get_running_loop().run_in_executor(here.door, here.users.check, name, password)
    finally:
        here.at_door -= 1
    if not right:
        _log.warning("A login as %r from %s failed.", name, address)
        raise Reply(401, "wrong", "Name or password is wrong.")
    here.throttle.succeeded(keys)
    if request.scope["edge_cookie"]:
        here.sessions.end(request.scope["edge_cookie"])
    secret, begun = here.sessions.begin(name, token, now_ns())
    _log.info("%r logged in from %s.", name, address)
    reply = answer({"user": name, "csrf": begun.csrf})
    _set_cookie(request, reply, secret, LONGEST_NS // NS_PER_S)
    return reply


async def logout(request: Request) -> Response:
    """End the session."""
    site(request).sessions.end(request.scope["edge_cookie"])
    reply = answer({})
    _set_cookie(request, reply, "", 0)
    return reply


async def mark(request: Request) -> Response:
    """Mark the station's outcome of a part as right or wrong, or take the mark back."""
    here, who, wanted = site(request), actor(request), await body(request)
    verdict = text_of(wanted, "verdict", _NAME)
    if verdict not in VERDICTS:
        raise Reply(400, "value", f"verdict must be one of {', '.join(VERDICTS)}.")
    number, of_session = _number(wanted, "part"), _number(wanted, "session")
    near_ms = _number(wanted, "near") if "near" in wanted or of_session == 0 else None  # its numbers come again
    note = text_of(wanted, "note", TEXT_MOST, "")
    part = await here.read(_part, here, of_session, number, near_ms)
    told = Mark(part.station, of_session, number, verdict, who.user, wall_ns() // NS_PER_MS, note, part.wall_ms)
    await here.acts.run(_annotations(here).mark, told)
    _log.info("%r marked part %d of session %d as %s.", who.user, number, of_session, verdict)
    return answer({"verdict": verdict, "who": who.user})


def _part(here: Site, of_session: int, number: int, near_ms: int | None) -> Picture | Line:
    """Return what is recorded of a part; a part that nobody knows can't be marked."""
    line, picture = here.history.part(of_session, number, near_ms)
    known = picture or line
    if known is None:
        raise Reply(404, "not_found", "Nothing is recorded of that part.")
    return known


async def acknowledge(request: Request) -> Response:
    """Note that somebody has seen an alarm that stands.  It goes on standing."""
    here, who, wanted = site(request), actor(request), await body(request)
    source, alarm = text_of(wanted, "source", _NAME), text_of(wanted, "alarm", _NAME)
    raised_ms = here.line.standing_since_ms(source, alarm)
    if raised_ms is None:
        raise Reply(409, "gone", f"Alarm {alarm} of the {source} does not stand (any more).")
    wall_ms, note = wall_ns() // NS_PER_MS, text_of(wanted, "note", TEXT_MOST, "")
    told = Acknowledgement(source, alarm, raised_ms, who.user, max(wall_ms, raised_ms), note)
    await here.acts.run(_annotations(here).acknowledge, told)
    here.line.acknowledge(told)
    _log.info("%r acknowledged alarm %s of the %s.", who.user, alarm, source)
    return answer({"acknowledged_by": who.user})


# -- details --------------------------------------------------------------------------------------------------------


def _set_cookie(request: Request, reply: Response, secret: str, seconds: int) -> None:
    secure = request.url.scheme == "https"
    reply.set_cookie(COOKIE, secret, max_age=seconds, path="/", secure=secure, httponly=True, samesite="strict")


def _annotations(here: Site) -> Annotations:
    if here.annotations is None:
        raise Reply(404, "not_recorded", "Nothing is noted: `annotations` in monitor.toml names no file.")
    return here.annotations


def _number(wanted: dict[str, Any], name: str) -> int:
    found = wanted.get(name)
    if not isinstance(found, int) or isinstance(found, bool) or not 0 <= found <= _NUMBER:
        raise Reply(400, "value", f"{name} must be a whole number.")
    return found
