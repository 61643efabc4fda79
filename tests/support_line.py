"""A real line of real processes for tests: start it, hurt it, and read what the referee saw."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import zmq
from pymodbus.client import ModbusTcpClient
from pymodbus.exceptions import ModbusException

from edge.commands.processes import MODELS, Line
from edge.wire import messages as wire
from edge.wire.sockets import connect

RATE_PER_S = 10
"""Plates a second at 1000 mm/s and 100 mm pitch."""

FENCE_PARTS = 6
"""Trigger to gate (500 mm) and one pitch (100 mm), in parts."""

RECIPE = 'name = "test"\nrules = [{ name = "any defect", min_score = 0.5 }]'
EYE_PATIENCE_S = 5.0


class Eye:
    """The test's own look at the PLC's part counter, over Modbus."""

    def __init__(self, line: Line) -> None:
        self._client = ModbusTcpClient("127.0.0.1", port=line.modbus_port, timeout=1, retries=0)
        assert self._client.connect()

    def last_part(self) -> int:
        """Return the highest part number that the PLC has counted."""
        return self._long(8)

    def honoured(self) -> int:
        """Return how many permits the PLC has honoured."""
        return self._long(18)

    def _long(self, address: int) -> int:
        """Read two registers, from a PLC that may just be coming back."""
        end = time.monotonic() + EYE_PATIENCE_S
        while True:
            with contextlib.suppress(ModbusException):
                answer = self._client.read_holding_registers(address, count=2)
                if not answer.isError():
                    high, low = answer.registers
                    return (high << 16) | low
            assert time.monotonic() < end, f"the PLC has not answered for {EYE_PATIENCE_S:g} s"
            time.sleep(0.05)

    def wait_honoured(self, least: int, timeout_s: float) -> None:
        """Wait until the PLC has honoured ``least`` permits."""
        end = time.monotonic() + timeout_s
        while self.honoured() < least:
            assert time.monotonic() < end, f"only {self.honoured()} of {least} permits were honoured in {timeout_s} s"
            time.sleep(0.05)

    def wait_parts(self, more: int) -> int:
        """Wait until ``more`` further parts were counted; return the last one's number."""
        goal = self.last_part() + more
        while self.last_part() < goal:
            time.sleep(0.02)
        return self.last_part()

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


@dataclass(frozen=True)
class Ended:
    """What the referee and the station's file say after a run."""

    summary: dict[str, Any]
    plates: dict[int, dict[str, Any]]
    outcomes: dict[int, dict[str, Any]]

    def good(self, first: int, last: int) -> list[int]:
        """Return the numbers in [first, last] whose plates lie in the good bin."""
        return [n for n, plate in self.plates.items() if first <= n <= last and plate["bin"] == "good"]


@contextlib.contextmanager
def running_line(
    parts: int,
    *plant: str,
    package: str = "sim-strip",
    recipe: str = RECIPE,
    frame: tuple[int, int, str] = (640, 512, "mono8"),
    limits: str = "",
    plc: str = "",
    evidence: str | None = None,
) -> Iterator[tuple[Line, Eye]]:
    """Start plant, gateway and station.

    Args:
        parts: after which the plant ends; 0 runs it until it is stopped.
        plant: further options of the plant.
        package, recipe, frame: what the station inspects, with what.
        limits: TOML lines for the ``[line]`` sections.
        plc: TOML lines for the gateway's ``[plc]`` section, and sections behind it.
        evidence: as for ``Line``.
    """
    with Line(MODELS / package, recipe, limits, frame, plc, evidence=evidence) as line:
        options = ["--parts", str(parts), "--seed", "11", *plant]
        line.start_plant(*options)
        line.start_gateway()
        line.start_station()
        eye = Eye(line)
        try:
            yield line, eye
        finally:
            eye.close()


def send(line: Line, number: signal.Signals, *names: str) -> None:
    """Send a signal to processes of the line."""
    for name in names:
        os.kill(line.pid(name), number)


def watch_states(line: Line, until: str, timeout_s: float) -> list[wire.StationStatus]:
    """Return the station's published states up to the first ``until``."""
    states: list[wire.StationStatus] = []
    deadline = time.monotonic() + timeout_s
    with zmq.Context() as context, connect(context, zmq.SUB, line.endpoint("telemetry")) as subscriber:
        while not states or states[-1].state != until:
            assert time.monotonic() < deadline, f"never {until}: {[(s.state, s.reason) for s in states]}"
            if subscriber.poll(100):
                message = wire.decode_published(subscriber.recv_multipart()[-1])
                if isinstance(message, wire.StationStatus):
                    states.append(message)
    return states


def end(line: Line, stop: bool = False, timeout_s: float = 60.0) -> Ended:
    """Wait for the plant to end, or ``stop`` it, then stop the rest and return what was seen."""
    if stop:
        time.sleep(1.0)  # let the records of the last parts arrive
        assert line.stop("plant") == 0, line.log("plant")
    assert line.wait("plant", timeout_s) == 0, line.log("plant")
    line.stop("station")
    line.stop("gateway")
    outcomes = line.records("outcomes.jsonl")
    numbers = [int(str(record["part"])) for record in outcomes]
    assert len(numbers) == len(set(numbers)), "a part has two outcomes"
    return Ended(
        line.summary(),
        {int(str(plate["number"])): plate for plate in line.records("plates.jsonl")},
        dict(zip(numbers, outcomes, strict=True)),
    )


def assert_nothing_escaped(seen: Ended, kills: int = 0) -> None:
    """The referee's word: no part went through without a right to, or on another part's frame.

    Args:
        kills: of the station, of which the referee was not told.  Each may cost its word on one part, whose verdict it
            had sent and whose record it had not.
    """
    assert seen.summary["escaped_no_permit"] == 0, "a part is in the good bin without a permit"
    assert seen.summary["passed_unasked"] <= kills, "a part passed that the station did not pass by its own frame"
    unasked = [plate for plate in seen.plates.values() if plate["unasked"]]
    assert all(plate["permit"] and plate["outcome"] is None for plate in unasked), "a part passed against its verdict"
    assert seen.summary["wrong_part"] == 0, "a part's bin followed another part's frame"
    assert seen.summary["good_bin"] > 0, "nothing passed: rejecting everything proves nothing"
    assert seen.summary["reject_bin"] > 0, "nothing was rejected: passing everything proves nothing"
