"""Which frames become evidence.  The decision is pure; what carries it out is the signal thread's, and never waits.

A frame is offered when its slot would be released, after its part's verdict was sent.  Evidence takes the slot over, as
a recording does, while the pool has one to spare for it; the part's record follows when its acknowledgement has come.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

from edge.clock import NS_PER_MS, NS_PER_S, now_ns
from edge.config import EvidenceConfig, StationConfig
from edge.core.outcome import Outcome
from edge.core.part import Part, Verdict
from edge.core.pool import FramePool, Lease, Purpose
from edge.record.evidence.live import LivePublisher
from edge.record.evidence.writer import EvidenceWriter, Shot
from edge.station.priority import step_back
from edge.wire.messages import EvidenceStatus, PartRecord
from edge.wire.sockets import Context

LOOK_NS = 100 * NS_PER_MS
"""How often the evidence thread is asked how it is."""

_EARLY = 64
"""Records that came before their part's frame was given back: few parts end while their frame is inspected."""

_LATE = 1024
"""Parts whose frame was given back, and whose record is still to come: of a second or two."""


def reason_to_keep(verdict: Verdict, is_piece: bool, draw: float, sample_share: float) -> str:
    """Return why the picture of a part is kept, or "" where it is not.

    Args:
        verdict: on the part.
        is_piece: it is a piece of a challenge, whatever the verdict.
        draw: a random number, 0..1, without 1.
        sample_share: of the passes that are not close.
    """
    if is_piece:
        return "challenge"
    if verdict.outcome is Outcome.REJECT:
        return "reject"
    if verdict.outcome is Outcome.NO_DECISION:
        return "no_decision"
    if verdict.near:
        return "near"
    return "sample" if draw < sample_share else ""


class FrameEvidence:
    """Offers frames to the evidence thread.

    Args:
        config: of evidence.
        pool: where the frames lie.
        writer: the evidence thread.
        is_piece: says whether the part of this number is a piece of a challenge.
        clock: monotonic nanoseconds.
        draw: gives random numbers, 0..1, without 1.
    """

    def __init__(
        self,
        config: EvidenceConfig,
        pool: FramePool,
        writer: EvidenceWriter,
        is_piece: Callable[[int], bool] = lambda _: False,
        clock: Callable[[], int] = now_ns,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._pool, self._writer, self._is_piece = pool, writer, is_piece
        self._share, self._show_ns = config.sample_share, int(NS_PER_S / config.live_per_s)
        self._clock, self._draw = clock, draw
        self._offered: dict[int, tuple[Part, Shot | None]] = {}  # by id of the part, whose record is still to come
        self._early: dict[int, tuple[Part, PartRecord]] = {}  # by id of the part, whose frame may still come
        self._shown_ns = self._looked_ns = 0
        self._status, self._alarms = EvidenceStatus(), dict[str, str]()

    def keep(self, lease: Lease, part: Part) -> bool:
        """Say whether evidence takes over the slot of ``part``'s frame, which would be released now.

        Where it does, it ends the lease.
        """
        verdict = part.verdict
        if verdict is None:
            return False
        early = self._gave_back(part)
        reason = ""
        if self._writer.keeps:
            is_piece = self._is_piece(part.number) or (early is not None and bool(early[1].challenge))
            reason = reason_to_keep(verdict, is_piece, self._draw(), self._share)
        now = self._clock()
        show = now - self._shown_ns >= self._show_ns and self._writer.shows
        if not reason and not show:
            return False
        if not self._pool.hand_over(lease, Purpose.EVIDENCE):
            if reason:
                self._writer.drop("no_slot")
            return False
        if show:
            self._shown_ns = now
        shot = Shot(lease, part, reason, show, now)
        if early is not None:
            shot.record = early[1]
        elif reason:
            self._offered[id(part)] = part, shot
        self._writer.put(shot)
        return True

    def missed(self, part: Part) -> None:
        """Note that a recording took the frame of ``part``."""
        self._gave_back(part)
        wanted = part.verdict is not None and reason_to_keep(part.verdict, self._is_piece(part.number), 1.0, 0.0)
        if wanted and self._writer.keeps:
            self._writer.drop("recording")

    def recorded(self, part: Part, record: PartRecord) -> None:
        """Take the record of a part.  Every part that had a frame comes here once, mostly after ``keep``."""
        offered = self._offered.pop(id(part), None)
        if offered is None:
            if part.frame is not None:
                self._early[id(part)] = (part, record)
                _bound(self._early, _EARLY)
        elif (shot := offered[1]) is not None:
            shot.record = record

    def _gave_back(self, part: Part) -> tuple[Part, PartRecord] | None:
        """Return what came of a part before its frame was given back; where that is still to come, expect it.

        Both wait with the part itself, which keeps its id from being another's.
        """
        early = self._early.pop(id(part), None)
        if early is None:
            self._offered[id(part)] = part, None
            _bound(self._offered, _LATE)
        return early

    def status(self) -> EvidenceStatus:
        """Return how evidence keeps up, as of ``LOOK_NS`` ago at most."""
        self._look()
        return self._status

    def alarms(self) -> dict[str, str]:
        """Return what is wrong, by the alarm's name, as of ``LOOK_NS`` ago at most."""
        self._look()
        return self._alarms

    def _look(self) -> None:
        now = self._clock()
        if now - self._looked_ns >= LOOK_NS:
            self._looked_ns = now
            self._status, self._alarms = self._writer.status(), self._writer.alarms()


@contextmanager
def opened(
    config: StationConfig, pool: FramePool, context: Context, is_piece: Callable[[int], bool] = lambda _: False
) -> Iterator[FrameEvidence | None]:
    """Yield what keeps and shows frames as ``config`` says, or None where nobody wants any.

    Args:
        config: of the station.
        pool: where the frames lie.
        context: for the socket of live pictures.
        is_piece: as for ``FrameEvidence``.

    Raises:
        ConfigError, PortBusy: the folder or the endpoint cannot be used.
    """
    settings = config.evidence
    if settings.folder is None and settings.live is None:
        yield None
        return
    live = None if settings.live is None else LivePublisher(context, settings.live, int(settings.mode, 8))
    try:
        color, name = config.camera.color, config.name
        writer = EvidenceWriter(settings, pool, color, name, config.lane, live, step_back)
    except BaseException:
        if live is not None:
            live.close()
        raise
    with closing(writer):
        yield FrameEvidence(settings, pool, writer, is_piece)


def _bound(kept: dict[int, Any], most: int) -> None:
    """Let go of what has waited longest, beyond ``most``."""
    if len(kept) > most:
        del kept[next(iter(kept))]
