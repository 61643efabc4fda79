"""Outcomes as JSON lines, written by a thread of its own: a slow disk delays no verdict."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from queue import Empty, Full, Queue

from edge.errors import ConfigError

_log = logging.getLogger(__name__)

_ROOM = 4096


class OutcomeWriter:
    """Appends records to a file.

    Args:
        path: of the file; an existing one is continued.

    Attributes:
        lost: records that found no room because the disk did not keep up, or could not be written.

    Raises:
        ConfigError: the file cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._file = path.open("ab")
        except OSError as error:
            raise ConfigError(
                f"{path}: cannot be written ({error.strerror}).", "choose another path for --outcomes."
            ) from None
        self.lost = 0
        self._queue: Queue[bytes | None] = Queue(_ROOM)
        self._thread = threading.Thread(target=self._run, name="outcomes", daemon=True)
        self._thread.start()

    def write(self, line: bytes) -> None:
        """Queue one JSON object, without its newline.  Never waits."""
        try:
            self._queue.put_nowait(line)
        except Full:
            self.lost += 1

    def close(self, timeout_s: float = 2.0) -> None:
        """Write what is queued, as far as the disk allows within ``timeout_s``, and close."""
        try:
            self._queue.put(None, timeout=timeout_s)
        except Full:
            _log.error("%d outcomes were not written: the disk does not keep up.", self._queue.qsize())
        self._thread.join(timeout_s)

    def _run(self) -> None:
        with self._file:
            while (line := self._queue.get()) is not None:
                lines = [line]
                ended = False
                try:
                    while (more := self._queue.get_nowait()) is not None:
                        lines.append(more)
                    ended = True
                except Empty:
                    pass  # all that there is for now
                self._append(lines)
                if ended:
                    return

    def _append(self, lines: list[bytes]) -> None:
        try:
            self._file.write(b"\n".join([*lines, b""]))
            self._file.flush()
        except OSError as error:
            self.lost += len(lines)
            _log.error("%d outcomes could not be written: %s", len(lines), error)
