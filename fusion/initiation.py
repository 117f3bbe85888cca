"""How a target begins: from one camera as a bank of ranges, from two as the place where their rays cross.

One camera knows a direction only. Its target starts as several rows along the ray, one per range interval of a
geometric series, so that each is nearly Gaussian in what the camera sees (Peach, IEE Proc. Radar Sonar Navig. 142,
1995); apparent size and class weigh them. When two such targets of different cameras lie on rays that cross, they are
one. A crossing that is not unique waits, so that ghosts (the other crossings of several rays) show themselves.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from fusion import linear
from fusion.geometry import FloatArray
from fusion.life import Ray

#: Median size, m, and σ of its logarithm, of what each label names.
SIZES = {"drone": (0.45, 0.6), "bird": (0.5, 0.7), "airplane": (25.0, 0.7), "helicopter": (13.0, 0.4)}
_RANGE_EDGES_M = tuple(4.0 * 2.0**k for k in range(10))  # 4 m … 2 km
_UNSIZED_RANGE_M, _UNSIZED_LOG_SIGMA = 120.0, 1.2
START_SPEED_MPS = 8.0
_LEAST_ANGLE_SIN = 0.03
_CROSSING_GATE = 9.0
_AMBIGUITY = 6.0


@dataclass(frozen=True, slots=True)
class Crossing:
    """Where two rays meet: ENU position, covariance [3, 3], and how badly they miss (χ² of one degree)."""

    position_m: FloatArray
    covariance: FloatArray
    cost: float


def range_log_density(range_m: float, size_rad: float | None, label: str | None) -> float:
    """Log prior of a range per unit of its logarithm, from apparent size where there is one."""
    median, sigma = _UNSIZED_RANGE_M, _UNSIZED_LOG_SIGMA
    if size_rad is not None and size_rad > 0.0:
        size_m, sigma = SIZES.get(label or "drone", SIZES["drone"])
        median = size_m / size_rad
    return -0.5 * (math.log(range_m / median) / sigma) ** 2 - math.log(sigma)


def range_bank(ray: Ray, label: str | None, length: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Rows [C, length], covariances and log weights of a target somewhere on `ray`, at rest but for its sigma."""
    edges = _RANGE_EDGES_M
    count = len(edges) - 1
    x, p, weight = np.zeros((count, length)), np.zeros((count, length, length)), np.zeros(count)
    along = np.array(ray.direction)
    outer = along[:, None] * along[None, :]
    for c in range(count):
        middle, width = math.sqrt(edges[c] * edges[c + 1]), edges[c + 1] - edges[c]
        x[c, :3] = np.array(ray.origin_m) + middle * along
        across2 = (ray.sigma_rad * middle) ** 2
        p[c, :3, :3] = across2 * (np.eye(3) - outer) + width**2 / 12.0 * outer
        p[c, 3:6, 3:6] = START_SPEED_MPS**2 * np.eye(3)
        weight[c] = range_log_density(middle, ray.size_rad, label)
    return x, p, weight - _log_sum(weight)


def cross(first: Ray | None, second: Ray | None) -> Crossing | None:
    """Where the rays cross, or None where they do not, or too flatly, or behind a camera."""
    if first is None or second is None:
        return None
    d1, d2 = np.array(first.direction), np.array(second.direction)
    base = np.array(second.origin_m) - np.array(first.origin_m)
    c, a, b = _dot(d1, d2), _dot(base, d1), _dot(base, d2)
    sin2 = 1.0 - c * c
    if sin2 < _LEAST_ANGLE_SIN**2:
        return None
    r1, r2 = (a - c * b) / sin2, (c * a - b) / sin2
    if min(r1, r2) < 1.0 or max(r1, r2) > _RANGE_EDGES_M[-1]:
        return None
    p1, p2 = np.array(first.origin_m) + r1 * d1, np.array(second.origin_m) + r2 * d2
    moved_m = START_SPEED_MPS * abs(first.time_ns - second.time_ns) * 1e-9
    v1, v2 = (first.sigma_rad * r1) ** 2, (second.sigma_rad * r2) ** 2 + moved_m**2
    cost = _dot(p1 - p2, p1 - p2) / (v1 + v2) + _size_cost(first, r1, second, r2)
    if cost > _CROSSING_GATE:
        return None
    return Crossing((v2 * p1 + v1 * p2) / (v1 + v2), _crossing_covariance(d1, v1, d2, v2), cost)


def _crossing_covariance(d1: FloatArray, v1: float, d2: FloatArray, v2: float) -> FloatArray:
    """Inverse of the two rays' information; a ray says nothing along itself."""
    information = (np.eye(3) - d1[:, None] * d1[None, :]) / v1 + (np.eye(3) - d2[:, None] * d2[None, :]) / v2
    root = linear.solve_lower(linear.cholesky(information), np.eye(3))
    return linear.multiply(linear.transpose(root), root)


def _size_cost(first: Ray, r1: float, second: Ray, r2: float) -> float:
    """Two cameras should see one size; aspect makes that loose."""
    if first.size_rad is None or second.size_rad is None:
        return 0.0
    return (math.log(first.size_rad * r1 / (second.size_rad * r2)) / 0.7) ** 2


def unambiguous(costs: list[list[float]], row: int, column: int) -> bool:
    """Whether no other crossing of either ray comes near this one."""
    rivals = [costs[row][c] for c in range(len(costs[row])) if c != column]
    rivals += [costs[r][column] for r in range(len(costs)) if r != row]
    return all(rival > costs[row][column] + _AMBIGUITY for rival in rivals)


def _dot(a: FloatArray, b: FloatArray) -> float:
    return float(a[0] * b[0] + a[1] * b[1] + a[2] * b[2])


def _log_sum(values: FloatArray) -> float:
    top = float(np.max(values))
    return top + math.log(math.fsum(math.exp(float(v) - top) for v in values))
