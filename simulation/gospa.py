"""GOSPA: one number for how far a set of tracks is from the set of what flies.

Rahmathullah, García-Fernández and Svensson, "Generalized optimal sub-pattern assignment metric", FUSION 2017, with
α = 2, for which the metric falls apart into the error of those located, those missed and those that are false.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from fusion.geometry import FloatArray


class Gospa(NamedTuple):
    """Of one moment. `localisation` is Σ dᵖ over the pairs, `missed` and `false` are counts.

    distanceᵖ = localisation + (cutoffᵖ / 2) (missed + false).
    """

    distance_m: float
    localisation: float
    missed: int
    false: int


def gospa(apart_m: FloatArray, cutoff_m: float = 20.0, power: float = 2.0) -> Gospa:
    """The metric of distances [T, N] between T things that fly and N tracks."""
    truths, tracks = apart_m.shape
    pairs = [(i, j) for i, j in assigned(apart_m, cutoff_m, power)]
    localisation = math.fsum(float(apart_m[i, j]) ** power for i, j in pairs)
    missed, false = truths - len(pairs), tracks - len(pairs)
    whole = localisation + 0.5 * cutoff_m**power * (missed + false)
    return Gospa(whole ** (1.0 / power), localisation, missed, false)


def assigned(apart: FloatArray, cutoff: float, power: float = 2.0) -> list[tuple[int, int]]:
    """Row and column of the pairs nearer than `cutoff` that cost least together, where a row and a column without a
    partner cost half of cutoffᵖ each."""
    if not apart.size:
        return []
    cost: NDArray[np.float64] = np.minimum(np.nan_to_num(apart, nan=cutoff, posinf=cutoff), cutoff) ** power
    rows, columns = linear_sum_assignment(cost)
    return [(int(i), int(j)) for i, j in zip(rows, columns, strict=True) if apart[i, j] < cutoff]
