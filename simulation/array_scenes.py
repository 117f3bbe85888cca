"""Scenes to learn directions of sound from: drones of many kinds past arrays of many shapes, exact in their phases.

Noise is left to the trainer, so that one scene serves at any ratio. Everything is drawn from a generator.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fusion.geometry import FloatArray, angles_to_direction
from simulation.sound_field import Air, Emitter, Recorded, Rotor, emission_times, field, still, straight

MICROPHONES = 8
_HIGHEST_HZ = 4200.0
_MAINS_RPM = 3000.0


class ArrayScenes(NamedTuple):
    """What one array hears of several scenes.

    Attributes:
        delays_s: `[M, 3]` of a wave along each axis: places over the speed of sound.
        sound: `[S, M, N]`, of mean power one over the microphones, without noise.
        directions: `[S, 3]`, to where the drone was when it made what the array's middle hears at the window's middle.
    """

    delays_s: FloatArray
    sound: NDArray[np.float32]
    directions: FloatArray


def array_scenes(generator: np.random.Generator, count: int, rate_hz: float, window: int) -> ArrayScenes:
    """`count` scenes for one array."""
    air = Air(temperature_c=float(generator.uniform(-5.0, 30.0)))
    places = _array(generator)
    heard_s = 1.0 + np.arange(window) / rate_hz  # recordings of noise began before
    sound, directions = [], []
    for _ in range(count):
        drone = _drone(generator, rate_hz)
        pressure = _level(field(drone, places, heard_s, air))
        if generator.random() < 0.25:
            pressure += generator.uniform(0.15, 0.7) * _level(field([_machine(generator)], places, heard_s, air))
        sound.append(_level(pressure).astype(np.float32))
        path = drone[0].path
        left = path(emission_times(path, np.zeros(3), heard_s[[window // 2]], air.speed_mps))[0]
        directions.append(left / math.sqrt(float(np.square(left).sum())))
    return ArrayScenes(places / air.speed_mps, np.stack(sound), np.array(directions))


def _array(generator: np.random.Generator) -> FloatArray:
    """A loose heap of microphones, 0.1 to 1 m across, not all in a plane."""
    places = generator.standard_normal((MICROPHONES, 3)) * [1.0, 1.0, generator.uniform(0.3, 1.0)]
    places -= places.mean(axis=0)
    across = 2.0 * math.sqrt(float(np.square(places).sum(axis=1).max()))
    scaled: FloatArray = places * (math.exp(generator.uniform(math.log(0.1), math.log(1.0))) / across)
    return scaled


def _drone(generator: np.random.Generator, rate_hz: float) -> list[Emitter]:
    """Rotors of nearly one speed, and often the rush of air, on one path."""
    direction = angles_to_direction(generator.uniform(-np.pi, np.pi), math.asin(generator.uniform(-0.1, 1.0)))
    start = direction * generator.uniform(15.0, 250.0)
    velocity = generator.standard_normal(3)
    velocity *= generator.uniform(0.0, 20.0) / math.sqrt(float(np.square(velocity).sum()))
    path = straight(start - velocity, velocity)  # there at about one second
    blades, rpm = int(generator.integers(2, 4)), float(generator.uniform(2500.0, 9500.0))
    rotors: list[Emitter] = []
    for _ in range(int(generator.integers(1, 3))):
        speed = rpm * float(generator.uniform(0.93, 1.07))
        orders = np.arange(1, 1 + min(int(_HIGHEST_HZ * 60.0 / (1.1 * speed * blades)), 20))
        sizes = orders ** -generator.uniform(0.2, 1.4) * np.exp(generator.normal(0.0, 0.5, len(orders)))
        phases = generator.uniform(0.0, 2.0 * np.pi, len(orders))
        speeds = (speed, speed * float(generator.uniform(0.97, 1.03)))
        rotors.append(Rotor(path, (0.0, 1.5), speeds, blades, tuple(sizes.tolist()), tuple(phases.tolist())))
    if generator.random() < 0.4:
        rush = generator.standard_normal(round(1.5 * rate_hz)) * generator.uniform(0.1, 1.5)
        rotors.append(Recorded(path, rush, rate_hz))
    return rotors


def _machine(generator: np.random.Generator) -> Rotor:
    """A motor on the mains, near and low."""
    place = angles_to_direction(generator.uniform(-np.pi, np.pi), generator.uniform(-0.1, 0.15)) * 30.0
    orders = np.arange(1, 25)
    sizes = tuple((orders ** -generator.uniform(0.2, 1.0)).tolist())
    phases = tuple(generator.uniform(0.0, 2.0 * np.pi, len(orders)).tolist())
    return Rotor(still(place), (0.0,), (_MAINS_RPM,), int(generator.integers(1, 4)), sizes, phases)


def _level(pressure: FloatArray) -> FloatArray:
    level: FloatArray = pressure / math.sqrt(float(np.square(pressure).mean()) + 1e-30)
    return level
