"""Ids of tracks as people and programs know them: `T<n>` of the site, `<sensor>-<n>` of one camera's picture."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import HTTPException, Path

from service.camera_rows import StoredTrack
from service.history import History
from service.world_rows import StoredWorldTrack

_WORLD_ID = re.compile(r"T\d{1,15}", re.ASCII)
_IMAGE_ID = re.compile(r"(.+)-(\d{1,9})", re.ASCII)

TrackId = Annotated[str, Path(description="`T<n>` of the world, `<sensor>-<n>` of a picture", examples=["T12"])]


def is_world(track_id: str) -> bool:
    return _WORLD_ID.fullmatch(track_id) is not None


def parsed(track_id: str) -> tuple[str, int]:
    """Sensor and number of `<sensor>-<n>`.

    Raises:
        HTTPException: it is no id of a track.
    """
    match = _IMAGE_ID.fullmatch(track_id)
    if match is None:
        raise no_track(track_id)
    return match[1], int(match[2])


def stored_track(history: History, track_id: str) -> StoredTrack | StoredWorldTrack | None:
    """What the store has of it."""
    return history.world_track(track_id) if is_world(track_id) else history.track(*parsed(track_id))


def no_track(track_id: str) -> HTTPException:
    return HTTPException(
        404,
        f"There is no track {track_id!r}: it never was, was never confirmed, or is older than what the store keeps. "
        "See /api/v1/tracks for those that live.",
    )
