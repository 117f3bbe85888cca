"""A detector of a few lines and pictures for it: one spot brighter than 200 on gray."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np

from models.types import CLASSES, Detections, Frame

Picture = np.ndarray[Any, np.dtype[np.uint8]]


class BrightSpot:
    """Finds the spot; what `models.infer.load_detector` returns, without weights."""

    name = "bright-spot"
    sha256 = "0" * 64
    backend = "test"
    thresholds: dict[str, float] = {"drone": 0.5}  # noqa: RUF012

    def detect(self, frames: Sequence[Frame]) -> list[Detections]:
        return [self._one(frame) for frame in frames]

    def forget(self, sensor_id: str) -> None: ...

    def _one(self, frame: Frame) -> Detections:
        height, width = frame.pixels.shape[:2]
        rows, columns = np.nonzero(frame.pixels.max(axis=2) > 200)
        boxes = np.zeros((0, 4), np.float32)
        if len(rows):
            left, top = columns.min(), rows.min()
            boxes = np.array([[left, top, columns.max() - left + 1, rows.max() - top + 1]], np.float32)
        scores = np.full(len(boxes), 0.9, np.float32)
        class_scores = np.zeros((len(boxes), len(CLASSES)), np.float32)
        class_scores[:, 0] = scores
        return Detections(frame.sensor_id, frame.time_ns, frame.sequence, width, height, boxes, scores, class_scores)


def picture(step: int, size: tuple[int, int] = (48, 64)) -> Picture:
    """uint8 [H, W, 3]: gray with a white spot of 8 px that moves two pixels a step."""
    pixels = np.full((*size, 3), 60, np.uint8)
    pixels[20:28, 4 + 2 * step : 12 + 2 * step] = 255
    return pixels


def write_video(path: Path, steps: int = 12, fps: int = 25) -> Path:
    """The spot's way as H.264. The index stands first, so that a cut file still opens."""
    with av.open(path, "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=fps, options={"crf": "10", "g": "4"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for step in range(steps):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(step), format="bgr24")))
        container.mux(stream.encode(None))
    return path
