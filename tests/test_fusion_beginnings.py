"""How tracks begin before many cameras: at once, each drone one, and nothing beside them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.fusion_scenes import START_S, ring, watch
from benchmarks.fusion_speed import places
from fusion.engine import FusionEngine
from fusion.geometry import FloatArray, direction_to_angles
from fusion.life import Target, hit
from fusion.types import NS, Measurement, Scan, SensorPose, Space
from tracking.types import Status


def confirmed(engine: FusionEngine) -> FloatArray:
    """Places [N, 3] of the tracks that a user sees."""
    seen = [track.mean[:3] for track in engine.tracks() if track.status is not Status.TENTATIVE]
    return np.array(seen).reshape(-1, 3)


def scene(cameras: int, drones: int, seconds: float, seed: int) -> list[Scan]:
    return watch(ring(cameras, 120.0), lambda t: places(drones, t), ["drone"] * drones, seconds, seed=seed)


@pytest.mark.parametrize(("cameras", "seed", "found_by_s"), [(8, 5, 0.5), (4, 6, 0.6)])
def test_twenty_drones_begin_as_twenty_tracks_and_none_beside(cameras: int, seed: int, found_by_s: float) -> None:
    engine = FusionEngine()
    for scan in scene(cameras, 20, 1.5, seed):
        engine.step(scan)
        t = scan.time_ns / NS - START_S
        shown, truth = confirmed(engine), places(20, t)
        away = np.sqrt(np.square(shown[:, None] - truth[None]).sum(axis=-1))
        false = int((away.min(axis=1, initial=np.inf) > 5.0).sum())
        assert false <= 1, f"{false} of {len(shown)} tracks are nowhere near a drone after {t:.2f} s"
        if t >= found_by_s:
            assert (away.min(axis=0) < 5.0).sum() >= 19, f"after {t:.2f} s"


def test_what_one_camera_follows_is_not_made_to_wait() -> None:
    """Its own tracker has looked into what is false; reports that nobody vetted have to last."""
    engine, bare = FusionEngine(), FusionEngine()
    for scan in scene(1, 3, 0.5, seed=2):
        followed = tuple(replace(m, source_track=f"t{round(m.z[0] / 100.0)}") for m in scan.measurements)
        engine.step(replace(scan, measurements=followed))
        bare.step(scan)
    assert len(confirmed(engine)) == 3
    assert len(confirmed(bare)) == 0
    for scan in scene(1, 3, 4.0, seed=2):
        if scan.time_ns > (bare.time_ns or 0):
            bare.step(scan)
    assert len(confirmed(bare)) == 3


def echoes(sensors: int, seconds: float, lasting_s: float, places_m: FloatArray | None = None) -> list[Scan]:
    """Ten times a second, directions of the arrays: a false one that lasts so long, then another, and a drone's."""
    rng, scans = np.random.default_rng(3), []
    false = rng.uniform([0.0, 0.1], [2.0 * math.pi, 1.2], (sensors, int(seconds / lasting_s) + 1, 2))
    for k in range(int(10 * seconds)):
        for n in range(sensors):
            position = (200.0 * n, 0.0, 1.0)
            heard = [false[n, int(k / 10 / lasting_s)]]
            if places_m is not None:
                heard.append(np.array(direction_to_angles(places_m - np.array(position))))
            spread = (0.02**2, 0.0, 0.0, 0.02**2)
            reports = tuple(
                Measurement(Space.BEARING, tuple((each + 0.01 * rng.normal(size=2)).tolist()), spread, "drone", 0.9)
                for each in heard
            )
            pose = SensorPose(f"mic{n}", 0, position)
            scans.append(Scan(f"mic{n}", k * NS // 10 + n, k, Space.BEARING, pose, reports))
    return scans


def test_echoes_of_one_array_are_no_tracks() -> None:
    engine, shown = FusionEngine(), set[str]()
    for scan in echoes(1, 60.0, lasting_s=1.0):
        shown |= {t.track_id for t in engine.step(scan).tracks if t.status is not Status.TENTATIVE}
    assert len(shown) == 0


@pytest.mark.parametrize(("sensors", "heard_by_s"), [(1, 3.5), (2, 1.5)])
def test_a_drone_among_echoes_is_heard(sensors: int, heard_by_s: float) -> None:
    """By one array when it has outlasted what is false, by two at once."""
    engine, place = FusionEngine(), np.array([90.0, 80.0, 30.0])
    for scan in echoes(sensors, heard_by_s, 1.0, place):
        engine.step(scan)
    towards = confirmed(engine) - (0.0, 0.0, 1.0)
    truth = place - (0.0, 0.0, 1.0)
    cosine = (towards * truth).sum(axis=1) / np.sqrt(np.square(towards).sum(axis=1) * np.square(truth).sum())
    assert cosine.max(initial=-1.0) > 0.99


@pytest.mark.parametrize("log_ratio", [-math.inf, -1e4, math.inf])
def test_one_report_says_only_so_much(log_ratio: float) -> None:
    target = Target(1, 0, 0, 0.0)
    hit(target, "cam", NS, log_ratio, 0.5, False)
    assert abs(target.log_odds) == pytest.approx(6.0)


def test_a_ray_on_a_known_target_joins_it_and_a_ray_beside_it_does_not() -> None:
    """Two drones on one line of sight of the third camera, which begins to look late."""
    near, far = np.array([0.0, -20.0, 30.0]), np.array([0.0, 30.0, 44.0])
    scans = watch(ring(3, 90.0), lambda t: np.stack([near, far]), ["drone"] * 2, 3.0, seed=4)
    engine = FusionEngine()
    for scan in scans:
        if scan.sensor_id != "cam2" or scan.time_ns > (START_S + 1.0) * NS:
            engine.step(scan)
    shown = confirmed(engine)
    assert len(shown) == 2
    assert all(np.sqrt(np.square(shown - place).sum(axis=1)).min() < 1.0 for place in (near, far))


def test_a_snapshot_in_the_first_second_goes_on_alike() -> None:
    scans, whole, engine = scene(4, 6, 1.0, seed=3), FusionEngine(), FusionEngine()
    for scan in scans:
        whole.step(scan)
    for scan in scans[:9]:
        engine.step(scan)
    second = FusionEngine()
    second.restore(engine.snapshot())
    for scan in scans[9:]:
        second.step(scan)
    assert second.snapshot() == whole.snapshot()
