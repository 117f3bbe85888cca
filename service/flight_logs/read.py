"""A log of any known format: told by the ending of its name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fusion.geometry import LocalFrame
from service.flight_logs import dji_srt, geojson, gpx, kml, table, ulog
from service.flight_logs.log import MOST_BYTES, Alignment, FlightLog, Flown, LogError, place

_READERS: dict[str, Callable[[bytes], FlightLog]] = {
    ".csv": table.read,
    ".geojson": geojson.read,
    ".gpx": gpx.read,
    ".json": geojson.read,
    ".kml": kml.read,
    ".srt": dji_srt.read,
    ".txt": table.read,
}


def read_log(path: Path) -> FlightLog:
    """What the log of a drone tells.

    Raises:
        LogError: of no known format, or without a position.
        OSError: it cannot be read.
    """
    ending = path.suffix.lower()
    if ending != ".ulg" and ending not in _READERS:
        raise LogError(f"{path}: logs are read by their ending: {', '.join(sorted((*_READERS, '.ulg')))}")
    size = path.stat().st_size
    if not size:
        raise LogError(f"{path} is empty")
    if size > MOST_BYTES:
        raise LogError(f"{path} has {size} bytes and {MOST_BYTES} are the most that are read: cut it")
    try:
        return ulog.read(path) if ending == ".ulg" else _READERS[ending](path.read_bytes())
    except LogError as error:
        raise LogError(f"{path} cannot be used: {error}") from None


def read_flown(path: Path, frame: LocalFrame, known: Alignment) -> Flown:
    """The path in the site that a log tells.

    Raises:
        LogError: it cannot be used there.
        OSError: it cannot be read.
    """
    log = read_log(path)
    try:
        return place(path.stem, log, frame, known)
    except LogError as error:
        raise LogError(f"{path} cannot be used: {error}") from None
