"""A plant in real time, and as little of a gateway as it needs."""

import threading
import time
from collections.abc import Iterator, Sequence, Set
from contextlib import contextmanager
from typing import Any

import numpy as np
from pymodbus.client import ModbusTcpClient

from edge.simulate import plc_map as plc
from edge.simulate.devices import Faults, Shot
from edge.simulate.plant import Plant, PlantSettings, ProgramFactory
from edge.simulate.plc import PlcProgram
from edge.simulate.plc_io import PlcSettings
from edge.simulate.world import Line

GATEWAY, STATION = 0x1111_2222, 0x3333_4444
ANY = "tcp://127.0.0.1:*"


def halves(value: int) -> list[int]:
    return [value >> 16, value & 0xFFFF]


def long(registers: Sequence[int], at: int) -> int:
    return registers[at] << 16 | registers[at + 1]


@contextmanager
def client_of(port: int, timeout: float = 1.0) -> Iterator[ModbusTcpClient]:
    client = ModbusTcpClient("127.0.0.1", port=port, timeout=timeout, retries=0)
    assert client.connect()  # type: ignore[no-untyped-call]
    try:
        yield client
    finally:
        client.close()  # type: ignore[no-untyped-call]


class FlatScene:
    """Frames of one grey; every third plate is defective."""

    size = (8, 4)
    color = "mono8"

    def shot(self, index: int) -> Shot:
        defective = index % 3 == 0
        return Shot(np.full((4, 8), index, np.uint8), defective, ("patches",) if defective else ())


class ScriptedGateway:
    """As little of a gateway as opens the gate: permits for all parts but those in ``refused``."""

    def __init__(self, client: ModbusTcpClient, refused: Set[int]) -> None:
        self.client, self.refused = client, refused
        self.beat = self.sequence = self.done = 0
        self.statuses: list[int] = []
        self.plc_session = self.fence = 0

    def step(self) -> Sequence[int]:
        block = self.client.read_holding_registers(0, count=120).registers
        if self.plc_session != long(block, plc.PLC_SESSION_W):
            self.plc_session = long(block, plc.PLC_SESSION_W)
            self.fence = long(block, plc.COUNT_W) + 5000 + 1000
            self.done = long(block, plc.LAST_PART_W)
        self.beat += 1
        words = [self.beat, 1, *halves(GATEWAY), *halves(STATION), *halves(self.fence), 7, 1]
        words += [block[plc.FAIL_SAFE], 0, *halves(self.plc_session)]
        self.client.write_registers(200, words)
        while block[plc.VERSION] and self.done < long(block, plc.LAST_PART_W):
            self.done += 1
            entry = plc.TRIGGER_RING + self.done % 12 * 4
            if self.done not in self.refused:
                self._permit(block, self.done, long(block, entry + 2))
        return block

    def _permit(self, block: Sequence[int], number: int, count: int) -> None:
        self.sequence += 1
        words = [*halves(number), *halves(count), *halves(long(block, plc.PLC_SESSION_W)), *halves(GATEWAY)]
        self.client.write_registers(220 + 11 * (self.sequence % 8), [*words, 1, 1, self.sequence])


@contextmanager
def running(settings: PlantSettings, program: ProgramFactory = PlcProgram) -> Iterator[Plant]:
    plant = Plant(settings, program, FlatScene())
    try:
        plant.open()
        thread = threading.Thread(target=plant.run)
        thread.start()
        try:
            yield plant
        finally:
            plant.stop()
            thread.join()
    finally:
        plant.close()


def short_run(parts: int = 10, fail_safe: int = plc.REJECT, **changes: Any) -> PlantSettings:
    line = Line(parts=parts, **changes.pop("line", {}))
    faults = Faults(**changes)
    return PlantSettings(
        line=line,
        plc=PlcSettings(watchdog_ms=1000, fail_safe=fail_safe),  # the machine may be busy with something else
        faults=faults,
        trigger=ANY,
        camera=ANY,
        telemetry="tcp://127.0.0.1:9",
        modbus_port=0,
        reset_s=0.1,
        settle_s=0.2,
    )


def drive(plant: Plant, refused: Set[int] = frozenset(), until: int = 10) -> Sequence[int]:
    deadline = time.monotonic() + 8
    with client_of(plant.addresses["modbus"]) as client:
        gateway = ScriptedGateway(client, refused)
        while time.monotonic() < deadline:
            block = gateway.step()
            if long(block, plc.GATED_W) >= until:
                return block
            time.sleep(0.02)
    raise AssertionError("the plates did not meet the gate in time")
