"""Flights as a table, how long the service was up, and alerts that are about no track."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "flights",
        sa.Column("id", sa.Text, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("state", "reason")),
        *(sa.Column(name, NUMBER, nullable=False) for name in ("bytes", "modified_ns", "start_ns", "end_ns")),
        sa.Column("session", sa.Text),
        sa.Column("part", sa.Integer),
        sa.Column("version", sa.Text),
        sa.Column("sensors", sa.Text, nullable=False),
    )
    op.create_index("flights_by_start", "flights", ["start_ns"])
    op.create_table(
        "uptime",
        sa.Column("quarter", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("seconds", sa.Double, nullable=False),
    )
    with op.batch_alter_table("alerts") as alerts:
        alerts.alter_column("track", existing_type=sa.Text, nullable=True)
