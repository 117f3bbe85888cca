"""Where sound comes from: steered response power over any array of four or more microphones, several sources.

One window of samples becomes directions in four steps. Its spectra are whitened and weighted towards tones that stand
out of the floor, as rotors do. The cross-correlations of all pairs are computed at the few lags an array can have, and
one sparse matrix adds them up for every direction of a grid (SRP-PHAT: DiBiase, Silverman and Brandstein, in
"Microphone Arrays", 2001). Newton's method moves the best from the grid to the maximum of the exact steered power. A
source found is projected out of every frequency, and the next is looked for in what remains; then each is improved with
the others out (alternating projection: Ziskind and Wax, IEEE Trans. ASSP 36, 1988).

The covariance of a direction is White's sandwich (Econometrica 50, 1982): the slope of the steered power at each
frequency is one witness, and their disagreement is the error, whatever its cause, noise, echo or other sources.

Frames: ENU around the array's centre; radians, metres, hertz.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import fft, signal, sparse

from fusion.geometry import FloatArray, direction_to_angles

ComplexArray = NDArray[np.complex128]
Spectra = NDArray[np.complex64]

SPEED_OF_SOUND_MPS = 340.3  # at 15 °C
#: Samples per period of the highest frequency at which correlations are computed: linear between them.
_LAGS_PER_PERIOD = 6.0
#: Neighbouring bins of a Hann window share noise: 1 + 2 (ρ₁⁴ + …) with squared correlations 4/9 and 1/36.
_SHARED_BINS = 1.0 + 2.0 * (4.0 / 9.0 + 1.0 / 36.0)
_FLOOR_BINS = 32
_NEWTON_STEPS = 3
_TURNS = 3


@dataclass(frozen=True, slots=True)
class Direction:
    """One source of sound.

    Attributes:
        azimuth_rad, elevation_rad: where it is heard from.
        sigma_azimuth_rad, sigma_elevation_rad: standard deviations.
        score: 0..1, how alike the microphones hear what comes from there: 1 all of it, 0 not at all.
    """

    azimuth_rad: float
    elevation_rad: float
    sigma_azimuth_rad: float
    sigma_elevation_rad: float
    score: float


@dataclass(frozen=True, slots=True)
class DirectionSettings:
    """What is listened for.

    Attributes:
        lowest_hz, highest_hz: the band; it ends at 0.45 of the rate at most.
        grid: directions searched before the refinement.
        lowest_elevation_rad: nothing is looked for below.
        most_sources: in one window.
        least_deviation: how many standard deviations of pure noise a source must stand above it.
        strongest_weight: how many times more than the floor a tone may count.
        model_sigma_rad: what the array's own survey and the air add to every error.
    """

    lowest_hz: float = 150.0
    highest_hz: float = 4000.0
    grid: int = 1296
    lowest_elevation_rad: float = math.radians(-10.0)
    most_sources: int = 3
    least_deviation: float = 6.0
    strongest_weight: float = 30.0
    model_sigma_rad: float = math.radians(0.1)


class GeometryError(ValueError):
    """Microphones that cannot tell directions; one plain sentence."""


def check_geometry(microphones_m: ArrayLike) -> FloatArray:
    """Places `[M, 3]` around their centre.

    Raises:
        GeometryError: fewer than four, two in one place, all in one line, or further apart than 100 m.
    """
    places = np.asarray(microphones_m, np.float64)
    if places.ndim != 2 or places.shape[1] != 3 or len(places) < 4 or not np.isfinite(places).all():
        raise GeometryError("an array needs at least four microphones, each as [east, north, up] in metres")
    apart = [float(np.linalg.norm(places[i] - places[j])) for i, j in combinations(range(len(places)), 2)]
    if min(apart) < 1e-3:
        raise GeometryError("two microphones of the array are in one place: check the geometry")
    if max(apart) > 100.0:
        raise GeometryError("the microphones are more than 100 m apart: give their places in metres")
    centred: FloatArray = places - places.mean(axis=0)
    spread = np.linalg.svd(centred, compute_uv=False)
    if spread[1] < 0.02 * spread[0]:
        raise GeometryError("the microphones stand in one line, which cannot tell directions: move one out of it")
    return centred


def direction_grid(microphones_m: FloatArray, settings: DirectionSettings) -> FloatArray:
    """About `grid` unit vectors `[D, 3]`, evenly spread (Fibonacci's spiral) over where sources are looked for.

    An array in one plane hears a source and its mirror image alike: then only the upper side is searched.
    """
    lowest = math.sin(settings.lowest_elevation_rad)
    _, spread, axes = np.linalg.svd(microphones_m)
    flat = bool(spread[2] < 0.02 * spread[0])
    normal = axes[2] * (1.0 if axes[2][2] >= 0.0 else -1.0)
    share = 0.5 * (1.0 - lowest) if not flat or normal[2] < 0.99 else 0.5 * (1.0 - max(lowest, 0.0))
    count = round(settings.grid / (share if normal[2] >= 0.99 or not flat else 0.5))
    up = 1.0 - (2.0 * np.arange(count) + 1.0) / count
    turn = np.arange(count) * math.pi * (3.0 - math.sqrt(5.0))
    level = np.sqrt(1.0 - up * up)
    sphere = np.stack([level * np.cos(turn), level * np.sin(turn), up], axis=-1)
    wanted = up >= lowest
    if flat:
        wanted &= (sphere * normal).sum(axis=-1) >= 0.0
    return sphere[wanted]


class DirectionFinder:
    """Directions from windows of one array. Holds tables only, so one may serve any number of windows.

    Args:
        microphones_m: `[M, 3]`, ENU around anything.
        rate_hz: samples a second.
        window: samples in one look; a power of two is quickest.
        speed_mps: of sound.

    Raises:
        GeometryError: see `check_geometry`.
        ValueError: the rate is too low or the window too short for the band.
    """

    def __init__(
        self,
        microphones_m: ArrayLike,
        rate_hz: float,
        window: int = 4096,
        settings: DirectionSettings | None = None,
        speed_mps: float = SPEED_OF_SOUND_MPS,
    ) -> None:
        self.settings = settings or DirectionSettings()
        self.window = window
        places = check_geometry(microphones_m)
        self._delays_s = places / speed_mps  # of a wave along each axis
        self.band = _band(self.settings, rate_hz, window)
        self._omega = 2.0 * np.pi * rate_hz / window * np.arange(self.band.start, self.band.stop)
        self._taper = signal.windows.hann(window, sym=False).astype(np.float32)
        self._grid = direction_grid(places, self.settings)
        self._spacing = math.sqrt(4.0 * np.pi / self.settings.grid)
        self._first, self._second = np.array(list(combinations(range(len(places)), 2))).T
        lag_s = 1.0 / (_LAGS_PER_PERIOD * self._omega[-1] / (2.0 * np.pi))
        baselines_s = self._delays_s[self._first] - self._delays_s[self._second]
        most = math.ceil(float(np.sqrt(np.square(baselines_s).sum(axis=1)).max()) / lag_s) + 1
        self._to_lags = _lag_product(self._omega, np.arange(-most, most + 1) * lag_s)
        self._to_grid = _grid_product((self._grid @ baselines_s.T) / lag_s + most, 2 * most + 1)

    def find(self, samples: ArrayLike) -> tuple[Direction, ...]:
        """Sources in one window `[M, window]`, the strongest first; none where only noise is heard.

        Raises:
            ValueError: samples of another shape.
        """
        heard = np.asarray(samples, np.float32)
        if heard.shape != (len(self._delays_s), self.window):
            raise ValueError(f"expected samples of {len(self._delays_s)} microphones × {self.window}")
        spectra = whiten(fft.rfft(heard * self._taper)[:, self.band], self.settings.strongest_weight)
        found: list[FloatArray] = []
        while len(found) < self.settings.most_sources:
            direction = self._peak(self._without(spectra, found))
            if direction is None or not _apart(direction, found, 0.5 * self._spacing):
                break
            found.append(direction)
            self._improve_together(spectra, found)
        return tuple(self._described(self._without(spectra, _others(found, i)), u) for i, u in enumerate(found))

    def _improve_together(self, spectra: Spectra, found: list[FloatArray]) -> None:
        """Each source in turn with the others out: the first was found where two together seem to be."""
        for _ in range(_TURNS if len(found) > 1 else 0):
            for index, direction in enumerate(found):
                found[index] = self._improve(self._without(spectra, _others(found, index)), direction)

    def power(self, spectra: Spectra) -> FloatArray:
        """Steered power `[D]` of whitened spectra `[M, K]` over the grid, the microphones' own power left out."""
        cross = spectra[self._first] * np.conj(spectra[self._second])
        lags = cross.view(np.float32) @ self._to_lags
        power: FloatArray = self._to_grid @ lags.ravel()
        return power

    def _peak(self, spectra: Spectra) -> FloatArray | None:
        """The refined direction of the strongest source, or None where it may be noise."""
        power = self.power(spectra)
        best = int(power.argmax())
        if 2.0 * power[best] <= self.settings.least_deviation * _noise_sigma(spectra):
            return None
        return self._improve(spectra, self._grid[best])

    def _improve(self, spectra: Spectra, direction: FloatArray) -> FloatArray:
        """Newton's method on the tangent plane; it stays where the power does not bend down."""
        for _ in range(_NEWTON_STEPS):
            steered = self._steer(spectra, direction)
            slope, bend = steered.derivatives()
            step = _newton_step(slope.sum(axis=1), bend)
            if step is None:
                break
            length = math.hypot(*step)
            step *= min(1.0, self._spacing / max(length, 1e-12))
            direction = direction + step @ steered.axes
            direction = direction / math.sqrt(float(direction @ direction))
            if length < 1e-4:
                break
        return direction

    def _steer(self, spectra: Spectra, direction: FloatArray) -> _Steered:
        return _Steered(spectra * np.conj(self._wave(direction)), self._omega, self._delays_s, direction)

    def _wave(self, direction: FloatArray) -> Spectra:
        """A plane wave from there at each microphone and frequency, `[M, K]`, of size one."""
        phases = ((self._delays_s @ direction)[:, None] * self._omega).astype(np.float32)
        wave = np.empty(phases.shape, np.complex64)
        wave.real, wave.imag = np.cos(phases), np.sin(phases)
        return wave

    def _without(self, spectra: Spectra, directions: list[FloatArray]) -> Spectra:
        """What is left when plane waves from these directions are projected out, frequency by frequency."""
        basis: list[Spectra] = []
        for direction in directions:  # Gram and Schmidt, as each wave comes
            wave = _less(self._wave(direction), basis)
            basis.append(wave / np.sqrt(np.square(np.abs(wave)).sum(axis=0) + np.float32(1e-6)))
        return _less(spectra, basis)

    def _described(self, spectra: Spectra, direction: FloatArray) -> Direction:
        steered = self._steer(spectra, direction)
        covariance = steered.covariance(self._spacing) + np.eye(2) * self.settings.model_sigma_rad**2
        azimuth, elevation = direction_to_angles(direction)
        level = max(math.cos(float(elevation)), 1e-3)
        return Direction(
            azimuth_rad=float(azimuth),
            elevation_rad=float(elevation),
            sigma_azimuth_rad=min(math.sqrt(covariance[0, 0]) / level, math.pi),
            sigma_elevation_rad=min(math.sqrt(covariance[1, 1]), 0.5 * math.pi),
            score=steered.coherence(),
        )


class _Steered:
    """Spectra `[M, K]` aligned on one direction, and how the power of their sum changes with it."""

    def __init__(self, aligned: Spectra, omega: FloatArray, delays_s: FloatArray, direction: FloatArray) -> None:
        self._aligned, self.axes = aligned, _tangent_axes(direction)
        a, b = (delays_s @ self.axes.T).T
        moments = np.stack([np.ones(len(a)), a, b, a * a, b * b, a * b, delays_s @ direction]).astype(np.float32)
        sums = moments @ aligned
        turned = (1j * omega).astype(np.complex64)
        self._beam = sums[0]
        self._first = -turned * sums[1:3]
        # The tangent plane curves: a step along it also leads back along the direction itself.
        self._second = turned**2 * sums[3:6] + np.array([[1.0], [1.0], [0.0]], np.float32) * (turned * sums[6])

    def derivatives(self) -> tuple[FloatArray, FloatArray]:
        """Slope of each frequency's power `[2, K]` and the second derivative of their sum `[2, 2]`."""
        beam, d, dd = np.conj(self._beam), self._first, self._second
        slope = 2.0 * np.real(beam * d)
        aa, bb, ab = (
            2.0 * float(np.real(np.conj(d[i]) * d[j] + beam * dd[k]).sum())
            for i, j, k in ((0, 0, 0), (1, 1, 1), (0, 1, 2))
        )
        return slope, np.array([[aa, ab], [ab, bb]])

    def covariance(self, widest_rad: float) -> FloatArray:
        """Sandwich `[2, 2]` of the direction along the two axes; of the grid where the power does not bend down."""
        slope, bend = self.derivatives()
        if not _bends_down(bend):
            return np.eye(2) * widest_rad**2
        bread = np.linalg.inv(bend)
        covariance: FloatArray = bread @ (_SHARED_BINS * slope @ slope.T) @ bread
        return covariance

    def coherence(self) -> float:
        """Mean coherence of the pairs, weighted, 0..1."""
        count = len(self._aligned)
        own = float(np.square(np.abs(self._aligned)).sum())
        together = float(np.square(np.abs(self._beam)).sum())
        return min(max((together / max(own, 1e-30) - 1.0) / (count - 1), 0.0), 1.0)


def whiten(spectra: Spectra, strongest_weight: float) -> Spectra:
    """Spectra `[M, K]` of equal size in every frequency, times how far it stands out of the floor around it.

    A microphone louder than the others in a frequency (wind on it alone) is cut down to their mean; a softer one stays,
    so that two waves together remain the sum of two.
    """
    size = np.abs(spectra) + np.float32(1e-30)
    level = size.mean(axis=0)
    above = np.minimum(np.square(level / _floor(level)), strongest_weight)
    white: Spectra = spectra / np.maximum(size, level) * np.sqrt(above)
    return white


def _less(spectra: Spectra, basis: list[Spectra]) -> Spectra:
    """Spectra without their parts along each of an orthonormal basis."""
    for each in basis:
        spectra = spectra - each * (np.conj(each) * spectra).sum(axis=0)
    return spectra


def _floor(level: NDArray[np.float32]) -> NDArray[np.float32]:
    """The median of the neighbourhood of each frequency: lines do not move it."""
    width = min(_FLOOR_BINS, len(level))
    blocks = len(level) // width
    skipped = (len(level) - blocks * width) // 2
    parts = np.sort(level[skipped : skipped + blocks * width].reshape(blocks, width), axis=1)
    centres = skipped + (np.arange(blocks) + 0.5) * width
    return np.interp(np.arange(len(level)), centres, parts[:, width // 2]).astype(np.float32)


def _noise_sigma(spectra: Spectra) -> float:
    """Standard deviation of the steered power (without the microphones' own) if all phases were random."""
    own = np.square(np.abs(spectra))
    return math.sqrt(_SHARED_BINS * float((np.square(own.sum(axis=0)) - np.square(own).sum(axis=0)).sum()))


def _band(settings: DirectionSettings, rate_hz: float, window: int) -> slice:
    highest = min(settings.highest_hz, 0.45 * rate_hz)
    band = slice(math.ceil(settings.lowest_hz * window / rate_hz), math.floor(highest * window / rate_hz) + 1)
    if band.stop - band.start < 8:
        raise ValueError(
            f"{window} samples at {rate_hz:g} Hz hold too few frequencies from {settings.lowest_hz:g} Hz up"
        )
    return band


def _lag_product(omega: FloatArray, lags_s: FloatArray) -> NDArray[np.float32]:
    """`[2K, L]`: takes cross-spectra, real and imaginary parts in turn, to correlations at the lags."""
    angle = omega[:, None] * lags_s
    return np.stack([np.cos(angle), np.sin(angle)], axis=1).reshape(2 * len(omega), -1).astype(np.float32)


def _grid_product(places: FloatArray, lags: int) -> sparse.csr_array:
    """`[D, P·L]`: adds for each direction the correlations of all pairs at its lags `[D, P]`, linear between."""
    count, pairs = places.shape
    left = np.floor(places).astype(np.int64)
    share = places - left
    columns = np.stack([left, left + 1], axis=-1) + np.arange(pairs)[:, None] * lags
    values = np.stack([1.0 - share, share], axis=-1).astype(np.float32)
    rows = np.arange(count + 1) * (2 * pairs)
    return sparse.csr_array((values.ravel(), columns.ravel().astype(np.int32), rows), shape=(count, pairs * lags))


def _others(found: list[FloatArray], index: int) -> list[FloatArray]:
    return found[:index] + found[index + 1 :]


def _tangent_axes(direction: FloatArray) -> FloatArray:
    """Unit vectors of rising azimuth and of rising elevation, `[2, 3]`."""
    east, north, up = (float(v) for v in direction)
    level = math.hypot(east, north)
    if level < 1e-9:
        return np.array([[1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
    return np.array([[north / level, -east / level, 0.0], [-up * east / level, -up * north / level, level]])


def _bends_down(bend: FloatArray) -> bool:
    return bool(bend[0, 0] < 0.0 and bend[0, 0] * bend[1, 1] > bend[0, 1] ** 2 * (1.0 + 1e-9))


def _newton_step(slope: FloatArray, bend: FloatArray) -> FloatArray | None:
    if not _bends_down(bend):
        return None
    step: FloatArray = -np.linalg.solve(bend, slope).astype(np.float64)
    return step


def _apart(direction: FloatArray, others: list[FloatArray], least_rad: float) -> bool:
    return all(float(direction @ other) < math.cos(least_rad) for other in others)
