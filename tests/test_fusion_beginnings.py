"""How tracks begin before many cameras: at once, each drone one, and nothing beside them."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.fusion_scenes import START_S, ring, watch
from benchmarks.fusion_speed import places
from fusion.engine import FusionEngine
from fusion.geometry import FloatArray
from fusion.types import NS, Scan
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


def test_one_camera_alone_is_not_made_to_wait() -> None:
    engine = FusionEngine()
    for scan in scene(1, 3, 0.5, seed=2):
        engine.step(scan)
    assert len(confirmed(engine)) == 3


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
