"""The station's health: samples, files, machine, drift of real parts, and what is said of all that."""

from __future__ import annotations

import os
import stat
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge import config as cfg
from edge.clock import NS_PER_S
from edge.core.drift import ONE_SIDED_TESTS, Learnt
from edge.core.outcome import Outcome
from edge.core.part import Finding, Identity, Part, Trigger, Verdict
from edge.core.picture_health import CALM, RECENT, REFERENCE_PICTURES, Reference
from edge.core.pool import FramePool, Purpose
from edge.errors import ConfigError
from edge.record.health import BASELINES, CARRIED, REFERENCE, Carried, HealthFolder
from edge.station import looker as looker_module
from edge.station.looker import CALM_LOOKS
from edge.station.machine import Machine, read
from edge.station.orders import Order
from edge.station.pairs import Model, Pair
from edge.station.watch import BASELINES_KEPT, BLIND_NS, PACE_PARTS, Pace, Watch, parts_per_year
from edge.wire.control import Command, Peer
from tests.support_station import RECIPE, Engine

PATIENCE_S = 5.0
SIDE = 64
RNG = np.random.default_rng(8)
HOLDS: dict[str, Any] = {"control": {"path": "control"}}
OFF = {"reaction": "off"}


def pair(model: str = "first", recipe: cfg.RecipeConfig = RECIPE) -> Pair:
    settings = cfg.ModelConfig()
    return Pair(Model(Identity(model, "engine", "fp32"), settings, Engine(), lambda _: (), lambda: None), recipe, ())


FIRST, SECOND = pair(), pair("second")
NAMES = [f"{model} engine fp32, recipe {RECIPE.name} {RECIPE.number()}" for model in ("first", "second")]


def part(number: int, outcome: Outcome, score: float | None = None, t0_ns: int | None = None) -> Part:
    findings = () if score is None else (Finding("scratch", score, (0, 0, 9, 9)), Finding("pit", 0.1, (0, 0, 9, 9)))
    made = Part(Trigger(number, None, number * NS_PER_S // 10 if t0_ns is None else t0_ns), "first", 0, 0)
    made.verdict = Verdict(outcome, "rule" if outcome is Outcome.REJECT else "clean", findings)
    return made


class Rig:
    """A watch with a clock, frames and a machine in the test's hands; what needs a reference is off unless told."""

    def __init__(self, folder: Path, **health: Any) -> None:
        health = {"folder": str(folder), "blurred": OFF, "shifted": OFF, **health}
        sections = {"recipe": RECIPE, "gateway": {"endpoint": None}, **HOLDS}
        self.config = cfg.parse({**sections, "health": health}, cfg.StationConfig, "test")
        self.pool = FramePool(4, (SIDE, SIDE), {Purpose.CAPTURE: 4}, poison=True)
        self.machine = Machine()
        self.now = NS_PER_S
        self.watch = Watch(self.config, self.pool, lambda: self.machine, lambda: self.now)
        self.watch.start()
        self.drained()  # the start's own writing
        self.number = 0

    def see(self, level: int, count: int = 1, still: bool = False) -> None:
        """Let the camera deliver pictures of a grey level, half a second apart."""
        for n in range(count):
            lease = self.pool.lease(Purpose.CAPTURE)
            assert lease is not None
            noise = RNG.integers(0, 5, (SIDE, SIDE)) if not still else np.arange(SIDE)[None] % 5 + np.zeros((SIDE, 1))
            self.pool.frame(lease)[:] = (level + noise).astype(np.uint8)
            self.now += NS_PER_S // 2
            self.watch.look(lease, self.now)
            self.pool.release(lease)
            self.until(lambda: not self.watch._looker.busy, f"picture {n}")

    def judge(self, rejects: int, passes: int, score: float | None = 0.9, by: Pair = FIRST) -> None:
        for n in range(rejects + passes):
            self.number += 1
            outcome = Outcome.REJECT if n < rejects else Outcome.PASS
            self.watch.concluded(part(self.number, outcome, score if n < rejects else None), by)

    def command(self, **arguments: Any) -> Command:
        made = Command("health", arguments, Peer(0, "root", 1))
        posted: list[Order] = []
        self.watch.receiver(posted.append)(made)
        for order in posted:
            order.carry_out(lambda _: None, lambda: ("RUNNING", ""))
        return made

    def standing(self) -> set[str]:
        return set(self.watch.alarms(self.now))

    def until(self, done: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + PATIENCE_S
        while not done():
            assert time.monotonic() < end, f"it never came to that: {what}"
            time.sleep(0.0005)

    def drained(self) -> None:
        """Wait until the thread has done what it was asked to."""
        done = threading.Event()
        self.watch._looker._jobs.put(done.set)
        assert done.wait(PATIENCE_S)
        again = threading.Event()  # by then the first job's findings are shown
        self.watch._looker._jobs.put(again.set)
        assert again.wait(PATIENCE_S)


@contextmanager
def watched(folder: Path, **health: Any) -> Iterator[Rig]:
    rig = Rig(folder, **health)
    try:
        yield rig
    finally:
        rig.watch.close()
        assert not rig.watch._looker._thread.is_alive()


def carried(folder: Path) -> Carried:
    kept = HealthFolder(folder).carried()
    assert kept is not None
    return kept


SOON: dict[str, Any] = {
    "baseline": {"parts": 200, "rejects": 0, "most_parts": 200, "findings": 100, "false_alarms_per_year": 1000.0}
}


# -- pictures -------------------------------------------------------------------------------------------------------


def test_a_dark_camera_is_told_and_ends(tmp_path: Path) -> None:
    with watched(tmp_path) as rig:
        rig.see(100, RECENT)
        rig.drained()
        assert rig.standing() == set()
        assert rig.watch.gauges(rig.now)["brightness"] == pytest.approx(102, abs=1)
        rig.see(3, RECENT)
        rig.drained()
        assert rig.watch.alarms(rig.now) == {
            "camera_dark": "The camera's pictures are too dark. Grey level 5, below 12."
        }
        assert rig.watch.holds(rig.now) == {}
        rig.see(100, RECENT + CALM)
        rig.drained()
        assert rig.standing() == set()


def test_a_frozen_camera_holds_the_line_until_a_person_says_so(tmp_path: Path) -> None:
    with watched(tmp_path, frozen={"reaction": "hold", "pictures": 3}) as rig:
        rig.see(100, 3, still=True)
        rig.drained()
        held = "The camera shows one picture again and again. No part is let in."
        assert rig.watch.holds(rig.now) == {"camera_frozen": held}
        rig.now += 1000 * NS_PER_S  # no parts come, so nothing is measured
        assert rig.watch.holds(rig.now)
        answer = rig.command(action="clear").wait(1)
        assert answer.ok
        rig.drained()
        assert rig.watch.holds(rig.now) == {}
        rig.see(100, 3, still=True)
        rig.drained()
        assert rig.watch.holds(rig.now)


FROZEN: dict[str, Any] = {"frozen": {"reaction": "hold", "pictures": 3}}


def test_a_restart_lifts_no_hold(tmp_path: Path) -> None:
    with watched(tmp_path, **FROZEN) as rig:
        rig.see(100, 3, still=True)
        rig.drained()
        assert rig.watch.holds(rig.now)
        rig.drained()
        assert carried(tmp_path).holds == ["camera_frozen"]  # as a killed station would leave it
    for _ in range(2):
        with watched(tmp_path, **FROZEN) as rig:
            assert set(rig.watch.holds(rig.now)) == {"camera_frozen"}
            assert "stood when the station ended" in rig.watch.alarms(rig.now)["camera_frozen"]
            rig.see(100, CALM + RECENT)  # parts that were on the belt
            rig.drained()
            assert set(rig.watch.holds(rig.now)) == {"camera_frozen"}
    with watched(tmp_path, **FROZEN) as rig:
        assert rig.command(action="clear").wait(1).ok
        assert rig.standing() == set()
        rig.drained()
        assert carried(tmp_path).holds == []
    with watched(tmp_path, **FROZEN) as rig:
        assert rig.standing() == set()


def test_a_hold_that_is_no_longer_wanted_is_not_carried_over(tmp_path: Path) -> None:
    HealthFolder(tmp_path).carry(Carried(["camera_frozen", "camera_dark", "temperature_high", "of another version"]))
    with watched(tmp_path, dark={"reaction": "hold"}, temperature={"reaction": "hold"}) as rig:
        assert set(rig.watch.holds(rig.now)) == {"camera_dark"}


def test_a_hold_is_ended_while_the_disk_stands_still(tmp_path: Path) -> None:
    with watched(tmp_path, **FROZEN) as rig:
        rig.see(100, 3, still=True)
        rig.drained()
        assert rig.watch.holds(rig.now)
        gate = threading.Event()
        rig.watch._looker._jobs.put(lambda: gate.wait(PATIENCE_S) and None)
        assert rig.command(action="clear").wait(1).ok
        assert rig.watch.holds(rig.now) == {}
        assert rig.standing() == set()
        gate.set()
        rig.drained()
        assert rig.watch.holds(rig.now) == {}
        rig.see(100, 3, still=True)
        rig.drained()
        assert rig.watch.holds(rig.now)


def test_a_check_that_is_off_says_nothing(tmp_path: Path) -> None:
    with watched(tmp_path, dark={"reaction": "off"}) as rig:
        rig.see(3, RECENT)
        rig.drained()
        assert rig.standing() == set()
        assert rig.watch.gauges(rig.now)["brightness"] < 12  # measured all the same


def test_pictures_are_looked_at_as_often_as_told_and_never_while_one_is(tmp_path: Path) -> None:
    with watched(tmp_path, pictures_per_s=4.0) as rig:
        taken: list[int] = []
        sampler = rig.watch._looker.sampler
        rig.watch._looker.looked_at = lambda: taken.append(rig.watch._looker.sample.at_ns)  # type: ignore[method-assign]
        lease = rig.pool.lease(Purpose.CAPTURE)
        assert lease is not None
        for ms in range(0, 1000, 10):
            rig.watch.look(lease, rig.now + ms * 1_000_000)
        assert [(at - rig.now) // 1_000_000 for at in taken] == [0, 250, 500, 750]
        rig.watch._looker.busy = True
        before = sampler._taken
        rig.watch.look(lease, rig.now + 5 * NS_PER_S)
        assert sampler._taken == before  # the buffer belongs to the thread
        rig.watch._looker.busy = False
        rig.pool.release(lease)


def test_no_slot_is_held_while_a_picture_is_looked_at(tmp_path: Path) -> None:
    with watched(tmp_path) as rig:
        gate = threading.Event()
        rig.watch._looker._jobs.put(lambda: gate.wait(PATIENCE_S) and None)
        lease = rig.pool.lease(Purpose.CAPTURE)
        assert lease is not None
        rig.pool.frame(lease)[:] = 100
        rig.watch.look(lease, rig.now)  # returns at once, though the thread stands still
        rig.pool.release(lease)  # poisoned
        assert rig.pool.occupancy()["free"] == 4
        gate.set()
        rig.drained()
        assert rig.watch.gauges(rig.now)["brightness"] == 100


def test_a_thread_that_does_not_get_on_is_told(tmp_path: Path) -> None:
    with watched(tmp_path) as rig:
        gate = threading.Event()
        rig.watch._looker._jobs.put(lambda: gate.wait(PATIENCE_S) and None)
        lease = rig.pool.lease(Purpose.CAPTURE)
        assert lease is not None
        rig.watch.look(lease, rig.now)
        assert rig.watch.alarms(rig.now + BLIND_NS) == {}
        assert set(rig.watch.alarms(rig.now + BLIND_NS + 1)) == {"health"}
        gate.set()
        rig.drained()
        assert rig.watch.alarms(rig.now + BLIND_NS + 1) == {}
        rig.pool.release(lease)


def test_looking_that_fails_is_told_and_costs_no_more_than_this_picture(tmp_path: Path) -> None:
    with watched(tmp_path) as rig:
        good, pictures = rig.watch._looker._pictures.add, rig.watch._looker._pictures

        def bad(_: object) -> None:
            raise ValueError("nonsense")

        pictures.add = bad  # type: ignore[assignment]
        rig.see(100, 2)
        rig.drained()
        assert rig.watch.alarms(rig.now) == {"health": "Health is not watched in full. Looking failed: nonsense."}
        pictures.add = good  # type: ignore[method-assign]
        rig.see(100, 1)
        rig.drained()
        assert rig.standing() == set()


# -- the reference --------------------------------------------------------------------------------------------------


def test_a_reference_is_taken_by_command_and_kept(tmp_path: Path) -> None:
    with watched(tmp_path) as rig:
        assert rig.watch.details()["health"]["reference taken"] == "none"
        assert rig.command(action="reference").wait(1).ok
        rig.see(100, REFERENCE_PICTURES - 1)
        rig.drained()
        assert rig.watch.details()["health"]["reference taken"] == "none, 1 pictures to go for a new one"
        assert not (tmp_path / REFERENCE).exists()
        rig.see(100, 1)
        rig.drained()
        assert rig.watch.gauges(rig.now)["reference"] == 1.0
    with watched(tmp_path) as rig:
        assert rig.watch.details()["health"]["reference taken"].startswith("20")  # the year
        rig.see(50, RECENT)
        rig.drained()
        assert rig.standing() == {"camera_dark"}  # against the reference: 50 by itself is not dark


def test_a_reference_that_cannot_be_written_is_told_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looker_module, "MACHINE_NS", 1)
    with watched(tmp_path) as rig:
        (tmp_path / "reference.new").mkdir()
        rig.command(action="reference")
        rig.see(100, REFERENCE_PICTURES)
        rig.drained()
        assert "cannot be written" in rig.watch.alarms(rig.now)["health"]
        (tmp_path / "reference.new").rmdir()
        rig.now += 10
        rig.drained()
        assert rig.standing() == set()
        assert (tmp_path / REFERENCE).exists()


@pytest.mark.parametrize("reaction", ["alarm", "hold"])
@pytest.mark.parametrize("check", ["blurred", "shifted"])
def test_a_check_without_its_reference_is_told(tmp_path: Path, check: str, reaction: str) -> None:
    with watched(tmp_path, **{check: {"reaction": reaction}}) as rig:
        assert set(rig.watch.alarms(rig.now)) == {"health"}
        assert "no camera reference" in rig.watch.alarms(rig.now)["health"]
        assert rig.watch.holds(rig.now) == {}
        rig.command(action="reference")
        rig.see(100, REFERENCE_PICTURES)
        rig.drained()
        # noise alone: nothing keeps its place
        assert ("keeps its place" in rig.watch.alarms(rig.now).get("health", "")) == (check == "shifted")
    (tmp_path / REFERENCE).write_text("")  # as a power cut may leave it
    with watched(tmp_path, **{check: {"reaction": reaction}}) as rig:
        assert "no camera reference" in rig.watch.alarms(rig.now)["health"]


def test_a_reference_of_another_camera_is_not_judged_by(tmp_path: Path) -> None:
    HealthFolder(tmp_path).keep_reference(Reference(1280, 1024, 200, 0.1))
    with watched(tmp_path) as rig:
        rig.see(100, RECENT)
        rig.drained()
        assert rig.standing() == set()
        assert rig.watch.gauges(rig.now)["reference"] == 0.0


# -- drift ----------------------------------------------------------------------------------------------------------


def test_the_share_of_rejects_is_learnt_kept_and_tested(tmp_path: Path) -> None:
    with watched(tmp_path, **SOON) as rig:
        for _ in range(20):
            rig.judge(1, 9)
        gauges = rig.watch.gauges(rig.now)
        assert gauges["reject_rate_baseline"] == 0.1
        assert "score_drift" not in gauges  # 20 findings so far
        assert rig.standing() == set()
    with watched(tmp_path, **SOON) as rig:
        for _ in range(40):
            rig.judge(9, 1)
        assert rig.standing() == {"reject_drift"}
        assert "10 % while the baseline was learnt" in rig.watch.alarms(rig.now)["reject_drift"]
        assert rig.command(action="clear").wait(1).ok
        assert rig.standing() == set()
        rig.judge(1, 0)
        assert rig.standing() == set()  # it begins at nought
        assert rig.watch.gauges(rig.now)["reject_rate_baseline"] == 0.1


def test_what_the_tests_have_gathered_outlasts_a_restart(tmp_path: Path) -> None:
    hold = {"reject": {"reaction": "hold"}, **SOON}
    with watched(tmp_path, **hold) as rig:
        rig.judge(20, 180)
        rig.judge(4, 0)
        assert rig.watch.holds(rig.now) == {}
    for _ in range(8):  # four at a time would never be enough
        with watched(tmp_path, **hold) as rig:
            if rig.watch.holds(rig.now):
                break
            rig.judge(4, 0)
            rig.watch.holds(rig.now)
    with watched(tmp_path, **hold) as rig:
        assert set(rig.watch.holds(rig.now)) == {"reject_drift"}  # before the first part
        rig.judge(1, 0)
        assert rig.command(action="clear").wait(1).ok
        assert rig.watch.holds(rig.now) == {}
    with watched(tmp_path, **hold) as rig:
        rig.judge(1, 0)
        assert rig.standing() == set()


def test_the_tests_are_kept_now_and_then(tmp_path: Path) -> None:
    HealthFolder(tmp_path).keep_baselines({NAMES[0]: Learnt(200, 20, [0.5] * 100)})
    with watched(tmp_path, **SOON) as rig:
        for n in range(1, 100):
            rig.watch.concluded(part(n, Outcome.REJECT if n % 4 == 0 else Outcome.PASS, t0_ns=n * NS_PER_S), FIRST)
            rig.drained()
        assert carried(tmp_path).tests[NAMES[0]][0][0] > 0  # as a killed station would leave it


def test_a_blind_station_rejects_too_little(tmp_path: Path) -> None:
    with watched(tmp_path, **SOON) as rig:
        for _ in range(20):
            rig.judge(4, 6)
        for _ in range(100):
            rig.judge(0, 10)
        assert rig.standing() == {"reject_drift"}


def test_scores_are_tested_beside_the_share(tmp_path: Path) -> None:
    with watched(tmp_path, score={"reaction": "hold"}, **SOON) as rig:
        for n in range(40):
            rig.judge(5, 5, score=0.8 + n / 400)
        assert rig.watch.gauges(rig.now)["score_drift"] == pytest.approx(0, abs=0.35)
        for _ in range(60):
            rig.judge(5, 5, score=0.6)
        assert set(rig.watch.holds(rig.now)) == {"score_drift"}
        assert rig.watch.gauges(rig.now)["score_drift"] < -0.1


def test_undecided_parts_are_no_sample(tmp_path: Path) -> None:
    with watched(tmp_path, **SOON) as rig:
        for n in range(300):
            rig.watch.concluded(part(n, Outcome.NO_DECISION), FIRST)
            rig.watch.concluded(part(n, Outcome.PASS), None)  # of a trigger that was lost
        assert rig.watch.gauges(rig.now)["baseline_parts"] == 0


def test_each_model_and_recipe_has_a_baseline_of_its_own(tmp_path: Path) -> None:
    other = cfg.RecipeConfig(name=RECIPE.name, rules=(cfg.RuleConfig(name="any", min_score=0.9),))
    third = pair(recipe=other)
    with watched(tmp_path, **SOON) as rig:
        rig.judge(10, 100)
        rig.judge(0, 7, by=SECOND)
        rig.judge(1, 0, by=third)
        rig.judge(10, 80)
        assert rig.watch.gauges(rig.now)["baseline_parts"] == 200
    kept = HealthFolder(tmp_path).baselines()
    assert sorted((k.parts, k.rejects) for k in kept.values()) == [(1, 1), (7, 0), (200, 20)]
    with watched(tmp_path, **SOON) as rig:
        rig.judge(0, 3, by=SECOND)
        assert rig.watch.gauges(rig.now)["baseline_parts"] == 10


def test_baselines_that_are_long_unused_go(tmp_path: Path) -> None:
    with watched(tmp_path, **SOON) as rig:
        for n in range(BASELINES_KEPT + 3):
            rig.judge(0, 1, by=pair(f"model {n}"))
    kept = HealthFolder(tmp_path).baselines()
    assert [int(name.split()[1]) for name in kept] == list(range(3, BASELINES_KEPT + 3))


def test_a_baseline_under_way_is_kept_now_and_then(tmp_path: Path) -> None:
    with watched(tmp_path, **SOON) as rig:
        for n in range(1, 130):
            rig.watch.concluded(part(n, Outcome.PASS, t0_ns=n * NS_PER_S), FIRST)
        rig.drained()
        (kept,) = HealthFolder(tmp_path).baselines().values()  # as a killed station would leave it
        assert 60 < kept.parts <= 129


def test_a_baseline_that_is_learnt_while_the_disk_stands_still_is_kept_afterwards(tmp_path: Path) -> None:
    with watched(tmp_path, **SOON) as rig:
        gate = threading.Event()
        rig.watch._looker._jobs.put(lambda: gate.wait(PATIENCE_S) and None)
        for n in range(1, 230):
            rig.watch.concluded(part(n, Outcome.REJECT, 0.9, t0_ns=n * NS_PER_S), FIRST)
        assert rig.watch._looker._jobs.qsize() <= 2  # one writing waits, however long it takes
        gate.set()
        rig.drained()
        rig.watch.concluded(part(230, Outcome.REJECT, 0.9, t0_ns=230 * NS_PER_S), FIRST)
        rig.drained()
        (kept,) = HealthFolder(tmp_path).baselines().values()
        assert kept.parts == 200


def test_what_is_written_no_longer_changes(tmp_path: Path) -> None:
    HealthFolder(tmp_path).keep_baselines({NAMES[0]: Learnt(150, 1, [0.5])})
    with watched(tmp_path, **SOON) as rig:
        written: list[Mapping[str, Learnt]] = []
        rig.watch._looker.keep = written.append  # type: ignore[method-assign]
        rig.judge(0, 10, by=SECOND)
        rig.judge(0, 10)  # from here on the second pair's is written, and the first pair's beside it
        rig.judge(0, 60, by=SECOND)
        before = [repr(dict(baselines)) for baselines in written]
        rig.judge(30, 10)
        rig.judge(30, 10, by=SECOND)
        assert len(before) >= 2
        assert [repr(dict(baselines)) for baselines in written[: len(before)]] == before
        assert written[-1][NAMES[0]].parts == 200


def test_learning_anew(tmp_path: Path) -> None:
    with watched(tmp_path, **SOON) as rig:
        answer = rig.command(action="relearn").wait(1)
        assert not answer.ok
        assert "No part was decided on" in answer.text
        rig.judge(100, 100)
        rig.judge(0, 300)
        assert rig.standing() == {"reject_drift"}
        assert rig.command(action="relearn").wait(1).ok
        assert rig.standing() == set()
        rig.drained()
        assert [kept.parts for kept in HealthFolder(tmp_path).baselines().values()] == [0]
        rig.judge(10, 190)
        assert rig.watch.gauges(rig.now)["reject_rate_baseline"] == 0.05


@pytest.mark.parametrize("arguments", [{}, {"action": "dance"}, {"action": "clear", "more": 1}, {"action": 3}])
def test_other_commands_are_refused(tmp_path: Path, arguments: dict[str, Any]) -> None:
    with watched(tmp_path) as rig:
        answer = rig.command(**arguments).wait(1)
        assert not answer.ok
        assert "reference, clear, relearn" in answer.text


def test_the_year_is_one_of_the_fastest_line(tmp_path: Path) -> None:
    with watched(tmp_path) as rig:
        assert parts_per_year(rig.config) == pytest.approx(10 * 31_557_600)
        timer = cfg.parse(
            {"recipe": RECIPE, "gateway": {"endpoint": None}, "trigger": {"kind": "timer", "period_ms": 50.0}},
            cfg.StationConfig,
            "test",
        )
        assert parts_per_year(timer) == pytest.approx(20 * 31_557_600)


# -- throughput -----------------------------------------------------------------------------------------------------


def test_the_throughput_leaves_stops_out() -> None:
    pace = Pace(10 * NS_PER_S)
    now = 0
    for _ in range(PACE_PARTS):
        now += NS_PER_S // 2
        assert pace.parts_per_min(now) == 0
        pace.add(now)
    pace.add(now := now + NS_PER_S // 2)
    assert pace.parts_per_min(now) == pytest.approx(120)
    assert pace.parts_per_min(now + 10 * NS_PER_S) == pytest.approx(120)
    assert pace.parts_per_min(now + 10 * NS_PER_S + 1) == 0  # the line stands
    pace.add(now := now + 3600 * NS_PER_S)
    assert pace.parts_per_min(now) == pytest.approx(120)
    pace.add(now - 5)  # an edge that is told late
    assert pace.parts_per_min(now) == pytest.approx(120)


def test_a_slow_line_is_told(tmp_path: Path) -> None:
    with watched(tmp_path, throughput={"min_parts_per_min": 500.0}) as rig:
        for n in range(1, PACE_PARTS + 3):
            rig.watch.concluded(part(n, Outcome.PASS, t0_ns=n * NS_PER_S // 5), FIRST)
        now = (PACE_PARTS + 2) * NS_PER_S // 5
        assert set(rig.watch.alarms(now)) == {"throughput_low"}
        assert rig.watch.alarms(now + 11 * NS_PER_S) == {}  # a stop is another matter
        for n in range(1, 400):
            rig.watch.concluded(part(n, Outcome.PASS, t0_ns=now + n * NS_PER_S // 10), FIRST)
        assert rig.watch.alarms(now + 40 * NS_PER_S) == {}


# -- the machine ----------------------------------------------------------------------------------------------------


def sysfs(folder: Path, zones: dict[str, str], cores: dict[str, tuple[str, str, str]]) -> Path:
    for name, text in zones.items():
        (folder / "class/thermal" / name).mkdir(parents=True)
        (folder / "class/thermal" / name / "temp").write_text(text)
    for name, values in cores.items():
        core = folder / "devices/system/cpu" / name / "cpufreq"
        core.mkdir(parents=True)
        for key, value in zip(("scaling_cur_freq", "scaling_max_freq", "cpuinfo_max_freq"), values, strict=True):
            (core / key).write_text(value)
    return folder


def test_the_machine_tells_its_temperature_and_clocks(tmp_path: Path) -> None:
    zones = {"thermal_zone0": "45000\n", "thermal_zone1": "61500\n", "thermal_zone2": "255000\n", "cooling": "99000"}
    cores = {"cpu0": ("2200000\n", "2200000\n", "2200000\n"), "cpu1": ("729600", "1100000", "2200000")}
    sys = sysfs(tmp_path, zones, cores)
    assert read(sys) == Machine(61.5, 729.6, 0.5)
    (sys / "class/thermal/thermal_zone1/type").write_text("CPU-therm\n")
    (sys / "class/thermal/thermal_zone3").mkdir()
    (sys / "class/thermal/thermal_zone3/type").write_text("PMIC-Die\n")  # of a Jetson: no measurement
    (sys / "class/thermal/thermal_zone3/temp").write_text("100000\n")
    assert read(sys).temperature_c == 61.5


def test_a_machine_that_tells_nothing_and_one_that_stammers(tmp_path: Path) -> None:
    assert read(tmp_path) == Machine()
    (tmp_path / "class/thermal/thermal_zone7/temp").mkdir(parents=True)  # cannot be read
    assert read(sysfs(tmp_path, {"thermal_zone0": "n/a"}, {"cpu0": ("", "1", "0")})) == Machine()
    assert isinstance(read(), Machine)  # this very machine


def test_heat_and_a_lowered_clock_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looker_module, "MACHINE_NS", 1)
    with watched(tmp_path, temperature={"reaction": "hold", "max_c": 80.0}) as rig:

        def told(machine: Machine) -> set[str]:
            rig.machine = machine
            rig.now += 10
            rig.drained()
            return rig.standing()

        assert told(Machine(79.9, 1500.0, 0.7)) == set()
        assert told(Machine(80.0, 1500.0, 0.69)) == {"temperature_high", "clock_slow"}
        assert set(rig.watch.holds(rig.now)) == {"temperature_high"}
        for _ in range(CALM_LOOKS - 2):
            told(Machine(79.0, None, 1.0))
        assert rig.standing() == {"temperature_high", "clock_slow"}
        for _ in range(3):
            told(Machine(76.9, None, None))
        assert rig.standing() == set()  # ends by itself, without parts
        assert rig.watch.gauges(rig.now)["temperature_c"] == 76.9


# -- files ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"saved":"","baselines":{"a":{"parts":1,"rejects":2,"scores":[]}}}',
        '{"saved":"","baselines":{"a":{"parts":1,"rejects":0,"scores":["x"]}}}',
    ],
)
def test_a_damaged_file_is_set_aside(tmp_path: Path, text: str) -> None:
    (tmp_path / BASELINES).write_text(text)
    folder = HealthFolder(tmp_path)
    assert folder.baselines() == {}
    assert (tmp_path / "baselines.damaged").read_text() == text
    folder.keep_baselines({"a": Learnt(5, 1, [0.5])})
    assert HealthFolder(tmp_path).baselines() == {"a": Learnt(5, 1, [0.5])}


@pytest.mark.parametrize(("value", "told"), [("[[0, false]]", Carried()), ('[["x", false]]', None), ("[[0, 1]]", None)])
def test_what_was_carried_over_is_checked(tmp_path: Path, value: str, told: Carried | None) -> None:
    (tmp_path / CARRIED).write_text(f'{{"saved":"","carried":{{"holds":[],"tests":{{"a":{value}}}}}}}')
    assert HealthFolder(tmp_path).carried() == told
    assert (tmp_path / "carried.damaged").exists()


@pytest.mark.parametrize("starts", [1, 2])
def test_what_stood_and_cannot_be_read_stands_until_a_person_says_so(tmp_path: Path, starts: int) -> None:
    assert HealthFolder(tmp_path).carried() == Carried(), "of a new station nothing stood"
    (tmp_path / CARRIED).write_text("{")
    for _ in range(starts):
        assert HealthFolder(tmp_path).carried() is None  # and ended before it could write another
    for _ in range(2):
        with watched(tmp_path, **FROZEN) as rig:
            assert set(rig.watch.holds(rig.now)) == {"camera_frozen"}
            assert "cannot be read" in rig.watch.alarms(rig.now)["camera_frozen"]
    with watched(tmp_path, **FROZEN) as rig:
        assert rig.command(action="clear").wait(1).ok
    with watched(tmp_path, **FROZEN) as rig:
        assert rig.standing() == set()


def test_statistics_that_cannot_be_cost_no_hold_over_two_starts(tmp_path: Path) -> None:
    (tmp_path / CARRIED).write_text('{"saved":"","carried":{"holds":["camera_frozen"],"tests":{"a":[]}}}')
    with watched(tmp_path, **FROZEN) as rig:
        rig.drained()
        assert carried(tmp_path) == Carried(["camera_frozen"])  # as a killed station would leave it


def test_tests_without_their_baseline_are_dropped(tmp_path: Path) -> None:
    folder = HealthFolder(tmp_path)
    folder.keep_baselines({NAMES[0]: Learnt(200, 20, [0.5] * 100)})
    statistics = [(1.0, False)] * ONE_SIDED_TESTS
    folder.carry(Carried([], {NAMES[0]: statistics, "long unused": statistics}))
    with watched(tmp_path, **SOON):
        pass
    assert set(carried(tmp_path).tests) == {NAMES[0]}


def test_a_file_is_on_the_disk_before_it_takes_the_place_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    synced, replaced = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (done.append("synced"), synced(fd)))
    monkeypatch.setattr(Path, "replace", lambda old, new: (done.append("replaced"), replaced(old, new)))
    HealthFolder(tmp_path).keep_reference(Reference(1, 1, 1.0, 1.0))
    assert done == ["synced", "replaced"]


def test_a_folder_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"health\.folder"):
        HealthFolder(tmp_path / "file" / "sub")
    made = tmp_path / "made" / "twice"
    HealthFolder(made)
    assert stat.S_ISDIR(made.stat().st_mode)
