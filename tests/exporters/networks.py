"""Networks of the exporting frameworks with seeded random weights: how each is built, exported, decoded and suppressed.

Runs only in the environment that check.py makes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Detections = NDArray[np.float64]  # (M, 6): x1, y1, x2, y2 px, score, class

WIDTH, HEIGHT = 320, 256
NAMES = ("crack", "pit", "scale", "o'clock", "stain", "dent")
OPSET = 17


@dataclass(frozen=True)
class Exported:
    """An exported network beside the framework's own.

    Attributes:
        told: what the spec of ``edge model prepare`` must say of it.
        detect: (image (H, W, 3) uint8 BGR, least score, largest overlap) -> what the framework finds.
        suppresses: the framework has a suppression of its own.
    """

    path: Path
    told: dict[str, Any]
    detect: Callable[[Image, float, float], Detections]
    suppresses: bool = True


@dataclass(frozen=True)
class Network:
    """A network to compare, and the framework that makes it."""

    name: str
    framework: str
    family: str
    export: Callable[[], Exported]


def made_up_image(seed: int) -> Image:
    """Blotches of several sizes under noise, (HEIGHT, WIDTH, 3) BGR."""
    random = np.random.RandomState(seed)
    plane = np.zeros((HEIGHT, WIDTH, 3))
    for side in (64, 16, 4, 1):
        coarse = random.uniform(-1, 1, (HEIGHT // side, WIDTH // side, 3))
        plane += coarse.repeat(side, axis=0).repeat(side, axis=1)
    return np.clip(128 + 60 * plane, 0, 255).astype(np.uint8)


def seed_statistics(model: torch.nn.Module, scale: float, seed: int) -> None:
    """Draw batch-norm weights, and take the statistics from seeded images: a network that never trained is deaf.

    Args:
        scale: of the pixels that the network takes: 1 or 255.
    """
    random = torch.Generator().manual_seed(seed)
    norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.weight.data.uniform_(0.6, 1.2, generator=random)
        norm.bias.data.uniform_(-0.3, 0.3, generator=random)
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over all that is seen
    model.eval()
    for norm in norms:
        norm.train()
    with torch.no_grad():
        model(torch.cat([tensor_rgb(made_up_image(seed)) for seed in range(4)]) * scale)
    model.eval()


def seed_output(convolution: Any, spread: float, seed: int) -> None:
    """Draw the weights of a last convolution, whose inputs are about 1, so that its outputs spread by ``spread``."""
    random = torch.Generator().manual_seed(seed)
    inputs = convolution.weight[0].numel()
    convolution.weight.data.normal_(0.0, spread / inputs**0.5, generator=random)


def seed_biases(biases: list[torch.Tensor], mean: float, seed: int) -> None:
    """Draw biases of class scores, so that many anchors of every class score, each differently."""
    random = torch.Generator().manual_seed(seed)
    for bias in biases:
        bias.copy_(torch.empty(bias.shape).normal_(mean, 0.5, generator=random))


def tensor_rgb(image: Image) -> torch.Tensor:
    """(H, W, 3) uint8 BGR -> (1, 3, H, W) float32 RGB 0..1, as the YOLOs take it."""
    return torch.from_numpy(np.ascontiguousarray(image[..., ::-1].transpose(2, 0, 1))).float()[None] / 255.0


def legacy_export(model: torch.nn.Module, path: Path) -> None:
    """Export as the export scripts of YOLOv7 and YOLOX do: traced, one input ``images``, one output."""
    torch.onnx.export(
        model,
        (torch.zeros(1, 3, HEIGHT, WIDTH),),
        str(path),
        input_names=["images"],
        output_names=["output"],
        opset_version=OPSET,
        dynamo=False,
    )


def ultralytics(config: str, nms_free: bool = False) -> Exported:
    """YOLOv8 and later, exported by ``YOLO.export``; with ``nms=False`` newer ones suppress by themselves."""
    from ultralytics import YOLO
    from ultralytics.nn.tasks import DetectionModel
    from ultralytics.utils.nms import non_max_suppression

    torch.manual_seed(1)
    model = DetectionModel(config, nc=len(NAMES), verbose=False)
    model.names = dict(enumerate(NAMES))
    head = model.model[-1]
    seed_statistics(model, 1.0, seed=2)
    boxes, scores = (head.one2one_cv2, head.one2one_cv3) if nms_free else (head.cv2, head.cv3)
    seed_biases([level[-1].bias.data for level in scores], -2.0, seed=3)
    for level in scores:
        seed_output(level[-1], 0.6, seed=4)
    for level in boxes:  # sides of about four strides
        seed_output(level[-1], 0.2, seed=5)
        level[-1].bias.data.view(4, -1).copy_(
            -0.3 * torch.arange(head.reg_max) if head.reg_max > 1 else torch.tensor(2.0)
        )
    model.end2end = nms_free
    wrapper = YOLO(config)
    model.args, model.task = wrapper.model.args, wrapper.model.task
    wrapper.model = model
    chosen = {"nms": False} if nms_free else {}
    path = Path(wrapper.export(format="onnx", imgsz=[HEIGHT, WIDTH], opset=OPSET, simplify=False, **chosen))

    def detect(image: Image, score: float, overlap: float) -> Detections:
        with torch.no_grad():
            decoded = model(tensor_rgb(image))[0]
        found = non_max_suppression(
            decoded, score, overlap, max_det=30_000, max_time_img=60.0, nc=len(NAMES), end2end=nms_free
        )
        return found[0][:, :6].double().numpy()

    return Exported(path, {}, detect, suppresses=not nms_free)


def yolov5(config: str) -> Exported:
    """YOLOv5, exported by its ``export_onnx``."""
    import yolov5
    from yolov5.export import export_onnx
    from yolov5.models.yolo import Detect, DetectionModel
    from yolov5.utils.general import non_max_suppression

    torch.manual_seed(1)
    folder = Path(yolov5.__file__).parent / "models"
    model = DetectionModel(str(next(folder.rglob(f"{config}.yaml"))), nc=len(NAMES))
    model.names = dict(enumerate(NAMES))
    head = model.model[-1]
    assert isinstance(head, Detect)
    seed_statistics(model, 1.0, seed=2)
    seed_anchor_biases(head)

    def detect(image: Image, score: float, overlap: float) -> Detections:
        with torch.no_grad():
            decoded = model(tensor_rgb(image))[0]
        return non_max_suppression(decoded, score, overlap, max_det=30_000)[0].double().numpy()

    detect(np.zeros((HEIGHT, WIDTH, 3), np.uint8), 0.5, 0.5)  # the grids are made by a run
    path = Path(f"{config}.onnx")
    head.export = True
    traced = torch.onnx.export
    torch.onnx.export = partial(traced, dynamo=False)  # its script knows no other exporter than the tracing one
    try:
        export_onnx(model, torch.zeros(1, 3, HEIGHT, WIDTH), path, OPSET, dynamic=False, simplify=False)
    finally:
        torch.onnx.export = traced
        head.export = False
    return Exported(path, {}, detect)


def seed_anchor_biases(head: Any) -> None:
    """Draw the class biases of a head with anchor boxes, and set its objectness high."""
    tables = [level.bias.data.view(head.na, -1) for level in head.m]
    for table in tables:
        table[:, 4] = 2.0
    seed_biases([table[:, 5:] for table in tables], -1.0, seed=3)


# YOLOv7's package carries no configurations, so a small network is put together from its modules.
SMALL_YOLOV7: dict[str, Any] = {
    "nc": len(NAMES),
    "depth_multiple": 1.0,
    "width_multiple": 1.0,
    "anchors": [[10, 13, 16, 30, 33, 23], [30, 61, 62, 45, 59, 119], [116, 90, 156, 198, 373, 326]],
    "backbone": [
        [-1, 1, "Conv", [16, 3, 2]],
        [-1, 1, "Conv", [32, 3, 2]],
        [-1, 1, "Conv", [48, 3, 2]],
        [-1, 1, "Conv", [48, 1, 1]],
        [-2, 1, "Conv", [48, 1, 1]],
        [[-1, -2], 1, "Concat", [1]],
        [-1, 1, "Conv", [64, 3, 2]],
        [-1, 1, "SPPCSPC", [64]],
        [-1, 1, "Conv", [96, 3, 2]],
    ],
    "head": [[[5, 7, 8], 1, "IDetect", ["nc", "anchors"]]],
}


def yolov7() -> Exported:
    """YOLOv7, exported as its script does with ``--grid``."""
    from yolov7_package.models.yolo import Model
    from yolov7_package.utils.general import non_max_suppression

    torch.manual_seed(1)
    model = Model(SMALL_YOLOV7)
    head = model.model[-1]
    seed_statistics(model, 1.0, seed=2)
    seed_anchor_biases(head)
    with torch.no_grad():
        model.fuse()

    def detect(image: Image, score: float, overlap: float) -> Detections:
        head.concat = False
        with torch.no_grad():
            decoded = model(tensor_rgb(image))[0]
        return non_max_suppression(decoded, score, overlap)[0].double().numpy()

    detect(np.zeros((HEIGHT, WIDTH, 3), np.uint8), 0.5, 0.5)  # the grids are made by a run
    path = Path("yolov7.onnx")
    head.concat = True
    legacy_export(model, path)
    return Exported(path, {"family": "yolov5", "classes": NAMES}, detect)


def yolox(config: str) -> Exported:
    """YOLOX, exported as its script does, without decoding."""
    from yolox.config import YoloxConfig
    from yolox.data import ValTransform
    from yolox.models.network_blocks import SiLU
    from yolox.utils import postprocess, replace_module

    torch.manual_seed(1)
    settings = YoloxConfig.get_named_config(config)
    assert settings is not None
    settings.num_classes = len(NAMES)
    model = settings.get_model()
    seed_statistics(model, 255.0, seed=2)
    seed_biases([level.bias.data for level in model.head.cls_preds], -2.0, seed=3)
    for level in model.head.cls_preds:
        seed_output(level, 0.6, seed=4)
    for objectness, box in zip(model.head.obj_preds, model.head.reg_preds, strict=True):
        objectness.bias.data.fill_(2.0)
        seed_output(box, 0.1, seed=5)
        box.bias.data[2:] = 1.4  # sides of about four strides
    prepare = ValTransform(legacy=False)

    def detect(image: Image, score: float, overlap: float) -> Detections:
        pixels, _ = prepare(image, None, (HEIGHT, WIDTH))
        model.head.decode_in_inference = True
        with torch.no_grad():
            decoded = model(torch.from_numpy(pixels)[None])
        found = postprocess(decoded, len(NAMES), score, overlap)[0].double().numpy()
        return np.column_stack([found[:, :4], found[:, 4] * found[:, 5], found[:, 6]])

    path = Path(f"{config}.onnx")
    bare = replace_module(model, torch.nn.SiLU, SiLU)
    bare.head.decode_in_inference = False
    legacy_export(bare, path)
    told = {"classes": NAMES, "network_color": "bgr8", "mean": (0.0, 0.0, 0.0), "std": (1 / 255,) * 3}
    return Exported(path, told, detect)


def networks(frameworks: list[str]) -> Iterator[Network]:
    """Yield the networks of the frameworks that are installed."""
    table = [
        *(
            Network(name, "ultralytics", "yolov8", partial(ultralytics, f"{name}.yaml"))
            for name in ("yolov8n", "yolov8n-p2", "yolov8n-p6", "yolo11n", "yolo12n", "yolo26n")
        ),
        *(
            Network(f"{name} NMS-free", "ultralytics", "yolov10", partial(ultralytics, f"{name}.yaml", nms_free=True))
            for name in ("yolov10n", "yolo26n")
        ),
        Network("yolov5n", "yolov5", "yolov5", partial(yolov5, "yolov5n")),
        Network("yolov5n6", "yolov5", "yolov5", partial(yolov5, "yolov5n6")),
        Network("yolov7", "yolov7", "yolov5", yolov7),
        Network("yolox_nano", "yolox", "yolox", partial(yolox, "yolox_nano")),
        Network("yolox_tiny", "yolox", "yolox", partial(yolox, "yolox_tiny")),
    ]
    return (network for network in table if network.framework in frameworks)
