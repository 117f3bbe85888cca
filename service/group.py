"""The rows of one transaction of the store; of a track seen in many frames only the newest state is written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from sqlalchemy import Connection, Update, delete, update

from fusion.alerts import Alert
from service import alert_rows, camera_rows, presence, tables, world_rows
from service.camera_rows import track_key
from service.database import Database, Put, Row
from service.types import Acknowledgement, CameraUpdate, Mark, WorldUpdate, ZoneChange
from tracking.types import Status

MOST_NAMED = 1000  # keys of one statement


@dataclass(slots=True)
class Group:
    """Args:
    min_score: fainter detections are not kept.
    """

    min_score: float
    detections: list[Row] = field(default_factory=list)
    points: list[Row] = field(default_factory=list)
    tracks: dict[int, Row] = field(default_factory=dict)
    ended: list[int] = field(default_factory=list)
    world_tracks: dict[int, Row] = field(default_factory=dict)
    world_points: list[Row] = field(default_factory=list)
    world_ended: list[str] = field(default_factory=list)
    presence: list[Row] = field(default_factory=list)
    watched: list[tuple[Put, Row] | Update] = field(default_factory=list)  # of alerts, marks and zones, in order

    def add_update(self, sensor: int, update: CameraUpdate) -> None:
        self.detections += camera_rows.detection_rows(sensor, update.detections, self.min_score)
        for track in update.tracks.tracks:
            key = track_key(sensor, track.track_id)
            confirmed = track.status is Status.CONFIRMED or (key in self.tracks and self.tracks[key][-1])
            self.tracks[key] = camera_rows.track_row(key, sensor, update.time_ns, track, confirmed)
            self.points.append(camera_rows.point_row(key, update.time_ns, track))
        self.add_ended(sensor, update.tracks.deleted)

    def add_ended(self, sensor: int, numbers: Sequence[int]) -> None:
        self.ended += [track_key(sensor, number) for number in numbers]

    def add_world(self, update: WorldUpdate) -> None:
        for shown in update.tracks:
            row = world_rows.track_row(shown, update.time_ns)
            self.world_tracks[row[0]] = world_rows.merged(self.world_tracks.get(row[0]), row)
        self.world_points += world_rows.point_rows(update.tracks, update.time_ns)
        self.world_ended += update.ended

    def add_watched(self, message: Alert | Acknowledgement | Mark | ZoneChange) -> None:
        match message:
            case Alert():
                self.watched.append((alert_rows.PUT_ALERT, alert_rows.alert_row(message)))
            case Acknowledgement():
                self.watched.append(alert_rows.acknowledge(message))
            case Mark():
                self.watched.append((alert_rows.PUT_MARK, alert_rows.mark_row(message)))
            case ZoneChange():
                self.watched.append((alert_rows.PUT_ZONE, alert_rows.zone_row(message)))

    def write(self, database: Database, connection: Connection) -> None:
        """All of them, what others point to first."""
        for put, rows in (
            (camera_rows.PUT_DETECTION, self.detections),
            (camera_rows.PUT_TRACK, list(self.tracks.values())),
            (camera_rows.PUT_POINT, self.points),
            (world_rows.PUT_TRACK, list(self.world_tracks.values())),
            (world_rows.PUT_POINT, self.world_points),
            (presence.PUT, self.presence),
        ):
            database.put(connection, put, rows)
        self._end(connection)
        for each in self.watched:
            if isinstance(each, tuple):
                database.put(connection, each[0], [each[1]])
            else:
                connection.execute(each)

    def _end(self, connection: Connection) -> None:
        """Tracks that are no more; those never confirmed are forgotten."""
        tracks, world = tables.tracks, tables.world_tracks
        for keys in _parts(self.ended):
            named = tracks.c.id.in_(keys)
            connection.execute(update(tracks).where(named).values(state=Status.DELETED.value))
            connection.execute(delete(tracks).where(named, ~tracks.c.confirmed))
        for names in _parts(self.world_ended):
            connection.execute(update(world).where(world.c.name.in_(names)).values(state=Status.DELETED.value))


T = TypeVar("T")


def _parts(values: Sequence[T]) -> Iterator[Sequence[T]]:
    return (values[start : start + MOST_NAMED] for start in range(0, len(values), MOST_NAMED))
