"""Seeded scenes for the tracker's benchmarks and tests: no file, no clock, the same numbers for the same seed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from models.types import CLASSES, Detections

SIZE = (1920, 1080)
FPS = 30.0


def crossing_objects(objects: int = 100, frames: int = 300, false_boxes: int = 5, seed: int = 1) -> Iterator[Detections]:
    """Objects of 12 to 40 px that fly straight at some 60 px/s and turn at the border; one in twenty is missed a frame."""
    random = np.random.default_rng(seed)
    limit = np.array(SIZE, dtype=np.float64)[:, None]
    centre = random.uniform(60.0, limit - 60.0, (2, objects))
    velocity = random.normal(0.0, 60.0, (2, objects))
    size = random.uniform(12.0, 40.0, objects)
    for frame in range(frames):
        centre = centre + velocity / FPS
        outward = ((centre < 30.0) & (velocity < 0.0)) | ((centre > limit - 30.0) & (velocity > 0.0))
        velocity = np.where(outward, -velocity, velocity)
        seen = random.random(objects) < 0.95
        place = (centre + random.normal(0.0, 0.05, centre.shape) * size)[:, seen]
        extent = (random.normal(1.0, 0.05, centre.shape) * size)[:, seen]
        true = np.concatenate([place - extent / 2, extent]).T
        width, height = SIZE
        false = random.uniform((0, 0, 10, 10), (width - 40, height - 40, 40, 40), (false_boxes, 4))
        score = np.concatenate(
            [np.clip(random.normal(0.75, 0.12, len(true)), 0.06, 0.99), random.uniform(0.05, 0.5, false_boxes)]
        )
        yield look(np.concatenate([true, false]), score, frame)


def look(boxes: np.ndarray, scores: np.ndarray, frame: int, sensor_id: str = "scene") -> Detections:
    """Drone detections, best first."""
    order = np.argsort(-scores, kind="stable")
    class_scores = np.full((len(scores), len(CLASSES)), 0.05)
    class_scores[:, 0] = scores[order]
    return Detections(
        sensor_id=sensor_id,
        time_ns=round(frame / FPS * 1e9),
        sequence=frame,
        width=SIZE[0],
        height=SIZE[1],
        boxes=boxes[order].astype(np.float32),
        scores=scores[order].astype(np.float32),
        class_scores=class_scores.astype(np.float32),
    )
