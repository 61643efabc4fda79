"""How long one turn of the gateway's loop can wait for a PLC that stops answering, on a virtual clock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import pytest

from edge.config import GatewayConfig
from edge.errors import PlcError
from edge.wire import messages as wire
from tests.support_gateway import CONFIG, GEOMETRY, HELLO, MS, PULSE_CONFIG, Line


class Silence:
    """Makes each call of a PLC take a time-out, and one more where it must connect first."""

    def __init__(self, line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
        self._clock, self._timeout_ns = line.clock, int(line.config.plc.timeout_ms * MS)
        self.calls = 0
        for name in ("read", "write_control", "write_permit"):
            monkeypatch.setattr(line.plc, name, self._wait)

    def _wait(self, *_: object) -> NoReturn:
        self._clock.ns += self._timeout_ns * (2 if self.calls else 1)
        self.calls += 1
        raise PlcError("The PLC did not answer.", "plug it in.")


def poll(line: Line, _station: Any) -> None:
    line.gateway._poll_ns = line.clock.ns


def permit(line: Line, station: Any) -> None:
    poll(line, station)
    station.say(station.verdict(102))


def beat(line: Line, _station: Any) -> None:
    line.gateway._beat_ns = line.clock.ns


def hello(line: Line, station: Any) -> None:
    poll(line, station)
    station.say(wire.Goodbye(session=station.grant.session))
    station.say(HELLO)


def stall(line: Line, station: Any) -> None:
    poll(line, station)
    line.clock.ns += int(line.config.plc.stale_ms * MS) + MS


@pytest.mark.parametrize("config", [CONFIG, PULSE_CONFIG], ids=["permit", "pulse"])
@pytest.mark.parametrize("first", [poll, permit, beat, hello, stall])
def test_a_turn_waits_for_a_silent_plc_no_longer_than_configured(
    config: GatewayConfig, first: Callable[[Line, Any], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    line = Line(config)
    station = line.joined()
    station.judge(line.part(101))
    if config is PULSE_CONFIG:
        line.until(lambda: line.plc.control.output)
    line.travel(2 * GEOMETRY.pitch)
    line.part(102)
    silence = Silence(line, monkeypatch)
    first(line, station)
    for _ in range(3):
        began = line.clock.ns
        line.work()
        assert line.clock.ns - began <= (config.plc.poll_ms + 2 * config.plc.timeout_ms) * MS
    line.pass_time(10)
    assert silence.calls
    assert not line.gateway.status().plc_ok
