"""Directions of sound: error and speed against pyroomacoustics, in one run on the same windows, on one core.

    python -m benchmarks.directions [--windows 30] [--repeats 3] [--json FILE]

Windows of 4 096 samples at 44.1 kHz from 8 microphones, 0.4 m across; a drone at 15 m/s, 40-150 m away, in wind and
microphone noise; 1 296 directions of grid over the sky for all. Times are of the processor; of each the fastest repeat
counts. Two drones 20° apart are ours alone.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import directions_peers
from fusion.geometry import FloatArray, angles_to_direction, direction_to_angles, wrap_angle
from fusion.sensors.microphone_array.measure import DirectionFinder, DirectionSettings
from simulation.sound_field import Air, Emitter, Rotor, at_snr, emission_times, field, straight, wind_noise

RATE, WINDOW = 44_100, 4096
RATIOS_DB = (10.0, 0.0, -5.0)
AIR = Air()
SETTINGS = DirectionSettings(lowest_elevation_rad=0.0, model_sigma_rad=0.0)


def places() -> FloatArray:
    """Two squares, one turned by 45° above the other."""
    angle = np.arange(4) * np.pi / 2.0
    lower = np.stack([np.cos(angle), np.sin(angle), np.full(4, -0.5)], axis=1)
    upper = np.stack([np.cos(angle + np.pi / 4.0), np.sin(angle + np.pi / 4.0), np.full(4, 0.5)], axis=1)
    return np.concatenate([lower, upper]) * 0.2


def drone(direction: FloatArray, generator: np.random.Generator) -> Rotor:
    velocity = generator.standard_normal(3)
    velocity *= 15.0 / math.sqrt(float(np.square(velocity).sum()))
    rpm = float(generator.uniform(4000.0, 8000.0))
    orders = np.arange(1, 21)
    return Rotor(
        straight(direction * generator.uniform(40.0, 150.0), velocity),
        (0.0, 1.0),
        (rpm, rpm * float(generator.uniform(0.95, 1.05))),
        2,
        tuple((orders**-0.7).tolist()),
        tuple(generator.uniform(0.0, 2.0 * np.pi, len(orders)).tolist()),
    )


def scene(drones: list[Rotor], snr_db: float, generator: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """A window `[M, N]`, and where each drone was when its sound left that the middle hears `[S, 3]`."""
    emitters: list[Emitter] = list(drones)
    sound = field(emitters, places(), np.arange(WINDOW) / RATE, AIR)
    noise = generator.standard_normal(sound.shape) + wind_noise(generator, len(sound), WINDOW, RATE)
    middle = np.array([0.5 * WINDOW / RATE])
    left = [d.path(emission_times(d.path, np.zeros(3), middle, AIR.speed_mps))[0] for d in drones]
    return at_snr(sound, noise, snr_db), np.array([p / math.sqrt(float(np.square(p).sum())) for p in left])


def somewhere(generator: np.random.Generator) -> FloatArray:
    return angles_to_direction(generator.uniform(-np.pi, np.pi), generator.uniform(0.05, 1.2))


def measure(windows: int, repeats: int) -> dict[str, Any]:
    """Errors in degrees by signal to noise, directions a second, and the rest of the figures."""
    generator = np.random.default_rng(1)
    finder = DirectionFinder(places(), RATE, WINDOW, SETTINGS, AIR.speed_mps)
    figures: dict[str, Any] = {}
    for snr_db in RATIOS_DB:
        scenes = [scene([drone(somewhere(generator), generator)], snr_db, generator) for _ in range(windows)]
        samples = np.stack([each for each, _ in scenes]).astype(np.float32)
        truth = np.concatenate([each for _, each in scenes])
        figures[f"{snr_db:+.0f} dB"] = _compare(finder, samples, truth, repeats)
    figures["two drones 20° apart resolved at 10 dB"] = resolved(finder, windows, generator)
    return figures


def _compare(finder: DirectionFinder, samples: np.ndarray, truth: FloatArray, repeats: int) -> dict[str, Any]:
    seconds, found = math.inf, []
    for _ in range(repeats):
        start = time.process_time()
        found = [finder.find(window) for window in samples]
        seconds = min(seconds, time.process_time() - start)
    heard = [i for i, each in enumerate(found) if each]
    units = np.array([angles_to_direction(found[i][0].azimuth_rad, found[i][0].elevation_rad) for i in heard])
    table: dict[str, Any] = {"ours": _figures(units, truth[heard], len(found) / seconds)}
    table["ours"] |= {"nothing found": len(found) - len(heard)}
    table["ours"]["mean normalised squared error (2 is right)"] = float(
        np.mean([_normalised(found[i][0], truth[i]) for i in heard])
    )
    best: dict[str, Any] = {}
    for _ in range(repeats):
        for label, answer in directions_peers.run(samples, places(), RATE, AIR.speed_mps).items():
            if label not in best or answer["seconds"] < best[label]["seconds"]:
                best[label] = answer
    for label, answer in best.items():
        table[label] = _figures(np.array(answer["directions"]), truth, len(truth) / answer["seconds"])
    return table


def _figures(units: FloatArray, truth: FloatArray, per_second: float) -> dict[str, float]:
    errors = np.degrees(np.arccos(np.clip((units * truth).sum(axis=1), -1.0, 1.0)))
    return {
        "median error, degrees": float(np.median(errors)),
        "90 % error, degrees": float(np.percentile(errors, 90)),
        "directions a second": per_second,
    }


def _normalised(found: Any, truth: FloatArray) -> float:
    azimuth, elevation = direction_to_angles(truth)
    off = float(wrap_angle(found.azimuth_rad - azimuth)) / found.sigma_azimuth_rad
    return float(off**2 + (float(found.elevation_rad - elevation) / found.sigma_elevation_rad) ** 2)


def resolved(finder: DirectionFinder, windows: int, generator: np.random.Generator) -> float:
    """Share of windows in which each of two drones is found within 5°."""
    right = 0
    for _ in range(windows):
        azimuth, elevation = generator.uniform(-np.pi, np.pi), generator.uniform(0.1, 0.6)
        turns = (0.0, math.radians(20.0) / math.cos(elevation))
        drones = [drone(angles_to_direction(azimuth + turn, elevation), generator) for turn in turns]
        samples, truth = scene(drones, 10.0, generator)
        units = np.array([angles_to_direction(f.azimuth_rad, f.elevation_rad) for f in finder.find(samples)])
        right += all(float((units @ each).max(initial=-1.0)) > math.cos(math.radians(5.0)) for each in truth)
    return right / windows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--windows", type=int, default=30)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path, default=Path(__file__).with_suffix(".json"))
    options = parser.parse_args()
    figures = measure(options.windows, options.repeats)
    print(json.dumps(figures, indent=2, ensure_ascii=False))
    options.json.write_text(json.dumps(figures, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
