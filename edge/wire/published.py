"""What station and gateway publish of themselves, of parts and of pictures, to whoever listens."""

from __future__ import annotations

import msgspec

from edge.wire.base import Counter32, Message


class FindingRecord(msgspec.Struct, frozen=True):
    """A finding: class, score, box (x1, y1, x2, y2) in frame pixels."""

    cls: str
    score: float
    box: tuple[float, float, float, float]


class JournalStatus(msgspec.Struct, frozen=True):
    """How the journal keeps up: rows recorded, lost, waiting; the age of the oldest that waits; what is wrong."""

    recorded: int = 0
    lost: int = 0
    waiting: int = 0
    behind_ms: float = 0.0
    problem: str = ""


class EvidenceStatus(msgspec.Struct, frozen=True):
    """How evidence keeps up.

    Attributes:
        written: pictures on disk, by reason.
        dropped: pictures that were wanted and not kept, by cause.
        bytes: of all pictures in the folder; free_bytes: what its disk still has.
        waiting: pictures that wait for the disk.
        problem: what is wrong, in words, or "".
    """

    written: dict[str, int] = {}
    dropped: dict[str, int] = {}
    bytes: int = 0
    free_bytes: int = 0
    waiting: int = 0
    problem: str = ""


class ChallengePiece(msgspec.Struct, frozen=True):
    """A test piece of a challenge, and what has become of it.

    Attributes:
        name, expect: as configured; ``expect`` is "reject" or "pass".
        part, session: its number, and the session under which it passed; None and 0 before it has met the eye.
        outcome: the station's, or "".
        gate: "good" or "rejected", where the gate stood for it, or "".
        sensor: "confirmed" or "contradicted" by the sensor behind the gate, or "".
        faults: what was wrong with it, in words.
        ok: None while that is open.
    """

    name: str
    expect: str
    part: int | None = None
    session: int = 0
    outcome: str = ""
    gate: str = ""
    sensor: str = ""
    faults: list[str] = []
    ok: bool | None = None


class ChallengeEnd(msgspec.Struct, frozen=True):
    """How the last challenge ended: number of its record, result, when, and who was responsible."""

    number: int
    result: str
    wall_ms: int
    operator: str


class ChallengeStatus(msgspec.Struct, frozen=True):
    """The challenge procedure.

    Attributes:
        configured: there is one.
        phase: "" while none runs, "clearing", "placing", "confirming" or "returning".
        text: what somebody has to do now, or "".
        operator, since_wall_ms: of the one that runs.
        pieces: of the one that runs, else of the last one, else as configured.
        due: why a challenge is due, in words, by reason; empty where none is.
        hours_left: of running until the next one is due by the hours; None where it is not due by hours.
        last: the last one that was recorded.
        passed: the last one that was not only aborted was passed, and recorded.
        runs: ended since the start of the process, by result.
        problem: why no record can be made, or "".
    """

    configured: bool = False
    phase: str = ""
    text: str = ""
    operator: str = ""
    since_wall_ms: int = 0
    pieces: list[ChallengePiece] = []
    due: dict[str, str] = {}
    hours_left: float | None = None
    last: ChallengeEnd | None = None
    passed: bool = False
    runs: dict[str, int] = {}
    problem: str = ""


class PartRecord(Message, frozen=True, tag="part"):
    """All that the station knows of one part, published once, when its acknowledgement came or did not come in time.

    ``challenge``: the name of the test piece that it was, or "".
    """

    station: str
    lane: int
    part: Counter32
    count: Counter32 | None
    outcome: str
    cause: str
    rule: str
    disposition: str
    findings: list[FindingRecord]
    tag: str
    t0_ns: int
    t1_ns: int | None
    t2_ns: int | None
    t3_ns: int | None
    t4_ns: int | None
    recipe: str
    model: str
    engine: str
    precision: str
    version: str
    wall: str
    session: int
    challenge: str = ""


class StationStatus(Message, frozen=True, tag="station_status"):
    """The station's cumulative counters and state, published once a second and at every change of state."""

    station: str
    lane: int
    state: str
    reason: str
    session: int
    triggers: int
    outcomes: dict[str, int]
    causes: dict[str, int]
    open: int
    acknowledged: int
    dispositions: dict[str, int]
    late_results: int
    unknown_triggers: int
    trigger_jumps: int
    dropped_messages: int
    outcomes_lost: int
    frames: int
    lost_frames: dict[str, int]
    wire_errors: int
    pool: dict[str, int]
    deadline_ms: float
    recipe: str
    model: str
    engine: str
    precision: str
    version: str
    started_wall: str
    alarms: dict[str, str]
    journal: JournalStatus
    reconnects: dict[str, int]
    evidence: EvidenceStatus = EvidenceStatus()
    challenge: ChallengeStatus = ChallengeStatus()
    health: dict[str, float] = msgspec.field(default_factory=dict)


class LiveFrame(Message, frozen=True, tag="live"):
    """A live picture's part.  Findings are in px of a frame of ``width`` x ``height``; the picture may be smaller."""

    station: str
    lane: int
    part: Counter32
    outcome: str
    cause: str
    rule: str
    findings: list[FindingRecord]
    wall: str
    width: int
    height: int


class GatewayStatus(Message, frozen=True, tag="gateway_status"):
    """The gateway's cumulative counters and state, published once a second.

    ``alarms`` stand, by name, in words; ``latched`` are those of them that stop the belt or reject every part.
    """

    gateway: str
    lane: int
    plc_ok: bool
    reason: str
    station: str
    station_session: int
    plc_session: int
    fence: int
    plc_triggers: int
    announced: int
    unannounced: int
    permitted: int
    rejected: dict[str, int]
    pending: int
    dispositions: dict[str, int]
    executed: int
    voided: dict[str, int]
    armed: int
    wire_errors: int
    plc_errors: int
    sessions_granted: int
    sessions_lost: int
    version: str
    mode: str
    alarms: dict[str, str]
    confirmed: int
    contradicted: int
    journal: JournalStatus
    strangers: int
    latched: list[str] = msgspec.field(default_factory=list)
    started_wall: str = ""


Published = PartRecord | StationStatus | GatewayStatus
