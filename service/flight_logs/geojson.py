"""GeoJSON (RFC 7946: heights above the ellipsoid) as `deeplomatics export` writes it: a LineString with its times.

Of several lines the longest is taken.
"""

from __future__ import annotations

from typing import Any

import orjson

from service.flight_logs.log import Clock, FlightLog, Heights, LogError, log_of
from service.flight_logs.times import epoch_s


def read(data: bytes) -> FlightLog:
    """The log.

    Raises:
        LogError: no GeoJSON, or no line with times.
    """
    try:
        whole = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise LogError(f"it is no JSON: {error}") from None
    features = whole.get("features", [whole]) if isinstance(whole, dict) else []
    lines = [line for line in map(_line, features) if line is not None]
    if not lines:
        raise LogError("it holds no LineString with `coordinateProperties.times`: it says where but not when")
    places, times = max(lines, key=lambda line: len(line[0]))
    fixes, bad = [], abs(len(places) - len(times))
    for place, time in zip(places, times, strict=False):
        try:
            longitude, latitude, height = (float(n) for n in (*place, "nan")[:3])
            fixes.append((epoch_s(str(time)), latitude, longitude, height))
        except (TypeError, ValueError):
            bad += 1
    others = (len(lines) - 1, "of other lines of the file")
    return log_of("GeoJSON", Clock.UTC, Heights.ELLIPSOID, fixes, skipped=((bad, "no time or place in them"), others))


def _line(feature: Any) -> tuple[list[Any], list[Any]] | None:
    try:
        properties, geometry = feature["properties"], feature["geometry"]
        times = properties.get("coordinateProperties", properties).get("times") or properties["coordTimes"]
        if geometry["type"] == "LineString" and isinstance(times, list):
            return list(geometry["coordinates"]), times
    except (AttributeError, KeyError, TypeError):
        pass
    return None
