"""What happened, kept: tracks, their points and detections in SQLite, and the numbers no track may use again.

One thread writes, in groups: everything the bus delivered within 500 ms is one transaction (WAL, `synchronous=FULL`),
so that a disk that syncs a hundred times a second still takes thousands of rows. Readers open a connection of their
own, see the last commit and never wait for the writer.

Bounds, each with its policy:

- waiting to be written: the subscription's capacity; when the disk cannot follow, the newest updates are refused and
  counted (`Subscription.missed`), and the live picture goes on;
- size: `max_bytes`; beyond it the oldest detections and the tracks that ended before them go first;
- one answer: `READ_STEPS` of SQLite's machine; a question that needs more is refused (`QueryTooLarge`).

A track that ends before it was ever confirmed is clutter and is forgotten with its points; its detections stay.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import struct
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import structlog

from fusion.alerts import Alert
from fusion.site import Zone
from models.types import CLASSES, Detections
from service import alert_rows, world_rows
from service.alert_rows import StoredAlert
from service.bus import Subscription
from service.schemas import best_class, class_names
from service.types import Acknowledgement, CameraUpdate, Envelope, TracksEnded, WorldUpdate, ZoneChange
from service.world_rows import StoredWorldTrack
from tracking.types import ImageTrack, Status

log = structlog.get_logger("service.store")

VERSION = 3  # of the tables below, in SQLite's user_version
SUBJECTS = ("camera.", "world", "zone.", "alert.", "acknowledge.")  # what is kept
ALERTS = "@alerts"  # whose numbers alerts count by
WORLD = "@world"  # whose numbers the tracks of the site count by; no sensor can be called so
GROUP_S = 0.5  # how long the first update of a transaction waits for company
ID_BLOCK = 1000  # track numbers reserved ahead, so that a killed process leaves none to be used twice
PRUNE_ROWS = 5000  # detections removed by one transaction at most
PRUNE_TRACKS = 10  # world tracks removed by one transaction at most, where there are no detections
READ_STEPS = 40_000_000  # of SQLite's virtual machine, about two seconds

SCHEMA = """
CREATE TABLE sensors (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    reserved INTEGER NOT NULL                -- the largest track number that may have been used
);
CREATE TABLE tracks (
    id INTEGER PRIMARY KEY,                  -- sensor << 32 | number
    sensor INTEGER NOT NULL REFERENCES sensors,
    first_ns INTEGER NOT NULL,
    last_ns INTEGER NOT NULL,
    state TEXT NOT NULL,
    class TEXT NOT NULL,
    confirmed INTEGER NOT NULL               -- 1 once it has been
);
CREATE INDEX tracks_by_first ON tracks (first_ns);
CREATE INDEX tracks_by_last ON tracks (last_ns);
CREATE TABLE points (
    track INTEGER NOT NULL REFERENCES tracks ON DELETE CASCADE,
    time_ns INTEGER NOT NULL,
    state TEXT NOT NULL,
    score REAL NOT NULL,
    existence REAL NOT NULL,
    x REAL NOT NULL, y REAL NOT NULL, width REAL NOT NULL, height REAL NOT NULL,
    estimate BLOB NOT NULL,                  -- float32: 4 class probabilities, 2 velocities, 16 of the covariance
    PRIMARY KEY (track, time_ns)
) WITHOUT ROWID;
CREATE TABLE detections (
    id INTEGER PRIMARY KEY,
    time_ns INTEGER NOT NULL,
    sensor INTEGER NOT NULL REFERENCES sensors,
    class TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    score REAL NOT NULL,
    x REAL NOT NULL, y REAL NOT NULL, width REAL NOT NULL, height REAL NOT NULL,
    class_scores BLOB NOT NULL               -- float32, one per class
);
CREATE INDEX detections_by_time ON detections (time_ns);
CREATE INDEX detections_by_sensor ON detections (sensor, time_ns);
CREATE INDEX detections_by_class ON detections (class, time_ns);
"""
#: What brings a store of version N to version N + 1.
UPGRADES = {1: world_rows.SCHEMA, 2: alert_rows.SCHEMA}

_ESTIMATE = struct.Struct("<22f")
_SCORES = struct.Struct(f"<{len(CLASSES)}f")
_NUMBER_BITS = 32

Row = tuple[Any, ...]
Key = tuple[int, int]


class StoreError(Exception):
    """The store cannot be used; the message is one plain sentence for the user."""


class QueryTooLarge(Exception):
    """The question would read more than one answer may."""


@dataclass(frozen=True, slots=True)
class StoreState:
    """`ok`; `degraded`: writing is being tried again; `failed`: nothing more is accepted. `reason` is one sentence."""

    state: str = "ok"
    reason: str = ""


@dataclass(frozen=True, slots=True)
class StoredTrack:
    """A track at one instant; `first_ns` is its birth, `key` its place in the list that it came from."""

    key: Key
    sensor_id: str
    first_ns: int
    time_ns: int
    track: ImageTrack


@dataclass(frozen=True, slots=True)
class StoredDetection:
    """One detection; `key` is its place in lists, newest first."""

    key: Key
    sensor_id: str
    time_ns: int
    sequence: int
    score: float
    box: tuple[float, float, float, float]
    class_scores: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Filter:
    """What a list is narrowed to; an empty tuple narrows nothing. Times are UTC nanoseconds, both ends included."""

    classes: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    sensors: tuple[str, ...] = ()
    since_ns: int | None = None
    until_ns: int | None = None
    min_score: float = 0.0
    bbox: tuple[float, float, float, float] | None = None  # west, south, east, north in degrees
    after: Key | None = None  # key of the last row of the page before
    limit: int = 100


def path_of(url: str) -> Path:
    """The file of `sqlite:///PATH`.

    Raises:
        StoreError: another kind of store.
    """
    scheme, _, path = url.partition(":///")
    if scheme != "sqlite" or not path:
        raise StoreError("This kind of store is not known: write sqlite:///PATH.")
    return Path(path)


class Store:
    """Opened by one process at a time; made when missing. Used from any thread.

    Args:
        path: the database file; its folder is made when missing.
        max_bytes: of the database; the oldest rows go when it grows beyond.
        min_score: fainter detections are not kept.

    Raises:
        StoreError: the folder cannot be written, another process has it, or it is not a store of this program.
    """

    def __init__(self, path: Path, *, max_bytes: int = 8 << 30, min_score: float = 0.0) -> None:
        self.path = path
        self.max_bytes = max_bytes
        self.min_score = min_score
        self.state = StoreState()
        self._lock_file = _lock(path)
        try:
            self._sensors = _prepare(path)
        except sqlite3.Error as error:
            os.close(self._lock_file)
            raise StoreError(f"Cannot open the store {path}: {error}. Move it away or name another one.") from None
        self._reserved: dict[str, int] = {}
        self._used: dict[str, int] = {}
        self._subscription: Subscription | None = None
        self._writer: threading.Thread | None = None
        self._closing = threading.Event()
        self._hurry = threading.Event()  # somebody waits for the group that is being gathered
        self._flushed = threading.Condition()
        self._flush_wanted = 0
        self._flush_done = 0

    # ── Writing ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def first_id(self, sensor_id: str) -> int:
        """The number for the next track of this sensor: larger than any used before, also by a killed process."""
        with closing(_connect(self.path)) as db, db:
            used = _reserved(db, sensor_id)
            self._sensors[sensor_id], self._reserved[sensor_id] = _reserve(db, sensor_id, used)
        self._used[sensor_id] = max(used, self._used.get(sensor_id, 0))
        return used + 1

    def follow(self, subscription: Subscription) -> None:
        """Write all that the subscription brings, until it is closed."""
        self._subscription = subscription
        self._writer = threading.Thread(target=self._write, args=(subscription,), name="store")
        self._writer.start()

    def flush(self, timeout_s: float = 5.0) -> bool:
        """Wait until everything published before this call is on disk; False: not within the time."""
        with self._flushed:
            self._flush_wanted += 1
            wanted = self._flush_wanted
            self._hurry.set()
            return self._flushed.wait_for(lambda: self._flush_done >= wanted, timeout_s)

    def close(self, timeout_s: float = 4.0) -> None:
        """Commit what the (closed) subscription still holds, give unused numbers back and let the file go."""
        self._closing.set()
        self._hurry.set()
        if self._writer is not None:
            self._writer.join(timeout_s)
            if self._writer.is_alive():
                log.error("not written in time, the last updates are lost", store=str(self.path), timeout_s=timeout_s)
                return  # the lock goes with the process
        if self._subscription is None or not (self._subscription.missed or self.state.state == "failed"):
            self._release_ids()
        os.close(self._lock_file)

    def _release_ids(self) -> None:
        """After a run that was written whole nothing beyond the known numbers is used: the next one leaves no gap."""
        rows = [(number, sensor_id) for sensor_id, number in self._used.items()]
        try:
            with closing(_connect(self.path)) as db, db:
                db.executemany("UPDATE sensors SET reserved = ? WHERE name = ?", rows)
        except sqlite3.Error as error:
            log.warning("track numbers will have a gap after the next start", reason=str(error))

    def _write(self, subscription: Subscription) -> None:
        with closing(_connect(self.path)) as db:
            while True:
                group, wanted = self._take_group(subscription)
                if not self._commit(db, group):
                    subscription.close()
                    return
                self._set_flushed(wanted)
                if not group and subscription.closed:
                    return

    def _take_group(self, subscription: Subscription) -> tuple[list[Envelope], int]:
        """What is to be written together, and the flush that it answers."""
        group = subscription.take(timeout_s=0.0 if self._hurry.is_set() else 0.25)
        if group:
            self._hurry.wait(GROUP_S)
        self._hurry.clear()
        wanted = self._flush_wanted  # read before taking: what was published before it is in this group
        return group + subscription.take(timeout_s=0.0), wanted

    def _set_flushed(self, wanted: int) -> None:
        with self._flushed:
            self._flush_done = wanted
            self._flushed.notify_all()

    def _commit(self, db: sqlite3.Connection, group: Sequence[Envelope]) -> bool:
        """Write the group, again and again while the disk is full; False: given up for good."""
        while group:
            try:
                self._enter(db, group)
                with db:
                    self._rows(group).write(db)
                    self._prune(db)
                self.state = StoreState()
                return True
            except sqlite3.Error as error:
                if not self._may_retry(error) or self._closing.wait(1.0):
                    self.state = StoreState("failed", f"The store {self.path} cannot be written: {error}.")
                    log.error("store failed", reason=self.state.reason, lost_messages=len(group))
                    return False
        return True

    def _may_retry(self, error: sqlite3.Error) -> bool:
        """A full disk may get room, a lock ends; after a failed sync nothing is known, so nothing is tried again."""
        retry = error.sqlite_errorcode in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY)
        if retry and self.state.state == "ok":
            self.state = StoreState("degraded", f"The store {self.path} waits: {error}. Make room on its disk.")
            log.warning("store waits", reason=self.state.reason)
        return retry

    def _enter(self, db: sqlite3.Connection, group: Sequence[Envelope]) -> None:
        """Sensors never seen before, and track numbers reserved well ahead of those in use; on disk before the rows."""
        used: dict[str, int] = {}
        for message in _messages(group):
            name = _counter(message)
            if name is None:
                continue
            used[name] = max(used.get(name, self._used.get(name, 0)), _largest(message))
        for sensor_id, largest in used.items():
            if largest >= self._reserved.get(sensor_id, 0) - ID_BLOCK // 2 or sensor_id not in self._sensors:
                with db:
                    reserved = _reserve(db, sensor_id, largest)
                self._sensors[sensor_id], self._reserved[sensor_id] = reserved
        self._used |= used

    def _rows(self, group: Sequence[Envelope]) -> _Rows:
        rows = _Rows(self.min_score)
        for message in _messages(group):
            match message:
                case CameraUpdate():
                    rows.add_update(self._sensors[message.sensor_id], message)
                case TracksEnded():
                    rows.add_ended(self._sensors[message.sensor_id], message.track_ids)
                case WorldUpdate():
                    rows.add_world(message)
                case Alert():
                    rows.watched.append((alert_rows.UPSERT_ALERT, alert_rows.alert_row(message)))
                case Acknowledgement():
                    rows.watched.append((alert_rows.ACKNOWLEDGE, alert_rows.acknowledgement_row(message)))
                case ZoneChange():
                    rows.watched.append((alert_rows.PUT_ZONE, alert_rows.zone_row(message)))
        return rows

    def _prune(self, db: sqlite3.Connection) -> None:
        (size,) = db.execute(
            "SELECT (page_count - freelist_count) * page_size "
            "FROM pragma_page_count(), pragma_freelist_count(), pragma_page_size()"
        ).fetchone()
        if size <= self.max_bytes:
            return
        (cutoff,) = db.execute(
            "SELECT max(time_ns) FROM (SELECT time_ns FROM detections ORDER BY time_ns LIMIT ?)", (PRUNE_ROWS,)
        ).fetchone()
        if cutoff is None:  # a site without cameras: only tracks of the world
            (cutoff,) = db.execute(
                "SELECT max(last_ns) FROM (SELECT last_ns FROM world_tracks ORDER BY last_ns LIMIT ?)", (PRUNE_TRACKS,)
            ).fetchone()
        if cutoff is not None:
            db.execute("DELETE FROM detections WHERE time_ns <= ?", (cutoff,))
            db.execute("DELETE FROM tracks WHERE last_ns <= ? AND state = 'deleted'", (cutoff,))
            db.execute("DELETE FROM world_tracks WHERE last_ns <= ? AND state = 'deleted'", (cutoff,))
            db.execute("DELETE FROM alerts WHERE time_ns <= ? AND NOT active", (cutoff,))

    # ── Reading ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def tracks(self, narrow: Filter) -> list[StoredTrack]:
        """Tracks that lived at some time within `since_ns..until_ns` and were confirmed once, newest birth first."""
        where = _Where()
        where.one_of("t.class", narrow.classes)
        where.one_of("t.state", narrow.states)
        where.one_of("s.name", narrow.sensors)
        where.add("t.last_ns >= ?", narrow.since_ns)
        where.add("t.first_ns <= ?", narrow.until_ns)
        where.before("t.first_ns", "t.id", narrow.after)
        sql = f"{_TRACKS} WHERE t.confirmed {where.sql} ORDER BY t.first_ns DESC, t.id DESC LIMIT ?"
        return [_stored_track(row) for row in self._read(sql, (*where.values, narrow.limit))]

    def track(self, sensor_id: str, number: int) -> StoredTrack | None:
        """One track by its id, confirmed or not."""
        sql = f"{_TRACKS} WHERE s.name = ? AND t.id = s.id << 32 | ?"
        rows = self._read(sql, (sensor_id, number))
        return _stored_track(rows[0]) if rows else None

    def history(self, sensor_id: str, number: int, narrow: Filter) -> list[StoredTrack]:
        """The points of a track within `since_ns..until_ns`, oldest first; `after` is the key of the last one had."""
        where = _Where()
        where.add("p.time_ns >= ?", narrow.since_ns)
        where.add("p.time_ns <= ?", narrow.until_ns)
        where.add("p.time_ns > ?", narrow.after[0] if narrow.after else None)
        sql = f"{_HISTORY} WHERE s.name = ? AND t.id = s.id << 32 | ? {where.sql} ORDER BY p.time_ns LIMIT ?"
        rows = self._read(sql, (sensor_id, number, *where.values, narrow.limit))
        return [replace(_stored_track(row), key=(row[3], row[0])) for row in rows]

    def world_tracks(self, narrow: Filter) -> list[StoredWorldTrack]:
        """As `tracks`, of the site."""
        where = _Where()
        where.one_of("t.class", narrow.classes)
        where.one_of("t.state", narrow.states)
        where.any_of("t.sensors", narrow.sensors)
        where.add("t.last_ns >= ?", narrow.since_ns)
        where.add("t.first_ns <= ?", narrow.until_ns)
        where.within(("p.longitude", "p.latitude"), narrow.bbox)
        where.before("t.first_ns", "t.id", narrow.after)
        sql = f"{world_rows.TRACKS} WHERE 1 {where.sql} ORDER BY t.first_ns DESC, t.id DESC LIMIT ?"
        rows = self._read(sql, (*where.values, narrow.limit))
        return [StoredWorldTrack((row[2], row[0]), world_rows.read(row)) for row in rows]

    def world_track(self, track_id: str) -> StoredWorldTrack | None:
        """One track of the site by its id."""
        rows = self._read(f"{world_rows.TRACKS} WHERE t.name = ?", (track_id,))
        return StoredWorldTrack((rows[0][2], rows[0][0]), world_rows.read(rows[0])) if rows else None

    def world_history(self, track_id: str, narrow: Filter) -> list[StoredWorldTrack]:
        """As `history`, of a track of the site."""
        where = _Where()
        where.add("p.time_ns >= ?", narrow.since_ns)
        where.add("p.time_ns <= ?", narrow.until_ns)
        where.add("p.time_ns > ?", narrow.after[0] if narrow.after else None)
        sql = f"{world_rows.HISTORY} WHERE t.name = ? {where.sql} ORDER BY p.time_ns LIMIT ?"
        rows = self._read(sql, (track_id, *where.values, narrow.limit))
        return [StoredWorldTrack((row[3], row[0]), world_rows.read(row)) for row in rows]

    def alerts(
        self, narrow: Filter, *, kinds: Sequence[str] = (), active: bool | None = None, noted: bool | None = None
    ) -> list[StoredAlert]:
        """Alerts that ran within `since_ns..until_ns`, newest first; `noted`: whether somebody acknowledged them."""
        where = _Where()
        where.one_of("kind", kinds)
        where.add("active = ?", active)
        where.add("(acknowledged_ns IS NOT NULL) = ?", noted)
        where.add("time_ns >= ?", narrow.since_ns)
        where.add("started_ns <= ?", narrow.until_ns)
        where.before("started_ns", "number", narrow.after)
        sql = f"{alert_rows.ALERTS} WHERE 1 {where.sql} ORDER BY started_ns DESC, number DESC LIMIT ?"
        return [alert_rows.read_alert(row) for row in self._read(sql, (*where.values, narrow.limit))]

    def alert(self, number: int) -> StoredAlert | None:
        rows = self._read(f"{alert_rows.ALERTS} WHERE number = ?", (number,))
        return alert_rows.read_alert(rows[0]) if rows else None

    def zones(self) -> dict[str, Zone]:
        """By id, in order of the ids."""
        rows = self._read("SELECT id, definition FROM zones WHERE definition IS NOT NULL ORDER BY id", ())
        return dict(map(alert_rows.read_zone, rows))

    def seed_zones(self, zones: Mapping[str, Zone]) -> None:
        """At start: take over a site file's zones where the file has changed; what somebody changed since stays."""
        with closing(_connect(self.path)) as db, db:
            known = dict(db.execute("SELECT id, definition FROM zone_seeds"))
            dropped = [(zone_id,) for zone_id in known if zone_id not in zones]
            db.executemany("DELETE FROM zones WHERE id = ?", dropped)
            db.executemany("DELETE FROM zone_seeds WHERE id = ?", dropped)
            for zone_id, zone in zones.items():
                definition = zone.model_dump_json()
                if known.get(zone_id) != definition:
                    db.execute(alert_rows.PUT_ZONE, (zone_id, definition))
                    db.execute(alert_rows.PUT_SEED, (zone_id, definition))

    def detections(self, narrow: Filter) -> list[StoredDetection]:
        """Detections of at least `min_score`, newest first."""
        where = _Where()
        where.one_of("d.class", narrow.classes)
        where.add("d.time_ns >= ?", narrow.since_ns)
        where.add("d.time_ns <= ?", narrow.until_ns)
        where.add("d.score >= ?", narrow.min_score or None)
        where.one_of("d.sensor", self._sensor_numbers(narrow.sensors))
        where.before("d.time_ns", "d.id", narrow.after)
        sql = f"{_DETECTIONS} WHERE 1 {where.sql} ORDER BY d.time_ns DESC, d.id DESC LIMIT ?"
        return [_stored_detection(row) for row in self._read(sql, (*where.values, narrow.limit))]

    def _sensor_numbers(self, names: Sequence[str]) -> tuple[int, ...]:
        return tuple(self._sensors.get(name, -1) for name in names)

    def _read(self, sql: str, values: Sequence[Any]) -> list[Row]:
        """Raises QueryTooLarge, and StoreError when the file cannot be read."""
        try:
            with closing(sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=ro", uri=True)) as db:
                db.set_progress_handler(_Budget(), READ_STEPS // 100)
                return db.execute(sql, values).fetchall()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
                raise QueryTooLarge from None
            raise StoreError(f"Cannot read the store {self.path}: {error}.") from None


@dataclass(slots=True)
class _Rows:
    """The rows of one transaction; of a track seen in many frames only the newest state is written."""

    min_score: float
    detections: list[Row] = field(default_factory=list)
    points: list[Row] = field(default_factory=list)
    tracks: dict[int, Row] = field(default_factory=dict)
    ended: list[Row] = field(default_factory=list)
    world_tracks: dict[int, Row] = field(default_factory=dict)
    world_points: list[Row] = field(default_factory=list)
    world_ended: list[Row] = field(default_factory=list)
    watched: list[tuple[str, Row]] = field(default_factory=list)  # statements of alerts and zones, in order

    def add_update(self, sensor: int, update: CameraUpdate) -> None:
        self.detections += _detection_rows(sensor, update.detections, self.min_score)
        for track in update.tracks.tracks:
            key = _track_key(sensor, track.track_id)
            confirmed = track.status is Status.CONFIRMED or (key in self.tracks and self.tracks[key][-1])
            self.tracks[key] = _track_row(key, sensor, update.time_ns, track, confirmed)
            self.points.append(_point_row(key, update.time_ns, track))
        self.add_ended(sensor, update.tracks.deleted)

    def add_ended(self, sensor: int, numbers: Sequence[int]) -> None:
        self.ended += [(_track_key(sensor, number),) for number in numbers]

    def add_world(self, update: WorldUpdate) -> None:
        self.world_tracks.update(world_rows.track_rows(update.tracks, update.time_ns))
        self.world_points += world_rows.point_rows(update.tracks, update.time_ns)
        self.world_ended += [(track_id,) for track_id in update.ended]

    def write(self, db: sqlite3.Connection) -> None:
        """A value that is not a number (SQLite's NULL) costs its own row and no other."""
        db.executemany("INSERT OR IGNORE INTO detections VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", self.detections)
        db.executemany(_UPSERT_TRACK, self.tracks.values())
        db.executemany("INSERT OR IGNORE INTO points VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", self.points)
        db.executemany("UPDATE tracks SET state = 'deleted' WHERE id = ?", self.ended)
        db.executemany("DELETE FROM tracks WHERE id = ? AND NOT confirmed", self.ended)
        db.executemany(world_rows.UPSERT_TRACK, self.world_tracks.values())
        db.executemany(world_rows.INSERT_POINT, self.world_points)
        db.executemany(world_rows.END_TRACK, self.world_ended)
        for sql, row in self.watched:
            db.execute(sql, row)


_UPSERT_TRACK = """
INSERT INTO tracks VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET
    last_ns = excluded.last_ns, state = excluded.state, class = excluded.class,
    confirmed = max(confirmed, excluded.confirmed)
"""
_COLUMNS = """
t.id, s.name, t.first_ns, p.time_ns, p.score, p.existence, p.x, p.y, p.width, p.height, p.estimate
"""
_TRACKS = f"""
SELECT {_COLUMNS}, t.state
FROM tracks t JOIN sensors s ON s.id = t.sensor JOIN points p ON p.track = t.id AND p.time_ns = t.last_ns
"""
_HISTORY = f"""
SELECT {_COLUMNS}, p.state FROM sensors s JOIN tracks t ON t.sensor = s.id JOIN points p ON p.track = t.id
"""
_DETECTIONS = """
SELECT d.id, s.name, d.time_ns, d.sequence, d.score, d.x, d.y, d.width, d.height, d.class_scores
FROM detections d JOIN sensors s ON s.id = d.sensor
"""


class _Where:
    """Conditions joined by AND, and their values."""

    def __init__(self) -> None:
        self.sql = ""
        self.values: list[Any] = []

    def add(self, condition: str, value: Any) -> None:
        if value is not None:
            self.sql += f" AND {condition}"
            self.values.append(value)

    def one_of(self, column: str, values: Sequence[Any]) -> None:
        if values:
            self.sql += f" AND {column} IN ({', '.join('?' * len(values))})"
            self.values += values

    def any_of(self, column: str, values: Sequence[Any]) -> None:
        """Of a column that holds a JSON array."""
        if values:
            marks = ", ".join("?" * len(values))
            self.sql += f" AND EXISTS (SELECT 1 FROM json_each({column}) WHERE value IN ({marks}))"
            self.values += values

    def within(self, columns: tuple[str, str], bbox: tuple[float, float, float, float] | None) -> None:
        """Longitude and latitude; a box whose west is east of its east crosses the date line."""
        if bbox is None:
            return
        west, south, east, north = bbox
        join = "AND" if west <= east else "OR"
        self.sql += f" AND ({columns[0]} >= ? {join} {columns[0]} <= ?) AND {columns[1]} BETWEEN ? AND ?"
        self.values += (west, east, south, north)

    def before(self, first: str, second: str, key: Key | None) -> None:
        if key is not None:
            self.sql += f" AND ({first}, {second}) < (?, ?)"
            self.values += key


class _Budget:
    """SQLite's progress handler: says stop when called the hundredth time."""

    def __init__(self) -> None:
        self._calls = 0

    def __call__(self) -> bool:
        self._calls += 1
        return self._calls >= 100


def _lock(path: Path) -> int:
    """Take the file beside the database that says it is in use; the lock goes with the process however it ends."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(
            f"Cannot write in the folder {path.parent}: {error.strerror}. Make it writable or give another data folder."
        ) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise StoreError(
            f"The store {path} is in use by another service: stop that one or give this one another data folder."
        ) from None
    return lock


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=5.0)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA foreign_keys = ON")
    return db


def _prepare(path: Path) -> dict[str, int]:
    """Make the tables when they are missing and end what a killed process left open. The sensors known so far."""
    with closing(_connect(path)) as db, db:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version > VERSION:
            raise sqlite3.DatabaseError(f"it has version {version}, this program writes version {VERSION}")
        steps = "".join(UPGRADES[step] for step in range(version or 1, VERSION))
        if version < VERSION:
            db.executescript(f"BEGIN; {'' if version else SCHEMA} {steps} PRAGMA user_version = {VERSION}; COMMIT;")
        db.execute("UPDATE tracks SET state = 'deleted'")
        db.execute("UPDATE world_tracks SET state = 'deleted'")
        db.execute("UPDATE alerts SET active = 0")
        db.execute("DELETE FROM tracks WHERE NOT confirmed")
        return dict(db.execute("SELECT name, id FROM sensors"))


def _reserved(db: sqlite3.Connection, sensor_id: str) -> int:
    """The largest track number that may have been used, 0 for a new sensor."""
    row = db.execute("SELECT reserved FROM sensors WHERE name = ?", (sensor_id,)).fetchone()
    return row[0] if row else 0


def _reserve(db: sqlite3.Connection, sensor_id: str, used: int) -> tuple[int, int]:
    """Reserve numbers beyond `used`, never fewer than before; the sensor's own number and the last one reserved."""
    row: tuple[int, int] = db.execute(
        "INSERT INTO sensors (name, reserved) VALUES (?, ?) "
        "ON CONFLICT (name) DO UPDATE SET reserved = max(reserved, excluded.reserved) RETURNING id, reserved",
        (sensor_id, used + ID_BLOCK),
    ).fetchone()
    return row


Kept = CameraUpdate | TracksEnded | WorldUpdate | Alert | Acknowledgement | ZoneChange


def _messages(group: Sequence[Envelope]) -> Iterator[Kept]:
    """What is kept; the health of sensors is a matter of now."""
    for envelope in group:
        if isinstance(envelope.message, Kept):
            yield envelope.message


def _counter(message: Kept) -> str | None:
    """Whose numbers its tracks count by; None for what has no numbers."""
    match message:
        case CameraUpdate() | TracksEnded():
            return message.sensor_id
        case WorldUpdate():
            return WORLD
        case Alert():
            return ALERTS
    return None


def _largest(message: Kept) -> int:
    """The largest number that a track may have by now."""
    match message:
        case CameraUpdate():
            return max((track.track_id for track in message.tracks.tracks), default=0)
        case WorldUpdate():
            return message.next_number - 1
        case Alert():
            return message.number
    return 0


def _track_key(sensor: int, number: int) -> int:
    return sensor << _NUMBER_BITS | number


def _track_row(track_id: int, sensor: int, time_ns: int, track: ImageTrack, confirmed: bool) -> Row:
    name = best_class(track.class_probabilities)
    return (track_id, sensor, time_ns - track.age_ns, time_ns, track.status.value, name, int(confirmed))


def _point_row(track_id: int, time_ns: int, track: ImageTrack) -> Row:
    estimate = _ESTIMATE.pack(*track.class_probabilities, *track.velocity, *track.covariance)
    return (track_id, time_ns, track.status.value, track.score, track.existence, *track.box, estimate)


def _detection_rows(sensor: int, found: Detections, min_score: float) -> Iterator[Row]:
    kept = found.scores >= min_score
    boxes, classes = found.boxes[kept], found.class_scores[kept]
    columns = zip(class_names(classes), found.scores[kept].tolist(), boxes.tolist(), classes.tolist(), strict=True)
    for name, score, box, class_scores in columns:
        yield (found.time_ns, sensor, name, found.sequence, score, *box, _SCORES.pack(*class_scores))


def _stored_track(row: Row) -> StoredTrack:
    track_id, sensor_id, first_ns, time_ns, score, existence, x, y, width, height, packed, state = row
    estimate = _ESTIMATE.unpack(packed)
    track = ImageTrack(
        track_id=track_id & (1 << _NUMBER_BITS) - 1,
        status=Status(state),
        box=(x, y, width, height),
        velocity=(estimate[4], estimate[5]),
        covariance=estimate[6:],
        existence=existence,
        class_probabilities=estimate[:4],
        score=score,
        detection=None,
        age_ns=time_ns - first_ns,
    )
    return StoredTrack((first_ns, track_id), sensor_id, first_ns, time_ns, track)


def _stored_detection(row: Row) -> StoredDetection:
    row_id, sensor_id, time_ns, sequence, score, x, y, width, height, packed = row
    box = (x, y, width, height)
    return StoredDetection((time_ns, row_id), sensor_id, time_ns, sequence, score, box, _SCORES.unpack(packed))
