"""Which layers of an INT8 graph stay in float, and what happens where the golden outputs do not hold."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import ModelError
from edge.model.derive import MARGIN, shortfall
from edge.model.package import MODEL_FILE, TOLERANCE_CAPS, ModelPackage
from edge.model.prepare import FP32_TOLERANCE, prepare
from edge.model.quantizing import sensitive
from edge.model.quantizing.make import INT8_PAIRS, quantize, render
from edge.model.quantizing.sensitive import LEAST_INT8, SENSITIVE, choose, fewest
from tests.support_broken import replace, value
from tests.support_models import blob_frame, tiny_export, tiny_package, tiny_spec
from tests.unit.test_quantize import SIZE, check_gate, write


class Table:
    """An effect in place of one measured: a graph is the list of its INT8 layers, and loses what they lose."""

    def __init__(self, lost: dict[int, float]) -> None:
        self.lost = lost

    def of(self, graph: bytes, _frames: int | None = None) -> float:
        return sum(self.lost[at] for at in graph)


def chosen(pictures: dict[int, float], golden: dict[int, float], limit: float) -> tuple[list[int], dict[str, str]]:
    """Return the INT8 layers, and what each is in float for; the golden outputs hold below ``limit``."""
    told: Any = Table(golden)

    def graphs(layers: Collection[int]) -> bytes:
        return bytes(sorted(layers))

    def misses(graph: bytes) -> str:
        return "" if told.of(graph) < limit else "a box is off"

    effect: Any = Table(pictures)
    graph, effects = choose([(at, f"l{at}") for at in pictures], graphs, effect, told, misses, lambda *_: None)
    return list(graph), {layer.layer: layer.float_for for layer in effects}


PICTURES = {0: SENSITIVE * 2, 1: SENSITIVE, 2: 0.0, 3: 0.001, 4: 0.002, 5: 0.003, 6: 0.0, 7: 0.0}
GOLDEN = {0: 0.9, 1: 0.0, 2: 0.5, 3: 0.1, 4: 0.02, 5: 0.3, 6: 0.01, 7: 0.01}


def test_where_golden_frames_hold_pictures_alone_choose() -> None:
    layers, float_for = chosen(PICTURES, GOLDEN, limit=1.0)
    assert layers == [1, 2, 3, 4, 5, 6, 7]
    assert [name for name, why in float_for.items() if why == "pictures"] == ["l0"]
    assert set(float_for.values()) == {"pictures", "none"}


@pytest.mark.parametrize(("limit", "layers"), [(0.5, [1, 3, 4, 5, 6, 7]), (0.2, [1, 3, 4, 6, 7]), (0.1, [1, 4, 6, 7])])
def test_the_fewest_that_golden_frames_need_go_most_sensitive_first(limit: float, layers: list[int]) -> None:
    found, float_for = chosen(PICTURES, GOLDEN, limit)
    assert found == layers
    assert float_for["l0"] == "pictures"
    assert {name for name, why in float_for.items() if why == "golden frames"} == {
        f"l{at}" for at in range(1, 8) if at not in layers
    }


def test_not_enough_in_int8_is_refused() -> None:
    golden = dict.fromkeys(GOLDEN, 0.1)
    layers, _ = chosen(PICTURES, golden, limit=0.21)
    assert len(layers) == 2 == LEAST_INT8 * len(PICTURES)
    with pytest.raises(ModelError, match=r"even with 6 of 8 layers in float: a box is off\. Remedy: train .* epochs"):
        chosen(PICTURES, golden, limit=0.2)


def test_each_layer_too_sensitive_is_refused() -> None:
    with pytest.raises(ModelError, match="Each of 8 layers alone loses more than 1%"):
        chosen(dict.fromkeys(PICTURES, 0.02), GOLDEN, limit=1.0)


@given(st.integers(1, 400), st.data())
def test_the_fewest_are_found_in_few_tries(most: int, data: st.DataObject) -> None:
    least = data.draw(st.integers(1, most + 1))
    tries: list[int] = []

    def holds(count: int) -> bool:
        tries.append(count)
        return count >= least

    assert fewest(holds, most, lambda *_: None) == (least if least <= most else None)
    assert len(tries) <= most.bit_length() + 1
    assert fewest(holds, 0, lambda *_: None) is None


# -- with a network ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(16):
        side = 16 if number % 2 else 32
        x, y = side * (number % (SIZE // side)), side * (number // 2 % (SIZE // side))
        write(folder, number, blob_frame((SIZE, SIZE), x, y, side, ground=60 + 4 * number))
    return folder


def test_a_network_whose_golden_frames_miss_gets_more_layers_in_float(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export = onnx.load(str(tiny_export(tmp_path / "tiny.onnx")))
    weights = value(export, "w16").copy()
    weights[4, 0, 0, 0:2] = 1000.0, -1000.0  # they cancel on plain ground, and leave the others no 8-bit step
    replace(export, "w16", weights)
    onnx.save(export, str(tmp_path / "tiny.onnx"))
    package = prepare(tmp_path / "tiny.onnx", tmp_path / "tiny", tiny_spec())
    monkeypatch.setattr(sensitive, "SENSITIVE", 1.0)  # the pictures blame none
    result = quantize(package, pictures, "int8", tmp_path / "made")
    kept = result.quantization.in_float
    assert [layer.float_for for layer in kept] == ["golden frames"]
    worst = max(result.quantization.layers, key=lambda layer: layer.golden_lost or 0.0)
    assert kept == (worst,)
    check_gate(result.package)
    for tried in result.tried:
        assert tried.report is not None
        assert MARGIN * tried.report.box_px + FP32_TOLERANCE.box_px <= TOLERANCE_CAPS["int8"].box_px
    told = f"kept for golden frames: {worst.layer}"
    assert told in render(result)
    assert f"| {worst.layer} | {worst.lost:.1%} | {worst.golden_lost:.1%} | golden frames |" in (
        result.package.path / "README.md"
    ).read_text(encoding="utf-8")


def test_a_network_that_no_float_layer_helps_is_refused(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tiny_package(tmp_path)
    tight = TOLERANCE_CAPS["int8"].model_copy(update={"score_abs": 1e-6})
    monkeypatch.setitem(TOLERANCE_CAPS, "int8", tight)
    with pytest.raises(ModelError, match=r"INT8 does not keep to the golden outputs, even with 2 of 3 layers in float"):
        quantize(package, pictures, "int8", tmp_path / "made")
    assert not (tmp_path / "made").exists()


def test_a_cap_without_the_margin_is_not_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tiny_package(tmp_path)
    graph = package.read(MODEL_FILE)
    assert _missing(package, graph) == ""
    cap = TOLERANCE_CAPS["int8"].model_copy(update={"score_abs": FP32_TOLERANCE.score_abs * 0.9})
    monkeypatch.setitem(TOLERANCE_CAPS, "int8", cap)
    assert "onnxruntime int8: score_abs with its margin is 0.002, above 0.0018" in _missing(package, graph)


def _missing(package: ModelPackage, graph: bytes) -> str:
    return shortfall(package, graph, "int8", INT8_PAIRS)
