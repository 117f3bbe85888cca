"""Where sound comes from: directions over any array of four or more microphones, several sources, each with its sigma.

One window of samples becomes directions in three steps. It is turned into evidence (`evidence.py`): columns in which a
source leaves the phases of its plane wave. The best direction of a grid is improved to the maximum of the steered power
of that evidence (`steering.py`). A source found is projected out of every column, and the next is looked for in what
remains; then each is improved with the others out (alternating projection: Ziskind and Wax, IEEE Trans. ASSP 36, 1988).

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

from fusion.geometry import FloatArray, direction_to_angles
from fusion.sensors.microphone_array.evidence import HIGHEST_HZ, LOWEST_HZ, Evidence, Samples, Spectra
from fusion.sensors.microphone_array.steering import Columns, Peak, Steering

SPEED_OF_SOUND_MPS = 340.3  # at 15 °C
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
        lowest_hz, highest_hz: the band, of evidence made here; it ends at 0.45 of the rate at most.
        grid: directions searched before the refinement.
        lowest_elevation_rad: nothing is looked for below.
        most_sources: in one window.
        least_deviation: how many standard deviations of pure noise a source must stand above it.
        model_sigma_rad: what the array's own survey and the air add to every error.
    """

    lowest_hz: float = LOWEST_HZ
    highest_hz: float = HIGHEST_HZ
    grid: int = 1296
    lowest_elevation_rad: float = math.radians(-10.0)
    most_sources: int = 3
    least_deviation: float = 6.0
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
        evidence: what the directions are read from, made for that rate and window; whitened spectra where not given.

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
        evidence: Evidence | None = None,
    ) -> None:
        self.settings = settings or DirectionSettings()
        self.window = window
        places = check_geometry(microphones_m)
        band_hz = self.settings.lowest_hz, self.settings.highest_hz
        self.evidence = evidence or Spectra(rate_hz, window, band_hz)
        spacing_rad = math.sqrt(4.0 * np.pi / self.settings.grid)
        grid = direction_grid(places, self.settings)
        self._steering = Steering(places / speed_mps, self.evidence.omega, grid, spacing_rad, self.evidence.shared)

    def find(self, samples: ArrayLike) -> tuple[Direction, ...]:
        """Sources in one window `[M, window]`, the strongest first; none where only noise is heard.

        Raises:
            ValueError: samples of another shape.
        """
        heard: Samples = np.asarray(samples, np.float32)
        count = len(self._steering.delays_s)
        if heard.shape != (count, self.window):
            raise ValueError(f"expected samples of {count} microphones × {self.window}")
        columns = self.evidence(heard)
        found: list[Peak] = []
        while len(found) < self.settings.most_sources:
            peak = self._strongest(self._without(columns, found))
            if peak is None or not _apart(peak, found, 0.5 * self._steering.spacing_rad):
                break
            found.append(peak)
            self._improve_together(columns, found)
        return tuple(self._described(peak) for peak in found)

    def power(self, columns: Columns) -> NDArray[np.float32]:
        """Steered power `[D]` of evidence `[M, K]` over the grid, the microphones' own power left out."""
        return self._steering.power(self._steering.correlations(columns))

    def _strongest(self, columns: Columns) -> Peak | None:
        """The strongest source, or None where it may be noise."""
        correlations = self._steering.correlations(columns)
        power = self._steering.power(correlations)
        best = int(power.argmax())
        if power[best] <= self.settings.least_deviation * self._steering.noise_sigma(columns):
            return None
        return self._steering.peak(columns, correlations, best)

    def _improve_together(self, columns: Columns, found: list[Peak]) -> None:
        """Each source in turn with the others out: the first was found where two together seem to be."""
        for _ in range(_TURNS if len(found) > 1 else 0):
            for index, peak in enumerate(found):
                others = found[:index] + found[index + 1 :]
                found[index] = self._steering.climb(self._without(columns, others), peak.direction)

    def _without(self, columns: Columns, found: list[Peak]) -> Columns:
        return self._steering.without(columns, [peak.direction for peak in found])

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


def _apart(peak: Peak, others: list[Peak], least_rad: float) -> bool:
    return all(float(peak.direction @ other.direction) < math.cos(least_rad) for other in others)
