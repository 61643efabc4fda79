from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.simulate import plc_map as plc
from edge.simulate.plc import PlcProgram
from edge.simulate.plc_io import Inputs, Outputs, PlcSettings
from edge.simulate.world import Bin
from tests.support_hypothesis import usual
from tests.support_plc_line import LINE, PLC, Faults, Rig


def entries(rig: Rig) -> dict[int, tuple[int, int]]:
    at = range(plc.GATE_RING, plc.GATE_RING + plc.GATE_ENTRIES * plc.GATE_SIZE, plc.GATE_SIZE)
    words = [rig.bank.read(start, plc.GATE_SIZE) for start in at]
    return {word[0] << 16 | word[1]: (word[2], word[3]) for word in words}


def test_on_a_healthy_line_every_plate_gets_what_it_deserves() -> None:
    rig = Rig()
    rig.run(8000)
    assert len(rig.fell) > 100
    assert {i for i, event in rig.fell.items() if event.bin is Bin.REJECT} == {i for i in rig.fell if i % 5 == 0}
    assert not any(event.clipped for event in rig.fell.values())
    good, rejected = (plc.ACTION_GOOD, plc.CONFIRMED), (plc.ACTION_REJECTED, plc.CONFIRMED)
    numbers = {event.number: i for i, event in rig.fell.items()}
    settled = {number: entry for number, entry in entries(rig).items() if entry[1]}
    assert len(settled) >= 6
    assert settled == {n: rejected if numbers[n] % 5 == 0 else good for n in settled}


@usual(40)
@given(st.integers(0, 2**32))
def test_whatever_breaks_no_plate_passes_without_a_permit_of_its_own(seed: int) -> None:
    rig = Rig(replace(LINE, seed=seed))
    faults = Faults(rig, seed)
    rig.run(4000, faults)
    assert rig.wrong == [], faults.done


def test_after_faults_good_plates_pass_again() -> None:
    for seed in range(20):
        rig = Rig(replace(LINE, seed=seed))
        faults = Faults(rig, seed)
        rig.run(3000, faults)
        faults.chance = 0
        rig.run(3000, faults)
        before = rig.world.good
        rig.run(1000, faults)
        assert rig.world.good >= before + 8, (seed, faults.done)


class Tireless(PlcProgram):
    """Looks at everything in every scan."""

    def _is_quiet(self, _count: int) -> bool:
        return False


class Twins:
    """The program, and one that takes no short cut, on the same inputs."""

    def __init__(self, settings: PlcSettings, registers: list[int], new_session: Any) -> None:
        self.lazy = PlcProgram(settings, registers, new_session)
        self.busy = Tireless(settings, list(registers), new_session)
        self._even()
        self.differences = 0

    def _even(self) -> None:
        self.busy._session = self.lazy._session  # each start draws one

    def scan(self, now_ns: int, inputs: Inputs) -> Outputs:
        self.busy._reg[plc.READ_ONLY_END :] = self.lazy._reg[plc.READ_ONLY_END :]
        outputs = self.lazy.scan(now_ns, inputs)
        self.differences += outputs != self.busy.scan(now_ns, inputs) or self.lazy._reg != self.busy._reg
        return outputs

    def stop(self) -> None:
        self.lazy.stop()
        self.busy.stop()

    def reboot(self) -> None:
        self.lazy.reboot()
        self.busy.reboot()
        self._even()


@usual(25)
@given(st.integers(0, 2**32), st.sampled_from([PLC, replace(PLC, pulse=True), replace(PLC, confirm_mm=2.0)]))
def test_a_scan_in_which_nothing_is_due_misses_nothing(seed: int, settings: PlcSettings) -> None:
    rig = Rig(replace(LINE, seed=seed, confirm_mm=settings.confirm_mm), settings, program=Twins)
    rig.run(3000, Faults(rig, seed))
    assert rig.program.differences == 0


@pytest.mark.parametrize("good", [True, False])
def test_a_plate_taken_away_contradicts_the_gate(good: bool) -> None:
    rig = Rig(bad=5 if good else 1)
    rig.run(1300)
    index = next(i for i in range(30) if i % 5 and rig.world.remove(i))
    rig.run(400)
    taken = (LINE.first_number + index) % 2**32
    expected = (plc.ACTION_GOOD, plc.CONTRADICTED) if good else (plc.ACTION_REJECTED, plc.CONFIRMED)
    assert entries(rig)[taken] == expected
