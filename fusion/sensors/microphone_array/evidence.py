"""What directions are read from: complex columns over microphones in which a source leaves its plane wave's phases.

`Spectra` of one window, whitened and weighted towards tones that stand out of the floor, as rotors do; the quickest.
`Subspace`: per frequency the strongest eigenvectors of the covariance over shorter windows, in which sources show that
vary by themselves (MUSIC: Schmidt, IEEE Trans. AP 34, 1986). Fitting plane waves to eigenvectors, weighted by how far
they stand out of the noise, is weighted subspace fitting (Viberg and Ottersten, IEEE Trans. SP 39, 1991). A learned one
is in `models.acoustic_directions`.
"""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import fft, signal

from fusion.geometry import FloatArray
from fusion.sensors.microphone_array.steering import Columns

Samples = NDArray[np.float32]

LOWEST_HZ, HIGHEST_HZ = 150.0, 4000.0
#: Neighbouring bins of a Hann window share noise: 1 + 2 (ρ₁⁴ + …) with squared correlations 4/9 and 1/36.
SHARED_BINS = 1.0 + 2.0 * (4.0 / 9.0 + 1.0 / 36.0)
_FLOOR_BINS = 32
_STRONGEST_WEIGHT = 30.0
_PARTS = 4  # a frame of the subspace is that much shorter than the window


class Evidence(Protocol):
    """Columns `[M, K]` from a window of samples `[M, N]`.

    Attributes:
        omega: `[K]` angular frequency of each column.
        shared: how much more a sum over columns varies because neighbours share noise, as a ratio of variances.
    """

    @property
    def omega(self) -> FloatArray: ...

    @property
    def shared(self) -> float: ...

    def __call__(self, samples: Samples) -> Columns: ...


class Spectra:
    """Whitened spectra of the whole window.

    Args:
        rate_hz, window: samples a second, and in one look.
        strongest_weight: how many times more than the floor a tone may count.

    Raises:
        ValueError: the rate is too low or the window too short for the band.
    """

    shared = SHARED_BINS

    def __init__(
        self,
        rate_hz: float,
        window: int,
        band_hz: tuple[float, float] = (LOWEST_HZ, HIGHEST_HZ),
        strongest_weight: float = _STRONGEST_WEIGHT,
    ) -> None:
        self._band, self.omega = _band(rate_hz, window, band_hz)
        self._taper = signal.windows.hann(window, sym=False).astype(np.float32)
        self._strongest_weight = strongest_weight

    def __call__(self, samples: Samples) -> Columns:
        return whiten(fft.rfft(samples * self._taper)[:, self._band], self._strongest_weight)


class Subspace:
    """The strongest eigenvectors of each frequency.

    Args:
        most: eigenvectors of a frequency, one for each source that may be there.

    Raises:
        ValueError: the rate is too low or the window too short for the band.
    """

    shared = SHARED_BINS

    def __init__(
        self, rate_hz: float, window: int, band_hz: tuple[float, float] = (LOWEST_HZ, HIGHEST_HZ), most: int = 3
    ) -> None:
        length = window // _PARTS
        self._band, omega = _band(rate_hz, length, band_hz)
        self.omega = np.repeat(omega, most)
        self._taper = signal.windows.hann(length, sym=False).astype(np.float32)
        self._most = most

    def __call__(self, samples: Samples) -> Columns:
        length = len(self._taper)
        frames = np.lib.stride_tricks.sliding_window_view(samples, length, axis=1)[:, :: length // 2]
        return strongest_eigenvectors(fft.rfft(frames * self._taper)[..., self._band], self._most)


def whiten(spectra: Columns, strongest_weight: float) -> Columns:
    """Spectra `[M, K]` of equal size in every frequency, times how far it stands out of the floor around it.

    A microphone louder than the others in a frequency (wind on it alone) is cut down to their mean; a softer one stays,
    so that two waves together remain the sum of two.
    """
    size = np.abs(spectra) + np.float32(1e-30)
    level = size.mean(axis=0)
    above = np.minimum(np.square(level / _floor(level)), strongest_weight)
    white: Columns = spectra * (np.sqrt(above) / np.maximum(size, level))
    return white


def strongest_eigenvectors(spectra: Columns, most: int) -> Columns:
    """The `most` strongest eigenvectors of each frequency `[M, K·most]` of spectra `[M, F, K]` of F frames, weighted.

    Each channel has the same power in every frequency first: wind blows on one microphone at a time. The weight of an
    eigenvector of value λ in noise of variance σ² is (λ − σ²)²/λ; its power is that weight.
    """
    level = np.sqrt(np.square(np.abs(spectra)).mean(axis=1, keepdims=True)) + np.float32(1e-30)
    each = (spectra / level).transpose(2, 0, 1)
    values, vectors = np.linalg.eigh(each @ np.conj(each.swapaxes(1, 2)) / np.float32(spectra.shape[1]))
    noise = np.maximum(values[:, :-most].mean(axis=1, keepdims=True), 0.0)
    strongest = values[:, -most:]
    weights = np.maximum(strongest - noise, 0.0) / np.sqrt(np.maximum(strongest, 1e-6))
    columns = (vectors[:, :, -most:] * weights[:, None, :]).transpose(1, 0, 2)
    return np.ascontiguousarray(columns.reshape(len(spectra), -1), np.complex64)


def _floor(level: NDArray[np.float32]) -> NDArray[np.float32]:
    """The median of the neighbourhood of each frequency: lines do not move it."""
    width = min(_FLOOR_BINS, len(level))
    blocks = len(level) // width
    skipped = (len(level) - blocks * width) // 2
    parts = np.sort(level[skipped : skipped + blocks * width].reshape(blocks, width), axis=1)
    centres = skipped + (np.arange(blocks) + 0.5) * width
    return np.interp(np.arange(len(level)), centres, parts[:, width // 2]).astype(np.float32)


def _band(rate_hz: float, window: int, band_hz: tuple[float, float]) -> tuple[slice, FloatArray]:
    """The bins of a band, which ends at 0.45 of the rate at most, and their angular frequencies."""
    lowest, highest = band_hz[0], min(band_hz[1], 0.45 * rate_hz)
    band = slice(math.ceil(lowest * window / rate_hz), math.floor(highest * window / rate_hz) + 1)
    if band.stop - band.start < 8:
        raise ValueError(f"{window} samples at {rate_hz:g} Hz hold too few frequencies from {lowest:g} Hz up")
    return band, 2.0 * np.pi * rate_hz / window * np.arange(band.start, band.stop, dtype=np.float64)
