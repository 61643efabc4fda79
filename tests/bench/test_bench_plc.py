"""`edge bench plc`: its statistics, its simulated PLC, and one short run.  Its times are for people to read."""

from __future__ import annotations

import json
import subprocess
import sys
from math import gamma, pi, sqrt
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge import config as cfg
from edge.commands import bench_blocks, bench_plc_rig
from edge.commands.bench_effects import (
    T_95,
    TARGET_MS,
    Block,
    evaluate,
    render,
    schedule,
    summarise,
    until_t3,
    until_t4,
    upper_bound,
)
from edge.commands.bench_plc import FAULTS
from edge.commands.bench_plc_rig import Condition, Rig
from edge.commands.check import check
from edge.config import PlcConfig
from edge.errors import EngineError, PlcError
from edge.gateway.plc.modbus import ModbusDriver
from edge.wire.messages import PartRecord

MS = 1_000_000
HEALTHY, DOWN, SLOW = Condition.HEALTHY, Condition.DOWN, Condition.SLOW


def record(t0_ms: float, t2_ms: float, t3_ms: float | None, cause: str = "clean", disposition: str = "") -> PartRecord:
    return PartRecord(
        station="bench",
        lane=0,
        part=1,
        count=1,
        outcome="PASS",
        cause=cause,
        rule="",
        disposition=disposition,
        findings=[],
        tag="",
        t0_ns=int(t0_ms * MS),
        t1_ns=None,
        t2_ns=int((t0_ms + t2_ms) * MS),
        t3_ns=None if t3_ms is None else int((t0_ms + t3_ms) * MS),
        t4_ns=None,
        recipe="r",
        model="m",
        engine="null",
        precision="none",
        version="0",
        wall="",
        session=1,
    )


# -- statistics -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("degrees", range(1, len(T_95) + 1))
def test_the_quantiles_are_those_of_students_distribution(degrees: int) -> None:
    """Half of the probability lies below 0, and 0.45 between 0 and the quantile (Simpson's rule on the density)."""
    scale = gamma((degrees + 1) / 2) / (sqrt(degrees * pi) * gamma(degrees / 2))
    steps = 2000
    width = T_95[degrees - 1] / steps
    density = [scale * (1 + (i * width) ** 2 / degrees) ** (-(degrees + 1) / 2) for i in range(steps + 1)]
    area = width / 3 * (density[0] + 4 * sum(density[1:-1:2]) + 2 * sum(density[2:-1:2]) + density[-1])
    assert area == pytest.approx(0.45, abs=1e-4)


def test_the_bound_is_mean_and_t_times_the_standard_error() -> None:
    assert upper_bound([1.0, 2.0, 3.0]) == pytest.approx(2 + 2.920 / sqrt(3))
    assert upper_bound([0.5] * 100) == 0.5
    many = [0.0, 1.0] * 50
    assert upper_bound(many) == pytest.approx(0.5 + 1.697 * sqrt(25 / 99) / 10)
    with pytest.raises(ValueError, match="two values"):
        upper_bound([1.0])


@given(st.lists(st.floats(-100, 100), min_size=2, max_size=50), st.floats(-10, 10))
def test_a_bound_is_above_the_mean_and_moves_with_it(values: list[float], more: float) -> None:
    bound = upper_bound(values)
    assert bound >= sum(values) / len(values) - 1e-9
    assert upper_bound([value + more for value in values]) == pytest.approx(bound + more, abs=1e-6)


@pytest.mark.parametrize("blocks", [2, 6])
def test_every_fault_has_its_blocks_between_healthy_ones(blocks: int) -> None:
    plan = schedule(HEALTHY, FAULTS, blocks)
    assert plan[0::2] == [HEALTHY] * (len(FAULTS) * blocks + 1)
    assert all(plan.count(fault) == blocks for fault in FAULTS)
    assert len(plan) == 2 * len(FAULTS) * blocks + 1
    assert plan[1] is not plan[1 + 2 * len(FAULTS)], "the order changes from turn to turn"


def test_blocks_are_told_apart_by_t0() -> None:
    records = [
        record(5, 1, 1),  # before the first block
        record(10, 6, 7, disposition="ACCEPTED"),
        record(30, 9, None),  # no session: its verdict was ready, and is all there is
        record(19.9, 6, 7, disposition="FENCED"),
        record(20, 300, 301, "compute_timeout"),  # late is late
        record(25, 0, None, "trigger_lost"),  # nobody saw its trigger
        record(35, 1, None, "station_stopping"),
        record(40, 1, 1),  # after the last one
    ]
    first, second = summarise(records, [HEALTHY, DOWN], [10 * MS, 20 * MS, 40 * MS], until_t3)
    assert first == Block(HEALTHY, 2, 7.0, 0.5)
    assert (second.condition, second.parts, second.permitted) == (DOWN, 2, 0.0)
    assert second.p99_ms == pytest.approx(9 + 0.99 * 292)


def test_a_verdict_without_an_acknowledgement_ends_where_it_was_sent_or_ready() -> None:
    sent, ready = record(10, 6, 7), record(10, 6, None)
    assert [until_t3(sent), until_t3(ready)] == [17 * MS, 16 * MS]
    assert [until_t4(sent), until_t4(ready)] == [17 * MS, 16 * MS]
    assert until_t4(msgspec.structs.replace(sent, t4_ns=18 * MS)) == 18 * MS


def test_a_block_without_parts_is_refused() -> None:
    with pytest.raises(EngineError, match="block slow"):
        summarise([record(10, 1, 1)], [HEALTHY, SLOW], [0, 20 * MS, 30 * MS], until_t3)


def test_a_fault_is_compared_with_the_healthy_blocks_on_either_side() -> None:
    plan = schedule(HEALTHY, FAULTS, 2)
    p99 = {HEALTHY: 6.0, DOWN: 6.5, SLOW: 7.5}
    blocks = [Block(c, 100, p99.get(c, 6.0), 1.0 if c in (HEALTHY, SLOW) else 0.0) for c in plan]
    blocks[0] = Block(HEALTHY, 100, 7.0, 1.0)  # beside the first block with the PLC down
    report = evaluate("T0 to T3", HEALTHY, FAULTS, blocks)
    by_name = {effect.fault: effect for effect in report.effects}
    assert by_name[DOWN].differences_ms == [0.0, 0.5]
    assert by_name[DOWN].mean_ms == 0.25
    assert by_name[DOWN].upper_ms == pytest.approx(0.25 + 6.314 * sqrt(0.125 / 2), abs=1e-4)
    assert by_name[SLOW].upper_ms == 1.5
    assert (by_name[SLOW].permitted, by_name[DOWN].permitted) == (1.0, 0.0)
    assert [effect.holds for effect in report.effects] == [False, False, True, True, True]
    assert not report.holds
    shown = render(report)
    assert shown.count("misses the target") == 2
    values = json.loads(json.dumps(report.as_dict()))
    assert values["faults"]["slow"]["upper_ms"] == 1.5
    assert values["target_ms"] == TARGET_MS == 1.0


# -- the line ---------------------------------------------------------------------------------------------------------


def test_the_line_of_the_bench_can_hold(tmp_path: Path) -> None:
    made, path = bench_blocks.gateway_config(tmp_path, 502), tmp_path / "gateway.toml"
    path.write_text(bench_blocks.toml(made.model_dump(exclude_defaults=True)))
    loaded = cfg.load(path, cfg.GatewayConfig)
    assert loaded == made
    check(path).refuse()
    settings = bench_blocks.plc_settings(loaded)
    assert settings.commit_counts > 0
    assert settings.watchdog_ms == loaded.plc.stale_ms


@pytest.fixture
def rig() -> Rig:
    made = Rig(bench_blocks.plc_settings(cfg.GatewayConfig(line=bench_blocks.LINE)), 40.0, 10.0)
    made.start(bench_plc_rig.now_ns() - 200 * MS)
    return made


def test_the_plc_is_as_it_is_told(rig: Rig) -> None:
    try:
        driver, hasty = (ModbusDriver(PlcConfig(port=rig.port, timeout_ms=ms)) for ms in (1000, 10))
        rig.scan()
        status = driver.read()
        assert status.last_part == 5
        assert status.parts[-1][1] == 5 * 400, "it meets the eye on the timer's schedule"
        rig.become(Condition.REFUSING)
        with pytest.raises(PlcError, match="refused"):
            driver.read()
        rig.become(Condition.SILENT)
        with pytest.raises(PlcError, match="did not answer"):
            hasty.read()
        rig.become(Condition.DOWN)
        with pytest.raises(PlcError, match="cannot be reached"):
            driver.read()
        rig.become(Condition.SLOW)
        before = bench_plc_rig.now_ns()
        driver.read()
        assert bench_plc_rig.now_ns() - before >= bench_plc_rig.ANSWERS_MS[Condition.SLOW] * MS
        rig.become(Condition.HEALTHY)
        driver.read()
        driver.close()
        hasty.close()
    finally:
        rig.close()


@pytest.mark.timeout(120)
def test_a_short_run_of_the_command() -> None:
    command = [sys.executable, "-m", "edge", "bench", "plc", "--blocks", "2", "--parts", "10", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr  # so few parts say nothing of the target
    values = json.loads(done.stdout)
    assert values["holds"] is (done.returncode == 0)
    assert set(values["faults"]) == {fault.value for fault in FAULTS}
    assert len(values["blocks"]) == 2 * len(FAULTS) * 2 + 1
    assert all(block["parts"] >= 5 for block in values["blocks"])
    assert values["healthy_p99_ms"] >= 5, "the engine's fixed duration"
    accepted = {c: [b["permitted"] for b in values["blocks"] if b["condition"] == c] for c in ("healthy", "down")}
    assert max(accepted["healthy"]) > max(accepted["down"])
