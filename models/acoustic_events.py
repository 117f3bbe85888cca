"""Sounds of every day that nobody recorded for us: what a recogniser must not take for a drone.

Rough likenesses, drawn at random: birds, alarms, hum, engines, gusts, rain and knocks, gushes of noise, voices. There
are few recordings of background to learn from, and what is rare in them is not rare in the world.
"""

from __future__ import annotations

import numpy as np
from scipy import fft

from models.acoustic_data import noise_spectrum

Generator = np.random.Generator


def everyday(generator: Generator, count: int, rate_hz: int) -> np.ndarray:
    """float32 `[count]` of root mean square about one."""
    kinds = (_birds, _alarm, _hum, _engine, _gusts, _rain, _gushes, _voice)
    time_s = np.arange(count) / rate_hz
    sound = kinds[generator.integers(len(kinds))](generator, time_s)
    sound = sound / (sound.std() + 1e-9) + 1e-3 * generator.standard_normal(count)
    return sound.astype(np.float32)


def _birds(random: Generator, time_s: np.ndarray) -> np.ndarray:
    total = np.zeros_like(time_s)
    for _ in range(random.integers(2, 12)):
        lasting, start = random.uniform(0.03, 0.3), random.uniform(0.0, time_s[-1])
        now = (time_s >= start) & (time_s < start + lasting)
        since = time_s[now] - start
        low, high = random.uniform(1500.0, 7500.0, 2)
        phase = 2.0 * np.pi * (low * since + (high - low) * since**2 / (2.0 * lasting))
        trill = random.uniform(0.0, 5.0) * np.sin(2.0 * np.pi * random.uniform(8.0, 40.0) * since)
        total[now] += np.sin(phase + trill) * np.hanning(now.sum()) * random.uniform(0.2, 1.0)
    return total


def _alarm(random: Generator, time_s: np.ndarray) -> np.ndarray:
    frequency = random.uniform(200.0, 4000.0)
    orders = range(1, int(random.integers(2, 6)))
    tones = sum(random.uniform() * np.sin(2.0 * np.pi * frequency * order * time_s) for order in orders)
    on = np.sin(2.0 * np.pi * random.uniform(0.5, 6.0) * time_s + random.uniform(0.0, 6.0)) > random.uniform(-1.5, 0.3)
    return tones * on


def _hum(random: Generator, time_s: np.ndarray) -> np.ndarray:
    mains = random.choice([50.0, 60.0, 100.0]) * (1.0 + random.normal(0.0, 1e-3))
    slope = random.uniform(0.3, 2.0)
    return _harmonics(
        random, 2.0 * np.pi * mains * time_s, [random.uniform(0.2, 1.0) * k**-slope for k in range(1, 20)]
    )


def _engine(random: Generator, time_s: np.ndarray) -> np.ndarray:
    """Of a car, with its tyres."""
    frequency = np.linspace(*random.uniform(25.0, 90.0, 2), len(time_s))
    phase = 2.0 * np.pi * np.cumsum(frequency) * (time_s[1] - time_s[0])
    motor = _harmonics(random, phase, [float(np.exp(random.normal(0.0, 0.7))) / k for k in range(1, 14)])
    tyres = _noise(random, len(time_s), random.uniform(0.3, 1.5))
    return motor / motor.std() + random.uniform(0.3, 3.0) * tyres


def _gusts(random: Generator, time_s: np.ndarray) -> np.ndarray:
    level = np.interp(time_s, np.linspace(0.0, time_s[-1], 6), random.normal(0.0, 1.0, 6))
    return _noise(random, len(time_s), random.uniform(1.0, 2.2)) * np.exp(level)


def _rain(random: Generator, time_s: np.ndarray) -> np.ndarray:
    drops = (random.random(len(time_s)) < random.uniform(1e-4, 5e-3)) * random.standard_normal(len(time_s))
    return _band(drops, time_s, 2.0 ** random.uniform(8.0, 12.5), random.uniform(0.5, 2.0))


def _gushes(random: Generator, time_s: np.ndarray) -> np.ndarray:
    noise = _band(
        random.standard_normal(len(time_s)), time_s, 2.0 ** random.uniform(8.0, 12.5), random.uniform(0.1, 1.5)
    )
    beat = np.abs(np.sin(np.pi * random.uniform(0.3, 9.0) * time_s + random.uniform(0.0, 6.0)))
    return noise * beat ** random.uniform(0.2, 3.0)


def _voice(random: Generator, time_s: np.ndarray) -> np.ndarray:
    knots = np.linspace(0.0, time_s[-1], 7)
    pitch = np.interp(time_s, knots, random.uniform(80.0, 300.0) * np.exp(random.normal(0.0, 0.15, 7)))
    phase = 2.0 * np.pi * np.cumsum(pitch) * (time_s[1] - time_s[0])
    glottis = _harmonics(random, phase, [k**-0.7 for k in range(1, 25)])
    formants = (random.uniform(300.0, 900.0), random.uniform(900.0, 2400.0), random.uniform(2200.0, 3300.0))
    spoken = sum(_band(glottis, time_s, formant, 0.15) for formant in formants) + 0.02 * glottis
    return spoken * np.maximum(0.0, np.sin(2.0 * np.pi * random.uniform(2.0, 5.0) * time_s + random.uniform(0.0, 6.0)))


def _harmonics(random: Generator, phase: np.ndarray, amplitudes: list[float]) -> np.ndarray:
    """Sum of a_k cos(k φ + o_k) by Horner's scheme."""
    turn = np.exp(1j * phase).astype(np.complex64)
    total = np.zeros_like(turn)
    for amplitude, offset in zip(reversed(amplitudes), random.uniform(0.0, 2.0 * np.pi, len(amplitudes)), strict=True):
        total += np.complex64(amplitude * np.exp(1j * offset))
        total *= turn
    return total.real.astype(np.float64)


def _noise(random: Generator, count: int, slope: float) -> np.ndarray:
    noise = fft.irfft(noise_spectrum(random, count // 2 + 1, slope), count)
    return noise / noise.std()


def _band(sound: np.ndarray, time_s: np.ndarray, middle_hz: float, octaves: float) -> np.ndarray:
    """What of it lies about that frequency."""
    frequency = np.maximum(fft.rfftfreq(len(sound), time_s[1] - time_s[0]), 1.0)
    weight = np.exp(-0.5 * np.square(np.log2(frequency / middle_hz) / octaves))
    return fft.irfft(fft.rfft(sound) * weight, len(sound))
