import pytest

from edge.simulate import plc
from edge.simulate.plc import PlcProgram
from edge.simulate.plc_io import Edge, Inputs, Outputs, PlcSettings

MS = 1_000_000
GATEWAY, STATION = 0x1111_2222, 0x3333_4444
C = 4_000_000  # where the part's edge is latched
SETTINGS = PlcSettings()
N_D = 5000
COMMIT = 5000 - 50 - 270


def put32(registers: list[int], at: int, value: int) -> None:
    registers[at : at + 2] = [value >> 16 & 0xFFFF, value & 0xFFFF]


class Bench:
    """A program with a hand on every input.  A scan comes no sooner than the belt at its highest speed allows."""

    def __init__(self, settings: PlcSettings = SETTINGS) -> None:
        self.reg = [0] * plc.REGISTERS
        sessions = iter(range(900, 1000))
        self.program = PlcProgram(settings, self.reg, lambda: next(sessions))
        self.now_ns = 10_000 * MS
        self.count, self.number = C - 500, 1000
        self.beating = self.moving = True
        self.epoch = 1
        self.slip = 0  # counts that the encoder has read too much
        self.sequence = 0
        self.edges: list[Edge] = []

    def get32(self, at: int) -> int:
        return self.reg[at] << 16 | self.reg[at + 1]

    def flag(self, bit: int) -> bool:
        return bool(self.reg[plc.FLAGS] & bit)

    def scan(self, count: int | None = None, ms: float = 10) -> Outputs:
        count = self.count if count is None else count
        self.now_ns += round(max(ms, (count - self.count) / 10) * MS)
        self.count = count
        if self.beating:
            self.reg[plc.G_HEARTBEAT] = self.reg[plc.G_HEARTBEAT] % 0xFFFF + 1
        inputs = Inputs((self.count + self.slip) % 2**32, self.number, self.epoch, tuple(self.edges), self.moving)
        self.edges = []
        return self.program.scan(self.now_ns, inputs)

    def part(self, number: int = 1001, count: int = C, length: int | None = 600) -> None:
        self.number = number
        self.edges.append(Edge(True, number, count % 2**32))
        if length is not None:
            self.edges.append(Edge(False, number, (count + length) % 2**32))

    def control(self, gateway: int = GATEWAY, station: int = STATION, fence: int = 0, **changes: int) -> None:
        self.reg[plc.G_FLAGS] = changes.get("flags", plc.READY)
        put32(self.reg, plc.G_SESSION_W, gateway)
        put32(self.reg, plc.G_STATION_W, station)
        put32(self.reg, plc.G_FENCE_W, fence % 2**32)
        self.reg[plc.G_RECIPE] = 7
        self.reg[plc.G_EPOCH] = changes.get("epoch", 1)
        self.reg[plc.G_FAIL_SAFE] = changes.get("fail_safe", 1)

    def permit(self, number: int = 1001, count: int = C, slot: int = 0, **changes: int) -> None:
        self.sequence += 1
        at = plc.PERMITS + slot * plc.PERMIT_SIZE
        put32(self.reg, at, number)
        put32(self.reg, at + 2, count % 2**32)
        put32(self.reg, at + 4, changes.get("plc_session", 900))
        put32(self.reg, at + 6, changes.get("gateway", GATEWAY))
        self.reg[at + 8] = changes.get("epoch", 1)
        self.reg[at + 9] = changes.get("result", 1)
        self.reg[at + 10] = self.sequence

    def status(self, slot: int = 0) -> int:
        at = plc.ECHO_RING + 2 * slot
        assert self.reg[at] == self.reg[plc.PERMITS + slot * plc.PERMIT_SIZE + 10]
        return self.reg[at + 1]


def running(settings: PlcSettings = SETTINGS) -> Bench:
    """Return a bench with a live gateway, the fence behind it, and part 1001 at ``C``."""
    bench = Bench(settings)
    bench.control(fence=C - 10_000)
    bench.scan()
    bench.part()
    bench.scan(C + 700)
    return bench


def armed() -> Bench:
    bench = running()
    bench.permit()
    bench.scan(C + 800)
    assert bench.status() == plc.ARMED
    return bench


# -- registers ---------------------------------------------------------------------------------------------------


def test_the_status_block() -> None:
    bench = running()
    assert bench.reg[:4] == [1, 2, 0b1111, 1]
    assert [bench.get32(at) for at in (4, 6, 8, 10, 12, 14)] == [900, C + 700, 1001, GATEWAY, STATION, C - 10_000]
    assert bench.reg[16:18] == [7, 1]
    ring = plc.TRIGGER_RING + 1001 % 12 * 4
    assert (bench.get32(ring), bench.get32(ring + 2)) == (1001, C)


def test_the_heartbeat_is_the_programs_and_wraps() -> None:
    bench = Bench()
    bench.reg[plc.HEARTBEAT] = 0xFFFF
    bench.scan()
    assert bench.reg[plc.HEARTBEAT] == 0
    bench.program.stop()
    before = list(bench.reg)
    assert bench.scan() == Outputs(False, False)
    assert bench.reg[: plc.READ_ONLY_END] == before[: plc.READ_ONLY_END]


def test_without_a_gateway_nothing_opens() -> None:
    bench = Bench()
    assert bench.scan() == Outputs(False, False)
    assert (bench.flag(plc.RUNNING), bench.flag(plc.GATEWAY_ALIVE), bench.flag(plc.INFEED_OPEN)) == (True, False, False)


@pytest.mark.parametrize(("flags", "is_open"), [(plc.READY, True), (0, False)])
def test_the_infeed_follows_ready(flags: int, is_open: bool) -> None:
    bench = Bench()
    bench.control(flags=flags)
    assert bench.scan().infeed_open is is_open
    assert bench.flag(plc.INFEED_OPEN) is is_open
    assert bench.flag(plc.GATEWAY_ALIVE)


# -- the gate ----------------------------------------------------------------------------------------------------


def test_the_gate_opens_for_a_permit_once_and_closes() -> None:
    bench = armed()
    opened = [count for count in range(C + 1000, C + 6500, 50) if bench.scan(count, ms=5).gate_open]
    assert (opened[0], opened[-1]) == (C + 4750, C + 5600)
    assert opened == list(range(C + 4750, C + 5601, 50))
    assert bench.status() == plc.EXECUTED
    assert [bench.get32(at) for at in (plc.HONOURED_W, plc.REJECTED_W, plc.GATED_W)] == [1, 0, 1]
    entry = plc.GATE_RING + 1 * 4
    assert (bench.get32(entry), bench.reg[entry + 2]) == (1001, plc.ACTION_GOOD)


def test_a_part_without_a_permit_meets_a_closed_gate() -> None:
    bench = running()
    assert not any(bench.scan(count, ms=5).gate_open for count in range(C + 1000, C + 6500, 50))
    assert [bench.get32(at) for at in (plc.HONOURED_W, plc.REJECTED_W, plc.GATED_W)] == [0, 1, 1]
    assert bench.reg[plc.GATE_RING + 4 + 2] == plc.ACTION_REJECTED


@pytest.mark.parametrize(("place", "status"), [(4829, plc.ARMED), (4831, plc.EXPIRED)])
def test_a_window_that_a_slow_scan_missed_stays_shut(place: int, status: int) -> None:
    bench = armed()
    # the gate needs 12 ms, 120 counts, and the window starts at 4950
    outputs = bench.scan(C + place)
    assert outputs.gate_open is (status == plc.ARMED)
    assert bench.status() == (plc.EXECUTED if status == plc.ARMED else plc.EXPIRED)


# -- permits -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("place", "status"), [(COMMIT, plc.ARMED), (COMMIT + 1, plc.LATE)])
def test_the_commit_point(place: int, status: int) -> None:
    bench = running()
    assert SETTINGS.commit_counts == COMMIT
    bench.permit()
    bench.scan(C + place)
    assert bench.status() == status


@pytest.mark.parametrize(
    ("error", "status"),
    [(380, plc.ARMED), (-380, plc.ARMED), (381, plc.WRONG_COUNT), (-381, plc.WRONG_COUNT)],
)
def test_the_tolerance_on_the_count(error: int, status: int) -> None:
    bench = running()
    bench.permit(count=C + error)
    bench.scan()
    assert bench.status() == status


@pytest.mark.parametrize(("fence", "status"), [(C + N_D, plc.ARMED), (C + N_D + 1, plc.FENCED)])
def test_the_fence(fence: int, status: int) -> None:
    bench = running()
    bench.control(fence=fence)
    bench.permit()
    bench.scan()
    assert bench.status() == status


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"plc_session": 901}, plc.WRONG_SESSION),
        ({"plc_session": 0}, plc.WRONG_SESSION),
        ({"gateway": GATEWAY + 1}, plc.WRONG_SESSION),
        ({"gateway": 0}, plc.WRONG_SESSION),
        ({"epoch": 2}, plc.WRONG_SESSION),
        ({"number": 1002}, plc.UNKNOWN_PART),
        ({"number": 1001 + 65536}, plc.UNKNOWN_PART),
        ({"count": C + 65536}, plc.WRONG_COUNT),
        ({"result": 0}, plc.BAD_RESULT),
        ({"result": 2}, plc.BAD_RESULT),
    ],
)
def test_every_field_must_agree(changes: dict[str, int], status: int) -> None:
    bench = running()
    bench.permit(**changes)
    bench.scan()
    assert bench.status() == status
    assert not any(bench.scan(count, ms=5).gate_open for count in range(C + 1000, C + 6500, 50))


@pytest.mark.parametrize("changes", [{"epoch": 2}, {"station": 0}])
def test_a_control_block_without_station_or_epoch_arms_nothing(changes: dict[str, int]) -> None:
    bench = running()
    bench.control(fence=C - 10_000, **changes)
    bench.permit()
    bench.scan()
    assert bench.status() == plc.WRONG_SESSION


def test_a_permit_is_honoured_once() -> None:
    bench = armed()
    bench.permit(slot=1)
    bench.scan()
    assert (bench.status(0), bench.status(1)) == (plc.ARMED, plc.EXPIRED)
    assert sum(bench.scan(count, ms=5).gate_open for count in range(C + 1000, C + 6500, 50)) == 18
    bench.permit(slot=2)
    bench.scan()
    assert bench.status(2) == plc.LATE
    assert bench.get32(plc.HONOURED_W) == 1


def test_a_slot_is_processed_when_its_sequence_changes_and_not_before() -> None:
    bench = running()
    bench.permit()
    bench.reg[plc.PERMITS + 10] = 0
    bench.scan()
    assert bench.reg[plc.ECHO_RING : plc.ECHO_RING + 2] == [0, 0]
    bench.reg[plc.PERMITS + 10] = 65535
    bench.scan()
    assert bench.reg[plc.ECHO_RING : plc.ECHO_RING + 2] == [65535, plc.ARMED]


def test_the_echo_of_a_newer_permit_is_left_alone() -> None:
    bench = armed()
    bench.permit(number=5)
    bench.scan()
    assert bench.status() == plc.UNKNOWN_PART
    bench.scan(C + 4800)
    assert bench.get32(plc.HONOURED_W) == 1
    assert bench.status() == plc.UNKNOWN_PART


@pytest.mark.parametrize(("length", "status"), [(700, plc.ARMED), (701, plc.NOT_PERMITTABLE)])
def test_the_longest_part(length: int, status: int) -> None:
    bench = Bench()
    bench.control(fence=C - 10_000)
    bench.part(length=length)
    bench.scan(C + 800)
    bench.permit()
    bench.scan()
    assert bench.status() == status


@pytest.mark.parametrize(("place", "status"), [(700, plc.ARMED), (701, plc.NOT_PERMITTABLE)])
def test_a_covered_eye_voids_the_permit_that_was_armed(place: int, status: int) -> None:
    bench = Bench()
    bench.control(fence=C - 10_000)
    bench.part(length=None)
    bench.permit()
    bench.scan(C + 100)
    assert bench.status() == plc.ARMED
    bench.scan(C + place)
    assert bench.status() == status


@pytest.mark.parametrize(("pitch", "status"), [(800, plc.ARMED), (799, plc.NOT_PERMITTABLE)])
def test_the_smallest_pitch_to_either_neighbour(pitch: int, status: int) -> None:
    bench = armed()
    bench.part(1002, C + pitch)
    bench.permit(1002, C + pitch, slot=1)
    bench.scan(C + pitch + 600)
    assert (bench.status(0), bench.status(1)) == (status, status)


def test_everything_holds_across_the_wrap_of_count_and_number() -> None:
    bench = Bench()
    count, number = 0xFFFF_FF00, 0xFFFF_FFFF
    bench.control(fence=count + N_D - 300)
    bench.scan(count - 100)
    bench.part(number, count)
    bench.permit(number, count)
    bench.scan(count + 800)
    assert bench.status() == plc.ARMED
    assert any(bench.scan(place, ms=5).gate_open for place in range(count + 4700, count + 4900, 50))
    bench.part(0, count + 1000)
    bench.scan()
    assert bench.get32(plc.LAST_PART_W) == 0


# -- the encoder -------------------------------------------------------------------------------------------------


def in_window() -> Bench:
    bench = armed()
    assert bench.scan(C + 4800).gate_open
    return bench


def second_part(bench: Bench, count: int, slot: int = 1) -> int:
    """Count part 1002, ask for its permit, and return what became of it."""
    bench.part(1002, count)
    bench.scan(count - bench.slip + 700)
    bench.permit(1002, count, slot=slot, epoch=bench.epoch)
    bench.reg[plc.G_EPOCH] = bench.epoch
    bench.scan()
    return bench.status(slot)


def test_a_new_epoch_shuts_an_open_gate_and_forgets_all_parts() -> None:
    bench = in_window()
    bench.epoch, bench.slip = 2, -(C + 4800)
    assert not any(bench.scan(C + 4800 + step, ms=5).gate_open for step in range(0, 6500, 50))
    assert bench.status() == plc.EXPIRED
    bench.reg[plc.G_EPOCH] = 2
    bench.permit(epoch=2)
    bench.scan()
    assert bench.status() == plc.UNKNOWN_PART
    bench.control(fence=0, epoch=2)
    assert second_part(bench, 6600) == plc.ARMED


def test_a_new_epoch_alone_voids_permits() -> None:
    bench = armed()
    bench.epoch = 2
    bench.scan(C + 900)
    assert bench.status() == plc.EXPIRED


@pytest.mark.parametrize("moving", [True, False])
@pytest.mark.parametrize(("still_ms", "is_open"), [(39.9, True), (40, False)])
def test_a_window_does_not_outlive_a_count_that_stands(moving: bool, still_ms: float, is_open: bool) -> None:
    bench = in_window()
    assert SETTINGS.still_ms == 40
    bench.moving = moving
    assert bench.scan(ms=still_ms).gate_open is is_open
    assert bench.status() == (plc.EXECUTED if is_open else plc.EXPIRED)
    bench.moving = True
    assert bench.scan(C + 4900).gate_open is is_open
    bench.scan(C + 5800)
    assert bench.reg[plc.GATE_RING + 4 + 2] == (plc.ACTION_GOOD if is_open else plc.ACTION_REJECTED)


def test_an_encoder_that_trembles_on_the_spot_stands() -> None:
    bench = in_window()
    opened = [bench.scan(C + 4800 - step % 2, ms=5).gate_open for step in range(20)]
    assert opened == [True] * 7 + [False] * 13


@pytest.mark.parametrize(("moving", "status"), [(True, plc.EXPIRED), (False, plc.ARMED)])
def test_permits_upstream_outlive_a_belt_that_stands_but_not_a_frozen_encoder(moving: bool, status: int) -> None:
    bench = armed()
    bench.moving = moving
    for _ in range(100):
        bench.scan()
    assert bench.status() == status
    bench.moving = True
    bench.scan()  # the belt's relay comes before its first count
    assert bench.scan(C + 4800).gate_open is (status == plc.ARMED)


@pytest.mark.parametrize(("slip", "is_void"), [(120, False), (121, True), (1000, True), (-121, True), (2**31, True)])
def test_an_encoder_that_jumps_voids_all_permits(slip: int, is_void: bool) -> None:
    # 10 ms at twice the highest speed are 200 counts, the backlash is 20, and the belt goes on by 100
    bench = armed()
    bench.slip = slip
    bench.scan(C + 900)
    assert bench.status() == (plc.EXPIRED if is_void else plc.ARMED)
    opened = [place for place in range(C + 1000, C + 6500, 50) if bench.scan(place, ms=5).gate_open]
    assert bool(opened) is not is_void


def test_a_jump_shuts_an_open_gate() -> None:
    bench = in_window()
    bench.slip = 300
    assert not bench.scan(C + 4850, ms=5).gate_open
    assert bench.status() == plc.EXPIRED
    assert (bench.get32(plc.REJECTED_W), bench.get32(plc.GATED_W)) == (1, 1)


def test_a_late_scan_is_no_jump() -> None:
    bench = armed()
    bench.scan(C + 900 + 3000, ms=310)
    assert bench.status() == plc.ARMED


@pytest.mark.parametrize("slip", [1000, -1000])
def test_after_a_jump_only_parts_counted_since_may_pass(slip: int) -> None:
    bench = running()
    bench.slip = slip
    bench.scan(C + 900)
    bench.permit(slot=1)
    bench.scan(C + 950)
    assert bench.status(1) == plc.EXPIRED
    assert second_part(bench, C + 1800 + slip, slot=2) == plc.ARMED


@pytest.mark.parametrize(("distance", "status"), [(800, plc.ARMED), (799, plc.NOT_PERMITTABLE)])
def test_the_smallest_pitch_counts_from_a_jump(distance: int, status: int) -> None:
    bench = running()
    bench.slip = 2000
    bench.scan(C + 800)
    assert second_part(bench, C + 2800 + distance) == status


def test_parts_that_an_encoder_left_behind_do_not_fill_the_table() -> None:
    bench = Bench()
    bench.scan()
    for index in range(40):
        bench.part(1001 + index, C + 1000 * index + bench.slip)
        bench.scan(C + 1000 * index + 700)
        bench.slip -= 100_000
    assert len(bench.program._parts) <= plc.REMEMBERED_PARTS + 1


@pytest.mark.parametrize(("back", "status"), [(20, plc.ARMED), (21, plc.EXPIRED)])
@pytest.mark.parametrize("step", [1, 50])
def test_a_belt_that_goes_back_beyond_its_backlash_voids_permits(back: int, status: int, step: int) -> None:
    bench = armed()
    for place in [*range(0, back, step), back]:
        bench.scan(C + 800 - place, ms=1)
    assert bench.status() == status


def test_a_belt_that_goes_back_reopens_no_window() -> None:
    bench = armed()
    for place in range(C + 1000, C + 5700, 50):
        bench.scan(place, ms=5)
    assert bench.get32(plc.GATED_W) == 1
    back = [*range(C + 5660, C + 5640, -1), *range(C + 5640, C + 3000, -100), *range(C + 3000, C + 6000, 100)]
    assert not any(bench.scan(place).gate_open for place in back)
    assert bench.get32(plc.HONOURED_W) == 1


def test_a_belt_that_rocks_back_reopens_no_window() -> None:
    bench = armed()
    assert [bench.scan(C + place).gate_open for place in (4800, 5640, 5650, 5640, 5660)] == [True, True] + [False] * 3


def test_a_belt_that_rocks_back_before_the_window_shuts_the_gate() -> None:
    bench = armed()
    assert [bench.scan(C + place).gate_open for place in (4730, 4729, 4735)] == [True, False, True]


def test_a_belt_that_goes_back_gives_no_part_a_second_chance() -> None:
    bench = running()
    bench.scan(C + 5760)
    for place in (5750, 4600):
        bench.scan(C + place)
    bench.permit()
    bench.scan()
    assert bench.status() == plc.EXPIRED
    assert not any(bench.scan(place).gate_open for place in range(C + 4600, C + 6500, 50))


# -- sessions ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("silence_ms", "alive"), [(149.9, True), (150, False)])
def test_the_watchdog(silence_ms: float, alive: bool) -> None:
    bench = armed()
    bench.beating = False
    bench.scan(C + 900, ms=silence_ms)
    assert bench.flag(plc.GATEWAY_ALIVE) is alive
    assert bench.get32(plc.GATEWAY_ECHO_W) == (GATEWAY if alive else 0)
    assert bench.status() == (plc.ARMED if alive else plc.EXPIRED)


def test_a_burnt_session_never_comes_back_and_a_new_one_may() -> None:
    bench = armed()
    bench.beating = False
    bench.scan(ms=150)
    bench.beating = True
    bench.permit(slot=1)
    outputs = bench.scan()
    assert (outputs.infeed_open, bench.status(1)) == (False, plc.WRONG_SESSION)
    assert [bench.get32(at) for at in (10, 12, 14)] == [0, 0, 0]
    bench.control(gateway=GATEWAY + 1, fence=C - 10_000)
    bench.scan()
    assert bench.get32(plc.GATEWAY_ECHO_W) == GATEWAY + 1
    bench.control(fence=C - 10_000)
    bench.scan()
    assert bench.get32(plc.GATEWAY_ECHO_W) == 0


def test_another_session_ends_the_present_one_and_its_permits() -> None:
    bench = armed()
    bench.control(gateway=GATEWAY + 1, fence=C - 10_000)
    bench.scan()
    assert (bench.get32(plc.GATEWAY_ECHO_W), bench.status()) == (GATEWAY + 1, plc.EXPIRED)
    assert not any(bench.scan(count, ms=5).gate_open for count in range(C + 1000, C + 6500, 50))


def test_a_session_is_accepted_only_while_its_heartbeat_changes() -> None:
    bench = Bench()
    bench.beating = False
    bench.control()
    bench.scan()
    assert not bench.flag(plc.GATEWAY_ALIVE)
    bench.beating = True
    bench.scan()
    assert bench.flag(plc.GATEWAY_ALIVE)


def test_a_new_fence_voids_armed_permits_before_it() -> None:
    bench = armed()
    bench.control(station=STATION + 1, fence=C + N_D + 1)
    bench.scan()
    assert bench.status() == plc.FENCED
    assert bench.get32(plc.STATION_ECHO_W) == STATION + 1


def test_another_fail_safe_is_refused() -> None:
    bench = armed()
    bench.control(fence=C - 10_000, fail_safe=2)
    bench.scan()
    assert (bench.flag(plc.GATEWAY_ALIVE), bench.status()) == (False, plc.EXPIRED)
    fresh = Bench()
    fresh.control(fail_safe=2)
    fresh.scan()
    fresh.control(fail_safe=1)
    fresh.scan()
    assert not fresh.flag(plc.GATEWAY_ALIVE)  # refused once is refused for good


def test_a_reboot_forgets_everything() -> None:
    bench = armed()
    bench.program.reboot()
    bench.control(fence=C - 10_000)
    bench.scan()
    assert bench.get32(plc.PLC_SESSION_W) == 901
    assert bench.reg[plc.ECHO_RING : plc.READ_ONLY_END] == [0] * 48
    assert bench.get32(plc.LAST_PART_W) == 1001  # the counter card went on
    bench.permit()
    bench.permit(slot=1, plc_session=901)
    bench.scan()
    assert (bench.status(0), bench.status(1)) == (plc.WRONG_SESSION, plc.UNKNOWN_PART)
    assert not any(bench.scan(count, ms=5).gate_open for count in range(C + 1000, C + 6500, 50))


def test_a_stopped_program_shuts_an_open_gate() -> None:
    bench = armed()
    assert bench.scan(C + 4800).gate_open
    bench.program.stop()
    assert not bench.scan(C + 4900).gate_open


def test_the_table_forgets_old_parts_alone() -> None:
    bench = Bench()
    bench.control(fence=C - 10_000)
    for index in range(40):
        bench.part(1001 + index, C + 1000 * index)
        bench.permit(1001 + index, C + 1000 * index, slot=index % 8)
        for place in range(0, 1000, 100):
            bench.scan(C + 1000 * index + place)
    assert (bench.get32(plc.HONOURED_W), bench.get32(plc.GATED_W)) == (36, 35)  # one stands in its window
    assert bench.get32(plc.REJECTED_W) == 0
