"""What flights tell of how a camera stands: found where it is wrong, left alone where it is right, the frame held."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.fusion_scenes import CAMERA, START_S, ring, watch
from fusion import refinement, spaces
from fusion.engine import FusionEngine
from fusion.geometry import FloatArray
from fusion.refinement import SIZE, Refinement
from fusion.types import NS, Scan, Space

#: By how much the site file has each camera's focal length too long.
TOO_LONG = {"cam0": -0.03, "cam1": 0.03, "cam2": -0.02, "cam3": 0.025}


def path(t: float) -> FloatArray:
    """[1, 3]: up and down, near and far, all over the field."""
    across, height = 45.0 * math.sin(0.11 * t), 35.0 + 20.0 * math.sin(0.23 * t)
    return np.array([[across, 40.0 * math.sin(0.17 * t + 1.0), height]])


def with_wrong_lens(scan: Scan) -> Scan:
    """As if each focal length were a few percent off, and its camera's place moved to make up for it 50 m away."""
    assert scan.camera is not None
    share = TOO_LONG[scan.sensor_id]
    camera = replace(scan.camera, fx=scan.camera.fx * (1.0 + share), fy=scan.camera.fy * (1.0 + share))
    east, north, up = scan.pose.position_m
    back = 1.0 + share * 50.0 / math.hypot(east, north)
    return replace(scan, pose=replace(scan.pose, position_m=(back * east, back * north, up)), camera=camera)


def errors_m(engine: FusionEngine, scans: list[Scan], from_s: float) -> FloatArray:
    """[N, 3] of the first track, the drone's, from a time on."""
    gaps = []
    for scan in scans:
        tracks = [track for track in engine.step(scan).tracks if track.track_id == "T1"]
        t = scan.time_ns / NS - START_S
        if t >= from_s and tracks:
            gaps.append(np.array(tracks[0].mean[:3]) - path(t)[0])
    return np.array(gaps)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, SIZE - 1), st.floats(-30.0, 30.0), st.floats(-30.0, 30.0), st.floats(10.0, 45.0))
def test_derivative_is_the_difference_quotient(unknown: int, east: float, north: float, up: float) -> None:
    pose = ring(3, 90.0)[1]
    state = np.array([[east, north, up, 0.0, 0.0, 0.0]])
    scan = Scan("cam1", NS, 0, Space.PIXEL, pose, (), CAMERA)
    seen = spaces.predict(Space.PIXEL, state, pose, CAMERA)
    found = refinement.derivative(scan, state[:, :3] - np.array(pose.position_m), seen.jacobian[:, :, :3], seen.z)
    step = 1e-5
    pixels = []
    for sign in (1.0, -1.0):
        change = np.zeros(SIZE)
        change[unknown] = sign * step
        moved = refinement.refined(scan, Refinement(change=change, solved_ns=1))
        pixels.append(spaces.predict(Space.PIXEL, state, moved.pose, moved.camera).z)
    np.testing.assert_allclose(found[0, :, unknown], (pixels[0] - pixels[1])[0] / (2.0 * step), rtol=1e-4, atol=1e-2)


def test_wrong_focal_lengths_are_found_from_flight_and_tracks_gain() -> None:
    scans = [with_wrong_lens(scan) for scan in watch(ring(4, 90.0), path, ["drone"], 90.0, fps=5.0, seed=7)]
    engine, held = FusionEngine(), FusionEngine()
    late = errors_m(engine, scans, 65.0)
    held.population.refinement = lambda sensor_id: Refinement()  # type: ignore[method-assign]
    without = errors_m(held, scans, 65.0)
    for name, too_long in TOO_LONG.items():
        found = float(engine.population.refinements[name].change[refinement.FOCAL])
        assert abs(found + too_long) < 0.7 * abs(too_long), f"{name}: {found}, {-too_long} wanted"
    rms, before = (float(np.sqrt(np.square(each).sum(axis=1).mean())) for each in (late, without))
    assert rms < 0.7 * before, f"{rms:.3f} m, {before:.3f} m without"


def test_exact_cameras_stay_and_the_frame_does_not_drift() -> None:
    engine = FusionEngine()
    gaps = errors_m(engine, watch(ring(4, 90.0), path, ["drone"], 70.0, fps=5.0, seed=8), 45.0)
    assert np.abs(gaps.mean(axis=0)).max() < 0.05
    assert np.sqrt(np.square(gaps).sum(axis=1).mean()) < 0.15
    for known in engine.population.refinements.values():
        assert abs(known.change[refinement.FOCAL]) < 0.006
        assert np.abs(known.change[refinement.PLACE]).max() < 0.3
