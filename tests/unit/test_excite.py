from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.engine.base import Engine
from edge.errors import ModelError
from edge.model import excite
from edge.model.excite import LEAST_KEPT, MOST_KEPT, SEARCHED, Look, Search, chosen, make_golden, sides
from edge.model.golden import collage, synthetic_frame
from edge.model.package import Manifest, ModelPackage
from tests.support_models import tiny_package


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    return tiny_package(tmp_path_factory.mktemp("model"))


def rows(*scores_of_classes: tuple[float, int]) -> NDArray[np.float32]:
    return np.array([[0, 0, 1, 1, score, cls] for score, cls in scores_of_classes], np.float32)


def test_sides_at_the_boundaries(package: ModelPackage) -> None:
    """Recommended 0.5, floor 0.05: a score at a threshold is above it."""
    found = sides(rows((0.5, 0), (0.499, 1), (0.05, 1), (0.049, 2)), package.manifest)
    assert found.tolist() == [[1, 0], [0, 2], [0, 0]]


def test_without_a_range_between_the_thresholds_below_is_all_that_is_lower(package: ModelPackage) -> None:
    manifest = Manifest(**{**package.manifest.model_dump(), "score": {"recommended": 0.05, "candidate_floor": 0.05}})
    assert sides(rows((0.05, 0), (0.01, 0)), manifest)[0].tolist() == [1, 1]


def contrast(frame: NDArray[np.uint8]) -> float:
    return float(min((frame > 200).mean(), (frame < 50).mean()))


class Contrasts(Engine):
    """Finds class 0 on both sides in every frame; class 1 scores with how much of it is white, or black if less is."""

    name, precision = "onnxruntime", "fp32"

    def __init__(self, package: ModelPackage, stretch: float) -> None:
        super().__init__(package.manifest.input.shape)
        self._stretch = stretch

    def _run(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        score = min(1.0, self._stretch * contrast(image))
        return rows((0.9, 0), (0.3, 0), (score, 1), (0.0, 2))

    def _close(self) -> None:
        pass


def searched(package: ModelPackage, engine: Engine) -> Search:
    search = Search(package, engine, lambda *_: None)
    search.run()
    return search


def test_a_class_that_no_seed_excites_is_climbed_to(package: ModelPackage) -> None:
    plain = max(contrast(synthetic_frame(seed, (64, 64, 1))) for seed in range(SEARCHED))
    search = searched(package, Contrasts(package, stretch=0.45 / plain))
    assert not any(look.shown[1, 0] for look in search.looks[:SEARCHED])
    reached = [look for look in search.looks if look.shown[1, 0]]
    assert reached
    assert len(reached[0].seeds) > 1
    assert reached[0].seeds in chosen(search.looks)


def test_a_class_that_nothing_excites_costs_a_bounded_search(
    package: ModelPackage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(excite, "CLIMBS", 150)
    search = searched(package, Contrasts(package, stretch=0.0))
    assert len(search.looks) == SEARCHED + 150


def look(seed: int, *shown: tuple[int, int]) -> Look:
    return Look((seed,), np.zeros(len(shown)), np.array(shown))


def test_frames_are_chosen_for_what_no_other_shows() -> None:
    plenty = [look(seed, (9, 9), (0, 0)) for seed in range(20)]
    picked = chosen([*plenty, look(20, (0, 0), (0, 1))])
    assert picked[:2] == [(0,), (20,)]
    assert len(picked) == LEAST_KEPT


def test_what_was_shown_least_comes_next() -> None:
    picked = chosen([look(0, (30, 30), (1, 1)), look(1, (30, 30), (0, 0)), look(2, (0, 0), (3, 3))])
    assert picked == [(0,), (2,), (1,)]


def test_more_frames_are_kept_only_for_something_new() -> None:
    classes = 30
    each = []
    for cls in range(classes):
        shown = np.zeros((classes, 2), np.int64)
        shown[cls] = 1
        each.append(Look((cls,), np.zeros(classes), shown))
    assert len(chosen(each)) == MOST_KEPT
    assert len(chosen(each[:8])) == 8


def test_a_collage_is_the_same_bytes_everywhere() -> None:
    """Checksums taken once; another value on any machine would void every package's golden file."""
    import zlib

    found = [zlib.crc32(collage(seeds, (96, 160, 3)).tobytes()) for seeds in ((1,), (1, 2), (1, 2, 3, 500))]
    assert found == FROZEN
    np.testing.assert_array_equal(collage((1,), (96, 160, 3)), synthetic_frame(1, (96, 160, 3)))


FROZEN = [1266687588, 2296723871, 3203908634]


def test_a_network_whose_heads_are_no_numbers_is_refused(package: ModelPackage) -> None:
    class NoNumbers(Contrasts):
        def _heads(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:  # noqa: ARG002
            return np.full((package.manifest.heads.rows, package.manifest.heads.columns), np.nan, np.float32)

    with pytest.raises(ModelError, match="heads that are no numbers"):
        make_golden(package, NoNumbers(package, 1.0), lambda *_: None)
