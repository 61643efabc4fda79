"""One suite for every engine: what ``Engine`` promises, whoever keeps it."""

from __future__ import annotations

import threading
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.engine.base import Engine
from edge.engine.null import NullEngine
from edge.engine.select import Choice, build, choose, obstacle
from edge.errors import EngineError, ModelError
from edge.model.gate import golden_gate
from edge.model.golden import synthetic_frame
from edge.model.package import ModelPackage
from tests.support_models import blob_frame, tiny_package

SIZE = 256  # (256, 256, 1) is 64 KiB, so that a copy of the image shows
SHAPE = (SIZE, SIZE, 1)
K = 20
PAIRS = [("onnxruntime", "fp32"), ("openvino", "fp32"), ("openvino", "bf16"), ("null", "none")]
REAL = PAIRS[:-1]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    return tiny_package(tmp_path_factory.mktemp("model"), size=SIZE, candidates=K, nan_when_black=True)


def built(package: ModelPackage, pair: tuple[str, str]) -> Engine:
    if pair in REAL:
        why_not = obstacle(package, *pair)
        if why_not is not None:
            pytest.skip(f"{' '.join(pair)}: {why_not}")
    return build(package, Choice(*pair, "tested"), threads=1)


@pytest.fixture(params=PAIRS, ids=" ".join)
def engine(request: pytest.FixtureRequest, package: ModelPackage) -> Iterator[Engine]:
    with built(package, request.param) as instance:
        yield instance


@pytest.fixture(params=REAL, ids=" ".join)
def real_engine(request: pytest.FixtureRequest, package: ModelPackage) -> Iterator[Engine]:
    with built(package, request.param) as instance:
        yield instance


def test_says_what_it_is(engine: Engine) -> None:
    assert (engine.name, engine.precision) in PAIRS
    assert engine.input.shape == SHAPE
    assert engine.input.dtype == np.uint8
    assert engine.input.flags.c_contiguous


def test_returns_k_candidates(engine: Engine) -> None:
    candidates = engine.run(engine.input)
    assert candidates.shape == (K, 6)
    assert candidates.dtype == np.float32


def test_same_image_gives_same_bytes(engine: Engine) -> None:
    image = synthetic_frame(3, SHAPE)
    first = engine.run(image).copy()
    engine.run(synthetic_frame(4, SHAPE))
    assert engine.run(image).tobytes() == first.tobytes()


def test_a_run_allocates_no_image(engine: Engine) -> None:
    image = synthetic_frame(3, SHAPE)
    engine.run(image)
    tracemalloc.start()
    try:
        for source in (image, engine.input):
            engine.run(source)
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            engine.run(source)
            assert tracemalloc.get_traced_memory()[1] - before < 64 * 1024
    finally:
        tracemalloc.stop()


def test_the_image_is_not_changed(engine: Engine) -> None:
    image = synthetic_frame(3, SHAPE)
    before = image.copy()
    engine.run(image)
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((SIZE, 2 * SIZE, 1), np.uint8)[:, ::2],
        np.zeros((SIZE, SIZE, 1), np.uint8)[::-1],
        np.zeros((SIZE, SIZE), np.uint8),
        np.zeros((1, *SHAPE), np.uint8),
        np.zeros((SIZE, SIZE, 3), np.uint8),
        np.zeros(SHAPE, np.int8),
        np.zeros(SHAPE, np.float32),
    ],
    ids=["strided", "reversed", "2-d", "batched", "colour", "int8", "float"],
)
def test_refuses_an_image_that_is_not_agreed(engine: Engine, image: NDArray[np.uint8]) -> None:
    with pytest.raises(EngineError, match="C-contiguous uint8"):
        engine.run(image)


def test_close_ends_it_once(engine: Engine) -> None:
    engine.close()
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        engine.run(engine.input)


def test_reads_the_memory_it_is_given(real_engine: Engine) -> None:
    """A buffer bound once and changed later is read as it is now: nothing was kept from an earlier run."""
    clean = blob_frame(SHAPE, 0, 0, 0)
    assert real_engine.run(clean)[0, 4] < 0.05
    clean[64:80, 64:80] = 255
    best = real_engine.run(clean)[0]
    assert best[4] > 0.9
    assert best[5] == 0
    assert abs(float(best[:4].mean()) - 72) < 4
    real_engine.input[...] = clean
    np.testing.assert_array_equal(real_engine.run(real_engine.input)[0], best)


def test_passes_the_golden_gate(real_engine: Engine, package: ModelPackage) -> None:
    report = golden_gate(package, real_engine)
    assert report.cases == 6
    assert report.matched >= 20
    assert report.score_abs <= report.score_abs_limit
    assert report.box_px <= report.box_px_limit


def test_heads_are_the_networks_own_output(real_engine: Engine, package: ModelPackage) -> None:
    form = package.manifest.heads
    image = synthetic_frame(3, SHAPE)
    raw = real_engine.heads(image)
    assert raw.shape == (form.rows, form.columns)
    assert raw.dtype == np.float32
    assert raw.flags.c_contiguous
    best = float((raw[:, 4] * raw[:, 5:].max(axis=1)).max())  # as YOLOX defines it: objectness x best class
    assert real_engine.run(image)[0, 4] == pytest.approx(best, abs=1e-6)


def test_heads_are_a_copy(real_engine: Engine) -> None:
    first = real_engine.heads(synthetic_frame(3, SHAPE))
    before = first.copy()
    assert not np.array_equal(real_engine.heads(synthetic_frame(4, SHAPE)), before)
    np.testing.assert_array_equal(first, before)


def test_heads_refuse_what_run_refuses(engine: Engine) -> None:
    with pytest.raises(EngineError, match="C-contiguous uint8"):
        engine.heads(np.zeros((SIZE, SIZE, 3), np.uint8))
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        engine.heads(engine.input)


def test_null_has_no_heads(package: ModelPackage) -> None:
    with build(package, choose(package, engine="null")) as engine, pytest.raises(EngineError, match="runs no network"):
        engine.heads(engine.input)


def test_one_nan_anywhere_spoils_every_score(real_engine: Engine) -> None:
    """The anchor that turns NaN on black has the lowest score of all, far below the best K."""
    frame = blob_frame(SHAPE, 16, 16, 16)
    assert np.isfinite(real_engine.run(frame)).all()
    frame[-32:, -32:] = 0
    assert np.isnan(real_engine.run(frame)[:, 4]).all()


def test_releases_the_gil(real_engine: Engine) -> None:
    """While one thread runs the engine, another advances: at least once a run."""
    image = synthetic_frame(3, SHAPE)
    ticks = 0
    done = threading.Event()

    def tick() -> None:
        nonlocal ticks
        while not done.is_set():
            ticks += 1
            time.sleep(0)

    thread = threading.Thread(target=tick)
    thread.start()
    try:
        for _ in range(200):
            real_engine.run(image)
    finally:
        done.set()
        thread.join()
    assert ticks >= 200


def test_null_takes_its_time_and_follows_its_script() -> None:
    def script(run: int) -> NDArray[np.float32]:
        return np.full((K, 6), run, np.float32)

    with NullEngine(SHAPE, K, duration_ms=20, script=script) as engine:
        start = time.monotonic()
        assert engine.run(engine.input)[0, 0] == 0
        assert engine.run(engine.input)[0, 0] == 1
        assert time.monotonic() - start >= 0.04


def test_null_never_passes_the_gate(package: ModelPackage) -> None:
    with build(package, choose(package, engine="null")) as engine, pytest.raises(ModelError, match="not qualified"):
        golden_gate(package, engine)


def test_auto_takes_the_first_preference_that_is_qualified(tmp_path: Path, package: ModelPackage) -> None:
    first = next(pair for pair in [("openvino", "bf16"), ("openvino", "fp32")] if obstacle(package, *pair) is None)
    choice = choose(package)
    assert (choice.engine, choice.precision) == first
    fp32_only = tiny_package(tmp_path, qualified=[q for q in package.manifest.qualified if q.precision == "fp32"])
    choice = choose(fp32_only)
    assert (choice.engine, choice.precision) == ("openvino", "fp32")
    assert "not openvino bf16: the manifest does not qualify it" in choice.reason


def test_an_unqualified_pair_is_refused(tmp_path: Path) -> None:
    package = tiny_package(tmp_path)
    for pair in [("onnxruntime", "bf16"), ("tensorrt", "fp16"), ("null2", "auto")]:
        with pytest.raises(ModelError, match="No engine may run"):
            choose(package, *pair)
    with pytest.raises(ModelError, match="no engine"):
        build(package, Choice("onnxruntime", "bf16", "made up"))


def test_an_engine_that_is_not_installed_is_passed_over(package: ModelPackage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "openvino" else object())
    choice = choose(package)
    assert (choice.engine, choice.precision) == ("onnxruntime", "fp32")
    assert "openvino is not installed" in choice.reason
    with pytest.raises(ModelError, match="openvino is not installed"):
        choose(package, engine="openvino")
