"""What is true now, by what the bus said: the living tracks of the site and of each camera, and the newest detections.

The WebSocket's snapshot and `GET /api/v1/tracks` read the same board, so that they never disagree. A track is encoded
when it is first asked for, and once for every reader of that state.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import orjson

from fusion.alerts import Alert
from models.types import Detections
from service.schemas import Json, alert_json, found_json, rfc3339, track_json, world_track_json
from service.types import Acknowledgement, CameraUpdate, Message, TracksEnded, WorldTrack, WorldUpdate
from service.world_rows import number_of
from tracking.types import ImageTracks, Status

MOST_ALERTS = 1000


@dataclass(frozen=True, slots=True)
class LiveTrack:
    """A track as it is now, already encoded. `order` sorts by birth, then by number and sensor."""

    id: str
    sensors: tuple[str, ...]
    class_name: str
    state: str
    order: tuple[int, int, str]
    json: bytes
    place: tuple[float, float] | None = None  # longitude, latitude in degrees


class CameraTracks:
    """The living tracks of one camera after its newest frame; encoded when first asked for, and once."""

    def __init__(self, tracks: ImageTracks) -> None:
        self._tracks = tracks
        self.sensor_id = tracks.sensor_id
        self.time_ns = tracks.time_ns
        self.numbers = tuple(track.track_id for track in tracks.tracks)

    def without(self, numbers: Iterable[int]) -> CameraTracks:
        gone = frozenset(numbers)
        left = tuple(track for track in self._tracks.tracks if track.track_id not in gone)
        return CameraTracks(replace(self._tracks, tracks=left))

    @cached_property
    def encoded(self) -> tuple[LiveTrack, ...]:
        return tuple(self._encode(index) for index in range(len(self.numbers)))

    def _encode(self, index: int) -> LiveTrack:
        track = self._tracks.tracks[index]
        first_ns = self.time_ns - track.age_ns
        shown = track_json(self.sensor_id, track, self.time_ns, first_ns)
        order = (first_ns, track.track_id, self.sensor_id)
        return LiveTrack(shown["id"], (self.sensor_id,), shown["class"], shown["state"], order, orjson.dumps(shown))


class WorldTracks:
    """The living tracks of the site; encoded when first asked for, and once."""

    def __init__(self, update: WorldUpdate | None = None) -> None:
        self._tracks = update.tracks if update else ()
        self.time_ns = update.time_ns if update else 0
        self.ids = tuple(each.track.track_id for each in self._tracks)

    @property
    def shown(self) -> tuple[WorldTrack, ...]:
        return self._tracks

    @cached_property
    def encoded(self) -> tuple[LiveTrack, ...]:
        return tuple(map(self._encode, self._tracks))

    def _encode(self, each: WorldTrack) -> LiveTrack:
        shown = world_track_json(each, self.time_ns)
        order = (each.first_ns, number_of(shown["id"]), "")
        place = (each.longitude_deg, each.latitude_deg)
        sensors = tuple(shown["sensors"])
        return LiveTrack(shown["id"], sensors, shown["class"], shown["state"], order, orjson.dumps(shown), place)


class Alerts:
    """Alerts that run or that nobody has acknowledged, newest last; beyond `MOST_ALERTS` the oldest are not shown."""

    def __init__(self) -> None:
        self._alerts: dict[int, Alert] = {}
        self._said: dict[int, Acknowledgement] = {}

    def put(self, alert: Alert) -> None:
        self._alerts[alert.number] = alert
        self._settle(alert.number)

    def recall(self, alerts: Iterable[Alert]) -> None:
        """Alerts of earlier; what the bus said of them since stays."""
        for alert in alerts:
            if alert.number not in self._alerts:
                self.put(alert)

    def acknowledge(self, said: Acknowledgement) -> None:
        if said.alert in self._alerts:
            self._said.setdefault(said.alert, said)

    def encoded(self, number: int) -> Json | None:
        """As `schemas.Alert`; None for one that is not here."""
        alert = self._alerts.get(number)
        return None if alert is None else alert_json(alert, self._said.get(number))

    def all(self) -> list[Json]:
        return [alert_json(alert, self._said.get(number)) for number, alert in self._alerts.items()]

    def _settle(self, number: int) -> None:
        """Called after each change: lets go what is over and known, and what is too much."""
        over = [n for n in self._said if not self._alerts[n].active and n != number]
        surplus = list(self._alerts)[: max(0, len(self._alerts) - MOST_ALERTS)]
        for each in {*over, *surplus}:
            del self._alerts[each]
            self._said.pop(each, None)


class Board:
    """What is true now, by what the bus said: living tracks of the site, living tracks and newest detections of each
    camera.

    Used by the event loop's thread alone. `version` changes with everything that changes.
    """

    def __init__(self) -> None:
        self.version = 0
        self.world = WorldTracks()
        self.alerts = Alerts()
        self.cameras: dict[str, CameraTracks] = {}
        self.detections: dict[str, Detections] = {}
        self._sorted: tuple[int, list[LiveTrack]] = (-1, [])
        self._page: tuple[int, bytes] = (-1, b"")

    def accept(self, message: Message) -> None:
        self.version += 1
        match message:
            case CameraUpdate():
                self.cameras[message.sensor_id] = CameraTracks(_living(message.tracks))
                self.detections[message.sensor_id] = message.detections
            case TracksEnded() if message.sensor_id in self.cameras:
                self.cameras[message.sensor_id] = self.cameras[message.sensor_id].without(message.track_ids)
            case WorldUpdate():
                self.world = WorldTracks(message)
            case Alert():
                self.alerts.put(message)
            case Acknowledgement():
                self.alerts.acknowledge(message)
            case _:
                pass

    def tracks(self) -> list[LiveTrack]:
        """All living tracks, newest birth first."""
        if self._sorted[0] != self.version:
            tracks = [track for camera in self.cameras.values() for track in camera.encoded]
            tracks += self.world.encoded
            tracks.sort(key=lambda track: track.order, reverse=True)
            self._sorted = (self.version, tracks)
        return self._sorted[1]

    def track(self, track_id: str) -> LiveTrack | None:
        return next((track for track in self.tracks() if track.id == track_id), None)

    def page(self) -> bytes:
        """All living tracks as the one page of `GET /api/v1/tracks`; encoded once for each version."""
        if self._page[0] != self.version:
            self._page = (self.version, tracks_page(self.tracks(), None))
        return self._page[1]


def tracks_page(tracks: Sequence[LiveTrack], next_cursor: str | None) -> bytes:
    """A `TrackPage`, from tracks that are encoded already."""
    return b'{"tracks":[%b],"next_cursor":%b}' % (b",".join(track.json for track in tracks), orjson.dumps(next_cursor))


def _living(tracks: ImageTracks) -> ImageTracks:
    if any(track.status is Status.DELETED for track in tracks.tracks):
        return replace(tracks, tracks=tuple(track for track in tracks.tracks if track.status is not Status.DELETED))
    return tracks


def detections_json(found: Detections) -> Json:
    """Data of an `update` of the topic `detections`: one frame's, also when nothing was found."""
    return {
        "sensor": found.sensor_id,
        "time": rfc3339(found.time_ns),
        "sequence": found.sequence,
        "width": found.width,
        "height": found.height,
        "detections": found_json(found),
    }
