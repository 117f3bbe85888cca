"""The sound that microphones hear: rotors and recordings that move through air, over ground, in wind.

Each path from an emitter to a microphone is computed by itself, sample for sample: a sample heard at `t` left at the
retarded time `t_e` with c (t − t_e) = |p(t_e) − m|, from which Doppler shift, spherical spreading and the differences
between microphones follow without approximation. Pressures are pascal, times seconds since the scene began, places ENU
metres. Random parts take a generator, so a scene is the same each time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike
from scipy import interpolate, signal

from fusion.geometry import FloatArray

#: Where something is, ENU m `[..., 3]`, at times `[...]`.
Path = Callable[[FloatArray], FloatArray]

_KELVIN = 273.15
_REFERENCE_KELVIN = 293.15
_REFERENCE_KPA = 101.325
_NEPER_PER_DB = math.log(10.0) / 20.0
LEAST_DISTANCE_M = 1.0
_TOLERANCE_S = 1e-10
_OVERSAMPLING = 4
_BLOCK = 2048
_SAME_DISTANCE_M, _SAME_FREQUENCY, _LONGEST_RUN = 0.05, 3e-4, 128


@dataclass(frozen=True, slots=True)
class Air:
    """What sound travels through: degrees Celsius, per cent relative humidity, kilopascal."""

    temperature_c: float = 15.0
    humidity_percent: float = 60.0
    pressure_kpa: float = _REFERENCE_KPA

    @property
    def speed_mps(self) -> float:
        """Speed of sound (ISO 9613-1, equation A.5)."""
        return 343.2 * math.sqrt((self.temperature_c + _KELVIN) / _REFERENCE_KELVIN)

    def absorption_db_per_m(self, frequency_hz: ArrayLike) -> FloatArray:
        """Attenuation of pure tones by still air, dB/m (ISO 9613-1:1993, equations 3–5, B.2 and B.3)."""
        f2 = np.square(np.asarray(frequency_hz, np.float64))
        kelvin = self.temperature_c + _KELVIN
        warmth, pressure = kelvin / _REFERENCE_KELVIN, self.pressure_kpa / _REFERENCE_KPA
        saturation = 10.0 ** (-6.8346 * (273.16 / kelvin) ** 1.261 + 4.6151)
        vapour = self.humidity_percent * saturation / pressure
        oxygen = pressure * (24.0 + 4.04e4 * vapour * (0.02 + vapour) / (0.391 + vapour))
        nitrogen = pressure / math.sqrt(warmth) * (9.0 + 280.0 * vapour * math.exp(-4.170 * (warmth ** (-1 / 3) - 1.0)))
        classical = 1.84e-11 / pressure * math.sqrt(warmth)
        relaxing = 0.01275 * math.exp(-2239.1 / kelvin) / (oxygen + f2 / oxygen)
        relaxing = relaxing + 0.1068 * math.exp(-3352.0 / kelvin) / (nitrogen + f2 / nitrogen)
        absorption: FloatArray = 8.686 * f2 * (classical + warmth**-2.5 * relaxing)
        return absorption


@dataclass(frozen=True, slots=True)
class Ground:
    """A level plane that reflects the share `reflection` of the pressure, in phase where positive."""

    height_m: float = 0.0
    reflection: float = 0.6


class Emitter(Protocol):
    """Something that sounds."""

    @property
    def path(self) -> Path: ...

    def pressure(self, emitted_s: FloatArray, distance_m: FloatArray, air: Air) -> FloatArray:
        """Pressure `[N]`, scaled to 1 m, that left at rising times `[N]`, as air leaves it after distances `[N]`."""


# --- Paths -----------------------------------------------------------------------------------------------------------


def still(place_m: ArrayLike) -> Path:
    """Something that stays."""
    place = np.asarray(place_m, np.float64)
    return lambda time_s: np.broadcast_to(place, (*np.shape(time_s), 3))


def straight(start_m: ArrayLike, velocity_mps: ArrayLike) -> Path:
    """Something that is at `start_m` at time zero and keeps its velocity."""
    start, velocity = np.asarray(start_m, np.float64), np.asarray(velocity_mps, np.float64)
    return lambda time_s: start + np.asarray(time_s)[..., None] * velocity


def through(times_s: ArrayLike, places_m: ArrayLike) -> Path:
    """Straight from place to place; still before the first and after the last."""
    times, places = np.asarray(times_s, np.float64), np.asarray(places_m, np.float64)
    return lambda time_s: np.stack([np.interp(time_s, times, places[:, axis]) for axis in range(3)], axis=-1)


def smooth(times_s: ArrayLike, places_m: ArrayLike, velocities_mps: ArrayLike) -> Path:
    """Cubic from knot to knot with the velocity of each (Hermite); only within the knots."""
    times, places, velocities = (np.asarray(v, np.float64) for v in (times_s, places_m, velocities_mps))
    spline = interpolate.CubicHermiteSpline(times, places, velocities, extrapolate=False)
    return lambda time_s: np.asarray(spline(time_s), np.float64)


# --- Emitters --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Rotor:
    """Harmonics of the blade-passing frequency, exact at any time.

    Attributes:
        path: of its hub.
        times_s, rpm: knots of the speed of rotation `[K]`, linear between, constant outside.
        blades: of one rotor.
        amplitudes_pa: of each harmonic at 1 m `[H]`.
        phases_rad: of each harmonic at time zero `[H]`; zero where not given.
    """

    path: Path
    times_s: tuple[float, ...]
    rpm: tuple[float, ...]
    blades: int
    amplitudes_pa: tuple[float, ...]
    phases_rad: tuple[float, ...] = ()

    def frequency_hz(self, time_s: FloatArray) -> FloatArray:
        """Blade-passing frequency."""
        frequency: FloatArray = np.interp(time_s, self.times_s, self.rpm) * (self.blades / 60.0)
        return frequency

    def pressure(self, emitted_s: FloatArray, distance_m: FloatArray, air: Air) -> FloatArray:
        """Horner's sum of a_k e^(ikφ), the phase of each sample exact; what air takes, of each short run of samples."""
        run = self._run(emitted_s, distance_m)
        times, distance = (np.pad(v, (0, -len(v) % run), mode="edge").reshape(-1, run) for v in (emitted_s, distance_m))
        middle = run // 2
        orders = np.arange(1, len(self.amplitudes_pa) + 1)[:, None]
        loss_db = air.absorption_db_per_m(orders * self.frequency_hz(times[:, middle])) * distance[:, middle]
        offsets = np.asarray(self.phases_rad or np.zeros(len(orders)))[:, None]
        strengths = np.asarray(self.amplitudes_pa)[:, None] * np.exp(1j * offsets - loss_db * _NEPER_PER_DB)
        turn = np.exp(1j * self._phase(times))
        total = np.zeros_like(turn)
        for strength in strengths[::-1]:
            total += strength[:, None]
            total *= turn
        pressure: FloatArray = total.real.ravel()[: len(emitted_s)]
        return pressure

    def _run(self, emitted_s: FloatArray, distance_m: FloatArray) -> int:
        """So many samples that neither distance nor speed of rotation changes enough to hear (0.003 dB at 4 kHz)."""
        if len(emitted_s) < 2:
            return 1
        further = float(np.max(np.abs(np.diff(distance_m)))) / _SAME_DISTANCE_M
        frequency = self.frequency_hz(emitted_s)
        faster = float(np.max(np.abs(np.diff(frequency)) / np.maximum(frequency[1:], 1.0))) / _SAME_FREQUENCY
        return max(1, min(_LONGEST_RUN, int(1.0 / max(further, faster, 1e-9))))

    def _phase(self, time_s: FloatArray) -> FloatArray:
        """2π times the integral of the blade-passing frequency from the first knot: quadratic between knots."""
        knots = np.asarray(self.times_s)
        frequency = self.frequency_hz(knots)
        areas = np.concatenate([[0.0], np.cumsum(0.5 * (frequency[1:] + frequency[:-1]) * np.diff(knots))])
        inside = np.clip(time_s, knots[0], knots[-1])
        last = np.maximum(np.searchsorted(knots, inside, side="right") - 1, 0)
        since = inside - knots[last]
        turned = areas[last] + 0.5 * (frequency[last] + self.frequency_hz(inside)) * since
        outside = np.where(time_s < knots[0], frequency[0], frequency[-1]) * (time_s - inside)
        phase: FloatArray = 2.0 * np.pi * (turned + outside)
        return phase


@dataclass(frozen=True, slots=True)
class Recorded:
    """A recording played by something that moves; silent before and after it.

    Attributes:
        samples_pa: `[N]`, as heard at 1 m.
        rate_hz: of the samples.
    """

    path: Path
    samples_pa: FloatArray
    rate_hz: float

    def pressure(self, emitted_s: FloatArray, distance_m: FloatArray, air: Air) -> FloatArray:
        """Filtered block by block for the distance, then read between samples: 4× oversampled, cubic (error −80 dB
        below a third of the rate)."""
        first, samples = self._needed(emitted_s)
        if not len(samples):
            return np.zeros_like(emitted_s)
        filtered = _through_air(samples, self.rate_hz, emitted_s - first / self.rate_hz, distance_m, air)
        fine = signal.resample_poly(filtered, _OVERSAMPLING, 1)
        return cubic(fine, (emitted_s * self.rate_hz - first) * _OVERSAMPLING)

    def _needed(self, emitted_s: FloatArray) -> tuple[int, FloatArray]:
        """The part that sounds at these times with two blocks around it, and its first sample's number: whole blocks,
        so that one moment is filtered alike whatever is asked for with it."""
        first = int(emitted_s[0] * self.rate_hz) // _BLOCK * _BLOCK - 2 * _BLOCK
        last = int(emitted_s[-1] * self.rate_hz) + 3 * _BLOCK
        first = min(max(first, 0), len(self.samples_pa))
        return first, self.samples_pa[first : max(last, first)]


def _through_air(
    samples: FloatArray, rate_hz: float, emitted_s: FloatArray, distance_m: FloatArray, air: Air
) -> FloatArray:
    """Linear-phase absorption, that of each half-overlapped block's own distance (the windows sum to one)."""
    hop = _BLOCK // 2
    padded = np.pad(samples, (hop, _BLOCK))
    blocks = np.lib.stride_tricks.sliding_window_view(padded, _BLOCK)[::hop]
    centres_s = np.arange(len(blocks)) * hop / rate_hz
    distance = np.interp(centres_s, emitted_s, distance_m)
    loss_db = air.absorption_db_per_m(np.fft.rfftfreq(_BLOCK, 1.0 / rate_hz)) * distance[:, None]
    window = signal.windows.hann(_BLOCK, sym=False)
    heard = np.fft.irfft(np.fft.rfft(blocks * window) * 10.0 ** (-loss_db / 20.0), _BLOCK)
    total = np.zeros(len(padded) + _BLOCK)
    for index, block in enumerate(heard):
        total[index * hop : index * hop + _BLOCK] += block
    return total[hop : hop + len(samples)]


def cubic(samples: FloatArray, places: FloatArray) -> FloatArray:
    """Samples read between them at `places`, in samples; zero outside.

    Lagrange's cubic through the four samples around each place.
    """
    padded = np.pad(samples, 4)
    places = np.clip(places + 4.0, 1.0, len(padded) - 3.0)
    left = places.astype(np.intp)
    d = places - left
    a, b, c, e = (padded[left + k] for k in (-1, 0, 1, 2))
    value: FloatArray = b + d * (
        c - a / 3.0 - b / 2.0 - e / 6.0 + d * (0.5 * (a + c) - b + d * ((e - a) / 6.0 + 0.5 * (b - c)))
    )
    return value


# --- From emitter to microphone --------------------------------------------------------------------------------------


def emission_times(path: Path, place_m: FloatArray, heard_s: FloatArray, speed_mps: float) -> FloatArray:
    """When what is heard at `place_m` `[3]` at `heard_s` `[N]` left: the fixed point, which nears by v/c each turn.

    Raises:
        ValueError: the emitter is as fast as sound.
    """
    emitted = np.asarray(heard_s, np.float64)
    for _ in range(200):
        before, emitted = emitted, heard_s - _distance(path(emitted), place_m) / speed_mps
        if np.max(np.abs(emitted - before), initial=0.0) < _TOLERANCE_S:
            return emitted
    raise ValueError("an emitter as fast as sound has no single time of emission")


def field(
    emitters: Sequence[Emitter],
    microphones_m: ArrayLike,
    heard_s: FloatArray,
    air: Air | None = None,
    ground: Ground | None = None,
    arrival_jitter_s: FloatArray | None = None,
) -> FloatArray:
    """What microphones at `[M, 3]` hear at times `[N]`: pressure `[M, N]`, the sum over all paths.

    Args:
        ground: also hear each emitter's mirror image below it.
        arrival_jitter_s: `[M, N]`, how much later than in still air sound arrives (see `turbulence`).
    """
    air = air or Air()
    microphones = np.asarray(microphones_m, np.float64)
    total = np.zeros((len(microphones), len(heard_s)))
    for path, together in by_path(emitters):
        for m, place in enumerate(microphones):
            when = heard_s if arrival_jitter_s is None else heard_s - arrival_jitter_s[m]
            total[m] += _heard(together, path, place, when, air)
            if ground is not None:
                total[m] += ground.reflection * _heard(together, mirrored(path, ground), place, when, air)
    return total


def by_path(emitters: Sequence[Emitter]) -> list[tuple[Path, list[Emitter]]]:
    """Emitters on one and the same path (the rotors of one drone) leave for a microphone at the same times."""
    paths = {id(emitter.path): emitter.path for emitter in emitters}
    return [(path, [e for e in emitters if e.path is path]) for path in paths.values()]


def _heard(emitters: list[Emitter], path: Path, place_m: FloatArray, heard_s: FloatArray, air: Air) -> FloatArray:
    emitted = emission_times(path, place_m, heard_s, air.speed_mps)
    distance = _distance(path(emitted), place_m)
    pressure = np.sum([emitter.pressure(emitted, distance, air) for emitter in emitters], axis=0)
    spread: FloatArray = pressure / np.maximum(distance, LEAST_DISTANCE_M)
    return spread


def mirrored(path: Path, ground: Ground) -> Path:
    """The path of the image below the ground."""
    return lambda time_s: path(time_s) * [1.0, 1.0, -1.0] + [0.0, 0.0, 2.0 * ground.height_m]


def _distance(places_m: FloatArray, place_m: FloatArray) -> FloatArray:
    x, y, z = (places_m[..., axis] - place_m[axis] for axis in range(3))
    distance: FloatArray = np.sqrt(x * x + y * y + z * z)
    return distance


# --- Wind ------------------------------------------------------------------------------------------------------------


def wind_noise(
    generator: np.random.Generator, microphones: int, count: int, rate_hz: float, corner_hz: float = 40.0
) -> FloatArray:
    """Noise of eddies at each microphone by itself, `[M, count]`, root mean square one.

    Flat in power below `corner_hz`, then falling as f^(−5/3) (Kolmogorov's inertial range; Raspet, Webster and Dillion,
    J. Acoust. Soc. Am. 119, 2006). Eddies are smaller than an array, so microphones share nothing of it.
    """
    frequency = np.fft.rfftfreq(count, 1.0 / rate_hz)
    shape = (1.0 + np.square(frequency / corner_hz)) ** (-5.0 / 12.0)
    noise = np.fft.irfft(np.fft.rfft(generator.standard_normal((microphones, count))) * shape, count)
    scaled: FloatArray = noise / np.sqrt(np.square(noise).mean(axis=1, keepdims=True))
    return scaled


def turbulence(
    generator: np.random.Generator, microphones: int, count: int, rate_hz: float, sigma_s: float, lasting_s: float = 0.1
) -> FloatArray:
    """How much later each microphone hears, `[M, count]`: Gauss–Markov of standard deviation `sigma_s`, smooth over
    `lasting_s`. It takes coherence e^(−(2πfσ)²) from a pair of microphones at frequency f."""
    frequency = np.fft.rfftfreq(count, 1.0 / rate_hz)
    shape = 1.0 / (1.0 + np.square(2.0 * np.pi * frequency * lasting_s))
    slow = np.fft.irfft(np.fft.rfft(generator.standard_normal((microphones, count))) * shape, count)
    power = (np.square(shape[1:-1]).sum() * 2.0 + np.square(shape[[0, -1]]).sum()) / count
    scaled: FloatArray = slow * (sigma_s / math.sqrt(power))
    return scaled


def at_snr(sound: FloatArray, noise: FloatArray, snr_db: float) -> FloatArray:
    """`sound` plus `noise` scaled so that their mean powers are `snr_db` apart."""
    gain = math.sqrt(float(np.square(sound).mean() / np.square(noise).mean()) * 10.0 ** (-snr_db / 10.0))
    return sound + gain * noise
