"""Logging that cannot hold up whoever logs: a bounded queue, and a thread that writes to stderr."""

from __future__ import annotations

import atexit
import logging
import os
from logging.handlers import QueueHandler, QueueListener
from queue import Full, Queue
from typing import Any

_ROOM = 1000
_STDERR = 2
_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_TO_JOURNAL = "%(name)s: %(message)s"  # the journal has its own time and priority
_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))  # syslog(3)
_DEBUG_PRIORITY = 7


class _DroppingHandler(QueueHandler):
    """Drops what finds no room: a reader of stderr that stalls must not stall the line."""

    def enqueue(self, record: logging.LogRecord) -> None:
        """Add a record, or drop it."""
        try:
            self.queue.put_nowait(record)
        except Full:
            return


class _JournalFormatter(logging.Formatter):
    """Gives each line its priority, as sd-daemon(3) has it: `journalctl -p warning` then finds what it should."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as lines, each with its priority."""
        priority = next((number for level, number in _PRIORITIES if record.levelno >= level), _DEBUG_PRIORITY)
        return "\n".join(f"<{priority}>{line}" for line in super().format(record).splitlines())


def _formatter(descriptor: int, journal: str) -> logging.Formatter:
    """Return the format for a stream; ``journal`` is ``JOURNAL_STREAM``: the device and inode that lead there."""
    try:
        status = os.fstat(descriptor)
    except OSError:  # it is closed
        return logging.Formatter(_FORMAT)
    if journal == f"{status.st_dev}:{status.st_ino}":
        return _JournalFormatter(_TO_JOURNAL)
    return logging.Formatter(_FORMAT)


def start(level: int) -> None:
    """Log from ``level`` on to stderr, from a thread of its own; what is queued at exit is still written."""
    queue: Queue[Any] = Queue(_ROOM)
    writer = logging.StreamHandler()
    writer.setFormatter(_formatter(_STDERR, os.environ.get("JOURNAL_STREAM", "")))
    listener = QueueListener(queue, writer)
    listener.start()
    atexit.register(listener.stop)
    root = logging.getLogger()
    root.handlers[:] = [_DroppingHandler(queue)]
    root.setLevel(level)
    logging.getLogger("pymodbus").setLevel(logging.CRITICAL)  # it logs what it also raises, frame by frame
