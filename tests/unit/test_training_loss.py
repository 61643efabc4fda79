from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.train

from edge import errors  # noqa: E402
from edge.training import distill, loss, network, train  # noqa: E402
from edge.training.recipe import Distill, Loss, Recipe  # noqa: E402
from tests.support_training import SIZE, TINY, tiny  # noqa: E402

PLAIN = Loss()


def perfect_raw(truth: Any, labels: Any, cells: Any, strides: Any) -> Any:
    """Raw output whose every cell names the first box, confident where its centre lies inside."""
    box = truth[0, 0]
    centre, side = (box[:2] + box[2:]) / 2, box[2:] - box[:2]
    raw = torch.full((1, len(cells), 7), -9.0)
    raw[0, :, :2] = centre / strides - cells
    raw[0, :, 2:4] = (side / strides).log()
    inside = (((cells + 0.5) * strides - centre).abs() < side / 2).all(1)
    raw[0, inside, 4] = 9.0
    raw[0, inside, 5 + labels[0, 0]] = 9.0
    return raw


def test_the_loss_prefers_the_right_answer() -> None:
    cells, strides = network.grid(SIZE, SIZE)
    truth, labels = torch.tensor([[[10.0, 20.0, 34.0, 44.0]]]), torch.tensor([[1]])
    valid = torch.tensor([[True]])
    right = perfect_raw(truth, labels, cells, strides)
    wrong_class = perfect_raw(truth, 1 - labels, cells, strides)
    shifted = right.clone()
    shifted[..., :2] += 1.0
    costs = [
        loss.detection_loss(raw, truth, labels, valid, cells, strides, PLAIN) for raw in (right, wrong_class, shifted)
    ]
    assert costs[0].box < 1e-5
    assert costs[0].positives >= 1
    assert costs[1].classes > 5 * costs[0].classes
    assert costs[2].box > 0.1


def test_assigned_cells_lie_near_their_box_and_belong_to_one() -> None:
    cells, strides = network.grid(SIZE, SIZE)
    truth = torch.tensor([[[4.0, 4.0, 28.0, 28.0], [36.0, 36.0, 60.0, 60.0]]])
    valid = torch.tensor([[True, False]])
    torch.manual_seed(0)
    raw = torch.randn(1, len(cells), 7) * 0.1
    found = loss.assign(
        network.decode(raw, cells, strides),
        raw[..., 4],
        raw[..., 5:],
        truth,
        torch.tensor([[0, 1]]),
        valid,
        cells,
        strides,
    )
    assert found.positive.any()
    assert set(found.box[found.positive].tolist()) == {0}  # padding gets no cell
    distance = ((cells + 0.5) * strides - 16).abs().max(dim=1).values
    reach = torch.maximum(torch.tensor(12.0), loss.CENTRE_RADIUS * strides[:, 0])
    assert bool((distance[found.positive[0]] < reach[found.positive[0]]).all())


@pytest.mark.parametrize("boxes", [0, 2])
def test_pictures_without_truth_are_background(boxes: int) -> None:
    cells, strides = network.grid(SIZE, SIZE)
    raw = torch.zeros(2, len(cells), 7, requires_grad=True)
    losses = loss.detection_loss(
        raw,
        torch.zeros(2, boxes, 4),
        torch.zeros(2, boxes, dtype=torch.long),
        torch.zeros(2, boxes, dtype=torch.bool),
        cells,
        strides,
        PLAIN,
    )
    torch.autograd.backward(losses.total)
    assert losses.positives == 0
    assert raw.grad is not None
    assert bool((raw.grad[..., 4] > 0).all())
    assert float(raw.grad[..., :4].abs().sum()) == 0


def test_iou_and_giou_by_hand() -> None:
    a, b = torch.tensor([0.0, 0, 2, 2]), torch.tensor([1.0, 0, 3, 2])
    iou, giou = loss.iou_giou(a, b)
    assert float(iou) == pytest.approx(1 / 3, abs=1e-5)
    assert float(giou) == pytest.approx(1 / 3, abs=1e-5)  # the hull is the union
    _, apart = loss.iou_giou(a, torch.tensor([4.0, 0, 6, 2]))
    assert float(apart) == pytest.approx(-1 / 3, abs=1e-5)


def test_focal_loss_by_hand() -> None:
    logits, target = torch.tensor([0.0, 2.0, 2.0]), torch.tensor([1.0, 0.0, 0.5])
    share = float(torch.tensor(2.0).sigmoid())
    plain = loss.cross_entropy(logits, target, 0.0)
    focal = loss.cross_entropy(logits, target, 2.0)
    assert focal[0] == pytest.approx(0.5**2 * float(plain[0]))  # (1 - p)^2 for a true cell
    assert focal[1] == pytest.approx(share**2 * float(plain[1]), rel=1e-5)  # p^2 for a false one
    assert focal[2] == pytest.approx((share - 0.5) ** 2 * float(plain[2]), rel=1e-5)


def test_image_level_truth_is_the_classes_of_the_valid_boxes() -> None:
    labels, valid = torch.tensor([[2, 0, 1], [0, 0, 0]]), torch.tensor([[True, True, False], [False] * 3])
    right = torch.tensor([[9.0, -9.0, 9.0], [-9.0, -9.0, -9.0]])
    assert float(loss.image_level_loss(right, labels, valid)) < 1e-3
    for wrong in ((0, 1), (1, 0)):  # a class of padding, and class 0 of an empty picture
        logits = right.clone()
        logits[wrong] *= -1
        assert float(loss.image_level_loss(logits, labels, valid)) > 1
    assert float(loss.image_level_loss(right, labels[:, :0], valid[:, :0])) > 1


def test_the_distillation_loss_is_least_where_the_teacher_answers() -> None:
    cells, strides = network.grid(SIZE, SIZE)
    torch.manual_seed(1)
    raw = torch.randn(2, len(cells), 7)
    soft = distill.Soft(network.decode(raw, cells, strides), raw[..., 4].sigmoid(), raw[..., 5:].sigmoid())
    student = raw.clone().requires_grad_(True)
    least = distill.distillation_loss(student, soft, cells, strides, PLAIN)
    torch.autograd.backward(least)
    assert student.grad is not None
    assert float(student.grad[..., 4:].abs().max()) < 1e-6
    for column in range(7):
        other = raw.clone()
        other[..., column] += 0.5
        assert distill.distillation_loss(other, soft, cells, strides, PLAIN) > least + 1e-3


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("teacher")
    train.train(tiny(schedule={"epochs": 1}), folder, resume=False)
    return folder


def taught(*folders: Path, mirrored: bool = False) -> Distill:
    return Distill(teachers=tuple(str(folder) for folder in folders), mirrored=mirrored)


@pytest.mark.parametrize("axis", [2, 3])
def test_a_mirrored_teacher_answers_for_a_mirrored_picture_by_the_mirrored_answer(teacher: Path, axis: int) -> None:
    cells, strides = network.grid(SIZE, 2 * SIZE)
    torch.manual_seed(3)
    images = torch.randn(2, 3, SIZE, 2 * SIZE)
    answer = distill.Teachers(taught(teacher, mirrored=True), tiny(), torch.device("cpu"))
    for parameter in answer._models[0].parameters():  # after one epoch it says the same of every cell
        parameter.data += 0.1 * torch.randn_like(parameter)
    plain = distill._answer(answer._models[0], images, cells, strides, ())
    found, other = answer(images, cells, strides), answer(images.flip(axis), cells, strides)
    assert (found.objectness - plain.objectness).abs().max() > 1e-4, "it looked at the picture one way only"
    at = 0
    for stride in network.STRIDES:
        rows, columns = SIZE // stride, 2 * SIZE // stride
        level = slice(at, at + rows * columns)
        at = level.stop
        for one, two in ((found.objectness, other.objectness), (found.classes[..., 0], other.classes[..., 0])):
            shown, mirrored = (value[:, level].reshape(2, rows, columns) for value in (one, two))
            torch.testing.assert_close(shown, mirrored.flip(axis - 1))
        boxes, mirrored = (value[:, level].reshape(2, rows, columns, 4) for value in (found.boxes, other.boxes))
        left, top, right, bottom = mirrored.flip(axis - 1).unbind(-1)
        back = (
            (2 * SIZE - right, top, 2 * SIZE - left, bottom) if axis == 3 else (left, SIZE - bottom, right, SIZE - top)
        )
        torch.testing.assert_close(boxes, torch.stack(back, -1), rtol=1e-3, atol=1e-2)


def test_teachers_answer_by_their_mean(teacher: Path) -> None:
    classes, device = tiny().classes, torch.device("cpu")
    cells, strides = network.grid(SIZE, SIZE)
    torch.manual_seed(2)
    images = torch.randn(2, 3, SIZE, SIZE)
    once = distill.Teachers(taught(teacher), tiny(), device)(images, cells, strides)
    twice = distill.Teachers(taught(teacher, teacher), tiny(), device)(images, cells, strides)
    for a, b in zip(once, twice, strict=True):
        torch.testing.assert_close(a, b)
    assert once.boxes.shape == (2, len(cells), 4)
    assert once.classes.shape == (2, len(cells), len(classes))


def test_a_teacher_that_cannot_teach_is_named(teacher: Path, tmp_path: Path) -> None:
    device = torch.device("cpu")
    folder = {"kind": "voc", "folder": "strip", "classes": ["dent"], "validation": 0.2}
    other = Recipe.model_validate({**TINY, "data": folder})
    with pytest.raises(errors.ConfigError, match=r"teachers: .* has no checkpoint\.pt"):
        distill.Teachers(taught(tmp_path), tiny(), device)
    with pytest.raises(errors.ConfigError, match="knows the classes"):
        distill.Teachers(taught(teacher), other, device)


def test_teachers_are_looked_for_before_the_first_step(tmp_path: Path) -> None:
    recipe: Recipe = tiny(distill={"teachers": [str(tmp_path / "gone")]})
    with pytest.raises(errors.ConfigError, match="gone"):
        train.train(recipe, tmp_path / "out", resume=False)
    assert not (tmp_path / "out").exists()
