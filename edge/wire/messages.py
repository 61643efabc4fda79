"""Messages between station and gateway, and what both publish.  JSON, tagged by ``kind``, versioned by ``v``.

Unknown fields are ignored, so that a newer peer may add some; an unknown ``kind`` or ``v`` is refused.  No message's
age places a part: positions travel as counts latched in hardware.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from edge.errors import WireError
from edge.wire.base import VERSION, Counter32, Message
from edge.wire.published import (
    ChallengeEnd,
    ChallengePiece,
    ChallengeStatus,
    EvidenceStatus,
    FindingRecord,
    GatewayStatus,
    JournalStatus,
    LiveFrame,
    PartRecord,
    Published,
    StationStatus,
)

__all__ = [
    "LIVE",
    "MAX_BYTES",
    "MAX_PUBLISHED_BYTES",
    "VERSION",
    "Ack",
    "Announce",
    "ChallengeEnd",
    "ChallengePiece",
    "ChallengeStatus",
    "Counted",
    "Counter32",
    "EvidenceStatus",
    "Executed",
    "FindingRecord",
    "Gated",
    "GatewayBeat",
    "GatewayStatus",
    "Goodbye",
    "Grant",
    "Heartbeat",
    "Hello",
    "JournalStatus",
    "LiveFrame",
    "Message",
    "PartRecord",
    "Published",
    "Recipe",
    "Refuse",
    "Revoke",
    "StationStatus",
    "ToGateway",
    "ToStation",
    "Verdict",
    "decode_live",
    "decode_published",
    "decode_to_gateway",
    "decode_to_station",
    "encode",
    "schema",
]

MAX_BYTES = 16_384
MAX_PUBLISHED_BYTES = 262_144
"""A part record lists its findings, of which a network may return a thousand."""

LIVE = b"live"
"""Topic of live pictures."""

_JPEG = b"\xff\xd8\xff"


class Hello(Message, frozen=True, tag="hello"):
    """A station asks for a session on a lane.

    ``wants_counts``: its own trigger latches none.  ``wants_gate``: it is to hear what every part met at the gate.
    """

    station: str
    lane: int
    instance: str
    recipe: str
    recipe_number: Annotated[int, msgspec.Meta(ge=1, le=0xFFFF)]
    line_digest: str
    fail_safe: str
    wants_counts: bool
    wants_gate: bool = False


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


class Gated(Message, frozen=True, tag="gated"):
    """What the PLC newly says of a part at the gate, for a station that wants to hear of it.

    ``fact``: "good" or "rejected" (where the gate stood), "confirmed" or "contradicted" (by the sensor behind it).
    """

    session: int
    part: Counter32
    fact: str


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
ToStation = Grant | Refuse | Revoke | Ack | Executed | Gated | Counted | GatewayBeat

_encoder = msgspec.json.Encoder()
_decoders: dict[Any, msgspec.json.Decoder[Any]] = {
    kind: msgspec.json.Decoder(kind) for kind in (ToGateway, ToStation, Published, LiveFrame)
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


def decode_live(parts: list[bytes]) -> tuple[LiveFrame, bytes]:
    """Read a live picture, [b"live", JSON, JPEG], as the station publishes it.

    Raises:
        WireError: as ``decode_to_gateway``, or the parts are others.
    """
    if len(parts) != 3 or parts[0] != LIVE or not parts[2].startswith(_JPEG):
        raise WireError(f"{len(parts)} parts with topic {parts[:1]} are no live picture.", "find who sends them.")
    message: LiveFrame = _decode(parts[1], LiveFrame, MAX_PUBLISHED_BYTES)
    return message, parts[2]


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
    kinds = [*ToGateway.__args__, *ToStation.__args__, *Published.__args__, LiveFrame]
    _, components = msgspec.json.schema_components(kinds, ref_template="#/$defs/{name}")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$defs": components,
        "anyOf": [{"$ref": f"#/$defs/{k.__name__}"} for k in kinds],
    }
