"""The tables as they were before they were counted here. Stores from then have some of them or all."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _of_pictures()
    _of_the_world()
    _of_alerts()


def _of_pictures() -> None:
    _table(
        "sensors",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.Text, nullable=False, unique=True),
        sa.Column("reserved", NUMBER, nullable=False),
    )
    _table(
        "tracks",
        sa.Column("id", NUMBER, primary_key=True, autoincrement=False),
        sa.Column("sensor", sa.Integer, sa.ForeignKey("sensors.id"), nullable=False),
        *_life(),
        sa.Column("confirmed", sa.Boolean, nullable=False),
    )
    _index("tracks_by_first", "tracks", "first_ns")
    _index("tracks_by_last", "tracks", "last_ns")
    _table(
        "points",
        *_point_of("tracks"),
        *_reals("score", "existence", "x", "y", "width", "height"),
        sa.Column("estimate", sa.LargeBinary, nullable=False),
        sqlite_with_rowid=False,
    )
    _table(
        "detections",
        sa.Column("id", NUMBER, primary_key=True),
        sa.Column("time_ns", NUMBER, nullable=False),
        sa.Column("sensor", sa.Integer, sa.ForeignKey("sensors.id"), nullable=False),
        sa.Column("class", sa.Text, nullable=False),
        sa.Column("sequence", NUMBER, nullable=False),
        *_reals("score", "x", "y", "width", "height"),
        sa.Column("class_scores", sa.LargeBinary, nullable=False),
    )
    _index("detections_by_time", "detections", "time_ns")
    _index("detections_by_sensor", "detections", "sensor", "time_ns")
    _index("detections_by_class", "detections", "class", "time_ns")


def _of_the_world() -> None:
    _table(
        "world_tracks",
        sa.Column("id", NUMBER, primary_key=True, autoincrement=False),
        sa.Column("name", sa.Text, nullable=False, unique=True),
        *_life(),
        sa.Column("sensors", sa.Text, nullable=False),
        sa.Column("said", sa.Text, nullable=False),
    )
    _index("world_tracks_by_first", "world_tracks", "first_ns")
    _index("world_tracks_by_last", "world_tracks", "last_ns")
    _table(
        "world_points",
        *_point_of("world_tracks"),
        *_reals("latitude", "longitude", "altitude"),
        sa.Column("estimate", sa.LargeBinary, nullable=False),
        sqlite_with_rowid=False,
    )


def _of_alerts() -> None:
    _table("zones", sa.Column("id", sa.Text, primary_key=True), sa.Column("definition", sa.Text))
    _table("zone_seeds", sa.Column("id", sa.Text, primary_key=True), sa.Column("definition", sa.Text, nullable=False))
    _table(
        "alerts",
        sa.Column("number", NUMBER, primary_key=True, autoincrement=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("track", sa.Text, nullable=False),
        sa.Column("zone", sa.Text),
        sa.Column("started_ns", NUMBER, nullable=False),
        sa.Column("time_ns", NUMBER, nullable=False),
        sa.Column("active", sa.Boolean, nullable=False),
        sa.Column("critical", sa.Boolean, nullable=False),
        sa.Column("probability", sa.Double, nullable=False),
        sa.Column("time_to_entry", sa.Double),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("acknowledged_ns", NUMBER),
        sa.Column("acknowledged_by", sa.Text),
        sa.Column("note", sa.Text),
    )


def _life() -> list[sa.Column[Any]]:
    instants = [sa.Column(name, NUMBER, nullable=False) for name in ("first_ns", "last_ns")]
    return [*instants, *(sa.Column(name, sa.Text, nullable=False) for name in ("state", "class"))]


def _point_of(table: str) -> list[sa.Column[Any]]:
    owner = sa.ForeignKey(f"{table}.id", ondelete="CASCADE")
    return [
        sa.Column("track", NUMBER, owner, primary_key=True, autoincrement=False),
        sa.Column("time_ns", NUMBER, primary_key=True, autoincrement=False),
        sa.Column("state", sa.Text, nullable=False),
    ]


def _reals(*names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.Double, nullable=False) for name in names]


def _table(name: str, *columns: sa.Column[Any], **options: Any) -> None:
    op.create_table(name, *columns, if_not_exists=True, **options)


def _index(name: str, table: str, *columns: str) -> None:
    op.create_index(name, table, list(columns), if_not_exists=True)
