from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("kornia")
pytestmark = pytest.mark.train

from edge.training.augment import Augmentation, padded  # noqa: E402
from edge.training.recipe import Augment  # noqa: E402
from tests.support_training import STILL  # noqa: E402

WIDTH, HEIGHT = 96, 96
BOX = (30.0, 20.0, 70.0, 44.0)
UNLIT = {"gain": (1, 1), "offset": 0.0, "gamma": (1, 1), "noise": 0.0}


def marked(count: int) -> tuple[Any, Any, Any]:
    """`count` grey pictures with one white mark, and its box."""
    images = torch.full((count, 1, HEIGHT, WIDTH), 0.25)
    x1, y1, x2, y2 = (int(edge) for edge in BOX)
    images[:, :, y1:y2, x1:x2] = 0.9
    return images, torch.tensor(BOX).expand(count, 1, 4).clone(), torch.ones(count, 1, dtype=torch.bool)


def extent(image: Any) -> list[float]:
    """Edges of the mark, px, between pixels: by how much of each row and column is above the ground."""
    above = ((image - 0.25) / 0.65).clamp(0, 1)
    across, down = above.amax(0), above.amax(1)
    edges = []
    for line in (across, down):
        inside = torch.nonzero(line > 0.5)[:, 0]
        first, last = int(inside[0]), int(inside[-1])
        before = float(line[first - 1]) if first else 0.0
        after = float(line[last + 1]) if last + 1 < len(line) else 0.0
        edges.append((first + 1 - float(line[first]) - before, last + float(line[last]) + after))
    return [edges[0][0], edges[1][0], edges[0][1], edges[1][1]]


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"flip_horizontal": 1.0},
        {"flip_vertical": 1.0},
        {"turn": 1.0},
        {"turn": 0.5, "flip_horizontal": 0.5, "flip_vertical": 0.5},
        {"shift": 0.1},
        {"scale": (0.7, 1.3)},
        {"scale": (0.7, 1.2), "shift": 0.1, "turn": 0.5, "flip_vertical": 0.5},
    ],
)
def test_boxes_stay_on_their_marks_to_a_fraction_of_a_pixel(change: dict[str, Any]) -> None:
    torch.manual_seed(3)
    images, boxes, valid = Augmentation(Augment(**{**STILL, **change}))(*marked(24))
    assert bool(valid.all())
    found = torch.tensor([extent(image[0]) for image in images])
    assert float((found - boxes[:, 0]).abs().max()) < 0.4
    assert float((found - boxes[:, 0]).mean().abs()) < 0.1  # no bias to one side
    if change:
        assert not torch.allclose(boxes[0, 0], torch.tensor(BOX))
    else:
        torch.testing.assert_close(images, marked(24)[0])


def test_rotated_boxes_hold_their_marks() -> None:
    torch.manual_seed(4)
    images, boxes, _ = Augmentation(Augment(**{**STILL, "rotate": 15.0}))(*marked(16))
    for image, box in zip(images, boxes[:, 0], strict=True):
        seen = torch.tensor(extent(image[0])) - box
        assert bool((seen[:2] > -1).all())  # nothing of the mark is outside
        assert bool((seen[2:] < 1).all())
        assert float(seen.abs().max()) < 2  # and the box is no larger than it must be


def test_boxes_that_leave_the_picture_are_clipped_or_dropped() -> None:
    torch.manual_seed(5)
    _, boxes, valid = Augmentation(Augment(**{**STILL, "shift": 0.6}))(*marked(200))
    kept = boxes[valid]
    assert 0 < len(kept) < 200
    assert float(kept.min()) >= 0
    assert float(kept.max()) <= WIDTH
    sides = kept[:, 2:] - kept[:, :2]
    assert float(sides.min()) >= 4
    assert float(sides.prod(1).min()) >= 0.2 * 40 * 24 - 1e-2


def test_warps_keep_fine_texture() -> None:
    torch.manual_seed(9)
    coarse = torch.rand(16, 1, HEIGHT // 2, WIDTH // 2)  # as a picture that was enlarged to the network's input
    images = torch.nn.functional.interpolate(coarse, scale_factor=2.0, mode="bilinear")
    _, boxes, valid = marked(16)
    varied, _, _ = Augmentation(Augment(**{**STILL, "shift": 0.1}))(images, boxes, valid)
    power = [part[..., 16:-16, 16:-16].diff(dim=-1).square().mean() for part in (images, varied)]
    assert float(power[1] / power[0]) == pytest.approx(1.0, abs=0.1)  # 0.75 where the warp is bilinear


def test_what_was_not_valid_stays_so() -> None:
    images, boxes, valid = marked(2)
    valid[0] = False
    _, _, after = Augmentation(Augment())(images, boxes, valid)
    assert not bool(after[0].any())


def test_what_comes_in_from_outside_has_the_mean() -> None:
    images, boxes, valid = marked(8)
    torch.manual_seed(6)
    varied, _, _ = Augmentation(Augment(**{**STILL, "scale": (0.5, 0.5)}))(images, boxes, valid)
    torch.testing.assert_close(varied[:, 0, 0, 0], images.mean(dim=(1, 2, 3)))


def test_light_changes_by_what_the_recipe_says() -> None:
    images, boxes, valid = marked(64)
    torch.manual_seed(7)
    offset, _, _ = Augmentation(Augment(**{**STILL, "offset": 25.5}))(images, boxes, valid)
    moved = (offset - images).flatten(1)
    assert float(moved.std(dim=1).max()) < 1e-5
    assert 0.05 < float(moved.abs().max()) <= 0.1 + 1e-6
    gain, _, _ = Augmentation(Augment(**{**STILL, "gain": (0.5, 0.5)}))(images, boxes, valid)
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    torch.testing.assert_close(gain, (images - mean) * 0.5 + mean)
    noisy, _, _ = Augmentation(Augment(**{**STILL, "noise": 5.1}))(images, boxes, valid)
    deviations = (noisy - images).flatten(1).std(dim=1)
    assert 10 < int((deviations > 1e-4).sum()) < 54  # every second picture
    assert float(deviations[deviations > 1e-4].mean()) == pytest.approx(0.02, rel=0.05)


def test_the_generator_decides() -> None:
    once, again = (torch.manual_seed(8) and Augmentation(Augment(rotate=5.0))(*marked(4)) for _ in range(2))
    for a, b in zip(once, again, strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("counts", [(0, 0), (2, 0, 3)])
def test_padding_marks_what_is_valid(counts: tuple[int, ...]) -> None:
    boxes = [torch.from_numpy(np.full((count, 4), count, np.float32)) for count in counts]
    labels = [torch.full((count,), count) for count in counts]
    padded_boxes, padded_labels, valid = padded(boxes, labels)
    most = max(counts)
    assert padded_boxes.shape == (len(counts), most, 4)
    assert padded_labels.shape == valid.shape == (len(counts), most)
    assert valid.sum(1).tolist() == list(counts)
    for row, count in enumerate(counts):
        assert padded_labels[row][valid[row]].tolist() == [count] * count
