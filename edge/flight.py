"""The flight recorder: the last events of every thread, in a ring of fixed size, written out when something breaks.

``mark``, ``begin`` and ``end`` may stand anywhere, the signal path included: one entry is one write of 24 bytes into
memory that was allocated at the start.  A dump is a trace in Chrome's JSON format, which Perfetto shows
(https://ui.perfetto.dev): a row a thread, with instants and durations on one time axis, ``CLOCK_MONOTONIC``.

The recorder is the process's own, like its log: the functions here act on the one that ``start`` made, and do nothing
where none was.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import re
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timezone
from itertools import count
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import Any, TextIO

from edge.clock import NS_PER_S, boot_id, now_ns, wall_iso
from edge.errors import ConfigError

_log = logging.getLogger(__name__)

REST_NS = 10 * NS_PER_S
"""The same reason asks for a trace at most this often: what breaks for a minute is one fault and not a full disk."""

_ENTRY = struct.Struct("=qqHHI")  # when, value, name, thread, what
_INSTANT, _BEGIN, _END = 0, 1, 2
_MOST_NAMES = _MOST_THREADS = 4096  # names are literals and threads are few: beyond this all share the first
_WAITING = 8  # requests
_REASONS = 64  # that are remembered
_COPIED = 1 << 20  # bytes of the ring between two rests of the copying: 0.1 ms
_SLICE = 256  # entries written between two rests, so that no other thread waits for the interpreter
_REST_S = 0.001
_MOMENT = "????????T??????.??????"  # in a file's name


class _Recorder:
    """One process's ring, and the thread that writes it out."""

    def __init__(self, events: int, folder: Path, keep: int, process: str) -> None:
        self.folder, self._keep, self.process = folder, keep, process
        self.size = events
        self.ring = bytearray(b"\xff") * (events * _ENTRY.size)  # written once: every page is there from the start
        self.ring[:] = bytes(len(self.ring))
        self.next = count().__next__  # one call of C code: no two threads get the same number
        self.pack = _ENTRY.pack_into  # likewise: an entry is written whole, or not yet
        self.local = threading.local()
        self._names: dict[str, int] = {"(other)": 0}
        self._threads: list[tuple[str, int]] = [("(other)", 0)]
        self._lock = threading.Lock()  # of the two tables above, when they grow
        self._asked: dict[str, int] = {}
        self._requests: SimpleQueue[str | None] = SimpleQueue()
        self._stem = re.sub(r"[^A-Za-z0-9._-]+", "-", process)
        self._thread = threading.Thread(target=self._run, name="flight", daemon=True)
        self._thread.start()

    def put(self, what: int, name: str, value: int) -> None:
        try:
            thread = self.local.index
        except AttributeError:
            thread = self._enrol()
        known = self._names.get(name)
        if known is None:
            known = self._name(name)
        self.pack(self.ring, self.next() % self.size * _ENTRY.size, now_ns(), value, known, thread, what)

    def _enrol(self) -> int:
        thread = threading.current_thread()
        with self._lock:
            index = len(self._threads) if len(self._threads) < _MOST_THREADS else 0
            if index:
                self._threads.append((thread.name, thread.native_id or 0))
        self.local.index = index
        return index

    def _name(self, name: str) -> int:
        with self._lock:
            return self._names.setdefault(name, len(self._names)) if len(self._names) < _MOST_NAMES else 0

    # -- writing ----------------------------------------------------------------------------------------------------

    def request(self, reason: str) -> None:
        now = now_ns()
        if now - self._asked.get(reason, now - REST_NS) < REST_NS or self._requests.qsize() >= _WAITING:
            return
        if len(self._asked) >= _REASONS:
            self._asked.clear()
        self._asked[reason] = now
        self._requests.put(reason)

    def stop(self, timeout_s: float) -> None:
        self._requests.put(None)
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while (reason := self._requests.get()) is not None:
            try:
                _log.warning("Flight trace %s: %s", self.write(reason), reason)
            except OSError as error:
                _log.error("No flight trace of %r: %s", reason, error)

    def write(self, reason: str) -> Path:
        moment = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S.%f")
        path = self.folder / f"{self._stem}-{moment}.trace.json"
        self.dump(path, reason)
        for old in sorted(self.folder.glob(f"{self._stem}-{_MOMENT}.trace.json"))[: -self._keep]:
            old.unlink(missing_ok=True)
        return path

    def dump(self, path: Path, reason: str) -> None:
        oldest = (self.next() + 1) % self.size  # the place so claimed stays as it was, and is left out
        taken_ns = now_ns()
        ring = self._copy()
        partial = path.with_name(f"{path.name}.part")
        try:
            with partial.open("w", encoding="utf-8") as file:
                self._head(file, reason)
                for number, event in enumerate(self._events(ring, oldest, taken_ns)):
                    if number % _SLICE == 0:
                        time.sleep(_REST_S)
                    file.write(",\n" + json.dumps(event, separators=(",", ":")))
                file.write("\n]}\n")
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)

    def _copy(self) -> bytearray:
        copy = bytearray()
        for start in range(0, len(self.ring), _COPIED):
            copy += self.ring[start : start + _COPIED]
            time.sleep(0)
        return copy

    def _head(self, file: TextIO, reason: str) -> None:
        told = {"reason": reason, "process": self.process, "written": wall_iso(), "boot": boot_id()}
        file.write(f'{{"displayTimeUnit":"ms","otherData":{json.dumps(told)},"traceEvents":[\n')
        file.write(",\n".join(json.dumps(event, separators=(",", ":")) for event in self._metadata(reason)))

    def _metadata(self, reason: str) -> Iterator[dict[str, Any]]:
        pid = os.getpid()
        yield {"ph": "M", "name": "process_name", "pid": pid, "tid": 0, "args": {"name": self.process}}
        for name, tid in self._threads[1:]:
            yield {"ph": "M", "name": "thread_name", "pid": pid, "tid": tid, "args": {"name": name}}
        yield {"ph": "i", "s": "g", "name": reason, "pid": pid, "tid": 0, "ts": now_ns() / 1000}

    def _events(self, ring: bytearray, oldest: int, until_ns: int) -> Iterator[dict[str, Any]]:
        """Yield the entries from the oldest on, without those that came while the ring was copied.

        An end whose begin has been overwritten is left out.
        """
        names = {known: name for name, known in list(self._names.items())}
        pid, depth = os.getpid(), [0] * len(self._threads)
        for place in range(oldest, oldest + self.size - 1):
            at_ns, value, name, thread, what = _ENTRY.unpack_from(ring, place % self.size * _ENTRY.size)
            if not 0 < at_ns <= until_ns:
                continue
            event = {"name": names[name], "pid": pid, "tid": self._threads[thread][1], "ts": at_ns / 1000}
            if what == _INSTANT:
                yield {"ph": "i", "s": "t", **event, "args": {"value": value}}
            elif what == _BEGIN:
                depth[thread] += 1
                yield {"ph": "B", **event, "args": {"value": value}}
            elif depth[thread] > 0:
                depth[thread] -= 1
                yield {"ph": "E", **event}


_recorder: _Recorder | None = None
_hooks: tuple[Callable[..., Any], Callable[..., Any]] | None = None  # of sys and threading, as they were


def start(config_events: int, folder: Path | None, keep: int, process: str) -> None:
    """Begin to record.  The thread that writes traces takes the priority of the thread that calls this.

    Args:
        config_events: how many events the ring holds; 24 bytes each, allocated now.
        folder: where traces are written, or None to record nothing.
        keep: how many traces of this process are kept there; the oldest go.
        process: its name in the traces and their file names.

    Raises:
        ConfigError: the folder cannot be used.
    """
    global _recorder, _hooks  # noqa: PLW0603 - one recorder a process, like its log
    stop()
    if folder is None:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"flight.folder = '{folder}' cannot be used: {error}.", "name a folder that this user may write."
        ) from error
    _recorder = _Recorder(config_events, folder, keep, process)
    _hooks = (sys.excepthook, threading.excepthook)
    sys.excepthook, threading.excepthook = _on_exception, _on_thread_exception
    atexit.register(stop)


def mark(name: str, value: int = 0) -> None:
    """Record an instant of the calling thread.

    Args:
        name: a literal; at most 4096 different ones are told apart.
        value: shown with it, signed 64 bit: a part number, a count.
    """
    if (recorder := _recorder) is not None:  # once: another thread may stop it meanwhile
        recorder.put(_INSTANT, name, value)


def begin(name: str, value: int = 0) -> None:
    """Record that something begins in the calling thread; see ``mark``.  Durations of a thread nest."""
    if (recorder := _recorder) is not None:
        recorder.put(_BEGIN, name, value)


def end(name: str) -> None:
    """Record the end of what the calling thread began last."""
    if (recorder := _recorder) is not None:
        recorder.put(_END, name, 0)


def request(reason: str) -> None:
    """Have a trace written to the folder by the recorder's own thread.  Never waits.

    The same reason is heard once in 10 s, and at most 8 requests wait for the disk.
    """
    if (recorder := _recorder) is not None:
        recorder.request(reason)


def write(reason: str) -> Path | None:
    """Write a trace to the folder now, in the calling thread, which waits for the disk.

    Returns:
        Where it lies; None where nothing is recorded.

    Raises:
        OSError: the disk does not take it.
    """
    recorder = _recorder
    return None if recorder is None else recorder.write(reason)


def dump(path: Path, reason: str) -> None:
    """Write a trace to ``path`` now, as ``write`` does; it appears there when it is complete."""
    if (recorder := _recorder) is not None:
        recorder.dump(path, reason)


def stop(timeout_s: float = 2.0) -> None:
    """Write what is requested, for at most ``timeout_s``, and end the recording."""
    global _recorder, _hooks  # noqa: PLW0603
    recorder, hooks = _recorder, _hooks
    _recorder = _hooks = None
    if hooks is not None:
        if sys.excepthook is _on_exception:
            sys.excepthook = hooks[0]
        if threading.excepthook is _on_thread_exception:
            threading.excepthook = hooks[1]
    if recorder is not None:
        atexit.unregister(stop)
        recorder.stop(timeout_s)


def _on_exception(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    hooks = _hooks
    with suppress(Exception):  # an exception's own text may raise
        request(f"unhandled {kind.__name__}: {error}")
    (sys.__excepthook__ if hooks is None else hooks[0])(kind, error, trace)


def _on_thread_exception(args: threading.ExceptHookArgs) -> None:
    hooks = _hooks
    name = args.thread.name if args.thread is not None else "thread"
    with suppress(Exception):
        request(f"unhandled {args.exc_type.__name__} in {name}: {args.exc_value}")
    (threading.__excepthook__ if hooks is None else hooks[1])(args)
