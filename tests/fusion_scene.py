"""A small site of cameras with drones whose truth is known, for the tests of the fusion."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from fusion import geometry as g
from fusion.fuse import Refusals, fuse
from fusion.site import Site, parse_site

ORIGIN = (47.4, 8.5, 500.0)
CAMERAS = {"east": ((60.0, 0.0, 2.0), 270.0), "south": ((0.0, -60.0, 2.0), 0.0), "west": ((-60.0, 0.0, 2.0), 90.0)}
Path = Callable[[float], g.FloatArray]
Line = dict[str, Any]


def site_text(cameras: tuple[str, ...] = tuple(CAMERAS), more: str = "") -> str:
    lat, lon, alt = ORIGIN
    text = f"site: {{name: test, origin: {{latitude: {lat}, longitude: {lon}, altitude: {alt}}}}}\nsensors:\n"
    for name in cameras:
        position, azimuth = CAMERAS[name]
        text += (
            f"  - {{id: {name}, kind: camera, position: {{enu: {list(position)}}},"
            f" orientation: {{azimuth: {azimuth}, elevation: 20, roll: 0}},"
            f" intrinsics: {{width: 1920, height: 1080, fx: 1200, fy: 1200, cx: 960, cy: 540}}}}\n"
        )
    return text + more


def site(cameras: tuple[str, ...] = tuple(CAMERAS), more: str = "") -> Site:
    return parse_site(site_text(cameras, more))


def circle(radius_m: float = 8.0, speed_mps: float = 5.0, height_m: float = 22.0, phase: float = 0.0) -> Path:
    """A drone on a level circle around the site's middle."""

    def at(t: float) -> g.FloatArray:
        a = phase + speed_mps / radius_m * t
        return np.array([radius_m * math.cos(a), radius_m * math.sin(a), height_m])

    return at


def pixels(
    where: Site, paths: list[Path], seconds: float, *, fps: float = 15.0, sigma_px: float = 1.0, seed: int = 0
) -> list[Line]:
    """What every camera of the site reports, in order of time."""
    rng = np.random.default_rng(seed)
    return list(_pixels(where, paths, seconds, fps, sigma_px, rng))


def _pixels(
    where: Site, paths: list[Path], seconds: float, fps: float, sigma_px: float, rng: np.random.Generator
) -> Iterator[Line]:
    for frame in range(int(seconds * fps)):
        for k, (name, sensor) in enumerate(where.sensors.items()):
            time = round(100.0 + frame / fps + 0.01 * k, 6)
            if sensor.camera is None or sensor.pose is None:
                continue
            to_camera = g.matrix_from_quaternion(sensor.pose.attitude).T
            for path in paths:
                seen = sensor.camera.project(g.rotate(to_camera, path(time - 100.0) - np.array(sensor.pose.position_m)))
                point = (seen.pixels + sigma_px * rng.normal(size=2)).tolist()
                if bool(seen.valid) and bool(sensor.camera.sees(np.array(point))):
                    yield {
                        "time": time,
                        "sensor_id": name,
                        "kind": "pixel",
                        "point": point,
                        "class": "drone",
                        "score": 0.9,
                    }


def encode(lines: list[Line]) -> list[bytes]:
    return [json.dumps(line).encode() + b"\n" for line in lines]


def golden_scene() -> Iterator[bytes]:
    """Track lines of two drones before three cameras, one of which says who it is."""
    where = site(more="  - {id: rid, kind: remote_id}\n")
    lines = pixels(where, [circle(), circle(phase=math.pi, height_m=27.0)], 2.0)
    lines += [
        {"time": 100.505 + 0.4 * k, "sensor_id": "rid", "kind": "position", "enu": circle()(0.505 + 0.4 * k).tolist(),
         "id": "DRONE-1", "sigma_horizontal": 3.0, "sigma_vertical": 3.0}
        for k in range(4)
    ]  # fmt: skip
    yield from fuse(encode(sorted(lines, key=lambda line: float(line["time"]))), where, Refusals())


if __name__ == "__main__":
    sys.stdout.buffer.writelines(golden_scene())
