"""Which detection belongs to which track: gating, then the likeliest joint assignment.

Only pairs inside the gate exist. They are found by a sweep over the horizontal axis (sort, then bisect), so the cost
grows with the number of plausible pairs and not with tracks times detections. Pairs without a rival are taken as they
are; the others fall into small connected components, each solved exactly by `scipy.optimize.linear_sum_assignment` on
finite costs.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from tracking.elementary import log

Array = NDArray[np.float64]
Index = NDArray[np.intp]


def sweep(centre: Array, reach: Array, points: Array) -> tuple[Index, Index]:
    """All pairs (i, j) with |points[j] - centre[i]| ≤ reach[i], ordered by i, then by points[j]."""
    order = points.argsort(kind="stable")
    ordered = points.take(order)
    first = ordered.searchsorted(centre - reach, side="left")
    count = ordered.searchsorted(centre + reach, side="right") - first
    i = np.arange(len(centre)).repeat(count)
    start = first - (count.cumsum() - count)  # so that start + position in the list of pairs = position in `ordered`
    j = order.take(np.arange(len(i)) + start.take(i))
    return i, j


def gated_pairs(value: Array, variance: Array, measured: Array, gate: float) -> tuple[Index, Index, Array]:
    """Pairs within the gate and their squared Mahalanobis distance.

    Args:
        value, variance: predicted measurement and innovation variance, [A, N]; axis 0 is the one swept.
        measured: [A, M].
        gate: largest squared distance.

    Returns:
        i [P] into N, j [P] into M, distance² [P].
    """
    i, j = sweep(value[0], np.sqrt(gate * variance[0]), measured[0])
    innovation = measured.take(j, axis=1) - value.take(i, axis=1)
    distance = np.add.reduce(innovation * innovation / variance.take(i, axis=1), axis=0)  # row by row: a fixed order
    (inside,) = (distance <= gate).nonzero()
    return i.take(inside), j.take(inside), distance.take(inside)


def contested(i: Index, j: Index) -> NDArray[np.bool_]:
    """Pairs of which either side also stands in another pair, [P]."""
    return np.asarray((np.bincount(i).take(i) > 1) | (np.bincount(j).take(j) > 1))


def components(i: Index, j: Index) -> Iterator[NDArray[np.intp]]:
    """Positions of the pairs of each connected component of the bipartite graph, in order of their lowest i."""
    label_i, label_j = np.arange(i.max() + 1), np.full(j.max() + 1, i.max() + 1)
    while True:  # each round passes the lowest label one edge further
        before = label_i.copy()
        np.minimum.at(label_j, j, label_i[i])
        np.minimum.at(label_i, i, label_j[j])
        if np.array_equal(before, label_i):
            break
    label = label_i[i]
    order = np.argsort(label, kind="stable")
    cuts = np.flatnonzero(np.diff(label[order])) + 1
    yield from np.split(order, cuts)


def solve(i: Index, j: Index, benefit: Array) -> list[int]:
    """Positions of the pairs that together have the greatest benefit, no i and no j twice; benefits finite and ≥ 0."""
    rows: dict[int, int] = {}
    columns: dict[int, int] = {}
    cells = [
        (rows.setdefault(a, len(rows)), columns.setdefault(b, len(columns)))
        for a, b in zip(i.tolist(), j.tolist(), strict=True)
    ]
    cost = np.zeros((len(rows), len(columns)))  # a cell that is no pair costs nothing: both stay alone
    for cell, value in zip(cells, benefit.tolist(), strict=True):
        cost[cell] = -value
    position = {cell: n for n, cell in enumerate(cells)}
    row, column = linear_sum_assignment(cost)
    return [position[cell] for cell in zip(row.tolist(), column.tolist(), strict=True) if cell in position]


def assign(i: Index, j: Index, gain: Array) -> NDArray[np.bool_]:
    """Which pairs to take so that each i and j is used once at most and the product of the gains is greatest.

    Args:
        i, j: [P], the pairs.
        gain: [P], finite and ≥ 1, how much likelier the scene is with this pair than without.

    Returns:
        [P], True for the pairs taken. Between equal products the lower i wins.
    """
    rivals = contested(i, j)
    taken = ~rivals
    (at,) = rivals.nonzero()
    if len(at):
        benefit = log(gain.take(at))
        for component in components(i[at], j[at]):
            pairs = at[component]
            taken[pairs[solve(i[pairs], j[pairs], benefit[component])]] = True
    return taken
