"""The tolerance of a new pair: what was measured at that very tolerance, with its margin."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge.engine.base import Engine
from edge.errors import GoldenMismatch
from edge.model import derive
from edge.model.derive import MARGIN, child
from edge.model.gate import GateReport, measure
from edge.model.package import MODEL_FILE, ModelPackage, Tolerance
from tests.support_models import tiny_package

PAIR = ("onnxruntime", "int8")


class Straying:
    """Measures as ``measure`` does, and then says that an engine strays, by how large the tolerance of scores is."""

    def __init__(self, score: Any, refused_below: float = 0.0) -> None:
        self._score, self._refused_below = score, refused_below
        self.limits: list[float] = []

    def __call__(self, package: ModelPackage, engine: Engine, limit: Tolerance) -> GateReport:
        self.limits.append(limit.score_abs)
        if limit.score_abs < self._refused_below:
            raise GoldenMismatch("A candidate that is due was not found.", "prepare it again.")
        return replace(measure(package, engine, limit), score_abs=self._score(limit.score_abs))


def granted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, straying: Straying) -> tuple[GateReport, Tolerance]:
    parent = tiny_package(tmp_path)
    monkeypatch.setattr(derive, "measure", straying)
    made, (tried,) = child(parent, tmp_path / "made", parent.read(MODEL_FILE), "int8", [PAIR], lambda *_: "")
    tolerance = made.manifest.tolerance(*PAIR)
    assert tried.report is not None
    assert tolerance is not None
    return tried.report, tolerance


def test_what_strays_the_same_at_any_tolerance_is_granted_its_margin(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    report, tolerance = granted(monkeypatch, tmp_path, Straying(lambda _: 0.03))
    assert tolerance.score_abs == pytest.approx(MARGIN * 0.03 + 0.002)
    assert report.score_abs_limit == tolerance.score_abs


def test_the_margin_is_that_of_what_strays_at_the_tolerance_granted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    straying = Straying(lambda limit: 0.03 if limit > 0.15 else 0.05)  # the smaller, the more candidates are due
    report, tolerance = granted(monkeypatch, tmp_path, straying)
    assert report.score_abs == 0.05
    assert tolerance.score_abs == pytest.approx(0.1, abs=0.003)
    assert straying.limits[-1] == report.score_abs_limit == tolerance.score_abs


def test_a_tolerance_that_does_not_hold_is_widened(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    straying = Straying(lambda _: 0.01, refused_below=0.1)
    _, tolerance = granted(monkeypatch, tmp_path, straying)
    assert 0.1 <= tolerance.score_abs <= 0.125


def test_no_tolerance_is_wider_than_the_cap(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    straying = Straying(lambda _: 0.01, refused_below=0.2)
    report, tolerance = granted(monkeypatch, tmp_path, straying)
    assert tolerance.score_abs == report.score_abs_limit == 0.2
