"""Who commanded what, and what became of it: in the log, in JSON lines that are only ever added to, in the journal."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from edge.clock import now_ns, wall_iso
from edge.config import ControlConfig
from edge.errors import ConfigError
from edge.record.journal.rows import Event, Row
from edge.record.outcomes import OutcomeWriter
from edge.wire.control import Answer, Command, ControlThread

_log = logging.getLogger(__name__)

QUERIES = frozenset({"status"})
"""Commands that change nothing, and are not recorded: something may ask every second."""


class CommandLog:
    """Notes commands in the log, tells the journal and, where there is a path, appends them to a file.

    The file is written by a thread of its own behind a bounded queue, so noting never waits.

    Args:
        path: of the file, or None; an existing one is continued.
        put: takes a row for the journal, without waiting; None where there is none.

    Raises:
        ConfigError: the file cannot be opened.
    """

    def __init__(self, path: Path | None, put: Callable[[Row], None] | None = None) -> None:
        self._put = put
        try:
            self._writer = OutcomeWriter(path) if path is not None else None
        except ConfigError as error:
            raise ConfigError(error.problem, "choose another control.record.") from None

    @property
    def lost(self) -> int:
        """Commands that found no room in the queue, or could not be written."""
        return self._writer.lost if self._writer is not None else 0

    @property
    def lasts(self) -> bool:
        """True where there is a file, which outlives the process."""
        return self._writer is not None

    def note(self, command: Command, answer: Answer) -> None:
        """Note one command with its end."""
        if command.name in QUERIES:
            return
        now = now_ns()
        record = {
            "wall": wall_iso(),
            "monotonic_ns": now,
            "user": command.peer.user,
            "uid": command.peer.uid,
            "pid": command.peer.pid,
            "command": command.name,
            "arguments": command.arguments,
            "accepted": answer.ok,
            "text": answer.text,
        }
        line = json.dumps(record)
        _log.warning("Command: %s", line)
        if self._writer is not None:
            self._writer.write(line.encode())
        if self._put is not None:
            self._put(Event("command", f"{command.peer.user}: {command.name}. {answer.text}", record, now))

    def state(self, state: dict[str, Any]) -> None:
        """Note what must outlive the process; see ``last_state``."""
        if self._writer is not None:
            line = json.dumps({"wall": wall_iso(), "monotonic_ns": now_ns(), "state": state})
            self._writer.write(line.encode())

    def close(self) -> None:
        """Write what is queued, and close."""
        if self._writer is not None:
            self._writer.close()


def last_state(path: Path) -> dict[str, Any] | None:
    """Return what ``CommandLog.state`` noted last in the file at ``path``, or None.

    Lines that are no JSON are skipped: a power cut may have torn the last one.
    """
    found = None
    with contextlib.suppress(FileNotFoundError), path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            with contextlib.suppress(ValueError):
                record = json.loads(line)
                if isinstance(record, dict) and isinstance(record.get("state"), dict):
                    found = record["state"]
    return found


@contextmanager
def control(
    config: ControlConfig, post: Callable[[Command], None], put: Callable[[Row], None] | None = None
) -> Iterator[CommandLog | None]:
    """Serve the control socket of ``config`` while the context is open.

    Args:
        config: where it is.
        post: as for ``ControlThread``.
        put: takes the commands for the journal, without waiting.

    Yields:
        Its record, or None where no socket is configured.

    Raises:
        PortBusy, ConfigError: the socket, or the file of the record, cannot be used.
    """
    if config.path is None:
        yield None
        return
    with ExitStack() as stack:
        log = CommandLog(Path(config.record) if config.record else None, put)
        stack.callback(log.close)
        thread = ControlThread(Path(config.path), int(config.mode, 8), post, log.note)
        stack.callback(thread.close)
        thread.start()
        yield log
