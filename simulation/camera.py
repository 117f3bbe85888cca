"""A camera of the simulated site: where it stands, where it looks, what its optics and its sensor are."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

from fusion.geometry import CameraModel, FloatArray, Projection, attitude_matrix, rotate
from models.types import Band


@dataclass(frozen=True)
class Camera:
    """A pinhole at `position_m` (ENU) with the attitude convention of the site file.

    Attributes:
        azimuth_deg, elevation_deg, roll_deg: as `orientation` in `site.yaml`.
        rate_hz: frames a second.
    """

    sensor_id: str
    band: Band
    model: CameraModel
    position_m: tuple[float, float, float]
    azimuth_deg: float
    elevation_deg: float
    roll_deg: float = 0.0
    rate_hz: float = 30.0

    @cached_property
    def enu_to_camera(self) -> FloatArray:
        """Rotation [3, 3], rows right, down, forward."""
        return attitude_matrix(*(math.radians(a) for a in (self.azimuth_deg, self.elevation_deg, self.roll_deg)))

    def see_points(self, points_enu_m: FloatArray) -> tuple[FloatArray, Projection]:
        """Points [n, 3] in camera axes (m), and their pixels."""
        seen = rotate(self.enu_to_camera, points_enu_m - self.position_m)
        return seen, self.model.project(seen)

    def may_see(self, centre_enu_m: FloatArray, radius_m: float) -> bool:
        """Whether a ball could reach into the picture; quick, and generous at the edges (room for distortion)."""
        x, y, z = (float(v) for v in rotate(self.enu_to_camera, centre_enu_m - self.position_m))
        if z <= radius_m:
            return False
        model, spread = self.model, 1.5 * radius_m / (z - radius_m)
        half_width, half_height = max(model.cx, model.width - model.cx), max(model.cy, model.height - model.cy)
        across, down = model.fx * (abs(x) / z - spread), model.fy * (abs(y) / z - spread)
        return across < 1.2 * half_width and down < 1.2 * half_height

    def see_directions(self, directions_enu: FloatArray) -> Projection:
        """Pixels of points infinitely far away along ENU directions [..., 3]."""
        return self.model.project(rotate(self.enu_to_camera, directions_enu))
