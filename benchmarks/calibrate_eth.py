"""Calibration of each ETH camera (Li et al. 2020) from one flight, its attitude, place and clock spoilt beforehand.

    python -m benchmarks.calibrate_eth --data ../shared/data/eth_multicam [--sets set1 set2 set3] [--json FILE]

The pose in the site file is turned by 5–20° about a random axis, moved by metres and its stamps shifted by 0.1–1 s;
false points and a false flight (a bird on a circle) are mixed in, a share of the labels is left out. `calibrate` sees
the labels before `calibrated_until` and RTK as the drone's reports, or RTK made as bad as a consumer's GPS. Compared
with the given calibration, which was fitted to the same labels, and on labels after `calibrated_until`, which neither
has seen: median reprojection error in pixels of what was found, and of what was given.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.fusion_eth import Flight, read_flight
from fusion.alignment import Sightings, sightings_of
from fusion.calibration import CalibrationError, Prior, calibrate
from fusion.geometry import FloatArray, matrix_from_quaternion
from fusion.mounting import CLOCK, POSITION, TURN, Mounting, moved, turn_between, view
from fusion.trajectory import Fixes, Trajectory, smooth

Reported = tuple[Trajectory, FloatArray]
#: Name, standard deviations (horizontal, vertical) of slow and quick error of the drone's reports, every n-th kept.
RECEIVERS = (("RTK", (0.02, 0.04), (0.0, 0.0), 1), ("GPS", (1.5, 4.0), (0.15, 0.3), 2))


@dataclass(frozen=True)
class Row:
    camera: str
    receiver: str
    spoilt_deg: float
    spoilt_m: float
    spoilt_s: float
    looks: int
    matched: int
    attitude_deg: float
    attitude_sigma_deg: float
    position_m: float
    position_sigma_m: float
    clock_ms: float
    clock_sigma_ms: float
    later_px: float
    later_given_px: float
    seconds: float


def given_mounting(flight: Flight, camera: str) -> Mounting:
    sensor = flight.site.sensors[camera]
    assert sensor.pose is not None
    to_sensor = matrix_from_quaternion(sensor.pose.attitude).T
    return Mounting(np.array(sensor.pose.position_m), to_sensor, 0.0, sensor.camera)


def spoilt(given: Mounting, rng: np.random.Generator) -> Mounting:
    parameters = np.zeros(11)
    parameters[TURN] = np.radians(rng.uniform(5.0, 20.0)) * _unit(rng)
    parameters[POSITION] = rng.uniform(1.0, 4.0) * _unit(rng)
    parameters[CLOCK] = rng.uniform(0.1, 1.0) * rng.choice([-1.0, 1.0])
    return moved(given, parameters)


def _unit(rng: np.random.Generator) -> FloatArray:
    vector = rng.normal(size=3)
    return vector / np.linalg.norm(vector)


def reports(
    flight: Flight, slow: tuple[float, float], quick: tuple[float, float], every: int, seed: int
) -> tuple[Trajectory, FloatArray]:
    """RTK made as bad as the receiver, and the slow error [3] that stays for the whole flight."""
    rng = np.random.default_rng(seed)
    rows = flight.truth[::every]
    sigma, shake = np.array([slow[0], slow[0], slow[1]]), np.array([quick[0], quick[0], quick[1]])
    bias = np.zeros(3) if shake[0] == 0.0 else sigma * rng.normal(size=3)
    places = rows[:, 1:] + bias + shake * rng.normal(size=(len(rows), 3))
    return smooth(Fixes(rows[:, 0], places, np.broadcast_to(sigma, places.shape))), bias


def labels(flight: Flight, camera: str, begin: float, end: float) -> Sightings:
    lines = [v for v in flight.lines if v["sensor_id"] == camera and begin <= v["time"] < end]
    times, points = np.array([v["time"] for v in lines]), np.array([v["point"] for v in lines])
    return sightings_of(times, points, np.ones_like(points))


def disturbed(seen: Sightings, given: Mounting, shift_s: float, rng: np.random.Generator) -> Sightings:
    """A third of the labels left out, two false points a look, a bird on a circle, stamps shifted."""
    assert given.camera is not None
    size = np.array([given.camera.width, given.camera.height])
    kept = rng.random(len(seen.times_s)) < 0.67
    false_times = np.repeat(np.unique(seen.times_s), 2)
    phase = 2.0 * np.pi * np.unique(seen.times_s) / 17.0
    bird = size * (0.5 + 0.3 * np.stack([np.cos(phase), np.sin(phase)], axis=-1))
    times = np.concatenate([seen.times_s[kept], false_times, np.unique(seen.times_s)])
    points = np.concatenate([seen.z[kept], size * rng.random((len(false_times), 2)), bird])
    return sightings_of(times + shift_s, points, np.ones_like(points))


def later_error_px(mounting: Mounting, later: Sightings, path: Trajectory) -> float:
    there = view(mounting, later.times_s, path, np.zeros(3))
    away = np.linalg.norm(later.z - there.z, axis=1)[there.valid]
    return float(np.median(away)) if len(away) else float("nan")


def row(flight: Flight, camera: str, receiver: str, reported: Reported, exact: Trajectory, seed: int) -> Row | None:
    rng = np.random.default_rng(seed)
    given = given_mounting(flight, camera)
    start = spoilt(given, rng)
    seen = disturbed(labels(flight, camera, 0.0, flight.score_from), given, start.clock_s, rng)
    path, bias = reported
    began = time.process_time()
    try:
        found = calibrate(replace(start, clock_s=0.0), seen, path, Prior(position_m=3.0))
    except CalibrationError as error:
        print(f"{flight.name} {camera} {receiver}: {error}", flush=True)
        return None
    seconds = time.process_time() - began
    got, away = found.mounting, np.linalg.norm
    later = labels(flight, camera, flight.score_from, flight.score_until)
    # In the frame of the true path: what the drone's slow error shifted is shifted back.
    level = replace(
        got, clock_s=got.clock_s - start.clock_s, position_m=got.position_m + got.bias_m - bias, bias_m=np.zeros(3)
    )
    return Row(
        f"{flight.name} {camera}", receiver,
        spoilt_deg=round(float(np.degrees(away(turn_between(given.to_sensor, start.to_sensor)))), 1),
        spoilt_m=round(float(away(start.position_m - given.position_m)), 1),
        spoilt_s=round(start.clock_s, 2),
        looks=found.looks, matched=found.matched,
        attitude_deg=round(float(np.degrees(away(turn_between(given.to_sensor, got.to_sensor)))), 3),
        attitude_sigma_deg=round(float(np.degrees(away(found.sigma[TURN]))), 3),
        position_m=round(float(away(got.position_m - given.position_m)), 3),
        position_sigma_m=round(float(away(found.sigma[POSITION])), 3),
        clock_ms=round(1e3 * (got.clock_s - start.clock_s), 1),
        clock_sigma_ms=round(1e3 * float(found.sigma[CLOCK]), 1),
        later_px=round(later_error_px(level, later, exact), 2),
        later_given_px=round(later_error_px(given, later, exact), 2),
        seconds=round(seconds, 1),
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", default=["set1", "set2", "set3"])
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows: list[Row] = []
    for name in arguments.sets:
        flight = read_flight(arguments.data / name)
        exact, _ = reports(flight, *RECEIVERS[0][1:], seed=0)
        for receiver, slow, quick, every in RECEIVERS:
            reported = reports(flight, slow, quick, every, seed=1)
            for number, camera in enumerate(flight.site.sensors):
                found = row(flight, camera, receiver, reported, exact, seed=10 * number + 1)
                if found is not None:
                    rows.append(found)
                    print(json.dumps(asdict(found)), flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(r) for r in rows], indent=1) + "\n")


if __name__ == "__main__":
    main()
