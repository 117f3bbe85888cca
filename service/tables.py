"""The tables of the store, the same in SQLite and PostgreSQL. How they came to be: `service/migrations`.

Instants are UTC nanoseconds. What lists are narrowed or sorted by has a column; the rest of an estimate is packed.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
)

#: Of 64 bits. SQLite's own row numbers have to be called INTEGER, which has as many there.
Number = BigInteger().with_variant(Integer(), "sqlite")

metadata = MetaData()

sensors = Table(
    "sensors",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("reserved", Number, nullable=False),  # the largest track number that may have been used
)

tracks = Table(
    "tracks",
    metadata,
    Column("id", Number, primary_key=True, autoincrement=False),  # sensor << 32 | number
    Column("sensor", Integer, ForeignKey("sensors.id"), nullable=False),
    Column("first_ns", Number, nullable=False),
    Column("last_ns", Number, nullable=False),
    Column("state", Text, nullable=False),
    Column("class", Text, nullable=False),
    Column("confirmed", Boolean, nullable=False),  # once it has been
    Index("tracks_by_first", "first_ns"),
    Index("tracks_by_last", "last_ns"),
)

points = Table(
    "points",
    metadata,
    Column("track", Number, ForeignKey("tracks.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("time_ns", Number, primary_key=True, autoincrement=False),
    Column("state", Text, nullable=False),
    *(Column(name, Double, nullable=False) for name in ("score", "existence", "x", "y", "width", "height")),
    Column(
        "estimate", LargeBinary, nullable=False
    ),  # float32: 4 class probabilities, 2 velocities, 16 of the covariance
    sqlite_with_rowid=False,
)

detections = Table(
    "detections",
    metadata,
    Column("id", Number, primary_key=True),
    Column("time_ns", Number, nullable=False),
    Column("sensor", Integer, ForeignKey("sensors.id"), nullable=False),
    Column("class", Text, nullable=False),
    Column("sequence", Number, nullable=False),
    *(Column(name, Double, nullable=False) for name in ("score", "x", "y", "width", "height")),
    Column("class_scores", LargeBinary, nullable=False),  # float32, one per class
    Index("detections_by_time", "time_ns"),
    Index("detections_by_class_and_sensor", "class", "sensor", "time_ns"),
)

world_tracks = Table(
    "world_tracks",
    metadata,
    Column("id", Number, primary_key=True, autoincrement=False),  # its number, which no other track ever has
    Column("name", Text, nullable=False, unique=True),  # as people know it
    Column("first_ns", Number, nullable=False),
    Column("last_ns", Number, nullable=False),
    Column("state", Text, nullable=False),
    Column("class", Text, nullable=False),
    Column("sensors", Text, nullable=False),  # JSON: those that contributed
    Column("said", Text, nullable=False),  # JSON: claim, identity, reasons, image tracks
    Column("identity", Text, nullable=False, server_default="unknown"),
    Column("claimed_id", Text),
    Column("seen_ns", Number),  # when first something other than its own claim vouched for it
    Column("top_speed", Double),  # m/s, where it was known well
    *(Column(name, Double) for name in ("west", "south", "east", "north")),  # degrees; the box around all its points
    Index("world_tracks_by_first", "first_ns"),
    Index("world_tracks_by_last", "last_ns"),
)

world_points = Table(
    "world_points",
    metadata,
    Column("track", Number, ForeignKey("world_tracks.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("time_ns", Number, primary_key=True, autoincrement=False),
    Column("state", Text, nullable=False),
    *(Column(name, Double, nullable=False) for name in ("latitude", "longitude", "altitude")),
    Column("estimate", LargeBinary, nullable=False),  # see service.world_rows
    sqlite_with_rowid=False,
)

presence = Table(
    "presence",
    metadata,  # how long tracks of the site were over a piece of ground; see service.presence
    Column("hour", Integer, primary_key=True, autoincrement=False),  # since 1970, UTC
    Column("class", Text, primary_key=True),
    Column("north_cell", Integer, primary_key=True, autoincrement=False),
    Column("east_cell", Integer, primary_key=True, autoincrement=False),
    Column("seconds", Double, nullable=False),
    sqlite_with_rowid=False,
)

uptime = Table(
    "uptime",
    metadata,
    Column("quarter", Integer, primary_key=True, autoincrement=False),  # of an hour, since 1970
    Column("seconds", Double, nullable=False),  # that the service was up in it
)

flights = Table(
    "flights",
    metadata,  # files of the recordings' folder; see service.catalogue
    Column("id", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    *(Column(name, Number, nullable=False) for name in ("bytes", "modified_ns", "start_ns", "end_ns")),
    Column("session", Text),
    Column("part", Integer),
    Column("version", Text),
    Column("sensors", Text, nullable=False),  # JSON
    Index("flights_by_start", "start_ns"),
)

alerts = Table(
    "alerts",
    metadata,
    Column("number", Number, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),
    Column("track", Text),  # NULL, as is the zone: about none
    Column("zone", Text),
    Column("started_ns", Number, nullable=False),
    Column("time_ns", Number, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("critical", Boolean, nullable=False),
    Column("probability", Double, nullable=False),
    Column("time_to_entry", Double),
    Column("text", Text, nullable=False),
    Column("acknowledged_ns", Number),
    Column("acknowledged_by", Text),
    Column("note", Text),
    Index("alerts_by_start", "started_ns"),
    Index("alerts_by_track", "track"),
)

marks = Table(
    "marks",
    metadata,
    Column("number", Number, primary_key=True, autoincrement=False),
    Column("time_ns", Number, nullable=False),
    Column("track", Text, nullable=False),
    Column("alert", Number),  # where somebody said it of an alert
    Column("verdict", Text, nullable=False),
    Column("who", Text, nullable=False),
    Column("note", Text, nullable=False),
    Index("marks_by_time", "time_ns"),
    Index("marks_by_track", "track"),
)

zones = Table(
    "zones",
    metadata,
    Column("id", Text, primary_key=True),
    Column("definition", Text),  # JSON; NULL: removed by somebody
)

zone_seeds = Table(
    "zone_seeds",
    metadata,
    Column("id", Text, primary_key=True),
    Column("definition", Text, nullable=False),  # what the site file said when it was last taken over
)

writer = Table(
    "writer",
    metadata,  # one row: what the last commit holds, so that one whose answer was lost is not written twice
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("run", Text, nullable=False),  # of the service
    Column("seq", Number, nullable=False),  # of the bus
)
