"""The folder of recordings: whose it is, what lies in it, and what has to go when it is full.

One service at a time writes in a folder (a lock file says so; it goes with the process however that ends). Names are
`YYYYMMDDThhmmssZ-NNNN.mcap`: start of the session and number of the part, so that their order is the order of time.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

SUFFIX = ".mcap"
LOCK = ".lock"
DAY_S = 86_400
GB = 10**9
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}", re.ASCII)

RecordingPolicy = Literal["all", "detections", "none"]
Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]


class RecordingError(Exception):
    """The folder cannot be used; the message is one plain sentence for the user."""


class RecordingSettings(BaseModel):
    """What is recorded, and how much of it is kept.

    Attributes:
        keep_days, max_gb: what is older, or beyond, is deleted, oldest first, never the file being written.
        frames: pictures: every one that was looked at, those around detections, or none.
        sound: of arrays, all channels: all of it, that around what flies, or none.
        quality: of the pictures' JPEG, 1..100.
        part_minutes, part_gb: a file that lasts longer or is larger is ended and another begun.
        reserve_gb: recording stops before the disk has less than this free.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    folder: Path
    keep_days: Positive = 30.0
    max_gb: Positive = 100.0
    frames: RecordingPolicy = "detections"
    sound: RecordingPolicy = "detections"
    quality: int = Field(default=90, ge=1, le=100)
    part_minutes: Positive = 60.0
    part_gb: Positive = 2.0
    reserve_gb: float = Field(default=0.5, ge=0.0, allow_inf_nan=False)


@dataclass(frozen=True, slots=True)
class StoredFlight:
    """One file of the folder."""

    id: str
    path: Path
    bytes: int
    modified_ns: int


def flight_id(started_ns: int, part: int) -> str:
    start = datetime.fromtimestamp(started_ns // 10**9, UTC)
    return f"{start:%Y%m%dT%H%M%SZ}-{part:04d}"


class FlightFolder:
    """Reading a folder of flights; `lock` before writing.

    Args:
        folder: made when missing.

    Raises:
        RecordingError: it cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self.folder = folder.resolve(strict=True)
        except OSError as error:
            raise RecordingError(
                f"Cannot record in {folder}: {(error.strerror or 'it cannot be used').lower()}. "
                "Make the folder writable or give another one."
            ) from None
        self._lock: int | None = None

    def lock(self) -> None:
        """Be the one that writes here.

        Raises:
            RecordingError: another service is, or the folder cannot be written.
        """
        try:
            lock = os.open(self.folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            reason = (error.strerror or "it cannot be used").lower()
            raise RecordingError(f"Cannot record in {self.folder}: {reason}. Make the folder writable.") from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            raise RecordingError(
                f"Another service records in {self.folder}: stop that one or give this one another folder."
            ) from None
        self._lock = lock

    def unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def flights(self) -> list[StoredFlight]:
        """Oldest first. What is no plain file of ours is left out."""
        found: list[StoredFlight] = []
        for entry in sorted(os.scandir(self.folder), key=lambda each: each.name):
            if entry.name.endswith(SUFFIX) and entry.is_file(follow_symlinks=False):
                stat = entry.stat(follow_symlinks=False)
                name = entry.name.removesuffix(SUFFIX)
                found.append(StoredFlight(name, self.folder / entry.name, stat.st_size, stat.st_mtime_ns))
        return found

    def path(self, flight: str) -> Path | None:
        """The file of a flight; None where there is none, and for every name that is not one of this folder."""
        if not _NAME.fullmatch(flight):
            return None
        path = self.folder / (flight + SUFFIX)
        return path if path.is_file() and not path.is_symlink() else None

    def new_path(self, started_ns: int, part: int) -> Path:
        return self.folder / (flight_id(started_ns, part) + SUFFIX)

    def free_bytes(self) -> int:
        return shutil.disk_usage(self.folder).free

    def retire(self, settings: RecordingSettings, now_ns: int, writing: Path | None) -> list[StoredFlight]:
        """Delete what is too old, too much, or in the way of the reserve; what was deleted, oldest first. For the sake
        of the reserve the newest stays: others may be filling the disk."""
        kept = [flight for flight in self.flights() if flight.path != writing]
        written = writing.stat().st_size if writing is not None and writing.exists() else 0
        total = sum(flight.bytes for flight in kept) + written
        free = self.free_bytes()
        gone: list[StoredFlight] = []
        for flight in kept:
            old = now_ns - flight.modified_ns > settings.keep_days * DAY_S * 10**9
            has_room = free >= settings.reserve_gb * GB or flight is kept[-1]
            if not old and total <= settings.max_gb * GB and has_room:
                break
            flight.path.unlink(missing_ok=True)
            total, free = total - flight.bytes, free + flight.bytes
            gone.append(flight)
        return gone
