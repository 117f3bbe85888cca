"""Tracks of the site as rows of the store. A point keeps the whole estimate in bits; reasons in words only the newest.

Whoever opens the database calls these; `service.store` owns the file, the writer's thread and the bounds.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from fusion.types import Identity, Track
from models.types import CLASSES
from service.schemas import best_class
from service.types import WorldTrack
from tracking.types import Status

SCHEMA = """
CREATE TABLE world_tracks (
    id INTEGER PRIMARY KEY,                  -- its number, which no other track ever has
    name TEXT NOT NULL UNIQUE,               -- as people know it
    first_ns INTEGER NOT NULL,
    last_ns INTEGER NOT NULL,
    state TEXT NOT NULL,
    class TEXT NOT NULL,
    sensors TEXT NOT NULL,                   -- JSON: those that contributed
    said TEXT NOT NULL                       -- JSON: claim, identity, reasons, image tracks
);
CREATE INDEX world_tracks_by_first ON world_tracks (first_ns);
CREATE INDEX world_tracks_by_last ON world_tracks (last_ns);
CREATE TABLE world_points (
    track INTEGER NOT NULL REFERENCES world_tracks ON DELETE CASCADE,
    time_ns INTEGER NOT NULL,
    state TEXT NOT NULL,
    latitude REAL NOT NULL, longitude REAL NOT NULL, altitude REAL NOT NULL,
    estimate BLOB NOT NULL,                  -- see _ESTIMATE
    PRIMARY KEY (track, time_ns)
) WITHOUT ROWID;
"""

#: Existence, class probabilities, mean (double), lower triangle of the covariance (single).
_ESTIMATE = struct.Struct(f"<{1 + len(CLASSES)}f6d21f")
_LOWER = [(i, j) for i in range(6) for j in range(i + 1)]

UPSERT_TRACK = """
INSERT INTO world_tracks VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET
    last_ns = excluded.last_ns, state = excluded.state, class = excluded.class,
    sensors = excluded.sensors, said = excluded.said
"""
INSERT_POINT = "INSERT OR IGNORE INTO world_points VALUES (?, ?, ?, ?, ?, ?, ?)"
END_TRACK = "UPDATE world_tracks SET state = 'deleted' WHERE name = ?"
_COLUMNS = "t.id, t.name, t.first_ns, p.time_ns, p.latitude, p.longitude, p.altitude, p.estimate, t.sensors, t.said"
TRACKS = f"""
SELECT {_COLUMNS}, t.state FROM world_tracks t JOIN world_points p ON p.track = t.id AND p.time_ns = t.last_ns
"""
HISTORY = f"SELECT {_COLUMNS}, p.state FROM world_tracks t JOIN world_points p ON p.track = t.id"

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class StoredWorldTrack:
    """A world track at one instant; `key` is its place in the list that it came from."""

    key: tuple[int, int]
    shown: WorldTrack


def number_of(track_id: str) -> int:
    """The number in a track's id (`T12`)."""
    return int(track_id.lstrip("T"))


def track_rows(tracks: Sequence[WorldTrack], time_ns: int) -> Iterator[tuple[int, Row]]:
    """Number and row of each track."""
    for shown in tracks:
        track, number = shown.track, number_of(shown.track.track_id)
        sensors = orjson.dumps([name for name, _ in track.contributors]).decode()
        name = best_class(track.class_probabilities)
        yield (
            number,
            (number, track.track_id, shown.first_ns, time_ns, track.status.value, name, sensors, _said(track)),
        )


def point_rows(tracks: Sequence[WorldTrack], time_ns: int) -> Iterator[Row]:
    """One point of each track."""
    for shown in tracks:
        track = shown.track
        lower = [track.covariance[6 * i + j] for i, j in _LOWER]
        estimate = _ESTIMATE.pack(track.existence, *track.class_probabilities, *track.mean, *lower)
        place = (shown.latitude_deg, shown.longitude_deg, shown.altitude_m)
        yield (number_of(track.track_id), time_ns, track.status.value, *place, estimate)


def read(row: Row) -> WorldTrack:
    """The track of a row of `TRACKS` or `HISTORY`; the contributors' times are not kept and are its own."""
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
