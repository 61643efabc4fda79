"""Unix sockets whose file permissions say who may connect: right from the first moment on, and one owner at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import stat
import struct
import time
from collections.abc import Iterator
from pathlib import Path

from edge.errors import ConfigError, PortBusy

_LOCK_S = 1.0
_PROBE_S = 0.5
_ROOT = 0
_CREDENTIALS = struct.Struct("=iII")  # process, user, group: unix(7)


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
        with alone(path, what):
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


def is_open(path: Path) -> bool:
    """True where any user of the host may put a socket of his own in the place of ``path``."""
    try:
        return bool(path.parent.stat().st_mode & stat.S_IWOTH)
    except OSError:
        return False  # no folder, no socket


def is_trusted(descriptor: int) -> bool:
    """True where root or this process's user listens at the other end of a Unix socket."""
    try:
        with socket.socket(fileno=os.dup(descriptor)) as connection:
            told = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    except OSError:
        return False  # it has ended
    return _CREDENTIALS.unpack(told)[1] in (_ROOT, os.geteuid())


@contextlib.contextmanager
def alone(path: Path, what: str) -> Iterator[None]:
    """Hold ``path`` against others who do the same: of two processes that start at once, one finds the other listening.

    The lock is a file beside it that no other user may open, and which is gone afterwards.

    Args:
        path: what is held.
        what: the configuration key that names the path, for the errors' remedies.

    Raises:
        PortBusy: somebody holds it for longer than a second.
        OSError: no file can be made there.
    """
    lock = path.with_name(f".{path.name}.lock")
    deadline = time.monotonic() + _LOCK_S
    while (descriptor := _take(lock)) is None:
        if time.monotonic() > deadline:
            raise PortBusy(f"{path} is locked by another process.", f"choose another {what}.")
        time.sleep(0.01)
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)  # while it is held: whoever waits for it finds that it is gone
        os.close(descriptor)


def sync(folder: Path) -> None:
    """Make what came into ``folder``, or was replaced in it, last through a power cut.

    Raises:
        OSError: the disk does not do as asked.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _take(lock: Path) -> int | None:
    """Return the descriptor of a lock file that is held, or None where somebody else holds it."""
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(descriptor).st_nlink:  # else whoever held it has removed it meanwhile
            return descriptor
    except BlockingIOError:
        pass
    os.close(descriptor)
    return None


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
