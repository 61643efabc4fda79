"""Challenge parts: what the station says of them, the records, and the commands of the person who carries them out.

The one thing that the monitor asks of a line: the station's control socket must be open to it, and the station decides.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from edge.errors import ChallengeError
from edge.monitor.web.history import readable
from edge.monitor.web.site import Reply, Site, actor, answer, body, site, text_of
from edge.record.annotations import TEXT_MOST
from edge.record.challenge import read_runs
from edge.wire import control

ACTIONS = ("start", "returned", "abort")
_NAMES = 1000

_log = logging.getLogger(__name__)


async def show(request: Request) -> Response:
    """Tell how the challenge stands, and what became of the last ones."""
    here = site(request)
    with here.line.lock:
        station = here.line.state.station
    runs, problem = await here.read(_runs, here.sources.challenge)
    return answer(
        {
            "status": station.challenge if station else None,
            "commands": here.sources.control is not None,
            "runs": runs,
            "problem": problem,
        }
    )


async def command(request: Request) -> Response:
    """Hand a command of the challenge procedure to the station."""
    here, who, wanted = site(request), actor(request), await body(request)
    action = text_of(wanted, "action", _NAMES)
    if action not in ACTIONS:
        raise Reply(400, "value", f"action must be one of {', '.join(ACTIONS)}.")
    note, missing = text_of(wanted, "note", TEXT_MOST, ""), text_of(wanted, "missing", _NAMES, "")
    wanted = {"action": action, "operator": who.user, "note": note, "missing": missing}
    told = await here.acts.run(_command, here, wanted)
    _log.info("%r commanded %r of a challenge: %s", who.user, action, told["text"])
    if not told["ok"]:
        raise Reply(409, "refused", str(told["text"]))
    return answer({"text": told["text"]})


def _runs(folder: Path | None) -> tuple[list[dict[str, Any]], str]:
    if folder is None:
        return [], ""
    try:
        return [msgspec.to_builtins(run) for run in read_runs(folder)], ""
    except ChallengeError as error:
        return [], readable(error)


def _command(here: Site, arguments: dict[str, str]) -> dict[str, Any]:
    if here.sources.control is None:
        raise Reply(404, "not_recorded", "The monitor knows no control socket: the station's file names none.")
    return control.request(here.sources.control, "challenge", **arguments)
