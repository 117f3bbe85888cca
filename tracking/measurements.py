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
from tracking.settings import SCORE_FLOOR, TrackerSettings

Array = NDArray[np.float64]
Index = NDArray[np.intp]

#: No picture has a coordinate beyond this; squares of it are still far from overflow.
LARGEST_PX = 1e6
SMALLEST_AREA_PX = 1e-6  # width or height of less is none at all

# Rows of a look: x, y, width, height, score, class scores. Comparing NaN gives False, so the range check finds it too.
_LOWEST = np.array([-LARGEST_PX] * 2 + [SMALLEST_AREA_PX] * 2 + [0.0] * (1 + len(CLASSES)))[:, None]
_HIGHEST = np.array([LARGEST_PX] * 4 + [1.0] * (1 + len(CLASSES)))[:, None]


class Reason(StrEnum):
    """Why a detection, a birth or a whole look was left out."""

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
        odds: [M] how many times likelier detections of such scores are true than false; 1 at the threshold.
        strong: [M] at or above the threshold of its best class.
        index: [M] into the `Detections` they come from.
    """

    box: Array
    score: Array
    class_scores: Array
    odds: Array
    strong: NDArray[np.bool_]
    index: Index  # type: ignore[assignment]  # hides tuple.index, which nobody wants of measurements

    def take(self, at: Index) -> Measurements:
        return Measurements(
            self.box.take(at, axis=1),
            self.score.take(at),
            self.class_scores.take(at, axis=1),
            self.odds.take(at),
            self.strong.take(at),
            self.index.take(at),
        )


def admissible(look: Detections, settings: TrackerSettings) -> tuple[Measurements, dict[Reason, int]]:
    """What may be believed of a look, and how many were left out for which reason (a low score is no reason to count).

    Raises:
        ValueError: the arrays of `look` do not fit each other; that is a fault of the program and not of the picture.
    """
    rows = _rows(look)
    sane = (rows >= _LOWEST) & (rows <= _HIGHEST)
    usable: NDArray[np.bool_] = np.logical_and.reduce(sane, axis=0)
    rejected = {} if usable.all() else _reasons(rows, usable)
    (kept,) = (usable & (rows[4] >= settings.score_low)).nonzero()
    limit = settings.max_detections
    if len(kept) > limit:
        rejected[Reason.TOO_MANY] = len(kept) - limit
        kept = np.sort(kept[np.argsort(-rows[4, kept], kind="stable")[:limit]])
    rows = rows.take(kept, axis=1)
    rows[:2] += 0.5 * rows[2:4]
    score, class_scores = rows[4], rows[5:]
    threshold = np.array(settings.thresholds).take(class_scores.argmax(axis=0))
    odds = score_odds(score, threshold)
    return Measurements(rows[:4], score, class_scores, odds, score >= threshold, kept), rejected


def score_odds(score: Array, threshold: Array) -> Array:
    """How many times likelier detections of such scores are true than false, [M]; 1 at the threshold."""
    s = np.minimum(np.maximum(score, SCORE_FLOOR), 1.0 - SCORE_FLOOR)
    return np.asarray(s * (1.0 - threshold) / ((1.0 - s) * threshold))


def _rows(look: Detections) -> Array:
    """[5 + C, M] float64."""
    count = len(look.scores)
    if look.boxes.shape != (count, 4) or look.class_scores.shape != (count, len(CLASSES)):
        shapes = f"boxes {look.boxes.shape}, scores ({count},), class_scores {look.class_scores.shape}"
        raise ValueError(f"Detections of {look.sensor_id} do not fit each other: {shapes}")
    rows = np.empty((5 + len(CLASSES), count))
    rows[:4], rows[4], rows[5:] = look.boxes.T, look.scores, look.class_scores.T
    return rows


def _reasons(rows: Array, usable: NDArray[np.bool_]) -> dict[Reason, int]:
    finite = np.isfinite(rows).all(axis=0)
    area = (rows[2:4] >= SMALLEST_AREA_PX).all(axis=0)
    counts = {
        Reason.NOT_FINITE: np.count_nonzero(~finite),
        Reason.NO_AREA: np.count_nonzero(finite & ~area),
        Reason.OUT_OF_RANGE: np.count_nonzero(finite & area & ~usable),
    }
    return {reason: int(count) for reason, count in counts.items() if count}
