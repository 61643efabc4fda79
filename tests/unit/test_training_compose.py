import numpy as np
import pytest
from numpy.typing import NDArray

from edge.dataset import Sample
from edge.training import compose
from edge.training.recipe import Augment
from edge.training.sampling import epoch_length, epoch_order, repeat_factors


def sample(mark: tuple[int, int, int, int] | None = (30, 20, 70, 40), label: int = 0, ground: int = 60) -> Sample:
    """A 96 x 64 px picture of plain ground, with one bright mark and its box or without."""
    image = np.full((64, 96), ground, np.uint8)
    if mark is None:
        return Sample("clean", image, np.zeros((0, 4), np.float32), np.zeros(0, np.int64))
    x1, y1, x2, y2 = mark
    image[y1:y2, x1:x2] = 220
    return Sample("marked", image, np.array([mark], np.float32), np.array([label]))


def test_mosaic_boxes_stay_inside_and_on_their_marks() -> None:
    rng = np.random.default_rng(1)
    for _ in range(60):
        out = compose.mosaic([sample()] * 4, (0.5, 1.1), rng)
        assert out.image.shape == (64, 96)
        marked = np.zeros(out.image.shape, bool)
        for x1, y1, x2, y2 in out.boxes:
            assert 0 <= x1 < x2 <= 96
            assert 0 <= y1 < y2 <= 64
            inner = out.image[int(y1) + 2 : max(int(y2) - 2, 0), int(x1) + 2 : max(int(x2) - 2, 0)]
            assert inner.size == 0 or inner.mean() > 200
            marked[int(y1) : int(y2) + 1, int(x1) : int(x2) + 1] = True
        assert len(out.boxes) == 0 or out.image[~marked].mean() < 140


def test_clipping_keeps_boxes_by_visible_share() -> None:
    boxes = np.array([[-80, 0, 20, 10], [-79, 0, 21, 10], [0, 0, 3.9, 50], [-5, -5, 500, 500]], np.float32)
    clipped, labels = compose.clip(boxes, np.arange(4), (200, 100))
    assert labels.tolist() == [0, 1]
    np.testing.assert_allclose(clipped[0], [0, 0, 20, 10])


def test_only_lone_small_defects_are_cut_out() -> None:
    alone = sample((30, 20, 50, 40))
    crowded = Sample(
        "crowded", alone.image, np.array([[30, 20, 50, 40], [51, 20, 70, 40]], np.float32), np.array([0, 1])
    )
    large = sample((0, 0, 60, 40))
    (cutout,) = compose.cutouts([alone, crowded, large, sample(None)])
    assert cutout.patch.shape == (26, 26)  # the margin is 15 % of 20 px
    assert cutout.box.tolist() == [3, 3, 23, 23]
    assert cutout.patch[3:23, 3:23].min() == 220


def test_a_defect_at_the_edge_is_cut_with_the_margin_that_there_is() -> None:
    (cutout,) = compose.cutouts([sample((0, 50, 20, 64))])
    assert cutout.patch.shape == (16, 22)
    assert cutout.box.tolist() == [0, 2, 20, 16]


def test_a_pasted_defect_lies_in_its_box_and_meets_no_other() -> None:
    (cutout,) = compose.cutouts([sample((30, 20, 42, 32), label=1)])
    rng = np.random.default_rng(2)
    target = sample((0, 0, 40, 64), ground=120)
    before = target.image.copy()
    for _ in range(40):
        out = compose.paste(target, cutout, rng)
        assert out.labels.tolist() == [0, 1]
        x1, y1, x2, y2 = np.round(out.boxes[1]).astype(int)
        assert x1 >= 40
        assert out.image[y1 + 1 : y2 - 1, x1 + 1 : x2 - 1].min() > 240  # brought up with its surroundings
        untouched = np.ones(out.image.shape, bool)
        untouched[max(y1 - 4, 0) : y2 + 4, max(x1 - 4, 0) : x2 + 4] = False
        assert np.array_equal(out.image[untouched], before[untouched])
        assert int(out.image[y1:y2, 40:96].min()) >= 115  # no dark rim
    assert np.array_equal(target.image, before)
    assert target.boxes.shape == (1, 4)


def test_nothing_is_pasted_where_there_is_no_room() -> None:
    (cutout,) = compose.cutouts([sample((30, 20, 42, 32))])
    full = sample((0, 0, 96, 64))
    assert compose.paste(full, cutout, np.random.default_rng(0)) is full


def labels_pasted(config: Augment, target: int) -> set[int]:
    samples = [sample((30, 20, 42, 32), label=0), sample((30, 20, 42, 32), label=1), sample(None)]
    composer = compose.Composer(samples, config)
    rng = np.random.default_rng(3)
    own = len(samples[target].labels)
    return {int(label) for _ in range(40) for label in composer.compose(target, rng).labels[own:]}


def test_defects_go_to_surfaces_of_their_class_and_to_clean_ones() -> None:
    config = Augment(mosaic=0.0, copy_paste=1.0)
    assert labels_pasted(config, 0) == {0}
    assert labels_pasted(config, 2) == {0, 1}
    assert labels_pasted(config.model_copy(update={"paste_any": True}), 0) == {0, 1}


def test_mixup_shows_both_pictures_and_keeps_all_boxes() -> None:
    out = compose.mixed(sample(label=0), sample((0, 0, 10, 10), label=1), 0.25)
    assert out.labels.tolist() == [0, 1]
    assert out.image[25, 50] == 0.25 * 220 + 0.75 * 60
    assert out.image[5, 5] == 0.25 * 60 + 0.75 * 220
    mixes = compose.Composer([sample()], Augment(mosaic=0.0, mixup=1.0))
    assert len(mixes.compose(0, np.random.default_rng(0)).labels) == 2


def test_nothing_is_composed_where_nothing_is_asked_for() -> None:
    samples = [sample()]
    composer = compose.Composer(samples, Augment(mosaic=0.0))
    assert composer.compose(0, np.random.default_rng(0)) is samples[0]


def ints(*values: int) -> NDArray[np.int64]:
    return np.array(values, np.int64)


def test_rare_classes_are_repeated_by_the_root_of_what_they_lack() -> None:
    labels = [ints(0)] * 12 + [ints(0, 1), ints(1, 1), ints(), ints()]  # class 1 in 2 of 16
    factors = repeat_factors(labels, 0.5)
    assert factors[:12].tolist() == [1.0] * 12
    assert factors[12:14] == pytest.approx([2.0, 2.0])  # sqrt(0.5 / 0.125)
    assert factors[14:].tolist() == [1.0, 1.0]
    assert repeat_factors(labels, 0.0).tolist() == [1.0] * 16


def test_an_epoch_shows_each_picture_as_often_as_its_factor_says() -> None:
    factors = np.array([1.0, 1.0, 2.5, 1.25, 1.0])
    rng = np.random.default_rng(4)
    counts = np.zeros(5)
    for _ in range(2000):
        order = epoch_order(factors, rng)
        assert len(order) == epoch_length(factors) == 6
        counts += np.bincount(order, minlength=5)
    np.testing.assert_allclose(counts / 2000, factors * 6 / factors.sum(), rtol=0.04)


def test_without_repetition_an_epoch_shows_every_picture_once() -> None:
    rng = np.random.default_rng(5)
    orders = [epoch_order(np.ones(50), rng).tolist() for _ in range(20)]
    assert all(sorted(order) == list(range(50)) for order in orders)
    assert orders[0] != orders[1]
