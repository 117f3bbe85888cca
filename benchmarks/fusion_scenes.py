"""Simulated looks of a ring of cameras at things that fly, for the benchmarks of the fusion."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from fusion.geometry import (
    CameraModel,
    FloatArray,
    attitude_matrix,
    matrix_from_quaternion,
    quaternion_from_matrix,
    rotate,
)
from fusion.types import NS, Coverage, Measurement, Scan, SensorPose, Space

CAMERA = CameraModel(1920, 1080, 1000.0, 1000.0, 960.0, 540.0)
CLUTTER = 0.1
DETECTED = 0.95
START_S = 100.0

#: Time, s, to positions [N, 3], ENU m.
Paths = Callable[[float], FloatArray]


def ring(count: int, radius_m: float) -> list[SensorPose]:
    """Cameras on a circle that look at its middle, somewhat upwards."""
    poses = []
    for c in range(count):
        angle = 2.0 * math.pi * c / count
        attitude = quaternion_from_matrix(attitude_matrix(angle + math.pi, 0.25).T)
        poses.append(SensorPose(f"cam{c}", 0, (radius_m * math.sin(angle), radius_m * math.cos(angle), 1.5), attitude))
    return poses


def watch(
    poses: list[SensorPose], paths: Paths, labels: list[str], seconds: float, fps: float = 10.0, seed: int = 5
) -> list[Scan]:
    """Scans in order of time; each camera looks `fps` times a second, one after the other, with 1 px of white noise.

    One in twenty things is missed in a look, one in seven is called by another's label, and one look in ten has a
    false report.
    """
    rng = np.random.default_rng(seed)
    scans = []
    for k in range(int(seconds * fps) * len(poses)):
        t = k / (fps * len(poses))
        scans.append(_look(poses[k % len(poses)], t, paths(t), labels, rng, k))
    return scans


def _look(pose: SensorPose, t: float, places: FloatArray, labels: list[str], rng: np.random.Generator, k: int) -> Scan:
    to_camera = matrix_from_quaternion(pose.attitude).T
    seen = CAMERA.project(rotate(to_camera, places - np.array(pose.position_m)))
    pixels = seen.pixels + rng.normal(size=seen.pixels.shape)
    kept = seen.valid & CAMERA.sees(pixels) & (rng.random(len(pixels)) < DETECTED)
    reports = [_report(pixels[i], labels[i] if rng.random() < 0.85 else "bird") for i in np.flatnonzero(kept)]
    if rng.random() < CLUTTER:
        reports.append(_report(rng.random(2) * [CAMERA.width, CAMERA.height], "drone"))
    coverage = Coverage(1000.0, DETECTED, CLUTTER)
    time_ns = round((START_S + t) * NS)
    return Scan(pose.sensor_id, time_ns, k, Space.PIXEL, pose, tuple(reports), CAMERA, coverage)


def _report(pixel: FloatArray, label: str) -> Measurement:
    return Measurement(Space.PIXEL, (float(pixel[0]), float(pixel[1])), (0.01, 0.0, 0.0, 0.01), label, 0.8)
