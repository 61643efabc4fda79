"""The plant's console: a Unix socket by which a test hurts the running line and asks the referee.

One JSON object a line in, one out.  Requests::

    {"do": "fault", "name": N, ARGUMENT: number, ...}          break something at once; it mends itself
    {"do": "affected", "name": N, "begin": true | false}       tell the referee of a fault from outside
    {"do": "state"}                                            the referee's counts so far
    {"do": "look"}                                             what the line does, unjudged and cheap

Answers: ``{"ok": true, "at_ns": T, ...}``, or ``{"ok": false, "error": TEXT}``.
"""

from __future__ import annotations

import json
import selectors
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from edge import clock, errors

MAX_LINE = 4096
CLIENT_TIMEOUT_S = 10.0

Answer = Callable[[dict[str, Any], int], dict[str, Any]]
"""Answers one request at a time in monotonic ns; raises ``ValueError`` for one that makes no sense."""


class ConsoleError(errors.EdgeError):
    """The plant cannot be reached, or refused what it was asked."""


class ConsoleServer:
    """Answers in the thread that calls ``turn``, which never waits.

    Args:
        path: of the socket; removed and made anew.
        answer: of one request.

    Raises:
        PortBusy: the socket cannot be bound.
    """

    def __init__(self, path: Path, answer: Answer) -> None:
        self._path, self._answer = path, answer
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.setblocking(False)
        try:
            path.unlink(missing_ok=True)
            self._listener.bind(str(path))
            self._listener.listen()
        except OSError as error:
            self._listener.close()
            raise errors.PortBusy(
                f"The console {path} cannot be bound ({error}).", "choose another --console path"
            ) from error
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ, None)

    def turn(self) -> None:
        """Answer what has come."""
        for key, _ in self._selector.select(0):
            if key.data is None:
                self._accept()
            else:
                self._read(key.fileobj, key.data)  # type: ignore[arg-type]

    def close(self) -> None:
        """Close all connections and remove the socket."""
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
        self._selector.close()
        self._path.unlink(missing_ok=True)

    def _accept(self) -> None:
        with suppress(BlockingIOError, ConnectionError):  # gone again
            client, _ = self._listener.accept()
            client.setblocking(False)
            self._selector.register(client, selectors.EVENT_READ, bytearray())

    def _read(self, client: socket.socket, buffer: bytearray) -> None:
        try:
            data = client.recv(MAX_LINE)
        except BlockingIOError:
            return
        except ConnectionError:
            data = b""
        buffer += data
        if not data or len(buffer) > MAX_LINE:
            self._drop(client)
            return
        while b"\n" in buffer:
            line, _, rest = bytes(buffer).partition(b"\n")
            buffer[:] = rest
            try:
                client.sendall(json.dumps(self._reply(line)).encode() + b"\n")
            except OSError:  # it does not read, or is gone
                self._drop(client)
                return

    def _reply(self, line: bytes) -> dict[str, Any]:
        now_ns = clock.now_ns()
        try:
            request = json.loads(line)
            if not isinstance(request, dict):
                raise ValueError("a request is a JSON object")
            return {"ok": True, "at_ns": now_ns, **self._answer(request, now_ns)}
        except (ValueError, RecursionError) as error:  # the latter of a line of brackets
            return {"ok": False, "error": str(error)}

    def _drop(self, client: socket.socket) -> None:
        self._selector.unregister(client)
        client.close()


class Console:
    """A caller's side of the console; use it as a context manager, or ``close`` it.

    Args:
        path: of the plant's ``--console``.

    Raises:
        ConsoleError: nothing answers there.
    """

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(CLIENT_TIMEOUT_S)
        try:
            self._socket.connect(str(path))
        except OSError as error:
            self._socket.close()
            raise ConsoleError(f"No plant answers at {path} ({error}).", "start it with --console") from error
        self._answers = self._socket.makefile("rb")

    def __enter__(self) -> Console:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._answers.close()
        self._socket.close()

    def fault(self, name: str, **args: float) -> int:
        """Start a fault; return when it began, in monotonic ns."""
        return int(self._ask({"do": "fault", "name": name, **args})["at_ns"])

    def begin(self, name: str) -> int:
        """Tell the referee that a fault from outside begins; return when."""
        return int(self._ask({"do": "affected", "name": name, "begin": True})["at_ns"])

    def end(self, name: str, allowance_ms: float | None = None) -> int:
        """Tell the referee that it is over, and how long the line may take to recover; return when."""
        extra = {} if allowance_ms is None else {"allowance_ms": allowance_ms}
        return int(self._ask({"do": "affected", "name": name, "begin": False, **extra})["at_ns"])

    def state(self) -> dict[str, Any]:
        """Return the referee's counts so far, and what the line does."""
        return self._ask({"do": "state"})

    def look(self) -> dict[str, Any]:
        """Return what the line does and what lies in its bins, unjudged: cheap enough to be asked all the time."""
        return self._ask({"do": "look"})

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        try:
            self._socket.sendall(json.dumps(request).encode() + b"\n")
            line = self._answers.readline()
        except OSError as error:
            raise ConsoleError(f"The plant did not answer {request} ({error}).", "see whether it runs") from error
        if not line:
            raise ConsoleError(f"The plant has closed its console, asked for {request}.", "see whether it still runs")
        answer: dict[str, Any] = json.loads(line)
        if not answer["ok"]:
            raise ConsoleError(f"The plant refused {request}: {answer['error']}.", "mend the request")
        return answer
