"""How a target begins: from one camera as a bank of ranges, from two as the place where their rays cross.

One camera knows a direction only. Its target starts as several rows along the ray, one per range interval of a
geometric series, so that each is nearly Gaussian in what the camera sees (Peach, IEE Proc. Radar Sonar Navig. 142,
1995); apparent size and class weigh them. From one place, bearings of all ranges look alike (a path twice as far, flown
twice as fast, gives the same ones), so they move the rows across the ray only; the ranges and their weights stay as
they began until another sensor speaks. Weighing them by how well each range explains the bearings would but weigh the
motion model, and a wedge would shrink to a wrong range. When two such targets of different cameras lie on rays that
cross, they are one. A crossing that is not unique waits, so that ghosts (the other crossings of several rays) show
themselves.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from fusion import linear
from fusion.geometry import FloatArray
from fusion.life import Ray

#: Median size, m, and σ of its logarithm, of what each label names.
SIZES = {"drone": (0.45, 0.6), "bird": (0.5, 0.7), "airplane": (25.0, 0.7), "helicopter": (13.0, 0.4)}
_RANGE_EDGES_M = tuple(4.0 * 2.0**k for k in range(10))  # 4 m … 2 km
_RANGES_M = np.array([math.sqrt(a * b) for a, b in pairwise(_RANGE_EDGES_M)])
_WIDTHS2_M2 = np.array([(b - a) ** 2 / 12.0 for a, b in pairwise(_RANGE_EDGES_M)])
_UNSIZED_RANGE_M, _UNSIZED_LOG_SIGMA = 120.0, 1.2
START_SPEED_MPS = 8.0
#: Quickness of each row of a bank, a target of known range being one. Alike as angles up to twice that: quicker rows
#: would keep up with faster drones, and what an array hears of far ones would be the more uncertain.
_QUICKNESS = np.minimum(_RANGES_M / 40.0, 2.0)
_LEAST_ANGLE_SIN = 0.03
_CROSSING_GATE = 9.0
_AMBIGUITY = 6.0


@dataclass(frozen=True, slots=True)
class Crossing:
    """Where two rays meet: ENU position and covariance [3, 3]."""

    position_m: FloatArray
    covariance: FloatArray


def range_log_density(range_m: float, size_rad: float | None, label: str | None) -> float:
    """Log prior of a range per unit of its logarithm, from apparent size where there is one."""
    median, sigma = _UNSIZED_RANGE_M, _UNSIZED_LOG_SIGMA
    if size_rad is not None and size_rad > 0.0:
        size_m, sigma = SIZES.get(label or "drone", SIZES["drone"])
        median = size_m / size_rad
    return -0.5 * (math.log(range_m / median) / sigma) ** 2 - math.log(sigma)


def range_bank(ray: Ray, label: str | None, length: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Rows [C, length], covariances and log weights of a target somewhere on `ray`, at rest but for its sigma."""
    count = len(_RANGES_M)
    x, p, weight = np.zeros((count, length)), np.zeros((count, length, length)), np.zeros(count)
    along = np.array(ray.direction)
    for c, middle in enumerate(_RANGES_M.tolist()):
        x[c, :3] = np.array(ray.origin_m) + middle * along
        p[c, :3, :3] = (ray.sigma_rad * middle) ** 2 * np.eye(3)
        p[c, 3:6, 3:6] = (START_SPEED_MPS * _QUICKNESS[c]) ** 2 * np.eye(3)
        weight[c] = range_log_density(middle, ray.size_rad, label)
    x, p = at_their_ranges(x, p, ray)
    return x, p, weight - _log_sum(weight)


def bank_accelerations(accel: float) -> FloatArray:
    """[C] acceleration of each row of a bank, where that of a target of known range is `accel`."""
    accelerations: FloatArray = accel * _QUICKNESS
    return accelerations


def at_their_ranges(x: FloatArray, p: FloatArray, ray: Ray) -> tuple[FloatArray, FloatArray]:
    """Rows [C, n] of a bank and covariances [C, n, n] with all that is along the ray as it was in the beginning.

    Across it they stay as they are: one sensor's bearings tell that and nothing else.
    """
    away = x[:, :3] - np.array(ray.origin_m)
    along = away / np.maximum(np.sqrt(linear.total(away * away)), 1e-6)[:, None]
    outer = along[:, :, None] * along[:, None, :]
    across, x, p = np.eye(3) - outer, x.copy(), p.copy()
    x[:, :3] = np.array(ray.origin_m) + _RANGES_M[:, None] * along
    x[:, 3:6] = linear.total(across * x[:, None, 3:6])
    for part in (slice(0, 3), slice(3, 6)):
        p[:, part] = linear.multiply(across, p[:, part])
        p[:, :, part] = linear.multiply(p[:, :, part], across)
    p = 0.5 * (p + linear.transpose(p))
    p[:, :3, :3] += _WIDTHS2_M2[:, None, None] * outer
    p[:, 3:6, 3:6] += START_SPEED_MPS**2 * outer
    return x, p


def crossing_costs(first: list[Ray], second: list[Ray]) -> FloatArray:
    """[A, B] how badly pairs of rays miss, χ² of one degree; infinite where they do not cross, or too flatly."""
    r1, r2, sin2 = _ranges(first, second)
    with np.errstate(invalid="ignore"):
        ahead = (np.minimum(r1, r2) >= 1.0) & (np.maximum(r1, r2) <= _RANGE_EDGES_M[-1])
        v1, v2 = _variances(first, r1, second, r2)
        gap = _points(first, r1, axis=0) - _points(second, r2, axis=1)
        cost = linear.total(gap * gap) / (v1 + v2) + _size_cost(first, r1, second, r2)
    return np.where((sin2 >= _LEAST_ANGLE_SIN**2) & ahead & (cost <= _CROSSING_GATE), cost, np.inf)


def cross(first: Ray, second: Ray) -> Crossing:
    """Where two rays cross that `crossing_costs` lets cross."""
    r1, r2, _ = _ranges([first], [second])
    v1, v2 = (float(v[0, 0]) for v in _variances([first], r1, [second], r2))
    p1, p2 = _points([first], r1, axis=0)[0, 0], _points([second], r2, axis=1)[0, 0]
    covariance = _crossing_covariance(np.array(first.direction), v1, np.array(second.direction), v2)
    return Crossing((v2 * p1 + v1 * p2) / (v1 + v2), covariance)


def _ranges(first: list[Ray], second: list[Ray]) -> tuple[FloatArray, FloatArray, FloatArray]:
    """[A, B] ranges along both rays where they come nearest, and the squared sine of their angle."""
    d1 = np.array([ray.direction for ray in first])[:, None]
    d2 = np.array([ray.direction for ray in second])[None]
    base = np.array([ray.origin_m for ray in second])[None] - np.array([ray.origin_m for ray in first])[:, None]
    c, a, b = linear.total(d1 * d2), linear.total(base * d1), linear.total(base * d2)
    sin2 = 1.0 - c * c
    divisor = np.where(sin2 > 0.0, sin2, np.nan)
    return (a - c * b) / divisor, (c * a - b) / divisor, sin2


def _points(rays: list[Ray], ranges: FloatArray, axis: int) -> FloatArray:
    """[A, B, 3] where the rays are at those ranges; the rays run along `axis` of the two."""
    origin = np.expand_dims(np.array([ray.origin_m for ray in rays]), 1 - axis)
    direction = np.expand_dims(np.array([ray.direction for ray in rays]), 1 - axis)
    points: FloatArray = origin + ranges[..., None] * direction
    return points


def _variances(first: list[Ray], r1: FloatArray, second: list[Ray], r2: FloatArray) -> tuple[FloatArray, FloatArray]:
    """[A, B] variance across each ray where they cross, m²; the second is older: the target has moved since."""
    s1, s2 = np.array([ray.sigma_rad for ray in first]), np.array([ray.sigma_rad for ray in second])
    apart_ns = np.array([ray.time_ns for ray in first])[:, None] - np.array([ray.time_ns for ray in second])
    moved_m = START_SPEED_MPS * np.abs(apart_ns) * 1e-9
    return (s1[:, None] * r1) ** 2, (s2[None] * r2) ** 2 + moved_m**2


def _crossing_covariance(d1: FloatArray, v1: float, d2: FloatArray, v2: float) -> FloatArray:
    """Inverse of the two rays' information; a ray says nothing along itself."""
    information = (np.eye(3) - d1[:, None] * d1[None, :]) / v1 + (np.eye(3) - d2[:, None] * d2[None, :]) / v2
    root = linear.solve_lower(linear.cholesky(information), np.eye(3))
    return linear.multiply(linear.transpose(root), root)


def _size_cost(first: list[Ray], r1: FloatArray, second: list[Ray], r2: FloatArray) -> FloatArray:
    """Two cameras should see one size; aspect makes that loose. Nothing is said where one saw none."""
    s1 = np.array([ray.size_rad or np.nan for ray in first])[:, None]
    s2 = np.array([ray.size_rad or np.nan for ray in second])[None]
    return np.nan_to_num((np.log(s1 * r1 / (s2 * r2)) / 0.7) ** 2)


def unambiguous(costs: FloatArray, row: int, column: int) -> bool:
    """Whether no other crossing of either ray comes near this one, of costs [A, B]."""
    rivals = np.concatenate([np.delete(costs[row], column), np.delete(costs[:, column], row)])
    return bool((rivals > costs[row, column] + _AMBIGUITY).all())


def _log_sum(values: FloatArray) -> float:
    top = float(np.max(values))
    return top + math.log(math.fsum(math.exp(float(v) - top) for v in values))
