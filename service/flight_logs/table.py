"""A CSV of positions, whoever wrote it: the columns are known by their names.

    time | timestamp | utc | datetime…      instant, or seconds, ms, µs or ns since 1970
    latitude | lat, longitude | lon | lng   degrees
    altitude                                metres above the ellipsoid, as this program writes it
    altitude_msl | ele | elevation | …      metres above the sea
    height | relative_altitude | agl | …    metres above take-off

Units in brackets are heeded: `height_above_takeoff(feet)`.
"""

from __future__ import annotations

import csv
import io
import re
from typing import NamedTuple

from service.flight_logs.log import Clock, FlightLog, Heights, LogError, log_of
from service.flight_logs.times import epoch_s

_FOOT_M = 0.3048
_TIMES = ("datetime", "timestamp", "time", "utc", "date", "timeutc", "utctime")
_LATITUDES, _LONGITUDES = ("latitude", "lat", "gpslat"), ("longitude", "lon", "lng", "long", "gpslon")
_HEIGHTS = (
    (Heights.ELLIPSOID, ("altitudeellipsoid", "ellipsoidheight", "ellipsoidalheight", "hae", "altitude")),
    (Heights.SEA, ("altitudemsl", "altitudeabovesealevel", "msl", "ele", "elevation", "amsl", "absalt")),
    (Heights.TAKEOFF, ("heightabovetakeoff", "height", "relativealtitude", "relalt", "agl")),
)


class _Columns(NamedTuple):
    """Where the columns are, and what a height is multiplied with and above."""

    time: int
    latitude: int
    longitude: int
    height: int | None
    metres: float
    above: Heights


def read(data: bytes) -> FlightLog:
    """The log.

    Raises:
        LogError: a column is missing, or no line can be used.
    """
    text = data.decode("utf-8-sig", "replace")
    first = text.partition("\n")[0]
    separator = max(",;\t", key=first.count)
    rows = csv.reader(io.StringIO(text), delimiter=separator)
    try:
        columns = _columns(next(rows, []))
        fixes, bad = [], 0
        for row in rows:
            try:
                fixes.append(_fix(row, columns))
            except (IndexError, ValueError):
                bad += bool(row)
    except csv.Error as error:
        raise LogError(f"it is no CSV: {error}") from None
    own = bool(fixes) and max(fix[0] for fix in fixes) < 1e8
    clock = Clock.OWN if own else Clock.UTC
    return log_of("CSV", clock, columns.above, fixes, skipped=((bad, "no time or place in them"),))


def _fix(row: list[str], columns: _Columns) -> tuple[float, float, float, float | None]:
    height = row[columns.height] if columns.height is not None else ""
    metres = float(height) * columns.metres if height.strip() else None
    return epoch_s(row[columns.time]), float(row[columns.latitude]), float(row[columns.longitude]), metres


def _columns(header: list[str]) -> _Columns:
    names = [re.sub(r"[^a-z]", "", re.sub(r"[(\[].*", "", name.lower())) for name in header]

    def find(wanted: tuple[str, ...]) -> int | None:
        return next((names.index(name) for name in wanted if name in names), None)

    time, latitude, longitude = find(_TIMES), find(_LATITUDES), find(_LONGITUDES)
    if time is None or latitude is None or longitude is None:
        missing = next(n for n, k in zip(("time", "latitude", "longitude"), (time, latitude, longitude)) if k is None)  # noqa: B905
        raise LogError(f"it has no column {missing}: its first line must name time, latitude and longitude")
    found = ((above, find(wanted)) for above, wanted in _HEIGHTS)
    above, height = next(((a, k) for a, k in found if k is not None), (Heights.UNSTATED, None))
    feet = height is not None and re.search(r"[(\[]\s*(ft|feet)", header[height].lower())
    return _Columns(time, latitude, longitude, height, _FOOT_M if feet else 1.0, above)
