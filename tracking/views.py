"""From the table's columns to the messages other parts read."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import repeat

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
    return ImageTracks.on_demand(
        partial(_tracks, table, detection, look.time_ns),
        sensor_id=look.sensor_id,
        time_ns=look.time_ns,
        sequence=look.sequence,
        width=look.width,
        height=look.height,
        deleted=deleted,
        rejected=rejected,
    )


def _tracks(table: Table, detection: NDArray[np.intp], time_ns: int) -> tuple[ImageTrack, ...]:
    box = table.state.value.copy()
    box[:2] -= 0.5 * box[2:]
    existence = table.belief.total
    score = existence * np.maximum.reduce(table.classes, axis=0)
    return _filled(
        len(existence),
        track_id=table.id.tolist(),
        status=map(STATUSES.__getitem__, table.status.tolist()),
        box=zip(*box.tolist(), strict=True),
        velocity=zip(*table.state.rate.tolist(), strict=True),
        covariance=_covariances(table),
        existence=existence.tolist(),
        class_probabilities=zip(*table.classes.tolist(), strict=True),
        score=score.tolist(),
        detection=[None if index == NONE else index for index in detection.tolist()],
        age_ns=(time_ns - table.born_ns).tolist(),
    )


def _filled(count: int, **columns: Iterable[object]) -> tuple[ImageTrack, ...]:
    """`count` tracks from one column a field; the constructor of a frozen class takes three times as long."""
    tracks = tuple(map(object.__new__, repeat(ImageTrack, count)))
    for name, column in columns.items():
        deque(map(getattr(ImageTrack, name).__set__, tracks, column), maxlen=0)
    return tracks


def _covariances(table: Table) -> Iterator[tuple[float, ...]]:
    """4x4 row-major of x, y, vx, vy; the axes are independent."""
    state = table.state
    (px, py), (cx, cy), (vx, vy) = (var[:2].tolist() for var in (state.var_value, state.cov, state.var_rate))
    zero = [0.0] * len(px)
    return zip(px, zero, cx, zero, zero, py, zero, cy, cx, zero, vx, zero, zero, cy, zero, vy, strict=True)
