"""What an array would report of something whose true path is known; for scenes that need no samples.

For sound itself see `simulation/sound_field.py`: what an array makes of that field is the judge of this short cut.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from fusion.fields import Fields
from fusion.geometry import FloatArray
from fusion.sensors.microphone_array.bearings import bearing
from fusion.sensors.microphone_array.measure import Direction
from fusion.site import Site
from fusion.spaces import predict
from fusion.types import Measurement, SensorPose, Space

#: A sensor of this kind as in a site file, for tests.
EXAMPLE: Mapping[str, Any] = {"id": "array", "kind": "microphone_array", "position": {"enu": [40.0, 25.0, 1.0]}}
_SIGMA_RAD = math.radians(2.0)
_SPEED_MPS = 343.0  # of `wave: sound`


def heard(
    state: FloatArray, pose: SensorPose, sigma_rad: float, speed_mps: float, generator: np.random.Generator
) -> Measurement:
    """The bearing under which `state` `[6]` (ENU m, m/s, now) is heard now: from where it was when its sound left.

    Args:
        sigma_rad: standard deviation of azimuth (on the sphere) and of elevation.
    """
    azimuth, elevation = predict(Space.BEARING, state, pose, propagation_mps=speed_mps).z
    across = sigma_rad / max(float(np.cos(elevation)), 0.05)
    noise = generator.standard_normal(2) * [across, sigma_rad]
    seen = Direction(float(azimuth + noise[0]), float(elevation + noise[1]), across, sigma_rad, 1.0)
    return bearing(seen, speed_mps, "drone")


def simulate(site: Site, sensor_id: str, state: FloatArray, time_ns: int, rng: np.random.Generator) -> Fields | None:
    """A `bearing` line on the drone in `state` `[6]` (ENU m, m/s, now), heard from where its sound left."""
    pose = site.sensors[sensor_id].pose or SensorPose(sensor_id, 0, (0.0, 0.0, 0.0))
    report = heard(state, pose, _SIGMA_RAD, _SPEED_MPS, rng)
    azimuth, elevation = (math.degrees(value) for value in report.z)
    return {
        "time": time_ns * 1e-9,
        "sensor_id": sensor_id,
        "kind": "bearing",
        "azimuth": azimuth % 360.0,
        "elevation": max(-90.0, min(90.0, elevation)),
        "sigma_azimuth": math.degrees(math.sqrt(report.covariance[0])),
        "sigma_elevation": math.degrees(math.sqrt(report.covariance[3])),
        "wave": "sound",
        "class": report.label,
    }
