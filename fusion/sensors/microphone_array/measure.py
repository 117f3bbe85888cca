"""Where sound comes from: directions over any array of four or more microphones, several sources, each with its sigma.

One window of samples becomes directions in three steps. It is turned into evidence: complex columns over microphones in
which a source leaves the phases of its plane wave. The best direction of a grid is improved to the maximum of the
steered power of that evidence (`steering.py`). A source found is projected out of every column, and the next is looked
for in what remains; then each is improved with the others out (alternating projection: Ziskind and Wax, IEEE Trans.
ASSP 36, 1988).

There are two kinds of evidence. `Method.SPECTRA`: the window's spectra, whitened and weighted towards tones that stand
out of the floor, as rotors do. `Method.SUBSPACE`: per frequency the strongest eigenvectors of the covariance of shorter
windows, which tells sources apart by how they vary (`subspace.py`).

The covariance of a direction is White's sandwich (Econometrica 50, 1982): the slope of the steered power at each
frequency is one witness, and their disagreement is the error, whatever its cause, noise, echo or other sources.

Frames: ENU around the array's centre; radians, metres, hertz.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import fft, signal

from fusion.geometry import FloatArray, direction_to_angles
from fusion.sensors.microphone_array.steering import Peak, Spectra, Steering
from fusion.sensors.microphone_array.subspace import frames_of, signal_subspace

SPEED_OF_SOUND_MPS = 340.3  # at 15 °C
#: Neighbouring bins of a Hann window share noise: 1 + 2 (ρ₁⁴ + …) with squared correlations 4/9 and 1/36.
_SHARED_BINS = 1.0 + 2.0 * (4.0 / 9.0 + 1.0 / 36.0)
_FLOOR_BINS = 32
_TURNS = 3
_PARTS = 4  # a frame of the subspace method is that much shorter than the window


class Method(StrEnum):
    """What the directions are read from."""

    SPECTRA = "spectra"
    SUBSPACE = "subspace"


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
        method: what the directions are read from.
    """

    lowest_hz: float = 150.0
    highest_hz: float = 4000.0
    grid: int = 1296
    lowest_elevation_rad: float = math.radians(-10.0)
    most_sources: int = 3
    least_deviation: float = 6.0
    strongest_weight: float = 30.0
    model_sigma_rad: float = math.radians(0.1)
    method: Method = Method.SPECTRA


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
        subspace = self.settings.method is Method.SUBSPACE
        transform = window // _PARTS if subspace else window
        self._band = _band(self.settings, rate_hz, transform)
        self._taper = signal.windows.hann(transform, sym=False).astype(np.float32)
        omega = 2.0 * np.pi * rate_hz / transform * np.arange(self._band.start, self._band.stop)
        self._steering = Steering(
            places / speed_mps,
            np.repeat(omega, self.settings.most_sources) if subspace else omega,
            direction_grid(places, self.settings),
            math.sqrt(4.0 * np.pi / self.settings.grid),
            _SHARED_BINS,
        )

    def find(self, samples: ArrayLike) -> tuple[Direction, ...]:
        """Sources in one window `[M, window]`, the strongest first; none where only noise is heard.

        Raises:
            ValueError: samples of another shape.
        """
        heard = np.asarray(samples, np.float32)
        count = len(self._steering.delays_s)
        if heard.shape != (count, self.window):
            raise ValueError(f"expected samples of {count} microphones × {self.window}")
        spectra = self.spectra(heard)
        found: list[Peak] = []
        while len(found) < self.settings.most_sources:
            peak = self._strongest(self._without(spectra, found))
            if peak is None or not _apart(peak, found, 0.5 * self._steering.spacing_rad):
                break
            found.append(peak)
            self._improve_together(spectra, found)
        return tuple(self._described(peak) for peak in found)

    def spectra(self, samples: NDArray[np.float32]) -> Spectra:
        """The evidence `[M, K]` in a window `[M, window]`."""
        if self.settings.method is Method.SUBSPACE:
            framed = fft.rfft(frames_of(samples, len(self._taper)) * self._taper)[..., self._band]
            return signal_subspace(framed, self.settings.most_sources)
        return whiten(fft.rfft(samples * self._taper)[:, self._band], self.settings.strongest_weight)

    def power(self, spectra: Spectra) -> NDArray[np.float32]:
        """Steered power `[D]` of evidence `[M, K]` over the grid, the microphones' own power left out."""
        return self._steering.power(self._steering.correlations(spectra))

    def _strongest(self, spectra: Spectra) -> Peak | None:
        """The strongest source, or None where it may be noise."""
        correlations = self._steering.correlations(spectra)
        power = self._steering.power(correlations)
        best = int(power.argmax())
        if power[best] <= self.settings.least_deviation * self._steering.noise_sigma(spectra):
            return None
        return self._steering.peak(spectra, correlations, best)

    def _improve_together(self, spectra: Spectra, found: list[Peak]) -> None:
        """Each source in turn with the others out: the first was found where two together seem to be."""
        for _ in range(_TURNS if len(found) > 1 else 0):
            for index, peak in enumerate(found):
                others = found[:index] + found[index + 1 :]
                found[index] = self._steering.climb(self._without(spectra, others), peak.direction)

    def _without(self, spectra: Spectra, found: list[Peak]) -> Spectra:
        return self._steering.without(spectra, [peak.direction for peak in found])

    def _described(self, peak: Peak) -> Direction:
        variance = np.diag(peak.covariance) + self.settings.model_sigma_rad**2
        azimuth, elevation = (float(angle) for angle in direction_to_angles(peak.direction))
        level = max(math.cos(elevation), 1e-3)
        return Direction(
            azimuth_rad=azimuth,
            elevation_rad=elevation,
            sigma_azimuth_rad=min(math.sqrt(variance[0]) / level, math.pi),
            sigma_elevation_rad=min(math.sqrt(variance[1]), 0.5 * math.pi),
            score=peak.coherence,
        )


def whiten(spectra: Spectra, strongest_weight: float) -> Spectra:
    """Spectra `[M, K]` of equal size in every frequency, times how far it stands out of the floor around it.

    A microphone louder than the others in a frequency (wind on it alone) is cut down to their mean; a softer one stays,
    so that two waves together remain the sum of two.
    """
    size = np.abs(spectra) + np.float32(1e-30)
    level = size.mean(axis=0)
    above = np.minimum(np.square(level / _floor(level)), strongest_weight)
    white: Spectra = spectra * (np.sqrt(above) / np.maximum(size, level))
    return white


def _floor(level: NDArray[np.float32]) -> NDArray[np.float32]:
    """The median of the neighbourhood of each frequency: lines do not move it."""
    width = min(_FLOOR_BINS, len(level))
    blocks = len(level) // width
    skipped = (len(level) - blocks * width) // 2
    parts = np.sort(level[skipped : skipped + blocks * width].reshape(blocks, width), axis=1)
    centres = skipped + (np.arange(blocks) + 0.5) * width
    return np.interp(np.arange(len(level)), centres, parts[:, width // 2]).astype(np.float32)


def _band(settings: DirectionSettings, rate_hz: float, window: int) -> slice:
    highest = min(settings.highest_hz, 0.45 * rate_hz)
    band = slice(math.ceil(settings.lowest_hz * window / rate_hz), math.floor(highest * window / rate_hz) + 1)
    if band.stop - band.start < 8:
        raise ValueError(
            f"{window} samples at {rate_hz:g} Hz hold too few frequencies from {settings.lowest_hz:g} Hz up"
        )
    return band


def _apart(peak: Peak, others: list[Peak], least_rad: float) -> bool:
    return all(float(peak.direction @ other.direction) < math.cos(least_rad) for other in others)
