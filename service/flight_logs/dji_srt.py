"""Subtitles that DJI's drones write beside their videos (SubRip), one entry a frame or a second, of many styles.

    HOME(149.0251,-20.2532) 2017.08.05 14:11:51 / GPS(149.0251,-20.2533,16) BAROMETER:1.9
    F/2.8, …, GPS (-121.7458, 48.0771, 17), D 221.21m, H 200.70m, …
    2022-08-07 13:40:40,774,808 / [latitude: 41.424724] [longitude: 2.234156] [altitude: 117.000000]
    GPS(36.6146,-6.1120,0.0M) BAROMETER:0.3M

The third number of `GPS(…)` is the count of satellites, except where it has a unit. Longitude comes first there, again
except where a unit follows. Times are the telephone's, without a zone. `altitude` is above the sea in some models and
above take-off in others, which no file says.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np

from service.flight_logs.log import Clock, FlightLog, Heights, LogError, log_of

_NUMBER = r"(-?\d+(?:\.\d+)?)"
_DATE = re.compile(r"(\d{4})[.-](\d{1,2})[.-](\d{1,2})\s+(\d{1,2}):(\d{1,2}):(\d{1,2})(?:[,.](\d{3})(?:[,.](\d{3}))?)?")
_CODE = re.compile(r"(\d{2,}):(\d{2}):(\d{2})[,.](\d{3})\s*-->")
_LATITUDE = re.compile(rf"\[\s*latitude\s*:\s*{_NUMBER}", re.IGNORECASE)
_LONGITUDE = re.compile(rf"\[\s*longt?itude\s*:\s*{_NUMBER}", re.IGNORECASE)
_GPS = re.compile(rf"GPS\s*\(\s*{_NUMBER}\s*,\s*{_NUMBER}\s*,\s*{_NUMBER}\s*(M?)", re.IGNORECASE)
#: In order of trust.
_HEIGHTS = (
    (Heights.TAKEOFF, re.compile(rf"rel_alt\s*:\s*{_NUMBER}")),
    (Heights.TAKEOFF, re.compile(rf"BAROMETER\s*:\s*{_NUMBER}")),
    (Heights.TAKEOFF, re.compile(rf"\bHb\s*:\s*{_NUMBER}")),
    (Heights.TAKEOFF, re.compile(rf",\s*H\s+{_NUMBER}m")),
    (Heights.UNSTATED, re.compile(rf"\baltitude\s*:\s*{_NUMBER}")),
)


class _Entry(NamedTuple):
    """One subtitle that holds a position: two numbers, the latitude first or not."""

    code_s: float | None
    date_s: float | None
    finely: bool
    first: str
    second: str
    latitude_first: bool
    height: tuple[Heights, float] | None


def read(data: bytes) -> FlightLog:
    """The log.

    Raises:
        LogError: no position in it.
    """
    blocks = [block for block in re.split(r"\r?\n\s*\r?\n", data.decode("utf-8-sig", "replace")) if block.strip()]
    if not blocks:
        raise LogError("it is empty")
    entries = [entry for entry in map(_entry, blocks) if entry is not None]
    without = len(blocks) - len(entries), "no position in them, or only a part of one"
    if not entries:
        raise LogError(f"none of its {len(blocks)} entries holds a position")
    clock, times = _times(entries)
    places = _places(entries)
    above = entries[0].height[0] if entries[0].height else Heights.UNSTATED
    heights = [e.height[1] if e.height and e.height[0] is above else None for e in entries]
    timed = [(t, *place, h) for t, place, h in zip(times, places, heights, strict=True) if t is not None]
    untimed = len(entries) - len(timed), "no time in them"
    digits = max(len(e.first.partition(".")[2]) for e in entries)
    return log_of("DJI subtitles", clock, above, timed, skipped=(without, untimed), resolution_deg=10.0**-digits)


def _entry(block: str) -> _Entry | None:
    latitude, longitude, gps = _LATITUDE.search(block), _LONGITUDE.search(block), _GPS.search(block)
    if latitude and longitude and _closed(block, longitude):
        first, second, latitude_first = latitude[1], longitude[1], True
    elif gps:
        first, second, latitude_first = gps[1], gps[2], bool(gps[4])
    else:
        return None
    date, code = _date(block), _CODE.search(block)
    code_s = None if code is None else int(code[1]) * 3600.0 + int(code[2]) * 60.0 + int(code[3]) + int(code[4]) / 1e3
    finely = (found := _DATE.search(block)) is not None and found[7] is not None
    heights = ((above, found) for above, pattern in _HEIGHTS if (found := pattern.search(block)))
    height = next(((above, float(found[1])) for above, found in heights), None)
    return _Entry(code_s, date, finely, first, second, latitude_first, height)


def _closed(block: str, number: re.Match[str]) -> bool:
    """Whether a number's bracket ends: a file cut within its last number would put the drone elsewhere."""
    return "]" in block[number.end() :]


def _date(block: str) -> float | None:
    found = _DATE.search(block)
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(found[k]) for k in range(1, 7))
    micros = int(found[7] or 0) * 1000 + int(found[8] or 0)
    try:
        return datetime(year, month, day, hour, minute, second, micros, UTC).timestamp()
    except ValueError:
        return None


def _times(entries: list[_Entry]) -> tuple[Clock, list[float | None]]:
    """Dates; where these are of whole seconds and the entries closer, the place in the video says more."""
    if not any(entry.date_s is not None for entry in entries):
        return Clock.OWN, [entry.code_s for entry in entries]
    codes = [entry.code_s for entry in entries if entry.code_s is not None]
    first = next(entry for entry in entries if entry.date_s is not None)
    close = len(codes) > 1 and float(np.median(np.diff(codes))) < 0.9
    if close and not any(entry.finely for entry in entries) and first.code_s is not None and first.date_s is not None:
        began = first.date_s - first.code_s
        return Clock.LOCAL, [None if entry.code_s is None else began + entry.code_s for entry in entries]
    return Clock.LOCAL, [entry.date_s for entry in entries]


def _places(entries: list[_Entry]) -> list[tuple[float, float]]:
    """Latitude and longitude; one order for the whole file, and no latitude is above 90°."""
    pairs = [(float(entry.first), float(entry.second)) for entry in entries]
    latitude_first = entries[0].latitude_first
    if any(90.0 < abs(first) <= 180.0 for first, _ in pairs):
        latitude_first = False
    elif any(90.0 < abs(second) <= 180.0 for _, second in pairs):
        latitude_first = True
    return pairs if latitude_first else [(second, first) for first, second in pairs]
