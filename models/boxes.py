"""From raw cells to boxes: peaks, then greedy non-maximum suppression. No torch, so that every backend shares it."""

from __future__ import annotations

import cv2
import numpy as np

from models.detector import STRIDES

#: Boxes at least this sure are kept, so that anyone can draw a precision-recall curve.
LOWEST_SCORE = 0.05
#: At most this many cells are looked at, and boxes kept, per frame.
MOST_CELLS = 300
MOST_BOXES = 100
#: A box falls to a better one that it shares this much of the union with, or of the smaller of the two.
NMS_IOU, NMS_INSIDE = 0.45, 0.8
_NEIGHBOURS = np.ones((3, 3), np.uint8)


def decode_cells(cells: list[np.ndarray], lowest: float = LOWEST_SCORE) -> tuple[np.ndarray, np.ndarray]:
    """Cells of one picture to boxes, best first, overlapping ones suppressed whatever their class.

    Args:
        cells: for each stride, float32 [4 + classes, h, w] as the network gives them.
        lowest: boxes whose best class scores less are dropped.

    Returns:
        boxes float32 [N, 4]: x, y, width, height in network pixels; class_scores float32 [N, classes].
    """
    parts = [_candidates(raw, stride, lowest) for raw, stride in zip(cells, STRIDES, strict=True)]
    corners = np.concatenate([p[0] for p in parts])
    scores = np.concatenate([p[1] for p in parts])
    order = np.argsort(-scores.max(1), kind="stable")[:MOST_CELLS] if len(scores) else np.zeros(0, np.intp)
    corners, scores = corners[order], scores[order]
    kept = suppress(corners)[:MOST_BOXES]
    corners, scores = corners[kept], scores[kept]
    return np.hstack([corners[:, :2], corners[:, 2:] - corners[:, :2]]), scores


def _candidates(raw: np.ndarray, stride: int, lowest: float) -> tuple[np.ndarray, np.ndarray]:
    """Corners [n, 4] and class scores [n, classes] of the cells of one scale that reach `lowest`.

    Several cells answer for one object; only the best of each 3x3 neighbourhood goes on to suppression, which would
    drop the others at far greater cost (CenterNet, Zhou et al. 2019, section 4).
    """
    logits = raw[4:]
    best = logits.max(0)
    peak = best >= cv2.dilate(best, _NEIGHBOURS)
    row, column = np.nonzero(peak & (best >= np.float32(np.log(lowest / (1 - lowest)))))
    distance = np.logaddexp(0, raw[:4, row, column]).T * np.float32(stride)
    middle = (np.stack([column, row], 1) + np.float32(0.5)) * np.float32(stride)
    scores = 1 / (1 + np.exp(-logits[:, row, column].T))
    corners = np.hstack([middle - distance[:, :2], middle + distance[:, 2:]])
    return corners.astype(np.float32), scores.astype(np.float32)


def suppress(corners: np.ndarray, overlap: float = NMS_IOU) -> np.ndarray:
    """Indices of the boxes to keep; `corners` [N, 4] (x1, y1, x2, y2) come best first.

    A box is also dropped when it lies almost wholly inside a better one or around it: parts of one object.
    """
    if len(corners) < 2:
        return np.arange(len(corners))
    size = np.clip(corners[:, 2:] - corners[:, :2], 1e-6, None).prod(1)
    low = np.maximum(corners[:, None, :2], corners[None, :, :2])
    high = np.minimum(corners[:, None, 2:], corners[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(2)
    smaller = np.minimum(size[:, None], size[None])
    same = (shared > overlap * (size[:, None] + size[None] - shared)) | (shared > NMS_INSIDE * smaller)
    alive = np.ones(len(corners), bool)
    for index in range(len(corners)):
        if alive[index]:
            alive[index + 1 :] &= ~same[index, index + 1 :]
    return np.flatnonzero(alive)


def scaled(boxes: np.ndarray, factor: float) -> np.ndarray:
    """Boxes x, y, width, height [N, 4] with `factor` times the width and height around the same centres."""
    return np.hstack([boxes[:, :2] - (factor - 1) / 2 * boxes[:, 2:], boxes[:, 2:] * factor]).astype(np.float32)


def iou_matrix(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """IoU [N, M] of boxes x, y, width, height [N, 4] and [M, 4]."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, :2] + a[:, None, 2:], b[None, :, :2] + b[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(2)
    return shared / np.clip(a[:, 2:].prod(1)[:, None] + b[:, 2:].prod(1)[None] - shared, 1e-9, None)
