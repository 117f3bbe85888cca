"""Runs a fold of the deterministic core inside the service, where pictures change size and cameras fall silent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol, TypeVar

from models.types import Detections
from tracking.types import ImageTracks

In = TypeVar("In", contravariant=True)
Out = TypeVar("Out", covariant=True)


class Fold(Protocol[In, Out]):
    """A pure fold over messages: same messages in the same order, same answers, bit for bit."""

    def step(self, message: In, /) -> Out: ...

    def snapshot(self) -> bytes: ...

    def restore(self, state: bytes, /) -> None: ...


TrackerFold = Fold[Detections, ImageTracks]


class TrackerStage:
    """The tracker of one camera. It knows which ids were given: none is used again, not by a fresh tracker either.

    Args:
        make: gives a tracker that knows nothing and counts its ids from the number it is given.
        first_id: the first number that was never used.
    """

    def __init__(self, make: Callable[[int], TrackerFold], first_id: int = 1) -> None:
        self._make = make
        self._tracker = make(first_id)
        self._next_id = first_id
        self._alive: tuple[int, ...] = ()
        self._size: tuple[int, int] | None = None

    def step(self, look: Detections) -> ImageTracks:
        """Tracks after one look. A new picture size ends all tracks: pixels of one mean nothing in another."""
        size = (look.width, look.height)
        ended = self.end() if self._size not in (None, size) else ()
        tracks = self._tracker.step(look)
        self._size = size
        self._alive = tuple(track.track_id for track in tracks.tracks)
        self._next_id = max((self._next_id, *(track_id + 1 for track_id in self._alive)))
        return replace(tracks, deleted=ended + tracks.deleted) if ended else tracks

    def end(self) -> tuple[int, ...]:
        """End all tracks and begin anew; the ids that ended."""
        ended, self._alive = self._alive, ()
        self._tracker = self._make(self._next_id)
        return ended
