import io
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.train

from edge import errors  # noqa: E402
from edge.training import network, plots, predict, progress, state, train  # noqa: E402
from edge.training.recipe import FolderData, Input, Recipe, Validation  # noqa: E402
from tests.support_training import STILL, tiny  # noqa: E402

EVERYTHING: dict[str, dict[str, Any]] = {
    "augment": {"mosaic": 0.3, "mixup": 0.3, "copy_paste": 0.5, "turn": 0.5, "rotate": 5.0, "plain_epochs": 1},
    "loss": {"image_level": 0.5, "objectness_gamma": 1.5, "class_gamma": 1.0},
    "schedule": {"oversample": 0.9},
}


INPUT = Input(width=64, height=32)


def weights(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = torch.load(folder / state.WEIGHTS, weights_only=True)
    return found


def assert_same_end(a: Path, b: Path) -> None:
    expected, found = weights(a), weights(b)
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    assert (a / state.HISTORY).read_text() == (b / state.HISTORY).read_text()


@pytest.fixture
def without_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes half of the time of the smallest training."""
    monkeypatch.setattr(train, "write_plots", lambda *_: None)


@pytest.fixture
def stop_after(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Makes the next training stop after so many epochs, 0 for none, as if it had been interrupted."""
    save = train.save

    def arm(epochs: int) -> None:
        def save_then_stop(current: state.State, path: Path, recipe: Recipe) -> None:
            save(current, path, recipe)
            if len(current.history) == epochs:
                raise KeyboardInterrupt

        monkeypatch.setattr(train, "save", save_then_stop)

    return arm


@pytest.mark.usefixtures("without_plots")
def test_a_few_steps_overfit_a_few_plates(tmp_path: Path) -> None:
    schedule = {"epochs": 20, "batch": 8, "evaluate_every": 20, "learning_rate": 1e-2, "warmup_epochs": 2}
    train.train(tiny(augment=STILL, schedule=schedule), tmp_path, resume=False)
    saved = torch.load(tmp_path / state.CHECKPOINT, weights_only=True)
    losses = [entry["loss"] for entry in saved["history"]]
    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.usefixtures("without_plots")
@pytest.mark.parametrize("sections", [{}, EVERYTHING])
def test_a_resumed_run_ends_as_an_uninterrupted_one(
    tmp_path: Path, stop_after: Callable[[int], None], sections: dict[str, dict[str, Any]]
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train.train(tiny(**sections), whole, resume=False)
    stop_after(2)
    with pytest.raises(KeyboardInterrupt):
        train.train(tiny(**sections), parts, resume=False)
    stop_after(0)
    train.train(tiny(**sections), parts, resume=True)
    assert_same_end(whole, parts)


@pytest.mark.usefixtures("without_plots")
def test_the_seed_decides_the_weights(tmp_path: Path) -> None:
    recipe = tiny(
        **{
            **EVERYTHING,
            "schedule": {"epochs": 1},
            "augment": {**EVERYTHING["augment"], "plain_epochs": 0},
        }
    )
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        train.train(recipe.model_copy(update={"seed": seed}), tmp_path / name, resume=False)
    assert_same_end(tmp_path / "a", tmp_path / "b")
    other = weights(tmp_path / "c")
    assert any(not torch.equal(value, other[name]) for name, value in weights(tmp_path / "a").items())


@pytest.mark.usefixtures("without_plots")
def test_the_history_has_the_parts_that_the_recipe_asks_for(tmp_path: Path) -> None:
    teacher = tmp_path / "teacher"
    train.train(tiny(schedule={"epochs": 1}), teacher, resume=False)
    distill = {"teachers": [str(teacher)], "weight": 0.5}
    train.train(
        tiny(loss={"image_level": 0.5}, distill=distill, schedule={"epochs": 1}), tmp_path / "all", resume=False
    )
    plain, full = (
        torch.load(folder / state.CHECKPOINT, weights_only=True)["history"][0] for folder in (teacher, tmp_path / "all")
    )
    assert list(plain) == ["epoch", "loss", "box", "objectness", "class", "map50", "map"]
    assert set(full) - set(plain) == {"teachers", "image"}


def test_a_training_leaves_plots(tmp_path: Path) -> None:
    quality = train.train(tiny(schedule={"epochs": 1}), tmp_path, resume=False)
    assert quality is not None
    assert quality.images == 4
    for name in (plots.LEARNING, plots.CONFUSION, plots.PRECISION_RECALL):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


@pytest.mark.usefixtures("without_plots")
def test_a_checkpoint_is_neither_overwritten_nor_resumed_by_another_recipe(tmp_path: Path) -> None:
    train.train(tiny(schedule={"epochs": 1}), tmp_path, resume=False)
    with pytest.raises(errors.ConfigError, match="exists"):
        train.train(tiny(schedule={"epochs": 1}), tmp_path, resume=False)
    with pytest.raises(errors.ConfigError, match="another recipe"):
        train.train(tiny(schedule={"epochs": 2}), tmp_path, resume=True)


def test_too_few_pictures_for_a_batch_are_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.DatasetError, match="8 training pictures of tiny do not fill one batch of 9"):
        train.train(tiny(schedule={"batch": 9}), tmp_path, resume=False)


def test_the_learning_rate_warms_up_and_falls() -> None:
    schedule = tiny(schedule={"epochs": 4, "warmup_epochs": 1.0, "learning_rate": 1.0, "final_factor": 0.1}).schedule
    rates = [train.learning_rate(schedule, step, 10) for step in range(40)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9] == rates[10] == 1.0
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert train.learning_rate(schedule, 40, 10) == pytest.approx(0.1)


def test_a_training_starts_from_a_finished_one(tmp_path: Path) -> None:
    train.train(tiny(schedule={"epochs": 1}), tmp_path / "first", resume=False)
    left = torch.load(tmp_path / "first" / state.WEIGHTS, weights_only=True)
    start = {"start": str(tmp_path / "first")}
    found = state.initial(tiny(network=start), torch.device("cpu")).average.state_dict()
    assert found.keys() == left.keys()
    assert all(torch.equal(value, left[name]) for name, value in found.items())
    with pytest.raises(errors.ConfigError, match="holds another network"):
        state.build(tiny(network={**start, "width": 24}))
    with pytest.raises(errors.ConfigError, match=r"network\.start: .*gone has no checkpoint\.pt"):
        state.build(tiny(network={"start": str(tmp_path / "gone")}))


@pytest.mark.parametrize(("changed", "refused"), [
    ({}, False),
    ({"audit": "elsewhere.json"}, False),
    ({"folder": "other"}, False),
    ({"folds": None, "fold": None, "validation": "none"}, False),
    ({"fold": 2}, True),
    ({"shuffle": 1}, True),
])  # fmt: skip
def test_what_may_have_seen_the_pictures_validated_on_is_no_start(changed: dict[str, Any], refused: bool) -> None:
    earlier = {"kind": "voc", "folder": "strip", "classes": ("dent",), "folds": 5, "fold": 5}
    here = FolderData(**{**earlier, **changed})
    with pytest.raises(errors.ConfigError, match="may have seen") if refused else nullcontext():
        state._refuse_seen(FolderData(**earlier), here, "first")


def test_a_backbone_trained_before_learns_at_its_own_rate() -> None:
    rate = {"backbone_factor": 0.125}
    for shape, trained in (({"pretrained": False}, False), ({"pretrained": False, "start": "a"}, True)):
        recipe = tiny(network=shape, schedule=rate)
        model = network.build(recipe.network, len(recipe.classes))
        factors = {group["factor"] for group in state._optimiser(recipe, model, None).param_groups}
        assert (0.125 in factors) is trained


def test_without_averaging_the_average_is_the_model() -> None:
    current = state.initial(tiny(), torch.device("cpu"))
    bias = current.model.heads[0].box.bias
    before = bias.detach().clone()
    with torch.no_grad():
        bias.add_(1.0)
    current.steps = 2000  # the average remembers in full by now
    current.update_average(0.9)
    torch.testing.assert_close(current.average.heads[0].box.bias.detach(), before + 0.1, atol=1e-4, rtol=0)
    current.update_average(0.0)
    torch.testing.assert_close(current.average.heads[0].box.bias.detach(), bias.detach())


def test_only_weights_decay_and_pretrained_ones_learn_slower() -> None:
    recipe = tiny(loss={"image_level": 1.0})
    recipe = recipe.model_copy(update={"network": recipe.network.model_copy(update={"pretrained": True})})
    current = state.initial(recipe, torch.device("cpu"))
    assert current.image_head is not None
    groups = {id(p): group for group in current.optimiser.param_groups for p in group["params"]}
    stem = current.model.backbone.stem
    assert groups[id(stem[0].weight)]["factor"] == recipe.schedule.backbone_factor
    assert groups[id(stem[0].weight)]["weight_decay"] == recipe.schedule.weight_decay
    assert groups[id(stem[1].weight)]["weight_decay"] == 0.0
    assert groups[id(current.model.neck.lateral[0][0].weight)]["factor"] == 1.0
    assert groups[id(current.image_head.classes.weight)]["factor"] == 1.0


def test_grey_pictures_become_three_normalised_channels() -> None:
    target = Input(width=32, height=32, mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.5))
    images = predict.normalise(torch.ones(1, 1, 2, 2), target)
    assert images.shape == (1, 3, 2, 2)
    for channel, (mean, std) in enumerate(zip(target.mean, target.std, strict=True)):
        assert float(images[0, channel, 0, 0]) == pytest.approx((1 - mean) / std, rel=1e-5)


def test_detections_are_suppressed_within_a_class_only() -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 9], [0, 0, 10, 10], [40, 0, 50, 10]], np.float32)
    scores = np.array([[0.6, 0], [0.9, 0], [0, 0.5], [0.0005, 0]], np.float32)
    found = predict.detections(boxes, scores, INPUT, Validation())
    assert found.labels.tolist() == [0, 1]
    np.testing.assert_allclose(found.scores, [0.9, 0.5])
    np.testing.assert_allclose(found.boxes, [[0, 0, 10, 9], [0, 0, 10, 10]])
    voted = predict.detections(boxes, scores, INPUT, Validation(vote=0.7))
    np.testing.assert_allclose(voted.boxes, [[0, 0, 10, 9.4], [0, 0, 10, 10]], rtol=1e-6)
    assert predict.detections(boxes, scores, INPUT, Validation(iou=0.95)).labels.tolist() == [0, 0, 1]
    empty = predict.detections(np.zeros((0, 4), np.float32), np.zeros((0, 2), np.float32), INPUT, Validation())
    assert len(empty.scores) == 0


def test_detections_end_at_the_edge_of_the_picture_after_suppression() -> None:
    boxes = np.array([[-6, -2, 20, 34], [50, 10, 70, 40], [-30, 0, 20, 32]], np.float32)
    scores = np.array([[0.9], [0.8], [0.7]], np.float32)
    found = predict.detections(boxes, scores, INPUT, Validation(iou=0.8))
    # The third would be the first's duplicate if it were clipped before.
    assert found.boxes.tolist() == [[0, 0, 20, 32], [50, 10, 64, 32], [0, 0, 20, 32]]


def test_a_failed_write_leaves_the_old_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    state.write_atomically(path, {"epoch": 1})
    with pytest.raises(Exception, match="pickle"):
        state.write_atomically(path, {"epoch": lambda: 2})
    assert torch.load(path, weights_only=True) == {"epoch": 1}


def test_confusion_by_hand() -> None:
    truth = [
        predict.Truth(np.array([[0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10]], np.float32), np.array([0, 1, 1]))
    ]
    boxes = np.array([[0, 0, 10, 9], [20, 0, 30, 10], [70, 0, 80, 10], [40, 0, 50, 10]], np.float32)
    found = [predict.Detections(boxes, np.array([0.9, 0.8, 0.7, 0.2], np.float32), np.array([0, 0, 1, 1]))]
    matrix = plots.confusion(found, truth, 2)
    # Found rightly; taken for class 0; a miss, as 0.2 is below the score; a false alarm of class 1.
    assert matrix.tolist() == [[1, 0, 0], [1, 0, 1], [0, 1, 0]]


def test_the_lines_tell_the_pace_and_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(progress, "monotonic", lambda: now[0])
    console = Console(file=io.StringIO(), width=200)
    with progress.Progress(console, epochs=10, done=4, steps=2) as running:
        for epoch in (5, 6):
            for _ in range(2):
                now[0] += 15
                running.step_done()
            running.epoch_done({"epoch": epoch, "loss": 1.5})
    assert isinstance(console.file, io.StringIO)
    first, second = console.file.getvalue().splitlines()
    assert first == "epoch 5/10  loss 1.5  (30 s an epoch, 0:02:30 left)"
    assert second == "epoch 6/10  loss 1.5  (30 s an epoch, 0:02:00 left)"
