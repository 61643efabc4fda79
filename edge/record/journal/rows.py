"""What can be put into the journal.  Cheap to build: the journal's own thread takes the rows apart."""

from __future__ import annotations

from typing import Any

import msgspec

from edge.wire.messages import PartRecord


class Fact(msgspec.Struct, frozen=True, gc=False):
    """One thing that the gateway learnt of one part, under the sessions in which it happened.

    Attributes:
        plc, gateway, station, epoch: sessions, and the encoder's epoch; 0 where there was none.
        number: of the part, as the PLC counts; for ``unread``, the last of ``count`` parts.
        count: encoder count that was latched with the part.
        fact: one of ``FACTS``.
        detail: see there.
        at_ns: monotonic.
    """

    plc: int
    gateway: int
    station: int
    epoch: int
    number: int
    count: int
    fact: str
    detail: str
    at_ns: int


class Event(msgspec.Struct, frozen=True):
    """Something that happened to the process or the line: ``kind`` for filters, ``text`` for people."""

    kind: str
    text: str
    data: dict[str, Any]
    at_ns: int


class Counts(msgspec.Struct, frozen=True):
    """Cumulative counters, as the process publishes them."""

    data: dict[str, Any]
    at_ns: int


Row = PartRecord | Fact | Event | Counts

KINDS: dict[type, str] = {PartRecord: "part", Fact: "fact", Event: "event", Counts: "counts"}
"""Names of the kinds of rows, as table ``missing`` gives them."""

FACTS = {
    "counted": "the PLC's own eye counted the part",
    "answered": "a verdict on it was answered (T4); the detail is the disposition",
    "permit": "a permit was written to the PLC, or could not be: then the detail is `failed`",
    "armed": "the PLC echoed the permit (T5)",
    "ended": "the register closed the part; the detail says how",
    "executed": "the PLC said that it opened the gate for the part",
    "voided": "a permit, or the claim to one, was withdrawn; the detail is the cause",
    "gated": "the part met the gate (T6); the detail is `good` or `rejected`",
    "confirmed": "the sensor behind the gate agreed",
    "contradicted": "the sensor behind the gate saw otherwise",
    "unread": "parts of which the counts were never read; the detail is why",
}
"""Kinds of facts, in the order of a part's life."""
