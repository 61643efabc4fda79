"""`edge inspect`: the station's verdicts on a folder of pictures, without a line.

Pictures are decoded by the station's folder camera and inspected by its inspect thread, through the same engine, golden
gate and rules.  So a picture of another size than the configuration's, or one that cannot be decoded, is the same
NO_DECISION.  Only what takes a clock cannot happen here: nothing is late.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from rich.console import Console

from edge import __version__
from edge.capture.folder import FolderCamera
from edge.clock import NS_PER_S, now_ns
from edge.config import StationConfig
from edge.core.outcome import Outcome
from edge.core.part import Identity, Verdict
from edge.core.pool import FramePool, Purpose
from edge.errors import EngineError
from edge.station.build import Deciding, deciding
from edge.station.inspection import NO_DEADLINE, Inspected, InspectThread

QUIET_S = 2
CORRUPT = Verdict(Outcome.NO_DECISION, "frame_corrupt")


@dataclass(frozen=True)
class Record:
    """The verdict on the picture ``name``, and what decided."""

    name: str
    verdict: Verdict
    identity: Identity

    def as_dict(self) -> dict[str, Any]:
        """Return name, outcome, cause, rule and findings as plain values; boxes are (x1, y1, x2, y2) px."""
        verdict = self.verdict
        return {
            "name": self.name,
            "outcome": verdict.outcome.value,
            "cause": verdict.cause,
            "rule": verdict.rule,
            "findings": [
                {"class": f.cls, "score": round(f.score, 4), "box": [round(side, 2) for side in f.box]}
                for f in verdict.findings
            ],
        }


def inspect_folder(folder: Path, config: StationConfig) -> Iterator[Record]:
    """Yield the verdict on each picture of ``folder``, in order of file names.

    Raises:
        CameraError: the folder cannot be read, or holds no picture.
        ModelError, GoldenMismatch, EngineError, ConfigError: what should decide must not.
    """
    frame = config.camera
    with ExitStack() as stack:
        camera = stack.enter_context(FolderCamera(folder, frame.width, frame.height, frame.color))
        decides = stack.enter_context(deciding(config))
        identity = Identity(decides.package.identity, decides.choice.engine, decides.choice.precision)
        for name, verdict in _verdicts(camera, decides, config):
            yield Record(name, verdict, identity)


def _verdicts(camera: FolderCamera, decides: Deciding, config: StationConfig) -> Iterator[tuple[str, Verdict]]:
    rules, hang_ms = decides.rules(config.recipe), config.limits.hang_ms
    pool = FramePool(1, camera.shape, {Purpose.CAPTURE: 1, Purpose.INSPECTION: 1})
    results: SimpleQueue[Inspected] = SimpleQueue()
    inspect = InspectThread(decides.inspector, pool, results.put)
    inspect.start()
    try:
        while True:
            camera.software_trigger(now_ns())
            lease = pool.lease(Purpose.CAPTURE)
            assert lease is not None  # the only slot was given back below
            info = camera.grab(pool.frame(lease), timeout_s=0.0)
            if info is None:
                return
            verdict = CORRUPT
            if info.intact:
                pool.hand_over(lease, Purpose.INSPECTION)
                inspect.submit(info.counter, lease, NO_DEADLINE, rules)
                verdict = _result(results, info.tag, hang_ms)
            pool.release(lease)
            yield info.tag, verdict
    finally:
        inspect.stop()


def _result(results: SimpleQueue[Inspected], name: str, hang_ms: float) -> Verdict:
    try:
        return results.get(timeout=hang_ms / 1e3).verdict
    except Empty:
        raise EngineError(
            f"The inspection of {name} has not returned for {hang_ms:g} ms.", "run edge model verify on the package."
        ) from None


def collect(records: Iterable[Record]) -> list[Record]:
    """Return all ``records``; what takes longer than ``QUIET_S`` shows its progress on standard error."""
    out: list[Record] = []
    started = now_ns()
    status = Console(stderr=True).status("Inspecting")
    try:
        for record in records:
            out.append(record)
            if now_ns() - started > QUIET_S * NS_PER_S:
                status.start()
                status.update(f"Inspected {len(out)} pictures")
    finally:
        status.stop()
    return out


def summary(records: list[Record], config: StationConfig) -> dict[str, Any]:
    """Return all verdicts, their number by outcome, and what decided, as plain values."""
    outcomes = Counter(record.verdict.outcome for record in records)
    identity = records[0].identity
    return {
        "images": len(records),
        "pass": outcomes[Outcome.PASS],
        "reject": outcomes[Outcome.REJECT],
        "no_decision": outcomes[Outcome.NO_DECISION],
        "recipe": config.recipe.name,
        "model": identity.model,
        "engine": identity.engine,
        "precision": identity.precision,
        "version": __version__,
        "parts": [record.as_dict() for record in records],
    }


def line(record: Record) -> str:
    """Return a verdict as one line for a terminal."""
    verdict = record.verdict
    why = f"{verdict.cause} {verdict.rule!r}" if verdict.rule else verdict.cause
    found = ", ".join(f"{f.cls} {f.score:.2f} at ({f.box[0]:.0f}, {f.box[1]:.0f})" for f in verdict.findings)
    return f"{verdict.outcome.value:<11} {record.name}  {why}{f': {found}' if found else ''}"
