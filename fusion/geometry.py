"""Frames of reference and cameras: WGS-84, ECEF, local ENU, azimuth and elevation, projection with distortion.

Inside the program angles are radians, lengths metres. Azimuth runs clockwise from true north, elevation up from the
horizon, heights are above the ellipsoid. Camera axes are OpenCV's: x right, y down, z forward. Every function takes
arrays with the coordinate on the last axis and any leading shape, and uses elementwise arithmetic only, so a batch
gives the same bits as its members one by one. Angles wrap here (`wrap_angle`) and nowhere else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]

#: WGS-84 (NIMA TR8350.2): semi-major axis, m, and flattening.
WGS84_A_M = 6_378_137.0
WGS84_F = 1.0 / 298.257223563
_B_M = WGS84_A_M * (1.0 - WGS84_F)
_E2 = WGS84_F * (2.0 - WGS84_F)
_EP2 = _E2 / (1.0 - _E2)


def wrap_angle(angle_rad: ArrayLike) -> FloatArray:
    """The same direction in [−π, π)."""
    angle = np.asarray(angle_rad, dtype=np.float64)
    return (angle + np.pi) % (2.0 * np.pi) - np.pi


def wrap_azimuth_deg(azimuth_deg: float) -> float:
    """The same azimuth in [0, 360), for people."""
    wrapped = azimuth_deg % 360.0
    return 0.0 if wrapped == 360.0 else wrapped


# --- The Earth -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Geodetic:
    """A place on WGS-84. Degrees at this boundary, metres above the ellipsoid."""

    latitude_deg: float
    longitude_deg: float
    altitude_m: float


def geodetic_to_ecef(latitude_rad: ArrayLike, longitude_rad: ArrayLike, altitude_m: ArrayLike) -> FloatArray:
    """ECEF metres `[..., 3]` of geodetic coordinates."""
    lat, lon, alt = np.broadcast_arrays(*(np.asarray(x, np.float64) for x in (latitude_rad, longitude_rad, altitude_m)))
    normal = WGS84_A_M / np.sqrt(1.0 - _E2 * np.sin(lat) ** 2)
    planar = (normal + alt) * np.cos(lat)
    return np.stack([planar * np.cos(lon), planar * np.sin(lon), (normal * (1.0 - _E2) + alt) * np.sin(lat)], axis=-1)


def ecef_to_geodetic(ecef_m: ArrayLike) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Latitude and longitude in radians and altitude in metres of ECEF `[..., 3]`; the poles included.

    Bowring's parametric-latitude iteration (Survey Review 23, 1976), repeated three times: below a nanometre from the
    sea floor to geostationary orbit.
    """
    ecef = np.asarray(ecef_m, dtype=np.float64)
    x, y, z = ecef[..., 0], ecef[..., 1], ecef[..., 2]
    planar = np.hypot(x, y)
    reduced = np.arctan2(z * WGS84_A_M, planar * _B_M)
    lat = reduced
    for _ in range(3):
        lat = np.arctan2(z + _EP2 * _B_M * np.sin(reduced) ** 3, planar - _E2 * WGS84_A_M * np.cos(reduced) ** 3)
        reduced = np.arctan2(_B_M * np.sin(lat), WGS84_A_M * np.cos(lat))
    foot_planar, foot_z = WGS84_A_M * np.cos(reduced), _B_M * np.sin(reduced)
    altitude = (planar - foot_planar) * np.cos(lat) + (z - foot_z) * np.sin(lat)
    return lat, np.arctan2(y, x), altitude


def enu_axes(latitude_rad: float, longitude_rad: float) -> FloatArray:
    """Rows east, north, up in ECEF `[3, 3]`: what takes an ECEF difference to ENU."""
    sin_lat, cos_lat = math.sin(latitude_rad), math.cos(latitude_rad)
    sin_lon, cos_lon = math.sin(longitude_rad), math.cos(longitude_rad)
    return np.array(
        [
            [-sin_lon, cos_lon, 0.0],
            [-sin_lat * cos_lon, -sin_lat * sin_lon, cos_lat],
            [cos_lat * cos_lon, cos_lat * sin_lon, sin_lat],
        ]
    )


def rotate(matrix: FloatArray, vectors: FloatArray) -> FloatArray:
    """`matrix` `[..., 3, 3]` times `vectors` `[..., 3]`, summed in a fixed order."""
    x, y, z = vectors[..., 0, None], vectors[..., 1, None], vectors[..., 2, None]
    return matrix[..., 0] * x + matrix[..., 1] * y + matrix[..., 2] * z


class LocalFrame:
    """The site's East-North-Up frame: metres on the tangent plane at `origin`."""

    def __init__(self, origin: Geodetic) -> None:
        self.origin = origin
        lat, lon = math.radians(origin.latitude_deg), math.radians(origin.longitude_deg)
        self._axes = enu_axes(lat, lon)
        self._ecef = geodetic_to_ecef(lat, lon, origin.altitude_m)

    def to_enu(self, latitude_deg: ArrayLike, longitude_deg: ArrayLike, altitude_m: ArrayLike) -> FloatArray:
        """ENU metres `[..., 3]` of geodetic degrees and metres above the ellipsoid."""
        ecef = geodetic_to_ecef(np.radians(latitude_deg), np.radians(longitude_deg), altitude_m)
        return rotate(self._axes, ecef - self._ecef)

    def to_geodetic(self, enu_m: ArrayLike) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Latitude and longitude in degrees, altitude in metres, of ENU `[..., 3]`."""
        ecef = rotate(self._axes.T, np.asarray(enu_m, dtype=np.float64)) + self._ecef
        lat, lon, alt = ecef_to_geodetic(ecef)
        return np.degrees(lat), np.degrees(lon), alt


# --- Directions ------------------------------------------------------------------------------------------------------


def direction_to_angles(vector: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Azimuth in [−π, π) and elevation, radians, of ENU vectors `[..., 3]` of any length."""
    v = np.asarray(vector, dtype=np.float64)
    east, north, up = v[..., 0], v[..., 1], v[..., 2]
    return wrap_angle(np.arctan2(east, north)), np.arctan2(up, np.hypot(east, north))


def angles_to_direction(azimuth_rad: ArrayLike, elevation_rad: ArrayLike) -> FloatArray:
    """Unit ENU vector `[..., 3]` that points along azimuth and elevation."""
    az, el = np.broadcast_arrays(np.asarray(azimuth_rad, np.float64), np.asarray(elevation_rad, np.float64))
    return np.stack([np.sin(az) * np.cos(el), np.cos(az) * np.cos(el), np.sin(el)], axis=-1)


def attitude_matrix(azimuth_rad: float, elevation_rad: float, roll_rad: float = 0.0) -> FloatArray:
    """Rotation ENU → camera `[3, 3]`, rows right, down, forward, as INTERFACES lays `orientation` down."""
    sin_az, cos_az = math.sin(azimuth_rad), math.cos(azimuth_rad)
    sin_el, cos_el = math.sin(elevation_rad), math.cos(elevation_rad)
    sin_roll, cos_roll = math.sin(roll_rad), math.cos(roll_rad)
    forward = np.array([sin_az * cos_el, cos_az * cos_el, sin_el])
    level_right = np.array([cos_az, -sin_az, 0.0])
    level_down = np.array([sin_az * sin_el, cos_az * sin_el, -cos_el])  # forward × level_right
    right = cos_roll * level_right + sin_roll * level_down
    down = -sin_roll * level_right + cos_roll * level_down
    return np.stack([right, down, forward])


def attitude_angles(enu_to_camera: FloatArray) -> tuple[float, float, float]:
    """Azimuth, elevation and roll, radians, of a rotation ENU → camera: the inverse of `attitude_matrix`.

    Looking straight up or down azimuth and roll are one angle; it is given as roll then.
    """
    right, down, forward = enu_to_camera
    azimuth, elevation = direction_to_angles(forward)
    level = attitude_matrix(float(azimuth), float(elevation))
    sin_roll = float(np.sum(right * level[1]))
    return float(azimuth), float(elevation), math.atan2(sin_roll, float(np.sum(down * level[1])))


def quaternion_from_matrix(matrix: FloatArray) -> tuple[float, float, float, float]:
    """Unit quaternion (w, x, y, z), w ≥ 0, of a rotation `[3, 3]` (Shepperd, J. Guidance and Control 1, 1978)."""
    m = [[float(v) for v in row] for row in matrix]
    trace = m[0][0] + m[1][1] + m[2][2]
    squares = (trace, m[0][0], m[1][1], m[2][2])
    largest = squares.index(max(squares))
    root = math.sqrt(1.0 + 2.0 * squares[largest] - trace)
    if largest == 0:
        q = (root * root, m[2][1] - m[1][2], m[0][2] - m[2][0], m[1][0] - m[0][1])
    elif largest == 1:
        q = (m[2][1] - m[1][2], root * root, m[0][1] + m[1][0], m[0][2] + m[2][0])
    elif largest == 2:
        q = (m[0][2] - m[2][0], m[0][1] + m[1][0], root * root, m[1][2] + m[2][1])
    else:
        q = (m[1][0] - m[0][1], m[0][2] + m[2][0], m[1][2] + m[2][1], root * root)
    scale = math.copysign(0.5 / root, q[0])
    return q[0] * scale, q[1] * scale, q[2] * scale, q[3] * scale


@lru_cache(maxsize=1024)
def matrix_from_quaternion(quaternion: tuple[float, float, float, float]) -> FloatArray:
    """Rotation matrix `[3, 3]` (not to be written to) of a quaternion (w, x, y, z) of any length but zero."""
    w, x, y, z = quaternion
    s = 2.0 / (w * w + x * x + y * y + z * z)
    matrix = np.array(
        [
            [1.0 - s * (y * y + z * z), s * (x * y - w * z), s * (x * z + w * y)],
            [s * (x * y + w * z), 1.0 - s * (x * x + z * z), s * (y * z - w * x)],
            [s * (x * z - w * y), s * (y * z + w * x), 1.0 - s * (x * x + y * y)],
        ]
    )
    matrix.setflags(write=False)  # sensors stand still: one matrix serves all looks
    return matrix


# --- Cameras ---------------------------------------------------------------------------------------------------------


class Projection(NamedTuple):
    """Pixels `[..., 2]`, their derivatives by the point in camera axes `[..., 2, 3]`, and where both mean something."""

    pixels: FloatArray
    jacobian: FloatArray
    valid: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class CameraModel:
    """A pinhole with radial and tangential distortion (Brown 1966, in OpenCV's order k1, k2, p1, p2, k3).

    Raises:
        ValueError: a focal length or a size that is not positive, or a number that is not finite.
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    distortion: tuple[float, float, float, float, float] = (0.0, 0.0, 0.0, 0.0, 0.0)
    #: Squared radius (on the plane at distance one) beyond which the distortion folds the picture over itself.
    fold_radius2: float = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        numbers = (self.fx, self.fy, self.cx, self.cy, *self.distortion)
        if not all(math.isfinite(v) for v in numbers):
            raise ValueError("the camera's intrinsics must be finite numbers")
        if min(self.fx, self.fy) <= 0.0 or min(self.width, self.height) <= 0:
            raise ValueError("a camera needs a focal length and a picture size above zero")
        object.__setattr__(self, "fold_radius2", _fold_radius2(self.distortion))

    @classmethod
    def from_field_of_view(cls, width: int, height: int, horizontal_rad: float) -> CameraModel:
        """A camera without distortion and with square pixels, from its horizontal field of view."""
        if not 0.0 < horizontal_rad < math.pi:
            raise ValueError("a pinhole's horizontal field of view lies between 0 and 180 degrees")
        focal = 0.5 * width / math.tan(0.5 * horizontal_rad)
        return cls(width, height, focal, focal, 0.5 * width, 0.5 * height)

    def project(self, points_m: ArrayLike) -> Projection:
        """Pixels of points `[..., 3]` in camera axes. Invalid: behind the camera, or beyond the fold of the lens."""
        p = np.asarray(points_m, dtype=np.float64)
        in_front = p[..., 2] > 1e-9
        depth = np.where(in_front, p[..., 2], 1.0)
        a, b = p[..., 0] / depth, p[..., 1] / depth
        u, v, (du_da, du_db, dv_db) = self._distort(a, b)
        pixels = np.stack([self.fx * u + self.cx, self.fy * v + self.cy], axis=-1)
        rows = [[self.fx * du_da, self.fx * du_db], [self.fy * du_db, self.fy * dv_db]]
        jacobian = np.stack([np.stack([r[0], r[1], -(r[0] * a + r[1] * b)], axis=-1) for r in rows], axis=-2)
        valid = in_front & (a * a + b * b < self.fold_radius2)
        return Projection(pixels, jacobian / depth[..., None, None], valid)

    def rays(self, pixels: ArrayLike) -> FloatArray:
        """Unit vectors `[..., 3]` in camera axes that project to `pixels` `[..., 2]`: Newton's method on the lens.

        Pixels that no direction in front of the lens reaches (outside the fold) give NaN.
        """
        px = np.asarray(pixels, dtype=np.float64)
        u, v = (px[..., 0] - self.cx) / self.fx, (px[..., 1] - self.cy) / self.fy
        a, b = u, v
        with np.errstate(all="ignore"):
            for _ in range(12):
                got_u, got_v, (du_da, du_db, dv_db) = self._distort(a, b)
                det = du_da * dv_db - du_db * du_db
                a = a - (dv_db * (got_u - u) - du_db * (got_v - v)) / det
                b = b - (du_da * (got_v - v) - du_db * (got_u - u)) / det
            got_u, got_v, _ = self._distort(a, b)
            good = (np.abs(got_u - u) + np.abs(got_v - v) < 1e-9) & (a * a + b * b < self.fold_radius2)
        ray = np.stack([a, b, np.ones_like(a)], axis=-1)
        ray = ray / np.sqrt(1.0 + a * a + b * b)[..., None]
        return np.where(good[..., None], ray, np.nan)

    def sees(self, pixels: FloatArray) -> NDArray[np.bool_]:
        """Which pixels `[..., 2]` lie inside the picture."""
        u, v = pixels[..., 0], pixels[..., 1]
        return (u >= 0.0) & (u < self.width) & (v >= 0.0) & (v < self.height)

    def _distort(
        self, a: FloatArray, b: FloatArray
    ) -> tuple[FloatArray, FloatArray, tuple[FloatArray, FloatArray, FloatArray]]:
        """Where the lens puts (a, b), with du/da, du/db (= dv/da) and dv/db."""
        k1, k2, p1, p2, k3 = self.distortion
        r2 = a * a + b * b
        radial = 1.0 + r2 * (k1 + r2 * (k2 + r2 * k3))
        slope = 2.0 * (k1 + r2 * (2.0 * k2 + r2 * 3.0 * k3))  # d(radial)/d(r²) doubled
        u = a * radial + 2.0 * p1 * a * b + p2 * (r2 + 2.0 * a * a)
        v = b * radial + p1 * (r2 + 2.0 * b * b) + 2.0 * p2 * a * b
        du_da = radial + a * a * slope + 2.0 * p1 * b + 6.0 * p2 * a
        du_db = a * b * slope + 2.0 * p1 * a + 2.0 * p2 * b
        dv_db = radial + b * b * slope + 6.0 * p1 * b + 2.0 * p2 * a
        return u, v, (du_da, du_db, dv_db)


@lru_cache(maxsize=1024)  # a scan brings its camera along, and one that is replayed is built of it again
def _fold_radius2(distortion: tuple[float, float, float, float, float]) -> float:
    """Smallest squared radius where the distorted radius r(1 + k1 r² + k2 r⁴ + k3 r⁶) stops growing, or infinity."""
    k1, k2, _, _, k3 = distortion
    roots = np.roots([7.0 * k3, 5.0 * k2, 3.0 * k1, 1.0])
    real = [float(r.real) for r in roots if abs(r.imag) < 1e-12 and r.real > 0.0]
    return min(real, default=math.inf)
