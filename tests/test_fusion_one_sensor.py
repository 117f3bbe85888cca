"""One sensor's bearings tell a direction and no range, for however long it listens; a second sensor tells the range."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from fusion.engine import FusionEngine
from fusion.geometry import FloatArray
from fusion.sensors.microphone_array.simulate import heard
from fusion.types import NS, Scan, SensorPose, Space, Track

NEAR, FAR = SensorPose("near", 0, (0.0, 0.0, 1.0)), SensorPose("far", 0, (150.0, 0.0, 1.0))
STILL = np.array([20.0, 90.0, 40.0, 0.0, 0.0, 0.0])
CROSSING = np.array([-100.0, 90.0, 50.0, 10.0, 0.0, 0.0])
SOUND_MPS = 343.0
NEES_95 = 9.35  # one-sided 97.5 % of χ² of three degrees: the upper end of the 95 % band


def state_at(start: FloatArray, seconds: float) -> FloatArray:
    return np.concatenate([start[:3] + seconds * start[3:], start[3:]])


def listen(
    start: FloatArray, sigma_deg: float, seconds: float, *, sound: bool, seed: int, second_s: float = math.inf
) -> list[tuple[FloatArray, tuple[Track, ...]]]:
    """True states [6] and all tracks, ten times a second; the second sensor joins after `second_s`."""
    rng, engine, found = np.random.default_rng(seed), FusionEngine(), []
    for k in range(round(10 * seconds)):
        state = state_at(start, 0.1 * k)
        for pose in (NEAR, FAR) if 0.1 * k >= second_s else (NEAR,):
            report = heard(state, pose, math.radians(sigma_deg), SOUND_MPS if sound else 1e9, rng)
            report = replace(report, propagation_mps=SOUND_MPS if sound else None)
            engine.step(Scan(pose.sensor_id, 100 * NS + k * NS // 10, k, Space.BEARING, pose, (report,)))
        found.append((state, engine.tracks()))
    return found


def range_share(track: Track) -> float:
    """σ along the ray, over the range."""
    away = np.array(track.mean[:3]) - np.array(NEAR.position_m)
    cov, range_m = np.array(track.covariance).reshape(6, 6)[:3, :3], np.linalg.norm(away)
    return math.sqrt(away @ cov @ away) / float(range_m**2)


def nees(track: Track, state: FloatArray) -> float:
    gap = np.array(track.mean[:3]) - state[:3]
    return float(gap @ np.linalg.solve(np.array(track.covariance).reshape(6, 6)[:3, :3], gap))


def off_deg(track: Track, state: FloatArray) -> float:
    a, b = np.array(track.mean[:3]) - NEAR.position_m, state[:3] - np.array(NEAR.position_m)
    return math.degrees(math.acos(min(1.0, float(a @ b / np.linalg.norm(a) / np.linalg.norm(b)))))


@pytest.mark.parametrize("sound", [True, False], ids=["sound", "light"])
@pytest.mark.parametrize("sigma_deg", [0.3, 3.0])
@pytest.mark.parametrize("start", [STILL, CROSSING], ids=["still", "crossing"])
def test_one_sensor_is_a_wedge_for_as_long_as_it_is_alone(start: FloatArray, sigma_deg: float, sound: bool) -> None:
    """Twenty seconds, three seeds; its range is never told, and its direction always."""
    honest, shares, off = [], [], []
    for seed in range(3):
        for state, tracks in listen(start, sigma_deg, 20.0, sound=sound, seed=seed)[10:]:
            (track,) = tracks
            honest.append(nees(track, state) < NEES_95)
            shares.append(range_share(track))
            off.append(off_deg(track, state))
    assert np.mean(honest) > 0.95
    assert min(shares) > 0.2
    if not sound:  # what is heard is where it was: a range that is not known leaves the direction open too
        assert np.median(off) < 1.5 * sigma_deg


@pytest.mark.parametrize("sound", [True, False], ids=["sound", "light"])
@pytest.mark.parametrize("start", [STILL, CROSSING], ids=["still", "crossing"])
def test_a_second_sensor_tells_the_range(start: FloatArray, sound: bool) -> None:
    found = listen(start, 1.0, 14.0, sound=sound, seed=0, second_s=10.0)
    (alone,) = found[99][1]
    assert range_share(alone) > 0.2
    errors = []
    for state, tracks in found[-20:]:
        (track,) = tracks
        errors.append(float(np.linalg.norm(np.array(track.mean[:3]) - state[:3])))
        assert nees(track, state) < 16.0
    assert np.median(errors) < 6.0
