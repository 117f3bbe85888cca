"""What happened, kept: tracks, their points, detections, alerts, marks, flights; and numbers no track may use again.

One thread writes, in groups: everything the bus delivered within 500 ms is one transaction, so that a disk that syncs a
hundred times a second still takes thousands of rows. Readers (`service.history`) see the last commit.

Bounds, each with its policy:

- waiting to be written: the subscription's capacity; when the database cannot follow, the newest updates are refused
  and counted (`Subscription.missed`), and the live picture goes on;
- size: `max_bytes`; beyond it the oldest detections and the tracks that ended before them go first;
- one answer: `service.database.READ_S`; a question that needs more is refused (`QueryTooLarge`).

A database that is away (PostgreSQL restarts, a disk is full) is tried again every `RETRY_S` with the same group. Where
a commit's answer was lost, the row of `writer` says whether it is there.

A track that ends before it was ever confirmed is clutter and is forgotten with its points; its detections stay.
"""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog
from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, update
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from fusion.alerts import Alert
from fusion.sensors.address import expanded
from fusion.site import Zone
from service import alert_rows, presence, tables
from service.bus import Subscription
from service.database import Database, DatabaseAway, Fault, Row, StoreError, put_all
from service.database_sqlite import SqliteDatabase
from service.flight_rows import PUT_FLIGHT, FlightEntry, flight_row
from service.group import Group
from service.history import History
from service.migrations import NewerTables, upgrade
from service.presence import Presence
from service.types import Acknowledgement, CameraUpdate, Envelope, Mark, TracksEnded, WorldUpdate, ZoneChange
from tracking.types import Status

log = structlog.get_logger("service.store")

FORMS = "sqlite:///PATH or postgresql://USER:PASSWORD@HOST/NAME"
SUBJECTS = ("camera.", "world", "zone.", "alert.", "acknowledge.", "mark.")  # what is kept
ALERTS = "@alerts"  # whose numbers alerts count by
MARKS = "@marks"  # and what people say of tracks
WORLD = "@world"  # whose numbers the tracks of the site count by; no sensor can be called so
GROUP_S = 0.5  # how long the first update of a transaction waits for company
RETRY_S = 1.0
ID_BLOCK = 1000  # track numbers reserved ahead, so that a killed process leaves none to be used twice
PRUNE_ROWS = 5000  # detections removed by one transaction at most
PRUNE_TRACKS = 10  # world tracks removed by one transaction at most, where there are no detections


@dataclass(frozen=True, slots=True)
class StoreState:
    """`ok`; `degraded`: writing is being tried again; `failed`: nothing more is accepted. `reason` is one sentence."""

    state: str = "ok"
    reason: str = ""


class Store(History):
    """Opened by one process at a time; made when missing. Used from any thread.

    Args:
        where: `sqlite:///PATH` or `postgresql://…` (see `open_database`), or the path of an SQLite file.
        max_bytes: of the database; the oldest rows go when it grows beyond.
        min_score: fainter detections are not kept.

    Raises:
        StoreError: the database cannot be opened, another process has it, or it is not a store of this program.
    """

    def __init__(self, where: str | Path, *, max_bytes: int = 8 << 30, min_score: float = 0.0) -> None:
        super().__init__(open_database(where))
        self.max_bytes = max_bytes
        self.min_score = min_score
        self.state = StoreState()
        self._sensors = self._prepare()
        self._run = secrets.token_hex(8)
        self._presence = Presence()
        self._reserved: dict[str, int] = {}
        self._used: dict[str, int] = {}
        self._subscription: Subscription | None = None
        self._writer: threading.Thread | None = None
        self._closing = threading.Event()
        self._hurry = threading.Event()  # somebody waits for the group that is being gathered
        self._flushed = threading.Condition()
        self._flush_wanted = 0
        self._flush_done = 0

    # ── From outside ────────────────────────────────────────────────────────────────────────────────────────────────

    def first_id(self, sensor_id: str) -> int:
        """The number for the next track of this sensor: larger than any used before, also by a killed process."""
        with self.database.writing.begin() as connection:
            used = _reserved(connection, sensor_id)
            self._sensors[sensor_id], self._reserved[sensor_id] = _reserve(connection, sensor_id, used)
        self._used[sensor_id] = max(used, self._used.get(sensor_id, 0))
        return used + 1

    def seed_zones(self, zones: Mapping[str, Zone]) -> None:
        """At start: take over a site file's zones where the file has changed; what somebody changed since stays."""
        with self.database.writing.begin() as connection:
            known: dict[str, str] = {row[0]: row[1] for row in connection.execute(select(tables.zone_seeds))}
            dropped = [zone_id for zone_id in known if zone_id not in zones]
            for table in (tables.zones, tables.zone_seeds):
                connection.execute(delete(table).where(table.c.id.in_(dropped)))
            said = ((zone_id, zone.model_dump_json()) for zone_id, zone in zones.items())
            fresh: list[Row] = [row for row in said if known.get(row[0]) != row[1]]
            for put in (alert_rows.PUT_ZONE, alert_rows.PUT_SEED):
                self.database.put(connection, put, fresh)

    def add_uptime(self, seconds: Mapping[int, float]) -> None:
        """That the service was up for so long, by quarter of an hour since 1970.

        Raises:
            StoreError: it cannot be written now.
        """
        with self._beside_the_bus() as connection:
            self.database.put(connection, _PUT_UPTIME, list(seconds.items()))

    def put_flights(self, fresh: Sequence[FlightEntry], gone: Sequence[str]) -> None:
        """Flights that are new or another, and the ids of those that are no more.

        Raises:
            StoreError: it cannot be written now.
        """
        if not fresh and not gone:
            return
        with self._beside_the_bus() as connection:
            for name in gone:
                connection.execute(delete(tables.flights).where(tables.flights.c.id == name))
            self.database.put(connection, PUT_FLIGHT, list(map(flight_row, fresh)))

    @contextmanager
    def _beside_the_bus(self) -> Iterator[Connection]:
        """A transaction of another thread than the writer's."""
        try:
            with self.database.writing.begin() as connection:
                yield connection
        except (SQLAlchemyError, OSError, DatabaseAway) as error:
            raise StoreError(f"Cannot write the store {self.database.title}: {self.database.reason(error)}.") from None

    def follow(self, subscription: Subscription) -> None:
        """Write all that the subscription brings, until it is closed."""
        self._subscription = subscription
        self._writer = threading.Thread(target=self._write, args=(subscription,), name="store")
        self._writer.start()

    def flush(self, timeout_s: float = 5.0) -> bool:
        """Wait until everything published before this call is on disk; False: not within the time."""
        if self._writer is None:
            return True
        with self._flushed:
            self._flush_wanted += 1
            wanted = self._flush_wanted
            self._hurry.set()
            return self._flushed.wait_for(lambda: self._flush_done >= wanted, timeout_s)

    def close(self, timeout_s: float = 4.0) -> None:
        """Commit what the (closed) subscription still holds, give unused numbers back and let the database go."""
        self._closing.set()
        self._hurry.set()
        if self._writer is not None:
            self._writer.join(timeout_s)
            if self._writer.is_alive():
                log.error("not written in time, the last updates are lost", store=self.database.title)
                return  # the lock goes with the process
        if self._subscription is None or not (self._subscription.missed or self.state.state == "failed"):
            self._release_ids()
        self.database.close()

    # ── The thread ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _write(self, subscription: Subscription) -> None:
        while True:
            envelopes, wanted = self._take(subscription)
            if not self._commit(envelopes):
                subscription.close()
                return
            self._set_flushed(wanted)
            if not envelopes and subscription.closed:
                return

    def _take(self, subscription: Subscription) -> tuple[list[Envelope], int]:
        """What is to be written together, and the flush that it answers."""
        envelopes = subscription.take(timeout_s=0.0 if self._hurry.is_set() else 0.25)
        if envelopes:
            self._hurry.wait(GROUP_S)
        self._hurry.clear()
        wanted = self._flush_wanted  # read before taking: what was published before it is in this group
        return envelopes + subscription.take(timeout_s=0.0), wanted

    def _set_flushed(self, wanted: int) -> None:
        with self._flushed:
            self._flush_done = wanted
            self._flushed.notify_all()

    def _commit(self, envelopes: Sequence[Envelope]) -> bool:
        """Write them, again and again while the database is away; False: given up for good."""
        group: Group | None = None
        while envelopes:
            try:
                self._enter(envelopes)
                group = group or self._group(envelopes)
                with self.database.writing.begin() as connection:
                    if self._mark_written(connection, envelopes[-1].seq):
                        group.write(self.database, connection)
                        self._prune(connection)
                self.state = StoreState()
                return True
            except (SQLAlchemyError, OSError, DatabaseAway) as error:
                if not self._may_retry(error) or self._closing.wait(RETRY_S):
                    reason = self.database.reason(error)
                    self.state = StoreState("failed", f"The store {self.database.title} cannot be written: {reason}.")
                    log.error("store failed", reason=self.state.reason, lost_messages=len(envelopes))
                    return False
        return True

    def _may_retry(self, error: Exception) -> bool:
        retry = self.database.fault(error) is not Fault.FINAL
        if retry and self.state.state == "ok":
            reason, title = self.database.reason(error), self.database.title
            self.state = StoreState("degraded", f"The store {title} waits: {reason}. {self.database.mend}")
            log.warning("store waits", reason=self.state.reason)
        return retry

    def _mark_written(self, connection: Connection, seq: int) -> bool:
        """Say that this transaction holds all up to this message; False: an earlier one does already."""
        last = connection.execute(select(tables.writer.c.run, tables.writer.c.seq)).one_or_none()
        if last is not None and last.run == self._run and last.seq >= seq:
            return False
        self.database.put(connection, _PUT_WRITER, [(1, self._run, seq)])
        return True

    def _enter(self, envelopes: Sequence[Envelope]) -> None:
        """Sensors never seen before, and track numbers reserved well ahead of those in use; on disk before the rows."""
        used: dict[str, int] = {}
        for message in _messages(envelopes):
            name = _counter(message)
            if name is None:
                continue
            used[name] = max(used.get(name, self._used.get(name, 0)), _largest(message))
        for sensor_id, largest in used.items():
            if largest >= self._reserved.get(sensor_id, 0) - ID_BLOCK // 2 or sensor_id not in self._sensors:
                with self.database.writing.begin() as connection:
                    reserved = _reserve(connection, sensor_id, largest)
                self._sensors[sensor_id], self._reserved[sensor_id] = reserved
        self._used |= used

    def _group(self, envelopes: Sequence[Envelope]) -> Group:
        group, worlds = Group(self.min_score), list[WorldUpdate]()
        for message in _messages(envelopes):
            match message:
                case CameraUpdate():
                    group.add_update(self._sensors[message.sensor_id], message)
                case TracksEnded():
                    group.add_ended(self._sensors[message.sensor_id], message.track_ids)
                case WorldUpdate():
                    group.add_world(message)
                    worlds.append(message)
                case _:
                    group.add_watched(message)
        group.presence = self._presence.rows(worlds)
        return group

    def _prune(self, connection: Connection) -> None:
        if self.database.size_bytes(connection) <= self.max_bytes:
            return
        cutoff_ns = _nth_oldest(connection, tables.detections.c.time_ns, PRUNE_ROWS)
        if cutoff_ns is None:  # a site without cameras: only tracks of the world
            cutoff_ns = _nth_oldest(connection, tables.world_tracks.c.last_ns, PRUNE_TRACKS)
        if cutoff_ns is None:
            return
        connection.execute(delete(tables.detections).where(tables.detections.c.time_ns <= cutoff_ns))
        for table in (tables.tracks, tables.world_tracks):
            over = (table.c.last_ns <= cutoff_ns, table.c.state == Status.DELETED.value)
            connection.execute(delete(table).where(*over))
        connection.execute(delete(tables.alerts).where(tables.alerts.c.time_ns <= cutoff_ns, ~tables.alerts.c.active))
        connection.execute(delete(tables.presence).where(tables.presence.c.hour < cutoff_ns // presence.HOUR_NS))

    # ── Opening and closing ─────────────────────────────────────────────────────────────────────────────────────────

    def _prepare(self) -> dict[str, int]:
        """Bring the tables to this version and end what a killed process left open. The sensors known so far."""
        try:
            with self.database.writing.begin() as connection:
                upgrade(connection)
                for table in (tables.tracks, tables.world_tracks):
                    open_ones = table.c.state != Status.DELETED.value
                    connection.execute(update(table).where(open_ones).values(state=Status.DELETED.value))
                connection.execute(update(tables.alerts).where(tables.alerts.c.active).values(active=False))
                connection.execute(delete(tables.tracks).where(~tables.tracks.c.confirmed))
                return {name: number for number, name, _ in connection.execute(select(tables.sensors))}
        except (SQLAlchemyError, OSError, NewerTables, DatabaseAway) as error:
            self.database.close()
            title, reason = self.database.title, self.database.reason(error)
            raise StoreError(f"Cannot open the store {title}: {reason}. {self.database.cure}") from None

    def _release_ids(self) -> None:
        """After a run that was written whole nothing beyond the known numbers is used: the next one leaves no gap."""
        sensors = tables.sensors
        try:
            with self.database.writing.begin() as connection:
                for sensor_id, number in self._used.items():
                    connection.execute(update(sensors).where(sensors.c.name == sensor_id).values(reserved=number))
        except (SQLAlchemyError, OSError, DatabaseAway) as error:
            log.warning("track numbers will have a gap after the next start", reason=self.database.reason(error))


def open_database(where: str | Path) -> Database:
    """The database of `sqlite:///PATH` or `postgresql://USER:PASSWORD@HOST:PORT/NAME`; `${NAME}` is taken from the
    environment. A path is that of an SQLite file.

    Raises:
        StoreError: another kind of store, a variable that is not set, a folder without write permission, no driver.
    """
    if isinstance(where, Path):
        return SqliteDatabase(where)
    try:
        url = make_url(expanded(where, os.environ))
    except ValueError as error:
        raise StoreError(f"The store's address cannot be used: {error}.") from None
    except ArgumentError:  # its sentence would show the whole address
        raise StoreError(f"This is no address of a store: write {FORMS}.") from None
    if url.drivername == "sqlite" and url.database:
        return SqliteDatabase(Path(url.database))
    if url.drivername == "postgresql" and url.database:
        from service.database_postgres import PostgresDatabase

        return PostgresDatabase(url)
    raise StoreError(f"This kind of store is not known: write {FORMS}.")


# ── Numbers ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _reserved(connection: Connection, sensor_id: str) -> int:
    """The largest track number that may have been used, 0 for a new sensor."""
    sensors = tables.sensors.c
    return connection.scalar(select(sensors.reserved).where(sensors.name == sensor_id)) or 0


def _reserve(connection: Connection, sensor_id: str, used: int) -> tuple[int, int]:
    """Reserve numbers beyond `used`, never fewer than before; the sensor's own number and the last one reserved."""
    sensors, reserved = tables.sensors, max(_reserved(connection, sensor_id), used + ID_BLOCK)
    found = connection.scalar(
        update(sensors).where(sensors.c.name == sensor_id).values(reserved=reserved).returning(sensors.c.id)
    )
    if found is None:
        found = connection.scalar(insert(sensors).values(name=sensor_id, reserved=reserved).returning(sensors.c.id))
    return int(found or 0), reserved


def _nth_oldest(connection: Connection, time: ColumnElement[int], count: int) -> int | None:
    """The time of the last of so many rows, the oldest first; None where there are none."""
    oldest = select(time).order_by(time).limit(count).subquery()
    found: int | None = connection.scalar(select(func.max(oldest.c[0])))
    return found


_PUT_UPTIME = put_all(tables.uptime, renew=lambda new: {"seconds": tables.uptime.c.seconds + new.seconds})
_PUT_WRITER = put_all(tables.writer, renew=lambda new: {"run": new.run, "seq": new.seq})

Kept = CameraUpdate | TracksEnded | WorldUpdate | Alert | Acknowledgement | Mark | ZoneChange


def _messages(envelopes: Sequence[Envelope]) -> Iterator[Kept]:
    """What is kept; the health of sensors is a matter of now."""
    for envelope in envelopes:
        if isinstance(envelope.message, Kept):
            yield envelope.message


def _counter(message: Kept) -> str | None:
    """Whose numbers it counts by; None for what has no numbers."""
    match message:
        case CameraUpdate() | TracksEnded():
            return message.sensor_id
        case WorldUpdate():
            return WORLD
        case Alert():
            return ALERTS
        case Mark():
            return MARKS
    return None


def _largest(message: Kept) -> int:
    """The largest number that may be used by now."""
    match message:
        case CameraUpdate():
            return max((track.track_id for track in message.tracks.tracks), default=0)
        case WorldUpdate():
            return message.next_number - 1
        case Alert() | Mark():
            return message.number
    return 0
