"""Scores that mean what they say: of the boxes that score 0.8, four of five are right.

A network's scores are as sure as its training made them. They stay what the tracker and the thresholds work with, and
beside each stands its probability. Platt's scaling (Platt 1999) puts p = σ(a · logit(score) + b)
in their place, a and b fitted for each class on `val` by maximum likelihood. It keeps the order of the scores, so no
precision-recall curve changes. What is calibrated is that a box lies on an object of that class by the centre rule.
The expected calibration error (Naeini, Cooper, Hauskrecht, AAAI 2015) tells how well it went.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.optimize import minimize

from models.matching import Look, paired
from models.types import CLASSES

#: Scores are believed no further than this.
_EDGE = 1e-4
_BINS = 15
#: Pull towards "as it is" (a = 1, b = 0), in looks: a class that `val` hardly shows keeps its scores.
_PRIOR = 2.0

#: Slope and offset for each class.
Calibration = Mapping[str, tuple[float, float]]


def logit(scores: np.ndarray) -> np.ndarray:
    p = np.clip(scores, _EDGE, 1 - _EDGE)
    return np.log(p / (1 - p))


def calibrated(class_scores: np.ndarray, calibration: Calibration) -> np.ndarray:
    """float32 [N, 4]: class scores as probabilities; a class without an entry stays as it is."""
    slope, offset = np.array([calibration.get(name, (1.0, 0.0)) for name in CLASSES], np.float32).T
    return np.asarray(1 / (1 + np.exp(-(slope * logit(class_scores) + offset))), np.float32)


def samples(frames: Sequence[Look], label: int) -> tuple[np.ndarray, np.ndarray]:
    """Score and rightness of every box that is named `label`; where birds are not annotated they do not count."""
    scores, right = [], []
    for look in frames:
        if label == CLASSES.index("bird") and look.clip.label != label:
            continue
        chosen = (look.labels == label) & ~look.ignored
        of_class = look.near[chosen][:, look.truth_labels == label]
        scores.append(look.scores[chosen])
        right.append(paired(of_class) >= 0)
    return np.concatenate([np.zeros(0), *scores]), np.concatenate([np.zeros(0, bool), *right])


def fit(scores: np.ndarray, right: np.ndarray) -> tuple[float, float]:
    """Slope and offset with the greatest likelihood, pulled a little towards 1 and 0."""
    if not len(scores):
        return 1.0, 0.0
    x, y = logit(scores), right.astype(float)

    def loss(values: np.ndarray) -> float:
        z = values[0] * x + values[1]
        return float((np.logaddexp(0, z) - y * z).sum() + _PRIOR * ((values[0] - 1) ** 2 + values[1] ** 2))

    found = minimize(loss, np.array([1.0, 0.0]), method="L-BFGS-B", bounds=[(0.05, 20.0), (-20.0, 20.0)])
    return round(float(found.x[0]), 4), round(float(found.x[1]), 4)


def fit_all(frames: Sequence[Look]) -> dict[str, tuple[float, float]]:
    return {name: fit(*samples(frames, index)) for index, name in enumerate(CLASSES)}


def calibration_error(scores: np.ndarray, right: np.ndarray) -> float:
    """Mean distance of score and share right over bins of equally many boxes, 0..1; 0 where there are none."""
    parts = np.array_split(np.argsort(scores, kind="stable"), _BINS)
    return sum(len(p) * abs(float(scores[p].mean() - right[p].mean())) for p in parts if len(p)) / max(len(scores), 1)


def errors(frames: Sequence[Look], calibration: Calibration | None = None) -> dict[str, float]:
    """Expected calibration error of each class, of the scores or, with a calibration, of the probabilities."""
    table = {}
    for index, name in enumerate(CLASSES):
        scores, right = samples(frames, index)
        slope, offset = (calibration or {}).get(name, (1.0, 0.0))
        said = scores if calibration is None else 1 / (1 + np.exp(-(slope * logit(scores) + offset)))
        table[name] = calibration_error(said, right)
    return table
