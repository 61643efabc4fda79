"""What lies on disk, as JSON, pictures and CSV."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from edge.monitor.band import remedy
from edge.monitor.summary import findings
from edge.monitor.web.download import Download
from edge.monitor.web.history import History, NotRecorded, times
from edge.monitor.web.shifts import as_csv
from edge.monitor.web.site import Reply, Site, answer, integer, session, site, word
from edge.record.annotations import Acknowledgement, Key, Mark
from edge.record.evidence.reader import Picture
from edge.record.journal.alarms import Raised
from edge.record.journal.lines import Line
from edge.wire.messages import FindingRecord

_MS = 1 << 53
"""Bound of times in ms and of ids: what JavaScript's numbers hold exactly."""

_LIMIT = 200
_PICTURES = 60
_ALARMS = 100
_DAYS = 31
_DAYS_FOR_ALL = 7
_HEARD_MS = 60_000
"""An alarm is acknowledged under the time at which the monitor heard of it, this near to the journal's."""

_KEPT = "private, max-age=86400"


async def pictures(request: Request) -> Response:
    """Search the pictures, newest first."""
    limit = integer(request, "limit", 1, _LIMIT) or _PICTURES
    query: dict[str, Any] = {
        "since_ms": integer(request, "since", 0, _MS),
        "until_ms": integer(request, "until", 0, _MS),
        "before_id": integer(request, "before", 0, _MS),
        **{name: word(request, name) for name in ("cls", "outcome", "reason")},
    }
    here = site(request)
    return answer(await here.read(_pictures, here, query, limit))


def _pictures(here: Site, query: dict[str, Any], limit: int) -> dict[str, Any]:
    found = here.history.evidence().search(**query, limit=limit + 1)
    shown = found[:limit]
    marks = here.annotations.current([key(p) for p in shown]) if here.annotations else {}
    return {
        "pictures": [_picture(here.history, p, marks.get(key(p))) for p in shown],
        "classes": here.history.classes(),
        "more": len(found) > limit,
    }


def _picture(history: History, picture: Picture, mark: Mark | None) -> dict[str, Any]:
    names = ("id", "wall_ms", "session", "part", "outcome", "cause", "rule", "cls", "score", "reason")
    return {
        **{name: getattr(picture, name) for name in names},
        "size_px": history.size_px(picture),
        "mark": mark.verdict if mark else None,
        "url": _url(picture),
        "thumb": f"{_url(picture)}&thumb=1",
    }


def key(picture: Picture) -> Key:
    """Return what marks know a picture's part by."""
    return picture.session, picture.part, picture.wall_ms


def _url(picture: Picture) -> str:
    return f"/pictures/{picture.id}.jpg?v={picture.wall_ms}"  # an id may come again where the index was made anew


async def picture(request: Request) -> Response:
    """Return a picture, or a small one of it."""
    here = site(request)
    small = word(request, "thumb") == "1"
    found = await here.read(here.history.picture, request.path_params["id"], small)
    if found is None:
        raise Reply(404, "not_found", "There is no such picture (any more).")
    data, media_type = found
    headers = {"Content-Type": media_type, "Cache-Control": _KEPT}
    return Response(data, headers=headers) if isinstance(data, bytes) else Download(data, here.disk.pool, headers)


async def part(request: Request) -> Response:
    """Tell all that is recorded of a part."""
    here = site(request)
    wanted = request.path_params["session"], request.path_params["part"], integer(request, "near", 0, _MS)
    if max(wanted[:2]) > _MS:
        raise Reply(404, "not_found", "There is no such part.")
    told = await here.read(_part, here, *wanted)
    if told is None:
        raise Reply(404, "not_found", "Nothing is recorded of that part.")
    return answer(told)


def _part(here: Site, session: int, number: int, near_ms: int | None) -> dict[str, Any] | None:
    line, picture = here.history.part(session, number, near_ms)
    sidecar = here.history.sidecar(picture) if picture is not None else {}
    if line is None:
        if picture is None or not sidecar:
            return None
        line = _line_of(sidecar, picture)  # the journal may be gone, or have lost the part
    with here.line.lock:
        status = here.line.state.station
    marks = here.annotations.marks(session, number, line.wall_ms) if here.annotations else []
    names = ("station", "lane", "session", "wall_ms", "count", "outcome", "cause", "rule", "disposition")
    ends = ("permit", "end", "gate", "sensor", "latency_ms")
    return {
        **{name: getattr(line, name) for name in (*names, *ends)},
        "part": number,
        "deadline_ms": status.deadline_ms if status else None,
        "times": times(line),
        "findings": findings([FindingRecord(f.cls, f.score, f.box) for f in line.findings]),
        "picture": _whole(picture, sidecar) if picture is not None else None,
        "marks": [{"verdict": m.verdict, "who": m.who, "wall_ms": m.wall_ms, "note": m.note} for m in marks],
        "identity": {name: getattr(line, name) for name in ("recipe", "model", "engine", "precision", "version")},
    }


def _whole(picture: Picture, sidecar: dict[str, Any]) -> dict[str, Any]:
    about = sidecar.get("picture", {})
    size = {name: about.get(name) for name in ("width", "height")}
    return {"id": picture.id, "url": _url(picture), **size, "reason": picture.reason}


def _line_of(sidecar: dict[str, Any], picture: Picture) -> Line:
    known = {"wall_ms": picture.wall_ms, "boot": "", "number": picture.part}
    return msgspec.convert({**sidecar, **known}, Line)


async def shifts(request: Request) -> Response:
    """Tell the totals of a day's shifts."""
    here = site(request)
    return answer(await here.read_long(here.history.shifts, _day(request)))


async def shifts_csv(request: Request) -> Response:
    """Tell the totals of one day or several, until ``day``, as CSV.  A month may take minutes."""
    here, last = site(request), _day(request)
    wanted = integer(request, "days", 1, _DAYS) or 1
    if wanted > _DAYS_FOR_ALL and session(request) is None:
        raise Reply(403, "login", f"More than {_DAYS_FOR_ALL} days need a login.")
    days = [last - timedelta(days=n) for n in reversed(range(wanted))]
    told = await here.read_long(lambda: as_csv([here.history.shifts(day) for day in days]))
    name = f"shifts-{days[0].isoformat()}-{last.isoformat()}.csv" if len(days) > 1 else f"shifts-{last.isoformat()}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return Response(told, headers=headers, media_type="text/csv")


def _day(request: Request) -> date:
    text = word(request, "day", 10)
    try:
        day = date.fromisoformat(text) if text else site(request).history.today()
    except ValueError:
        raise Reply(400, "value", f"day {text!r} is no day such as 2026-11-22.") from None
    if not 2000 <= day.year <= 2200:
        raise Reply(400, "value", f"day {text} is out of range.")
    return day


async def alarms(request: Request) -> Response:
    """Tell the alarms of the past, newest first: those of the journals, and the monitor's own since it was started.

    Raises:
        NotRecorded: there is no journal, and the monitor itself raised none.
    """
    here = site(request)
    limit, before_ms = integer(request, "limit", 1, _LIMIT) or _ALARMS, integer(request, "before", 0, _MS)
    own = [alarm for alarm in here.line.silences() if before_ms is None or alarm.raised_ms < before_ms]
    try:
        recorded = await here.read(here.history.alarms, before_ms, limit + 1)
    except NotRecorded:
        if not own:
            raise
        recorded = []
    found = sorted([*recorded, *own], key=lambda alarm: -alarm.raised_ms)[: limit + 1]
    acknowledged: list[Acknowledgement] = []
    if here.annotations and found:
        acknowledged = await here.read(here.annotations.acknowledged, found[-1].raised_ms - _HEARD_MS)
    return answer({"alarms": [_alarm(a, acknowledged) for a in found[:limit]], "more": len(found) > limit})


def _alarm(alarm: Raised, acknowledged: list[Acknowledgement]) -> dict[str, Any]:
    mine = [
        a
        for a in acknowledged
        if (a.source, a.alarm) == (alarm.source, alarm.name)
        and alarm.raised_ms <= a.wall_ms <= (alarm.cleared_ms or _MS)
    ]
    last = mine[-1] if mine else None
    return {
        "source": alarm.source,
        "name": alarm.name,
        "text": alarm.text,
        "remedy": remedy(alarm.name),
        "raised_ms": alarm.raised_ms,
        "cleared_ms": alarm.cleared_ms,
        "acknowledged_by": last.who if last else None,
        "acknowledged_ms": last.wall_ms if last else None,
        "note": last.note if last else "",
    }
