"""How a target begins: from one camera as a bank of ranges, from two as the place where their rays cross.

One camera knows a direction only. Its target starts as several rows along the ray, one per range interval of a
geometric series, so that each is nearly Gaussian in what the camera sees (Peach, IEE Proc. Radar Sonar Navig. 142,
1995); apparent size and class weigh them. From one place, bearings of all ranges look alike (a path twice as far, flown
twice as fast, gives the same ones), so they move the rows across the ray only; the ranges and their weights stay as
they began until another sensor speaks. Weighing them by how well each range explains the bearings would but weigh the
motion model, and a wedge would shrink to a wrong range. When two such targets of different cameras lie on rays that
cross, they are one. Of several crossings of one ray all but one are ghosts: sensors that look at the place speak for it
with a ray of their own or against it with silence, and where they leave it open the crossing waits. With eight cameras
and twenty drones that finds all twenty in the first round of looks.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from fusion import linear
from fusion.geometry import FloatArray
from fusion.life import MOST_LOG_RATIO, Ray

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
CROSSING_GATE = 9.0
_AMBIGUITY = 6.0


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
    return np.where((sin2 >= _LEAST_ANGLE_SIN**2) & ahead & (cost <= CROSSING_GATE), cost, np.inf)


def crossing_log_ratio(first: Ray, second: Ray, cost: float, field_sr: float) -> float:
    """Nats for two rays being of one body, of a crossing that costs so much: against one that comes there by chance.

    By chance a ray of a sensor that looks at `field_sr` steradians passes the other at any angle in its field alike.
    """
    sigma = math.hypot(first.sigma_rad, second.sigma_rad)
    ratio = 0.5 * math.log(field_sr / (2.0 * math.pi)) - math.log(sigma) - 0.5 * cost
    return max(0.0, min(ratio, MOST_LOG_RATIO))


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


def _crossing_covariance(d1: FloatArray, v1: FloatArray, d2: FloatArray, v2: FloatArray) -> FloatArray:
    """[K, 3, 3] inverse of the two rays' information; a ray says nothing along itself."""
    across1, across2 = (np.eye(3) - d[..., :, None] * d[..., None, :] for d in (d1, d2))
    information = across1 / v1 + across2 / v2
    root = linear.solve_lower(linear.cholesky(information), np.eye(3))
    return linear.multiply(linear.transpose(root), root)


def _size_cost(first: list[Ray], r1: FloatArray, second: list[Ray], r2: FloatArray) -> FloatArray:
    """Two cameras should see one size; aspect makes that loose. Nothing is said where one saw none."""
    s1 = np.array([ray.size_rad or np.nan for ray in first])[:, None]
    s2 = np.array([ray.size_rad or np.nan for ray in second])[None]
    return np.nan_to_num((np.log(s1 * r1 / (s2 * r2)) / 0.7) ** 2)


def crossing_points(
    first: list[Ray], second: list[Ray], pairs: tuple[NDArray[np.intp], NDArray[np.intp]]
) -> tuple[FloatArray, FloatArray]:
    """Places [K, 3] and covariances [K, 3, 3] where K pairs of rays cross that `crossing_costs` lets cross."""
    i, j = pairs
    r1, r2, _ = _ranges(first, second)
    v1, v2 = (v[i, j, None] for v in _variances(first, r1, second, r2))
    p1, p2 = _points(first, r1, axis=0)[i, j], _points(second, r2, axis=1)[i, j]
    d1, d2 = np.array([ray.direction for ray in first])[i], np.array([ray.direction for ray in second])[j]
    return (v2 * p1 + v1 * p2) / (v1 + v2), _crossing_covariance(d1, v1[..., None], d2, v2[..., None])


def testimony(place: FloatArray, cov: FloatArray, rays: list[Ray], now_ns: int, field_sr: float) -> FloatArray:
    """[K] what rays of one sensor say to there being something at places [K, 3]: −2 log of the likelihood ratio.

    The best of its rays against one that comes there by chance, of rays strewn evenly over the field of `field_sr`
    steradians. Infinite where no ray comes near.
    """
    origin, direction = (np.array([getattr(ray, name) for ray in rays]) for name in ("origin_m", "direction"))
    away = place[:, None] - origin[None]
    along = np.maximum(linear.total(away * direction[None]), 1.0)
    gap = away - along[..., None] * direction[None]
    moved_m = START_SPEED_MPS * np.array([now_ns - ray.time_ns for ray in rays]) * 1e-9
    sigma = np.array([ray.sigma_rad for ray in rays])
    spread = ((cov[:, 0, 0] + cov[:, 1, 1] + cov[:, 2, 2]) / 3.0)[:, None]
    variance = (sigma * along) ** 2 + moved_m**2 + spread
    distance2 = linear.total(gap * gap) / variance
    by_chance = 2.0 * math.pi * variance / along**2 * (len(rays) / field_sr)
    cost = np.where(distance2 <= CROSSING_GATE, distance2 + 2.0 * np.log(by_chance), np.inf)
    best: FloatArray = cost.min(axis=1)
    return best


def unambiguous(
    costs: FloatArray, pairs: tuple[NDArray[np.intp], NDArray[np.intp]], k: int, place: FloatArray, cov: FloatArray
) -> bool:
    """Whether no other crossing of either ray, at another place, comes near crossing `k`.

    Args:
        costs, place, cov: [K], [K, 3] and [K, 3, 3] of the crossings, `pairs` which rays they are of.
    """
    i, j = pairs
    rivals = ((i == i[k]) | (j == j[k])) & (costs <= costs[k] + _AMBIGUITY)
    low = linear.cholesky(cov[rivals] + cov[k])
    whitened = linear.solve_lower(low, (place[rivals] - place[k])[..., None])[..., 0]
    return not bool((linear.total(whitened * whitened) > CROSSING_GATE).any())


def _log_sum(values: FloatArray) -> float:
    top = float(np.max(values))
    return top + math.log(math.fsum(math.exp(float(v) - top) for v in values))
