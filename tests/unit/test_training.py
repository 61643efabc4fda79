from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.train

from edge import errors  # noqa: E402
from edge.training import export, loss, network, train  # noqa: E402
from edge.training.recipe import Input, Recipe  # noqa: E402

SIZE = 64
TINY: dict[str, Any] = {
    "name": "tiny",
    "seed": 5,
    "input": {"width": SIZE, "height": SIZE},
    "data": {
        "kind": "sim",
        "frame_width": 128,
        "frame_height": 128,
        "seed": 1_000_000,
        "plates": 8,
        "validation_seed": 1_000_100,
        "validation_plates": 4,
        "defect_rate": 0.8,
    },
    "network": {"width": 16, "head_depth": 1, "short_backbone": True, "pretrained": False, "frozen_stages": 0},
    "augment": {"mosaic": 0.3, "plain_epochs": 1},
    "schedule": {"epochs": 3, "batch": 4, "learning_rate": 3e-3, "threads": 1},
}


def tiny(**schedule: Any) -> Recipe:
    return Recipe.model_validate({**TINY, "schedule": {**TINY["schedule"], **schedule}})


def tiny_detector() -> network.Detector:
    return train.build(tiny(), 6)


def test_a_few_steps_overfit_a_few_plates(tmp_path: Path) -> None:
    still = {
        "mosaic": 0.0,
        "flip_horizontal": 0.0,
        "flip_vertical": 0.0,
        "scale": [1.0, 1.0],
        "shift": 0.0,
        "gain": [1.0, 1.0],
        "offset": 0.0,
        "gamma": [1.0, 1.0],
        "noise": 0.0,
    }
    recipe = Recipe.model_validate(
        {
            **TINY,
            "augment": still,
            "schedule": {
                **TINY["schedule"],
                "epochs": 20,
                "batch": 8,
                "evaluate_every": 20,
                "learning_rate": 1e-2,
                "warmup_epochs": 2,
            },
        }
    )
    train.train(recipe, tmp_path, resume=False)
    saved = torch.load(tmp_path / train.CHECKPOINT, weights_only=True)
    losses = [entry["loss"] for entry in saved["history"]]
    assert losses[-1] < 0.7 * losses[0]


def test_a_resumed_run_ends_as_an_uninterrupted_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train.train(tiny(), whole, resume=False)

    save = train._save

    def save_then_stop(state: train.State, path: Path, recipe: Recipe) -> None:
        save(state, path, recipe)
        if len(state.history) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(train, "_save", save_then_stop)
    with pytest.raises(KeyboardInterrupt):
        train.train(tiny(), parts, resume=False)
    monkeypatch.setattr(train, "_save", save)
    train.train(tiny(), parts, resume=True)

    expected, resumed = (torch.load(folder / train.WEIGHTS, weights_only=True) for folder in (whole, parts))
    assert all(torch.equal(expected[name], resumed[name]) for name in expected)
    assert (whole / train.HISTORY).read_text() == (parts / train.HISTORY).read_text()


def test_a_checkpoint_is_neither_overwritten_nor_resumed_by_another_recipe(tmp_path: Path) -> None:
    train.train(tiny(epochs=1), tmp_path, resume=False)
    with pytest.raises(errors.ConfigError, match="exists"):
        train.train(tiny(epochs=1), tmp_path, resume=False)
    with pytest.raises(errors.ConfigError, match="another recipe"):
        train.train(tiny(epochs=2), tmp_path, resume=True)


def test_the_learning_rate_warms_up_and_falls() -> None:
    schedule = tiny(epochs=4, warmup_epochs=1.0, learning_rate=1.0, final_factor=0.1).schedule
    rates = [train.learning_rate(schedule, step, 10) for step in range(40)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9] == rates[10] == 1.0
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert train.learning_rate(schedule, 40, 10) == pytest.approx(0.1)


def test_frozen_stages_do_not_learn_and_keep_their_statistics() -> None:
    model = network.Detector(2, 16, 1, short=True)
    model.backbone.freeze(1)
    model.train()
    assert not model.backbone.stem.training
    assert not any(p.requires_grad for p in model.backbone.blocks[0].parameters())
    assert model.backbone.blocks[1].training
    assert all(p.requires_grad for p in model.backbone.blocks[1].parameters())


def test_decoding_follows_yolox() -> None:
    cells, strides = network.grid(64, 32)
    assert len(cells) == 8 * 4 + 4 * 2 + 2 * 1
    raw = torch.zeros(1, len(cells), 4)
    raw[0, 5, :2] = 0.5  # row 1, column 1 of stride 8
    boxes = network.decode(raw, cells, strides)
    assert boxes[0, 5].tolist() == [8, 8, 16, 16]
    assert boxes[0, -1].tolist() == [-16, 16, 16, 48]  # last cell of stride 32, centre at its corner (0, 32)


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
    costs = [loss.detection_loss(raw, truth, labels, valid, cells, strides) for raw in (right, wrong_class, shifted)]
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


def test_the_export_is_the_network(tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    model, height, width = tiny_detector().eval(), 64, 96
    target = tmp_path / "raw.onnx"
    export.export_detector(model, height, width, target)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(target), options, providers=["CPUExecutionProvider"])
    images = np.random.default_rng(0).standard_normal((1, 3, height, width), np.float32)
    (found,) = session.run([export.OUTPUT], {export.INPUT: images})
    with torch.no_grad():
        raw = model(torch.from_numpy(images))
    expected = torch.cat((raw[..., :4], raw[..., 4:].sigmoid()), dim=-1).numpy()
    assert found.shape == (1, 8 * 12 + 4 * 6 + 2 * 3, 11)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_grey_pictures_become_three_normalised_channels() -> None:
    target = Input(width=32, height=32, mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.5))
    images = train.normalise(np.full((1, 2, 2), 255, np.uint8), target)
    assert images.shape == (1, 3, 2, 2)
    for channel, (mean, std) in enumerate(zip(target.mean, target.std, strict=True)):
        assert float(images[0, channel, 0, 0]) == pytest.approx((1 - mean) / std, rel=1e-5)


def test_a_failed_write_leaves_the_old_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    train.write_atomically(path, {"epoch": 1})
    with pytest.raises(Exception, match="pickle"):
        train.write_atomically(path, {"epoch": lambda: 2})
    assert torch.load(path, weights_only=True) == {"epoch": 1}
