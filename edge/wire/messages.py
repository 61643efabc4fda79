"""Messages between station and gateway, and what both publish.  JSON, tagged by ``kind``, versioned by ``v``.

Unknown fields are ignored, so that a newer peer may add some; an unknown ``kind`` or ``v`` is refused.  No message's
age places a part: positions travel as counts latched in hardware.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from edge.errors import WireError

VERSION = 1
MAX_BYTES = 16_384
MAX_PUBLISHED_BYTES = 262_144
"""A part record lists its findings, of which a network may return a thousand."""

Counter32 = Annotated[int, msgspec.Meta(ge=0, le=0xFFFF_FFFF)]


class Message(msgspec.Struct, tag_field="kind", frozen=True, kw_only=True):
    """Base of all messages."""

    v: int = VERSION


class Hello(Message, frozen=True, tag="hello"):
    """A station asks for a session on a lane.  ``wants_counts``: its own trigger latches none."""

    station: str
    lane: int
    instance: str
    recipe: str
    recipe_number: Annotated[int, msgspec.Meta(ge=1, le=0xFFFF)]
    line_digest: str
    fail_safe: str
    wants_counts: bool


class Announce(Message, frozen=True, tag="announce"):
    """A trigger opened a part at the station."""

    session: int
    part: Counter32
    count: Counter32


class Verdict(Message, frozen=True, tag="verdict"):
    """A part closed at the station."""

    session: int
    part: Counter32
    count: Counter32
    outcome: str
    cause: str


class Recipe(Message, frozen=True, tag="recipe"):
    """The station's recipe changed: parts triggered from now on are judged by it, those before by the old one."""

    session: int
    recipe: str
    recipe_number: Annotated[int, msgspec.Meta(ge=1, le=0xFFFF)]


class Heartbeat(Message, frozen=True, tag="heartbeat"):
    """The station's loop makes progress.  ``ready`` means: it may be sent parts."""

    session: int
    beat: int
    ready: bool
    triggers: int
    frames: int
    closed: int
    open: int


class Goodbye(Message, frozen=True, tag="goodbye"):
    """The station leaves in order."""

    session: int


class Grant(Message, frozen=True, tag="grant"):
    """A session.  Parts whose latched count plus trigger-to-gate lies before ``fence`` get no permit."""

    session: int
    gateway_session: int
    plc_session: int
    epoch: int
    fence: int
    fail_safe: str
    boot_id: str


class Refuse(Message, frozen=True, tag="refuse"):
    """No session, and why."""

    reason: str
    remedy: str


class Revoke(Message, frozen=True, tag="revoke"):
    """The session has ended; ask for a new one."""

    session: int
    reason: str


class Ack(Message, frozen=True, tag="ack"):
    """What became of a verdict.  ``accepted_ns`` is on the gateway's monotonic clock, valid within one boot id."""

    session: int
    part: Counter32
    disposition: str
    accepted_ns: int


class Executed(Message, frozen=True, tag="executed"):
    """The PLC echoed that it opened the gate for this part."""

    session: int
    part: Counter32
    echoed_ns: int


class Counted(Message, frozen=True, tag="counted"):
    """The PLC counted a part at this latched count, for a station whose own trigger latches none."""

    session: int
    part: Counter32
    count: Counter32


class GatewayBeat(Message, frozen=True, tag="gateway_heartbeat"):
    """The gateway's loop makes progress.  ``count``: how far the belt may have come."""

    beat: int
    plc_ok: bool
    count: int
    mode: str


ToGateway = Hello | Announce | Verdict | Recipe | Heartbeat | Goodbye
ToStation = Grant | Refuse | Revoke | Ack | Executed | Counted | GatewayBeat


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


class PartRecord(Message, frozen=True, tag="part"):
    """All that the station knows of one part, published once, when its acknowledgement came or did not come in time."""

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


class GatewayStatus(Message, frozen=True, tag="gateway_status"):
    """The gateway's cumulative counters and state, published once a second.  ``alarms`` stand, by name, in words."""

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


Published = PartRecord | StationStatus | GatewayStatus

_encoder = msgspec.json.Encoder()
_decoders: dict[Any, msgspec.json.Decoder[Any]] = {
    kind: msgspec.json.Decoder(kind) for kind in (ToGateway, ToStation, Published)
}


def encode(message: Message) -> bytes:
    """Return ``message`` as JSON."""
    return _encoder.encode(message)


def decode_to_gateway(data: bytes) -> ToGateway:
    """Read a message that a station sent.

    Raises:
        WireError: it is too long, is no such message, or has an unknown version.
    """
    message: ToGateway = _decode(data, ToGateway)
    return message


def decode_to_station(data: bytes) -> ToStation:
    """Read a message that a gateway sent.  Raises ``WireError`` as ``decode_to_gateway``."""
    message: ToStation = _decode(data, ToStation)
    return message


def decode_published(data: bytes) -> Published:
    """Read a published record.  Raises ``WireError`` as ``decode_to_gateway``."""
    message: Published = _decode(data, Published, MAX_PUBLISHED_BYTES)
    return message


def _decode(data: bytes, kind: Any, most: int = MAX_BYTES) -> Any:
    if len(data) > most:
        raise WireError(f"A message of {len(data)} bytes exceeds {most}.", "find who sends it.")
    try:
        message = _decoders[kind].decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(f"A message cannot be understood: {error}.", "check that both ends run one version.") from None
    if message.v != VERSION:
        raise WireError(
            f"A {type(message).__name__} message has version {message.v}, and {VERSION} is understood.",
            "update the older end.",
        )
    return message


def schema() -> dict[str, Any]:
    """Return the JSON schema of every message."""
    kinds = [*ToGateway.__args__, *ToStation.__args__, *Published.__args__]
    _, components = msgspec.json.schema_components(kinds, ref_template="#/$defs/{name}")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$defs": components,
        "anyOf": [{"$ref": f"#/$defs/{k.__name__}"} for k in kinds],
    }
