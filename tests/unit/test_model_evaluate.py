"""`edge model evaluate`, with a real network on real files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import typer
from numpy.typing import NDArray
from typer.testing import CliRunner

from edge.commands.dataset_simulate import write_voc
from edge.commands.model_evaluate import Eye, Request, evaluate
from edge.commands.model_evaluate_cli import evaluate_command
from edge.commands.model_evaluate_report import as_dict
from edge.config import RecipeConfig
from edge.core.outcome import Outcome
from edge.core.rules import Rule, rules_of
from edge.dataset.audit import Audit, Pair
from edge.dataset.leakage import write_audit
from edge.engine.inspector import Inspector
from edge.engine.select import build, choose
from edge.errors import ConfigError, DatasetError, GoldenMismatch, ModelError
from edge.model.package import ModelPackage
from edge.quality.rates import outcome
from tests.support_broken import broken
from tests.support_models import CLASSES, blob_frame, tiny_package

SHAPE = (64, 64)
BOX = ("scratch", (16, 32, 32, 48))
# Of the tiny network: a square of this level scores 0.98, 0.85, 0.09 and 0.006.
SURE, LIKELY, FAINT, HIDDEN = 255, 200, 170, 150


def square(level: int) -> NDArray[np.uint8]:
    return blob_frame(SHAPE, 16, 32, 16, level=level)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    return tiny_package(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six defective pictures, of which two are too faint at score 0.5, and five good ones, of which one looks bad."""
    folder = tmp_path_factory.mktemp("data")
    for index, level in enumerate([SURE] * 4 + [FAINT, HIDDEN]):
        frame = square(level)
        frame[0, 0] = index  # or they would be duplicates
        write_voc(folder, f"bad_{index}", frame, [BOX])
    for index in range(4):
        write_voc(folder, f"good_{index}", np.full(SHAPE, 80 + index, np.uint8), [])
    write_voc(folder, "good_4", square(LIKELY), [])
    return folder


def request(package: ModelPackage, dataset: Path, **options: Any) -> Request:
    return replace(Request(package.path, dataset, engine="onnxruntime", threads=1, repeated=0), **options)


@pytest.fixture(scope="module")
def result(package: ModelPackage, dataset: Path) -> dict[str, Any]:
    return as_dict(evaluate(request(package, dataset, prevalence=0.1, repeated=100)))


def test_the_average_precision_is_that_of_the_pictures(result: dict[str, Any], package: ModelPackage) -> None:
    # By falling score: four hits, the good picture's false one, two more hits of six boxes.
    expected = (67 * 1.0 + 34 * 6 / 7) / 101
    assert result["map50"] == pytest.approx(expected, abs=1e-6)
    assert result["per_class"]["scratch"]["ap50"] == pytest.approx(expected, abs=1e-6)
    assert result["per_class"]["scratch"]["boxes"] == 6
    assert result["per_class"]["pit"] == {"ap50": None, "ap": None, "boxes": 0}
    assert 0 < result["map50_95"] < result["map50"]
    low, high = result["interval"]
    assert low < result["map50"] <= high
    assert (result["images"], result["boxes"], result["format"]) == (11, 6, "voc")
    assert (result["package"], result["engine"], result["precision"]) == (package.identity, "onnxruntime", "fp32")


def test_overlapping_pictures_are_drawn_together(
    package: ModelPackage, dataset: Path, tmp_path: Path, result: dict[str, Any]
) -> None:
    def audited(*couples: tuple[str, str]) -> Path:
        pairs = tuple(Pair(one, other, "overlap", "none", (5, 0), 0.5, 0.9) for one, other in couples)
        write_audit(Audit(11, 55, pairs, ()), tmp_path / "LEAKAGE.json")
        return tmp_path / "LEAKAGE.json"

    file = audited(("bad_0", "bad_1"), ("bad_1", "bad_2"), ("bad_4", "not here"))
    found = as_dict(evaluate(request(package, dataset, audit=file)))
    assert (found["bootstrap"]["unit"], found["bootstrap"]["units"]) == ("group of overlapping images", 9)
    assert found["bootstrap"]["audit"] == str(file)
    assert (result["bootstrap"]["unit"], result["bootstrap"]["units"]) == ("image", 11)
    assert found["map50"] == result["map50"]
    assert found["interval"] != result["interval"]
    assert as_dict(evaluate(request(package, dataset, audit=audited())))["interval"] == result["interval"]
    with pytest.raises(ConfigError, match=r"no picture of .* but (here|there)"):
        evaluate(request(package, dataset, audit=audited(("there", "here"))))


def test_parts_are_counted_as_on_the_line(result: dict[str, Any]) -> None:
    at = result["at"]
    assert at["score"] == 0.5
    assert (at["escape"]["count"], at["escape"]["of"], at["escape_rate"]) == (2, 6, pytest.approx(1 / 3, abs=1e-6))
    assert (at["overkill"]["count"], at["overkill"]["of"], at["overkill_rate"]) == (1, 5, 0.2)
    assert at["escape"]["clopper_pearson"] == pytest.approx([0.0433, 0.7772], abs=1e-4)
    assert at["escape_ppm"]["value"] == pytest.approx(0.1 * 1e6 / 3, abs=0.1)
    assert at["escape_ppm"]["low"] == pytest.approx(4327, abs=1)
    assert (at["box_precision"]["count"], at["box_precision"]["of"]) == (4, 5)
    assert result["notes"] == []


def test_the_sweep_begins_where_a_rule_may_and_moves_the_trade(result: dict[str, Any]) -> None:
    sweep = {row["score"]: row for row in result["sweep"]}
    assert list(sweep) == pytest.approx([0.05 * step for step in range(1, 20)])
    assert sweep[0.05]["escape_rate"] == pytest.approx(1 / 6, abs=1e-6)
    assert sweep[0.5]["escape_rate"] == pytest.approx(2 / 6, abs=1e-6)
    assert (sweep[0.85]["overkill_rate"], sweep[0.9]["overkill_rate"]) == (0.2, 0.0)
    assert sweep[0.9]["box_precision"] == 1.0


def test_repeatability_looks_at_every_picture(result: dict[str, Any]) -> None:
    found = result["repeatability"]
    assert found["images"] == 11
    assert found["groups"]["shift by 1 px"]["decisions"] == 44
    assert found["groups"]["gain +-10 %"]["decisions"] == 22
    assert found["unstable"]["count"] >= 1  # a square that left its cell by 4 px is seen less well
    assert 0 < found["groups"]["shift by 4 px"]["score_change"]["largest"] <= 1


def test_detection_against_size_is_told_by_class(result: dict[str, Any]) -> None:
    pod = result["pod"]
    assert (pod["measure"], pod["unit"], pod["score"]) == ("sqrt_area", "px", 0.5)
    scratch = pod["classes"]["scratch"]
    assert (scratch["found"]["count"], scratch["found"]["of"]) == (4, 6)
    assert (scratch["status"], scratch["smallest"], scratch["largest"]) == ("no_slope", 16.0, 16.0)
    assert pod["classes"]["pit"]["status"] == "no_boxes"


def test_without_good_pictures_overkill_is_null_and_said(package: ModelPackage, tmp_path: Path) -> None:
    write_voc(tmp_path, "bad", square(SURE), [BOX])
    found = as_dict(evaluate(request(package, tmp_path)))
    assert found["at"]["overkill_rate"] is None
    assert found["at"]["overkill"]["clopper_pearson"] is None
    assert found["notes"] == ["overkill_rate: not measurable: the data set has no defect-free pictures"]
    assert found["at"]["escape_rate"] == 0.0
    assert found["repeatability"] is None


def test_a_recipe_decides_about_parts_and_gives_the_scale(package: ModelPackage, dataset: Path, tmp_path: Path) -> None:
    file = tmp_path / "recipe.toml"
    file.write_text(
        "[recipe]\nmm_per_px = 0.5\n[[recipe.rules]]\nname = 'large'\nmin_score = 0.9\nmin_longer_side_mm = 11\n"
        "[[recipe.rules]]\nname = 'pits'\nclasses = ['pit']\nmin_score = 0.6\n"
    )
    found = as_dict(evaluate(request(package, dataset, recipe=file)))
    assert (found["at"]["score"], found["at"]["recipe"]) == (0.6, str(file))
    assert (found["at"]["escape"]["count"], found["at"]["overkill"]["count"]) == (2, 0)
    assert (found["pod"]["unit"], found["pod"]["classes"]["scratch"]["largest"]) == ("mm", 8.0)
    moved = as_dict(evaluate(request(package, dataset, recipe=file, score=0.05)))
    assert moved["at"]["escape"]["count"] == 2  # the box of the faint square is shorter than 11 mm
    with pytest.raises(ConfigError, match="mm_per_px"):
        evaluate(request(package, dataset, recipe=file, mm_per_px=0.4))


def test_a_score_that_the_package_does_not_vouch_for_is_refused(package: ModelPackage, dataset: Path) -> None:
    with pytest.raises(ConfigError, match=r"0\.04"):
        evaluate(request(package, dataset, score=0.04))


def test_a_package_that_fails_the_golden_gate_is_not_evaluated(
    package: ModelPackage, dataset: Path, tmp_path: Path
) -> None:
    wrong = broken(package, "classes shuffled", tmp_path / "wrong")
    with pytest.raises(GoldenMismatch):
        evaluate(request(wrong, dataset))
    with pytest.raises(ModelError, match="null"):
        evaluate(request(package, dataset, engine="null"))


def test_classes_that_the_package_does_not_know_are_refused_with_the_file(
    package: ModelPackage, tmp_path: Path
) -> None:
    write_voc(tmp_path, "odd", square(SURE), [("dent", BOX[1])])
    with pytest.raises(DatasetError, match="dent"):
        evaluate(request(package, tmp_path))


def test_folders_of_classes_without_masks_rate_parts_alone(package: ModelPackage, tmp_path: Path) -> None:
    for folder, name, level in (("scratch", "a", SURE), ("scratch", "b", HIDDEN), ("good", "c", 90)):
        (tmp_path / folder).mkdir(exist_ok=True)
        assert cv2.imwrite(str(tmp_path / folder / f"{name}.png"), square(level))
    found = as_dict(evaluate(request(package, tmp_path)))
    assert found["format"] == "folders"
    assert [found[key] for key in ("map50", "map50_95", "interval", "pod")] == [None] * 4
    assert found["notes"] == ["map50, pod: not measurable: the data set has no boxes"]
    assert (found["at"]["escape_rate"], found["at"]["overkill_rate"]) == (0.5, 0.0)
    assert found["at"]["f1"] is None


def test_a_folder_of_good_pictures_may_have_any_name(package: ModelPackage, tmp_path: Path) -> None:
    for folder, level in (("scratch", SURE), ("sound", 90)):
        (tmp_path / folder).mkdir()
        assert cv2.imwrite(str(tmp_path / folder / "a.png"), square(level))
    options = ["--engine", "onnxruntime", "--repeat", "0", "--json"]
    with pytest.raises(DatasetError, match="'sound'"):
        run(str(package.path), "--dataset", str(tmp_path), *options)
    found = json.loads(run(str(package.path), "--dataset", str(tmp_path), *options, "--good", "fine, sound").stdout)
    assert (found["at"]["escape_rate"], found["at"]["overkill_rate"]) == (0.0, 0.0)


def test_pictures_of_two_sizes_are_seen_as_if_each_came_alone(tmp_path: Path) -> None:
    """A letterbox's border is drawn once for a size; another size leaves its picture there."""
    package = tiny_package(tmp_path, resize="letterbox")
    wide, tall = np.full((32, 64), 90, np.uint8), np.full((64, 32), 255, np.uint8)
    wide[8:16, 16:32] = 255

    def seen(frames: Sequence[NDArray[np.uint8]]) -> Any:
        with build(package, choose(package, "onnxruntime"), threads=1) as engine:
            eye = Eye(package, engine, None, None)
            return [eye.see(frame, False)[1] for frame in frames][-1]

    assert seen([tall, wide]) == seen([wide]) == seen([wide, tall, wide])


def test_the_outcome_is_that_of_the_station(tmp_path: Path) -> None:
    package = tiny_package(tmp_path, candidates=3)
    text = {"rules": [{"name": "r", "min_score": 0.4, "min_area_px": 60, "zones": [{"rectangle": [0, 0, 0.25, 1]}]}]}
    recipe = RecipeConfig.model_validate(text)
    random = np.random.default_rng(4)
    outcomes = set()
    with build(package, choose(package, "onnxruntime"), threads=1) as engine:
        eye = Eye(package, engine, recipe, None)
        station = Inspector(package, engine, SHAPE, "mono8")
        rules: tuple[Rule, ...] = rules_of(recipe, *SHAPE)
        for _ in range(40):
            frame = np.full(SHAPE, 60, np.uint8)
            for _ in range(int(random.integers(0, 3))):
                x, y = (16 * random.integers(0, 4, 2)).tolist()
                frame[y : y + 16, x : x + 16] = random.integers(100, 256)
            if random.random() < 0.2:
                frame[:, 32:] = 255  # saturates the list outside of the zone
            part, _seen = eye.see(frame, False)
            assert outcome(part) is station.inspect(frame, rules).outcome
            outcomes.add(outcome(part))
    assert outcomes == {Outcome.PASS, Outcome.REJECT, Outcome.NO_DECISION}


def test_nonsense_is_undecided(tmp_path: Path) -> None:
    package = tiny_package(tmp_path, nan_when_black=True)
    write_voc(tmp_path / "data", "black", np.zeros(SHAPE, np.uint8), [])
    write_voc(tmp_path / "data", "bad", square(SURE), [BOX])
    found = as_dict(evaluate(request(package, tmp_path / "data")))
    assert (found["at"]["undecided"], found["at"]["overkill_rate"]) == (1, 1.0)
    assert found["map50"] == 1.0


def run(*arguments: str) -> Any:
    app = typer.Typer()
    app.command()(evaluate_command)
    return CliRunner().invoke(app, list(arguments), catch_exceptions=False)


def test_the_command_prints_one_object_and_writes_the_plots(
    package: ModelPackage, dataset: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    options = ["--engine", "onnxruntime", "--threads", "1", "--repeat", "3", "--scale-mm-per-px", "0.1"]
    done = run(str(package.path), "--dataset", str(dataset), *options, "--out", str(out), "--json")
    assert done.exit_code == 0
    printed = json.loads(done.stdout)
    assert printed == json.loads((out / "evaluation.json").read_text())
    assert printed["repeatability"]["images"] == 3
    assert printed["pod"]["unit"] == "mm"
    names = {"evaluation.json", "sweep.csv", "sweep.png", "precision-recall.png", "pod.png"}
    assert {path.name for path in out.iterdir()} == names
    for name in ("sweep.png", "precision-recall.png", "pod.png"):
        picture = cv2.imread(str(out / name))
        assert picture is not None
        assert len(np.unique(picture)) > 20  # not blank
    lines = (out / "sweep.csv").read_text().splitlines()
    assert lines[0].startswith("score,escape_rate,escape_low")
    assert len(lines) == 20


def test_a_folder_that_cannot_be_written_is_told_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="--out"):
        run("no-package", "--dataset", "none", "--out", str(tmp_path / "file"))


def test_the_command_speaks_to_people(package: ModelPackage, dataset: Path) -> None:
    done = run(str(package.path), "--dataset", str(dataset), "--engine", "onnxruntime", "--repeat", "2")
    assert done.exit_code == 0
    for text in ("mAP@0.5", "escape", "33.33% (2 of 6", "overkill", "20.00% (1 of 5", *CLASSES):
        assert text in done.stdout


def test_names_in_brackets_are_printed(package: ModelPackage, tmp_path: Path) -> None:
    write_voc(tmp_path / "[bold]", "bad", square(SURE), [BOX])
    done = run(str(package.path), "--dataset", str(tmp_path / "[bold]"), "--engine", "onnxruntime", "--repeat", "0")
    assert "[bold]" in done.stdout.replace("\n", "")
