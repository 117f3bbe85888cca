"""A detector of the demo scene that needs no weights: it is told where everything is, and errs as a good one would."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np

from models.types import CLASSES, Detections, Frame
from simulation.render import Truth
from simulation.scene import Scene, Shot


class Seeing:
    """What `models.infer.load_detector` returns. `watch` must have wrapped the scene before."""

    name = "seeing"
    sha256 = "0" * 64
    backend = "test"
    thresholds: dict[str, float] = dict.fromkeys(CLASSES, 0.3)

    def detect(self, frames: Sequence[Frame]) -> list[Detections]:
        return [_see(frame) for frame in frames]

    def forget(self, sensor_id: str) -> None: ...


_truth: dict[tuple[str, int], tuple[Truth, ...]] = {}  # by sensor and time, as captures number frames anew
_lock = threading.Lock()  # every camera draws in a thread of its own


def watch() -> None:
    """Remember the truth of the newest pictures of every scene of this process."""
    draw = Scene.shot

    def shot(scene: Scene, sensor_id: str, time_ns: int, sequence: int = 0) -> Shot:
        drawn = draw(scene, sensor_id, time_ns, sequence)
        with _lock:
            _truth[sensor_id, drawn.frame.time_ns] = drawn.truth
            while len(_truth) > 300:
                del _truth[next(iter(_truth))]
        return drawn

    Scene.shot = shot  # type: ignore[method-assign, assignment]


def _see(frame: Frame) -> Detections:
    """One target in twelve is missed, boxes jitter by half a pixel; the same frame always looks the same."""
    rng = np.random.default_rng(frame.sequence)
    truths = [each for each in _truth.get((frame.sensor_id, frame.time_ns), ()) if rng.random() > 1 / 12]
    boxes = np.array([each.box for each in truths], np.float32).reshape(-1, 4)
    boxes += rng.normal(0.0, 0.5, boxes.shape).astype(np.float32)
    boxes[:, 2:] = np.maximum(boxes[:, 2:], 2.0)
    class_scores = np.full((len(truths), len(CLASSES)), 0.04, np.float32)
    for row, each in enumerate(truths):
        class_scores[row, CLASSES.index(each.class_name)] = rng.uniform(0.7, 0.97)
    scores = class_scores.max(axis=1, initial=0.0)
    falling = np.argsort(-scores, kind="stable")
    height, width = frame.pixels.shape[:2]
    return Detections(
        frame.sensor_id,
        frame.time_ns,
        frame.sequence,
        width,
        height,
        boxes[falling],
        scores[falling],
        class_scores[falling],
    )
