"""Boxes drawn into a picture, for where nobody else can draw them: snapshots, MJPEG, exported videos."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from models.types import CLASSES
from tracking.types import ImageTrack, ImageTracks, Status

Picture = NDArray[np.uint8]
Colour = tuple[int, int, int]

#: BGR by class: the palette of Okabe and Ito, which the colour-blind can tell apart.
COLOURS: dict[str, Colour] = {
    "drone": (0, 94, 213),
    "bird": (115, 158, 0),
    "airplane": (233, 180, 86),
    "helicopter": (167, 121, 204),
}
DETECTION_COLOUR: Colour = (255, 255, 255)
FONT = cv2.FONT_HERSHEY_SIMPLEX


def draw(
    pixels: Picture, tracks: ImageTracks, *, scale: float = 1.0, detections: Iterable[Sequence[float]] = ()
) -> Picture:
    """A BGR copy with the tracks in it: a box, number, class and score; tentative ones thin and without words,
    coasting ones with corners only, because there they are a prediction. Detections are thin and white, below them.

    Args:
        pixels: uint8 [H, W, 1 or 3].
        scale: pixels of this picture for one of the full-size frame, which boxes are given in.
        detections: boxes `[x, y, width, height]`.
    """
    picture: Picture = np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels.copy()
    for box in detections:
        left, top, right, bottom = _corners_of(box, scale)
        cv2.rectangle(picture, (left, top), (right, bottom), DETECTION_COLOUR, 1)
    for track in tracks.tracks:
        _draw_one(picture, track, _corners_of(track.box, scale))
    return picture


def _draw_one(picture: Picture, track: ImageTrack, corners: tuple[int, int, int, int]) -> None:
    probabilities = track.class_probabilities
    name = CLASSES[probabilities.index(max(probabilities))]
    left, top, right, bottom = corners
    if track.status is Status.COASTING:
        _draw_corners(picture, corners, COLOURS[name])
    else:
        cv2.rectangle(picture, (left, top), (right, bottom), COLOURS[name], 1)
    if track.status is not Status.TENTATIVE:
        words = f"{track.track_id} {name} {track.score:.2f}"
        size = max(0.35, picture.shape[0] / 1080)
        cv2.putText(picture, words, (left, max(top - 3, 10)), FONT, size, COLOURS[name], 1, cv2.LINE_AA)


def _corners_of(box: Sequence[float], scale: float) -> tuple[int, int, int, int]:
    """Left, top, right, bottom in pixels of the scaled picture."""
    x, y, width, height = box
    return round(x * scale), round(y * scale), round((x + width) * scale), round((y + height) * scale)


def _draw_corners(picture: Picture, box: tuple[int, int, int, int], colour: Colour) -> None:
    left, top, right, bottom = box
    dx, dy = max(1, (right - left) // 4), max(1, (bottom - top) // 4)
    for x, y, sx, sy in ((left, top, 1, 1), (right, top, -1, 1), (left, bottom, 1, -1), (right, bottom, -1, -1)):
        cv2.line(picture, (x, y), (x + sx * dx, y), colour, 1)
        cv2.line(picture, (x, y), (x, y + sy * dy), colour, 1)
