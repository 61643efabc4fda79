"""Logging that cannot hold up whoever logs: a bounded queue, and a thread that writes to stderr."""

from __future__ import annotations

import atexit
import logging
from logging.handlers import QueueHandler, QueueListener
from queue import Full, Queue
from typing import Any

_ROOM = 1000
_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class _DroppingHandler(QueueHandler):
    """Drops what finds no room: a reader of stderr that stalls must not stall the line."""

    def enqueue(self, record: logging.LogRecord) -> None:
        """Add a record, or drop it."""
        try:
            self.queue.put_nowait(record)
        except Full:
            return


def start(level: int) -> None:
    """Log from ``level`` on to stderr, from a thread of its own; what is queued at exit is still written."""
    queue: Queue[Any] = Queue(_ROOM)
    writer = logging.StreamHandler()
    writer.setFormatter(logging.Formatter(_FORMAT))
    listener = QueueListener(queue, writer)
    listener.start()
    atexit.register(listener.stop)
    root = logging.getLogger()
    root.handlers[:] = [_DroppingHandler(queue)]
    root.setLevel(level)
    logging.getLogger("pymodbus").setLevel(logging.CRITICAL)  # it logs what it also raises, frame by frame
