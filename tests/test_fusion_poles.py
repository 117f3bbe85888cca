"""A site may lie anywhere: at the poles and on the date line tracks are where they are."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from fusion_scene import encode

from fusion.fuse import Refusals, fuse
from fusion.geometry import direction_to_angles
from fusion.site import parse_site

POSTS = {"a": (-100.0, 0.0, 0.0), "b": (100.0, 0.0, 0.0)}
SENSORS = "".join(f"  - {{id: {name}, kind: external, position: {{enu: {list(at)}}}}}\n" for name, at in POSTS.items())


def bearing(name: str, time: float) -> dict[str, object]:
    """Of a drone that hovers 80 m north of the origin, 50 m up."""
    azimuth, elevation = direction_to_angles(np.array([0.0, 80.0, 50.0]) - np.array(POSTS[name]))
    sigmas = {"sigma_azimuth": 0.3, "sigma_elevation": 0.3}
    angles = {"azimuth": math.degrees(azimuth), "elevation": math.degrees(elevation)}
    return {"time": time, "sensor_id": name, "kind": "bearing", **angles, **sigmas}


@pytest.mark.parametrize("place", [(90.0, 0.0), (-90.0, 0.0), (0.0, 180.0), (0.0, -180.0), (47.0, 179.99999)])
def test_a_site_at_the_end_of_the_map_has_tracks(place: tuple[float, float]) -> None:
    latitude, longitude = place
    text = f"site: {{origin: {{latitude: {latitude}, longitude: {longitude}, altitude: 100}}}}\nsensors:\n{SENSORS}"
    where, refusals = parse_site(text), Refusals()
    lines = [bearing(name, 100.0 + 0.1 * k) for k in range(30) for name in POSTS]
    last = [json.loads(line) for line in fuse(encode(lines), where, refusals)][-1]
    assert not refusals.counts
    np.testing.assert_allclose(last["enu"], [0.0, 80.0, 50.0], atol=0.5)
    assert -90.0 <= last["latitude"] <= 90.0
    assert -180.0 <= last["longitude"] <= 180.0
    back = where.frame.to_enu(last["latitude"], last["longitude"], last["altitude"])
    np.testing.assert_allclose(back, last["enu"], atol=1e-3)
