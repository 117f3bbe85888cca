"""What a camera of the site would report of a drone whose state is known; for scenes that need no pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from fusion.fields import Fields
from fusion.geometry import FloatArray
from fusion.sensors.camera.measure import point_report
from fusion.site import Site
from fusion.spaces import predict
from fusion.types import Space

#: A sensor of this kind as in a site file, for tests.
EXAMPLE: Mapping[str, Any] = {
    "id": "camera",
    "kind": "camera",
    "position": {"enu": [10.0, -20.0, 3.0]},
    "orientation": {"azimuth": 0.0, "elevation": 15.0, "roll": 5.0},
    "intrinsics": {"width": 1920, "height": 1080, "fx": 1100.0, "fy": 1100.0, "cx": 950.0, "cy": 545.0,
                   "distortion": [-0.1, 0.02, 0.001, -0.001, 0.0]},
}  # fmt: skip
_DRONE_M = 0.4


def simulate(site: Site, sensor_id: str, state: FloatArray, time_ns: int, rng: np.random.Generator) -> Fields | None:
    """A `pixel` line on the drone in `state` `[6]` (ENU m, m/s); None where the camera does not see it.

    Its box is as large as a drone 0.4 m wide, and off by what `measure` takes such a box to be off.
    """
    sensor = site.sensors[sensor_id]
    if sensor.camera is None or sensor.pose is None:
        return None
    seen = predict(Space.PIXEL, state, sensor.pose, sensor.camera)
    range_m = float(np.sqrt(np.sum((state[:3] - np.array(sensor.pose.position_m)) ** 2)))
    size = sensor.camera.fx * _DRONE_M / range_m
    stated = point_report((0.0, 0.0), sensor.camera, size_px=size).covariance
    u, v = (seen.z + math.sqrt(stated[0]) * rng.standard_normal(2)).tolist()
    if not (bool(seen.valid) and bool(sensor.camera.sees(np.array([u, v])))):
        return None
    box = [u - 0.5 * size, v - 0.5 * size, size, size]
    return {
        "time": time_ns * 1e-9,
        "sensor_id": sensor_id,
        "kind": "pixel",
        "box": box,
        "class": "drone",
        "score": 0.9,
    }
