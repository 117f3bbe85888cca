"""Whether an array's stated geometry can be that of what it hears.

A plane wave reaches two microphones as far apart in time as they are apart along its way. So the delays of all pairs,
measured without any geometry, and the stated places give the speed of sound by least squares: another speed than air
has means places in another unit, or another sample rate; delays that no plane wave has mean other places.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import fft, ndimage

from fusion.geometry import FloatArray

SLOWEST_MPS, FASTEST_MPS = 300.0, 375.0  # −50 °C to 75 °C: wind and a coarse survey are in it
_SURE = 3  # windows that say the same
_FITS = 0.1  # residual over size of the delays
_CLEAR, _ALONE = 0.4, 0.6  # height of a pair's peak, 1 for the same sound twice: where one source may be, and is alone
_FARTHER = 4.0  # times the stated distance that delays are looked for
_NEARLY = 0.8  # of the highest: rotors sound again and again, and the first time counts
_OVERSAMPLING = 4
_BAND_HZ = (150.0, 4000.0)
_AROUND = 65
_STRONGEST = 30.0  # times the floor that a tone may count


@dataclass(frozen=True, slots=True)
class Survey:
    """What is wrong with the places of the microphones: a sentence, empty where nothing shows it; and two microphones
    whose exchange would put all in order."""

    fault: str = ""
    swapped: tuple[int, int] | None = None


class _Delays(NamedTuple):
    """How much later the first of each pair hears a wave than the second `[P]`, and how alike they hear it."""

    lags_s: FloatArray
    height: float


def survey(windows: Iterable[NDArray[np.float32]], microphones_m: ArrayLike, rate_hz: float) -> Survey:
    """What windows `[M, N]` in which something may be heard say of the places `[M, 3]`.

    Only windows count in which one clear wave passes: silence, noise and several sources at once tell nothing.
    """
    places = np.asarray(microphones_m, np.float64)
    found = (_delays(window, places, rate_hz) for window in windows)
    clear = [delays for delays in found if delays is not None]
    speeds = _speeds(clear, places)
    if len(speeds) >= _SURE:
        return Survey(_wrong_speed(float(np.median(speeds)), _is_flat(places)))
    alone = [delays for delays in clear if delays.height > _ALONE]
    if speeds or len(alone) < _SURE:
        return Survey()
    for pair in combinations(range(len(places)), 2):
        exchanged = places.copy()
        exchanged[list(pair)] = places[list(reversed(pair))]
        mended = _speeds(alone, exchanged)
        if len(mended) >= _SURE and not _wrong_speed(float(np.median(mended)), _is_flat(places)):
            return Survey(swapped=pair)
    return Survey("what the microphones hear fits none of their places: check their order and the geometry")


def _wrong_speed(speed_mps: float, flat: bool) -> str:
    if SLOWEST_MPS <= speed_mps <= FASTEST_MPS or (flat and speed_mps > FASTEST_MPS):
        return ""
    return (
        f"sound seems to pass at {speed_mps:.0f} m/s: the microphones' places are not in metres, or the sample rate is "
        "another one"
    )


def _speeds(clear: Sequence[_Delays], places: FloatArray) -> list[float]:
    """m/s of the plane waves, by least squares, that have the delays of windows; of those that fit."""
    first, second = np.array(list(combinations(range(len(places)), 2))).T
    baselines = places[first] - places[second]
    speeds = []
    for lags_s, _ in clear:
        slowness, *_ = np.linalg.lstsq(baselines, lags_s)
        size, missed = (float(np.square(v).sum()) for v in (lags_s, lags_s - baselines @ slowness))
        if missed < _FITS**2 * size:
            speeds.append(1.0 / float(np.sqrt(np.square(slowness).sum())))
    return speeds


def _is_flat(places: FloatArray) -> bool:
    """An array in one plane hears what comes from above it pass faster than sound."""
    spread = np.linalg.svd(places - places.mean(axis=0), compute_uv=False)
    return bool(spread[2] < 0.02 * spread[0])


def _delays(window: NDArray[np.float32], places: FloatArray, rate_hz: float) -> _Delays | None:
    """Delays of all pairs by cross-correlation; None: no clear wave, or straight from where it reaches all at once."""
    first, second = np.array(list(combinations(range(len(places)), 2))).T
    baselines = places[first] - places[second]
    length = window.shape[1]
    frequency = np.fft.rfftfreq(2 * length, 1.0 / rate_hz)
    band = (frequency > _BAND_HZ[0]) & (frequency < min(_BAND_HZ[1], 0.45 * rate_hz))
    evidence = np.zeros((len(places), len(frequency)), np.complex128)
    evidence[:, band] = _whitened(fft.rfft(window * np.hanning(length), 2 * length)[:, band])
    cross = evidence[first] * np.conj(evidence[second])
    correlation = fft.irfft(cross, 2 * length * _OVERSAMPLING)
    rate = rate_hz * _OVERSAMPLING
    most = min(int(_FARTHER * np.sqrt(np.square(baselines).sum(axis=1)).max() / SLOWEST_MPS * rate) + 1, length)
    near = np.concatenate([correlation[:, -most:], correlation[:, : most + 1]], axis=1)
    whole = np.abs(cross).sum(axis=1) / (length * _OVERSAMPLING) + 1e-30
    height = float(np.median(near.max(axis=1) / whole))
    if height < _CLEAR:
        return None
    lags_s = (_nearest_peak(near) - most) / rate
    return None if np.abs(lags_s).max() < 1.0 / rate_hz else _Delays(lags_s, height)


def _whitened(spectra: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """Of equal size in every frequency, times how far it stands out of the frequencies around it, as tones do."""
    size = np.abs(spectra) + 1e-30
    level = size.mean(axis=0)
    above = np.minimum(np.square(level / ndimage.median_filter(level, _AROUND)), _STRONGEST)
    white: NDArray[np.complex128] = spectra / size * np.sqrt(above)
    return white


def _nearest_peak(correlation: FloatArray) -> NDArray[np.intp]:
    """Of each row `[P, 2L + 1]` the place of the peak nearest to the middle that is nearly the highest."""
    inner = correlation[:, 1:-1]
    peak = (inner >= correlation[:, :-2]) & (inner >= correlation[:, 2:])
    peak &= inner >= _NEARLY * correlation.max(axis=1, keepdims=True)
    away = np.abs(np.arange(inner.shape[1]) - inner.shape[1] // 2)
    nearest: NDArray[np.intp] = np.where(peak, away, len(away) + 1).argmin(axis=1) + 1
    return nearest
