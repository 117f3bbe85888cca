"""Scores that mean what they say, and thresholds by what an operator bears."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.calibration import calibrated, calibration_error, fit, fit_all, logit
from models.halmstad import Clip
from models.matching import ClipResult, looks
from models.types import CLASSES
from service.evaluate_operating_points import as_recording, curve
from service.operating_point import OperatingPointError, at_most, thresholds
from service.settings import DetectorSettings
from tracking.settings import TrackerSettings

THRESHOLDS = dict.fromkeys(CLASSES, 0.5)


def test_overconfident_scores_are_put_right() -> None:
    random = np.random.default_rng(1)
    said = random.uniform(0.05, 0.98, 4000)
    true = 1 / (1 + np.exp(-(0.5 * logit(said) - 1.0)))
    right = random.uniform(size=4000) < true
    slope, offset = fit(said, right)
    assert slope == pytest.approx(0.5, abs=0.06)
    assert offset == pytest.approx(-1.0, abs=0.1)
    scores = np.zeros((4000, 4), np.float32)
    scores[:, 0] = said
    after = calibrated(scores, {"drone": (slope, offset)})
    assert calibration_error(said, right) > 0.15
    assert calibration_error(after[:, 0], right) < 0.03
    assert (np.diff(after[np.argsort(said), 0]) >= 0).all()  # the order is kept
    np.testing.assert_allclose(after[:, 1:], 1e-4, atol=1e-6)  # no entry: as it was, within the edge


def test_nothing_to_learn_from_leaves_scores_alone() -> None:
    assert fit(np.zeros(0), np.zeros(0, bool)) == (1.0, 0.0)
    assert calibration_error(np.zeros(0), np.zeros(0, bool)) == 0.0


def a_clip(label: int, score: float, kind: int, frames: int = 90) -> ClipResult:
    """One object that drifts to the right, always found with `score` as class `kind`."""
    boxes = np.array([[f, label, 100 + f, 80, 16, 16] for f in range(frames)], np.float32)
    clip = Clip(f"{label}-{score}", Path(), "infrared", "val", label, "close", "S1", False, boxes, frames)
    scores = np.full((frames, 4), 0.02)
    scores[:, kind] = score
    return ClipResult(clip, np.arange(frames), boxes[:, 2:].astype(float), scores, frames)


def test_a_curve_of_what_thresholds_cost_and_find() -> None:
    drone, bird = CLASSES.index("drone"), CLASSES.index("bird")
    clips = [a_clip(drone, 0.95, drone), a_clip(drone, 0.7, drone), a_clip(bird, 0.7, drone)]
    points = {point["threshold"]: point for point in curve(clips, THRESHOLDS)}
    assert points[0.5]["found"] == 1.0
    assert points[0.5]["false_alarms_per_hour"] == pytest.approx(3600 / 9)
    assert points[0.92] == {
        "threshold": 0.92, "false_alarms_per_hour": 0.0, "found": 0.5, "named_right": 0.5
    }  # fmt: skip
    half_right = calibrated(np.array([[0.7, 0.02, 0.02, 0.02]]), fit_all(looks(clips)))
    assert half_right[0, 0] == pytest.approx(0.5, abs=0.06)


def test_a_clip_becomes_looks_one_a_frame_also_when_empty() -> None:
    whole = a_clip(0, 0.9, 0, frames=5)
    holed = replace(
        whole, frame=whole.frame[[0, 3, 3]], boxes=whole.boxes[[0, 3, 3]], class_scores=whole.class_scores[[0, 3, 3]]
    )
    assert [len(look) for look in as_recording(holed, TrackerSettings()).looks] == [1, 0, 0, 2, 0]


POINTS = [
    {"threshold": 0.3, "false_alarms_per_hour": 20.0, "found": 1.0},
    {"threshold": 0.5, "false_alarms_per_hour": 4.0, "found": 0.9},
    {"threshold": 0.6, "false_alarms_per_hour": 3.0, "found": 0.9},
    {"threshold": 0.9, "false_alarms_per_hour": 1.0, "found": 0.4},
]


def test_the_most_is_found_within_what_is_borne() -> None:
    assert at_most(100, POINTS) == 0.3
    assert at_most(5, POINTS) == 0.5
    assert at_most(3.5, POINTS) == 0.6
    assert at_most(0, POINTS) == 0.9  # the quietest there is


class SomeDetector:
    name = "some"

    def __init__(self, points: list[dict[str, float]]) -> None:
        self.thresholds = dict(THRESHOLDS)
        self.operating_points = points


def test_settings_choose_the_threshold_and_named_ones_win() -> None:
    settings = DetectorSettings(operating_point=5.0)
    assert thresholds(SomeDetector(POINTS), DetectorSettings()) == THRESHOLDS
    assert thresholds(SomeDetector(POINTS), settings) == THRESHOLDS | {"drone": 0.5}
    named = settings.model_copy(update={"thresholds": {"drone": 0.77}})
    assert thresholds(SomeDetector(POINTS), named)["drone"] == 0.77
    with pytest.raises(OperatingPointError, match="some has no curve"):
        thresholds(SomeDetector([]), settings)
