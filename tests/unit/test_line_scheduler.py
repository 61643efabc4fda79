from edge.simulate.line.scheduler import NEVER, Scheduler

MS = 1_000_000


class Physics:
    """A world with events every 7 ms, and a PLC that scans every 10 ms."""

    def __init__(self, sim: Scheduler, log: list[tuple[str, int]]) -> None:
        self.due_ns, self.scan_ns = 7 * MS, 10 * MS
        self._sim, self._log = sim, log
        sim.physics = self

    def happen(self, now_ns: int) -> None:
        self._log.append(("world", now_ns // MS))
        self.due_ns += 7 * MS

    def scan(self, now_ns: int) -> None:
        self._log.append(("scan", now_ns // MS))
        self.scan_ns += 10 * MS


def line() -> tuple[Scheduler, Physics, list[tuple[str, int]]]:
    sim = Scheduler(0)
    log: list[tuple[str, int]] = []
    return sim, Physics(sim, log), log


def test_everything_happens_in_order_of_time() -> None:
    sim, _, log = line()
    sim.at(12 * MS, lambda what: log.append((what, sim.now // MS)), "action")
    sim.run_until(22 * MS)
    assert log == [("world", 7), ("scan", 10), ("action", 12), ("world", 14), ("scan", 20), ("world", 21)]
    assert sim.now == 22 * MS


def test_in_one_instant_the_world_comes_first_and_the_scan_last() -> None:
    sim, physics, log = line()
    physics.due_ns = physics.scan_ns = 5 * MS
    sim.at(5 * MS, lambda _: log.append(("first", 5)))
    sim.at(5 * MS, lambda _: log.append(("second", 5)))
    sim.run_until(5 * MS)
    assert log == [("world", 5), ("first", 5), ("second", 5), ("scan", 5)]


def test_what_is_late_happens_now_and_time_never_goes_back() -> None:
    sim, physics, log = line()
    physics.due_ns = NEVER
    sim.run_until(9 * MS)
    sim.at(3 * MS, lambda _: log.append(("late", sim.now // MS)))
    sim.after(0, lambda _: log.append(("now", sim.now // MS)))
    sim.run_until(9 * MS)
    assert log == [("late", 9), ("now", 9)]
    assert sim.clock() == 9 * MS


def test_an_action_may_wait_while_the_rest_goes_on() -> None:
    sim, _, log = line()

    def slow(_: object) -> None:
        log.append(("asks", sim.now // MS))
        sim.run_until(sim.now + 10 * MS)
        log.append(("answered", sim.now // MS))

    sim.at(5 * MS, slow)
    sim.at(6 * MS, lambda _: log.append(("other", sim.now // MS)))
    sim.run_until(16 * MS)
    assert log == [
        ("asks", 5), ("other", 6), ("world", 7), ("scan", 10), ("world", 14), ("answered", 15),
    ]  # fmt: skip


def test_an_end_in_the_past_changes_nothing() -> None:
    sim, _, log = line()
    sim.run_until(8 * MS)
    sim.run_until(2 * MS)
    assert (sim.now, log) == (8 * MS, [("world", 7)])
