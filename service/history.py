"""What was: the questions that can be asked of the store. Every list is sorted, newest first, and comes in pages."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Select, and_, cast, exists, false, func, or_, select, tuple_, union_all

from fusion.alerts import AlertKind
from fusion.site import Zone
from models.types import CLASSES
from service import alert_rows, camera_rows, tables, world_rows
from service.alert_rows import StoredAlert
from service.camera_rows import StoredDetection, StoredTrack
from service.database import Database
from service.flight_rows import RECORDING, FlightEntry, read_flight
from service.types import Mark
from service.world_rows import StoredWorldTrack

MOST_PAGES = 100  # that are read for one

Key = tuple[int, int | str]
BoundingBox = tuple[float, float, float, float]  # west, south, east, north in degrees


@dataclass(frozen=True, slots=True)
class Filter:
    """What a list is narrowed to; an empty tuple narrows nothing. Times are UTC nanoseconds, both ends included.

    Of tracks of the site alone: `bbox` and `zones`, where they were at some time within `since_ns..until_ns`, and at
    any time; `identities`; `claimed_ids`; `min_speed`, `max_speed` of their top speed, m/s. Of all tracks: durations.
    """

    classes: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    sensors: tuple[str, ...] = ()
    identities: tuple[str, ...] = ()
    claimed_ids: tuple[str, ...] = ()
    zones: tuple[str, ...] = ()
    since_ns: int | None = None
    until_ns: int | None = None
    min_duration_ns: int | None = None
    max_duration_ns: int | None = None
    min_speed: float | None = None
    max_speed: float | None = None
    min_score: float = 0.0
    bbox: BoundingBox | None = None
    after: Key | None = None  # key of the last row of the page before
    limit: int = 100

    @property
    def is_of_the_world(self) -> bool:
        """Whether it asks for what a track of one picture has not."""
        speeds = self.min_speed is not None or self.max_speed is not None
        return bool(speeds or self.bbox or self.zones or self.identities or self.claimed_ids)


class History:
    """Asks a database; used from any thread. Every question may raise QueryTooLarge and StoreError."""

    def __init__(self, database: Database) -> None:
        self.database = database

    # ── Tracks of a picture, and detections ─────────────────────────────────────────────────────────────────────────

    def tracks(self, narrow: Filter) -> list[StoredTrack]:
        """Tracks that lived at some time within `since_ns..until_ns` and were confirmed once, newest birth first."""
        track = tables.tracks.c
        names = [tables.sensors.c.name.in_(narrow.sensors)] if narrow.sensors else []
        conditions = [track.confirmed, *_lived(tables.tracks, narrow), *names]
        rows = self.database.read(_page(camera_rows.TRACKS.where(*conditions), (track.first_ns, track.id), narrow))
        return [camera_rows.read_track(row) for row in rows]

    def track(self, sensor_id: str, number: int) -> StoredTrack | None:
        """One track by its id, confirmed or not."""
        rows = self.database.read(camera_rows.TRACKS.where(*_is_track(sensor_id, number)))
        return camera_rows.read_track(rows[0]) if rows else None

    def history(self, sensor_id: str, number: int, narrow: Filter) -> list[StoredTrack]:
        """The points of a track within `since_ns..until_ns`, oldest first; `after` is the key of the last one had."""
        wanted = camera_rows.POINTS.where(*_is_track(sensor_id, number))
        rows = self.database.read(_in_order(wanted, tables.points.c.time_ns, narrow))
        return [replace(camera_rows.read_track(row), key=(row[3], row[0])) for row in rows]

    def detections(self, narrow: Filter) -> list[StoredDetection]:
        """Detections of at least `min_score`, newest first."""
        found = tables.detections.c
        order = (found.time_ns, found.id)
        conditions: list[Condition] = [*_within(found.time_ns, found.time_ns, narrow)]
        if narrow.min_score:
            conditions.append(found.score >= narrow.min_score)
        if narrow.classes or narrow.sensors:
            classes, sensors = narrow.classes or CLASSES, self._numbers(narrow.sensors)
            if len(classes) * len(sensors) <= MOST_PAGES:  # one of each pair, by the index, and the newest of all these
                pairs = itertools.product(classes, sensors)
                of_each = [
                    select(found.id).where(found["class"] == a, found.sensor == b, *conditions) for a, b in pairs
                ]
                pages = [_page(each, order, narrow).subquery().select() for each in of_each]
                conditions = [found.id.in_(union_all(*pages)) if pages else false()]
            else:  # so many are not rare
                conditions += [found["class"].in_(classes), found.sensor.in_(sensors)]
        rows = self.database.read(_page(camera_rows.DETECTIONS.where(*conditions), order, narrow))
        return [camera_rows.read_detection(row) for row in rows]

    def _numbers(self, names: Sequence[str]) -> list[int]:
        """Of these sensors; of all where none is named."""
        sensors = tables.sensors.c
        named = [sensors.name.in_(names)] if names else []
        return [row[0] for row in self.database.read(select(sensors.id).where(*named))]

    # ── Tracks of the site ──────────────────────────────────────────────────────────────────────────────────────────

    def world_tracks(self, narrow: Filter) -> list[StoredWorldTrack]:
        """As `tracks`, of the site."""
        track = tables.world_tracks.c
        wanted = world_rows.TRACKS.where(*_lived(tables.world_tracks, narrow), *_of_the_world(narrow))
        rows = self.database.read(_page(wanted, (track.first_ns, track.id), narrow))
        return [StoredWorldTrack((row[2], row[0]), world_rows.read(row)) for row in rows]

    def world_track(self, track_id: str) -> StoredWorldTrack | None:
        """One track of the site by its id."""
        rows = self.database.read(world_rows.TRACKS.where(tables.world_tracks.c.name == track_id))
        return StoredWorldTrack((rows[0][2], rows[0][0]), world_rows.read(rows[0])) if rows else None

    def world_history(self, track_id: str, narrow: Filter) -> list[StoredWorldTrack]:
        """As `history`, of a track of the site."""
        wanted = world_rows.POINTS.where(tables.world_tracks.c.name == track_id)
        rows = self.database.read(_in_order(wanted, tables.world_points.c.time_ns, narrow))
        return [StoredWorldTrack((row[3], row[0]), world_rows.read(row)) for row in rows]

    # ── Alerts, marks, flights, zones ────────────────────────────────────────────────────────────────────────────────

    def alerts(
        self, narrow: Filter, *, kinds: Sequence[str] = (), active: bool | None = None, noted: bool | None = None
    ) -> list[StoredAlert]:
        """Alerts that ran within `since_ns..until_ns`, newest first; `noted`: whether somebody acknowledged them."""
        alert = tables.alerts.c
        conditions = list(_within(alert.started_ns, alert.time_ns, narrow))
        if kinds:
            conditions.append(alert.kind.in_(kinds))
        if active is not None:
            conditions.append(alert.active.is_(active))
        if noted is not None:
            conditions.append(alert.acknowledged_ns.is_not(None) if noted else alert.acknowledged_ns.is_(None))
        wanted = select(tables.alerts).where(*conditions)
        rows = self.database.read(_page(wanted, (alert.started_ns, alert.number), narrow))
        return [alert_rows.read_alert(row) for row in rows]

    def alert(self, number: int) -> StoredAlert | None:
        rows = self.database.read(select(tables.alerts).where(tables.alerts.c.number == number))
        return alert_rows.read_alert(rows[0]) if rows else None

    def marks(
        self, narrow: Filter, *, tracks: Sequence[str] = (), verdicts: Sequence[str] = (), who: Sequence[str] = ()
    ) -> list[Mark]:
        """What people said of tracks within `since_ns..until_ns`, newest first."""
        mark = tables.marks.c
        conditions = list(_within(mark.time_ns, mark.time_ns, narrow))
        asked = ((mark.track, tracks), (mark.verdict, verdicts), (mark.who, who))
        conditions += [column.in_(values) for column, values in asked if values]
        wanted = select(tables.marks).where(*conditions)
        return [
            alert_rows.read_mark(row) for row in self.database.read(_page(wanted, (mark.time_ns, mark.number), narrow))
        ]

    def flights(
        self, narrow: Filter, *, sensors: Sequence[str] = (), sessions: Sequence[str] = (), states: Sequence[str] = ()
    ) -> list[FlightEntry]:
        """Flights that lasted into `since_ns..until_ns`, newest first; of any of these sensors."""
        flight = tables.flights.c
        conditions = list(_within(flight.start_ns, flight.end_ns, narrow))
        asked = ((flight.session, sessions), (flight.state, states))
        conditions += [column.in_(values) for column, values in asked if values]
        if sensors:
            conditions.append(or_(*(_names(flight.sensors, sensor_id) for sensor_id in sensors)))
        wanted = select(tables.flights).where(*conditions)
        return list(map(read_flight, self.database.read(_page(wanted, (flight.start_ns, flight.id), narrow))))

    def flights_seen(self) -> dict[str, tuple[int, int, bool]]:
        """Size, time of the file, and whether it is being written, by id."""
        flight = tables.flights.c
        rows = self.database.read(select(flight.id, flight.bytes, flight.modified_ns, flight.state))
        return {name: (size, modified_ns, state == RECORDING) for name, size, modified_ns, state in rows}

    def zones(self) -> dict[str, Zone]:
        """By id, in order of the ids."""
        zone = tables.zones.c
        rows = self.database.read(select(tables.zones).where(zone.definition.is_not(None)))
        return dict(sorted(map(alert_rows.read_zone, rows)))


# ── Conditions ──────────────────────────────────────────────────────────────────────────────────────────────────────

Condition = ColumnElement[bool]


def _page(wanted: Select[Any], order: tuple[ColumnElement[int], ColumnElement[Any]], narrow: Filter) -> Select[Any]:
    """The newest of them by `order`, from behind the page before."""
    if narrow.after is not None:
        wanted = wanted.where(tuple_(*order) < tuple_(*narrow.after))
    return wanted.order_by(*(column.desc() for column in order)).limit(narrow.limit)


def _in_order(wanted: Select[Any], time: ColumnElement[int], narrow: Filter) -> Select[Any]:
    """Points, oldest first."""
    conditions = list(_within(time, time, narrow))
    if narrow.after is not None:
        conditions.append(time > narrow.after[0])
    return wanted.where(*conditions).order_by(time).limit(narrow.limit)


def _within(first: ColumnElement[int], last: ColumnElement[int], narrow: Filter) -> list[Condition]:
    """What lasted from `first` to `last` was there at some time asked for."""
    since = [] if narrow.since_ns is None else [last >= narrow.since_ns]
    return since + ([] if narrow.until_ns is None else [first <= narrow.until_ns])


def _is_track(sensor_id: str, number: int) -> tuple[Condition, ...]:
    sensor = tables.sensors.c
    key = cast(sensor.id, tables.Number) * (1 << camera_rows.NUMBER_BITS) + number
    return sensor.name == sensor_id, tables.tracks.c.id == key


def _lived(table: Any, narrow: Filter) -> list[Condition]:
    """What is asked of both kinds of track."""
    track = table.c
    conditions = _within(track.first_ns, track.last_ns, narrow)
    asked = ((track["class"], narrow.classes), (track.state, narrow.states))
    conditions += [column.in_(values) for column, values in asked if values]
    lasted = track.last_ns - track.first_ns
    if narrow.min_duration_ns is not None:
        conditions.append(lasted >= narrow.min_duration_ns)
    if narrow.max_duration_ns is not None:
        conditions.append(lasted <= narrow.max_duration_ns)
    return conditions


def _of_the_world(narrow: Filter) -> list[Condition]:
    track, alert = tables.world_tracks.c, tables.alerts.c
    asked = ((track.identity, narrow.identities), (track.claimed_id, narrow.claimed_ids))
    conditions: list[Condition] = [column.in_(values) for column, values in asked if values]
    if narrow.sensors:
        conditions.append(or_(*(_names(track.sensors, sensor_id) for sensor_id in narrow.sensors)))
    if narrow.zones:
        entered = and_(alert.track == track.name, alert.zone.in_(narrow.zones), alert.kind == AlertKind.ENTER.value)
        conditions.append(exists().where(entered))
    if narrow.min_speed is not None:
        conditions.append(track.top_speed >= narrow.min_speed)
    if narrow.max_speed is not None:
        conditions.append(track.top_speed <= narrow.max_speed)
    return conditions + ([] if narrow.bbox is None else _crossed(narrow.bbox, narrow))


def _names(text: ColumnElement[str], name: str) -> Condition:
    """Whether a JSON list of names has this one, to the letter."""
    return func.replace(text, orjson.dumps(name).decode(), "") != text


def _crossed(bbox: BoundingBox, narrow: Filter) -> list[Condition]:
    """The track has a point within; the box around all of its points is looked at first. A box whose west is east of
    its east crosses the date line."""
    west, south, east, north = bbox
    track, point = tables.world_tracks.c, tables.world_points.alias().c
    around = [track.north >= south, track.south <= north]
    inside = [point.latitude >= south, point.latitude <= north]
    if west <= east:
        around += [track.east >= west, track.west <= east]
        inside += [point.longitude >= west, point.longitude <= east]
    else:
        around += [or_(track.east >= west, track.west <= east)]
        inside += [or_(point.longitude >= west, point.longitude <= east)]
    there = [point.track == track.id, *_within(point.time_ns, point.time_ns, narrow), *inside]
    return [*around, exists().where(*there)]
