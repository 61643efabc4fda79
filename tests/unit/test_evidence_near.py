"""The inspector tells which passes were close, and its verdict is what it was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.core.outcome import Outcome
from edge.core.part import Verdict
from edge.core.rules import Rule
from edge.core.zones import Region, Trapezoid
from edge.engine import inspector
from edge.engine.inspector import _CLOSE, Inspector
from edge.engine.null import NullEngine
from edge.model.package import ModelPackage
from tests.support_models import tiny_package

K = 40
FRAME = np.zeros((64, 64), np.uint8)
ANY = Rule("any defect", min_score=0.5)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    return tiny_package(tmp_path_factory.mktemp("model"))


def inspect(
    package: ModelPackage, rows: Sequence[Sequence[float]], margin: float, rules: Sequence[Rule] = (ANY,)
) -> Verdict:
    """Return the verdict where the network returns ``rows`` (x1, y1, x2, y2, score, class) and zeros."""
    table = np.zeros((K, 6), np.float32)
    table[: len(rows)] = np.array(rows, np.float32).reshape(-1, 6)

    def script(_run: int) -> NDArray[np.float32]:
        return table

    engine = NullEngine((64, 64, 1), K, script=script)
    return Inspector(package, engine, (64, 64), "mono8", margin).inspect(FRAME, rules)


@pytest.mark.parametrize(
    ("score", "close"), [(0.49, True), (0.4001, True), (0.3999, False), (0.0, False), (0.51, False)]
)
def test_a_pass_is_close_within_the_margin(package: ModelPackage, score: float, close: bool) -> None:
    verdict = inspect(package, [[8, 8, 24, 24, score, 1]], 0.1)
    assert verdict.outcome is (Outcome.REJECT if score > 0.5 else Outcome.PASS)
    assert verdict.findings == () or score > 0.5, "what only is close is no finding"
    assert bool(verdict.near) == close
    if close:
        assert verdict.near[0].box == (8.0, 8.0, 24.0, 24.0)
        assert verdict.near[0].score == pytest.approx(score)


def test_without_a_margin_nothing_is_looked_for(package: ModelPackage) -> None:
    assert inspect(package, [[8, 8, 24, 24, 0.49, 1]], 0.0).near == ()


def test_looking_for_close_ones_asks_no_zone(package: ModelPackage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worst that a recipe may name: held against its zones, sixteen findings took 166 ms in front of a verdict."""
    asked: list[str] = []
    for name in ("touches", "area_px"):
        monkeypatch.setattr(Region, name, lambda *_, name=name: asked.append(name))
    crossed = Region(tuple(Trapezoid(n / 8, (n + 1) / 8, (0.0, 1.0), (2.0, 3.0)) for n in range(498)))
    rules = tuple(Rule(f"rule {n}", min_score=0.5, where=crossed, min_share=0.5) for n in range(4))
    verdict = inspect(package, [[8, 8, 24, 24, 0.45, 1]] * _CLOSE, 0.1, rules)
    assert (verdict.outcome, len(verdict.near)) == (Outcome.PASS, 1), "wherever it lies"
    assert asked == []


def test_what_lies_where_nobody_looks_is_not_close_for_that(package: ModelPackage) -> None:
    corner = Region((Trapezoid(0.0, 4.0, (0.0, 0.0), (4.0, 4.0)),))
    verdict = inspect(package, [[32, 32, 48, 48, 0.9, 1]], 0.1, (replace(ANY, where=corner),))
    assert (verdict.outcome, verdict.near) == (Outcome.PASS, ())


def test_a_finding_that_fires_no_rule_may_still_be_close_to_one(package: ModelPackage) -> None:
    rules = (Rule("low", ("scratch",), 0.3), Rule("high", (package.manifest.classes[1],), 0.7))
    verdict = inspect(package, [[8, 8, 24, 24, 0.65, 1]], 0.1, rules)
    assert (verdict.outcome, len(verdict.findings), len(verdict.near)) == (Outcome.PASS, 1, 1)


def test_a_class_that_no_network_has_is_not_close(package: ModelPackage) -> None:
    assert inspect(package, [[8, 8, 24, 24, 0.45, 77]], 0.1).near == ()


def test_the_best_few_are_looked_at(package: ModelPackage) -> None:
    rules = (replace(ANY, min_area_px=100.0),)
    small = [[0, 0, 4, 4, 0.49 - 0.001 * n, 1] for n in range(_CLOSE)]
    large = [8, 8, 24, 24, 0.45, 1]
    assert inspect(package, [*small[:-1], large], 0.1, rules).near
    assert not inspect(package, [*small, large], 0.1, rules).near, "a verdict does not wait for more"


def test_findings_that_fire_no_rule_do_not_crowd_out_the_close_one(package: ModelPackage) -> None:
    rules = (replace(ANY, min_area_px=100.0),)
    small = [[6 * (n % 10), 6 * (n // 10), 6 * (n % 10) + 4, 6 * (n // 10) + 4, 0.9, 1] for n in range(2 * _CLOSE)]
    assert inspect(package, [*small, [8, 30, 24, 46, 0.45, 1]], 0.1, rules).near


def test_of_findings_and_candidates_together_a_few_are_asked(
    package: ModelPackage, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(inspector, "close_call", lambda findings, *_: (asked.append(len(findings)), ())[1])
    rules = (replace(ANY, min_area_px=1000.0),)
    small = [[6 * (n % 10), 6 * (n // 10), 6 * (n % 10) + 4, 6 * (n // 10) + 4, 0.9, 1] for n in range(_CLOSE)]
    inspect(package, [*small, *([8, 30, 24, 46, 0.45, 1] for _ in range(_CLOSE))], 0.1, rules)
    assert asked == [_CLOSE]


@given(scores=st.lists(st.floats(0, 1, width=32), max_size=8), margin=st.floats(0, 0.5))
def test_looking_for_close_ones_changes_no_verdict(package: ModelPackage, scores: list[float], margin: float) -> None:
    rows = [[4 * n, 4, 4 * n + 16, 24, score, n % 3] for n, score in enumerate(scores)]
    plain = inspect(package, rows, 0.0)
    assert replace(inspect(package, rows, margin), near=()) == plain
