"""What the station says of itself: one record a part, its counters once a second; published, and journaled."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping

import zmq

from edge import __version__, flight
from edge.clock import NS_PER_S, now_ns, wall_iso
from edge.config import StationConfig
from edge.core.ledger import PartLedger
from edge.core.outcome import CAUSES, Disposition
from edge.core.part import Identity, Part
from edge.core.pool import FramePool
from edge.record.journal import Journal
from edge.record.outcomes import OutcomeWriter
from edge.station.diary import Diary
from edge.station.interfaces import Evidence
from edge.wire import messages as wire
from edge.wire.publisher import Publisher
from edge.wire.sockets import Context, bind

_log = logging.getLogger(__name__)

ACK_PATIENCE_NS = NS_PER_S
"""How long a record waits for its acknowledgement before it is published without."""


class Reporter:
    """Publishes and counts.  The signal thread owns it.

    Args:
        config: of the station.
        identity: of what decides at first.
        ledger, pool, publisher: whose counters it reports.
        deadline_ms: the effective deadline.
        outcomes: where part records are written, or None.
        context: for the telemetry socket.
        journal: where all of it is recorded, or None.
        evidence: which gets the record of every part, or None.
        health: tells what is measured of camera, machine and drift, by name.

    Attributes:
        frames, reconnects: see ``Reports``.
        pieces: names of the test pieces that parts are, by number, until their records are made.
        challenge: gives the status of challenges.

    Raises:
        PortBusy: the telemetry endpoint is taken.
    """

    def __init__(
        self,
        config: StationConfig,
        identity: Identity,
        ledger: PartLedger,
        pool: FramePool,
        publisher: Publisher | None,
        deadline_ms: float,
        outcomes: OutcomeWriter | None,
        context: Context,
        journal: Journal | None = None,
        evidence: Evidence | None = None,
        health: Callable[[int], dict[str, float]] = lambda _: {},
    ) -> None:
        self._config, self._identity = config, identity
        self._ledger, self._pool, self._publisher = ledger, pool, publisher
        self._deadline_ms, self._outcomes = deadline_ms, outcomes
        self._socket = bind(context, zmq.PUB, config.telemetry.endpoint, ipc_mode=int(config.telemetry.mode, 8))
        self._waiting: dict[tuple[int, int], Part] = {}  # (session, number) -> sent, not acknowledged
        self._dispositions: Counter[str] = Counter({d.value: 0 for d in Disposition})
        self._lost: Counter[str] = Counter()
        self._acknowledged = 0
        self.frames = 0
        self.reconnects: Counter[str] = Counter()
        self.pieces: dict[int, str] = {}
        self.challenge: Callable[[], wire.ChallengeStatus] = wire.ChallengeStatus
        self._recipe = config.recipe.name
        self._status_ns = 0
        self._state = ("", "")
        self._alarms: dict[str, str] = {}
        self._started = wall_iso()
        self._diary = Diary(journal)
        self._evidence, self._health = evidence, health
        self.note(
            "started",
            f"Station {config.name} starts.",
            now_ns(),
            version=__version__,
            model=identity.model,
            engine=identity.engine,
            precision=identity.precision,
            config=config.model_dump(mode="json"),
        )

    def close(self) -> None:
        """Close socket and file.  What still waits must have been flushed."""
        self._socket.close(linger=200)
        if self._outcomes is not None:
            self._outcomes.close()

    def lost(self, cause: str, frames: int = 1) -> None:
        """Count frames that were lost or could not be used."""
        self._lost[cause] += frames

    def concluded(self, part: Part, session: int) -> None:
        """Take a closed part: its record goes out with its acknowledgement, or now where no session carries it."""
        if session:
            self._waiting[session, part.number] = part
        else:
            self._record(part, 0, "", None)

    def acknowledged(self, ack: wire.Ack, t4_ns: int) -> None:
        """Take the gateway's answer to a verdict."""
        part = self._waiting.pop((ack.session, ack.part), None)
        self._dispositions[ack.disposition if ack.disposition in self._dispositions else "other"] += 1
        if part is not None:
            self._acknowledged += 1
            self._record(part, ack.session, ack.disposition, t4_ns)

    def executed(self) -> None:
        """Count a part for which the PLC opened the gate."""
        self._dispositions[Disposition.EXECUTED.value] += 1

    def recipe_changed(self, name: str) -> None:
        """Note the recipe by which parts are judged from now on."""
        self._recipe = name

    def model_changed(self, identity: Identity) -> None:
        """Note the model by which parts are judged from now on."""
        self._identity = identity

    def note(self, kind: str, text: str, now: int, **data: object) -> None:
        """Record that something happened."""
        self._diary.note(kind, text, now, **data)

    def trouble(self, now: int) -> str:
        """Return what is wrong with the journal, or ""."""
        return self._diary.status(now).problem

    def tick(self, now: int, state: tuple[str, str], alarms: Mapping[str, str]) -> None:
        """Publish what is due: records whose acknowledgement did not come, and the status."""
        for key, part in list(self._waiting.items()):
            since_ns = part.t2_ns if part.t3_ns is None else part.t3_ns  # closed, and its count not yet told
            if since_ns is not None and now - since_ns <= ACK_PATIENCE_NS:
                break  # in order of closing
            del self._waiting[key]
            self._record(part, key[0], "", None)
        trouble = self.trouble(now)
        self._alarms = {**alarms, "journal": trouble} if trouble else dict(alarms)
        if self._evidence is not None:
            self._alarms |= self._evidence.alarms()
        self._diary.alarms(self._alarms, now)
        if state != self._state:
            self._changed(state, now)
        elif now < self._status_ns:
            return
        self._status_ns = now + NS_PER_S
        self._publish(now)

    def _changed(self, state: tuple[str, str], now: int) -> None:
        text = " ".join(state).strip()
        _log.info("%s", text)
        self.note("state", text, now, state=state[0], reason=state[1])
        if state[0] == "FAULT" and self._state[0] != "FAULT":
            flight.request(text)
        self._state = state

    def next_ns(self) -> int:
        """Return when ``tick`` next has something to do."""
        return self._status_ns

    def flush(self) -> None:
        """Publish every record that still waits, and a last status."""
        for (session, _), part in self._waiting.items():
            self._record(part, session, "", None)
        self._waiting.clear()
        now = now_ns()
        self._publish(now)
        self._diary.counts(self._status(now), now)

    def _record(self, part: Part, session: int, disposition: str, t4_ns: int | None) -> None:
        verdict, frame = part.verdict, part.frame
        assert verdict is not None  # only closed parts are concluded
        record = wire.PartRecord(
            station=self._config.name,
            lane=part.trigger.lane,
            part=part.number,
            count=part.count,
            outcome=verdict.outcome.value,
            cause=verdict.cause,
            rule=verdict.rule,
            disposition=disposition,
            findings=[wire.FindingRecord(f.cls, round(f.score, 4), f.box) for f in verdict.findings],
            tag=frame.tag if frame is not None else "",
            t0_ns=part.trigger.t0_ns,
            t1_ns=frame.t1_ns if frame is not None else None,
            t2_ns=part.t2_ns,
            t3_ns=part.t3_ns,
            t4_ns=t4_ns,
            recipe=part.recipe,
            model=part.identity.model,
            engine=part.identity.engine,
            precision=part.identity.precision,
            version=__version__,
            wall=wall_iso(),
            session=session,
            challenge=self.pieces.pop(part.number, ""),
        )
        self._diary.part(record)
        if self._evidence is not None:
            self._evidence.recorded(part, record)
        data = wire.encode(record)
        self._send(b"part", data)
        if self._outcomes is not None:
            self._outcomes.write(data)

    def _publish(self, now: int) -> None:
        status = self._status(now)
        self._send(b"station", wire.encode(status))
        if self._diary.counts_due(now):
            self._diary.counts(status, now)

    def _status(self, now: int) -> wire.StationStatus:
        ledger, publisher = self._ledger, self._publisher
        state, reason = self._state
        return wire.StationStatus(
            station=self._config.name,
            lane=self._config.lane,
            state=state,
            reason=reason,
            session=publisher.session if publisher is not None else 0,
            triggers=ledger.triggers,
            outcomes=dict(ledger.outcomes),
            causes={name: ledger.causes[name] for name in CAUSES},
            open=len(ledger),
            acknowledged=self._acknowledged,
            dispositions=dict(self._dispositions),
            late_results=ledger.late,
            unknown_triggers=ledger.unknown_triggers,
            trigger_jumps=ledger.jumps,
            dropped_messages=publisher.dropped if publisher is not None else 0,
            outcomes_lost=self._outcomes.lost if self._outcomes is not None else 0,
            frames=self.frames,
            lost_frames=dict(self._lost),
            wire_errors=publisher.errors if publisher is not None else 0,
            pool=self._pool.occupancy(),
            deadline_ms=self._deadline_ms,
            recipe=self._recipe,
            model=self._identity.model,
            engine=self._identity.engine,
            precision=self._identity.precision,
            version=__version__,
            started_wall=self._started,
            alarms=self._alarms,
            journal=self._diary.status(now),
            reconnects=dict(self.reconnects),
            health=self._health(now),
            challenge=self.challenge(),
            evidence=wire.EvidenceStatus() if self._evidence is None else self._evidence.status(),
        )

    def _send(self, topic: bytes, data: bytes) -> None:
        self._socket.send_multipart([topic, data], zmq.NOBLOCK)  # a PUB socket drops rather than waits
