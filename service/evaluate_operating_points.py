"""`deeplomatics evaluate operating-points`: what a detector's scores mean and cost, measured on `val`, into its card.

Thresholds and the calibration of the scores are chosen first (`models.evaluate.settle`); then the tracker runs over
every clip with each of a row of drone thresholds, and the false drone tracks per hour and the share of drone clips
found make the curve that `--operating-point` reads. The clips of `val` are minutes, not hours: a rate below one alarm
in that time cannot be told from none, and the card says how long it was.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from models.evaluate import settle
from models.halmstad import FPS
from models.matching import ClipResult
from models.types import CLASSES, Detections
from service.evaluate_tracker import Recording, operator_view
from service.operating_point import ALARMING
from tracking.settings import TrackerSettings

#: Drone thresholds of the curve.
THRESHOLDS = (0.2, 0.35, 0.5, 0.65, 0.75, 0.85, 0.92, 0.96, 0.98)


def settle_and_trace(weights: Path, data: Path, device: str, threads: int) -> dict[str, Any]:
    """Thresholds, calibration and the curve, written into the card; the figures to show.

    Raises:
        DatasetError, WeightsError: see there.
    """
    card, results = settle(weights, data, device, threads)
    card["operating_points"] = curve(results, card["thresholds"])
    card["operating_points_hours"] = round(sum(result.frames for result in results) / 30 / 3600, 4)
    weights.with_suffix(".json").write_text(json.dumps(card, indent=2) + "\n")
    return {
        "thresholds": card["thresholds"],
        "calibration": card["calibration"],
        "expected calibration error": card["metrics"]["val"]["expected calibration error"],
        "hours of val": card["operating_points_hours"],
        "drone thresholds": {str(point["threshold"]): point for point in card["operating_points"]},
    }


def curve(results: list[ClipResult], thresholds: dict[str, float]) -> list[dict[str, float]]:
    """For each drone threshold the false drone tracks per hour and the shares of drone clips found and named right."""
    points = []
    for threshold in THRESHOLDS:
        settings = TrackerSettings.at(thresholds | {ALARMING: threshold})
        seen = operator_view([(result.clip, as_recording(result, settings)) for result in results], ALARMING)
        drones = seen["by class"].get(ALARMING, {"found": 0.0, "named right": 0.0})
        points.append(
            {
                "threshold": threshold,
                "false_alarms_per_hour": round(60 * seen[f"false {ALARMING} tracks per minute"], 2),
                "found": round(drones["found"], 4),
                "named_right": round(drones["named right"], 4),
            }
        )
    return points


def as_recording(result: ClipResult, settings: TrackerSettings) -> Recording:
    """The detections of a clip, look by look."""
    first = np.searchsorted(result.frame, np.arange(result.frames + 1))
    return Recording(
        [_look(result, frame, slice(*first[frame : frame + 2])) for frame in range(result.frames)], settings
    )


def _look(result: ClipResult, frame: int, rows: slice) -> Detections:
    scores = result.class_scores[rows].astype(np.float32)
    width, height = (320, 256) if result.clip.band == "infrared" else (640, 512)
    return Detections(
        sensor_id=result.clip.name,
        time_ns=round(frame * 1e9 / FPS),
        sequence=frame,
        width=width,
        height=height,
        boxes=result.boxes[rows].astype(np.float32),
        scores=scores.max(1, initial=0.0) if scores.size else np.zeros(0, np.float32),
        class_scores=scores.reshape(-1, len(CLASSES)),
    )
