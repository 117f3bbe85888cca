"""The lag of sound: a drone crosses at 15 m/s in front of microphone arrays 200 to 1 000 m away.

    python -m benchmarks.fusion_sound [--json FILE]

Each array reports bearings ten times a second, σ 1°, of the place that the sound left. Two trackers of the same code
fuse them: one is told that it was sound, the other takes it for light. Printed for each distance: the mean error of the
azimuth from the first array to the track against the azimuth to the drone at that moment, degrees, and the lag of the
sound by itself, v/c at the closest point.
"""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np

from fusion.engine import FusionEngine
from fusion.geometry import FloatArray, direction_to_angles, wrap_angle
from fusion.spaces import emission
from fusion.types import NS, Measurement, Scan, SensorPose, Space
from tracking.types import Status

SPEED_MPS, HEIGHT_M, SECONDS, RATE = 15.0, 60.0, 24.0, 10.0
SOUND_MPS = 343.0  # dry air at 20 °C
SIGMA_RAD = math.radians(1.0)
START_S = 100.0
DISTANCES_M = (200.0, 400.0, 600.0, 800.0, 1000.0)


def drone(t: float) -> FloatArray:
    """Position and velocity [6]: past the origin, eastwards, in the middle of the time."""
    return np.array([SPEED_MPS * (t - 0.5 * SECONDS), 0.0, HEIGHT_M, SPEED_MPS, 0.0, 0.0])


def heard(distance_m: float, seed: int) -> list[Scan]:
    """What three arrays south of the path report, with white noise."""
    rng = np.random.default_rng(seed)
    places = [(0.0, -distance_m, 0.0), (-0.5 * distance_m, -distance_m, 0.0), (0.5 * distance_m, -distance_m, 0.0)]
    scans = []
    for k in range(int(SECONDS * RATE)):
        for a, place in enumerate(places):
            t = k / RATE + 0.01 * a
            then = emission(drone(t), np.array(place), SOUND_MPS).relative_m
            z = np.array(direction_to_angles(then)) + SIGMA_RAD * rng.normal(size=2)
            report = Measurement(
                Space.BEARING, (float(z[0]), float(z[1])), (SIGMA_RAD**2, 0.0, 0.0, SIGMA_RAD**2), "drone", 0.9,
                propagation_mps=SOUND_MPS,
            )  # fmt: skip
            pose = SensorPose(f"array{a}", 0, place)
            scans.append(Scan(pose.sensor_id, round((START_S + t) * NS), k, Space.BEARING, pose, (report,)))
    return scans


def as_light(scan: Scan) -> Scan:
    return replace(scan, measurements=tuple(replace(m, propagation_mps=None) for m in scan.measurements))


def lag_deg(scans: list[Scan], distance_m: float) -> float:
    """Mean azimuth error seen from the first array while the drone passes (the middle third), positive behind it."""
    engine, errors = FusionEngine(), []
    for scan in scans:
        update, t = engine.step(scan), scan.time_ns * 1e-9 - START_S
        shown = [track for track in update.tracks if track.status is Status.CONFIRMED]
        if shown and SECONDS / 3.0 < t < 2.0 * SECONDS / 3.0:
            eye = np.array([0.0, -distance_m, 0.0])
            true, _ = direction_to_angles(drone(t)[:3] - eye)
            best = max(shown, key=lambda track: track.existence)
            found, _ = direction_to_angles(np.array(best.mean[:3]) - eye)
            errors.append(float(wrap_angle(true - found)))
    return round(math.degrees(float(np.mean(errors))), 3) if errors else math.nan


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    results = []
    for distance_m in DISTANCES_M:
        runs = [heard(distance_m, seed) for seed in range(arguments.runs)]
        result = {
            "distance_m": distance_m,
            "lag_of_sound_deg": round(math.degrees(SPEED_MPS / SOUND_MPS), 3),
            "ignoring_delay_deg": [lag_deg([as_light(s) for s in scans], distance_m) for scans in runs],
            "ours_deg": [lag_deg(scans, distance_m) for scans in runs],
        }
        results.append(result)
        print(json.dumps(result), flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
