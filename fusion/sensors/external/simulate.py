"""What somebody's radar would report of a drone whose state is known."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from fusion.fields import Fields
from fusion.geometry import FloatArray
from fusion.site import Site
from fusion.spaces import predict
from fusion.types import SensorPose, Space

#: A sensor of this kind as in a site file, for tests.
EXAMPLE: Mapping[str, Any] = {"id": "radar", "kind": "external", "position": {"enu": [-30.0, 5.0, 10.0]}}
_SIGMA_DEG, _SIGMA_M = 0.8, 5.0


def simulate(site: Site, sensor_id: str, state: FloatArray, time_ns: int, rng: np.random.Generator) -> Fields | None:
    """A `bearing` line with range on the drone in `state` `[6]` (ENU m, m/s)."""
    pose = site.sensors[sensor_id].pose or SensorPose(sensor_id, 0, (0.0, 0.0, 0.0))
    azimuth, elevation, range_m = predict(Space.BEARING_RANGE, state, pose).z.tolist()
    noise = (rng.standard_normal(3) * [_SIGMA_DEG, _SIGMA_DEG, _SIGMA_M]).tolist()
    return {
        "time": time_ns * 1e-9,
        "sensor_id": sensor_id,
        "kind": "bearing",
        "azimuth": (math.degrees(azimuth) + noise[0]) % 360.0,
        "elevation": max(-90.0, min(90.0, math.degrees(elevation) + noise[1])),
        "range": max(0.1, range_m + noise[2]),
        "sigma_azimuth": _SIGMA_DEG,
        "sigma_elevation": _SIGMA_DEG,
        "sigma_range": _SIGMA_M,
    }
