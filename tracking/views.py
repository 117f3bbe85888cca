"""From the table's columns to the messages other parts read."""

from __future__ import annotations

from collections.abc import Iterator

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
    box = table.state.value.copy()
    box[:2] -= 0.5 * box[2:]
    existence = table.belief.total
    score = existence * np.maximum.reduce(table.classes, axis=0)
    columns = (
        table.id.tolist(),
        [STATUSES[code] for code in table.status.tolist()],
        zip(*box.tolist(), strict=True),
        zip(*table.state.rate[:2].tolist(), strict=True),
        _covariances(table),
        existence.tolist(),
        zip(*table.classes.tolist(), strict=True),
        score.tolist(),
        [None if index == NONE else index for index in detection.tolist()],
        (time_ns - table.born_ns).tolist(),
    )
    return list(map(ImageTrack, *columns))


def _covariances(table: Table) -> Iterator[tuple[float, ...]]:
    """4x4 row-major of x, y, vx, vy; the axes are independent."""
    state = table.state
    (px, py), (cx, cy), (vx, vy) = (var[:2].tolist() for var in (state.var_value, state.cov, state.var_rate))
    zero = [0.0] * len(px)
    return zip(px, zero, cx, zero, zero, py, zero, cy, cx, zero, vx, zero, zero, cy, zero, vy, strict=True)
