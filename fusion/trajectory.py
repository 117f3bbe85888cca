"""Where a drone was, from the positions it reported: smoothed, with what the reports' noise leaves open.

Position errors of satellite navigation are of two kinds. A slow part, metres, stays for minutes: it is left alone here
and stands beside the path as `bias_sigma_m`, for whoever uses the path to allow for. A quick part, from report to
report, is estimated from the reports themselves and smoothed (Rauch, Tung and Striebel 1965, by filterpy).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from filterpy.kalman import KalmanFilter
from numpy.typing import NDArray

from fusion.geometry import FloatArray

_ACCELERATION2 = 4.0  # spectral density, m²/s³
_FIRST_PLACE2, _FIRST_SPEED2 = 1e4, 400.0
_LEAST_SIGMA_M = 0.02
_LEAST_JUMP_M, _WILD = 10.0, 20.0  # a report further from its neighbours' median than this, or than so many usual ones
_LEAST_FIXES = 4


class TrajectoryError(ValueError):
    """Reports that make no path; one plain sentence."""


class Fixes(NamedTuple):
    """Reported positions: seconds `[N]`, ENU m `[N, 3]`, stated standard deviations `[N, 3]`."""

    times_s: FloatArray
    places_m: FloatArray
    sigmas_m: FloatArray


class Place(NamedTuple):
    """ENU m `[M, 3]`, m/s `[M, 3]`, variance of each axis m² `[M, 3]` (quick part), where the path is known `[M]`."""

    position_m: FloatArray
    velocity_mps: FloatArray
    variance_m2: FloatArray
    known: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Trajectory:
    """A smoothed path.

    Attributes:
        times_s, position_m, velocity_mps: [N], [N, 3], [N, 3] at the reports used, in order of time.
        variance_m2, velocity_variance_m2ps2: [N, 3] of them, each axis.
        joined: [N − 1] whether the path is known between a report and the next.
        bias_sigma_m: [3] how far the whole path may be displaced: what the reports state of themselves.
    """

    times_s: FloatArray
    position_m: FloatArray
    velocity_mps: FloatArray
    variance_m2: FloatArray
    velocity_variance_m2ps2: FloatArray
    joined: NDArray[np.bool_]
    bias_sigma_m: FloatArray

    def at(self, times_s: FloatArray) -> Place:
        """The path at any times `[M]`: cubic between reports, its variance that of integrated white acceleration."""
        after = np.clip(np.searchsorted(self.times_s, times_s, side="right"), 1, len(self.times_s) - 1)
        before = after - 1
        step = self.times_s[after] - self.times_s[before]
        share = (times_s - self.times_s[before]) / step
        known = self.joined[before] & (share >= 0.0) & (share <= 1.0)
        s, h = np.clip(share, 0.0, 1.0)[:, None], step[:, None]
        p0, p1 = self.position_m[before], self.position_m[after]
        v0, v1 = self.velocity_mps[before] * h, self.velocity_mps[after] * h
        chord, rest = p1 - p0, v0 + v1 - 2.0 * (p1 - p0)
        position = p0 + s * (v0 + s * (3.0 * chord - 2.0 * v0 - v1 + s * rest))
        velocity = (v0 + s * (2.0 * (3.0 * chord - 2.0 * v0 - v1) + 3.0 * s * rest)) / h
        held = (1.0 - s) * self.variance_m2[before] + s * self.variance_m2[after]
        return Place(position, velocity, held + _ACCELERATION2 * (h * s * (1.0 - s)) ** 3 / 3.0, known)

    def shaken(self) -> Iterator[Trajectory]:
        """The path with each axis of position, then of velocity, one standard deviation off."""
        for axis in np.eye(3):
            yield replace(self, position_m=self.position_m + np.sqrt(self.variance_m2) * axis)
            yield replace(self, velocity_mps=self.velocity_mps + np.sqrt(self.velocity_variance_m2ps2) * axis)


def smooth(fixes: Fixes, *, longest_gap_s: float = 2.5) -> Trajectory:
    """The path that the reports tell. Reports may come in any order and may repeat; wild ones are left out.

    Raises:
        TrajectoryError: fewer than four usable reports.
    """
    times, first = np.unique(fixes.times_s, return_index=True)
    if len(times) < _LEAST_FIXES:
        raise TrajectoryError(f"the drone reported {len(times)} positions, and a path needs at least {_LEAST_FIXES}")
    good = _believable(fixes.places_m[first])
    times, places, stated = times[good], fixes.places_m[first][good], fixes.sigmas_m[first][good]
    noise2 = np.minimum(quick_sigma(places), np.median(stated, axis=0)) ** 2
    runs = np.split(np.arange(len(times)), np.flatnonzero(np.diff(times) > longest_gap_s) + 1)
    pieces = [_smoothed(times[k], places[k], noise2) for k in runs if len(k) >= _LEAST_FIXES]
    if not pieces:
        raise TrajectoryError(
            f"the drone's reports never follow each other within {longest_gap_s:g} s, so make no path"
        )
    whole = [np.concatenate(column) for column in zip(*pieces, strict=True)]
    joined = np.concatenate([np.arange(1, len(piece[0]) + 1) < len(piece[0]) for piece in pieces])[:-1]
    times, position, velocity, variance, velocity_variance = whole
    bias_sigma_m = np.median(stated, axis=0)
    return Trajectory(times, position, velocity, variance, velocity_variance, joined, bias_sigma_m)


def quick_sigma(places_m: FloatArray) -> FloatArray:
    """Standard deviation `[3]` of what changes from report to report: the median miss of a cubic through neighbours."""
    if len(places_m) < 5:
        return np.full(3, np.inf)
    x = places_m
    missed = x[2:-2] - (4.0 * (x[1:-3] + x[3:-1]) - (x[:-4] + x[4:])) / 6.0
    sigma = 1.4826 * np.median(np.abs(missed), axis=0) / np.sqrt(1.0 + 34.0 / 36.0)
    sigma_m: FloatArray = np.maximum(sigma, _LEAST_SIGMA_M)
    return sigma_m


def _believable(places: FloatArray) -> NDArray[np.bool_]:
    """Reports that lie near the median of themselves and their four neighbours, as nearly all do (Hampel 1974)."""
    around = np.pad(places, ((2, 2), (0, 0)), mode="edge")
    middle = np.median(np.stack([around[k : k + len(places)] for k in range(5)]), axis=0)
    away = np.sqrt(np.square(places - middle).sum(axis=1))
    near: NDArray[np.bool_] = away <= max(_LEAST_JUMP_M, _WILD * float(np.median(away)))
    return near


def _smoothed(
    times: FloatArray, places: FloatArray, noise2: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]:
    """Times, positions, velocities and the variances of both, of one run: white acceleration."""
    kalman = KalmanFilter(dim_x=6, dim_z=3)
    kalman.x = np.concatenate([places[0], np.zeros(3)])
    kalman.P = np.diag(np.concatenate([np.full(3, _FIRST_PLACE2), np.full(3, _FIRST_SPEED2)]))
    kalman.H, kalman.R = np.eye(3, 6), np.diag(noise2)
    steps = np.diff(times, prepend=times[0])
    moves, noises = [_transition(h) for h in steps], [_acceleration_noise(h) for h in steps]
    means, covariances, *_ = kalman.batch_filter(list(places), Fs=moves, Qs=noises)
    means, covariances, *_ = kalman.rts_smoother(means, covariances, moves, noises)
    variances = np.diagonal(covariances, axis1=1, axis2=2)
    return times, means[:, :3], means[:, 3:], variances[:, :3], variances[:, 3:]


def _transition(step_s: float) -> FloatArray:
    move = np.eye(6)
    move[:3, 3:] = step_s * np.eye(3)
    return move


def _acceleration_noise(step_s: float) -> FloatArray:
    """Covariance that white acceleration adds in a step, continuous: the same for any spacing of reports."""
    h = step_s
    return _ACCELERATION2 * np.kron(np.array([[h**3 / 3.0, h**2 / 2.0], [h**2 / 2.0, h]]), np.eye(3))
