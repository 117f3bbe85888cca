"""From a detector's boxes to what the filter may believe: everything else is counted and left out.

Detectors do emit NaN (an overflow in half precision) and boxes without area; one of them inside a Kalman filter or an
assignment poisons or stops most trackers for good.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.types import CLASSES, Detections

Array = NDArray[np.float64]

#: No picture has a coordinate beyond this; squares of it are still far from overflow.
LARGEST_PX = 1e6


class Reason(StrEnum):
    """Why a detection or a whole look was left out."""

    NOT_FINITE = "not_finite"  # NaN or infinite box, score or class score
    NO_AREA = "no_area"  # width or height not above zero
    OUT_OF_RANGE = "out_of_range"  # absurd coordinates, or a score outside 0..1
    TOO_MANY = "too_many"  # beyond `max_detections`, weakest first
    NO_ROOM = "no_room"  # a birth refused, `max_tracks` are alive
    LATE = "late"  # a look not newer than the one before


class Measurements(NamedTuple):
    """Detections fit for the filter, M of them.

    Attributes:
        box: [4, M] centre x, centre y, width, height, pixels.
        score: [M].
        class_scores: [C, M].
        index: [M] into the `Detections` they come from.
    """

    box: Array
    score: Array
    class_scores: Array
    index: NDArray[np.intp]

    def indices(self, at: NDArray[np.intp]) -> NDArray[np.intp]:
        """Indices into the `Detections` for indices into these; negative ones stay as they are."""
        return np.where(at < 0, at, self.index[at]) if len(self.index) else at

    def take(self, at: NDArray[np.intp] | NDArray[np.bool_]) -> Measurements:
        return Measurements(self.box[:, at], self.score[at], self.class_scores[:, at], self.index[at])


def admissible(look: Detections, score_low: float, limit: int) -> tuple[Measurements, dict[Reason, int]]:
    """What may be believed of a look, and how many were left out for which reason (a low score is no reason to count).

    Raises:
        ValueError: the arrays of `look` do not fit each other; that is a fault of the program and not of the picture.
    """
    boxes, scores, class_scores = _float64(look)
    finite = np.isfinite(boxes).all(axis=1) & np.isfinite(scores) & np.isfinite(class_scores).all(axis=1)
    area = (boxes[:, 2:] > 0.0).all(axis=1)
    in_range = (np.abs(boxes) <= LARGEST_PX).all(axis=1) & (scores >= 0.0) & (scores <= 1.0)
    usable = np.flatnonzero(finite & area & in_range & (scores >= score_low))
    kept = _strongest(usable, scores, limit)
    rejected = {
        Reason.NOT_FINITE: int(np.count_nonzero(~finite)),
        Reason.NO_AREA: int(np.count_nonzero(finite & ~area)),
        Reason.OUT_OF_RANGE: int(np.count_nonzero(finite & area & ~in_range)),
        Reason.TOO_MANY: len(usable) - len(kept),
    }
    x, y, width, height = boxes[kept].T
    centre_size = np.stack([x + 0.5 * width, y + 0.5 * height, width, height])
    return Measurements(centre_size, scores[kept], class_scores[kept].T, kept), rejected


def _float64(look: Detections) -> tuple[Array, Array, Array]:
    count = len(look.scores)
    boxes = np.asarray(look.boxes, dtype=np.float64)
    class_scores = np.asarray(look.class_scores, dtype=np.float64)
    if boxes.shape != (count, 4) or class_scores.shape != (count, len(CLASSES)):
        shapes = f"boxes {boxes.shape}, scores ({count},), class_scores {class_scores.shape}"
        raise ValueError(f"Detections of {look.sensor_id} do not fit each other: {shapes}")
    return boxes, np.asarray(look.scores, dtype=np.float64), class_scores


def _strongest(usable: NDArray[np.intp], scores: Array, limit: int) -> NDArray[np.intp]:
    if len(usable) <= limit:
        return usable
    order = np.argsort(-scores[usable], kind="stable")
    return np.sort(usable[order[:limit]])
