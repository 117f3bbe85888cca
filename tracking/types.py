"""What the per-camera tracker puts out. Boxes in pixels of the full-size frame, `[x, y, width, height]`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Self


class Status(StrEnum):
    """Life of a track; the allowed moves stand in `tracking.lifecycle`."""

    TENTATIVE = "tentative"
    CONFIRMED = "confirmed"
    COASTING = "coasting"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class ImageTrack:
    """One object followed in one camera's picture.

    Attributes:
        track_id: unique within the sensor and never used again.
        status: tentative, confirmed or coasting (deleted only in the message that ends it).
        box: x, y, width, height, pixels, filtered.
        velocity: of the box centre, pixels per second.
        covariance: row-major 4x4 of centre x, centre y (px²), and their velocities (px²/s²).
        existence: probability that there is an object, 0..1.
        class_probabilities: one per name in `models.types.CLASSES`, sums to 1, by evidence over time.
        score: confidence shown to people, 0..1.
        detection: index into the `Detections` of the same frame, or None while it coasts.
        age_ns: time since birth.
    """

    track_id: int
    status: Status
    box: tuple[float, float, float, float]
    velocity: tuple[float, float]
    covariance: tuple[float, ...]
    existence: float
    class_probabilities: tuple[float, ...]
    score: float
    detection: int | None
    age_ns: int


class _TracksOnDemand:
    """Makes `tracks` when it is first read: a hundred objects cost as much as the step that they come from."""

    __slots__ = ("_make_tracks",)
    _make_tracks: Callable[[], tuple[ImageTrack, ...]]

    if not TYPE_CHECKING:  # it would let the checker believe in any attribute

        def __getattr__(self, name):
            if name != "tracks":
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            made = object.__getattribute__(self, "_make_tracks")()
            object.__setattr__(self, "tracks", made)
            return made


@dataclass(frozen=True, slots=True)
class ImageTracks(_TracksOnDemand):
    """All tracks of one camera after one frame.

    Attributes:
        sensor_id, time_ns, sequence, width, height: of the frame.
        tracks: in order of their ids; tentative ones too.
        deleted: ids that ended with this frame.
        rejected: detections of this frame that could not be boxes (NaN, infinite, no area, …) and were left out.
    """

    sensor_id: str
    time_ns: int
    sequence: int
    width: int
    height: int
    tracks: tuple[ImageTrack, ...]
    deleted: tuple[int, ...] = ()
    rejected: int = 0

    @classmethod
    def on_demand(cls, make_tracks: Callable[[], tuple[ImageTrack, ...]], **fields: Any) -> Self:
        """The same message, whose `tracks` are made by `make_tracks` when somebody reads them."""
        message = object.__new__(cls)
        object.__setattr__(message, "_make_tracks", make_tracks)
        for name, value in fields.items():
            object.__setattr__(message, name, value)
        return message
