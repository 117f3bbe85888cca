"""Which of a sensor's reports are the drone, when neither its attitude nor its clock is known: by hypothesis.

The angle between two directions does not depend on how the sensor is turned. So for each clock offset on a grid, pairs
of reports are drawn; those whose rays stand apart as the drone's two directions did give an attitude (the triad of
Black, AIAA Journal 2, 1964); attitudes are scored by how many looks hold a report near the drone (random sample
consensus: Fischler and Bolles, CACM 24, 1981). A drone that never left one direction gives no such pair; then one
report gives an attitude with the roll it had. The draws come from a fixed seed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fusion.geometry import FloatArray
from fusion.mounting import Mounting, rays, relative
from fusion.trajectory import Trajectory

_PAIRS = 30_000
_TRIADS = 3_000  # of one clock offset, before the prior
_SCORED = 400  # of one clock offset
_SINGLES = 150
_LEAST_APART_RAD = 0.05
_MOST_LOOKS = 500


class Sightings(NamedTuple):
    """Reports of the sensor, in order of time: seconds by its own clock `[M]`, z `[M, 2]` and its standard deviation
    `[M, 2]`, and where each look (reports of one time) begins `[L]`."""

    times_s: FloatArray
    z: FloatArray
    sigma: FloatArray
    starts: NDArray[np.intp]

    def of_looks(self, chosen: NDArray[np.intp]) -> Sightings:
        """Those of some looks, given by their numbers in rising order."""
        ends = np.append(self.starts, len(self.times_s))
        lengths = (ends[1:] - ends[:-1])[chosen]
        starts = np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.intp)
        rows = np.repeat(self.starts[chosen] - starts, lengths) + np.arange(lengths.sum())
        return Sightings(self.times_s[rows], self.z[rows], self.sigma[rows], starts)

    def thinned(self, most: int) -> Sightings:
        """At most so many looks, spread evenly."""
        count = len(self.starts)
        return self if count <= most else self.of_looks(np.linspace(0, count - 1, most).astype(np.intp))


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """An attitude `[3, 3]` (ENU → sensor), a clock offset, and the share of looks that it explains."""

    to_sensor: FloatArray
    clock_s: float
    score: float


def sightings_of(times_s: FloatArray, z: FloatArray, sigma: FloatArray) -> Sightings:
    """Put reports in order and find the looks."""
    order = np.argsort(times_s, kind="stable")
    times = times_s[order]
    starts = np.flatnonzero(np.diff(times, prepend=-np.inf) > 0.0)
    return Sightings(times, z[order], sigma[order], starts)


def hypotheses(
    start: Mounting, sightings: Sightings, path: Trajectory, clocks_s: FloatArray, most_turn_rad: float, most: int
) -> list[Hypothesis]:
    """Up to `most` different explanations of the sightings, the best first.

    Args:
        start: where the sensor is thought to stand and how it is thought to be turned.
        clocks_s: offsets to try.
        most_turn_rad: how far it may be turned from that.
    """
    few = sightings.thinned(_MOST_LOOKS)
    ray = rays(few.z, start.camera)
    rng = np.random.default_rng(20_240_229)
    found: list[Hypothesis] = []
    for clock_s in clocks_s:
        away, _, _ = relative(_at_clock(start, float(clock_s)), few.times_s, path)
        length = np.sqrt(np.square(away).sum(axis=1))
        usable = np.isfinite(length) & np.isfinite(ray[:, 0]) & (length > 1.0)
        if usable.sum() < 4:
            continue
        direction = np.where(usable[:, None], away / length[:, None], 0.0)
        seen = np.where(usable[:, None], ray, 0.0)
        turns = np.concatenate([
            _from_pairs(seen, direction, np.flatnonzero(usable), rng),
            _from_singles(seen, direction, np.flatnonzero(usable), start.to_sensor, rng),
            start.to_sensor[None],
        ])  # fmt: skip
        turns = turns[_turned_less(turns, start.to_sensor, most_turn_rad)][: _SCORED + _SINGLES]
        scores = _scores(turns, seen, direction, few.starts, _tolerance(length[usable]))
        best = np.argsort(-scores, kind="stable")[: 4 * most]
        found += [Hypothesis(turns[k], float(clock_s), float(scores[k])) for k in best]
    return _different(sorted(found, key=lambda h: -h.score), most)


def _at_clock(start: Mounting, clock_s: float) -> Mounting:
    return Mounting(start.position_m, start.to_sensor, clock_s, start.camera, start.wave_mps, start.bias_m)


def _tolerance(range_m: FloatArray) -> float:
    """How far a right report may lie from the drone, rad: the sensor may stand metres beside where it is thought."""
    return float(np.clip(2.0 / np.median(range_m), 0.02, 0.1))


def _from_pairs(
    ray: FloatArray, direction: FloatArray, usable: NDArray[np.intp], rng: np.random.Generator
) -> FloatArray:
    """Attitudes `[H, 3, 3]` of pairs whose rays stand apart as the directions do."""
    i, j = rng.choice(usable, _PAIRS), rng.choice(usable, _PAIRS)
    seen, true = _angle(ray[i], ray[j]), _angle(direction[i], direction[j])
    fits = (true > _LEAST_APART_RAD) & (np.abs(seen - true) < 0.01 + 0.1 * true)
    i, j = i[fits][:_TRIADS], j[fits][:_TRIADS]
    return _triad(ray[i], ray[j]) @ np.swapaxes(_triad(direction[i], direction[j]), 1, 2)


def _from_singles(
    ray: FloatArray, direction: FloatArray, usable: NDArray[np.intp], start: FloatArray, rng: np.random.Generator
) -> FloatArray:
    """Attitudes that take one direction to one ray by the least turn from `start`."""
    k = rng.choice(usable, _SINGLES)
    a, b = direction[k] @ start.T, ray[k]
    cross, cosine = np.cross(a, b), (a * b).sum(axis=1)
    x, y, z = cross.T
    zero = np.zeros_like(x)
    skew = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=-1).reshape(-1, 3, 3)
    turn = np.eye(3) + skew + skew @ skew / np.maximum(1.0 + cosine, 1e-6)[:, None, None]
    turned: FloatArray = turn @ start
    return turned


def _angle(a: FloatArray, b: FloatArray) -> FloatArray:
    angle: FloatArray = np.arctan2(np.sqrt(np.square(np.cross(a, b)).sum(axis=1)), (a * b).sum(axis=1))
    return angle


def _triad(a: FloatArray, b: FloatArray) -> FloatArray:
    """Right-handed axes `[H, 3, 3]` (columns) of two unit vectors: their middle, their normal, and across."""
    middle, normal = a + b, np.cross(a, b)
    middle = middle / np.maximum(np.sqrt(np.square(middle).sum(axis=1)), 1e-12)[:, None]
    normal = normal / np.maximum(np.sqrt(np.square(normal).sum(axis=1)), 1e-12)[:, None]
    return np.stack([middle, normal, np.cross(middle, normal)], axis=-1)


def _turned_less(turns: FloatArray, start: FloatArray, most_rad: float) -> NDArray[np.bool_]:
    trace = (turns * start).sum(axis=(1, 2))
    less: NDArray[np.bool_] = np.arccos(np.clip(0.5 * (trace - 1.0), -1.0, 1.0)) <= most_rad
    return less


def _scores(
    turns: FloatArray, ray: FloatArray, direction: FloatArray, starts: NDArray[np.intp], tolerance: float
) -> FloatArray:
    """Share of looks `[H]` with a report near the drone, near counting more."""
    products = (ray[:, :, None] * direction[:, None, :]).reshape(len(ray), 9)
    cosine = products @ turns.reshape(len(turns), 9).T
    near = np.maximum(1.0 - 2.0 * (1.0 - cosine) / tolerance**2, 0.0)
    score: FloatArray = np.maximum.reduceat(near, starts, axis=0).mean(axis=0)
    return score


def _different(ordered: list[Hypothesis], most: int) -> list[Hypothesis]:
    """The best that are not nearly the same."""
    kept: list[Hypothesis] = []
    for each in ordered:
        if all(abs(each.clock_s - k.clock_s) > 0.45 or _apart(each, k) > 0.1 for k in kept):
            kept.append(each)
            if len(kept) == most:
                break
    return kept


def _apart(a: Hypothesis, b: Hypothesis) -> float:
    trace = float((a.to_sensor * b.to_sensor).sum())
    return float(np.arccos(np.clip(0.5 * (trace - 1.0), -1.0, 1.0)))
