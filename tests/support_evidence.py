"""Evidence without a station: parts, records and frames made by the test, real files, a real index."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import numpy as np

from edge.clock import now_ns
from edge.config import EvidenceConfig
from edge.core.outcome import Outcome
from edge.core.part import Finding, FrameInfo, Part, Trigger, Verdict
from edge.core.pool import FramePool, Lease, Purpose
from edge.record.evidence.picture import Encoded, encode, sidecar
from edge.record.evidence.quota import Quota
from edge.record.evidence.store import Entry, Store
from edge.record.evidence.writer import EvidenceWriter, Shot
from edge.wire.messages import FindingRecord, PartRecord

WALL = datetime(2026, 11, 22, 5, 59, tzinfo=timezone.utc)
BOX = (2.0, 3.0, 12.0, 9.0)
SHAPE = (24, 32)
SLOTS, SPARE = 4, 2

PASS = Verdict(Outcome.PASS, "clean")
CLOSE = Verdict(Outcome.PASS, "clean", near=(Finding("pit", 0.45, BOX),))
REJECT = Verdict(Outcome.REJECT, "rule", (Finding("scratch", 0.9, BOX), Finding("pit", 0.6, BOX)), "any defect")
LOST = Verdict(Outcome.NO_DECISION, "compute_timeout")


def record(part: int, verdict: Verdict = REJECT, minutes: float = 0.0, session: int = 7, **fields: Any) -> PartRecord:
    """Return the record of a part, made some minutes after ``WALL``."""
    values: dict[str, Any] = {
        "station": "s", "lane": 0, "part": part, "count": None, "outcome": verdict.outcome.value,
        "cause": verdict.cause, "rule": verdict.rule, "disposition": "ACCEPTED", "tag": "",
        "findings": [FindingRecord(f.cls, f.score, f.box) for f in verdict.findings],
        "t0_ns": 1000 + part, "t1_ns": None, "t2_ns": None, "t3_ns": None, "t4_ns": None,
        "recipe": "r", "model": "m@1", "engine": "null", "precision": "fp32", "version": "1",
        "wall": (WALL + timedelta(minutes=minutes)).isoformat(timespec="milliseconds"), "session": session,
    }  # fmt: skip
    return PartRecord(**{**values, **fields})


def closed(number: int, verdict: Verdict | None = REJECT) -> Part:
    """Return a part with its frame, and its end if it has one."""
    part = Part(Trigger(number, None, 1000 + number), "r", 0, 0)
    part.frame, part.verdict = FrameInfo(number, None, 0), verdict
    return part


def picture(form: str = "png", seed: int = 0, shape: tuple[int, ...] = SHAPE) -> Encoded:
    """Return a picture of noise."""
    return encode(np.random.default_rng(seed).integers(0, 255, shape, np.uint8), "mono8", form, 90)


def put(store: Store, told: PartRecord, reason: str = "reject", near: tuple[FindingRecord, ...] = ()) -> str:
    """Write a picture of a part, and return its file."""
    made = picture(seed=told.part)
    file = store.place(told, made.suffix)
    store.put(Entry(told, reason, near), file, made.data, sidecar(told, reason, near, file, made, "mono8"))
    return file


def quota(keep_bytes: int = 1 << 40, free_bytes: int = 0, keep_days: int = 90) -> Quota:
    """Return bounds, wide ones where nothing is said."""
    return Quota(keep_bytes, free_bytes, keep_days)


def config(folder: Path | None, **values: Any) -> EvidenceConfig:
    """Return a configuration that leaves the disk's room out of the test."""
    return EvidenceConfig(folder=None if folder is None else str(folder), **{"free_gb": 0.0, **values})


def pool() -> FramePool:
    """Return a pool with spare slots for evidence, which overwrites what is released."""
    return FramePool(SLOTS + SPARE, SHAPE, {Purpose.CAPTURE: SLOTS, Purpose.EVIDENCE: SPARE}, poison=True)


def framed(frames: FramePool, brightness: int = 100) -> Lease:
    """Return the slot of a frame of one brightness."""
    lease = frames.lease(Purpose.CAPTURE)
    assert lease is not None
    frames.frame(lease)[...] = brightness
    return lease


def wait_until(holds: Any, seconds: float = 3.0) -> None:
    """Wait until a condition holds."""
    end = monotonic() + seconds
    while not holds():
        assert monotonic() < end, "it never came true"
        sleep(0.005)


def files_below(folder: Path) -> set[str]:
    """Return what lies in the folders of days."""
    return {str(path.relative_to(folder)) for path in folder.glob("*/*/*")}


class Line:
    """A pool and the evidence thread, with a clock that the test can set ahead."""

    def __init__(self, folder: Path | None, publisher: Any = None, **values: Any) -> None:
        self.pool, self.ahead_ns = pool(), 0
        self.writer = EvidenceWriter(config(folder, **values), self.pool, "mono8", "s", 0, publisher, clock=self.clock)

    def clock(self) -> int:
        return now_ns() + self.ahead_ns

    def shoot(self, number: int, reason: str = "reject", recorded: bool = True, shown: bool = False) -> Shot:
        """Hand a frame of this brightness over, as the signal thread does."""
        lease = framed(self.pool, number)
        assert self.pool.hand_over(lease, Purpose.EVIDENCE)
        part = closed(number, CLOSE if reason == "near" else REJECT)
        shot = Shot(lease, part, reason, shown, self.clock(), record(number, part.verdict or PASS))
        if not recorded:
            shot.record = None
        self.writer.put(shot)
        return shot

    def idle(self) -> bool:
        return not self.writer.status().waiting

    def free(self) -> bool:
        return self.pool.occupancy()["free"] == self.pool.slots


@contextmanager
def running(folder: Path | None, **values: Any) -> Iterator[Line]:
    line = Line(folder, **values)
    try:
        yield line
    finally:
        line.writer.close()
        wait_until(lambda: not line.writer._thread.is_alive())
        assert line.free(), "every slot came back"
