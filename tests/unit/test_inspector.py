from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.config import RecipeConfig, RuleConfig, ZoneConfig
from edge.core.outcome import Outcome
from edge.core.part import Verdict
from edge.core.rules import Rule, rules_of
from edge.engine.inspector import Inspector, check_rules
from edge.engine.null import NullEngine
from edge.engine.select import build, choose
from edge.errors import ConfigError, EngineError
from edge.model.package import ModelPackage
from tests.support_models import blob_frame, tiny_package

K = 20
ANY = Rule("any defect", min_score=0.5)


class Judge:
    """An inspector with the rules of one recipe."""

    def __init__(self, inspector: Inspector, rules: Sequence[Rule] = (ANY,)) -> None:
        self.inspector, self.rules = inspector, rules

    def inspect(self, frame: NDArray[np.uint8]) -> Verdict:
        return self.inspector.inspect(frame, self.rules)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    return tiny_package(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def inspector(package: ModelPackage) -> Iterator[Judge]:
    with build(package, choose(package, "onnxruntime"), threads=1) as engine:
        yield Judge(Inspector(package, engine, (128, 256), "mono8"))


def scripted(
    package: ModelPackage,
    rows: Sequence[Sequence[float]],
    rules: Sequence[Rule] = (ANY,),
    frame_shape: tuple[int, int] = (64, 64),
) -> Judge:
    """An inspector whose network returns ``rows`` and zeros, whatever it sees."""
    table = np.zeros((K, 6), np.float32)
    table[: len(rows)] = np.array(rows, np.float32).reshape(-1, 6)

    def script(_run: int) -> NDArray[np.float32]:
        return table

    return Judge(Inspector(package, NullEngine((64, 64, 1), K, script=script), frame_shape, "mono8"), rules)


FRAME = np.zeros((64, 64), np.uint8)


def test_a_blob_is_rejected_where_it_is(inspector: Judge) -> None:
    verdict = inspector.inspect(blob_frame((128, 256), 64, 32, 64)[:128])
    assert (verdict.outcome, verdict.cause, verdict.rule) == (Outcome.REJECT, "rule", "any defect")
    assert all(f.cls == "scratch" and f.score > 0.9 for f in verdict.findings)
    x1, y1, x2, y2 = verdict.findings[0].box
    assert 64 <= (x1 + x2) / 2 <= 128
    assert 32 <= (y1 + y2) / 2 <= 96


def test_a_clean_frame_passes(inspector: Judge) -> None:
    verdict = inspector.inspect(np.full((128, 256), 90, np.uint8))
    assert (verdict.outcome, verdict.cause, verdict.findings) == (Outcome.PASS, "clean", ())


def test_findings_carry_names_and_frame_pixels(package: ModelPackage) -> None:
    inspector = scripted(package, [[-8, 16, 32, 48, 0.9, 1], [40, 0, 64, 80, 0.6, 2]], frame_shape=(128, 640))
    first, second = inspector.inspect(np.zeros((128, 640), np.uint8)).findings
    assert (first.cls, round(first.score, 6), first.box) == ("pit", 0.9, (0, 32, 320, 96))
    assert (second.cls, second.box) == ("stain", (400, 0, 640, 128))


@pytest.mark.parametrize(("left", "outcome"), [(319, Outcome.REJECT), (321, Outcome.PASS)])
def test_a_zone_lies_on_the_frame_and_not_on_the_input_of_the_network(
    package: ModelPackage, left: int, outcome: Outcome
) -> None:
    zone = ZoneConfig(rectangle=(left, 0, 640, 128), unit="px")
    rules = rules_of(RecipeConfig(rules=(RuleConfig(name="right of it", zones=(zone,)),)), 640, 128)
    inspector = scripted(package, [[0, 16, 32, 48, 0.9, 1]], rules, frame_shape=(128, 640))
    verdict = inspector.inspect(np.zeros((128, 640), np.uint8))
    assert (verdict.outcome, verdict.findings[0].box) == (outcome, (0, 32, 320, 96))


@pytest.mark.parametrize("score", [0.3, 0.5, 0.7, 0.9])
def test_the_threshold_itself_is_kept(package: ModelPackage, score: float) -> None:
    above = np.float32(score) if float(np.float32(score)) >= score else np.nextafter(np.float32(score), np.float32(1))
    below = np.nextafter(above, np.float32(0))
    rules = [Rule("at", min_score=score)]
    assert scripted(package, [[0, 0, 9, 9, above, 0]], rules).inspect(FRAME).outcome is Outcome.REJECT
    assert scripted(package, [[0, 0, 9, 9, below, 0]], rules).inspect(FRAME).outcome is Outcome.PASS


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("column", range(6))
def test_a_value_that_is_no_number_decides_nothing(package: ModelPackage, value: float, column: int) -> None:
    row = [0.0] * 6
    row[column] = value
    verdict = scripted(package, [[0, 0, 9, 9, 0.9, 0], row]).inspect(FRAME)
    assert (verdict.outcome, verdict.cause) == (Outcome.NO_DECISION, "non_finite")


def test_a_full_list_is_saturated_only_if_the_last_candidate_counts(package: ModelPackage) -> None:
    small = Rule("large only", min_score=0.5, min_area_px=1000)
    apart = [[3 * i, 0, 3 * i + 2, 2, 0.8, 0] for i in range(K)]
    full = scripted(package, apart, [small]).inspect(FRAME)
    assert (full.outcome, full.cause, len(full.findings)) == (Outcome.NO_DECISION, "saturated", K)
    apart[-1][4] = 0.49
    assert scripted(package, apart, [small]).inspect(FRAME).outcome is Outcome.PASS
    apart[-1][4] = 0.5
    assert scripted(package, apart, [small]).inspect(FRAME).outcome is Outcome.NO_DECISION


def test_a_reject_stands_though_the_list_is_full(package: ModelPackage) -> None:
    verdict = scripted(package, [[0, 0, 9, 9, 0.8, 0]] * K).inspect(FRAME)
    assert (verdict.outcome, len(verdict.findings)) == (Outcome.REJECT, 1)


def test_saturation_counts_candidates_before_suppression(package: ModelPackage) -> None:
    rules = [Rule("large only", min_score=0.5, min_area_px=1000)]
    verdict = scripted(package, [[0, 0, 9, 9, 0.8, 0]] * K, rules).inspect(FRAME)
    assert (verdict.cause, len(verdict.findings)) == ("saturated", 1)


@pytest.mark.parametrize("label", [-1, 3])
def test_a_class_that_does_not_exist_is_a_fault(package: ModelPackage, label: int) -> None:
    with pytest.raises(EngineError, match=r"class outside 0\.\.2"):
        scripted(package, [[0, 0, 9, 9, 0.8, label]]).inspect(FRAME)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (Rule("deep", classes=("scratch", "dent")), "'deep' looks for class 'dent'.*scratch, pit, stain"),
        (Rule("deep", min_score=0.049), "'deep' has min_score 0.049, outside 0.05"),
        (Rule("deep", min_score=1.01), "'deep' has min_score 1.01"),
        (Rule("deep", min_score=float("nan")), "'deep' has min_score nan"),
    ],
)
def test_rules_that_the_network_cannot_serve_are_refused(package: ModelPackage, rule: Rule, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_rules(package.manifest, [ANY, rule])


def test_the_floor_itself_is_allowed(package: ModelPackage) -> None:
    check_rules(package.manifest, [Rule("faint", min_score=0.05)])


def test_a_voted_box_does_not_depend_on_the_lowest_score_of_the_rules(package: ModelPackage) -> None:
    rows = [[10, 10, 30, 30, 0.9, 0], [12, 10, 32, 30, 0.4, 0], [10, 14, 30, 34, 0.1, 0], [10, 10, 30, 30, 0.8, 1]]
    nms = package.manifest.nms.model_copy(update={"vote": 0.5})
    voting = replace(package, manifest=package.manifest.model_copy(update={"nms": nms}))
    boxes = {
        floor: scripted(voting, rows, (Rule("any", min_score=floor),)).inspect(FRAME).findings[0].box
        for floor in (0.05, 0.3, 0.5)
    }
    assert len(set(boxes.values())) == 1
    assert boxes[0.5] == pytest.approx((10 + 0.8 / 1.4, 10 + 0.4 / 1.4, 30 + 0.8 / 1.4, 30 + 0.4 / 1.4), rel=1e-4)
