"""The control socket: a Unix socket whose file permissions say who may command; one JSON line in, one out.

The thread that serves it carries nothing out.  It posts each command to the loop that owns what the command is about,
waits for that loop's answer, and has every command recorded.  A client that is slow, talks nonsense or goes away costs
this thread at most ``CLIENT_S``, and the loop nothing.
"""

from __future__ import annotations

import contextlib
import logging
import pwd
import select
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from queue import Full
from typing import Any

import msgspec

from edge.errors import ControlError
from edge.wire import unix

_log = logging.getLogger(__name__)

MAX_REQUEST = 4096
MAX_ANSWER = 262_144
CLIENT_S = 2.0
ANSWER_S = 1.0
REQUEST_S = 5.0  # a client in front may take CLIENT_S and ANSWER_S
_BACKLOG = 8
_UCRED = struct.Struct("3i")  # pid, uid, gid; see unix(7)

Scalar = str | int | float | bool | None


@dataclass(frozen=True)
class Peer:
    """Who is at the other end, as the kernel says (SO_PEERCRED)."""

    uid: int
    user: str
    pid: int


class _Request(msgspec.Struct, forbid_unknown_fields=True):
    command: str
    arguments: dict[str, Scalar] = {}


@dataclass(frozen=True)
class Answer:
    """What became of a command.  ``extra`` travels as further keys beside ``ok`` and ``text``."""

    ok: bool
    text: str
    extra: dict[str, Any]


class Command:
    """A command on its way to the loop that carries it out.

    The loop calls ``take`` first, and leaves a command alone that answers False: its sender has been told so.  Then it
    does what is asked, and calls ``answer``.

    Attributes:
        name, arguments: as the client gave them; nothing is checked but that arguments are scalars.
        peer: who asks.
    """

    def __init__(self, name: str, arguments: dict[str, Scalar], peer: Peer) -> None:
        self.name, self.arguments, self.peer = name, arguments, peer
        self._changed = threading.Condition()
        self._taken = self._withdrawn = False
        self._answer: Answer | None = None

    def take(self) -> bool:
        """Claim the command.  False once its sender has been told that it was not carried out."""
        with self._changed:
            self._taken = not self._withdrawn
            return self._taken

    def answer(self, ok: bool, text: str, **extra: Any) -> None:
        """Say what became of the command; ``extra`` must be plain values.  The first answer counts.  Never waits."""
        with self._changed:
            if self._answer is None:
                self._answer = Answer(ok, text, extra)
                self._changed.notify_all()

    def wait(self, timeout_s: float) -> Answer:
        """Return the loop's answer.  Without one in time, withdraw the command, or say that it is under way."""
        with self._changed:
            self._changed.wait_for(lambda: self._answer is not None, timeout_s)
            if self._answer is not None:
                return self._answer
            if self._taken:
                text = f"{self.name!r} was begun and has not ended within {timeout_s:g} s; ask for the status."
            else:
                self._withdrawn = True
                text = f"The process did not answer within {timeout_s:g} s; {self.name!r} was withdrawn."
            return Answer(False, text, {})


class ControlThread:
    """Listens at ``path`` and serves one client after the other in a thread of its own.

    Args:
        path: of the socket.  One left behind is taken over; one that somebody listens at is not.
        mode: the file's permissions, such as 0o600, or 0o660 for a group.
        post: hands a command to the loop that carries it out, or raises ``queue.Full``.  Must not wait; called from
            this thread.
        record: told of each command and what became of it, before the client is.  Called from this thread.

    Attributes:
        malformed: requests that could not be understood.

    Raises:
        PortBusy: another process listens there.
        ConfigError: the path cannot be used.
    """

    def __init__(
        self,
        path: Path,
        mode: int,
        post: Callable[[Command], None],
        record: Callable[[Command, Answer], None] | None = None,
    ) -> None:
        self.malformed = 0
        self._path, self._post, self._record = path, post, record
        self._socket = unix.listen(path, mode, _BACKLOG, "control.path")
        self._inode = path.stat().st_ino
        self._waker, self._wake = socket.socketpair()
        self._thread = threading.Thread(target=self._run, name="control", daemon=True)

    def start(self) -> None:
        """Serve."""
        self._thread.start()

    def close(self) -> None:
        """End the thread, and remove the socket if it is still this one."""
        self._waker.close()  # the other end becomes readable
        if self._thread.ident is not None:
            self._thread.join(CLIENT_S + ANSWER_S)
        with contextlib.suppress(FileNotFoundError):
            if self._path.stat().st_ino == self._inode:
                self._path.unlink()
        self._socket.close()
        self._wake.close()

    def _run(self) -> None:
        while True:
            readable, _, _ = select.select([self._socket, self._wake], [], [])
            if self._wake in readable:
                return
            try:
                client, _ = self._socket.accept()
            except OSError as error:  # gone before it was served, or no descriptor left
                _log.warning("A control client cannot be accepted: %s.", error)
                time.sleep(0.1)
                continue
            with client:
                self._serve(client)

    def _serve(self, client: socket.socket) -> None:
        deadline = time.monotonic() + CLIENT_S
        try:
            peer = _peer(client)
            try:
                answer = self._carry(_read(client, deadline), peer)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
                self.malformed += 1
                answer = Answer(False, f"The request cannot be understood: {error}.", {})
            client.settimeout(CLIENT_S)
            client.sendall(_encoded(answer))
        except OSError as error:  # includes a time-out
            self.malformed += 1
            _log.info("A control client was dropped: %s.", error)

    def _carry(self, line: bytes, peer: Peer) -> Answer:
        request = _decoder.decode(line)
        command = Command(request.command, request.arguments, peer)
        try:
            self._post(command)
        except Full:
            answer = Answer(False, "The process has too many commands waiting.", {})
        else:
            answer = command.wait(ANSWER_S)
        if self._record is not None:
            self._record(command, answer)
        return answer


def request(path: Path | str, name: str, /, **arguments: Scalar) -> dict[str, Any]:
    """Send one command to the socket at ``path`` and return the answer: ``ok``, ``text`` and what else belongs to it.

    Raises:
        ControlError: there is no such socket, it may not be used, nobody listens, or no answer comes.
    """
    data = msgspec.json.encode({"command": name, "arguments": arguments}) + b"\n"
    if len(data) > MAX_REQUEST:
        raise ControlError(f"The command {name!r} has {len(data)} bytes.", f"keep it within {MAX_REQUEST}.")
    try:
        with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as client:
            client.settimeout(REQUEST_S)
            client.connect(str(path))
            client.sendall(data)
            line = _read(client, time.monotonic() + REQUEST_S, MAX_ANSWER)
    except OSError as error:
        raise _unreachable(path, error) from None
    except ValueError as error:
        raise ControlError(f"{path} gave no whole answer ({error}).", "see the log of the process there.") from None
    try:
        answer = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        answer = None
    if not isinstance(answer, dict) or not isinstance(answer.get("ok"), bool) or "text" not in answer:
        raise ControlError(f"{path} answered what is no answer.", "check that it is a control socket.")
    return answer


def _unreachable(path: Path | str, error: OSError) -> ControlError:
    if isinstance(error, FileNotFoundError):
        return ControlError(f"There is no control socket {path}.", "start the process; see control.path in its config.")
    if isinstance(error, PermissionError):
        return ControlError(f"{path} may not be used by you.", "use an account that control.mode admits.")
    if isinstance(error, ConnectionRefusedError):
        return ControlError(f"Nobody listens at {path}.", "start the process that serves it.")
    if isinstance(error, TimeoutError):
        return ControlError(f"{path} did not answer within {REQUEST_S:g} s.", "see whether the process hangs.")
    return ControlError(f"{path} cannot be used ({error}).", "check that it is a control socket.")


_decoder = msgspec.json.Decoder(_Request)


def _encoded(answer: Answer) -> bytes:
    try:
        data = msgspec.json.encode({**answer.extra, "ok": answer.ok, "text": answer.text})
    except (TypeError, ValueError, RecursionError) as error:  # of the process, not of the client: it says so to both
        _log.error("An answer to a control command cannot be encoded: %s.", error)
        data = msgspec.json.encode({"ok": answer.ok, "text": f"{answer.text} (Its details cannot be encoded.)"})
    return data + b"\n"


def _read(peer: socket.socket, deadline: float, most: int = MAX_REQUEST) -> bytes:
    """Return one line without its end.  Raises ``ValueError`` where it is none, ``TimeoutError`` past ``deadline``."""
    data = bytearray()
    while not data.endswith(b"\n"):
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the line took too long")
        peer.settimeout(left)
        chunk = peer.recv(most + 1 - len(data))
        if not chunk:
            raise ValueError("the line has no end")
        data += chunk
        if len(data) > most:
            raise ValueError(f"the line is longer than {most} bytes")
    return bytes(data[:-1])


def _peer(client: socket.socket) -> Peer:
    pid, uid, _ = _UCRED.unpack(client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    try:
        user = pwd.getpwuid(uid).pw_name
    except KeyError:  # a user of another host or container
        user = str(uid)
    return Peer(uid, user, pid)
