"""Site files: all faults at once, each with its line; and what a right one means."""

from __future__ import annotations

import numpy as np
import pytest
from fusion_scene import site_text
from hypothesis import given, settings
from hypothesis import strategies as st

from fusion.geometry import matrix_from_quaternion
from fusion.site import SiteError, parse_site

BROKEN = """site: {name: x, origin: {latitude: 95, longitude: .nan, altitude: 0}}
sensors:
  - id: a
    kind: camera
    position: {enu: [1, 2]}
    orientation: {azimuth: 1}
    intrinsics: {width: 10, height: 10, fx: 0, fy: 1, cx: 1, cy: 1}
  - id: a
    kind: lidar
    colour: red
zones: []
zones: []
"""


def faults(text: str) -> list[str]:
    with pytest.raises(SiteError) as caught:
        parse_site(text)
    return [str(fault) for fault in caught.value.faults]


def test_every_fault_is_said_with_its_line() -> None:
    said = faults(BROKEN)
    places = [fault.split(": ")[:2] for fault in said]
    assert places == [
        ["line 1", "site.origin.latitude"],
        ["line 1", "site.origin.longitude"],
        ["line 5", "sensors[0].position.enu[2]"],
        ["line 7", "sensors[0].intrinsics.fx"],
        ["line 8", "sensors[1].id"],
        ["line 9", "sensors[1].kind"],
        ["line 10", "sensors[1].colour"],
        ["line 12", "zones"],
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty"),
        ("a: [1", "not YAML"),
        ("a: &x 1\nb: *x", "aliases"),
        (site_text().replace("enu: [60.0, 0.0, 2.0]", "latitude: 47.4"), "needed together"),
        (site_text().replace("orientation: {azimuth: 270.0, elevation: 20, roll: 0},", ""), "a camera that locates"),
        (site_text(more="  - {id: m, kind: microphone_array, microphones: [[0,0,0]]}\n"), "four microphones"),
    ],
)
def test_mends_are_plain(text: str, said: str) -> None:
    assert any(said in fault for fault in faults(text))


@given(st.text(max_size=200))
@settings(deadline=None)
def test_any_text_is_a_site_or_a_fault(text: str) -> None:
    with pytest.raises(SiteError):
        parse_site(text)


def test_a_right_file_places_its_sensors() -> None:
    site = parse_site(site_text())
    pose = site.sensors["east"].pose
    assert pose is not None
    assert pose.position_m == (60.0, 0.0, 2.0)
    forward = matrix_from_quaternion(pose.attitude)[:, 2]
    np.testing.assert_allclose(forward, [-np.cos(np.radians(20)), 0, np.sin(np.radians(20))], atol=1e-12)


def test_geodetic_positions_are_the_same_place() -> None:
    site = parse_site(site_text())
    latitude, longitude, altitude = site.frame.to_geodetic([60.0, 0.0, 2.0])
    text = site_text().replace(
        "enu: [60.0, 0.0, 2.0]", f"latitude: {latitude}, longitude: {longitude}, altitude: {altitude}"
    )
    pose = parse_site(text).sensors["east"].pose
    assert pose is not None
    np.testing.assert_allclose(pose.position_m, [60.0, 0.0, 2.0], atol=1e-6)


def test_a_camera_without_a_place_is_taken() -> None:
    site = parse_site(site_text((), "  - {id: yard, kind: camera, source: yard.mp4}\n"))
    assert site.sensors["yard"].pose is None
