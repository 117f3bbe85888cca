"""Measurements a second through the fusion engine on one core: 20 drones, 8 cameras.

    OMP_NUM_THREADS=1 python -m benchmarks.fusion_speed [--seconds 4] [--json FILE]

The scans are made beforehand; what is timed is the engine alone, in CPU time of this process.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path

import numpy as np

from fusion.engine import FusionEngine
from fusion.geometry import CameraModel, FloatArray, attitude_matrix, quaternion_from_matrix, rotate
from fusion.types import NS, Coverage, Measurement, Scan, SensorPose, Space

CAMERA = CameraModel(1920, 1080, 1000.0, 1000.0, 960.0, 540.0)
FPS = 15.0


def make_scans(drones: int, cameras: int, seconds: float) -> list[Scan]:
    """What `cameras` around a field see of drones on circles, 1 px of noise, all seen."""
    rng = np.random.default_rng(5)
    scans = []
    for frame in range(int(seconds * FPS)):
        for c in range(cameras):
            t = frame / FPS + c / (FPS * cameras)
            angle = 2.0 * math.pi * c / cameras
            position = np.array([120.0 * math.sin(angle), 120.0 * math.cos(angle), 1.5])
            to_camera = attitude_matrix(angle + math.pi, 0.25)
            attitude = quaternion_from_matrix(to_camera.T)
            pose = SensorPose(f"cam{c}", 0, (float(position[0]), float(position[1]), 1.5), attitude)
            pixels = CAMERA.project(rotate(to_camera, places(drones, t) - position)).pixels
            pixels = pixels + rng.normal(size=pixels.shape)
            seen = [p for p in pixels.tolist() if bool(CAMERA.sees(np.array(p)))]
            reports = tuple(Measurement(Space.PIXEL, tuple(p), (0.01, 0.0, 0.0, 0.01), "drone", 0.9) for p in seen)
            coverage = Coverage(400.0, 0.9, 0.1)
            scans.append(
                Scan(pose.sensor_id, round((100.0 + t) * NS), frame, Space.PIXEL, pose, reports, CAMERA, coverage)
            )
    return scans


def places(drones: int, t: float) -> FloatArray:
    k = np.arange(drones)
    phase = 2.0 * np.pi * k / drones + 0.3 * t
    radius = 15.0 + 2.0 * k
    return np.stack([radius * np.cos(phase), radius * np.sin(phase), 20.0 + 1.5 * k], axis=-1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    scans, engine = make_scans(20, 8, arguments.seconds), FusionEngine()
    half = len(scans) // 2
    for scan in scans[:half]:
        engine.step(scan)
    began = time.process_time()
    for scan in scans[half:]:
        engine.step(scan)
    spent = time.process_time() - began
    count = sum(len(scan.measurements) for scan in scans[half:])
    confirmed = sum(track.status == "confirmed" for track in engine.tracks())
    result = {"measurements": count, "cpu_s": round(spent, 3), "per_s": round(count / spent), "confirmed": confirmed}
    print(json.dumps(result))
    if arguments.json:
        arguments.json.write_text(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
