"""One index for what and by whom in place of two: a rare class of a rare sensor is found as quickly as any, and a row
costs one entry less."""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_index("detections_by_class_and_sensor", "detections", ["class", "sensor", "time_ns"])
    op.drop_index("detections_by_sensor", "detections")
    op.drop_index("detections_by_class", "detections")
