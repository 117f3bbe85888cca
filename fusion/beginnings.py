"""What becomes of reports that belong to no target, and of targets that prove to be one."""

from __future__ import annotations

import math
from collections import Counter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fusion import association, initiation, life, linear, observation, rows, spaces
from fusion.geometry import FloatArray, angles_to_direction, matrix_from_quaternion, rotate
from fusion.life import Ray, Target
from fusion.observation import DIRECTIONS, Look
from fusion.population import MODES, Piece, Population
from fusion.types import NS, Measurement, Scan, Space
from tracking.types import Status

START_EXISTENCE = 0.1
_LONE_NS = NS  # an ordinary target seen by one camera alone for this long may be crossed again
_LONE_SIGMA_RAD = 0.003
_LOST_COSINE = math.cos(0.5)
_TOO_NEAR_M = 10.0  # a range that has shrunk to nothing
_NARROW2 = 0.1**2
_NARROW_LOG_WEIGHT = math.log(0.98)
_MERGE_DISTANCE2 = 16.0
_MERGE_AFTER_NS = NS // 2
_MERGE_EVERY_NS = NS // 20
_OUTLIER_GROWTH = 1.01
_MOST_DETECTION = 0.9  # trees and the sun hide a drone from any camera now and then
_MISNAMED = 0.1
_SHADOWED = 2


class _Crossing(NamedTuple):
    """Two targets whose rays cross.

    Attributes:
        place, covariance: where, ENU [3] and [3, 3].
        log_ratio: nats for that being no chance.
    """

    first: int
    second: int
    place: FloatArray
    covariance: FloatArray
    log_ratio: float


# --- starting --------------------------------------------------------------------------------------------------------


def start(population: Population, scan: Scan, left: list[int], next_number: int, counts: Counter[str]) -> list[Piece]:
    """A target for each report in `left`, numbered from `next_number`."""
    born: list[Piece] = []
    for m in left:
        if len(population) + len(born) >= population.settings.max_targets:
            counts["target limit reached"] += 1
            continue
        first = _first_rows(population, scan, scan.measurements[m], counts)
        if first is not None:
            born.append((_new_target(population, scan, scan.measurements[m], next_number + len(born)), *first))
    return born


def strays(population: Population, look: Look, taken: list[tuple[int, int]], counts: Counter[str]) -> list[int]:
    """Reports that are nobody's. One near a target that got none of this scan is an outlier of that target instead."""
    used, fed = {m for _, m in taken}, {t for t, _ in taken}
    now_ns = look.scan.time_ns
    waiting = np.array(
        [t not in fed and _is_settled(v, now_ns) for t, v in enumerate(population.targets)],
        dtype=bool,
    )
    left = []
    for m in range(len(look.scan.measurements)):
        if m in used:
            continue
        if bool(((look.distance2[:, m] < population.settings.disown) & waiting & look.inside).any()):
            counts["outliers"] += 1
            population.noise(look.scan).learned2 *= _OUTLIER_GROWTH
        else:
            left.append(m)
    return left


def _is_settled(target: Target, now_ns: int) -> bool:
    """Whether more than one sensor has followed an ordinary target of late: then a stray report is the odd one."""
    if target.ray is not None or target.status is Status.TENTATIVE:
        return False
    return target.seen_by(2, now_ns - _LONE_NS)


def reseat(population: Population, scan: Scan, left: list[int], touched: set[int]) -> list[int]:
    """Reports that are left once targets known to this camera alone, and lost in range, have begun again on them.

    Bearings alone cannot hold a range for long; when it has gone so wrong that reports fall out of the gate, the target
    becomes a bank of ranges on the new ray, under its old number. Numbers of those are added to `touched`.
    """
    if scan.space not in DIRECTIONS:
        return left
    rest = []
    for m in left:
        ray = ray_of(population, scan, scan.measurements[m])
        t = None if ray is None else _lost_along(population, ray, touched)
        if t is None or ray is None:
            rest.append(m)
            continue
        target, pieces = population.targets[t], population.pieces()
        target.ray, target.slots = ray, [None] * population.settings.slots
        target.updated_ns = target.seen[scan.sensor_id] = scan.time_ns
        label = scan.measurements[m].label
        pieces[t] = (target, *initiation.range_bank(ray, label, rows.size(population.settings.slots)))
        population.lay(pieces)
        touched.add(target.number)
    return rest


def _lost_along(population: Population, ray: Ray, touched: set[int]) -> int | None:
    """A confirmed target that only this ray's camera has seen of late, near the ray, without a report in this scan."""
    for t, target in enumerate(population.targets):
        recent = [name for name, when in target.seen.items() if ray.time_ns - when < _LONE_NS]
        if target.ray is not None or target.number in touched or target.status is Status.TENTATIVE:
            continue
        if recent != [ray.sensor_id]:
            continue
        away = population.collapsed(t)[0][:3] - np.array(ray.origin_m)
        length = math.sqrt(float(linear.total(away * away)))
        if length < _TOO_NEAR_M or float(linear.total(away * np.array(ray.direction))) > _LOST_COSINE * length:
            return t
    return None


def _first_rows(
    population: Population, scan: Scan, report: Measurement, counts: Counter[str]
) -> tuple[FloatArray, FloatArray, FloatArray] | None:
    if scan.space in DIRECTIONS:
        ray = ray_of(population, scan, report)
        if ray is None:
            counts["outside the lens"] += 1
            return None
        return initiation.range_bank(ray, report.label, rows.size(population.settings.slots))
    if scan.space is Space.AZIMUTH:
        counts["an azimuth alone starts nothing"] += 1
        return None
    return population.whole_rows(*place(scan, report))


def _new_target(population: Population, scan: Scan, report: Measurement, number: int) -> Target:
    target = Target(number, scan.time_ns, scan.time_ns, math.log(START_EXISTENCE / (1.0 - START_EXISTENCE)))
    target.awaits_s = population.awaits_s(scan.sensor_id)
    target.slots = [None] * population.settings.slots
    target.seen[scan.sensor_id] = target.looked[scan.sensor_id] = scan.time_ns
    if scan.space in DIRECTIONS:
        target.ray = ray_of(population, scan, report)
    look_s = population.settings.look_s
    life.hear_label(target, scan.sensor_id, report.label, report.score, scan.time_ns, look_s)
    return target


def ray_of(population: Population, scan: Scan, report: Measurement) -> Ray | None:
    """The direction a report gives; None where no light can come from."""
    if scan.space is Space.PIXEL and scan.camera is not None:
        direction = rotate(matrix_from_quaternion(scan.pose.attitude), scan.camera.rays(np.array(report.z)))
        sensor = population.noise(scan)
        sigma = math.sqrt(sensor.white2 + sensor.slow2 + report.covariance[0]) / scan.camera.fx
    else:
        direction = angles_to_direction(report.z[0], report.z[1])
        sigma = math.sqrt(max(report.covariance[0], report.covariance[-1]))
    if not bool(np.isfinite(direction).all()):
        return None
    d = (float(direction[0]), float(direction[1]), float(direction[2]))
    return Ray(scan.sensor_id, scan.time_ns, scan.pose.position_m, d, sigma, report.angular_size_rad)


def place(scan: Scan, report: Measurement) -> tuple[FloatArray, FloatArray]:
    """Mean [6] and covariance [6, 6] of a report that says where: a position, or a bearing with range."""
    mean, cov = np.zeros(6), np.zeros((6, 6))
    cov[3:, 3:] = initiation.START_SPEED_MPS**2 * np.eye(3)
    d = spaces.DIMENSION[scan.space]
    stated = np.array(report.covariance).reshape(d, d)
    if scan.space is not Space.BEARING_RANGE:
        mean[:d], cov[:d, :d] = report.z, stated
        return mean, cov
    azimuth, elevation, range_m = report.z
    forward = angles_to_direction(azimuth, elevation)
    level = np.array([math.cos(azimuth), -math.sin(azimuth), 0.0]) * math.cos(elevation)
    upward = angles_to_direction(azimuth, elevation + 0.5 * math.pi)
    step = np.stack([range_m * level, range_m * upward, forward], axis=-1)
    mean[:3] = np.array(scan.pose.position_m) + range_m * forward
    cov[:3, :3] = linear.multiply(linear.multiply(step, stated), linear.transpose(step))
    return mean, cov


# --- linking rays that cross -----------------------------------------------------------------------------------------


def link(population: Population, scan: Scan) -> set[int]:
    """Rays of this scan that cross rays of other sensors become one target; numbers of those made."""
    oldest = scan.time_ns - int(population.settings.link_s * NS)
    fresh = [t for t, target in enumerate(population.targets) if _is_fresh(target, scan)]
    if not fresh:
        return set()
    others: dict[int, Ray] = {}
    for t, target in enumerate(population.targets):
        ray = target.ray or _lone_ray(population, t, scan)
        if ray is not None and ray.time_ns >= oldest and ray.sensor_id != scan.sensor_id:
            others[t] = ray
    if not others:
        return set()
    return _join(population, _crossings(population, scan, fresh, others))


def _is_fresh(target: Target, scan: Scan) -> bool:
    """Whether this scan gave the target's ray."""
    return target.ray is not None and (target.ray.sensor_id, target.ray.time_ns) == (scan.sensor_id, scan.time_ns)


def _lone_ray(population: Population, t: int, scan: Scan) -> Ray | None:
    """Where its camera sees an ordinary target that only one camera has followed for a while.

    Its range is then mostly guessed; a ray of another camera that crosses this one tells it again.
    """
    target = population.targets[t]
    recent = [name for name, when in target.seen.items() if scan.time_ns - when < _LONE_NS]
    if target.eye is None or recent != [target.eye[0]] or target.eye[0] == scan.sensor_id:
        return None
    away = population.collapsed(t)[0][:3] - np.array(target.eye[1])
    length = math.sqrt(float(linear.total(away * away)))
    if length < 1.0:
        return None
    direction = (float(away[0]) / length, float(away[1]) / length, float(away[2]) / length)
    return Ray(target.eye[0], target.seen[target.eye[0]], target.eye[1], direction, _LONE_SIGMA_RAD, None)


def _crossings(population: Population, scan: Scan, fresh: list[int], others: dict[int, Ray]) -> list[_Crossing]:
    """The best pairing of rays. A pair with rivals waits until motion or another sensor has told them apart.

    Where a third sensor looks at the crossing, it speaks too: a ray of its own there makes it likely, silence a ghost.
    """
    rays = [ray for t in fresh if (ray := population.targets[t].ray) is not None]
    crossed, names = list(others.values()), list(others)
    costs = initiation.crossing_costs(rays, crossed)
    first, second = np.nonzero(np.isfinite(costs))
    if not len(first):
        return []
    pairs = (first, second)
    place, cov = initiation.crossing_points(rays, crossed, pairs)
    supported = costs[pairs] + _testimonies(population, scan, place, cov, crossed, second)
    supported += _unlike(population, np.array(fresh)[first], np.array(names)[second])
    costs[pairs] = np.where(supported > initiation.CROSSING_GATE, np.inf, supported)
    for i in sorted(set(first.tolist())):
        population.targets[fresh[i]].crossed = True
    where = {pair: k for k, pair in enumerate(zip(first.tolist(), second.tolist(), strict=True))}
    chosen = []
    for i, j in association.assign(1e3 - np.minimum(costs, 1e3)):
        waited_ns, k = scan.time_ns - population.targets[fresh[i]].born_ns, where[i, j]
        if waited_ns > life.PATIENCE_NS or initiation.unambiguous(supported, pairs, k, place, cov):
            log_ratio = initiation.crossing_log_ratio(rays[i], crossed[j], supported[k], observation.field_sr(scan))
            chosen.append(_Crossing(fresh[i], names[j], place[k], cov[k], log_ratio))
    return chosen


def _unlike(population: Population, first: NDArray[np.intp], second: NDArray[np.intp]) -> FloatArray:
    """[K] what their classes say to pairs of targets being one: −2 log of the likelihood ratio.

    A sensor may call a thing by a wrong name for as long as it sees it.
    """
    classes = np.array([life.class_probabilities(target) for target in population.targets])
    alike = linear.total(classes[first] * classes[second]) * classes.shape[1]
    cost: FloatArray = -2.0 * np.log(_MISNAMED + (1.0 - _MISNAMED) * alike)
    return cost


def _testimonies(
    population: Population,
    scan: Scan,
    place: FloatArray,
    cov: FloatArray,
    crossed: list[Ray],
    partner: NDArray[np.intp],
) -> FloatArray:
    """[K] what sensors other than the crossing's own two say of each place: −2 log of the likelihood ratio."""
    told = np.zeros(len(place))
    states = np.concatenate([place, np.zeros_like(place)], axis=1)
    sensor_of = np.array([ray.sensor_id for ray in crossed])[partner]
    oldest = scan.time_ns - int(population.settings.link_s * NS)
    for name, eye in population.eyes.items():
        if name == scan.sensor_id or eye.time_ns < oldest or eye.coverage is None or eye.space not in DIRECTIONS:
            continue
        asked = observation.covers(eye, states) & (sensor_of != name)
        silent = -2.0 * math.log(1.0 - min(eye.coverage.detection_probability, _MOST_DETECTION))
        rays = [ray for ray in crossed if ray.sensor_id == name]
        if rays:
            field_sr = observation.field_sr(eye)
            spoken = initiation.testimony(place, cov, rays, scan.time_ns, field_sr)
            told += np.where(asked, np.minimum(spoken, silent), 0.0)
        else:
            told += np.where(asked, silent, 0.0)
    return told


def _join(population: Population, chosen: list[_Crossing]) -> set[int]:
    """Replace each pair of ray targets by one at their crossing, under the older number."""
    pieces, gone, made = population.pieces(), set[int](), set[int]()
    for a, b, place, spread, log_ratio in chosen:
        keep, drop = (a, b) if population.targets[a].number < population.targets[b].number else (b, a)
        mean, cov = np.zeros(6), np.zeros((6, 6))
        mean[:3], cov[:3, :3] = place, spread
        cov[3:, 3:] = initiation.START_SPEED_MPS**2 * np.eye(3)
        target = population.targets[keep]
        life.absorb(target, population.targets[drop])
        target.log_odds += log_ratio
        target.ray, target.slots = None, [None] * population.settings.slots
        pieces[keep] = (target, *population.whole_rows(mean, cov))
        gone.add(drop)
        made.add(target.number)
    if made:
        population.lay([piece for t, piece in enumerate(pieces) if t not in gone])
    return made


# --- rays that are a target's ----------------------------------------------------------------------------------------


def explain(population: Population, look: Look, taken: list[tuple[int, int]]) -> None:
    """A ray target that always lies where its sensor sees a target of known place, and never beside it, is that target.

    One look gives either of them the report, never both. After `_SHADOWED` such looks they are one, with the place that
    is known and the older number.
    """
    rays = [t for t, v in enumerate(population.targets) if v.ray is not None and v.ray.sensor_id == look.scan.sensor_id]
    whole = [t for t, v in enumerate(population.targets) if v.ray is None and bool(look.inside[t])]
    if not rays or not whole:
        return
    best, fed = population.best_rows(), {t for t, _ in taken}
    near = _seen_near(look, best[rays], best[whole])
    pieces, gone = population.pieces(), set[int]()
    for i, r in enumerate(rays):
        target = population.targets[r]
        mine = [whole[k] for k in np.flatnonzero(near[i]).tolist()]
        single = [t for t in mine if (t in fed) != (r in fed)]
        if not single or len(single) < len(mine):
            target.shadowed = 0 if mine and not single else target.shadowed
            continue
        target.shadowed += 1
        if target.shadowed >= _SHADOWED:
            _absorb_ray(pieces, single[0], r)
            gone.add(r)
    if gone:
        population.lay(sorted((p for t, p in enumerate(pieces) if t not in gone), key=lambda piece: piece[0].number))


def _seen_near(look: Look, rays: NDArray[np.intp], whole: NDArray[np.intp]) -> NDArray[np.bool_]:
    """[A, B] whether the sensor cannot tell rows `rays` [A] and `whole` [B] apart."""
    z, spread = look.innovation.z, look.innovation.spread
    gap = spaces.residual(look.scan.space, z[rays][:, None], z[whole][None])
    low = linear.cholesky(spread[rays][:, None] + spread[whole][None])
    whitened = linear.solve_lower(low, gap[..., None])[..., 0]
    near: NDArray[np.bool_] = linear.total(whitened * whitened) < _MERGE_DISTANCE2
    return near


def _absorb_ray(pieces: list[Piece], whole: int, ray: int) -> None:
    target, drop = pieces[whole][0], pieces[ray][0]
    target.number = min(target.number, drop.number)
    life.absorb(target, drop)


def narrow_banks(population: Population) -> None:
    """A bank of which one narrow range is left becomes an ordinary target."""
    if not len(population):
        return
    heavy = np.logical_or.reduceat(population.log_weight >= _NARROW_LOG_WEIGHT, population.starts).tolist()
    done = [t for t, alone in enumerate(heavy) if alone and _is_narrow(population, t)]
    if not done:
        return
    pieces = population.pieces()
    for t in done:
        target, x, p, log_weight = pieces[t]
        mean, cov = rows.collapse(x, p, np.exp(log_weight))
        target.ray = None
        pieces[t] = (target, np.stack([mean] * MODES), np.stack([cov] * MODES), np.log(np.full(MODES, 1.0 / MODES)))
    population.lay(pieces)


def _is_narrow(population: Population, t: int) -> bool:
    best, ray = population.best_row(t), population.targets[t].ray
    if ray is None:
        return False
    away = population.x[best, :3] - np.array(ray.origin_m)
    p = population.p[best]
    return bool(p[0, 0] + p[1, 1] + p[2, 2] < _NARROW2 * linear.total(away * away))


# --- merging ---------------------------------------------------------------------------------------------------------


def merge(population: Population, now_ns: int) -> None:
    """Two targets that stay in one place are one, under the older number and with the better known state."""
    if now_ns - population.merged_ns < _MERGE_EVERY_NS:
        return
    population.merged_ns = now_ns
    whole = [t for t, target in enumerate(population.targets) if target.ray is None]
    if len(whole) < 2:
        return
    means, variance = (values[whole] for values in population.places())
    doubles = _stay_near(population, whole, _near(population, whole, _perhaps_near(means, variance)), now_ns)
    if not doubles:
        return
    pieces, gone = population.pieces(), set[int]()
    for i, j in doubles:
        a, b = whole[i], whole[j]
        if a in gone or b in gone:
            continue
        keep, drop = (a, b) if population.targets[a].number < population.targets[b].number else (b, a)
        _take_over(pieces, keep, drop, a if variance[i] <= variance[j] else b)
        gone.add(drop)
    population.lay([piece for t, piece in enumerate(pieces) if t not in gone])


def _perhaps_near(places: FloatArray, variance: FloatArray) -> list[tuple[int, int]]:
    """Pairs of places [W, 3] less far apart than their summed variances [W] allow for; no other pair can be near."""
    gap = places[:, None] - places[None]
    could = linear.total(gap * gap) < _MERGE_DISTANCE2 * (variance[:, None] + variance[None])
    first, second = np.nonzero(np.triu(could, 1))
    return list(zip(first.tolist(), second.tolist(), strict=True))


def _near(population: Population, whole: list[int], pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Of these pairs of `whole`, those that cannot be told apart by position and velocity."""
    if not pairs:
        return []
    means, covs = (values[whole] for values in population.all_collapsed())
    first, second = np.array(pairs).T
    low = linear.cholesky(covs[first] + covs[second])
    whitened = linear.solve_lower(low, (means[first] - means[second])[..., None])[..., 0]
    near = linear.total(whitened * whitened) < _MERGE_DISTANCE2
    return list(zip(first[near].tolist(), second[near].tolist(), strict=True))


def _stay_near(
    population: Population, whole: list[int], near: list[tuple[int, int]], now_ns: int
) -> list[tuple[int, int]]:
    """Of the near pairs, those that have been near for long; the others' counts begin again."""
    targets = [population.targets[t] for t in whole]
    if not near and not any(target.near_since_ns for target in targets):
        return []
    for i, target in enumerate(targets):
        still = {targets[b].number for a, b in near if a == i}
        target.near_since_ns = {n: since for n, since in target.near_since_ns.items() if n in still}
    return [(i, j) for i, j in near if _long_near(targets[i], targets[j], now_ns)]


def _long_near(first: Target, second: Target, now_ns: int) -> bool:
    """Near for a while; at once where one is silent and the other fresh (it was lost and found again)."""
    since = first.near_since_ns.setdefault(second.number, now_ns)
    ages = sorted(now_ns - target.updated_ns for target in (first, second))
    return now_ns - since > _MERGE_AFTER_NS or (ages[0] < _MERGE_AFTER_NS // 5 and ages[1] > _MERGE_AFTER_NS)


def _take_over(pieces: list[Piece], keep: int, drop: int, better: int) -> None:
    target, slots = pieces[keep][0], pieces[better][0].slots
    life.absorb(target, pieces[drop][0])
    target.slots = slots
    _, x, p, log_weight = pieces[better]
    pieces[keep] = (target, x, p, log_weight)
