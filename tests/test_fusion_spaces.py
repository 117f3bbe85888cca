"""Measurement functions: derivatives against differences, the wrap at north, sound that left earlier."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion import geometry as g
from fusion import linear, spaces
from fusion.types import SensorPose, Space

CAMERA = g.CameraModel(1920, 1080, 1569.2, 1572.0, 956.6, 533.1, (0.19, -0.6, -0.001, 0.0004, 0.6))
POSE = SensorPose(
    "s",
    0,
    (3.0, -4.0, 1.0),
    g.quaternion_from_matrix(g.attitude_matrix(0.6, 0.2, 0.05).T),
)
coordinates = st.floats(-0.4, 0.4)
velocities = st.tuples(*[st.floats(-25.0, 25.0)] * 3)
CASES = [(space, wave) for space in Space for wave in (None, 343.0) if wave is None or space in ("bearing", "azimuth")]


def state_ahead(a: float, b: float, depth: float, velocity: tuple[float, ...]) -> g.FloatArray:
    """A state that the camera of `POSE` has in front of it."""
    to_enu = g.matrix_from_quaternion(POSE.attitude)
    position = g.rotate(to_enu, np.array([a, b, 1.0]) * depth) + np.array(POSE.position_m)
    return np.concatenate([position, velocity])


@pytest.mark.parametrize(("space", "wave"), CASES)
@given(coordinates, coordinates, st.floats(20.0, 800.0), velocities, st.floats(-0.1, 0.1))
def test_jacobian_is_the_difference_quotient(
    space: Space, wave: float | None, a: float, b: float, depth: float, velocity: tuple[float, ...], delay: float
) -> None:
    state = state_ahead(a, b, depth, velocity)
    delay = 0.0 if wave else delay
    step = 1e-4
    shifts = step * np.eye(6)

    def function(x: g.FloatArray) -> spaces.Prediction:
        return spaces.predict(space, x, POSE, CAMERA, propagation_mps=wave, delay_s=delay)

    slope = spaces.residual(space, function(state + shifts).z, function(state - shifts).z).T / (2 * step)
    np.testing.assert_allclose(function(state).jacobian, slope, rtol=2e-4, atol=2e-6 * max(1.0, np.abs(slope).max()))


def test_residual_takes_the_short_way_across_north() -> None:
    measured, predicted = np.array([[math.pi - 0.01, 0.2]]), np.array([[-math.pi + 0.01, 0.1]])
    np.testing.assert_allclose(spaces.residual(Space.BEARING, measured, predicted), [[-0.02, 0.1]])


@given(st.floats(-1000, 1000), st.floats(20, 1000), st.floats(0, 200), velocities)
def test_sound_left_where_the_drone_was(east: float, north: float, up: float, velocity: tuple[float, ...]) -> None:
    """Independent check: fly the drone back by the travel time; the sound must need exactly that long."""
    state = np.array([east, north, up, *velocity])
    then = spaces.emission(state, np.zeros(3), 343.0).relative_m
    delay = np.linalg.norm(then) / 343.0
    np.testing.assert_allclose(then + np.array(velocity) * delay, state[:3], atol=1e-6)


def test_pixels_need_a_camera() -> None:
    with pytest.raises(ValueError, match="no camera model"):
        spaces.predict(Space.PIXEL, np.zeros((1, 6)), POSE)


@given(st.integers(1, 6), st.integers(0, 10_000))
def test_cholesky_and_solve_agree_with_lapack(d: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(3, d, d))
    matrix = root @ linear.transpose(root) + 0.1 * np.eye(d)
    low = linear.cholesky(matrix)
    np.testing.assert_allclose(low, np.linalg.cholesky(matrix), atol=1e-9)
    right = rng.normal(size=(3, d, 2))
    np.testing.assert_allclose(linear.solve_lower(low, right), np.linalg.solve(low, right), atol=1e-8)
    np.testing.assert_allclose(linear.log_determinant(low), np.linalg.slogdet(matrix)[1], atol=1e-9)
