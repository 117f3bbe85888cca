"""`fuse` where longitude ends: the date line and both poles; and clocks that are wrong."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from fusion_scene import circle, encode, pixels, site

from fusion import geometry as g
from fusion.engine import FusionEngine
from fusion.fuse import Refusals, fuse, ordered
from fusion.sequencer import DEFAULT_LAG_NS
from fusion.site import parse_site
from fusion.types import NS, Heartbeat, Measurement, Scan, SensorPose, Space
from tracking.types import Status


@pytest.mark.parametrize(
    ("latitude", "longitude"), [(-17.0, 179.9999), (-17.0, -179.9999), (90.0, 0.0), (-90.0, 0.0), (89.9999, 12.0)]
)
def test_tracks_cross_the_date_line_and_the_poles(latitude: float, longitude: float) -> None:
    """A drone that flies 100 m through the site's middle keeps one id, one straight line and its speed."""
    where = parse_site(
        f"site: {{name: edge, origin: {{latitude: {latitude}, longitude: {longitude}, altitude: 10.0}}}}\n"
        "sensors:\n  - {id: radar, kind: external}\n"
    )
    rng = np.random.default_rng(3)
    lines: list[dict[str, Any]] = []
    for k in range(40):
        lat, lon, alt = where.frame.to_geodetic(np.array([-50.0 + 2.5 * k, 1.0, 30.0]) + 0.3 * rng.normal(size=3))
        lines.append({"time": 100.0 + 0.25 * k, "sensor_id": "radar", "kind": "position", "latitude": float(lat),
                      "longitude": float(lon), "altitude": float(alt), "sigma_horizontal": 0.3,
                      "sigma_vertical": 0.3})  # fmt: skip
    refusals = Refusals()
    tracks = [json.loads(line) for line in fuse(encode(lines), where, refusals)]
    assert refusals.counts.total() == 0
    assert len({t["id"] for t in tracks}) == 1
    last = tracks[-1]
    np.testing.assert_allclose(last["enu"], [47.5, 1.0, 30.0], atol=1.0)
    np.testing.assert_allclose(last["velocity"], [10.0, 0.0, 0.0], atol=1.5)
    for t in tracks:
        assert -180.0 <= t["longitude"] <= 180.0
        there = where.frame.to_enu(t["latitude"], t["longitude"], t["altitude"])
        np.testing.assert_allclose(there, t["enu"], atol=1e-3)


def test_a_camera_whose_clock_is_late_is_found_out() -> None:
    where = site()
    lines = pixels(where, [circle(speed_mps=8.0)], 10.0)
    late = [{**v, "time": v["time"] + 0.05} if v["sensor_id"] == "south" else v for v in lines]
    engine = FusionEngine()
    for message in ordered(encode(sorted(late, key=lambda v: float(v["time"]))), where, Refusals(), DEFAULT_LAG_NS):
        engine.step(message)
    clocks = {name: noise.clock_s for name, noise in engine.population.noises.items()}
    assert clocks["south"] == pytest.approx(0.05, abs=0.015)
    assert abs(clocks["east"]) < 0.015
    assert abs(clocks["west"]) < 0.015


def test_a_frame_at_a_pole_has_its_axes() -> None:
    frame = g.LocalFrame(g.Geodetic(90.0, 0.0, 0.0))
    np.testing.assert_allclose(frame.to_enu(90.0, 77.0, 5.0), [0.0, 0.0, 5.0], atol=1e-6)


@pytest.mark.parametrize("period_s", [0.2, 0.9])
def test_a_camera_that_misses_a_drone_does_not_hide_it_from_a_radar(period_s: float) -> None:
    """Thirty empty looks a second at the place are one reason to doubt, not thirty; the radar keeps reporting."""
    where = parse_site(
        "site: {name: blind, origin: {latitude: 48.0, longitude: 11.0, altitude: 500.0}}\nsensors:\n"
        "  - {id: radar, kind: external}\n"
        "  - {id: cam, kind: camera, position: {enu: [0, 0, 2]}, orientation: {azimuth: 10, elevation: 18, roll: 0},\n"
        "     horizontal_fov: 24, width: 640, height: 512}\n"
    )
    camera = where.sensors["cam"]
    assert camera.pose is not None
    engine, shown = FusionEngine(), []
    for k in range(360):
        time_ns = round((100.0 + k / 30) * NS)
        engine.step(Scan("cam", time_ns, k, Space.PIXEL, camera.pose, (), camera.camera, camera.coverage))
        if k % round(30 * period_s) == 0:
            report = Measurement(Space.POSITION, (20.0, 120.0, 40.0), (4.0, 0.0, 0.0, 0.0, 4.0, 0.0, 0.0, 0.0, 9.0))
            pose = SensorPose("radar", 0, (0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0))
            engine.step(Scan("radar", time_ns, k, Space.POSITION, pose, (report,)))
        shown = [t for t in engine.step(Heartbeat(time_ns)).tracks if t.status is not Status.TENTATIVE]
    assert [t.contributors[0][0] for t in shown] == ["radar"]


@pytest.mark.parametrize("period_s", [0.5, 2.0, 3.5])
def test_a_radar_that_turns_slowly_starts_tracks(period_s: float) -> None:
    """Two targets in each turn, told one after the other; a false report of one turn does not become a track."""
    engine, rng = FusionEngine(), np.random.default_rng(2)
    pose = SensorPose("radar", 0, (0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0))
    for k in range(7):
        for n, east in enumerate((20.0, 400.0, float(rng.uniform(-2000.0, -500.0)))):
            t = k * period_s + 0.05 * n
            place = (east + 6.0 * t * (n < 2) + float(rng.normal()), 120.0 + float(rng.normal()), 40.0)
            report = Measurement(Space.POSITION, place, (4.0, 0.0, 0.0, 0.0, 4.0, 0.0, 0.0, 0.0, 9.0))
            engine.step(Scan("radar", round((100.0 + t) * NS), k, Space.POSITION, pose, (report,)))
    now_ns = round((100.0 + 6 * period_s + 0.2) * NS)
    shown = [t for t in engine.step(Heartbeat(now_ns)).tracks if t.status is not Status.TENTATIVE]
    assert sorted(round(t.mean[0] / 10.0) for t in shown) == [
        round((east + 36.0 * period_s) / 10.0) for east in (20.0, 400.0)
    ]
