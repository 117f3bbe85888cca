"""Which class is it? A hidden Markov model over the evidence of many looks.

One look gives the network's independent class scores s_c. If exactly one class is true their likelihoods are in the
ratio of the odds s_c / (1 - s_c). Neighbouring frames show nearly the same picture, so a look counts as new evidence
only with probability (time since the last) / `class_independent_s`; and what was seen long ago fades towards "unknown"
with the time constant `class_memory_s`. Both are rational arithmetic: no logarithms, same bits everywhere.

Arrays are float64 [C, N]: C classes, N tracks.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.types import CLASSES

Array = NDArray[np.float64]

#: Scores are believed no further than this: one look never decides alone.
SCORE_FLOOR = 0.02
UNKNOWN = 1.0 / len(CLASSES)


def likelihood(class_scores: Array) -> Array:
    """Likelihood of each class, [C, N], up to a factor a column, from independent scores 0..1."""
    s = np.minimum(np.maximum(class_scores, SCORE_FLOOR), 1.0 - SCORE_FLOOR)
    return s / (1.0 - s)


def fade(belief: Array, keep: float) -> Array:
    """Belief after a time in which the share `keep` = exp(-dt / memory) of what was known is still good."""
    return keep * belief + (1.0 - keep) * UNKNOWN


def update(belief: Array, evidence: Array, weight: Array) -> Array:
    """Bayes with a look that is new evidence with probability `weight` [N] and says nothing otherwise."""
    share = evidence / np.add.reduce(evidence, axis=0)  # row by row: a fixed order
    joint = belief * (weight * share + (1.0 - weight) * UNKNOWN)
    return np.asarray(joint / np.add.reduce(joint, axis=0))
