"""How a sensor stands and runs, as unknowns: what it should report of a known path, and the derivatives by each.

For a report stamped t, with a clock that is `clock_s` ahead and a wave that travelled τ,

    e = path(t − clock − τ) − bias − position,   |e| = c τ (light: τ = 0),   q = to_sensor · e,   z = lens or angles

Differentiating with v the drone's speed, u = e/|e| and A = I − v uᵀ / (c + u·v) (light: A = I) gives
de = −A (v dclock + dbias + dposition), and with a turn exp(φ) of the sensor dq = −[q]× J(φ) dφ, J being the left
Jacobian of the rotation group (Barfoot, State Estimation for Robotics, 2017, 7.1.5).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from fusion import spaces
from fusion.geometry import CameraModel, FloatArray
from fusion.trajectory import Trajectory
from fusion.types import SensorPose, Space

#: Places of the unknowns in a parameter vector: turn about the sensor's own axes (rad), metres ENU, s, log of focal.
TURN, POSITION, BIAS, CLOCK, FOCAL = slice(0, 3), slice(3, 6), slice(6, 9), 9, 10
SIZE = 11
_ORIGIN = SensorPose("", 0, (0.0, 0.0, 0.0))
_LEAST_RANGE_M = 0.1
_TRAVEL_STEPS = 6


@dataclass(frozen=True, slots=True)
class Mounting:
    """Where a sensor stands, how it is turned, and how far its clock is ahead.

    Attributes:
        position_m: [3] ENU.
        to_sensor: [3, 3] ENU → the sensor's axes; an array reports directions in axes that should be ENU themselves.
        camera: lens, or None for sensors that report azimuth and elevation.
        wave_mps: speed of what it hears; None for light.
        bias_m: [3] how far the drone's reported path is displaced.
    """

    position_m: FloatArray
    to_sensor: FloatArray
    clock_s: float = 0.0
    camera: CameraModel | None = None
    wave_mps: float | None = None
    bias_m: FloatArray = field(default_factory=lambda: np.zeros(3))

    @property
    def space(self) -> Space:
        return Space.BEARING if self.camera is None else Space.PIXEL


class View(NamedTuple):
    """What a sensor should report at M times.

    z `[M, 2]` (pixels, or azimuth and elevation), derivatives by the parameters `[M, 2, 11]`, covariance that the
    path's own uncertainty adds `[M, 2, 2]`, and where all this means something `[M]`.
    """

    z: FloatArray
    jacobian: FloatArray
    covariance: FloatArray
    valid: NDArray[np.bool_]


def moved(start: Mounting, parameters: FloatArray) -> Mounting:
    """The mounting that differs from `start` by `parameters` [11]."""
    camera = start.camera
    if camera is not None and parameters[FOCAL] != 0.0:
        grown = float(np.exp(parameters[FOCAL]))
        camera = replace(camera, fx=camera.fx * grown, fy=camera.fy * grown)
    return replace(
        start,
        position_m=start.position_m + parameters[POSITION],
        to_sensor=Rotation.from_rotvec(parameters[TURN]).as_matrix() @ start.to_sensor,
        clock_s=start.clock_s + float(parameters[CLOCK]),
        bias_m=start.bias_m + parameters[BIAS],
        camera=camera,
    )


def turn_between(start: FloatArray, end: FloatArray) -> FloatArray:
    """Rotation vector [3], in the sensor's axes, that takes the attitude `start` to `end`; each [3, 3] ENU → sensor."""
    turn: FloatArray = Rotation.from_matrix(end @ start.T).as_rotvec()
    return turn


def relative(mounting: Mounting, times_s: FloatArray, path: Trajectory) -> tuple[FloatArray, FloatArray, FloatArray]:
    """The drone relative to the sensor when the wave left `[M, 3]` ENU, its velocity, and the path's variance there.

    NaN where the path is not known.
    """
    stamped = times_s - mounting.clock_s
    place = path.at(stamped)
    for _ in range(_TRAVEL_STEPS if mounting.wave_mps else 0):
        away = place.position_m - mounting.bias_m - mounting.position_m
        place = path.at(stamped - np.sqrt(np.square(away).sum(axis=1)) / (mounting.wave_mps or np.inf))
    away = place.position_m - mounting.bias_m - mounting.position_m
    return np.where(place.known[:, None], away, np.nan), place.velocity_mps, place.variance_m2


def view(mounting: Mounting, times_s: FloatArray, path: Trajectory, turn: FloatArray) -> View:
    """What the sensor should report at its own times `[M]`; `turn` [3]: what of its attitude is a parameter."""
    away, velocity, variance = relative(mounting, times_s, path)
    known = np.isfinite(away[:, 0])
    away = np.where(known[:, None], away, 1.0)
    ahead = away @ mounting.to_sensor.T
    z, by_ahead, valid = _reported(ahead, mounting.camera)
    by_enu = _turned(by_ahead, mounting.to_sensor)
    by_place = -_slowed(by_enu, away, velocity, mounting.wave_mps)
    jacobian = np.zeros((len(times_s), 2, SIZE))
    jacobian[:, :, TURN] = _turned(np.cross(ahead[:, None, :], by_ahead), left_jacobian(turn))
    jacobian[:, :, POSITION] = jacobian[:, :, BIAS] = by_place
    jacobian[:, :, CLOCK] = (by_place * velocity[:, None, :]).sum(axis=2)
    if mounting.camera is not None:
        jacobian[:, :, FOCAL] = z - np.array([mounting.camera.cx, mounting.camera.cy])
    return View(z, jacobian, (by_enu * variance[:, None, :]) @ np.swapaxes(by_enu, 1, 2), valid & known)


def rays(z: FloatArray, camera: CameraModel | None) -> FloatArray:
    """Unit vectors `[M, 3]` in the sensor's axes of reports `[M, 2]`; NaN where a pixel is beyond the lens."""
    if camera is not None:
        return camera.rays(z)
    level = np.cos(z[:, 1])
    return np.stack([np.sin(z[:, 0]) * level, np.cos(z[:, 0]) * level, np.sin(z[:, 1])], axis=-1)


def left_jacobian(turn: FloatArray) -> FloatArray:
    """`[3, 3]`: exp(φ + dφ) = exp(J dφ) exp(φ) to first order."""
    angle = float(np.sqrt(np.square(turn).sum()))
    if angle < 1e-8:
        return np.eye(3) + 0.5 * _cross(turn)
    axis = turn / angle
    share = np.sin(angle) / angle
    whole: FloatArray = (
        share * np.eye(3) + (1.0 - share) * np.outer(axis, axis) + (1.0 - np.cos(angle)) / angle * _cross(axis)
    )
    return whole


def _turned(rows: FloatArray, matrix: FloatArray) -> FloatArray:
    """Rows `[M, 2, 3]` times one matrix `[3, 3]`."""
    turned: FloatArray = (rows.reshape(-1, 3) @ matrix).reshape(rows.shape)
    return turned


def _slowed(rows: FloatArray, away: FloatArray, velocity: FloatArray, wave_mps: float | None) -> FloatArray:
    """Rows `[M, 2, 3]` times the A of the module's text."""
    if wave_mps is None:
        return rows
    unit = away / np.maximum(np.sqrt(np.square(away).sum(axis=1)), _LEAST_RANGE_M)[:, None]
    closing = np.maximum(wave_mps + (unit * velocity).sum(axis=1), 0.05 * wave_mps)
    along = (rows * velocity[:, None, :]).sum(axis=2)
    slowed: FloatArray = rows - along[:, :, None] * (unit / closing[:, None])[:, None, :]
    return slowed


def _reported(ahead: FloatArray, camera: CameraModel | None) -> tuple[FloatArray, FloatArray, NDArray[np.bool_]]:
    """Reports of points `[M, 3]` in the sensor's axes, derivatives `[M, 2, 3]`, and where they mean something."""
    if camera is not None:
        return camera.project(ahead)
    state = np.concatenate([ahead, np.zeros_like(ahead)], axis=-1)
    predicted = spaces.predict(Space.BEARING, state, _ORIGIN)
    return predicted.z, predicted.jacobian[..., :3], predicted.valid


def _cross(vector: FloatArray) -> FloatArray:
    """`[3, 3]`: the matrix whose product with w is `vector × w`."""
    x, y, z = (float(v) for v in vector)
    return np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
