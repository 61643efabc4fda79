"""What a soak measures from outside: memory, file descriptors and threads of each process, and what it publishes."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any

import zmq

from edge.clock import now_ns
from edge.errors import WireError
from edge.wire import messages as wire
from edge.wire.sockets import Context, connect, receive

_END_SHARE, _LOW = 10, 0.1
"""Of the samples the first and the last tenth count, of their memory the low 10 % quantile: what is there at its
emptiest.  A collection that is due soon is no growth, and what is held for a while hides none."""


@dataclass(frozen=True)
class Sample:
    """One process at one moment.

    Attributes:
        parts: plates that had met the eye by then.
        pid: tells the process from those before and after it of the same name.
        rss_kb: resident memory.
        fds, threads: how many.
    """

    parts: int
    pid: int
    rss_kb: int
    fds: int
    threads: int


def sample(pid: int, parts: int) -> Sample | None:
    """Read `/proc`; None where the process has ended."""
    folder = Path("/proc") / str(pid)
    try:
        values = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
        fds = sum(1 for _ in (folder / "fd").iterdir())
        return Sample(parts, pid, int(values["VmRSS"].split()[0]), fds, int(values["Threads"]))
    except (OSError, KeyError):  # gone, or a zombie, which has no memory
        return None


def growth(samples: Iterable[Sample], first: int, last: int) -> dict[str, Any]:
    """Compare a process at the beginning and the end of the stretch in which it was not replaced.

    Args:
        samples: of one name, in order.
        first, last: parts between which the stretch lies.

    Returns:
        Numbers at both ends, and the growth of memory in %; ``restarts`` other than 0 make that meaningless.
    """
    inside = [s for s in samples if first <= s.parts <= last]
    if len(inside) < 2:
        return {"samples": len(inside)}
    share = max(1, len(inside) // _END_SHARE)
    head, tail = inside[:share], inside[-share:]
    before, after = _low_rss_kb(head), _low_rss_kb(tail)
    return {
        "samples": len(inside),
        "parts": [inside[0].parts, inside[-1].parts],
        "restarts": sum(a.pid != b.pid for a, b in pairwise(inside)),
        "rss_kb": [before, after],
        "growth_percent": round(100 * (after - before) / before, 2),
        "fds": [_median(head, "fds"), _median(tail, "fds")],
        "threads": [_median(head, "threads"), _median(tail, "threads")],
    }


def _low_rss_kb(samples: list[Sample]) -> int:
    return sorted(s.rss_kb for s in samples)[int(_LOW * (len(samples) - 1))]


def _median(samples: list[Sample], what: str) -> int:
    return round(float(statistics.median(getattr(s, what) for s in samples)))


class Statuses:
    """Listens to what station and gateway publish of themselves; use it as a context manager.

    Args:
        endpoints: of their telemetry.

    Attributes:
        station, gateway: the last word of each, None before it has spoken.
        heard_ns: by process name, when that was.
    """

    def __init__(self, *endpoints: str) -> None:
        self.station: wire.StationStatus | None = None
        self.gateway: wire.GatewayStatus | None = None
        self.heard_ns = {"station": 0, "gateway": 0}
        self._context = Context()
        self._socket = connect(self._context, zmq.SUB, endpoints[0])
        self._socket.unsubscribe(b"")
        for topic in self.heard_ns:
            self._socket.subscribe(topic.encode())
        for endpoint in endpoints[1:]:
            self._socket.connect(endpoint)

    def __enter__(self) -> Statuses:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()
        self._context.term()

    def wait(self, timeout_ms: int) -> None:
        """Take what comes until ``timeout_ms`` are over, or until nothing more waits after that."""
        if self._socket.poll(timeout_ms):
            while (frames := receive(self._socket)) is not None:
                try:
                    message = wire.decode_published(frames[-1])
                except WireError:
                    continue  # half a message of a process that was killed
                if isinstance(message, wire.StationStatus):
                    self.station, self.heard_ns["station"] = message, now_ns()
                elif isinstance(message, wire.GatewayStatus):
                    self.gateway, self.heard_ns["gateway"] = message, now_ns()
