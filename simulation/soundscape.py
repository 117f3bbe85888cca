"""What the microphone arrays of a scenario hear: the rotors of what flies near, by the sound field, and wind and hiss.

Any moment may be asked for first, and blocks fit together without a seam: rotors are pure functions of time, and noise
is a tile that repeats. The ground is soft and gives nothing back, and two rotors stand for a drone's four, which keeps
three arrays within a quarter of a core. Full scale (±1) is 20 Pa, a microphone's 120 dB.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fusion.geometry import FloatArray
from simulation.array_field import array_field
from simulation.sound_field import Air, Emitter, Path, Rotor, cubic, wind_noise
from simulation.world import Aircraft, Trajectory

FULL_SCALE_PA = 20.0
#: Beyond this a drone is lost in the noise of the calmest field, m.
REACH_M = 500.0
_KNOT_S = 0.05
_KEPT_KNOTS = 4096
_TILE_S = 8.0
#: Root mean square of a microphone's own hiss, and of a quiet field's at each microphone, Pa.
_HISS_PA, _FIELD_PA = 3e-4, 1.5e-3
#: Wind at a microphone behind a foam ball: Pa at 1 m/s; grows with the square of the speed.
_WIND_PA = 2e-3
_HARMONICS = 14
_HIGHEST_HZ = 5000.0


@dataclass(frozen=True)
class Ears:
    """One array of a scenario, as what it hears.

    Attributes:
        microphones_m: `[M, 3]`, ENU of the site.
        wind_mps: makes noise at each microphone by itself.
    """

    sensor_id: str
    microphones_m: NDArray[np.float64]
    aircraft: Sequence[Aircraft]
    seed: int
    rate_hz: int
    air: Air
    wind_mps: float = 0.0

    def samples(self, first: int, count: int) -> NDArray[np.float32]:
        """`[M, count]` from sample number `first` on, which is counted from the scene's beginning."""
        first_s = first / self.rate_hz
        near = self._near(first_s + 0.5 * count / self.rate_hz)
        heard = self._noise(first, count)
        if near:
            heard = heard + array_field(near, self.microphones_m, first_s, count, self.rate_hz, self.air)
        return (heard / FULL_SCALE_PA).astype(np.float32)

    def _near(self, time_s: float) -> list[Emitter]:
        middle = self.microphones_m.mean(axis=0)
        return [
            emitter
            for craft, emitters in self._emitters
            if math.dist(craft.trajectory.at(time_s).position, middle) < REACH_M
            for emitter in emitters
        ]

    @cached_property
    def _emitters(self) -> list[tuple[Aircraft, list[Emitter]]]:
        return [(craft, _rotors(craft, self.seed)) for craft in self.aircraft if craft.class_name in _SOUNDS]

    def _noise(self, first: int, count: int) -> FloatArray:
        tile = self._tile
        places = (first + np.arange(count)) % tile.shape[1]
        noise: FloatArray = tile[:, places]
        return noise

    @cached_property
    def _tile(self) -> FloatArray:
        rng = np.random.default_rng((self.seed, 8, zlib.crc32(self.sensor_id.encode())))
        count, microphones = round(_TILE_S * self.rate_hz), len(self.microphones_m)
        hiss = rng.normal(0.0, _HISS_PA, (microphones, count))
        field = wind_noise(rng, microphones, count, self.rate_hz, corner_hz=200.0) * _FIELD_PA
        wind = wind_noise(rng, microphones, count, self.rate_hz) * (_WIND_PA * self.wind_mps**2)
        noise: FloatArray = hiss + field + wind
        return noise


@dataclass(frozen=True, slots=True)
class _Sound:
    """Of a kind of aircraft: rotors, blades, turns a minute at a size of 1 m, harmonics' pressure at 1 m together, Pa,
    share of it that is rush, and how fast harmonics fade."""

    rotors: int
    blades: int
    rpm: float
    pressure_pa: float
    rush: float
    fade: float


#: Aeroplanes' engines stand for what little of them is heard beside the drones.
_SOUNDS = {
    "drone": _Sound(2, 2, 3400.0, 0.25, 0.5, 0.6),
    "helicopter": _Sound(2, 4, 2500.0, 8.0, 0.4, 0.8),
    "airplane": _Sound(1, 3, 60_000.0, 6.0, 0.7, 0.9),
}


def _rotors(craft: Aircraft, seed: int) -> list[Emitter]:
    """All on one path, so that the field finds their times of emission together. Small rotors turn faster."""
    kind, rng = _SOUNDS[craft.class_name], np.random.default_rng((seed, 9, craft.object_id))
    path = _path_of(craft.trajectory)
    rpm = kind.rpm / max(2.0 * craft.body.radius_m, 0.3)
    orders = np.arange(1, _HARMONICS + 1)
    made: list[Emitter] = []
    for _ in range(kind.rotors):
        speed = rpm * float(rng.uniform(0.95, 1.05))
        audible = orders[orders * speed * kind.blades / 60.0 < _HIGHEST_HZ]
        sizes = audible**-kind.fade * np.exp(rng.normal(0.0, 0.4, len(audible)))
        scale = kind.pressure_pa * (1.0 - kind.rush) * math.sqrt(2.0 / kind.rotors / float(np.square(sizes).sum()))
        phases = rng.uniform(0.0, math.tau, len(audible))
        made.append(Rotor(path, (0.0,), (speed,), kind.blades, tuple((sizes * scale).tolist()), tuple(phases.tolist())))
    return [*made, _Rush(path, kind.pressure_pa * kind.rush, (seed, 10, craft.object_id))]


@dataclass(frozen=True)
class _Rush:
    """Air torn by blades: noise between some 200 Hz and 5 kHz that repeats every few seconds."""

    path: Path
    pressure_pa: float
    seed: tuple[int, ...]

    def pressure(self, emitted_s: FloatArray, distance_m: FloatArray, air: Air) -> FloatArray:
        samples = self._samples
        places = (emitted_s * _RUSH_HZ) % (len(samples) - _RUSH_SEAM) + 4.0
        loss = np.exp(-float(air.absorption_db_per_m(2000.0)) * np.mean(distance_m) * math.log(10.0) / 20.0)
        heard: FloatArray = cubic(samples, places) * loss
        return heard

    @cached_property
    def _samples(self) -> FloatArray:
        count = round(4.0 * _RUSH_HZ)
        frequency = np.fft.rfftfreq(count, 1.0 / _RUSH_HZ)
        shape = (frequency / 200.0) ** 2 / (1.0 + (frequency / 200.0) ** 2) / (1.0 + (frequency / 3000.0) ** 4)
        noise = np.fft.irfft(np.fft.rfft(np.random.default_rng(self.seed).standard_normal(count)) * shape, count)
        noise *= self.pressure_pa / math.sqrt(float(np.square(noise).mean()))
        return np.concatenate([noise, noise[:_RUSH_SEAM]])


_RUSH_HZ, _RUSH_SEAM = 12_000.0, 16


def _path_of(trajectory: Trajectory) -> Path:
    """A trajectory as the sound field asks for it, many moments at once: by Hermite's cubic between knots that are the
    same whatever is asked for (with knots 50 ms apart an airframe's jerk makes less than a tenth of a millimetre)."""
    knots: dict[int, FloatArray] = {}

    def knot(number: int) -> FloatArray:
        if number not in knots:
            if len(knots) > _KEPT_KNOTS:
                knots.clear()
            state = trajectory.at(number * _KNOT_S)
            knots[number] = np.concatenate([state.position, state.velocity * _KNOT_S])
        return knots[number]

    def path(time_s: ArrayLike) -> FloatArray:
        times = np.asarray(time_s, np.float64)
        numbers = np.floor(times / _KNOT_S).astype(int)
        first, last = int(numbers.min()), int(numbers.max()) + 1
        table = np.array([knot(number) for number in range(first, last + 1)])
        u = (times / _KNOT_S - numbers)[..., None]
        a, b = table[numbers - first], table[numbers - first + 1]
        p, v, q, w = a[..., :3], a[..., 3:], b[..., :3], b[..., 3:]
        place: FloatArray = p + u * (v + u * (3.0 * (q - p) - 2.0 * v - w + u * (2.0 * (p - q) + v + w)))
        return place

    return path
