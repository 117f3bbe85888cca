"""A notch for what always stands there and hums, pumps, fans, generators, by direction and frequency; it learns itself.

Who is heard from one place, with the same tones, for most of two minutes while nothing flies is fixed. From then on
what comes from there with those tones is told apart from what flies; other tones from there, and these from elsewhere,
are heard as before.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fusion.geometry import FloatArray

LOWEST_HZ, BANDS_PER_OCTAVE, BANDS = 100.0, 12, 64  # to 4 kHz
_TONE = 10.0  # a tone's power over that of the frequencies around it
_FROM_THERE = 0.7  # of a frequency's power, at the least
_AROUND = 33  # of them

SURE_S = 120.0
PRESENT = 0.6  # of the time
NEAR_RAD = math.radians(5.0)
TONES_SHARED = 0.6
FORGOTTEN_S = 3600.0
MOST = 32  # candidates; the one heard least goes

Tones = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Emitter:
    """A fixed emitter: unit vector towards it, and the bands `[BANDS]` of its tones."""

    direction: FloatArray
    tones: Tones


def tones_from(
    spectra: NDArray[np.complex128], frequency: FloatArray, delays_s: FloatArray, towards: FloatArray
) -> Tones:
    """Bands `[BANDS]` with a tone in the sum of microphones turned towards a direction (delay and sum). Waves much
    longer than the array seem to come from everywhere.

    Args:
        spectra: `[M, K]` at `frequency` `[K]`, Hz.
        delays_s: `[M, 3]`, places over the speed of sound.
        towards: unit vector `[3]`.
    """
    turned = np.exp(-2j * np.pi * frequency * (delays_s @ towards)[:, None])
    power = np.square(np.abs((spectra * turned).sum(axis=0)))
    around = ndimage.median_filter(power, _AROUND)
    whole = len(spectra) * np.square(np.abs(spectra)).sum(axis=0)  # what the sum could be, were it all from there
    stands_out = (
        (power > _TONE * around) & (power > _FROM_THERE * whole) & (power >= ndimage.maximum_filter1d(power, 3))
    )
    band = np.floor(BANDS_PER_OCTAVE * np.log2(np.maximum(frequency, 1.0) / LOWEST_HZ)).astype(int)
    tones = np.zeros(BANDS, bool)
    tones[band[stands_out & (band >= 0) & (band < BANDS)]] = True
    return tones


@dataclass(slots=True)
class _Candidate:
    """A place that something was heard from; `looks` since, and in how many it was heard, with which tones."""

    direction: FloatArray
    looks: int = 0
    heard: int = 0
    silent: int = 0  # looks since it was heard last
    tones: FloatArray = field(default_factory=lambda: np.zeros(BANDS))

    def hear(self, direction: FloatArray, tones: Tones) -> None:
        self.heard += 1
        self.silent = 0
        share = max(1.0 / self.heard, 0.01)
        moved = self.direction + share * (direction - self.direction)
        self.direction = moved / np.sqrt((moved * moved).sum())
        self.tones += share * (tones - self.tones)


class FixedEmitters:
    """Learns the fixed emitters of one array.

    Args:
        step_s: from one look to the next.
    """

    def __init__(self, step_s: float) -> None:
        self._sure = round(SURE_S / step_s)
        self._forgotten = round(FORGOTTEN_S / step_s)
        self._candidates: list[_Candidate] = []

    @property
    def emitters(self) -> tuple[Emitter, ...]:
        """Those that are sure."""
        return tuple(Emitter(each.direction, each.tones > 0.5) for each in self._candidates if self._is_sure(each))

    def step(self, heard: Sequence[tuple[FloatArray, Tones]], flying: bool) -> tuple[bool, ...]:
        """Which of the directions with their tones are of fixed emitters; learns from them unless something flies."""
        emitters = self.emitters
        if not flying:
            self._learn(heard)
        return tuple(any(_is_of(emitter, *each) for emitter in emitters) for each in heard)

    def _is_sure(self, each: _Candidate) -> bool:
        return each.looks >= self._sure and each.heard >= PRESENT * self._sure

    def _learn(self, heard: Sequence[tuple[FloatArray, Tones]]) -> None:
        for each in self._candidates:
            each.looks += 1
            each.silent += 1
        for direction, tones in heard:
            near = [each for each in self._candidates if _near(each.direction, direction)]
            if not near:
                near = [_Candidate(direction)]
                self._candidates.append(near[0])
            near[0].hear(direction, tones)
        self._candidates = [each for each in self._candidates if not self._passed(each)]
        self._candidates.sort(key=lambda each: -each.heard)
        del self._candidates[MOST:]

    def _passed(self, each: _Candidate) -> bool:
        """It was heard too seldom to be fixed, or has stood still for long."""
        if self._is_sure(each):
            return each.silent > self._forgotten
        return each.heard < PRESENT * each.looks and each.looks > 0.1 * self._sure


def _near(a: FloatArray, b: FloatArray) -> bool:
    return float((a * b).sum()) > math.cos(NEAR_RAD)


def _is_of(emitter: Emitter, direction: FloatArray, tones: Tones) -> bool:
    """It comes from there, and most of its tones are the emitter's or beside one (rpm varies by a few per cent)."""
    if not _near(emitter.direction, direction):
        return False
    if not tones.any():
        return not emitter.tones.any()
    beside = ndimage.binary_dilation(emitter.tones)
    return bool((tones & beside).sum() >= TONES_SHARED * tones.sum())
