"""How threads tell the signal thread what happened: a queue that a poller can wait for."""

from __future__ import annotations

import os
from collections import deque
from typing import Generic, TypeVar

Event = TypeVar("Event")


class Mailbox(Generic[Event]):
    """Many threads post, one takes.  ``fd`` becomes readable when there is something to take (Linux eventfd)."""

    def __init__(self) -> None:
        self._events: deque[Event] = deque()
        self.fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def post(self, event: Event) -> None:
        """Add an event.  Never waits, and is safe from any thread."""
        self._events.append(event)
        os.eventfd_write(self.fd, 1)

    def take(self) -> list[Event]:
        """Return all events, oldest first."""
        try:
            os.eventfd_read(self.fd)
        except BlockingIOError:
            return []
        return [self._events.popleft() for _ in range(len(self._events))]

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self.fd)
