"""The pages: one shell, and the static files that fill it."""

from __future__ import annotations

import os
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.staticfiles import PathLike, StaticFiles
from starlette.types import Scope

from edge.monitor.web.site import Reply

FOLDER = Path(__file__).parent.parent / "static"
PAGES = ("/", "/gallery", "/part/{session:int}/{part:int}", "/shifts", "/alarms", "/challenge", "/login")


async def shell(_: Request) -> Response:
    """Answer with the shell of every page."""
    path = FOLDER / "index.html"
    if not path.is_file():
        raise Reply(404, "not_found", "The pages are not installed.")
    return FileResponse(path, headers={"Cache-Control": "no-cache"})


def static() -> StaticFiles:
    """Return the server of the static files."""
    return _Files(directory=FOLDER, check_dir=False)


class _Files(StaticFiles):
    """Files that a browser asks about each time, so that those of two versions never meet; most answers are 304."""

    def file_response(
        self, full_path: PathLike, stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        """Answer with a file, or that it is as the browser knows it."""
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers["Cache-Control"] = "no-cache"
        return response
