"""`edge record`: have a running station keep what it takes, and fetch it into a folder that `edge replay` reads."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edge.commands.control import command
from edge.config import StationConfig
from edge.errors import RecordingError
from edge.record.recorder import Bounds
from edge.record.recording import Header, Recording, pack

LOOK_S = 0.3


def record(config: StationConfig, out: Path, bounds: Bounds, tell: Callable[[str], None]) -> Header:
    """Have the running station of ``config`` record to ``out`` until one of the bounds is met.

    Interrupted, it ends the recording, which is complete all the same.

    Args:
        config: of the station, for its control socket and the colour of its frames.
        out: a folder that does not exist yet.
        bounds: of the recording.
        tell: shown how far it is.

    Returns:
        What the recording says of itself.

    Raises:
        ControlError: the station cannot be reached, or refuses.
        RecordingError: it could not be written to its end.
    """
    if config.control.path is None:
        raise RecordingError(f"{config.name} takes no commands.", "set control.path, and start the station anew.")
    socket, folder = Path(config.control.path), out.resolve()
    arguments = {"parts": bounds.parts, "max_mb": bounds.megabytes, "seconds": bounds.seconds}
    command(socket, "record", out=str(folder), **arguments)
    try:
        status = _wait(socket, folder, tell)
    except KeyboardInterrupt:
        command(socket, "record", stop=True)
        status = _wait(socket, folder, tell)
    if status["problem"]:
        raise RecordingError(f"{folder}: {status['problem']}.", "make room, and record anew.")
    tell("packing the frames")
    pack(folder, config.camera.color)
    return Recording(folder).header


def _wait(socket: Path, folder: Path, tell: Callable[[str], None]) -> dict[str, Any]:
    while True:
        status: dict[str, Any] = command(socket, "status").get("recording") or {}
        if status.get("folder") != str(folder):
            raise RecordingError(f"The station at {socket} does not know {folder} any more.", "it restarted; repeat.")
        if not status["running"]:
            return status
        tell(f"{status['parts']} parts, {status['frames']} of {status['came']} frames, {status['megabytes']} MB")
        time.sleep(LOOK_S)
