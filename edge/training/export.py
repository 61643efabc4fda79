"""Trained weights to ONNX: the raw YOLOX output that `edge model prepare` decodes."""

from __future__ import annotations

import warnings
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from edge import errors
from edge.training import network
from edge.training.recipe import Recipe
from edge.training.state import WEIGHTS

OPSET = 17
INPUT, OUTPUT = "images", "output"
RAW_ONNX = "raw.onnx"


class _Raw(nn.Module):
    """The detector with objectness and classes through a sigmoid; boxes stay undecoded."""

    def __init__(self, detector: network.Detector) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, images: Tensor) -> Tensor:
        raw = self.detector(images)
        return torch.cat((raw[..., :4], raw[..., 4:].sigmoid()), dim=-1)


def export(recipe: Recipe, out_dir: Path) -> Path:
    """Writes `out_dir`/raw.onnx from `out_dir`/weights.pt.

    Input `images` (1, 3, H, W) float32, (rgb / 255 - mean) / std.  Output `output` (1, N, 5 + classes) float32:
    x, y, w, h raw (centre = (xy + cell) stride, size = exp(wh) stride), objectness and classes in 0..1; levels of
    stride 8, 16, 32, row-major.
    """
    weights = out_dir / WEIGHTS
    if not weights.is_file():
        raise errors.ModelError(f"{weights} does not exist.", "Finish the training first.")
    model = network.build(recipe.network, len(recipe.classes))
    model.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    target = out_dir / RAW_ONNX
    export_detector(model, recipe.input.height, recipe.input.width, target)
    return target


def export_detector(model: network.Detector, height: int, width: int, target: Path) -> None:
    """Writes the network, float32, batch 1; by TorchScript, as the newer exporter has no opset 17 of its own."""
    images = torch.zeros(1, 3, height, width)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            _Raw(model).eval(),
            (images,),
            str(target),
            input_names=[INPUT],
            output_names=[OUTPUT],
            opset_version=OPSET,
            dynamo=False,
        )
    onnx.checker.check_model(str(target), full_check=True)
