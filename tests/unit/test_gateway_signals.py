"""The signal map: blocks apart from each other, words in the right order, nonsense refused."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.core.counter import delta
from edge.core.session import Permit, Session
from edge.errors import PlcError
from edge.gateway.plc import signals as s

SLOW = [HealthCheck.too_slow]

wide = st.integers(0, (1 << 32) - 1)
word = st.integers(0, 0xFFFF)
SPAN = 1 << 32


def block(**at: int) -> list[int]:
    """Return a status block with the registers named ``r<address>`` set."""
    registers = [0] * s.STATUS_LENGTH
    registers[0] = s.MAP_VERSION
    for name, value in at.items():
        registers[int(name[1:])] = value
    return registers


def test_no_two_blocks_overlap() -> None:
    control = s.control_words(s.Control(1, True, False, 2, 3, 4, 5, 6, "reject", False, 7))
    spans = [
        (s.STATUS_BASE, s.STATUS_LENGTH),
        (s.CONTROL_BASE, len(control)),
        (s.PERMIT_BASE, s.PERMIT_SLOTS * s.PERMIT_LENGTH),
    ]
    for (base, length), (following, _) in pairwise(spans):
        assert base + length <= following
    assert len(control) == s.CONTROL_LENGTH
    assert s.TRIGGERS_AT + 4 * s.TRIGGERS <= s.ECHOES_AT
    assert s.ECHOES_AT + 2 * s.PERMIT_SLOTS <= s.GATED_AT
    assert s.GATED_AT + 4 * s.GATED <= s.STATUS_LENGTH
    assert s.STATUS_LENGTH <= 125, "one Modbus read holds no more registers"


@settings(deadline=None, suppress_health_check=SLOW)
@given(wide)
def test_wide_values_go_high_word_first(value: int) -> None:
    high, low = s.words(value)
    assert (high << 16) | low == value
    status = s.parse_status(block(r4=high, r5=low, r6=high, r7=low, r10=high, r11=low, r12=high, r13=low))
    assert status.session == status.count == status.gateway_session == status.station_session == value


@settings(deadline=None, suppress_health_check=SLOW)
@given(st.lists(word, min_size=120, max_size=120))
def test_any_registers_are_read_or_refused(registers: list[int]) -> None:
    registers[0] = s.MAP_VERSION
    for slot in range(s.PERMIT_SLOTS):
        registers[s.ECHOES_AT + 2 * slot + 1] %= len(s.PERMIT_STATUS)
    for entry in range(s.GATED):
        registers[s.GATED_AT + 4 * entry + 2] %= 3
        registers[s.GATED_AT + 4 * entry + 3] %= 3
    status = s.parse_status(registers)
    assert (status.heartbeat, status.flags, status.fail_safe) == tuple(registers[1:4])
    assert (status.recipe, status.epoch) == (registers[16], registers[17])
    assert [status.opened, status.without_permit, status.met_gate] == [
        registers[at] << 16 | registers[at + 1] for at in (18, 20, 22)
    ]
    assert all(-s.TRIGGERS < delta(number, status.last_part) <= 0 for number, _ in status.parts)
    assert len(status.echoes) == s.PERMIT_SLOTS
    assert len(status.gated) == s.GATED


@settings(deadline=None, suppress_health_check=SLOW)
@given(st.lists(word, max_size=130), st.booleans())
def test_whatever_a_stranger_answers_is_a_status_or_an_error(registers: list[int], ours: bool) -> None:
    if ours and registers:
        registers[0] = s.MAP_VERSION
    try:
        status = s.parse_status(registers)
    except PlcError:
        return
    assert len(registers) == s.STATUS_LENGTH
    assert registers[0] == s.MAP_VERSION
    assert all(action <= s.ACTION_REJECTED and said <= s.CONTRADICTED for _, action, said in status.gated)
    assert all(status in s.PERMIT_STATUS for _, status in status.echoes)


@pytest.mark.parametrize(
    ("at", "value", "known"),
    [
        (s.GATED_AT + 2, 2, True),
        (s.GATED_AT + 2, 3, False),
        (s.GATED_AT + 31, 2, True),
        (s.GATED_AT + 31, 3, False),
        (s.ECHOES_AT + 1, 10, True),
        (s.ECHOES_AT + 1, 11, False),
    ],
)
def test_a_word_that_the_map_does_not_know_is_refused(at: int, value: int, known: bool) -> None:
    registers = block(**{f"r{at}": value})
    if known:
        s.parse_status(registers)
    else:
        with pytest.raises(PlcError, match=r"the map does not know"):
            s.parse_status(registers)


@pytest.mark.parametrize("last", [3, 12, 100, 0, 5 - 1, SPAN - 1])
def test_parts_come_oldest_first_across_the_wrap(last: int) -> None:
    registers = block()
    registers[8:10] = s.words(last)
    numbers = [(last - n) % SPAN for n in range(s.TRIGGERS)]
    for place, number in enumerate(numbers):  # a ring: the newest lies anywhere
        at = s.TRIGGERS_AT + 4 * ((7 - place) % s.TRIGGERS)
        registers[at : at + 4] = [*s.words(number), *s.words((10 * number) % SPAN)]
    shown = s.parse_status(registers).parts
    assert [number for number, _ in shown][-1] == last
    ages = [(last - number) % SPAN for number, _ in shown]
    assert ages == sorted(ages, reverse=True)
    assert all(count == (10 * number) % SPAN for number, count in shown if number)


@pytest.mark.parametrize("length", [0, 119, 121])
def test_a_short_or_long_block_is_refused(length: int) -> None:
    with pytest.raises(PlcError, match=str(length)):
        s.parse_status([s.MAP_VERSION] * length)


@pytest.mark.parametrize("version", [0, 2, 0xFFFF])
def test_another_version_is_refused(version: int) -> None:
    with pytest.raises(PlcError, match=f"version {version}.*Remedy"):
        s.parse_status([version, *block()[1:]])


def test_a_permit_status_that_the_map_does_not_know_is_refused() -> None:
    with pytest.raises(PlcError, match="11"):
        s.parse_status(block(r73=11))


@settings(deadline=None, suppress_health_check=SLOW)
@given(wide, wide, wide, wide, word, st.integers(1, 0xFFFF))
def test_a_permit_ends_with_its_sequence(n: int, count: int, plc: int, gateway: int, epoch: int, sequence: int) -> None:
    words = s.permit_words(Permit(n, count, Session(plc, gateway, 1, epoch, 0)), sequence)
    assert len(words) == s.PERMIT_LENGTH
    assert all(0 <= w <= 0xFFFF for w in words)
    assert words == [*s.words(n), *s.words(count), *s.words(plc), *s.words(gateway), epoch, s.RESULT_PASS, sequence]
    assert words[-1] == sequence


@settings(deadline=None, suppress_health_check=SLOW)
@given(
    st.integers(0, 1 << 40), st.booleans(), st.booleans(), wide, wide, wide, word, word,
    st.sampled_from(["reject", "stop_line"]), st.booleans(), wide,
)  # fmt: skip
def test_control_words_fit_their_registers(
    heartbeat: int, ready: bool, stop: bool, gateway: int, station: int, fence: int, recipe: int, epoch: int,
    fail_safe: str, output: bool, plc: int,
) -> None:  # fmt: skip
    control = s.Control(heartbeat, ready, stop, gateway, station, fence, recipe, epoch, fail_safe, output, plc)
    words = s.control_words(control)
    assert all(0 <= w <= 0xFFFF for w in words)
    assert words[0] == heartbeat % 65_536
    assert words[1] == ready + 2 * stop
    assert words[2:8] == [*s.words(gateway), *s.words(station), *s.words(fence)]
    assert words[8:12] == [recipe, epoch, s.FAIL_SAFE[fail_safe], output]
    assert words[12:] == s.words(plc)


def test_the_gate_ring_tells_number_action_and_confirmation() -> None:
    registers = block(r88=1, r89=2, r90=s.ACTION_GOOD, r91=s.CONFIRMED, r118=s.ACTION_REJECTED, r119=s.CONTRADICTED)
    gated = s.parse_status(registers).gated
    assert gated[0] == (65_538, s.ACTION_GOOD, s.CONFIRMED)
    assert gated[7] == (0, s.ACTION_REJECTED, s.CONTRADICTED)
    assert set(gated[1:7]) == {(0, 0, 0)}


def test_no_two_flags_share_a_bit() -> None:
    status = [
        s.RUNNING, s.GATEWAY_ALIVE, s.INFEED_OPEN, s.BELT_MOVING, s.RESET, s.BIN_FULL, s.AIR_LOW, s.EYE_BLOCKED,
        s.ENCODER_LOST, s.LINE_STOPPED, s.PULSE,
    ]  # fmt: skip
    assert status == [1 << bit for bit in range(11)]
    assert (s.READY, s.STOP) == (1, 2)
