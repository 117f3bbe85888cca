"""What operators ask of tracks (identity, speed, area), where tracks were, what people say of them, the last commit."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
SIDES = ("west", "south", "east", "north")


def upgrade() -> None:
    _describe_tracks()
    op.create_table(
        "presence",
        sa.Column("hour", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("class", sa.Text, primary_key=True),
        sa.Column("north_cell", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("east_cell", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("seconds", sa.Double, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "marks",
        sa.Column("number", NUMBER, primary_key=True, autoincrement=False),
        sa.Column("time_ns", NUMBER, nullable=False),
        sa.Column("track", sa.Text, nullable=False),
        sa.Column("alert", NUMBER),
        sa.Column("verdict", sa.Text, nullable=False),
        sa.Column("who", sa.Text, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
    )
    op.create_table(
        "writer",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("run", sa.Text, nullable=False),
        sa.Column("seq", NUMBER, nullable=False),
    )
    op.create_index("marks_by_time", "marks", ["time_ns"])
    op.create_index("marks_by_track", "marks", ["track"])
    op.create_index("alerts_by_start", "alerts", ["started_ns"])
    op.create_index("alerts_by_track", "alerts", ["track"])
    if op.get_bind().dialect.name == "sqlite":
        op.execute("PRAGMA user_version = 4")  # programs from before Alembic look there, and stop


def _describe_tracks() -> None:
    op.add_column("world_tracks", sa.Column("identity", sa.Text, nullable=False, server_default="unknown"))
    op.add_column("world_tracks", sa.Column("claimed_id", sa.Text))
    op.add_column("world_tracks", sa.Column("seen_ns", NUMBER))
    for name in ("top_speed", *SIDES):
        op.add_column("world_tracks", sa.Column(name, sa.Double))
    connection = op.get_bind()
    tracks = sa.table("world_tracks", *map(sa.column, ("id", "said", "identity", "claimed_id", *SIDES)))
    for track, said in connection.execute(sa.select(tracks.c.id, tracks.c.said)).all():
        words = json.loads(said)
        known = {name: words.get(name) for name in ("identity", "claimed_id")} | _sides(connection, track)
        connection.execute(sa.update(tracks).where(tracks.c.id == track).values(**known))


def _sides(connection: sa.Connection, track: int) -> dict[str, float]:
    points = sa.table("world_points", *map(sa.column, ("track", "longitude", "latitude")))
    ends = [func(points.c[name]) for func in (sa.func.min, sa.func.max) for name in ("longitude", "latitude")]
    row = connection.execute(sa.select(*ends).where(points.c.track == track)).one()
    return dict(zip(SIDES, row, strict=True))
