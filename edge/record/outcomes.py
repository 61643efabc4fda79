"""Outcomes as JSON lines, written by a thread of its own: a slow disk delays no verdict."""

from __future__ import annotations

import logging
import os
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
            self._torn = _ends_torn(path)  # then the next record begins on a line of its own
            self._file = path.open("ab", buffering=0)  # unbuffered: what a full disk refused must not come later
        except OSError as error:
            raise ConfigError(
                f"{path}: cannot be written ({error.strerror}).", "choose another path for --outcomes."
            ) from None
        self.lost = 0
        self._closed = False
        self._queue: Queue[bytes | None] = Queue(_ROOM)
        self._thread = threading.Thread(target=self._run, name="outcomes", daemon=True)
        self._thread.start()

    def write(self, line: bytes) -> None:
        """Queue one JSON object, without its newline.  Never waits."""
        if self._closed:
            self.lost += 1
            return
        try:
            self._queue.put_nowait(line)
        except Full:
            self.lost += 1

    def close(self, timeout_s: float = 2.0) -> None:
        """Write what is queued, as far as the disk allows within ``timeout_s``, and close."""
        if self._closed:
            return
        self._closed = True
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
        data = memoryview(b"\n".join([*([b""] if self._torn else []), *lines, b""]))
        try:
            while data:
                data = data[self._file.write(data) or 0 :]
        except OSError as error:
            self.lost += min(len(lines), max(1, bytes(data).count(b"\n")))
            if not self._torn:  # once, and not for every part while the disk is full
                _log.error("Outcomes cannot be written: %s.", error)
            self._torn = True
        else:
            self._torn = False


def _ends_torn(path: Path) -> bool:
    """True if the last line of a file was cut off by a crash."""
    if not path.is_file() or not path.stat().st_size:
        return False
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"
