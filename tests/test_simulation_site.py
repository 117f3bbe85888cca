"""Scenarios: files that are refused with the mend, cameras that agree on one world, and claims with their errors."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fusion.geometry import matrix_from_quaternion, rotate
from fusion.reports import read_report
from fusion.site import SiteError
from simulation.scenario import kept_scenario, read_scenario, scenario_names
from simulation.site import SimulatedSite

EPOCH_NS = 1_800_000_000_000_000_000
NS = 1_000_000_000
TEXT = """
seed: 3
site: {name: Here, origin: {latitude: 50, longitude: 10, altitude: 100}}
sensors:
  - {id: cam, kind: camera, width: 320, height: 256, horizontal_fov: 24, position: {enu: [0, 0, 3]},
     orientation: {azimuth: 0}}
aircraft:
  - name: drone
    class: drone
    motion: {kind: waypoints, points: [[0, 50, 10], [5, 60, 12]]}
"""


def put_up(name: str) -> SimulatedSite:
    return SimulatedSite(kept_scenario(name), EPOCH_NS)


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("seed: 3\n", "", 2, "is missing"),
        ("seed: 3", "seed: 3\nwheather: {}", 3, "not known here"),
        ("enu: [0, 0, 3]", "enu: [0, 0, -3]", 2, "stands below the ground"),
        ("[5, 60, 12]", "[5, 60, -1]", 8, "flies below the ground"),
        ("[5, 60, 12]", "[0, 50, 10]", 10, "same place"),
        ("{kind: waypoints, points: [[0, 50, 10], [5, 60, 12]]}",
         "{kind: orbit, centre: [0, 50, 20], axes: [[5, 0, 0], [0, 5, 0]], speed: 60}", 10, "fly slower or wider"),
        ("class: drone", "class: drone\n    form: fixed_wing", 8, "cannot stop"),
        ("class: drone", "class: airplane\n    form: fixed_wing", 8, "only a drone has a form"),
        ("class: drone", "class: drone\n    count: 10000", 10, "less than or equal to 200"),
    ],
)  # fmt: skip
def test_a_scenario_that_cannot_be_is_refused_with_line_and_mend(old: str, new: str, line: int, says: str) -> None:
    assert read_scenario(TEXT).seed == 3
    with pytest.raises(SiteError) as refused:
        read_scenario(TEXT.replace(old, new))
    (fault,) = refused.value.faults
    assert says in fault.what
    assert fault.line == line


@pytest.mark.parametrize("name", scenario_names())
def test_kept_scenarios_show_each_drone_to_two_sensors_most_of_the_time(name: str) -> None:
    site = put_up(name)
    for craft in (c for c in site.aircraft if c.class_name == "drone"):
        seen = [_sensed_by(site, craft.trajectory.at(t).position) for t in np.arange(0.0, 60.0, 1.5)]
        assert np.mean([count >= 2 for count in seen]) > 0.8, craft.name


def _sensed_by(site: SimulatedSite, place: np.ndarray) -> int:
    """Cameras that have a place in their picture, and arrays that hear a drone there well."""
    near = [e for e in site.ears.values() if np.linalg.norm(place - e.microphones_m.mean(axis=0)) < 120.0]
    return _seen_by(site, place) + len(near)


def _seen_by(site: SimulatedSite, place: np.ndarray) -> int:
    """How many cameras have a place in their picture, by what the operator wrote in the site file."""
    return sum(_in_picture(site, sensor_id, place) is not None for sensor_id in site.scene.cameras)


def _in_picture(site: SimulatedSite, sensor_id: str, place: np.ndarray) -> np.ndarray | None:
    sensor = site.site.sensors[sensor_id]
    assert sensor.pose is not None
    assert sensor.camera is not None
    to_camera = matrix_from_quaternion(sensor.pose.attitude).T
    projection = sensor.camera.project(rotate(to_camera, place - np.array(sensor.pose.position_m)))
    inside = bool(projection.valid) and bool(sensor.camera.sees(projection.pixels))
    return projection.pixels if inside else None


def test_every_camera_draws_the_drone_where_the_site_file_says_it_must_be() -> None:
    """The middle of the drawn drone, by what it changes in the picture, against the fusion's own camera model."""
    site = put_up("one-drone-noon")
    (drone,) = site.aircraft
    for sensor_id in ("cam-west", "cam-east", "cam-heat"):
        renderer = site.scene.renderer(sensor_id)
        full, _ = renderer.render([drone], 7.0)
        empty, _ = renderer.render([], 7.0)
        change = np.abs(full.astype(float) - empty).sum(axis=2)
        change[change < 12.0] = 0.0
        rows, columns = np.indices(change.shape) + 0.5
        middle = np.array([(columns * change).sum(), (rows * change).sum()]) / change.sum()
        expected = _in_picture(site, sensor_id, drone.trajectory.at(7.0).position)
        assert expected is not None
        np.testing.assert_allclose(middle, expected, atol=1.5)  # the body is not symmetric about its middle


def test_a_knocked_camera_is_off_by_as_much_as_it_was_turned() -> None:
    site = put_up("two-cameras-one-knocked")
    place = site.aircraft[0].trajectory.at(7.0).position
    for sensor_id, turned_deg in (("cam-west", 0.0), ("cam-east", 1.5)):
        _, drawn = site.scene.cameras[sensor_id].see_points(place[None])
        believed = _in_picture(site, sensor_id, place)
        assert believed is not None
        shift = believed[0] - drawn.pixels[0, 0]
        focal = site.scene.cameras[sensor_id].model.fx
        assert shift == pytest.approx(focal * math.radians(turned_deg), abs=3.0)


def test_silence_and_claims_keep_to_the_scenario() -> None:
    site = put_up("two-cameras-one-knocked")
    assert [site.is_silent("cam-east", EPOCH_NS + t * NS) for t in (39, 40, 44, 45)] == [False, True, True, False]
    whole = site.heard(EPOCH_NS - 1, EPOCH_NS + 10 * NS)
    parts = [r for k in range(10) for r in site.heard(EPOCH_NS + k * NS, EPOCH_NS + (k + 1) * NS)]
    assert whole[1:] == parts, "what is heard does not depend on how often one listens"
    assert len(whole) == 11


@pytest.mark.parametrize(("name", "offset"), [("honest", (0, 0, 0)), ("liar", (0, -300, 0))])
def test_claims_err_as_gps_does_and_a_liar_by_its_offset(name: str, offset: tuple[float, float, float]) -> None:
    """Over ten minutes, as the fusion reads the reports."""
    site = put_up("liar")
    craft = next(c for c in site.aircraft if c.name == name)
    claimed_id = next(a.remote_id.id for a in site.file.aircraft if a.name == name and a.remote_id)
    errors = []
    for number, report in enumerate(r for r in site.heard(EPOCH_NS, EPOCH_NS + 600 * NS) if r["id"] == claimed_id):
        scan = read_report(report, number, site.site)
        true = craft.trajectory.at((scan.time_ns - EPOCH_NS) / NS).position
        errors.append(np.array(scan.measurements[0].z[:3]) - true - offset)
    spread = np.sqrt(np.mean(np.square(errors), axis=0))
    assert len(errors) == 600
    assert 0.3 < spread[0] < 1.6
    assert 0.3 < spread[1] < 1.6
    assert 0.8 < spread[2] < 4.0
    steps = np.std(np.diff(errors, axis=0), axis=0) / math.sqrt(2.0)
    assert steps[0] == pytest.approx(0.3, rel=0.2), "from fix to fix it jitters much less than it is off"


def test_a_formation_keeps_its_distances_and_a_flock_does_not_fly_as_one() -> None:
    swarm = put_up("swarm-at-dusk").aircraft
    gaps = [np.linalg.norm(swarm[0].trajectory.at(t).position - swarm[4].trajectory.at(t).position) for t in (0.0, 9.3)]
    assert gaps[0] == pytest.approx(gaps[1])
    assert gaps[0] > 5.0
    gulls = [c for c in put_up("bird-storm").aircraft if c.name.startswith("gull")]
    places = np.array([[g.trajectory.at(t).position for t in (0.0, 5.0)] for g in gulls])
    assert np.std(places[:, 1] - places[:, 0], axis=0).max() > 5.0
