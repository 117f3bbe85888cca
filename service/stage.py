"""Runs the folds of the deterministic core inside the service, where pictures change size, cameras fall silent and
clocks are set back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Protocol, TypeVar

from fusion.engine import FusionEngine
from fusion.geometry import LocalFrame
from fusion.sequencer import DEFAULT_LAG_NS, Sequencer
from fusion.settings import FusionSettings
from fusion.types import NS, Heartbeat, Scan, Track
from models.types import Detections
from service.types import WorldTrack, WorldUpdate
from tracking.types import ImageTracks, Status

In = TypeVar("In", contravariant=True)
Out = TypeVar("Out", covariant=True)


class Fold(Protocol[In, Out]):
    """A pure fold over messages: same messages in the same order, same answers, bit for bit."""

    def step(self, message: In, /) -> Out: ...

    def snapshot(self) -> bytes: ...

    def restore(self, state: bytes, /) -> None: ...


_FUSION = FusionSettings()

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


class WorldStage:
    """The fusion of one site: scans and heartbeats in the order of the bus, world tracks after each heartbeat.

    A fold, so that a replay of the same messages gives the same tracks. A clock that was set back by more than
    `SET_BACK_NS` begins a new world: in the old one everything would be late.

    Args:
        frame: of the site.
        lag_ns: how much later than its time a scan may come; the tracks are behind the clock by as much.
        first_id: the first track number that was never used.
    """

    SET_BACK_NS = 2 * NS

    def __init__(
        self,
        frame: LocalFrame,
        lag_ns: int = DEFAULT_LAG_NS,
        first_id: int = 1,
        settings: FusionSettings = _FUSION,
    ) -> None:
        self._frame = frame
        self._lag_ns = lag_ns
        self._settings = settings
        self._beat_ns = 0
        self._shown: dict[str, int] = {}
        self._begin(first_id)

    @property
    def refused(self) -> Mapping[str, int]:
        """Scans and reports that were not used, by reason, since the world began."""
        return self._sequencer.counts + self._engine.counts

    def step(self, message: Scan | Heartbeat) -> WorldUpdate | None:
        """What is to be shown after a heartbeat; None after a scan, and before time has come anywhere."""
        if isinstance(message, Heartbeat):
            if message.time_ns < self._beat_ns - self.SET_BACK_NS:
                self.begin_again()
            self._beat_ns = message.time_ns
        ready = self._sequencer.push(message)
        self._sequencer.take_refused()
        for each in ready:
            self._engine.fold(each)
        return self._update() if isinstance(message, Heartbeat) and self._engine.time_ns is not None else None

    def begin_again(self) -> None:
        """Forget all tracks; those to come have new numbers."""
        self._begin(self._engine.next_number)

    def _begin(self, first_id: int) -> None:
        self._sequencer = Sequencer(self._lag_ns, heartbeats=True)
        self._engine = FusionEngine(self._settings, first_id=first_id)

    def _update(self) -> WorldUpdate:
        time_ns = self._engine.time_ns or 0
        tracks = [track for track in self._engine.tracks() if track.status in (Status.CONFIRMED, Status.COASTING)]
        before = self._shown
        self._shown = {track.track_id: before.get(track.track_id, time_ns) for track in tracks}
        ended = tuple(track_id for track_id in before if track_id not in self._shown)
        return WorldUpdate(time_ns, self._placed(tracks), ended, self._engine.next_number)

    def _placed(self, tracks: list[Track]) -> tuple[WorldTrack, ...]:
        if not tracks:
            return ()
        places = zip(*self._frame.to_geodetic([track.mean[:3] for track in tracks]), strict=True)
        return tuple(
            WorldTrack(track, self._shown[track.track_id], float(latitude), float(longitude), float(altitude))
            for track, (latitude, longitude, altitude) in zip(tracks, places, strict=True)
        )
