"""Directions of sound: error and speed against pyroomacoustics, in one run on the same windows, on one core.

    OMP_NUM_THREADS=1 python -m benchmarks.directions [--windows 24] [--repeats 3] [--json FILE]

Windows of 4 096 samples at 44.1 kHz from 8 microphones, 0.4 m across; a drone at 15 m/s, 40-150 m away, in wind and
microphone noise; 1 296 directions of grid over the sky for all. Then two drones 20° apart. Times are of the processor,
for one window after the other; of ours the fastest repeat counts. A direction is heard once its window has ended and
its time has passed, so that time is the latency too.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import directions_peers
from fusion.geometry import FloatArray, angles_to_direction, direction_to_angles, wrap_angle
from fusion.sensors.microphone_array.evidence import Evidence, Spectra, Subspace
from fusion.sensors.microphone_array.measure import Direction, DirectionFinder, DirectionSettings
from models.acoustic_directions import load_evidence
from simulation.sound_field import Air, Emitter, Rotor, at_snr, emission_times, field, straight, wind_noise

RATE, WINDOW = 44_100, 4096
RATIOS_DB = (10.0, 0.0, -5.0, -10.0)
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


def finders() -> dict[str, DirectionFinder]:
    """Ours, by what they read directions from."""
    evidence: dict[str, Evidence] = {
        "spectra": Spectra(RATE, WINDOW),
        "subspace": Subspace(RATE, WINDOW),
        "learned": load_evidence(RATE, WINDOW),
    }
    return {
        name: DirectionFinder(places(), RATE, WINDOW, SETTINGS, AIR.speed_mps, each) for name, each in evidence.items()
    }


def measure(windows: int, repeats: int) -> dict[str, Any]:
    """Errors in degrees by signal to noise, directions a second, and the share of pairs of drones that are resolved."""
    generator = np.random.default_rng(1)
    ours, figures = finders(), {}
    for snr_db in RATIOS_DB:
        scenes = [scene([drone(somewhere(generator), generator)], snr_db, generator) for _ in range(windows)]
        samples = np.stack([each for each, _ in scenes]).astype(np.float32)
        truth = np.concatenate([each for _, each in scenes])
        figures[f"{snr_db:+.0f} dB"] = _compare(ours, samples, truth, repeats)
    figures["two drones 20° apart resolved at 10 dB"] = resolved(ours, windows, generator)
    return figures


def _compare(ours: dict[str, DirectionFinder], samples: np.ndarray, truth: FloatArray, repeats: int) -> dict[str, Any]:
    table: dict[str, Any] = {name: _measured(finder, samples, truth, repeats) for name, finder in ours.items()}
    for label, answer in directions_peers.run(samples, places(), RATE, AIR.speed_mps).items():
        units = np.array(answer["directions"])[:, 0]
        table[label] = _figures(units, truth, len(truth) / answer["seconds"])
    return table


def _measured(finder: DirectionFinder, samples: np.ndarray, truth: FloatArray, repeats: int) -> dict[str, Any]:
    seconds, found = math.inf, []
    finder.find(samples[0])
    for _ in range(repeats):
        start = time.process_time()
        found = [finder.find(window) for window in samples]
        seconds = min(seconds, time.process_time() - start)
    heard = [i for i, each in enumerate(found) if each]
    figures: dict[str, Any] = _figures(_units(found[i][0] for i in heard), truth[heard], len(found) / seconds)
    normalised = [_normalised(found[i][0], truth[i]) for i in heard]
    return figures | {
        "nothing found": len(found) - len(heard),
        "mean normalised squared error (2 is right)": float(np.mean(normalised)),
    }


def _units(found: Iterable[Direction]) -> FloatArray:
    return np.array([angles_to_direction(each.azimuth_rad, each.elevation_rad) for each in found]).reshape(-1, 3)


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


def resolved(ours: dict[str, DirectionFinder], windows: int, generator: np.random.Generator) -> dict[str, float]:
    """Share of windows in which each of two drones is found within 5°."""
    scenes = []
    for _ in range(windows):
        azimuth, elevation = generator.uniform(-np.pi, np.pi), generator.uniform(0.1, 0.6)
        turns = (0.0, math.radians(20.0) / math.cos(elevation))
        drones = [drone(angles_to_direction(azimuth + turn, elevation), generator) for turn in turns]
        scenes.append(scene(drones, 10.0, generator))
    samples = np.stack([each for each, _ in scenes]).astype(np.float32)
    found = {name: [_units(finder.find(window)) for window in samples] for name, finder in ours.items()}
    for label, answer in directions_peers.run(samples, places(), RATE, AIR.speed_mps, sources=2).items():
        found[label] = [np.array(directions) for directions in answer["directions"]]
    truth = [each for _, each in scenes]
    return {
        name: float(np.mean([_all_near(u, t) for u, t in zip(units, truth, strict=True)]))
        for name, units in found.items()
    }


def _all_near(units: FloatArray, truth: FloatArray) -> bool:
    return all(float((units @ each).max(initial=-1.0)) > math.cos(math.radians(5.0)) for each in truth)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--windows", type=int, default=24)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    text = json.dumps(measure(options.windows, options.repeats), indent=2, ensure_ascii=False)
    print(text)
    if options.json is not None:
        options.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
