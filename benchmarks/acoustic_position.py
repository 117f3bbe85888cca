"""Where a drone is that three arrays hear: the whole way from the sound field over directions to fused tracks.

    OMP_NUM_THREADS=1 python -m benchmarks.acoustic_position [--flights 3] [--json FILE]

Three arrays of 8 microphones (0.4 m across) stand 150 m apart. A drone flies past their middle at 15 m/s, 50 to 300 m
away from it, 40 m up. Each array listens five times a second, 128 ms at 16 kHz, in wind and microphone noise that is as
loud as the drone at 150 m. The engine is told that the bearings came by sound, and then, with the same bearings, that
they came by light: the difference is what the retarded time is worth. The mean normalised error squared of the position
is three where the stated covariance is right.
"""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.directions import places
from fusion.engine import FusionEngine
from fusion.geometry import FloatArray
from fusion.sensors.microphone_array.measure import Direction, DirectionFinder
from fusion.types import NS, Coverage, Measurement, Scan, SensorPose, Space, Track
from simulation.sound_field import Air, Emitter, Rotor, field, straight, wind_noise
from simulation.sound_field import Path as Flight

RATE, WINDOW = 16_000, 2048
LOOKS_PER_S, SECONDS = 5.0, 24.0
SPEED_MPS, HEIGHT_M = 15.0, 40.0
EQUAL_AT_M = 150.0
AIR = Air()
ARRAYS = np.array([[-75.0, -43.3, 1.0], [75.0, -43.3, 1.0], [0.0, 86.6, 1.0]])
COVERAGE = Coverage(400.0, 0.9, 0.05)


@dataclass(frozen=True)
class Look:
    """What array `number` makes of one window, whose middle is at `time_s`."""

    time_s: float
    number: int
    directions: tuple[Direction, ...]


def flight(generator: np.random.Generator) -> Flight:
    """Straight, from about 300 m out past the middle at 50 m or more."""
    course = generator.uniform(-np.pi, np.pi)
    ahead = np.array([math.cos(course), math.sin(course), 0.0])
    aside = np.array([-ahead[1], ahead[0], 0.0]) * generator.uniform(50.0, 150.0)
    start = aside - ahead * math.sqrt(300.0**2 - float(aside @ aside)) + [0.0, 0.0, HEIGHT_M]
    return straight(start, SPEED_MPS * ahead)


def looks(path: Flight, generator: np.random.Generator) -> list[Look]:
    """All windows of all arrays, in order of time."""
    orders = np.arange(1, 17)
    sizes, phases = orders**-0.7, generator.uniform(0.0, 2.0 * np.pi, len(orders))
    rotor = Rotor(path, (0.0, SECONDS), (5600.0, 5900.0), 2, tuple(sizes.tolist()), tuple(phases.tolist()))
    noise_level = math.sqrt(0.5 * float(np.square(sizes).sum())) / EQUAL_AT_M
    finder = DirectionFinder(places(), RATE, WINDOW, speed_mps=AIR.speed_mps)
    found = []
    for look in range(int(SECONDS * LOOKS_PER_S)):
        for number, centre in enumerate(ARRAYS):
            time_s = 1.0 + (look + number / len(ARRAYS)) / LOOKS_PER_S
            heard_s = time_s + (np.arange(WINDOW) - WINDOW / 2) / RATE
            emitters: list[Emitter] = [rotor]
            noise = generator.standard_normal((8, WINDOW)) + wind_noise(generator, 8, WINDOW, RATE)
            heard = field(emitters, places() + centre, heard_s, AIR) + noise_level / math.sqrt(2.0) * noise
            found.append(Look(time_s, number, finder.find(heard)))
    return found


def tracks(heard: list[Look], speed_mps: float | None) -> list[Track]:
    """The best track after each look, where there is one; `speed_mps` is that of the wave, None for light."""
    engine, found = FusionEngine(), []
    for sequence, look in enumerate(heard):
        position = tuple(ARRAYS[look.number].tolist())
        pose = SensorPose(f"array-{look.number}", 0, position)
        bearings = tuple(_bearing(direction, speed_mps) for direction in look.directions)
        time_ns = round(look.time_s * NS)
        engine.step(Scan(pose.sensor_id, time_ns, sequence, Space.BEARING, pose, bearings, coverage=COVERAGE))
        best = max(engine.tracks(), key=lambda track: track.existence, default=None)
        if best is not None and best.status == "confirmed":
            found.append(best)
    return found


def _bearing(direction: Direction, speed_mps: float | None) -> Measurement:
    covariance = (direction.sigma_azimuth_rad**2, 0.0, 0.0, direction.sigma_elevation_rad**2)
    z = (direction.azimuth_rad, direction.elevation_rad)
    return Measurement(Space.BEARING, z, covariance, "drone", 0.9, propagation_mps=speed_mps)


def figures(found: list[tuple[Track, FloatArray]], looked: int) -> dict[str, float]:
    """Errors of tracks against where the drone really was."""
    off = np.array([np.array(track.mean[:3]) - truth for track, truth in found])
    errors = np.sqrt(np.square(off).sum(axis=1))
    covariances = np.array([np.array(track.covariance).reshape(6, 6)[:3, :3] for track, _ in found])
    normalised = np.einsum("ni,nij,nj->n", off, np.linalg.inv(covariances), off)
    return {
        "median error, m": float(np.median(errors)),
        "90 % error, m": float(np.percentile(errors, 90)),
        "mean normalised squared error (3 is right)": float(normalised.mean()),
        "share of the looks with a confirmed track": len(found) / looked,
    }


def measure(flights: int) -> dict[str, Any]:
    generator = np.random.default_rng(3)
    paths = [flight(generator) for _ in range(flights)]
    heard = [looks(path, generator) for path in paths]
    looked = sum(len(each) for each in heard)
    table: dict[str, Any] = {
        "looks": looked,
        "with a direction": sum(bool(x.directions) for each in heard for x in each),
    }
    for label, speed_mps in (("with retarded time", AIR.speed_mps), ("as if by light", None)):
        pairs = [
            (track, path(np.array([track.time_ns / NS]))[0])
            for path, each in zip(paths, heard, strict=True)
            for track in tracks(each, speed_mps)
        ]
        table[label] = figures(pairs, looked)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flights", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    text = json.dumps(measure(options.flights), indent=2, ensure_ascii=False)
    print(text)
    if options.json is not None:
        options.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
