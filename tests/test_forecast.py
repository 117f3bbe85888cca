"""What is foreseen of tracks: the fusion's prediction, the alerts' time to a zone, and how well each is known."""

from __future__ import annotations

import math

import numpy as np
import orjson
import pytest

from fusion.alerts import ZoneArea
from fusion.settings import MotionSettings
from fusion.types import Track
from models.types import CLASSES
from service.forecast import STEPS_S, forecast, predicted
from service.types import WorldTrack
from tracking.types import Status

EAST = ZoneArea("east", "East", ((300.0, -50.0), (400.0, -50.0), (400.0, 50.0), (300.0, 50.0)))


def world_track(
    track_id: str, velocity: tuple[float, float, float], name: str = "drone", sigma_m: float = 2.0
) -> WorldTrack:
    """At the origin, each place axis known to `sigma_m`, each velocity axis to 0.5 m/s."""
    covariance = np.diag([sigma_m**2] * 3 + [0.25] * 3).ravel().tolist()
    classes = tuple(1.0 if each == name else 0.0 for each in CLASSES)
    mean = (0.0, 0.0, 30.0, *velocity)
    track = Track(track_id, 0, Status.CONFIRMED, mean, tuple(covariance), 1.0, classes)
    return WorldTrack(track, 0, 47.4, 8.5, 430.0)


def test_a_straight_flight_is_foreseen_and_known_less_and_less() -> None:
    told = forecast([world_track("T1", (10.0, 0.0, 0.0))], 0, [EAST], ["T1"])
    (only,) = orjson.loads(orjson.dumps(told))["forecasts"]
    assert [step["after"] for step in only["steps"]] == list(STEPS_S)
    for step in only["steps"]:
        after = step["after"]
        assert step["enu"] == pytest.approx([10.0 * after, 0.0, 30.0], rel=0.02, abs=0.1)
        # σ² of place + t² σ² of velocity + white acceleration's t³/3 (Bar-Shalom 2001, 6.2.2-12), where nothing fades
        expected = 4.0 + after**2 * 0.25 + MotionSettings().quiet_accel ** 2 * after**3 / 3.0
        assert step["covariance"] == pytest.approx([expected, 0.0, expected], rel=0.06, abs=1e-6)


def test_the_time_to_a_zone_comes_with_how_well_it_is_known() -> None:
    fast, vague = world_track("T1", (10.0, 0.0, 0.0)), world_track("T2", (10.0, 0.0, 0.0), sigma_m=40.0)
    (first, second) = forecast([fast, vague], 0, [EAST], [])["forecasts"]
    ((entry,), (other,)) = first["entries"], second["entries"]
    assert (entry["zone"], entry["after"]) == ("east", 30.0)
    assert entry["sigma"] == pytest.approx(math.sqrt(predicted(fast.track, 30.0)[1][0, 0]) / 10.0, abs=0.05)
    assert other["sigma"] == pytest.approx(math.hypot(entry["sigma"], 4.0), abs=0.1)


def test_who_flies_to_no_zone_is_told_only_if_asked_for_and_birds_too() -> None:
    west, bird = world_track("T1", (-10.0, 0.0, 0.0)), world_track("T2", (10.0, 0.0, 0.0), "bird")
    hovering, late = world_track("T3", (0.0, 0.0, 0.0)), world_track("T4", (4.0, 0.0, 0.0))
    shown = [west, bird, hovering, late]
    assert forecast(shown, 0, [EAST], [])["forecasts"] == []
    asked = forecast(shown, 0, [EAST], ["T1", "T3"])["forecasts"]
    assert [(each["track"], each["entries"]) for each in asked] == [("T1", []), ("T3", [])]
