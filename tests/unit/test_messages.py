"""Messages: every kind survives the way there and back, and nothing but a WireError comes of anything else."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.errors import WireError
from edge.wire import messages as m
from tests.support_monitor import GATEWAY

SLOW = [HealthCheck.too_slow]

TO_GATEWAY = [
    m.Hello(
        station="s",
        lane=0,
        instance="i",
        recipe="r",
        recipe_number=3,
        line_digest="abc",
        fail_safe="reject",
        wants_counts=False,
    ),
    m.Announce(session=1, part=(1 << 32) - 1, count=0),
    m.Verdict(session=1, part=2, count=3, outcome="PASS", cause="clean"),
    m.Heartbeat(session=1, beat=2, ready=True, triggers=3, frames=4, closed=5, open=6),
    m.Goodbye(session=1),
]
TO_STATION = [
    m.Grant(session=1, gateway_session=2, plc_session=3, epoch=4, fence=5, fail_safe="reject", boot_id="b"),
    m.Refuse(reason="no", remedy="yes"),
    m.Revoke(session=1, reason="gone"),
    m.Ack(session=1, part=2, disposition="ACCEPTED", accepted_ns=1 << 60),
    m.Executed(session=1, part=2, echoed_ns=3),
    m.Gated(session=1, part=2, fact="rejected"),
    m.GatewayBeat(beat=1, plc_ok=True, count=2, mode="auto"),
]


def record(findings: int) -> m.PartRecord:
    box = (123.456789012345678, 234.567890123456789, 1023.99993896484375, 1279.0001220703125)
    return m.PartRecord(
        station="station-1",
        lane=0,
        part=(1 << 32) - 1,
        count=(1 << 32) - 1,
        outcome="NO_DECISION",
        cause="saturated",
        rule="",
        disposition="ACCEPTED",
        findings=[m.FindingRecord("crazing_or_rolled", 0.1234, box) for _ in range(findings)],
        tag="",
        t0_ns=1 << 60,
        t1_ns=1 << 60,
        t2_ns=None,
        t3_ns=None,
        t4_ns=None,
        recipe="default",
        model="sim-strip 1.0.0",
        engine="onnxruntime",
        precision="fp32",
        version="0.1.0",
        wall="2026-01-01T00:00:00.000+00:00",
        session=(1 << 31) - 1,
    )


NEWER = {"wants_gate", "challenge", "started_wall", "latched"}
"""Fields that an older peer does not send."""

DECODERS = [m.decode_to_gateway, m.decode_to_station, m.decode_published]
WAYS = (
    [(x, m.decode_to_gateway) for x in TO_GATEWAY]
    + [(x, m.decode_to_station) for x in TO_STATION]
    + [(record(2), m.decode_published), (msgspec.convert(GATEWAY, m.GatewayStatus), m.decode_published)]
)
IDS = [type(x).__name__ for x, _ in WAYS]


@pytest.mark.parametrize(("message", "decode"), WAYS, ids=IDS)
def test_there_and_back(message: Any, decode: Any) -> None:
    assert decode(m.encode(message)) == message


@pytest.mark.parametrize(("message", "decode"), WAYS, ids=IDS)
def test_an_unknown_field_is_ignored_and_a_missing_one_is_not(message: Any, decode: Any) -> None:
    fields = json.loads(m.encode(message))
    assert decode(json.dumps({**fields, "from_the_future": [1, {"a": None}]}).encode()) == message
    for name in set(fields) - {"v", "kind"} - NEWER:
        less = {k: v for k, v in fields.items() if k != name}
        with pytest.raises(WireError):
            decode(json.dumps(less).encode())


@pytest.mark.parametrize(("message", "decode"), WAYS, ids=IDS)
@pytest.mark.parametrize("version", [0, 2, -1, 1 << 70])
def test_another_version_is_refused_by_name(message: Any, decode: Any, version: int) -> None:
    fields = json.loads(m.encode(message))
    with pytest.raises(WireError, match="Remedy") as caught:
        decode(json.dumps({**fields, "v": version}).encode())
    assert str(version) in str(caught.value) or version > 1 << 64


@pytest.mark.parametrize("kind", ["gossip", "", "HELLO", None, 1])
def test_an_unknown_kind_is_refused(kind: object) -> None:
    for decode in DECODERS:
        with pytest.raises(WireError):
            decode(json.dumps({"kind": kind, "session": 1}).encode())


@pytest.mark.parametrize(("message", "decode"), WAYS, ids=IDS)
def test_a_message_of_the_other_direction_is_refused(message: Any, decode: Any) -> None:
    for other in DECODERS:
        if other is not decode:
            with pytest.raises(WireError):
                other(m.encode(message))


def test_the_size_limit_is_inclusive() -> None:
    text = m.encode(m.Goodbye(session=1))
    assert m.decode_to_gateway(text + b" " * (m.MAX_BYTES - len(text))) == m.Goodbye(session=1)
    with pytest.raises(WireError, match=str(m.MAX_BYTES + 1)):
        m.decode_to_gateway(text + b" " * (m.MAX_BYTES + 1 - len(text)))


def refused_or_read(data: bytes) -> None:
    for decode in DECODERS:
        with contextlib.suppress(WireError):
            assert decode(data).v == m.VERSION


@given(st.binary(max_size=400))
@settings(deadline=None, suppress_health_check=SLOW)
def test_garbage_is_refused(data: bytes) -> None:
    refused_or_read(data)


@given(
    st.sampled_from([m.encode(x) for x, _ in WAYS]),
    st.lists(st.tuples(st.integers(0, 2000), st.one_of(st.binary(max_size=3), st.just(b'"'), st.just(b"[[[")))),
)
@settings(deadline=None, suppress_health_check=SLOW, max_examples=150)
def test_a_damaged_message_is_refused_or_read(data: bytes, damage: list[tuple[int, bytes]]) -> None:
    for anywhere, put in damage:
        at = anywhere % len(data)
        data = data[:at] + put + data[at + 1 :]
    refused_or_read(data)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from([json.loads(m.encode(x)) for x, _ in WAYS]), st.data())
@settings(deadline=None, suppress_health_check=SLOW, max_examples=80)
def test_a_field_of_another_type_is_refused_or_read(fields: dict[str, Any], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(fields)))
    refused_or_read(json.dumps({**fields, name: data.draw(json_values)}).encode())


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_deep_nesting_is_refused_like_any_other_garbage(opening: bytes) -> None:
    """A message within the size limit must not end the process that reads it."""
    deep = b'{"kind":"goodbye","session":1,"x":' + opening * ((m.MAX_BYTES - 40) // len(opening))
    with pytest.raises(WireError):
        m.decode_to_gateway(deep)


@pytest.mark.parametrize("field", ["part", "count"])
@pytest.mark.parametrize("value", [-1, 1 << 32])
def test_a_counter_that_is_no_32_bit_reading_is_refused(field: str, value: int) -> None:
    fields = json.loads(m.encode(TO_GATEWAY[1]))
    with pytest.raises(WireError):
        m.decode_to_gateway(json.dumps({**fields, field: value}).encode())


@pytest.mark.parametrize("candidates", [100, 1000])
def test_the_record_of_a_full_candidate_list_can_be_read_by_its_readers(candidates: int) -> None:
    """100 candidates are a manifest's default and 1000 its most; a saturated part is one that needs a record."""
    read = m.decode_published(m.encode(record(candidates)))
    assert isinstance(read, m.PartRecord)


def test_the_schema_names_every_message() -> None:
    schema = m.schema()
    names = {type(x).__name__ for x, _ in WAYS} | {"StationStatus", "GatewayStatus"}
    assert names <= set(schema["$defs"])
    assert {"$ref": "#/$defs/Hello"} in schema["anyOf"]
    json.dumps(schema)
