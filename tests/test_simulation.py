"""The simulated site: truth that obeys its limits, pictures that repeat byte for byte, and boxes that hold targets."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusion.geometry import CameraModel
from simulation.camera import Camera
from simulation.landscape import Landscape
from simulation.render import Renderer, Truth
from simulation.scenario import kept_scenario
from simulation.scene import Scene
from simulation.shapes import Airliner, Bird, Body, FixedWing, Helicopter, Quadcopter
from simulation.site import SimulatedSite
from simulation.world import Aircraft, Limits, Orbit, Trajectory, WaypointFlight

VISIBLE, INFRARED = "cam-west", "cam-heat"
LIMITS = Limits(speed=6.0, acceleration=3.0, jerk=5.0)
SENSORS = (VISIBLE, INFRARED)
QUADCOPTER = Quadcopter(diagonal_m=0.4)
coordinate = st.floats(-80.0, 80.0).map(lambda v: round(v, 1))
places = st.lists(st.tuples(coordinate, coordinate, coordinate), min_size=2, max_size=6, unique=True)


def demo_scene(seed: int = 7, epoch_ns: int = 0) -> Scene:
    return SimulatedSite(kept_scenario("demo").model_copy(update={"seed": seed}), epoch_ns).scene


@pytest.fixture(scope="module")
def scene() -> Scene:
    return demo_scene(seed=7)


# --- World -----------------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(places)
def test_a_multirotor_keeps_its_limits(waypoints: list[tuple[float, float, float]]) -> None:
    flight = WaypointFlight(tuple(waypoints), LIMITS, hover_s=0.5)
    states = [flight.at(t) for t in np.linspace(0.0, flight.period_s, 200)]
    assert max(float(np.linalg.norm(s.velocity)) for s in states) <= LIMITS.speed * (1 + 1e-9)
    assert max(float(np.linalg.norm(s.acceleration)) for s in states) <= LIMITS.acceleration * (1 + 1e-9)
    step = 1e-4
    for t in np.linspace(0.0, flight.period_s, 50):
        jerk = (flight.at(t + step).acceleration - flight.at(t).acceleration) / step
        assert np.linalg.norm(jerk) <= LIMITS.jerk * 1.01


def test_a_leg_is_as_quick_as_its_limits_allow() -> None:
    """Each limit in its turn is reached, not merely kept."""
    for limits in (Limits(3.0, 50.0, 500.0), Limits(90.0, 2.0, 500.0), Limits(90.0, 50.0, 1.0)):
        flight = WaypointFlight(((0.0, 0.0, 0.0), (40.0, 0.0, 0.0)), limits, hover_s=0.0)
        states = [flight.at(t) for t in np.linspace(0.0, flight.period_s / 2, 2001)]
        speed = max(abs(float(s.velocity[0])) for s in states) / limits.speed
        acceleration = max(abs(float(s.acceleration[0])) for s in states) / limits.acceleration
        jerk = float(states[1].acceleration[0] - states[0].acceleration[0]) / (flight.period_s / 4000) / limits.jerk
        assert max(speed, acceleration, jerk) == pytest.approx(1.0, rel=0.01)


@pytest.mark.parametrize(
    "path",
    [
        WaypointFlight(((0.0, 0.0, 9.0), (20.0, 5.0, 12.0), (3.0, 30.0, 9.0)), LIMITS, phase_s=4.0),
        Orbit((10.0, 90.0, 20.0), (30.0, 4.0, 0.0), (0.0, 12.0, 2.0), period_s=17.3, phase_rad=1.0, bob_m=1.5),
    ],
)
def test_velocity_and_acceleration_are_the_derivatives_of_position_also_over_the_seam(path: Trajectory) -> None:
    step = 1e-4
    for t in (*np.linspace(0.05, 3.0 * path.period_s, 97), path.period_s, path.period_s - 4.0):
        before, now, after = path.at(t - step), path.at(t), path.at(t + step)
        np.testing.assert_allclose((after.position - before.position) / (2 * step), now.velocity, atol=2e-3)
        np.testing.assert_allclose((after.velocity - before.velocity) / (2 * step), now.acceleration, atol=2e-3)


def test_the_demo_never_jumps(scene: Scene) -> None:
    """Between frames at 30 Hz nothing moves, turns or flaps further than its speed lets it, for three minutes."""
    for craft in scene.aircraft:
        times = np.arange(0.0, 180.0, 1 / 30)
        states = [craft.trajectory.at(t) for t in times]
        steps = np.linalg.norm(np.diff([s.position for s in states], axis=0), axis=1)
        fastest = max(float(np.linalg.norm(s.velocity)) for s in states)
        assert steps.max() <= fastest / 30 * 1.001
        headings = np.unwrap([s.heading_rad for s in states])
        assert np.abs(np.diff(headings)).max() < 0.1


def test_a_multirotor_leans_into_its_acceleration_and_stays_upright_at_rest() -> None:
    path = WaypointFlight(((0.0, 0.0, 9.0), (30.0, 0.0, 9.0)), LIMITS)
    drone = Aircraft(1, "drone", path, QUADCOPTER, drag_per_s=0.0)
    state = path.at(0.3)
    body_to_enu = drone.attitude(state)
    np.testing.assert_allclose(body_to_enu.T @ body_to_enu, np.eye(3), atol=1e-12)
    assert np.linalg.det(body_to_enu) == pytest.approx(1.0)
    lean = math.atan2(float(state.acceleration[0]), 9.81)
    np.testing.assert_allclose(body_to_enu[:, 2], [math.sin(lean), 0.0, math.cos(lean)], atol=1e-12)
    np.testing.assert_allclose(drone.attitude(path.at(0.0))[:, 2], [0.0, 0.0, 1.0], atol=1e-12)


@pytest.mark.parametrize("waypoints", [(), ((0.0, 0.0, 1.0),), ((0.0, 0.0, 1.0), (0.0, 0.0, 1.0))])
def test_a_flight_that_goes_nowhere_is_refused(waypoints: tuple[tuple[float, float, float], ...]) -> None:
    with pytest.raises(ValueError, match="waypoints"):
        WaypointFlight(waypoints, LIMITS)


# --- Pictures --------------------------------------------------------------------------------------------------------


def test_projection_agrees_with_opencv() -> None:
    model = CameraModel.from_field_of_view(640, 512, math.radians(26.0))
    camera = Camera("c", "visible", model, (3.0, -4.0, 2.0), azimuth_deg=200.0, elevation_deg=12.0, roll_deg=-7.0)
    ahead = camera.enu_to_camera.T @ np.array([[3.0, -2.0, 60.0], [-9.0, 4.0, 45.0], [0.0, 0.0, 900.0]]).T
    points = ahead.T + np.array(camera.position_m)
    rotation, _ = cv2.Rodrigues(camera.enu_to_camera)
    translation = -camera.enu_to_camera @ np.array(camera.position_m)
    matrix = np.array([[model.fx, 0.0, model.cx], [0.0, model.fy, model.cy], [0.0, 0.0, 1.0]])
    expected, _ = cv2.projectPoints(points, rotation, translation, matrix, None)
    _, projection = camera.see_points(points)
    assert projection.valid.all()
    np.testing.assert_allclose(projection.pixels, expected[:, 0], atol=1e-6)


@pytest.mark.parametrize("sensor_id", SENSORS)
def test_the_same_seed_gives_the_same_bytes_whatever_was_asked_before(scene: Scene, sensor_id: str) -> None:
    scene.shot(sensor_id, 90_000_000_000)
    shot, again = (s.shot(sensor_id, 14_033_333_333) for s in (scene, demo_scene(seed=7)))
    assert np.array_equal(shot.frame.pixels, again.frame.pixels)
    assert shot.truth == again.truth


def test_another_seed_gives_another_world(scene: Scene) -> None:
    here, there = (s.shot(INFRARED, 14_033_333_333) for s in (scene, demo_scene(seed=8)))
    assert not np.array_equal(here.frame.pixels, there.frame.pixels)
    assert [t.box for t in here.truth] != [t.box for t in there.truth]


@pytest.mark.parametrize("sensor_id", SENSORS)
def test_frames_count_from_their_start(scene: Scene, sensor_id: str) -> None:
    frames = scene.frames(sensor_id, 10**18)
    first, second, third, fourth = (next(frames) for _ in range(4))
    camera = scene.cameras[sensor_id]
    assert [f.sequence for f in (first, second, third, fourth)] == [0, 1, 2, 3]
    assert first.time_ns == 10**18
    assert fourth.time_ns == 10**18 + 300_000_000  # at 10 Hz
    assert first.time_source == "simulated"
    assert first.pixels.shape[:2] == (camera.model.height, camera.model.width)
    assert first.pixels.dtype == np.uint8
    assert not np.array_equal(first.pixels, second.pixels)


def test_cameras_share_one_world_clock(scene: Scene) -> None:
    """The same moment by the epoch gives the same picture, and there is none before it."""
    late = demo_scene(seed=7, epoch_ns=10**18)
    first, second = scene.shot(INFRARED, 5 * 10**9), late.shot(INFRARED, 10**18 + 5 * 10**9)
    assert np.array_equal(first.frame.pixels, second.frame.pixels)
    with pytest.raises(ValueError, match="before"):
        late.shot(INFRARED, 10**18 - 1)


def _change(scene: Scene, sensor_id: str, time_s: float) -> tuple[np.ndarray, tuple[Truth, ...]]:
    """How far each pixel differs from the same moment without anything flying [H, W], and the truth."""
    renderer = scene.renderer(sensor_id)
    empty, _ = renderer.render((), time_s)
    full, truth = renderer.render(scene.aircraft, time_s)
    return np.abs(full.astype(int) - empty.astype(int)).max(axis=2), truth


@pytest.mark.parametrize("sensor_id", SENSORS)
def test_truth_boxes_hold_the_targets_and_nothing_else_moves(scene: Scene, sensor_id: str) -> None:
    change, truth = _change(scene, sensor_id, 20.0)
    assert {t.class_name for t in truth} > {"drone"}
    outside = np.ones(change.shape, bool)
    for target in truth:
        x, y, width, height = target.box
        inside = (slice(math.floor(y), math.ceil(y + height)), slice(math.floor(x), math.ceil(x + width)))
        assert change[inside].max() >= 20
        outside[inside] = False
    assert change[outside].max() <= 12


def _hovering(place: tuple[float, float, float], body: Body = QUADCOPTER) -> Aircraft:
    return Aircraft(1, "drone", Orbit(place, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), period_s=1.0), body)


@pytest.fixture(scope="module")
def level() -> Renderer:
    """An infrared camera 20 m above the site's origin that looks level to the north."""
    model = CameraModel.from_field_of_view(320, 256, math.radians(24.0))
    return Renderer(Camera("level", "infrared", model, (0.0, 0.0, 20.0), 0.0, 0.0), Landscape(3))


def test_size_and_place_of_a_target_follow_geometry(level: Renderer) -> None:
    """A drone straight ahead is as many pixels wide as the pinhole says, and in the middle."""
    model = level.camera.model
    _, (truth,) = level.render([_hovering((0.0, 20.0, 20.0))], 0.0)
    x, y, width, height = truth.extent
    assert truth.range_m == pytest.approx(20.0)
    diagonal_px = QUADCOPTER.diagonal_m * model.fx / 20.0
    # From motor to motor at least; the rotors' tips, seen from their edge, are faint.
    assert 0.8 * diagonal_px - 1.0 <= width <= 1.18 * diagonal_px + 1.0
    assert x + width / 2 == pytest.approx(model.cx, abs=1.0)
    assert abs(y + height / 2 - model.cy) < 2.0


def test_sub_pixel_motion_shows(level: Renderer) -> None:
    """A far target that moves a fifth of a pixel moves its centre of light by as much."""
    empty, _ = level.render((), 0.0)
    centres = []
    for column in (0.25, 0.45):
        east = column * 200.0 / level.camera.model.fx
        picture, _ = level.render([_hovering((east, 200.0, 40.0), Bird(0.5))], 0.0)
        light = (picture.astype(float) - empty)[..., 0].sum(axis=0)
        centres.append(float((light * np.arange(len(light))).sum() / light.sum()))
    assert centres[1] - centres[0] == pytest.approx(0.2, abs=0.1)


@pytest.mark.parametrize(("distance", "seen"), [(120.0, 1), (400.0, 0)])
def test_trees_hide_what_flies_behind_them_and_not_what_flies_before(
    level: Renderer, distance: float, seen: int
) -> None:
    just_above_the_field = (0.0, distance, 20.0 + 0.01 * distance)
    _, truth = level.render([_hovering(just_above_the_field, Quadcopter(0.005 * distance))], 0.0)
    assert len(truth) == seen


@pytest.mark.parametrize("place", [(0.0, -40.0, 20.0), (40.0, 40.0, 20.0), (0.0, 0.05, 20.0)])
def test_behind_beside_and_upon_the_camera_nothing_is_seen(level: Renderer, place: tuple[float, float, float]) -> None:
    assert level.render([_hovering(place)], 0.0)[1] == ()


def test_a_box_at_the_edge_is_cut_there(level: Renderer) -> None:
    model = level.camera.model
    _, (truth,) = level.render([_hovering((40.0 * (model.cx - 1.0) / model.fx, 40.0, 26.0))], 0.0)
    assert truth.box[0] + truth.box[2] == model.width
    assert truth.extent[0] + truth.extent[2] <= model.width


def test_two_things_with_one_id_are_refused(scene: Scene) -> None:
    with pytest.raises(ValueError, match="id of its own"):
        Scene([], [scene.aircraft[0], scene.aircraft[0]], scene.landscape)


@pytest.mark.parametrize("body", [QUADCOPTER, FixedWing(1.6), Helicopter(11.0), Airliner(38.0)])
def test_no_part_of_a_body_reaches_beyond_its_radius(body: Body) -> None:
    for time_s in (0.0, 0.013, 0.4):
        reach = max(float(np.linalg.norm(part.points, axis=1).max()) for part in body.parts(time_s))
        assert 0.6 * body.radius_m < reach <= body.radius_m
