"""What the detector is taught: which cells answer for which object, and how wrong they are.

Assignment is task-aligned (TOOD, Feng et al. 2021, section 3.2): each object takes the cells inside it that already
score and fit best, and among them the best ones learn the highest scores. Boxes by complete IoU (Zheng et al.
2020).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from models.detector import flatten
from models.types import CLASSES

_BIRD = CLASSES.index("bird")


class Targets(NamedTuple):
    """A batch of truth, padded: boxes [B, M, 4] x1 y1 x2 y2, labels [B, M], valid [B, M], bird_weight [B]."""

    boxes: Tensor
    labels: Tensor
    valid: Tensor
    bird_weight: Tensor


def complete_iou(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """IoU and complete IoU of boxes [..., 4], both [...]. CIoU = IoU − centre distance² / diagonal² − αv."""
    overlap = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(min=0).prod(-1)
    size_a, size_b = (a[..., 2:] - a[..., :2]).clamp(min=1e-3), (b[..., 2:] - b[..., :2]).clamp(min=1e-3)
    iou = overlap / (size_a.prod(-1) + size_b.prod(-1) - overlap + 1e-6)
    hull = torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])
    apart = ((a[..., :2] + a[..., 2:] - b[..., :2] - b[..., 2:]) / 2).square().sum(-1)
    angle = torch.atan(size_a[..., 0] / size_a[..., 1]) - torch.atan(size_b[..., 0] / size_b[..., 1])
    v = (4 / torch.pi**2) * angle.square()
    with torch.no_grad():
        alpha = v / (1 - iou + v + 1e-6)
    return iou, iou - apart / (hull.square().sum(-1) + 1e-6) - alpha * v


@torch.no_grad()
def assign(
    boxes: Tensor, scores: Tensor, centres: Tensor, strides: Tensor, targets: Targets, topk: int = 10
) -> tuple[Tensor, Tensor, Tensor]:
    """Which object each cell answers for.

    Args:
        boxes [B, A, 4], scores [B, A, classes] as predicted; centres [A, 2]; strides [A].

    Returns:
        owner int64 [B, A]: index of the object, −1 for none; quality [B, A]: the score to learn, 0..1;
        spare bool [B, A]: cells in an object that others answer for: neither object nor background.
    """
    iou, _ = complete_iou(boxes[:, None], targets.boxes[:, :, None])  # [B, M, A]
    of_class = scores.gather(2, targets.labels[:, None, :].expand(-1, scores.shape[1], -1)).transpose(1, 2)
    middle = (targets.boxes[..., :2] + targets.boxes[..., 2:]) / 2
    half = (targets.boxes[..., 2:] - targets.boxes[..., :2]) / 2
    # A cell may answer when its middle is in the box, or within one stride of the centre of a box smaller than that.
    reach = torch.maximum(half[:, :, None, :], strides[None, None, :, None] * 0.75)
    inside = ((centres[None, None] - middle[:, :, None, :]).abs() < reach).all(-1) & targets.valid[..., None]
    metric = of_class.clamp(min=1e-6).sqrt() * iou.clamp(min=1e-3).pow(4) * inside
    threshold = metric.topk(min(topk, metric.shape[2]), dim=2).values[..., -1:].clamp(min=1e-12)
    chosen = inside & (metric >= threshold)
    contest = torch.where(chosen, iou, -1.0)
    best, owner = contest.max(1)  # a cell wanted by two objects goes to the one it fits better
    owner = torch.where(best >= 0, owner, -1)
    won = chosen & (torch.arange(iou.shape[1], device=iou.device)[None, :, None] == owner[:, None, :])
    metric = metric * won
    # TOOD lets the best cell learn its IoU and the others much less. Here the best learns 1 and the others their share
    # of its IoU: how a clip's boxes are padded was its annotator's choice, which nobody can know from the picture, and
    # a score that waits for it, or for which of many good cells is best, doubts plain drones.
    best_metric = metric.amax(2, keepdim=True).clamp(min=1e-12)
    return owner, (metric / best_metric).pow(0.25).amax(1), inside.any(1) & (owner < 0)


def detection_loss(cells: tuple[Tensor, ...], targets: Targets) -> dict[str, Tensor]:
    """Losses of a batch: `total`, and its parts `box` and `class` (already weighted)."""
    boxes, logits, centres, strides = flatten(cells)
    owner, quality, spare = assign(boxes.detach(), logits.detach().sigmoid(), centres, strides, targets)
    taken = owner >= 0
    index = owner.clamp(min=0)
    wanted = torch.zeros_like(logits)
    wanted.scatter_(2, targets.labels.gather(1, index)[..., None], (quality * taken)[..., None])
    norm = quality.sum().clamp(min=1.0)
    weight = _weights(logits, taken, spare, targets.bird_weight)
    class_loss = (functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none") * weight).sum() / norm
    truth = targets.boxes.gather(1, index[..., None].expand(-1, -1, 4))[taken]
    _, ciou = complete_iou(boxes[taken], truth)
    box_loss = ((1 - ciou) * quality[taken]).sum() / norm
    return {"total": class_loss + 5.0 * box_loss, "class": class_loss.detach(), "box": box_loss.detach()}


def _weights(logits: Tensor, taken: Tensor, spare: Tensor, bird_weight: Tensor) -> Tensor:
    """Weights [B, A, classes] of the class loss: 1, but 0 for spare cells, and less for 'bird' where none is annotated.

    Many distant birds in clips of other classes are not annotated. Nothing else is weighted: focal weights (tried) left
    cloud edges and tree tops half believed, for a full frame holds far more background than a crop does.
    """
    background = torch.ones_like(logits)
    background[..., _BIRD] *= bird_weight[:, None]
    background[spare] = 0.0
    return torch.where(taken[..., None], 1.0, background)
