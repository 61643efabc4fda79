"""Protections of the station, and how each is taken out."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edge.core.match import Kind, Match, Matcher
from edge.core.part import FrameInfo
from tests.faults.matrix.protections import Protection, put


class InOrder(Matcher):
    """A matcher that takes each frame for the oldest part that waits for one."""

    def _find(self, info: FrameInfo) -> Match:
        if not self._waiting:
            return self._hold_or_stray(info)
        return Match(Kind.MATCHED, info, (next(iter(self._waiting)),))


def match_by_counter() -> None:
    """A station that matches frames by order alone."""
    from edge.station import sizing

    put(sizing, "Matcher", InOrder)


def hang_watch() -> None:
    """A station that waits for its engine for ever."""
    from edge.station.inspection import InspectThread

    put(InspectThread, "hung", lambda *_: False)


def deadline() -> None:
    """A station whose parts have no deadline."""
    from edge.core.ledger import PartLedger

    put(PartLedger, "expire", lambda *_: [])
    put(PartLedger, "next_deadline_ns", lambda *_: None)


def engine_guard() -> None:
    """A station whose inspect thread ends with the first exception of the engine."""
    from edge.station.inspection import InspectThread

    def verdict(self: Any, lease: Any, rules: Sequence[Any]) -> Any:
        return self._inspector.inspect(self._pool.frame(lease), rules)

    put(InspectThread, "_verdict", verdict)


def finite_check() -> None:
    """A station that takes what is no number for nothing found."""
    import numpy as np

    from edge.engine import inspector

    class Blind:
        """NumPy, to which every number is finite."""

        def __getattr__(self, name: str) -> Any:
            return (lambda values: np.ones(values.shape, bool)) if name == "isfinite" else getattr(np, name)

    put(inspector, "np", Blind())


def pool_bound() -> None:
    """A station that takes more memory for each frame that waits."""
    from edge.core.pool import FramePool, Purpose

    before = FramePool.__init__

    def endless(pool: FramePool, slots: int, shape: tuple[int, ...], *_: Any) -> None:
        before(pool, 20 * slots, shape, dict.fromkeys(Purpose, 20 * slots))

    put(FramePool, "__init__", endless)


def strict_config() -> None:
    """A station that ignores keys which it does not know."""
    from edge.config import load  # a function, whose name hides its module

    def parse(values: dict[str, Any], tree: Any, _: str) -> Any:
        return tree.model_validate({key: value for key, value in values.items() if key in tree.model_fields})

    put(sys.modules[load.__module__], "parse", parse)


def model_hash() -> None:
    """A station that does not compare a package's files with its manifest."""
    from edge.model.package import ModelPackage

    put(ModelPackage, "read", lambda package, file: (package.path / file).read_bytes())


def monotonic_clock() -> None:
    """A station that reads the wall clock."""
    ahead_ns = time.monotonic_ns() - time.time_ns()
    put(time, "monotonic_ns", lambda: time.time_ns() + ahead_ns)


def journal_apart() -> None:
    """A station whose loop waits for the journal's disk."""
    from edge.record.journal import Journal, Row

    before = Journal.put

    def waiting(journal: Journal, row: Row) -> None:
        before(journal, row)
        while journal.status().problem:
            time.sleep(0.001)

    put(Journal, "put", waiting)


def evidence_apart() -> None:
    """A station whose loop waits until a picture is on its disk."""
    from edge.station.evidence import FrameEvidence

    before = FrameEvidence.keep

    def waiting(evidence: FrameEvidence, *offer: Any) -> bool:
        kept = before(evidence, *offer)
        offered = evidence._offered.values()
        while kept and evidence._writer.status().waiting > sum(shot is not None for _, shot in offered):
            time.sleep(0.001)
        return kept

    put(FrameEvidence, "keep", waiting)


def monitor_apart() -> None:
    """A station whose loop waits for an answer of the monitor with each part."""
    from edge.station.reporting import Reporter

    port = Path(sys.argv[2]).parent / "monitor.port"  # of: run CONFIG
    record = Reporter._record

    def asking(reporter: Reporter, *part: Any) -> None:
        with socket.create_connection(("127.0.0.1", int(port.read_text()))) as monitor:
            monitor.sendall(b"GET / HTTP/1.0\r\n\r\n")
            monitor.recv(1)
        record(reporter, *part)

    put(Reporter, "_record", asking)


PROTECTIONS: tuple[Protection, ...] = (
    Protection(
        "match_by_counter",
        "frames are matched by counter and time, never by order",
        "station",
        match_by_counter,
        "frame lost at 1200 a minute",
        "another part's frame",
    ),
    Protection(
        "hang_watch", "a hung engine ends the process", "station", hang_watch, "hung engine", "station did not end"
    ),
    Protection(
        "deadline", "a part closes at its deadline", "station", deadline, "hung engine", "has cause .*compute_timeout"
    ),
    Protection(
        "engine_guard",
        "an exception costs its part the decision, never the thread",
        "station",
        engine_guard,
        "engine exception",
        "has cause .*engine_fault",
    ),
    Protection(
        "finite_check",
        "what is no number decides nothing",
        "station",
        finite_check,
        "non-finite output",
        "in mid-fault",
    ),
    Protection(
        "pool_bound",
        "frames have a bounded place, allocated once",
        "station",
        pool_bound,
        "pool exhausted",
        "has cause .*pool_exhausted",
    ),
    Protection(
        "strict_config", "unknown keys are refused", "station", strict_config, "bad config", "station did not end"
    ),
    Protection(
        "model_hash",
        "each file of a package has its sha256 in the manifest",
        "station",
        model_hash,
        "corrupt model",
        "station did not end|is not in the log|exit code",
    ),
    Protection(
        "monitor_apart",
        "nobody waits for the monitor",
        "station",
        monitor_apart,
        "monitor hung",
        "of the good parts that the fault must not harm passed",
    ),
    Protection(
        "journal_apart",
        "the journal has a thread of its own",
        "station",
        journal_apart,
        "journal disk stalled",
        "of the good parts that the fault must not harm passed|was never shown",
    ),
    Protection(
        "evidence_apart",
        "evidence has a thread of its own, and slots that nobody else needs",
        "station",
        evidence_apart,
        "evidence disk stalled",
        "of the good parts that the fault must not harm passed",
    ),
    Protection(
        "monotonic_clock",
        "times are monotonic; wall time decides nothing",
        "station",
        monotonic_clock,
        "wall clock stepped",
        "of the good parts that the fault must not harm passed",
    ),
)
