from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.train

from edge.training import export, network, state  # noqa: E402
from tests.support_training import tiny  # noqa: E402


def test_frozen_stages_do_not_learn_and_keep_their_statistics() -> None:
    model = network.Detector(2, 16, 1, short=True)
    model.backbone.freeze(1)
    model.train()
    assert not model.backbone.stem.training
    assert not any(p.requires_grad for p in model.backbone.blocks[0].parameters())
    assert model.backbone.blocks[1].training
    assert all(p.requires_grad for p in model.backbone.blocks[1].parameters())


@pytest.mark.parametrize(("backbone", "blocks", "parameters"), [("lite0", 16, 2_958_848), ("lite1", 21, 3_723_520)])
def test_backbones_take_their_imagenet_weights(backbone: str, blocks: int, parameters: int) -> None:
    family = network.FAMILIES[backbone]
    pytest.importorskip(family.package)
    made = network.Backbone(False, family)
    before = made.blocks[-1].project[0].weight.clone()
    network.load_pretrained(made)
    assert len(made.blocks) == blocks
    assert network.parameter_count(made) == parameters
    assert not torch.equal(before, made.blocks[-1].project[0].weight)


def test_decoding_follows_yolox() -> None:
    cells, strides = network.grid(64, 32)
    assert len(cells) == 8 * 4 + 4 * 2 + 2 * 1
    raw = torch.zeros(1, len(cells), 4)
    raw[0, 5, :2] = 0.5  # row 1, column 1 of stride 8
    boxes = network.decode(raw, cells, strides)
    assert boxes[0, 5].tolist() == [8, 8, 16, 16]
    assert boxes[0, -1].tolist() == [-16, 16, 16, 48]  # last cell of stride 32, centre at its corner (0, 32)


def test_the_export_is_the_network(tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    model, height, width = state.build(tiny()).eval(), 64, 96
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
