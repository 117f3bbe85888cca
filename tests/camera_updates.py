"""Made-up camera updates for tests of what comes after the tracker: exact numbers, no randomness."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.types import CLASSES, Detections, Frame
from service.types import CameraUpdate, StageTimes
from tracking.types import ImageTrack, ImageTracks, Status

START_NS = 1_777_636_800_000_000_000  # 2026-05-01T12:00:00Z
FRAME_NS = 33_333_333
WIDTH, HEIGHT = 64, 48


def frame_time(sequence: int) -> int:
    return START_NS + sequence * FRAME_NS


def one_hot(name: str, value: float = 0.9) -> tuple[float, ...]:
    """`value` for one class, the rest shared by the others."""
    rest = (1.0 - value) / (len(CLASSES) - 1)
    return tuple(value if each == name else rest for each in CLASSES)


def image_track(
    number: int, *, age: int = 0, status: Status = Status.CONFIRMED, name: str = "drone", x: float = 10.0
) -> ImageTrack:
    """A track of so many frames of age."""
    return ImageTrack(
        track_id=number,
        status=status,
        box=(x, 20.0, 8.0, 6.0),
        velocity=(30.0, -1.5),
        covariance=tuple(float(i) for i in range(16)),
        existence=0.99,
        class_probabilities=one_hot(name),
        score=0.8,
        detection=0,
        age_ns=age * FRAME_NS,
    )


def detections(sensor_id: str, sequence: int, found: Sequence[tuple[str, float]] = ()) -> Detections:
    """One frame's detections, given as class and score, in the same place each."""
    scores = np.array([score for _, score in found], np.float32)
    class_scores = np.array([one_hot(name, score) for name, score in found], np.float32).reshape(-1, len(CLASSES))
    boxes = np.tile(np.array([10.0, 20.0, 8.0, 6.0], np.float32), (len(found), 1))
    return Detections(sensor_id, frame_time(sequence), sequence, WIDTH, HEIGHT, boxes, scores, class_scores)


def update(
    sensor_id: str,
    sequence: int,
    tracks: Sequence[ImageTrack] = (),
    *,
    found: Sequence[tuple[str, float]] = (),
    deleted: tuple[int, ...] = (),
) -> CameraUpdate:
    """What one frame of one camera brought."""
    time_ns = frame_time(sequence)
    followed = ImageTracks(sensor_id, time_ns, sequence, WIDTH, HEIGHT, tuple(tracks), deleted)
    timing = StageTimes(time_ns, time_ns + 1_000_000, 2_000_000, 12_000_000, 500_000, time_ns + 16_000_000)
    return CameraUpdate(detections(sensor_id, sequence, found), followed, timing)


def frame(sensor_id: str, sequence: int, infrared: bool = False) -> Frame:
    """A grey picture that differs from frame to frame."""
    pixels = np.full((HEIGHT, WIDTH, 1 if infrared else 3), sequence % 256, np.uint8)
    return Frame(sensor_id, frame_time(sequence), sequence, "infrared" if infrared else "visible", pixels)
