"""What a Remote ID receiver would hear of a drone whose state is known, encoded as it is broadcast."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fusion.fields import Fields
from fusion.geometry import FloatArray
from fusion.sensors.remote_id.messages import (
    HORIZONTAL_M,
    SPEED_MPS,
    VERTICAL_M,
    encode_basic_id,
    encode_location,
    encode_pack,
)
from fusion.site import Site

#: A sensor of this kind as in a site file, for tests.
EXAMPLE: Mapping[str, Any] = {"id": "receiver", "kind": "remote_id"}
_ACCURACY = (10, 4, 3)  # codes: 10 m, 10 m and 1 m/s, each with 95 %
_SIGMAS_1D, _SIGMAS_2D = 1.96, 2.4477


def simulate(site: Site, sensor_id: str, state: FloatArray, time_ns: int, rng: np.random.Generator) -> Fields | None:
    """A `remote_id` line of an honest drone in `state` `[6]` (ENU m, m/s), off by the accuracy that it states."""
    level, upward, speed = (
        (table[code] or 0.0) / sigmas
        for table, code, sigmas in zip(
            (HORIZONTAL_M, VERTICAL_M, SPEED_MPS), _ACCURACY, (_SIGMAS_2D, _SIGMAS_1D, _SIGMAS_1D), strict=True
        )
    )
    said = state + rng.standard_normal(6) * [level, level, upward, speed, speed, speed]
    latitude, longitude, altitude = (float(value) for value in site.frame.to_geodetic(said[:3]))
    east, north, up = said[3:].tolist()
    location = encode_location(latitude, longitude, altitude, (east, north, up), time_ns * 1e-9 % 3600.0, _ACCURACY)
    pack = encode_pack([encode_basic_id("1596F3AAAAAAAA000001"), location])
    return {"time": time_ns * 1e-9, "sensor_id": sensor_id, "kind": "remote_id", "message": pack.hex()}
