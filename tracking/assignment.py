"""Which detection belongs to which track: gating, then the likeliest joint assignment.

Only pairs inside the gate exist. They are found by a sweep over the horizontal axis (sort, then bisect), so the cost
grows with the number of plausible pairs and not with tracks times detections. Pairs without a rival are taken as they
are; the others fall into small connected components, each solved exactly by `scipy.optimize.linear_sum_assignment` on
finite costs.
"""

from __future__ import annotations

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


def components(i: list[int], j: list[int]) -> list[list[int]]:
    """Positions of the pairs of each connected component of the bipartite graph, in order of their first pair."""
    of_i: dict[int, list[int]] = {}
    of_j: dict[int, list[int]] = {}
    for position, (a, b) in enumerate(zip(i, j, strict=True)):
        first, second = of_i.get(a), of_j.get(b)
        joined = first if first is not None else second if second is not None else []
        if first is not None and second is not None and first is not second:
            first += second  # and whoever stood in the second component stands in the first now
            of_i |= {i[other]: first for other in second}
            of_j |= {j[other]: first for other in second}
        joined.append(position)
        of_i[a] = of_j[b] = joined
    found = {id(component): sorted(component) for component in of_i.values()}
    return sorted(found.values())


def solve(i: list[int], j: list[int], benefit: list[float]) -> list[int]:
    """Positions of the pairs that together have the greatest benefit, no i and no j twice; benefits finite and ≥ 0."""
    rows: dict[int, int] = {}
    columns: dict[int, int] = {}
    cells = [(rows.setdefault(a, len(rows)), columns.setdefault(b, len(columns))) for a, b in zip(i, j, strict=True)]
    cost = np.zeros((len(rows), len(columns)))  # a cell that is no pair costs nothing: both stay alone
    for cell, value in zip(cells, benefit, strict=True):
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
        taken[at.take(_among_rivals(i.take(at), j.take(at), gain.take(at)))] = True
    return taken


def _among_rivals(i: Index, j: Index, gain: Array) -> list[int]:
    """Positions of the pairs taken."""
    rows, columns, gains = i.tolist(), j.tolist(), gain.tolist()
    benefits: list[float] | None = None
    won = []
    for pairs in components(rows, columns):
        a, b = [rows[pair] for pair in pairs], [columns[pair] for pair in pairs]
        if len(set(a)) == 1 or len(set(b)) == 1:  # only one of them can be: by far the most frequent case
            won.append(max(pairs, key=gains.__getitem__))
        else:
            benefits = log(gain).tolist() if benefits is None else benefits
            won += [pairs[best] for best in solve(a, b, [benefits[pair] for pair in pairs])]
    return won
