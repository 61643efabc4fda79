"""What `edge bench gateway` claims: every kind of end occurs, and what grows with the parts is seen."""

from __future__ import annotations

import json

import pytest

from edge.commands import bench_gateway
from edge.commands.bench_gateway import GatewayMemory, Stage, entries
from edge.commands.bench_gateway_line import BREAK_EVERY, Line
from edge.core.outcome import Disposition
from edge.core.register import Register

PARTS = 6 * BREAK_EVERY


@pytest.fixture(scope="module")
def measured() -> GatewayMemory:
    return bench_gateway.measure(PARTS)


def test_parts_end_in_every_way_and_are_all_accounted_for(measured: GatewayMemory) -> None:
    assert measured.reconciles
    assert [s.parts for s in measured.stages] == [PARTS // 10, PARTS // 2, PARTS]
    assert all(measured.dispositions[d.value] for d in Disposition), measured.dispositions
    assert measured.dispositions["EXECUTED"] > 0.7 * PARTS
    assert {"reject", "no_decision", "session_lost", "permit_unknown_part"} <= measured.rejected.keys()
    assert measured.sessions >= PARTS // BREAK_EVERY, "each break ends in a new session"


def test_no_structure_grows_with_the_parts(measured: GatewayMemory) -> None:
    first, _, last = (s.entries for s in measured.stages)
    assert {"Register.slots", "Register.ended", "Armed.counts", "PermitRing.sent"} <= first.keys()
    assert sum(last.values()) < sum(first.values()) + 100
    assert max(last.values()) < PARTS // 10


def test_a_register_that_forgets_nothing_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Register._remember

    def hoard(self: Register, *args: object) -> None:
        kept(self, *args)  # type: ignore[arg-type]
        self.__dict__.setdefault("_hoard", []).append(args)

    monkeypatch.setattr(Register, "_remember", hoard)
    stages = bench_gateway.measure(1000).stages
    assert [s.entries["Register.hoard"] >= 0.8 * s.parts for s in stages] == [True] * 3


def test_entries_are_those_of_the_product_alone() -> None:
    line = Line()
    assert "Network.to_station" not in entries(line.gateway)
    assert entries(line.register)["Register.slots"] == 0
    assert entries([1, 2]) == {"list": 2}


@pytest.mark.parametrize(
    ("growth", "reconciles", "holds"), [(1024, True, True), (1025, True, False), (0, False, False)]
)
def test_growth_is_measured_from_the_first_tenth(growth: int, reconciles: bool, holds: bool) -> None:
    stages = [Stage(10, 5000, {}), Stage(50, 9000, {}), Stage(100, 5000 + growth, {"a": 1})]
    report = GatewayMemory(stages, 1.0, reconciles, {"LATE": 3}, {}, 1)
    assert (report.growth_kb, report.holds) == (growth, holds)
    assert json.loads(json.dumps(report.as_dict()))["growth_kb"] == growth
    assert f"growth {growth} KB" in bench_gateway.render(report)
    assert ("does not reconcile" in bench_gateway.render(report)) is not reconciles
