"""Steered response power of one array over a sphere of directions: a search at coarse lags, then Newton's method.

Columns of M microphones (see `evidence.py`) become the cross-correlations of all pairs at the few lags that an array
can have: one matrix product. One sparse matrix adds them up for every direction of a grid (SRP-PHAT: DiBiase,
Silverman and Brandstein, in "Microphone Arrays", 2001). From the best of the grid, Newton's method climbs first on
parabolas through those correlations, then on the exact power, whose slope at each frequency also tells the error.

Columns over microphones may be whatever a source gives the phases of its wave: spectra, or eigenvectors of them.

Frames: ENU around the array's centre; delays in seconds, angular frequencies in radians a second.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fusion.geometry import FloatArray

Columns = NDArray[np.complex64]
Correlations = NDArray[np.float32]

#: Samples per period of the highest frequency at which correlations are computed; the nearest is taken.
_LAGS_PER_PERIOD = 8.0
_BESIDE = np.array([[-1], [0], [1]])
_COARSE_STEPS = 2
_EXACT_STEPS = 3
_SMALL_STEP_RAD = 5e-3


@dataclass(frozen=True, slots=True)
class Peak:
    """A maximum of the steered power.

    Attributes:
        direction: unit vector `[3]`.
        covariance: `[2, 2]` along rising azimuth and rising elevation, rad²; of noise and echo, not of the survey.
        coherence: mean coherence of the pairs for a wave from there, weighted, 0..1.
    """

    direction: FloatArray
    covariance: FloatArray
    coherence: float


class Steering:
    """Tables of one array for one set of frequencies.

    Args:
        delays_s: `[M, 3]`, of a wave along each axis: places over the speed of sound.
        omega: `[K]`, of each column.
        grid: `[D, 3]` unit vectors.
        spacing_rad: from one direction of the grid to the next.
        shared: how much more a sum over columns varies because neighbours share noise, as a ratio of variances.
    """

    def __init__(
        self, delays_s: FloatArray, omega: FloatArray, grid: FloatArray, spacing_rad: float, shared: float
    ) -> None:
        self.delays_s, self.grid, self.spacing_rad, self.shared = delays_s, grid, spacing_rad, shared
        self._omega = omega.astype(np.float32)
        self._first, self._second = np.array(list(combinations(range(len(delays_s)), 2))).T
        lag_s = 2.0 * np.pi / (_LAGS_PER_PERIOD * float(omega.max()))
        self._baselines = (delays_s[self._first] - delays_s[self._second]) / lag_s  # in lags
        self._most = math.ceil(float(np.sqrt(np.square(self._baselines).sum(axis=1)).max())) + 1
        lags = np.arange(-self._most, self._most + 1, dtype=np.float64) * lag_s
        self._to_lags = _lag_product(omega, lags)
        nearest = np.rint(grid @ self._baselines.T).astype(np.int64) + self._most
        self._to_grid = _grid_product(nearest, len(lags))
        self._rows = np.arange(len(self._first)) * len(lags) + self._most

    def correlations(self, columns: Columns) -> Correlations:
        """Of all pairs at all lags, `[P, L]`."""
        conjugate = np.conj(columns)
        cross = columns[self._first] * conjugate[self._second]
        lags: Correlations = cross.view(np.float32) @ self._to_lags
        return lags

    def power(self, correlations: Correlations) -> NDArray[np.float32]:
        """Steered power `[D]` over the grid, halved, the microphones' own power left out."""
        power: NDArray[np.float32] = self._to_grid @ correlations.ravel()
        return power

    def peak(self, columns: Columns, correlations: Correlations, index: int) -> Peak:
        """The maximum near a direction of the grid."""
        return self.climb(columns, self._climb_coarse(correlations, self.grid[index]))

    def climb(self, columns: Columns, direction: FloatArray) -> Peak:
        """The maximum of the exact power near a direction; where it does not bend down, as uncertain as the grid."""
        for left in reversed(range(_EXACT_STEPS)):
            axes = _axes(direction)
            steered = _Steered(columns * np.conj(self.wave(direction)), self._omega, axes @ self.delays_s.T)
            step = _newton_step(*steered.total(), self.spacing_rad)
            if step is None:
                break
            direction = _moved(step, axes)
            if left == 0 or math.hypot(*step) < _SMALL_STEP_RAD:
                return Peak(direction, self.shared * steered.covariance(step), steered.coherence())
        return Peak(direction, np.eye(2) * self.spacing_rad**2, steered.coherence())

    def _climb_coarse(self, correlations: Correlations, direction: FloatArray) -> FloatArray:
        """Newton's method on parabolas through the three correlations of each pair that are nearest."""
        flat = correlations.ravel()
        for _ in range(_COARSE_STEPS):
            axes = _axes(direction)
            a, b, lags = axes @ self._baselines.T
            nearest = np.rint(lags)
            left, middle, right = flat[self._rows + nearest.astype(np.int64) + _BESIDE]
            bend = right - 2.0 * middle + left
            slope = 0.5 * (right - left) + (lags - nearest) * bend
            back = slope @ lags  # as in `_Steered`
            bends = a @ (bend * a) - back, b @ (bend * b) - back, a @ (bend * b)
            step = _newton_step((slope @ a, slope @ b), bends, self.spacing_rad)
            if step is None:
                break
            direction = _moved(step, axes)
        return direction

    def wave(self, direction: FloatArray) -> Columns:
        """A plane wave from there at each microphone and frequency, `[M, K]`, of size one."""
        phases = (self.delays_s @ direction).astype(np.float32)[:, None] * self._omega
        wave = np.empty(phases.shape, np.complex64)
        np.cos(phases, out=wave.real)
        np.sin(phases, out=wave.imag)
        return wave

    def without(self, columns: Columns, directions: list[FloatArray]) -> Columns:
        """What is left when plane waves from these directions are projected out, column by column."""
        basis: list[Columns] = []
        for direction in directions:  # Gram and Schmidt, as each wave comes
            wave = _less(self.wave(direction), basis)
            basis.append(wave / np.sqrt(np.square(np.abs(wave)).sum(axis=0) + np.float32(1e-6)))
        return _less(columns, basis)

    def noise_sigma(self, columns: Columns) -> float:
        """Standard deviation of the power over the grid if all phases were random."""
        own = np.square(columns.real) + np.square(columns.imag)
        pairs = np.square(own.sum(axis=0)).sum() - np.square(own).sum()
        return 0.5 * math.sqrt(self.shared * max(float(pairs), 0.0))


class _Steered:
    """Spectra `[M, K]` aligned on one direction, and how the power of their sum changes with it.

    Delays `[3, M]` are those along the two axes and along the direction itself.

    With B the sum over microphones and S its moments over their delays along the axes, the power |B|² of a frequency ω
    has the slope 2ω Im(B* S) and the second derivatives 2ω² (Re(S* S) − Re(B* S²)) − 2ω Im(B* S_u): the tangent plane
    curves, so a step along it also leads back along the direction u itself.
    """

    def __init__(self, aligned: Columns, omega: NDArray[np.float32], delays_s: FloatArray) -> None:
        self._aligned = aligned
        a, b, _ = delays_s
        moments = np.concatenate([np.ones((1, len(a))), delays_s, [a * a, b * b, a * b]]).astype(np.float32)
        sums: Columns = (moments @ aligned.view(np.float32)).view(np.complex64)
        self._beam = sums[0]
        cross = np.conj(sums[0]) * sums[1:]
        twice, s_a, s_b = 2.0 * omega, sums[1], sums[2]
        self._slopes = twice * cross[:2].imag  # [2, K]
        self._bends = -cross[3:].real  # [3, K]: aa, bb, ab
        self._bends[0] += np.square(s_a.real) + np.square(s_a.imag)
        self._bends[1] += np.square(s_b.real) + np.square(s_b.imag)
        self._bends[2] += s_a.real * s_b.real + s_a.imag * s_b.imag
        self._bends *= twice * omega
        self._bends[:2] -= twice * cross[2].imag

    def total(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Slope (a, b) and second derivatives (aa, bb, ab) of the power of all frequencies."""
        return tuple(self._slopes.sum(axis=1).tolist()), tuple(self._bends.sum(axis=1).tolist())

    def covariance(self, step: tuple[float, float]) -> FloatArray:
        """White's sandwich `[2, 2]` (Econometrica 50, 1982) one step on: each frequency's slope is one witness.

        Two angles were fitted to as many witnesses as carry weight, so their scatter is that much too small.
        """
        aa, bb, ab = self._bends
        slopes = self._slopes + np.stack([aa * step[0] + ab * step[1], ab * step[0] + bb * step[1]])
        aa, bb, ab = self.total()[1]
        bread = np.array([[bb, -ab], [-ab, aa]]) / (aa * bb - ab * ab)
        weights = np.square(self._beam.real) + np.square(self._beam.imag)
        witnesses = float(weights.sum()) ** 2 / max(float(weights @ weights), 1e-30)
        covariance: FloatArray = bread @ (slopes @ slopes.T).astype(np.float64) @ bread
        return covariance * witnesses / max(witnesses - 2.0, 1.0)

    def coherence(self) -> float:
        """Mean coherence of the pairs, weighted, 0..1."""
        own = float(np.vdot(self._aligned, self._aligned).real)
        together = float(np.vdot(self._beam, self._beam).real)
        return min(max((together / max(own, 1e-30) - 1.0) / (len(self._aligned) - 1), 0.0), 1.0)


def _axes(direction: FloatArray) -> FloatArray:
    """Unit vectors of rising azimuth, of rising elevation, and the direction itself, `[3, 3]`."""
    east, north, up = direction.tolist()
    level = math.hypot(east, north)
    if level < 1e-9:
        return np.array([[1.0, 0.0, 0.0], [0.0, -1.0, 0.0], [0.0, 0.0, up]])
    x, y = east / level, north / level
    return np.array([[y, -x, 0.0], [-up * x, -up * y, level], [east, north, up]])


def _newton_step(slope: tuple[float, ...], bends: tuple[float, ...], longest: float) -> tuple[float, float] | None:
    """Along the two axes, from slope (a, b) and bends (aa, bb, ab); None where the power does not bend down."""
    (a, b), (aa, bb, ab) = slope, bends
    determinant = aa * bb - ab * ab
    if aa >= 0.0 or determinant <= 1e-9 * ab * ab:
        return None
    step = (ab * b - bb * a) / determinant, (ab * a - aa * b) / determinant
    shrunk = min(1.0, longest / max(math.hypot(*step), 1e-12))
    return step[0] * shrunk, step[1] * shrunk


def _moved(step: tuple[float, float], axes: FloatArray) -> FloatArray:
    moved: FloatArray = np.array([*step, 1.0]) @ axes
    return moved / math.sqrt(1.0 + step[0] ** 2 + step[1] ** 2)


def _less(columns: Columns, basis: list[Columns]) -> Columns:
    """Spectra without their parts along each of an orthonormal basis."""
    for each in basis:
        columns = columns - each * (np.conj(each) * columns).sum(axis=0)
    return columns


def _lag_product(omega: FloatArray, lags_s: FloatArray) -> NDArray[np.float32]:
    """`[2K, L]`: takes cross-spectra, real and imaginary parts in turn, to correlations at the lags."""
    angle = omega[:, None] * lags_s
    return np.stack([np.cos(angle), np.sin(angle)], axis=1).reshape(2 * len(omega), -1).astype(np.float32)


def _grid_product(nearest: NDArray[np.int64], lags: int) -> sparse.csr_array:
    """`[D, P·L]`: adds for each direction the correlations of all pairs at its nearest lags `[D, P]`."""
    count, pairs = nearest.shape
    columns = (nearest + np.arange(pairs) * lags).astype(np.int32)
    ones = np.ones(columns.size, np.float32)
    return sparse.csr_array((ones, columns.ravel(), np.arange(count + 1) * pairs), shape=(count, pairs * lags))
