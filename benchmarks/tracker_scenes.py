"""Seeded scenes for the tracker's benchmarks and tests: no file, no clock, the same numbers for the same seed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from models.halmstad import Clip
from models.types import CLASSES, Detections

Array = NDArray[np.float64]

SIZE = (1920, 1080)
FPS = 30.0


def crossing_objects(
    objects: int = 100, frames: int = 300, false_boxes: int = 5, seed: int = 1
) -> Iterator[Detections]:
    """Objects of 12 to 40 px that fly straight at some 60 px/s and turn at the border; one in twenty is missed."""
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


def look(boxes: Array, scores: Array, frame: int, sensor_id: str = "scene") -> Detections:
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


def degraded(labelled: Clip, seed: int) -> list[Detections]:
    """What a middling detector might have made of a clip's labels: for tuning before there is a detector.

    Boxes jitter (heavier tails than normal, partly shared by neighbouring frames), scores wander, misses come in runs,
    and false boxes come both alone and as stubborn spots that last.
    """
    random = np.random.default_rng([seed, *labelled.name.encode()])
    width, height = (320, 256) if labelled.band == "infrared" else (640, 512)
    hidden, spots, wander = False, np.zeros((0, 4)), 0.0
    looks = []
    for frame in range(labelled.labelled_frames):
        hidden = random.random() < (0.85 if hidden else 0.03)
        wander = 0.9 * wander + random.normal(0.0, 0.05)
        rows = labelled.boxes_of(frame)
        rows = rows[random.random(len(rows)) > (0.6 if hidden else 0.04)]
        true = _jittered(rows[:, 1:].astype(np.float64), random)
        true_score = np.clip(random.normal((0.3 if hidden else 0.65) + wander, 0.1, len(true)), 0.06, 0.97)
        spots = _spots(spots, random, width, height)
        false = np.concatenate([_jittered(spots, random), _false(random.poisson(0.5), random, width, height)])
        false_score = np.clip(random.exponential(0.13, len(false)) + 0.05, 0.05, 0.9)
        kind = np.concatenate([rows[:, 0].astype(int), random.integers(0, len(CLASSES), len(false))])
        looks.append(
            _classed(
                labelled, frame, np.concatenate([true, false]), np.concatenate([true_score, false_score]), kind, random
            )
        )
    return looks


def _jittered(boxes: Array, random: np.random.Generator) -> Array:
    """Boxes whose centre and size scatter by some 6 and 10 % of their size, with heavy tails."""
    size = np.sqrt(boxes[:, 2:3] * boxes[:, 3:4])
    centre = boxes[:, :2] + boxes[:, 2:] / 2 + 0.06 * size * random.standard_t(4, (len(boxes), 2))
    extent = boxes[:, 2:] * np.exp(0.1 * random.standard_t(4, (len(boxes), 2)))
    return np.concatenate([centre - extent / 2, extent], axis=1)


def _false(count: int, random: np.random.Generator, width: int, height: int) -> Array:
    return random.uniform((0, 0, 8, 8), (width - 30, height - 30, 30, 30), (count, 4))


def _spots(spots: Array, random: np.random.Generator, width: int, height: int) -> Array:
    """False boxes that stay for half a second or so."""
    kept = spots[random.random(len(spots)) < 0.93]
    return np.concatenate([kept, _false(random.poisson(0.02), random, width, height)])


def _classed(
    labelled: Clip, frame: int, boxes: Array, scores: Array, kind: NDArray[np.int64], random: np.random.Generator
) -> Detections:
    order = np.argsort(-scores, kind="stable")
    class_scores = random.uniform(0.0, 0.6, (len(scores), len(CLASSES))) * scores[:, None]
    class_scores[np.arange(len(scores)), kind] = scores
    width, height = (320, 256) if labelled.band == "infrared" else (640, 512)
    return Detections(
        sensor_id=labelled.name,
        time_ns=round(frame / FPS * 1e9),
        sequence=frame,
        width=width,
        height=height,
        boxes=boxes[order].astype(np.float32),
        scores=scores[order].astype(np.float32),
        class_scores=class_scores[order].astype(np.float32),
    )
