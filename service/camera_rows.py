"""Detections and the tracks of one camera's picture as rows of the store."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, and_, or_, select

from models.types import CLASSES, Detections
from service import tables
from service.database import Row, put_all
from service.schemas import best_class, class_names
from tracking.types import ImageTrack, Status

NUMBER_BITS = 32

#: Class probabilities, velocity, covariance.
_ESTIMATE = struct.Struct("<22f")
_SCORES = struct.Struct(f"<{len(CLASSES)}f")


def _renewed(new: Any) -> Mapping[str, Any]:
    confirmed = or_(tables.tracks.c.confirmed, new.confirmed)
    return {"last_ns": new.last_ns, "state": new.state, "class": new["class"], "confirmed": confirmed}


PUT_TRACK = put_all(tables.tracks, renew=_renewed)
PUT_POINT = put_all(tables.points)
PUT_DETECTION = put_all(tables.detections, "id")

_t, _p, _d, _s = tables.tracks.c, tables.points.c, tables.detections.c, tables.sensors.c
_estimate = (_p.time_ns, _p.score, _p.existence, _p.x, _p.y, _p.width, _p.height, _p.estimate)
_of_sensor = tables.tracks.join(tables.sensors, _s.id == _t.sensor)

#: Tracks as they were last, and with all of their points.
TRACKS: Select[Any] = select(_t.id, _s.name, _t.first_ns, *_estimate, _t.state).select_from(
    _of_sensor.join(tables.points, and_(_p.track == _t.id, _p.time_ns == _t.last_ns))
)
POINTS: Select[Any] = select(_t.id, _s.name, _t.first_ns, *_estimate, _p.state).select_from(
    _of_sensor.join(tables.points, _p.track == _t.id)
)
DETECTIONS: Select[Any] = select(
    _d.id, _s.name, _d.time_ns, _d.sequence, _d.score, _d.x, _d.y, _d.width, _d.height, _d.class_scores
).select_from(tables.detections.join(tables.sensors, _s.id == _d.sensor))


@dataclass(frozen=True, slots=True)
class StoredTrack:
    """A track at one instant; `first_ns` is its birth, `key` its place in the list that it came from."""

    key: tuple[int, int]
    sensor_id: str
    first_ns: int
    time_ns: int
    track: ImageTrack


@dataclass(frozen=True, slots=True)
class StoredDetection:
    """One detection; `key` is its place in lists, newest first."""

    key: tuple[int, int]
    sensor_id: str
    time_ns: int
    sequence: int
    score: float
    box: tuple[float, float, float, float]
    class_scores: tuple[float, ...]


def track_key(sensor: int, number: int) -> int:
    return sensor << NUMBER_BITS | number


def track_row(track_id: int, sensor: int, time_ns: int, track: ImageTrack, confirmed: bool) -> Row:
    name = best_class(track.class_probabilities)
    return (track_id, sensor, time_ns - track.age_ns, time_ns, track.status.value, name, confirmed)


def point_row(track_id: int, time_ns: int, track: ImageTrack) -> Row:
    estimate = _ESTIMATE.pack(*track.class_probabilities, *track.velocity, *track.covariance)
    return (track_id, time_ns, track.status.value, track.score, track.existence, *track.box, estimate)


def detection_rows(sensor: int, found: Detections, min_score: float) -> Iterator[Row]:
    kept = found.scores >= min_score
    boxes, classes = found.boxes[kept], found.class_scores[kept]
    columns = zip(class_names(classes), found.scores[kept].tolist(), boxes.tolist(), classes.tolist(), strict=True)
    for name, score, box, class_scores in columns:
        yield (found.time_ns, sensor, name, found.sequence, score, *box, _SCORES.pack(*class_scores))


def read_track(row: Row) -> StoredTrack:
    """Of a row of `TRACKS` or `POINTS`."""
    track_id, sensor_id, first_ns, time_ns, score, existence, x, y, width, height, packed, state = row
    estimate = _ESTIMATE.unpack(packed)
    track = ImageTrack(
        track_id=track_id & (1 << NUMBER_BITS) - 1,
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


def read_detection(row: Row) -> StoredDetection:
    """Of a row of `DETECTIONS`."""
    row_id, sensor_id, time_ns, sequence, score, x, y, width, height, packed = row
    box = (x, y, width, height)
    return StoredDetection((time_ns, row_id), sensor_id, time_ns, sequence, score, box, _SCORES.unpack(packed))
