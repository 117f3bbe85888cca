"""SORT on filterpy, written from the paper alone, as the yardstick.

Bewley, Ge, Ott, Ramos, Upcroft, *Simple Online and Realtime Tracking*, ICIP 2016: a constant-velocity Kalman filter
over centre u, v, area s and aspect ratio r (section 3.2), Hungarian assignment on intersection over union with a
minimum of 0.3 (3.3), tracks probed before they count and dropped after `max_age` frames without a detection (3.4).
"""

from __future__ import annotations

from itertools import count

import numpy as np
from filterpy.kalman import KalmanFilter
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

Array = NDArray[np.float64]


def to_measurement(box: Array) -> Array:
    """[u, v, s, r] from [x, y, width, height]."""
    x, y, width, height = box
    return np.array([x + width / 2, y + height / 2, width * height, width / height])


def to_box(state: Array) -> Array:
    """[x, y, width, height] from a state whose first four entries are [u, v, s, r]."""
    u, v, s, r = state[:4, 0]
    width = np.sqrt(max(s * r, 1e-6))
    height = max(s, 1e-6) / width
    return np.array([u - width / 2, v - height / 2, width, height])


class Target:
    def __init__(self, box: Array, number: int) -> None:
        self.number, self.hits, self.missed = number, 0, 0
        self.filter = KalmanFilter(dim_x=7, dim_z=4)
        self.filter.F = np.eye(7) + np.eye(7, k=4)
        self.filter.H = np.eye(4, 7)
        self.filter.R[2:, 2:] *= 10.0  # area and ratio are measured worse than the centre
        self.filter.P *= 10.0
        self.filter.P[4:, 4:] *= 1000.0  # nothing is known of the velocity at first
        self.filter.Q[4:, 4:] *= 0.01
        self.filter.Q[6, 6] *= 0.01
        self.filter.x[:4, 0] = to_measurement(box)

    def predict(self) -> Array:
        if self.filter.x[2, 0] + self.filter.x[6, 0] <= 0:  # the area would vanish
            self.filter.x[6, 0] = 0.0
        self.filter.predict()
        self.missed += 1
        return to_box(self.filter.x)

    def update(self, box: Array) -> None:
        self.filter.update(to_measurement(box).reshape(4, 1))
        self.hits, self.missed = self.hits + 1, 0


def overlaps(a: Array, b: Array) -> Array:
    """Intersection over union, [N, M] from [N, 4] and [M, 4]."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, :2] + a[:, None, 2:], b[None, :, :2] + b[None, :, 2:])
    common = np.prod(np.maximum(high - low, 0.0), axis=2)
    return np.asarray(common / (np.prod(a[:, None, 2:], axis=2) + np.prod(b[None, :, 2:], axis=2) - common))


class Sort:
    def __init__(self, max_age: int = 1, min_hits: int = 3, least_overlap: float = 0.3) -> None:
        self.max_age, self.min_hits, self.least_overlap = max_age, min_hits, least_overlap
        self.targets: list[Target] = []
        self.numbers = count(1)
        self.frames = 0

    def update(self, boxes: Array) -> list[tuple[int, Array]]:
        """Tracks shown after one frame of boxes [N, 4], x, y, width, height."""
        self.frames += 1
        expected = np.array([target.predict() for target in self.targets]).reshape(-1, 4)
        overlap = overlaps(expected, boxes)
        pairs = [
            (i, j) for i, j in zip(*linear_sum_assignment(-overlap), strict=True) if overlap[i, j] >= self.least_overlap
        ]
        for i, j in pairs:
            self.targets[i].update(boxes[j])
        taken = {int(j) for _, j in pairs}
        self.targets += [Target(box, next(self.numbers)) for j, box in enumerate(boxes) if j not in taken]
        self.targets = [target for target in self.targets if target.missed <= self.max_age]
        return [(target.number, to_box(target.filter.x)) for target in self.targets if self._shown(target)]

    def _shown(self, target: Target) -> bool:
        probed = target.hits >= self.min_hits or self.frames <= self.min_hits
        return target.missed == 0 and probed
