"""Tracks of the site as rows of the store. A point keeps the whole estimate in bits; reasons in words the track."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Select, and_, case, func, select

from fusion.types import Identity, Track
from models.types import CLASSES
from service import tables
from service.database import Row, put_all
from service.schemas import best_class
from service.types import WorldTrack
from tracking.types import Status

SPEED_SIGMA_MPS = 3.0  # a velocity known worse than this is none that a track is remembered by

#: Existence, class probabilities, mean (double), lower triangle of the covariance (single).
_ESTIMATE = struct.Struct(f"<{1 + len(CLASSES)}f6d21f")
_LOWER = [(i, j) for i in range(6) for j in range(i + 1)]


def _renewed(new: Any) -> Mapping[str, Any]:
    old = tables.world_tracks.c
    newest = {name: new[name] for name in ("last_ns", "state", "class", "sensors", "said", "identity")}
    return newest | {
        "claimed_id": func.coalesce(new.claimed_id, old.claimed_id),
        "seen_ns": func.coalesce(old.seen_ns, new.seen_ns),
        "top_speed": _greater(old.top_speed, new.top_speed),
        **{name: -_greater(-old[name], -new[name]) for name in ("west", "south")},
        **{name: _greater(old[name], new[name]) for name in ("east", "north")},
    }


def _greater(old: ColumnElement[float], new: ColumnElement[float]) -> ColumnElement[float]:
    """Of two numbers of which either may be missing."""
    return case((old.is_(None), new), (new > old, new), else_=old)


PUT_TRACK = put_all(tables.world_tracks, renew=_renewed)
PUT_POINT = put_all(tables.world_points)

_t, _p = tables.world_tracks.c, tables.world_points.c
_shown = (_t.id, _t.name, _t.first_ns, _p.time_ns, _p.latitude, _p.longitude, _p.altitude, _p.estimate)

#: Tracks as they were last, and with all of their points.
TRACKS: Select[Any] = select(*_shown, _t.sensors, _t.said, _t.state).select_from(
    tables.world_tracks.join(tables.world_points, and_(_p.track == _t.id, _p.time_ns == _t.last_ns))
)
POINTS: Select[Any] = select(*_shown, _t.sensors, _t.said, _p.state).select_from(
    tables.world_tracks.join(tables.world_points, _p.track == _t.id)
)


@dataclass(frozen=True, slots=True)
class StoredWorldTrack:
    """A world track at one instant; `key` is its place in the list that it came from."""

    key: tuple[int, int]
    shown: WorldTrack


def number_of(track_id: str) -> int:
    """The number in a track's id (`T12`)."""
    return int(track_id.lstrip("T"))


def track_row(shown: WorldTrack, time_ns: int) -> Row:
    """For `PUT_TRACK`."""
    track, number = shown.track, number_of(shown.track.track_id)
    sensors = orjson.dumps([name for name, _ in track.contributors]).decode()
    place = (shown.longitude_deg, shown.latitude_deg)
    return (
        *(number, track.track_id, shown.first_ns, time_ns, track.status.value, best_class(track.class_probabilities)),
        *(sensors, _said(track), track.identity.value, track.claimed_id, None if track.claim_only else time_ns),
        *(_speed(track), *place, *place),
    )


def merged(before: Row | None, after: Row) -> Row:
    """One row of two of the same track; what counts from before is what `PUT_TRACK` would have kept."""
    if before is None:
        return after
    new = dict(zip(PUT_TRACK.names, after, strict=True))
    old = dict(zip(PUT_TRACK.names, before, strict=True))
    new |= {name: old[name] for name in ("first_ns", "seen_ns") if old[name] is not None}
    new["claimed_id"] = new["claimed_id"] or old["claimed_id"]
    new["top_speed"] = max(filter(None, (old["top_speed"], new["top_speed"])), default=None)
    new |= {name: min(old[name], new[name]) for name in ("west", "south")}
    new |= {name: max(old[name], new[name]) for name in ("east", "north")}
    return tuple(new.values())


def _speed(track: Track) -> float | None:
    """m/s, where its standard deviation is below `SPEED_SIGMA_MPS`."""
    variance = max(track.covariance[7 * k] for k in (3, 4, 5))
    return math.hypot(*track.mean[3:6]) if variance < SPEED_SIGMA_MPS**2 else None


def point_rows(tracks: Sequence[WorldTrack], time_ns: int) -> Iterator[Row]:
    """One point of each track."""
    for shown in tracks:
        track = shown.track
        lower = [track.covariance[6 * i + j] for i, j in _LOWER]
        estimate = _ESTIMATE.pack(track.existence, *track.class_probabilities, *track.mean, *lower)
        place = (shown.latitude_deg, shown.longitude_deg, shown.altitude_m)
        yield (number_of(track.track_id), time_ns, track.status.value, *place, estimate)


def read(row: Row) -> WorldTrack:
    """The track of a row of `TRACKS` or `POINTS`; the contributors' times are not kept and are its own."""
    _, name, first_ns, time_ns, latitude, longitude, altitude, packed, sensors, said, state = row
    existence, *numbers = _ESTIMATE.unpack(packed)
    probabilities, mean, lower = numbers[: len(CLASSES)], numbers[len(CLASSES) :][:6], numbers[-21:]
    words = orjson.loads(said)
    track = Track(
        name,
        time_ns,
        Status(state),
        tuple(mean),
        _symmetric(lower),
        existence,
        tuple(probabilities),
        identity=Identity(words["identity"]),
        claimed_id=words["claimed_id"],
        identity_score=words["identity_score"],
        evidence=tuple(words["evidence"]),
        claim_only=words["claim_only"],
        contributors=tuple((each, time_ns) for each in orjson.loads(sensors)),
        source_tracks=tuple(words.get("source_tracks", ())),
    )
    return WorldTrack(track, first_ns, latitude, longitude, altitude)


def _said(track: Track) -> str:
    words = {
        "identity": track.identity.value,
        "claimed_id": track.claimed_id,
        "identity_score": track.identity_score,
        "evidence": track.evidence,
        "claim_only": track.claim_only,
        "source_tracks": track.source_tracks,
    }
    return orjson.dumps(words).decode()


def _symmetric(lower: Sequence[float]) -> tuple[float, ...]:
    matrix = [0.0] * 36
    for value, (i, j) in zip(lower, _LOWER, strict=True):
        matrix[6 * i + j] = matrix[6 * j + i] = value
    return tuple(matrix)
