"""Calibration from flights whose truth is known: what it finds, how sure it is, what it owns not to know."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusion import geometry as g
from fusion.alignment import Sightings, sightings_of
from fusion.calibration import Calibration, CalibrationError, Prior, calibrate
from fusion.mounting import CLOCK, FOCAL, POSITION, SIZE, TURN, Mounting, moved, relative, turn_between, view
from fusion.trajectory import Fixes, Trajectory, TrajectoryError, smooth

CAMERA = g.CameraModel(1920, 1080, 1200.0, 1200.0, 960.0, 540.0, (0.05, -0.1, 0.001, 0.0, 0.0))
SOUND = 343.0
SIGMA_M = np.array([2.0, 2.0, 4.0])


def mounted(camera: g.CameraModel | None) -> Mounting:
    attitude = np.eye(3) if camera is None else g.attitude_matrix(0.1, 0.35, 0.02)
    return Mounting(np.array([5.0, -60.0, 2.0]), attitude, 0.0, camera, None if camera else SOUND)


def weaving(t: g.FloatArray) -> g.FloatArray:
    return np.stack([25 * np.sin(0.31 * t), 15 + 25 * np.sin(0.17 * t + 1), 40 + 12 * np.sin(0.23 * t)], axis=-1)


def hovering(t: g.FloatArray) -> g.FloatArray:
    return np.array([0.0, 20.0, 40.0]) + 0.05 * np.stack([np.sin(t), np.cos(1.3 * t), np.sin(0.7 * t)], axis=-1)


def reported(path: object, seconds: float, *, bias_m: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Trajectory:
    """What a drone's GPS says twice a second: displaced for good, a quick error of 15 cm, a gap, wild reports."""
    rng = np.random.default_rng(3)
    times = np.arange(0.0, seconds, 0.5)
    places = path(times) + np.array(bias_m) + 0.15 * rng.normal(size=(len(times), 3))  # type: ignore[operator]
    places[[20, 71]] += 300.0
    kept = np.abs(times - 0.4 * seconds) > 2.0
    return smooth(Fixes(times[kept], places[kept], np.broadcast_to(SIGMA_M, places[kept].shape)))


def seen(truth: Mounting, path: object, seconds: float, *, sigma: float, false: int, seed: int = 0) -> Sightings:
    """Ten looks a second: the drone in seven of ten, false reports anywhere, one that stays in its place."""
    rng = np.random.default_rng(seed)
    fine = np.arange(-2.0, seconds + 2.0, 0.02)
    exact = smooth(Fixes(fine, path(fine), np.full((len(fine), 3), 0.02)))  # type: ignore[operator]
    times = np.arange(0.5, seconds - 0.5, 0.1)
    z = view(truth, times, exact, np.zeros(3)).z
    low, high = ((0.0, 0.0), (1920.0, 1080.0)) if truth.camera else ((-math.pi, -0.2), (math.pi, 1.5))
    inside = ((z > low) & (z < high)).all(axis=1) & (rng.random(len(times)) < 0.7)
    z = z + sigma * rng.normal(size=z.shape)
    clutter = rng.uniform(low, high, size=(false * len(times), 2))
    still = np.array([[0.7 * high[0], 0.4 * high[1]]]) + sigma * rng.normal(size=(len(times), 2))
    whole = np.concatenate([z[inside], clutter, still])
    stamps = np.concatenate([times[inside], np.repeat(times, false), times])
    return sightings_of(stamps, whole, np.full_like(whole, sigma))


def error_in_sigmas(found: Calibration, truth: Mounting) -> g.FloatArray:
    """Squared Mahalanobis distance of turn [3], position [3] and clock."""
    turn = turn_between(truth.to_sensor, found.mounting.to_sensor)
    place = found.mounting.position_m - truth.position_m
    cov = found.covariance
    return np.array([
        turn @ np.linalg.solve(cov[TURN, TURN], turn) / 3.0,
        place @ np.linalg.solve(cov[POSITION, POSITION], place) / 3.0,
        (found.mounting.clock_s - truth.clock_s) ** 2 / cov[CLOCK, CLOCK],
    ])  # fmt: skip


@pytest.mark.parametrize("seed", range(2))
def test_a_camera_is_found_though_most_reports_are_false(seed: int) -> None:
    """Turned by 25°, moved by 2 m, its clock 0.4 s off; three of four reports false; the GPS 4 m too high."""
    truth = mounted(CAMERA)
    path = reported(weaving, 60.0, bias_m=(1.0, -1.5, 4.0))
    sightings = seen(replace(truth, clock_s=0.4), weaving, 60.0, sigma=1.5, false=2, seed=seed)
    thought = moved(truth, np.array([0.1, 0.4, -0.15, 1.2, -1.0, 1.2, 0, 0, 0, 0, 0]))
    found = calibrate(thought, sightings, path, Prior())
    assert math.degrees(np.abs(turn_between(truth.to_sensor, found.mounting.to_sensor)).max()) < 1.0
    assert abs(found.mounting.clock_s - 0.4) < 0.05
    assert (error_in_sigmas(found, replace(truth, clock_s=0.4)) < 9.0).all()
    assert found.told[TURN].all()
    assert found.told[CLOCK]
    assert not found.told[POSITION].any()  # the drone's own GPS knows no better
    assert found.matched > 0.6 * found.looks
    assert np.median(np.abs(found.residuals.after)) < 2.5


def test_an_array_is_found_by_sound_that_comes_late() -> None:
    """Two kilometres of delay would be 6 s; here a fifth to a third of a second that changes with the flight."""
    truth = replace(mounted(None), clock_s=-0.3)
    path = reported(weaving, 90.0)
    sightings = seen(truth, weaving, 90.0, sigma=math.radians(2.0), false=1)
    thought = replace(moved(truth, np.array([0.05, -0.1, 0.7, 1, 1, 0, 0, 0, 0, 0, 0])), clock_s=0.0)
    found = calibrate(thought, sightings, path, Prior(attitude_rad=math.radians(40.0)))
    assert math.degrees(np.abs(turn_between(truth.to_sensor, found.mounting.to_sensor)).max()) < 2.0
    assert (error_in_sigmas(found, truth) < 9.0).all()
    assert abs(found.mounting.clock_s + 0.3) < 0.1


def test_a_focal_length_is_found_when_asked_for() -> None:
    truth = mounted(CAMERA)
    sightings = seen(truth, weaving, 60.0, sigma=1.0, false=0)
    wrong = replace(truth, camera=replace(CAMERA, fx=1260.0, fy=1260.0))
    found = calibrate(wrong, sightings, smooth_exact(60.0), Prior(focal=0.1))
    assert found.mounting.camera is not None
    assert found.mounting.camera.fx == pytest.approx(1200.0, rel=max(0.005, 3.0 * found.sigma[FOCAL]))
    assert found.told[FOCAL]
    assert calibrate(wrong, sightings, smooth_exact(60.0), Prior()).mounting.camera == wrong.camera


def smooth_exact(seconds: float) -> Trajectory:
    times = np.arange(0.0, seconds, 0.2)
    return smooth(Fixes(times, weaving(times), np.full((len(times), 3), 0.05)))


def test_what_a_hovering_drone_cannot_tell_stays_as_it_was() -> None:
    truth = mounted(CAMERA)
    thought = moved(truth, np.array([0.1, 0.2, 0, 0, 0, 0, 0, 0, 0, 0, 0]))
    path = reported(hovering, 40.0)
    found = calibrate(thought, seen(truth, hovering, 40.0, sigma=1.5, false=0), path, Prior())
    right, down, forward = found.told[TURN]
    assert right
    assert down
    assert not forward
    assert not found.told[CLOCK]
    assert not found.told[POSITION].any()
    assert abs(found.parameters[CLOCK]) < 0.1 * found.prior_sigma[CLOCK]
    assert found.sigma[CLOCK] > 0.7 * found.prior_sigma[CLOCK]


def test_reports_of_something_else_are_no_calibration() -> None:
    truth = mounted(CAMERA)
    other = seen(truth, lambda t: weaving(1.7 * t + 40.0)[:, [1, 0, 2]], 40.0, sigma=1.0, false=2)
    with pytest.raises(CalibrationError, match="do not follow"):
        calibrate(truth, other.thinned(15), reported(weaving, 40.0), Prior())
    with pytest.raises(CalibrationError, match="clocks"):
        calibrate(truth, other._replace(times_s=other.times_s + 5_000.0), reported(weaving, 40.0), Prior())


# --- the measurement function ----------------------------------------------------------------------------------------

turns = st.tuples(*[st.floats(-0.4, 0.4)] * 3)


@given(turns, st.floats(-0.5, 0.5), st.sampled_from([CAMERA, None]))
@settings(max_examples=25)
def test_derivatives_are_difference_quotients(turn: tuple[float, ...], clock_s: float, camera: object) -> None:
    start = mounted(camera)  # type: ignore[arg-type]
    here = np.array([*turn, 1.0, -2.0, 0.5, 0.3, 0.2, -1.0, clock_s, 0.02 if camera else 0.0])
    times, path = np.array([10.33, 22.05, 31.71]), smooth_exact(60.0)
    there = view(moved(start, here), times, path, here[TURN])
    for k in range(SIZE if camera else SIZE - 1):
        step = 1e-5 * np.eye(SIZE)[k]
        ends = [view(moved(start, here + sign * step), times, path, here[TURN]).z for sign in (1.0, -1.0)]
        np.testing.assert_allclose(there.jacobian[:, :, k], (ends[0] - ends[1]) / 2e-5, rtol=2e-4, atol=2e-3)


def test_sound_left_when_the_path_says() -> None:
    """Independent check: what the array hears at a moment was at that distance, that long before."""
    array, path = mounted(None), smooth_exact(60.0)
    away, _, _ = relative(array, np.array([30.0]), path)
    distance = float(np.linalg.norm(away))
    place = path.at(np.array([30.0 - distance / SOUND])).position_m
    np.testing.assert_allclose(place - array.position_m, away, atol=1e-6)


def test_a_path_keeps_to_its_reports_and_says_where_it_does_not_know() -> None:
    path = reported(weaving, 60.0)
    times = np.array([5.25, 24.0, 50.1, 100.0])
    place = path.at(times)
    assert place.known.tolist() == [True, False, True, False]
    np.testing.assert_allclose(place.position_m[[0, 2]], weaving(times[[0, 2]]), atol=0.5)
    step = (path.at(times + 1e-4).position_m - path.at(times - 1e-4).position_m)[[0, 2]] / 2e-4
    np.testing.assert_allclose(place.velocity_mps[[0, 2]], step, atol=1e-4)
    with pytest.raises(TrajectoryError, match="2 positions"):
        smooth(Fixes(np.array([0.0, 1.0]), np.zeros((2, 3)), np.ones((2, 3))))
