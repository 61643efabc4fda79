"""Challenge parts at the station: starts and follows the procedure, says when one is due, has records written.

It sees what the station says of parts and what the gateway answers; it has no way to change either.  All that it can
do is to keep parts from being let in.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import msgspec

from edge import flight
from edge.clock import NS_PER_S, now_ns, wall_ns
from edge.config import ChallengeConfig
from edge.core.alarms import ALARMS
from edge.core.challenge import Challenge, Limits, Phase, Result
from edge.core.challenge_due import REASONS
from edge.core.challenge_judge import fired_classes
from edge.core.outcome import Outcome
from edge.core.part import Part
from edge.core.rules import Rule
from edge.errors import ChallengeError
from edge.record.challenge import Entry
from edge.record.challenge_archive import Archive
from edge.record.challenge_heads import KIND
from edge.record.challenge_writer import ChallengeWriter, Written
from edge.station.challenge_history import doubt
from edge.station.challenge_record import (
    Run,
    Starter,
    begun,
    deciding,
    end_of,
    ended,
    instruction,
    pieces_of,
    shown,
    skipped,
    texts,
)
from edge.station.challenge_schedule import Schedule
from edge.station.pairs import Pair
from edge.wire import messages as wire

_log = logging.getLogger(__name__)

PATIENT_NS = 10 * NS_PER_S
"""A record that takes longer than this is told, and puts off no further what is due."""


class Challenges:
    """Owned by the signal thread; nothing in it waits.

    Args:
        config: with a folder.
        archive: read here for what was before; from then on ``writer`` alone uses it.
        writer: writes the records.
        named: gets the name of the piece that a part is, by number, for its record.
        note: as ``Reports.note``.
        clock: monotonic nanoseconds.
        local: wall time in the local time zone, for the starts of shifts.

    Attributes:
        told: the status as it was last asked for; other threads may read it.
    """

    def __init__(
        self,
        config: ChallengeConfig,
        archive: Archive,
        writer: ChallengeWriter,
        named: dict[int, str],
        note: Callable[..., None],
        clock: Callable[[], int] = now_ns,
        local: Callable[[], datetime] = lambda: datetime.now().astimezone(),
    ) -> None:
        self._config, self._writer, self._named, self._note = config, writer, named, note
        self._clock = clock
        self._limits = Limits(
            int(config.clear_s * NS_PER_S),
            int(config.piece_s * NS_PER_S),
            int(config.confirm_s * NS_PER_S),
            int(config.return_s * NS_PER_S),
            sensor=config.confirmed_by == "sensor",
            through_infeed=config.pieces_enter == "through_infeed",
        )
        self._run: Run | None = None
        self._shown: Run | None = None  # the one that runs, or the last
        self._unwritten: tuple[Run, Result] | None = None  # it has ended, and its record is being written
        self._ended_ns = 0
        self._last, self._passed = archive.last_end, archive.last_passed
        self._escape, self._failure = doubt(archive)  # in words, and "" once one is passed
        self._runs: Counter[str] = Counter({result.value: 0 for result in Result})
        self._problem = ""
        self._second_ns = 0
        self._pair: tuple[Pair, dict[str, Any]] | None = None  # and what it decides by: a hash, and made once
        self._schedule = Schedule(config, archive, self._is_bad, local)
        self.told = self.status()
        if archive.is_open:
            writer.recover()

    # -- what the loop asks -----------------------------------------------------------------------------------------

    @property
    def admits(self) -> bool:
        """False while parts must be kept out: during a challenge, but for its pieces."""
        return self._run is None or self._run.steps.admits

    @property
    def writing(self) -> bool:
        """True while it is not known whether the record of the last challenge's end is on the disk."""
        return self._unwritten is not None

    def holds(self) -> dict[str, str]:
        """Return why production is held, by alarm.  Not during a challenge, which is what ends it."""
        config = self._config
        if self._run is not None:
            return {}
        is_held = (self._is_bad and config.on_failed == "hold") or (self._escape and config.on_escape == "hold")
        holds = {"challenge_failed": self._failed_text()} if is_held else {}
        if self._schedule.skipped and config.on_skipped == "hold":
            holds["challenge_due"] = self._schedule.text()
        return holds

    def alarms(self) -> dict[str, str]:
        """Return the alarms that stand, by name, in words."""
        alarms = {"challenge_failed": self._failed_text()} if self._is_bad else {}
        if text := self._schedule.text():
            alarms["challenge_due"] = text
        return alarms

    @property
    def under_way(self) -> bool:
        """True while one runs, or its end is not yet recorded."""
        return self._run is not None or self.writing

    def is_piece(self, number: int) -> bool:
        """True where the part of this number is a piece of the challenge that runs."""
        return self._run is not None and bool(self._run.steps.piece_of(number))

    def instruction(self) -> str:
        """Return what somebody has to do in the challenge that runs, or ""."""
        return "" if self._run is None else instruction(self._run.steps)

    def status(self) -> wire.ChallengeStatus:
        """Return all that is shown of it."""
        schedule, run, last = self._schedule, self._run, self._last
        self.told = wire.ChallengeStatus(
            configured=True,
            phase="" if run is None else run.steps.phase.value,
            text=self.instruction(),
            operator="" if run is None else run.starter.operator,
            since_wall_ms=0 if run is None else run.since_wall_ms,
            pieces=shown(self._shown, self._config),
            due={reason: REASONS[reason] for reason in schedule.reasons},
            hours_left=schedule.hours_left,
            last=None if last is None else end_of(last),
            passed=self._passed is not None and not self._is_bad,
            runs=dict(self._runs),
            problem=self._problem,
        )
        return self.told

    def details(self) -> dict[str, Any]:
        """Return the status as it was last told, for another thread."""
        return {"challenge": msgspec.to_builtins(self.told)}

    # -- what happens -----------------------------------------------------------------------------------------------

    def opened(self, number: int, now: int) -> None:
        """Take a part that a trigger opened, in the order of the parts."""
        self._schedule.part(now)
        if self._run is not None and not self._run.steps.piece_of(number):  # told twice
            self._run.steps.opened(number, now)
            if piece := self._run.steps.piece_of(number):
                self._named[number] = piece.name

    def concluded(self, part: Part, rules: Sequence[Rule], now: int) -> None:
        """Take a closed part that was ``opened``, once its verdict is sent; ``rules`` are those that judged it."""
        if self._run is None:
            return
        steps, verdict, fired = self._run.steps, part.verdict, frozenset[str]()
        assert verdict is not None  # only closed parts are concluded
        if piece := steps.piece_of(part.number):
            self._run.parts[part.number] = part
            if verdict.outcome is Outcome.REJECT:
                fired = fired_classes(verdict.findings, rules, piece.classes)
        steps.closed(part.number, verdict.outcome, verdict.cause, verdict.rule, fired, now)
        self._alarm(self._run, now)

    def heard(self, message: wire.ToStation, now: int) -> None:
        """Take what the gateway says; under another session only what may be an escape.

        By default the first piece that the sensor contradicts ends the session, and the next ones come after that.
        """
        if self._run is None or not isinstance(message, wire.Ack | wire.Executed | wire.Gated):
            return
        steps = self._run.steps
        may_escape = isinstance(message, wire.Gated) and message.fact in ("good", "contradicted")
        if message.session != steps.session and not may_escape:
            return
        if isinstance(message, wire.Ack):
            steps.answered(message.part, message.disposition)
        elif isinstance(message, wire.Executed):
            steps.executed(message.part)
        elif message.fact in ("good", "rejected"):
            steps.gated(message.part, message.fact == "good")
        elif message.fact in ("confirmed", "contradicted"):
            steps.confirmed(message.part, message.fact == "confirmed")
        self._alarm(self._run, now)

    def tick(self, now: int, session: int, open_parts: int, pair: Pair, faulty: bool) -> None:
        """Take the time and how the station is.

        Args:
            now: monotonic.
            session: with the gateway, 0 without one.
            open_parts: at the station.
            pair: what judges parts that are triggered now.
            faulty: the station is in FAULT for another reason than a challenge.
        """
        for written in self._writer.take():
            self._written(written, now)
        if self._run is not None:
            self._follow(self._run, now, session, open_parts, pair)
        self._schedule.fault(faulty)
        if now >= self._second_ns:
            self._second_ns = now + NS_PER_S
            waits = self.writing and now - self._ended_ns < PATIENT_NS
            if self.writing and not waits:
                self._problem = "The record of the last challenge is not on the disk yet."
            if self._schedule.look(now, self._deciding(pair), faulty, self._run is not None or waits):
                self._skip(now, pair)

    # -- commands ---------------------------------------------------------------------------------------------------

    def start(self, starter: Starter, pair: Pair) -> str:
        """Start a challenge; return what to answer.

        Raises:
            ChallengeError: one runs, or the record of the last one is still being written.
        """
        if self._run is not None or self.writing:
            raise ChallengeError("A challenge is under way.", "end it first: `edge challenge status` says how.")
        now = self._clock()
        steps = Challenge(pieces_of(self._config), self._limits, now)
        self._run = self._shown = Run(steps, starter, self._deciding(pair), wall_ns() // 1_000_000)
        self._writer.put("begun", begun(self._run, self._config, self._schedule.reasons))
        text = f"{starter.operator} starts a challenge of {len(steps.pieces)} pieces."
        _log.warning("%s", text)
        self._note("challenge", text, now, operator=starter.operator, user=starter.user)
        return f"The infeed is held. {instruction(steps)}"

    def returned(self, who: str, missing: Sequence[str]) -> str:
        """Take that the pieces are back, but for ``missing``; return what to answer.

        Raises:
            ChallengeError: nobody waits for that, or a name is no piece's.
        """
        run = self._run
        names = [piece.name for piece in self._config.pieces]
        if unknown := [name for name in missing if name not in names]:
            raise ChallengeError(f"There is no piece {unknown[0]!r}.", f"the pieces are {', '.join(names)}.")
        if run is None or not run.steps.returned(missing, self._clock()):
            raise ChallengeError("No challenge waits for its pieces.", "see `edge challenge status`.")
        run.returned_by = who
        result = run.steps.result
        assert result is not None  # it has just ended
        return f"The challenge has ended: {result.value}. {texts(run.steps.faults)}".strip()

    def abort(self) -> str:
        """Give the present challenge up; return what to answer.

        Raises:
            ChallengeError: none runs, or its pieces must be accounted for.
        """
        if self._run is None:
            raise ChallengeError("No challenge runs.", "see `edge challenge status`.")
        if not self._run.steps.abort(self._clock()):
            raise ChallengeError("Its pieces must be accounted for.", "bring them back: `edge challenge returned`.")
        ended_now = self._run.steps.phase is Phase.ENDED
        return "The challenge is given up." if ended_now else f"The challenge is given up. {self.instruction()}"

    # -- details ----------------------------------------------------------------------------------------------------

    def _follow(self, run: Run, now: int, session: int, open_parts: int, pair: Pair) -> None:
        steps = run.steps
        if self._deciding(pair) != run.decides:
            steps.changed()
        steps.tick(now, session, open_parts)
        self._alarm(run, now)
        if (result := steps.result) is not None:
            self._run, self._unwritten, self._ended_ns = None, (run, result), now
            self._writer.put("ended", ended(run, self._config, result, now))

    def _alarm(self, run: Run, now: int) -> None:
        """Raise the alarm for what is newly wrong, at once: its record comes later."""
        new = run.steps.faults[run.alarmed :]
        if not new:
            return
        run.alarmed += len(new)
        self._failure = texts(run.steps.faults)
        if any(fault.escape for fault in run.steps.faults):
            self._escape = self._failure
        self._schedule.failed()
        _log.critical("The challenge fails: %s", texts(new))
        self._note("challenge_fault", texts(new), now, faults=[fault.name for fault in new])
        flight.request("a challenge failed")

    def _written(self, written: Written, now: int) -> None:
        self._problem = written.problem
        entry = written.entry
        if written.kind in ("skipped", "recover"):
            self._last = entry or self._last
            self._runs[Result.INTERRUPTED.value] += written.kind == "recover" and entry is not None
        elif written.kind == "begun" and self._run is not None:
            self._run.steps.is_recorded = entry is not None
            if entry is None:
                self._run.steps.unrecorded(now)
                self._alarm(self._run, now)
        elif written.kind == "ended" and self._unwritten is not None:
            (run, result), self._unwritten = self._unwritten, None
            self._conclude(run, result, entry, now)
        if entry is not None:
            text = f"Challenge record {entry.number} is written: {entry.data.get('result', entry.kind)}."
            self._note(KIND, text, now, number=entry.number, sha256=entry.sha256())

    def _conclude(self, run: Run, result: Result, entry: Entry | None, now: int) -> None:
        """Take a challenge's end, once its record is on the disk, or cannot be."""
        if entry is None:
            run.steps.unrecorded(now)
            self._alarm(run, now)
            result = Result.FAILED if result in (Result.PASSED, Result.ABORTED) else result
        self._runs[result.value] += 1
        self._last = entry or self._last
        if result is Result.PASSED and entry is not None:
            self._passed, self._escape, self._failure = entry, "", ""
            self._schedule.passed(run.decides)
        text = f"The challenge has ended: {result.value}. {texts(run.steps.faults)}".strip()
        _log.warning("%s", text)
        self._note("challenge", text, now, result=result.value)

    def _skip(self, now: int, pair: Pair) -> None:
        self._runs[Result.SKIPPED.value] += 1
        text = self._schedule.text()
        _log.error("%s", text)
        self._note("challenge", text, now, result=Result.SKIPPED.value)
        self._writer.put("skipped", skipped(self._schedule.reasons, self._deciding(pair)))

    def _deciding(self, pair: Pair) -> dict[str, Any]:
        if self._pair is None or self._pair[0] is not pair:
            self._pair = pair, deciding(pair)
        return self._pair[1]

    @property
    def _is_bad(self) -> bool:
        return bool(self._escape or self._failure)

    def _failed_text(self) -> str:
        since = "" if self._passed is None else f" Last passed {self._passed.wall}, record {self._passed.number}."
        words = " ".join(dict.fromkeys(filter(None, (self._failure, self._escape))))  # a failure ends no escape
        return f"{ALARMS['challenge_failed'].text} {words}{since}"
