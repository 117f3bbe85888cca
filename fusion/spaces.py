"""Measurement functions: what a sensor would report of a state, with the derivative, and the residual.

A state is position and velocity `[..., 6]` (ENU m, m/s) at the time the report *arrived*. What the sensor saw is the
state a `delay` earlier: zero for light, a clock offset for a camera that stamps late, and for sound the time it
travelled, which depends on the state itself. The measurement's own time is never faked.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fusion.geometry import CameraModel, FloatArray, direction_to_angles, matrix_from_quaternion, rotate, wrap_angle
from fusion.types import SensorPose, Space

#: How many numbers each space has, and how many of them, from the first, are angles that wrap.
DIMENSION = {
    Space.PIXEL: 2,
    Space.BEARING: 2,
    Space.BEARING_RANGE: 3,
    Space.AZIMUTH: 1,
    Space.POSITION: 3,
    Space.POSITION_VELOCITY: 6,
}
_WRAPPING = {Space.BEARING: 1, Space.BEARING_RANGE: 1, Space.AZIMUTH: 1}
_LEAST_RANGE_M = 0.1


class Prediction(NamedTuple):
    """What the sensor would report `[..., d]`, its derivative by the state `[..., d, 6]`, and where it sees at all."""

    z: FloatArray
    jacobian: FloatArray
    valid: NDArray[np.bool_]


class Emission(NamedTuple):
    """Position relative to the sensor when the wave left `[..., 3]`, with derivatives by position and velocity."""

    relative_m: FloatArray
    by_position: FloatArray
    by_velocity: FloatArray


def predict(
    space: Space,
    state: FloatArray,
    pose: SensorPose,
    camera: CameraModel | None = None,
    *,
    propagation_mps: float | None = None,
    delay_s: float = 0.0,
) -> Prediction:
    """What a sensor at `pose` reports of `state` `[..., 6]`, and the derivative.

    Raises:
        ValueError: pixels without a camera.
    """
    if space in (Space.POSITION, Space.POSITION_VELOCITY):
        return _predict_position(state, DIMENSION[space], delay_s)
    seen = emission(state, np.array(pose.position_m), propagation_mps, delay_s)
    if space is Space.PIXEL:
        if camera is None:
            raise ValueError(f"sensor {pose.sensor_id} reports pixels but has no camera model")
        z, by_relative, valid = _pixels(seen.relative_m, pose, camera)
    else:
        z, by_relative, valid = _angles(seen.relative_m, DIMENSION[space])
    if propagation_mps is None:
        return Prediction(z, np.concatenate([by_relative, -delay_s * by_relative], axis=-1), valid)
    jacobian = np.concatenate(
        [_product(by_relative, seen.by_position), _product(by_relative, seen.by_velocity)], axis=-1
    )
    return Prediction(z, jacobian, valid)


def residual(space: Space, measured: FloatArray, predicted: FloatArray) -> FloatArray:
    """`measured − predicted` `[..., d]`, azimuths the short way round."""
    difference = measured - predicted
    wrapping = _WRAPPING.get(space, 0)
    if wrapping:
        difference[..., :wrapping] = wrap_angle(difference[..., :wrapping])
    return difference


def emission(
    state: FloatArray, sensor_m: FloatArray, propagation_mps: float | None = None, delay_s: float = 0.0
) -> Emission:
    """Where the target was, relative to the sensor, when what arrives now left it.

    With `e = p − v δ − s`: light has a given δ; sound has |e| = c δ, a quadratic whose positive root is taken, and
    dδ = u·(dp − δ dv) / (c + u·v) with u = e/|e|. Targets at or above the speed of sound are treated as just below it.
    """
    relative, velocity = state[..., :3] - sensor_m, state[..., 3:6]
    eye = np.broadcast_to(np.eye(3), (*relative.shape, 3))
    if propagation_mps is None:
        return Emission(relative - velocity * delay_s, eye, -delay_s * eye)
    delay = _travel_time(relative, velocity, propagation_mps)
    then = relative - velocity * delay[..., None]
    unit = then / np.maximum(np.sqrt(_dot(then, then)), _LEAST_RANGE_M)[..., None]
    closing = np.maximum(propagation_mps + _dot(unit, velocity), 0.05 * propagation_mps)
    slope = unit / closing[..., None]  # dδ/dp
    by_position = eye - velocity[..., :, None] * slope[..., None, :]
    return Emission(then, by_position, -delay[..., None, None] * by_position)


def _travel_time(relative: FloatArray, velocity: FloatArray, speed: float) -> FloatArray:
    a = np.maximum(speed * speed - _dot(velocity, velocity), 0.05 * speed * speed)
    b = _dot(relative, velocity)
    return (-b + np.sqrt(b * b + a * _dot(relative, relative))) / a


def _predict_position(state: FloatArray, dimension: int, delay_s: float) -> Prediction:
    position = state[..., :3] - delay_s * state[..., 3:6]
    z = position if dimension == 3 else np.concatenate([position, state[..., 3:6]], axis=-1)
    jacobian = np.zeros((*state.shape[:-1], dimension, 6))
    for k in range(dimension):
        jacobian[..., k, k] = 1.0
    for k in range(3):
        jacobian[..., k, k + 3] = -delay_s
    return Prediction(z, jacobian, np.ones(state.shape[:-1], dtype=bool))


def _pixels(
    relative: FloatArray, pose: SensorPose, camera: CameraModel
) -> tuple[FloatArray, FloatArray, NDArray[np.bool_]]:
    enu_to_camera = matrix_from_quaternion(pose.attitude).T
    pixels, jacobian, valid = camera.project(rotate(enu_to_camera, relative))
    return pixels, _product(jacobian, np.broadcast_to(enu_to_camera, (*relative.shape, 3))), valid


def _angles(relative: FloatArray, dimension: int) -> tuple[FloatArray, FloatArray, NDArray[np.bool_]]:
    """Azimuth, elevation and range (the first `dimension` of them); straight above azimuth means nothing."""
    east, north, up = relative[..., 0], relative[..., 1], relative[..., 2]
    level2 = np.maximum(east * east + north * north, 1e-12)
    range2 = level2 + up * up
    level, range_m = np.sqrt(level2), np.sqrt(range2)
    azimuth, elevation = direction_to_angles(relative)
    zero = np.zeros_like(east)
    rows = [
        (north / level2, -east / level2, zero),
        (-up * east / (level * range2), -up * north / (level * range2), level / range2),
        (east / range_m, north / range_m, up / range_m),
    ]
    z = np.stack([azimuth, elevation, range_m][:dimension], axis=-1)
    jacobian = np.stack([np.stack(row, axis=-1) for row in rows[:dimension]], axis=-2)
    return z, jacobian, range_m > _LEAST_RANGE_M


def _product(left: FloatArray, right: FloatArray) -> FloatArray:
    total: FloatArray = (
        left[..., :, 0, None] * right[..., None, 0, :]
        + left[..., :, 1, None] * right[..., None, 1, :]
        + left[..., :, 2, None] * right[..., None, 2, :]
    )
    return total


def _dot(a: FloatArray, b: FloatArray) -> FloatArray:
    dot: FloatArray = a[..., 0] * b[..., 0] + a[..., 1] * b[..., 1] + a[..., 2] * b[..., 2]
    return dot
