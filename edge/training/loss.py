"""Detection loss: SimOTA assignment (Ge et al. 2021, YOLOX), GIoU (Rezatofighi et al. 2019), focal loss for scores."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from edge.training.network import decode
from edge.training.recipe import Loss

CENTRE_RADIUS = 2.5  # cells around a box's centre that may answer for it
TOP_IOU = 10  # candidates whose summed IoU sets how many cells a box gets
IOU_WEIGHT = 3.0  # of the IoU cost against the class cost, in the assignment
_OUTSIDE = 1e5  # cost of a cell that is not both inside the box and near its centre
_NEVER = 1e9
_EPS = 1e-7


class Losses(NamedTuple):
    total: Tensor
    box: Tensor
    objectness: Tensor
    classes: Tensor
    positives: int


class Assignment(NamedTuple):
    """positive (B, N) bool; box index (B, N) into the padded boxes, meaningful where positive; its IoU (B, N)."""

    positive: Tensor
    box: Tensor
    iou: Tensor


def iou_giou(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """IoU and generalised IoU of broadcastable xyxy boxes (..., 4)."""
    overlap = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(min=0).prod(-1)
    hull = (torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])).prod(-1)
    union = (a[..., 2:] - a[..., :2]).prod(-1) + (b[..., 2:] - b[..., :2]).prod(-1) - overlap
    iou = overlap / (union + _EPS)
    return iou, iou - (hull - union) / (hull + _EPS)


def assign(
    boxes: Tensor,
    objectness: Tensor,
    classes: Tensor,
    truth: Tensor,
    labels: Tensor,
    valid: Tensor,
    cells: Tensor,
    strides: Tensor,
) -> Assignment:
    """SimOTA over a batch; to be called without gradients.

    boxes (B, N, 4) decoded xyxy px; objectness (B, N) and classes (B, N, C) logits; truth (B, G, 4) padded xyxy px;
    labels (B, G); valid (B, G) bool; cells (N, 2), strides (N, 1) of `network.grid`.
    """
    centres = (cells + 0.5) * strides
    centre = centres[None, :, None]
    inside = ((centre > truth[:, None, :, :2]) & (centre < truth[:, None, :, 2:])).all(-1)
    middle = (truth[..., :2] + truth[..., 2:]) / 2
    near = ((centre - middle[:, None]).abs() < CENTRE_RADIUS * strides[None, :, None]).all(-1)
    allowed = (inside | near) & valid[:, None]

    iou, _ = iou_giou(boxes[:, :, None], truth[:, None])
    iou = iou * allowed
    score = (classes.sigmoid() * objectness.sigmoid()[..., None]).sqrt().clamp(_EPS, 1 - _EPS)
    log_not = (1 - score).log()
    gain = score.log() - log_not
    pick = labels[:, None].expand(-1, score.shape[1], -1)
    class_cost = -gain.gather(2, pick) - log_not.sum(-1, keepdim=True)
    cost = class_cost - IOU_WEIGHT * (iou + _EPS).log() + _OUTSIDE * ~(inside & near)
    cost = cost.masked_fill(~allowed, _NEVER)

    take = min(TOP_IOU, cost.shape[1])
    count = iou.topk(take, dim=1).values.sum(1).long().clamp(min=1)
    lowest = cost.topk(take, dim=1, largest=False)
    rank = torch.arange(take, device=cost.device)[None, :, None]
    chosen = (rank < count[:, None]) & (lowest.values < _NEVER)
    matched = torch.zeros_like(allowed).scatter_(1, lowest.indices, chosen)
    # A cell claimed by several boxes goes to the cheapest of them.
    index = cost.masked_fill(~matched, 2 * _NEVER).argmin(dim=2)
    return Assignment(matched.any(dim=2), index, iou.gather(2, index[..., None]).squeeze(2))


def cross_entropy(logits: Tensor, target: Tensor, gamma: float) -> Tensor:
    """Binary cross-entropy by element, times |target - sigmoid|^gamma.

    For targets of 0 and 1 that is focal loss without its class balance (Lin et al. 2017), for shares in between its
    generalisation (Li et al. 2020, quality focal loss); gamma 0 leaves the cross-entropy alone.
    """
    entropy = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return entropy * (target - logits.sigmoid()).abs() ** gamma if gamma else entropy


def detection_loss(
    raw: Tensor, truth: Tensor, labels: Tensor, valid: Tensor, cells: Tensor, strides: Tensor, config: Loss
) -> Losses:
    """Loss of raw detector output (B, N, 5 + C) against padded truth (shapes as in `assign`), per positive cell."""
    raw = raw.float()
    boxes = decode(raw, cells, strides)
    objectness, classes = raw[..., 4], raw[..., 5:]
    if truth.shape[1] == 0:
        zero = raw.sum() * 0.0
        object_loss = cross_entropy(objectness, torch.zeros_like(objectness), config.objectness_gamma).sum()
        return Losses(object_loss, zero, object_loss, zero, 0)
    with torch.no_grad():
        found = assign(boxes, objectness, classes, truth, labels, valid, cells, strides)
    positive = found.positive
    count = max(int(positive.sum()), 1)
    picked = found.box[positive]
    batch = positive.nonzero()[:, 0]
    _, giou = iou_giou(boxes[positive], truth[batch, picked])
    box_loss = (1 - giou).sum() / count
    # The class target is the IoU, so that the score also ranks how well the box sits.
    target = functional.one_hot(labels[batch, picked], classes.shape[-1]) * found.iou[positive][:, None]
    class_loss = cross_entropy(classes[positive], target, config.class_gamma).sum() / count
    object_loss = cross_entropy(objectness, positive.float(), config.objectness_gamma).sum() / count
    total = config.box * box_loss + object_loss + class_loss
    return Losses(total, box_loss, object_loss, class_loss, int(positive.sum()))


def image_level_loss(logits: Tensor, labels: Tensor, valid: Tensor) -> Tensor:
    """Mean cross-entropy of image-level logits (B, C) against the classes of a picture's boxes, labels (B, G)."""
    shown = torch.zeros(logits.shape[0], logits.shape[1] + 1, device=logits.device)
    shown.scatter_(1, labels.masked_fill(~valid, logits.shape[1]), 1.0)
    return functional.binary_cross_entropy_with_logits(logits.float(), shown[:, :-1])
