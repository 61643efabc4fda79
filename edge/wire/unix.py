"""Unix sockets whose file permissions say who may connect: right from the first moment on, and one owner at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from edge.errors import ConfigError, PortBusy

_LOCK_S = 1.0
_PROBE_S = 0.5


def listen(path: Path, mode: int, backlog: int, what: str) -> socket.socket:
    """Return a stream socket that listens at ``path``.

    Args:
        path: one left behind by a process that is gone is taken over; one that somebody listens at is not.
        mode: the file's permissions, such as 0o600.  Who may write to the file may connect.
        backlog: clients that may wait to be accepted.
        what: the configuration key that names the path, for the errors' remedies.

    Raises:
        PortBusy: another process listens there.
        ConfigError: the path cannot be used.
    """
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _alone_in(path.parent, what):
            _clear(path, what)
            os.fchmod(server.fileno(), mode)  # the file is made with these rights, so it is never open to more
            server.bind(str(path))
            path.chmod(mode)  # nor to less, whatever the umask
            server.listen(backlog)
    except OSError as error:
        server.close()
        raise ConfigError(f"{path}: no socket can be made ({error}).", f"choose another {what}.") from None
    except (PortBusy, ConfigError):
        server.close()
        raise
    return server


@contextlib.contextmanager
def _alone_in(folder: Path, what: str) -> Iterator[None]:
    """Hold a lock on the folder: of two processes that start at once, one finds the other listening."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        deadline = time.monotonic() + _LOCK_S
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise PortBusy(f"{folder} is locked by another process.", f"choose another {what}.") from None
                time.sleep(0.01)
        yield
    finally:
        os.close(descriptor)  # and with it the lock


def _clear(path: Path, what: str) -> None:
    """Remove a socket that nobody listens at any more.

    Raises:
        PortBusy: somebody does.
        ConfigError: the path is something else, which is not removed.
    """
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise ConfigError(f"{path} exists and is no socket.", f"move it away, or choose another {what}.")
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as probe:
        probe.settimeout(_PROBE_S)
        with contextlib.suppress(TimeoutError, BlockingIOError):  # its backlog is full: somebody listens
            try:
                probe.connect(str(path))
            except ConnectionRefusedError:
                path.unlink()  # left behind by a process that is gone
                return
    raise PortBusy(f"{path} is in use.", f"stop the other process, or choose another {what}.")
