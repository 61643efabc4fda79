"""Tells the service manager how this process is: ready, alive, stopping.  The protocol of sd_notify(3), by hand.

It is one datagram of ``NAME=value`` lines to the Unix socket that ``NOTIFY_SOCKET`` names.  Nothing here waits or
raises: a service manager that does not listen must not cost a verdict.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import MutableMapping

from edge.clock import NS_PER_S

_US_PER_S = 1_000_000
_NS_PER_US = NS_PER_S // _US_PER_S
_log = logging.getLogger(__name__)


class Notifier:
    """Speaks to the service manager, or to nobody where there is none.

    Args:
        address: of its datagram socket: a path, or a name in the abstract namespace, written ``@NAME``.  "": none.
        watchdog_ns: the process is ended where it is not ``alive`` for this long; 0: it is not watched.
    """

    def __init__(self, address: str = "", watchdog_ns: int = 0) -> None:
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self.watchdog_ns = watchdog_ns if address else 0
        self._failed = ""
        self._socket: socket.socket | None = None
        if address:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.setblocking(False)

    @classmethod
    def from_environment(cls, environment: MutableMapping[str, str] = os.environ) -> Notifier:
        """Take the service manager's words out of the environment, where no child process will find them.

        A watchdog that is meant for another process (``WATCHDOG_PID``) is none of ours.
        """
        address = environment.pop("NOTIFY_SOCKET", "")
        watched = environment.pop("WATCHDOG_USEC", "")
        meant = environment.pop("WATCHDOG_PID", str(os.getpid()))
        if not address.startswith(("/", "@")):
            if address:
                _log.warning("NOTIFY_SOCKET = %r is no Unix socket: the service manager is told nothing.", address)
            return cls()
        is_ours = watched.isdecimal() and meant == str(os.getpid())
        return cls(address, int(watched) * _NS_PER_US if is_ours else 0)

    def ready(self, text: str) -> bool:
        """Say that the start is complete; ``text`` says to people how it stands."""
        return self._tell("READY=1", _status(text))

    def alive(self, text: str) -> bool:
        """Feed the watchdog."""
        return self._tell("WATCHDOG=1", _status(text))

    def status(self, text: str) -> bool:
        """Say something to people, and nothing else."""
        return self._tell(_status(text))

    def stopping(self, within_s: float) -> bool:
        """Say that the end has begun.  The watchdog, which nobody feeds any more, is put off for ``within_s``."""
        lines = ["STOPPING=1"]
        if self.watchdog_ns:
            lines.append(f"WATCHDOG_USEC={int(within_s * _US_PER_S)}")
        return self._tell(*lines)

    def close(self) -> None:
        """Close the socket; what is said from now on is said to nobody."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _tell(self, *lines: str) -> bool:
        """Send, at once or never.  False where nobody took it; each new reason is logged once."""
        if self._socket is None:
            return False
        try:
            self._socket.sendto("\n".join(lines).encode(), self._address)
        except OSError as error:
            if (reason := error.strerror or str(error)) != self._failed:
                self._failed = reason
                _log.warning("The service manager takes no message: %s.", reason)
            return False
        self._failed = ""
        return True


def _status(text: str) -> str:
    return f"STATUS={' '.join(text.split())}"
