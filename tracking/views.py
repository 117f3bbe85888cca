"""From the table's columns to the messages other parts read."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.types import Detections
from tracking.lifecycle import STATUSES
from tracking.table import Table
from tracking.types import ImageTrack, ImageTracks

NONE = -1


def image_tracks(
    look: Detections, table: Table, detection: NDArray[np.intp], deleted: tuple[int, ...], rejected: int
) -> ImageTracks:
    """The message after `look`; `detection` [N] is the index into its arrays for each track, NONE while it coasts."""
    return ImageTracks(
        sensor_id=look.sensor_id,
        time_ns=look.time_ns,
        sequence=look.sequence,
        width=look.width,
        height=look.height,
        tracks=tuple(_tracks(table, detection, look.time_ns)),
        deleted=deleted,
        rejected=rejected,
    )


def _tracks(table: Table, detection: NDArray[np.intp], time_ns: int) -> list[ImageTrack]:
    x, y, width, height = table.state.value
    existence = table.belief.total
    columns = (
        table.id.tolist(),
        [STATUSES[code] for code in table.status.tolist()],
        _rows(x - 0.5 * width, y - 0.5 * height, width, height),
        _rows(*table.state.rate[:2]),
        _covariances(table),
        existence.tolist(),
        _rows(*table.classes),
        (existence * table.classes.max(axis=0)).tolist(),
        [None if index == NONE else index for index in detection.tolist()],
        (time_ns - table.born_ns).tolist(),
    )
    return list(map(ImageTrack, *columns))


def _rows(*columns: NDArray[np.float64]) -> list[tuple[float, ...]]:
    return list(zip(*(column.tolist() for column in columns), strict=True))


def _covariances(table: Table) -> list[tuple[float, ...]]:
    """4x4 row-major of x, y, vx, vy; the axes are independent."""
    state = table.state
    zero = np.zeros(len(table.id))
    (px, py), (cx, cy), (vx, vy) = state.var_value[:2], state.cov[:2], state.var_rate[:2]
    return _rows(px, zero, cx, zero, zero, py, zero, cy, cx, zero, vx, zero, zero, cy, zero, vy)
