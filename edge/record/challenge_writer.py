"""Writes challenge records in a thread of its own: nobody who decides on a part waits for this disk."""

from __future__ import annotations

import logging
import threading
from collections import deque
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

from edge.errors import ChallengeError
from edge.record.challenge import Entry
from edge.record.challenge_archive import Archive

_log = logging.getLogger(__name__)

TRIES = 3
RETRY_S = 1.0
_KEPT = 64
_RECOVER = "recover"


@dataclass(frozen=True)
class Written:
    """What became of an entry: the entry as it is on the disk, or None and why it is not.  ``kind`` as it was asked."""

    kind: str
    entry: Entry | None
    problem: str = ""


class ChallengeWriter:
    """Appends to an archive.

    Args:
        archive: no other thread touches it from here on.
    """

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._queue: SimpleQueue[tuple[str, dict[str, Any]] | None] = SimpleQueue()
        self._done: deque[Written] = deque(maxlen=_KEPT)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="challenge", daemon=True)
        self._thread.start()

    def put(self, kind: str, data: dict[str, Any]) -> None:
        """Queue an entry.  Never waits; as people make these, there are few."""
        self._queue.put((kind, data))

    def recover(self) -> None:
        """Queue the end of a challenge that has none, of kind "recover".  Never waits."""
        self._queue.put((_RECOVER, {}))

    def take(self) -> list[Written]:
        """Return what became of entries since the last call, in order.  Never waits."""
        done = []
        while self._done:
            done.append(self._done.popleft())
        return done

    def close(self, timeout_s: float = 2.0) -> None:
        """Write what is queued, as far as the disk allows within ``timeout_s``."""
        self._stopping.set()
        self._queue.put(None)
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while (asked := self._queue.get()) is not None:
            self._done.append(self._write(*asked))

    def _write(self, kind: str, data: dict[str, Any]) -> Written:
        for left in reversed(range(TRIES)):
            try:
                return Written(kind, self._archive.recover() if kind == _RECOVER else self._archive.append(kind, data))
            except ChallengeError as error:
                _log.error("A challenge's record was not written: %s", error)
                problem = error.problem
            except Exception as error:  # noqa: BLE001 - else the thread ends, and nobody is told
                _log.exception("A challenge's record was not written.")
                problem = f"The record was not written ({type(error).__name__}: {error})."
            if left:
                self._stopping.wait(RETRY_S)
        return Written(kind, None, problem)
