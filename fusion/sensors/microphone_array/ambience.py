"""What surrounds an array while nothing is looked for: how loud it is, its noise floor, and whether wind masks it.

A pure fold over windows of spectra. Levels are dB of the mean square, 0 dB is a full-scale square wave.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from fusion.geometry import FloatArray

#: Centres of third octaves, Hz (IEC 61260-1, base ten).
CENTRES_HZ = tuple(round(10.0 ** (n / 10.0), 1) for n in range(17, 40))
FLOOR_S = 60  # seconds whose least is the floor: longer than a drone passes over
_LEAST_POWER = 1e-14

WIND_LOW_HZ, WIND_MIDDLE_HZ, WIND_HIGH_HZ = (30.0, 150.0), (150.0, 600.0), (2000.0, 4000.0)
WIND_COHERENCE = 0.3  # between microphones; a wave has near 1, eddies have none
WIND_SLOPE_DB = 10.0  # low over high, in density; wind falls by 26 dB between the two, a microphone's own noise by few
WIND_LEAST_DB = -75.0  # softer, it is the microphones' own noise
WIND_MEMORY_S, WIND_BEGINS_S, WIND_ENDS_S = 1.0, 2.0, 5.0


def decibels(power: ArrayLike) -> FloatArray:
    """Of mean squares."""
    level: FloatArray = 10.0 * np.log10(np.maximum(np.asarray(power, np.float64), _LEAST_POWER))
    return level


@dataclass(frozen=True, slots=True)
class Ambience:
    """How an array's surroundings sound at one moment.

    Attributes:
        level_db: of the middle microphone, all frequencies.
        band_db, floor_db: `[B]` of the third octaves at `CENTRES_HZ` as far as the rate goes, and their noise floors.
        coherence: 0..1 between microphones at the frequencies of wind.
        windy: eddies at the microphones are louder than anything from afar.
    """

    level_db: float
    band_db: FloatArray
    floor_db: FloatArray
    coherence: float
    windy: bool

    @property
    def noise_floor_db(self) -> float:
        """Level of the noise floor, all bands."""
        return float(decibels((10.0 ** (self.floor_db / 10.0)).sum()))

    @property
    def excess_db(self) -> float:
        """How far the loudest band stands above its floor."""
        return float((self.band_db - self.floor_db).max())


class Surroundings:
    """Follows one array's ambience.

    Args:
        rate_hz, window: of the samples, and how many are in a look.
        step_s: from one look to the next.
    """

    def __init__(self, rate_hz: float, window: int, step_s: float) -> None:
        self._taper = np.hanning(window + 1)[:-1].astype(np.float32)
        self._scale = 2.0 / (float(np.square(self._taper).sum()) * window)
        frequency: FloatArray = np.arange(window // 2 + 1, dtype=np.float64) * (rate_hz / window)
        self._bands = _third_octaves(frequency)
        self._floor = NoiseFloor(self._bands.sum(axis=1), step_s)
        self._wind = Wind(frequency, step_s)

    def step(self, samples: NDArray[np.float32], learn: bool = True) -> Ambience:
        """The ambience after one more window `[M, window]`.

        Args:
            learn: nothing flies, so that what is heard may belong to the floor.
        """
        spectra = np.fft.rfft(samples * self._taper)
        power = np.square(np.abs(spectra)) * self._scale
        band = np.median(power @ self._bands.T, axis=0)
        floor = self._floor.step(band, learn)
        windy = self._wind.step(spectra * math.sqrt(self._scale))
        level_db = float(decibels(np.median(np.square(samples).mean(axis=1))))
        return Ambience(level_db, decibels(band), decibels(floor), self._wind.coherence, windy)


class NoiseFloor:
    """Minimum statistics (Martin, IEEE Trans. Speech Audio Process. 9, 2001): the floor of a band is the least of its
    seconds within the last minute, raised to their mean by how much the least of so many lies below it.

    Args:
        bins: `[B]`, frequencies in each band: with the looks of a second they say how much a second's mean scatters.
        step_s: from one look to the next.
    """

    def __init__(self, bins: ArrayLike, step_s: float) -> None:
        self._looks = max(round(1.0 / step_s), 1)
        # A Hann window ties neighbouring bins: two thirds of them are free (Welch, 1967).
        self._freedom = np.maximum(2.0 * np.asarray(bins, np.float64) * self._looks / 1.5, 2.0)
        self._seconds: deque[FloatArray] = deque(maxlen=FLOOR_S)
        self._sum = np.zeros(len(self._freedom))
        self._count = 0

    def step(self, power: FloatArray, learn: bool) -> FloatArray:
        """The floors `[B]` after one more look at the powers `[B]`."""
        if learn:
            self._sum += power
            self._count += 1
            if self._count == self._looks:
                self._seconds.append(self._sum / self._count)
                self._sum, self._count = np.zeros_like(power), 0
        if not self._seconds:
            return power if not self._count else self._sum / self._count
        floor: FloatArray = np.min(self._seconds, axis=0) / self._least_share(len(self._seconds))
        return floor

    def _least_share(self, count: int) -> FloatArray:
        """The median of the least of `count` means of so many degrees of freedom, as a share of what they are of."""
        chance = 1.0 - 0.5 ** (1.0 / count)
        share: FloatArray = 2.0 * special.gammaincinv(0.5 * self._freedom, chance) / self._freedom
        return share


class Wind:
    """Low sound that microphones do not share: eddies are smaller than an array, waves of 100 Hz are longer than it.

    Args:
        frequency: `[K]` Hz.
        step_s: from one look to the next.
    """

    def __init__(self, frequency: FloatArray, step_s: float) -> None:
        self.coherence = 1.0
        self._step_s = step_s
        self._share = 1.0 - math.exp(-step_s / WIND_MEMORY_S)
        self._low, self._middle, self._high = (
            slice(*np.searchsorted(frequency, band).tolist()) for band in (WIND_LOW_HZ, WIND_MIDDLE_HZ, WIND_HIGH_HZ)
        )
        self._cross: NDArray[np.complex128] | None = None  # [K, M, M] of low and middle frequencies
        self._high_density = 0.0
        self._windy = False
        self._other_s = 0.0  # for how long it has looked otherwise

    def step(self, spectra: NDArray[np.complex128]) -> bool:
        """Whether wind masks what there is, after one more look at spectra `[M, K]` (|·|² adds up to mean squares)."""
        near = spectra[:, self._low.start : self._middle.stop].T
        cross = near[:, :, None] * np.conj(near[:, None, :])
        high = float(np.square(np.abs(spectra[:, self._high])).mean()) if self._high.stop > self._high.start else 0.0
        if self._cross is None:
            self._cross, self._high_density = cross, high
        self._cross += self._share * (cross - self._cross)
        self._high_density += self._share * (high - self._high_density)
        self._other_s = self._other_s + self._step_s if self._looks_windy() != self._windy else 0.0
        if self._other_s >= (WIND_ENDS_S if self._windy else WIND_BEGINS_S):
            self._windy, self._other_s = not self._windy, 0.0
        return self._windy

    def _looks_windy(self) -> bool:
        assert self._cross is not None
        split = self._low.stop - self._low.start
        low, middle = self._cross[:split], self._cross[split:]
        self.coherence = _coherence(low)
        density = float(np.real(np.einsum("kmm->", low))) / max(low.shape[0] * low.shape[1], 1)
        return bool(
            max(self.coherence, _coherence(middle)) < WIND_COHERENCE
            and decibels(density * split) > WIND_LEAST_DB
            and decibels(density) - decibels(self._high_density) > WIND_SLOPE_DB
        )


def _coherence(cross: NDArray[np.complex128]) -> float:
    """Magnitude-squared coherence of all pairs of cross-spectra `[K, M, M]`, weighted by power."""
    own = np.real(np.einsum("kmm->km", cross))
    pairs = np.square(own.sum(axis=1)) - np.square(own).sum(axis=1)
    shared = np.square(np.abs(cross)).sum(axis=(1, 2)) - np.square(own).sum(axis=1)
    return float(shared.sum() / max(float(pairs.sum()), 1e-300))


def _third_octaves(frequency: FloatArray) -> FloatArray:
    """`[B, K]`: one where a frequency lies in a band; bands without one are left out."""
    centres = np.array(CENTRES_HZ)[:, None]
    inside = (frequency >= centres * 10.0**-0.05) & (frequency < centres * 10.0**0.05)
    bands: FloatArray = inside[inside.any(axis=1)].astype(np.float64)
    return bands
