"""Frames of reference and cameras against independent oracles (pymap3d, OpenCV) and against themselves."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pymap3d
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion import geometry as g

latitudes = st.floats(-90.0, 90.0)
longitudes = st.floats(-180.0, 180.0)
altitudes = st.floats(-5_000.0, 40_000.0)
offsets = st.tuples(*[st.floats(-50_000.0, 50_000.0)] * 3)
angles = st.floats(-math.pi, math.pi)

CAMERA = g.CameraModel(1920, 1080, 1569.2, 1572.0, 956.6, 533.1, (0.1889, -0.6268, -0.0014, 0.0004, 0.6062))


@given(latitudes, longitudes, altitudes)
def test_geodetic_ecef_agrees_with_pymap3d_and_returns(lat: float, lon: float, alt: float) -> None:
    ecef = g.geodetic_to_ecef(math.radians(lat), math.radians(lon), alt)
    np.testing.assert_allclose(ecef, pymap3d.geodetic2ecef(lat, lon, alt), atol=1e-6)
    back_lat, back_lon, back_alt = g.ecef_to_geodetic(ecef)
    np.testing.assert_allclose(g.geodetic_to_ecef(back_lat, back_lon, back_alt), ecef, atol=1e-7)
    assert abs(float(back_alt) - alt) < 1e-6


@given(latitudes, longitudes, altitudes, offsets)
def test_enu_round_trip_everywhere(lat: float, lon: float, alt: float, offset: tuple[float, ...]) -> None:
    frame = g.LocalFrame(g.Geodetic(lat, lon, alt))
    np.testing.assert_allclose(frame.to_enu(*frame.to_geodetic(offset)), offset, atol=1e-6)


@given(st.floats(-89.0, 89.0), longitudes, altitudes, offsets)
def test_enu_agrees_with_pymap3d(lat: float, lon: float, alt: float, offset: tuple[float, ...]) -> None:
    frame = g.LocalFrame(g.Geodetic(lat, lon, alt))
    place = pymap3d.enu2geodetic(*offset, lat, lon, alt)
    np.testing.assert_allclose(frame.to_enu(*place), offset, atol=1e-5)


# pymap3d takes components under a millimetre for zero, before it works out the angles.
@given(offsets.filter(lambda v: math.hypot(*v) > 1.0 and all(c == 0.0 or abs(c) >= 1e-3 for c in v)))
def test_directions_agree_with_pymap3d_and_return(offset: tuple[float, ...]) -> None:
    azimuth, elevation = g.direction_to_angles(offset)
    # enu2aer writes to its arguments: give it copies.
    want_az, want_el, length = pymap3d.enu2aer(*(np.array(v) for v in offset))
    assert abs(float(g.wrap_angle(azimuth - math.radians(float(want_az))))) < 1e-9 or offset[:2] == (0.0, 0.0)
    assert float(elevation) == pytest.approx(math.radians(float(want_el)), abs=1e-9)
    np.testing.assert_allclose(g.angles_to_direction(azimuth, elevation) * float(length), offset, atol=1e-6)


@given(st.floats(-1e4, 1e4))
def test_wrap_keeps_the_direction_and_the_range(angle: float) -> None:
    wrapped = float(g.wrap_angle(angle))
    assert -math.pi <= wrapped < math.pi
    assert math.cos(wrapped - angle) == pytest.approx(1.0)


@given(angles, st.floats(-1.5, 1.5), angles)
def test_attitude_is_a_rotation_and_returns(azimuth: float, elevation: float, roll: float) -> None:
    matrix = g.attitude_matrix(azimuth, elevation, roll)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(matrix) == pytest.approx(1.0)
    np.testing.assert_allclose(g.attitude_matrix(*g.attitude_angles(matrix)), matrix, atol=1e-9)
    np.testing.assert_allclose(g.matrix_from_quaternion(g.quaternion_from_matrix(matrix)), matrix, atol=1e-12)


def test_attitude_by_hand() -> None:
    """Looking north and level: right is east, down is down; rolled by 90° the camera's right points down."""
    np.testing.assert_allclose(g.attitude_matrix(0, 0), [[1, 0, 0], [0, 0, -1], [0, 1, 0]], atol=1e-15)
    np.testing.assert_allclose(g.attitude_matrix(0, 0, math.pi / 2)[0], [0, 0, -1], atol=1e-15)


@given(st.lists(st.tuples(st.floats(-0.6, 0.6), st.floats(-0.35, 0.35), st.floats(1, 1000)), min_size=1, max_size=8))
def test_projection_agrees_with_opencv_and_returns(shape: list[tuple[float, float, float]]) -> None:
    points = np.array([[a * z, b * z, z] for a, b, z in shape])
    got = CAMERA.project(points)
    matrix = np.array([[CAMERA.fx, 0, CAMERA.cx], [0, CAMERA.fy, CAMERA.cy], [0, 0, 1]])
    want, _ = cv2.projectPoints(points, np.zeros(3), np.zeros(3), matrix, np.array(CAMERA.distortion))
    np.testing.assert_allclose(got.pixels, want[:, 0], atol=1e-6)
    rays = points / np.linalg.norm(points, axis=1, keepdims=True)
    np.testing.assert_allclose(CAMERA.rays(got.pixels)[got.valid], rays[got.valid], atol=1e-7)


@given(latitudes, longitudes, altitudes)
def test_ecef_to_geodetic_agrees_with_pymap3d(lat: float, lon: float, alt: float) -> None:
    x, y, z = (float(v) for v in pymap3d.geodetic2ecef(lat, lon, alt))
    got_lat, got_lon, got_alt = g.ecef_to_geodetic(np.array([x, y, z]))
    want_lat, want_lon, want_alt = (float(v) for v in pymap3d.ecef2geodetic(x, y, z))
    place = g.geodetic_to_ecef(math.radians(want_lat), math.radians(want_lon), want_alt)
    np.testing.assert_allclose(g.geodetic_to_ecef(got_lat, got_lon, got_alt), place, atol=1e-5)


@given(st.tuples(st.floats(100, 1820), st.floats(100, 980)))
def test_rays_agree_with_opencv(pixel: tuple[float, float]) -> None:
    matrix = np.array([[CAMERA.fx, 0, CAMERA.cx], [0, CAMERA.fy, CAMERA.cy], [0, 0, 1]])
    stop = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 200, 1e-13)
    lens = np.array(CAMERA.distortion)
    flat = cv2.undistortImagePoints(np.array([[pixel]]), matrix, lens, None, stop)[0, 0]
    ray = CAMERA.rays(np.array(pixel))
    want = (flat - matrix[:2, 2]) / matrix[[0, 1], [0, 1]]
    np.testing.assert_allclose(ray[:2] / ray[2], want, atol=1e-6)


@given(angles, st.floats(-1.2, 1.2), angles, st.tuples(st.floats(-0.4, 0.4), st.floats(-0.25, 0.25)), offsets)
def test_a_place_in_the_world_meets_the_pixel_that_opencv_says(
    azimuth: float, elevation: float, roll: float, shape: tuple[float, float], stand: tuple[float, ...]
) -> None:
    """The whole chain from ENU: attitude as a rotation vector, the camera's place as a translation."""
    to_camera, depth = g.attitude_matrix(azimuth, elevation, roll), 80.0
    ahead = np.array([shape[0] * depth, shape[1] * depth, depth])
    place = to_camera.T @ ahead + np.array(stand)
    turn, _ = cv2.Rodrigues(to_camera)
    matrix = np.array([[CAMERA.fx, 0, CAMERA.cx], [0, CAMERA.fy, CAMERA.cy], [0, 0, 1]])
    want, _ = cv2.projectPoints(place[None], turn, -to_camera @ np.array(stand), matrix, np.array(CAMERA.distortion))
    got = CAMERA.project(g.rotate(to_camera, place - np.array(stand))).pixels
    np.testing.assert_allclose(got, want[0, 0], atol=1e-3)


@given(st.floats(-0.4, 0.4), st.floats(-0.3, 0.3), st.floats(2, 500))
def test_projection_jacobian_is_the_difference_quotient(a: float, b: float, depth: float) -> None:
    point, step = np.array([a * depth, b * depth, depth]), 1e-6 * depth
    shifts = step * np.eye(3)
    slope = (CAMERA.project(point + shifts).pixels - CAMERA.project(point - shifts).pixels).T / (2 * step)
    np.testing.assert_allclose(CAMERA.project(point).jacobian, slope, rtol=1e-5, atol=1e-4 / depth)


def test_behind_and_beyond_the_fold_are_invalid() -> None:
    wide = g.CameraModel(1920, 1080, 874.0, 894.0, 970.0, 531.0, (-0.26, 0.0, 0.0, 0.0, 0.0))
    assert not wide.project([0.0, 0.0, -5.0]).valid
    assert wide.project([1.0, 0.0, 1.0]).valid
    assert not wide.project([1.2, 0.0, 1.0]).valid  # 3·0.26·1.2² > 1: the picture turns back on itself
    assert np.isnan(wide.rays([5_000.0, 500.0])).all()


@pytest.mark.parametrize("focal", [0.0, -1.0, math.nan, math.inf])
def test_impossible_cameras_are_refused(focal: float) -> None:
    with pytest.raises(ValueError, match="camera"):
        g.CameraModel(640, 480, focal, 500.0, 320.0, 240.0)
