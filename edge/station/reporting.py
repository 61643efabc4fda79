"""What the station says of itself: one telemetry record a part, its counters once a second, outcomes to a file."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass

import zmq

from edge import __version__
from edge.clock import NS_PER_S, wall_iso
from edge.config import StationConfig
from edge.core.ledger import PartLedger
from edge.core.outcome import CAUSES, Disposition
from edge.core.part import Part
from edge.core.pool import FramePool
from edge.record.outcomes import OutcomeWriter
from edge.wire import messages as wire
from edge.wire.publisher import Publisher
from edge.wire.sockets import Context, bind

_log = logging.getLogger(__name__)

ACK_PATIENCE_NS = NS_PER_S
"""How long a record waits for its acknowledgement before it is published without."""


@dataclass(frozen=True)
class Identity:
    """What decides: it stands in every record."""

    model: str
    engine: str
    precision: str


class Reporter:
    """Publishes and counts.  The signal thread owns it.

    Args:
        config: of the station.
        identity: of what decides.
        ledger, pool, publisher: whose counters it reports.
        deadline_ms: the effective deadline.
        outcomes: where part records are written, or None.
        context: for the telemetry socket.

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
    ) -> None:
        self._config, self._identity = config, identity
        self._ledger, self._pool, self._publisher = ledger, pool, publisher
        self._deadline_ms, self._outcomes = deadline_ms, outcomes
        self._socket = bind(context, zmq.PUB, config.telemetry.endpoint)
        self._waiting: dict[tuple[int, int], Part] = {}  # (session, number) -> sent, not acknowledged
        self._dispositions: Counter[str] = Counter({d.value: 0 for d in Disposition})
        self._lost: Counter[str] = Counter()
        self._acknowledged = 0
        self.frames = 0
        self._recipe = config.recipe.name
        self._status_ns = 0
        self._state = ("", "")
        self._started = wall_iso()

    def close(self) -> None:
        """Close socket and file."""
        self.flush()
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

    def tick(self, now: int, state: tuple[str, str]) -> None:
        """Publish what is due: records whose acknowledgement did not come, and the status."""
        for key, part in list(self._waiting.items()):
            since_ns = part.t2_ns if part.t3_ns is None else part.t3_ns  # closed, and its count not yet told
            if since_ns is not None and now - since_ns <= ACK_PATIENCE_NS:
                break  # in order of closing
            del self._waiting[key]
            self._record(part, key[0], "", None)
        if state != self._state:
            _log.info("%s", " ".join(state).strip())
        if now >= self._status_ns or state != self._state:
            self._status_ns, self._state = now + NS_PER_S, state
            self._send(b"station", wire.encode(self._status()))

    def next_ns(self) -> int:
        """Return when ``tick`` next has something to do."""
        return self._status_ns

    def flush(self) -> None:
        """Publish every record that still waits, and a last status."""
        for (session, _), part in self._waiting.items():
            self._record(part, session, "", None)
        self._waiting.clear()
        self._send(b"station", wire.encode(self._status()))

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
            model=self._identity.model,
            engine=self._identity.engine,
            precision=self._identity.precision,
            version=__version__,
            wall=wall_iso(),
            session=session,
        )
        data = wire.encode(record)
        self._send(b"part", data)
        if self._outcomes is not None:
            self._outcomes.write(data)

    def _status(self) -> wire.StationStatus:
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
            alarms={},
            journal=wire.JournalStatus(),
            reconnects={},
        )

    def _send(self, topic: bytes, data: bytes) -> None:
        self._socket.send_multipart([topic, data], zmq.NOBLOCK)  # a PUB socket drops rather than waits
