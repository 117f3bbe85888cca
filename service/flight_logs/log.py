"""What a drone's log tells, whatever its format, and where that lies in a site.

Three things a log may leave open, and each is said rather than guessed: which day it was (a video's subtitles may count
from its own beginning), which zone its clock was in (a telephone's), and what its heights are above. Where nobody tells
the height's zero, the up component of the path is NaN and only what is level is judged.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from fusion.geometry import FloatArray, LocalFrame
from fusion.trajectory import Fixes, Trajectory, TrajectoryError, smooth
from fusion.types import NS
from service.schemas import rfc3339

MOST_BYTES = 512 << 20
MOST_FIXES = 2_000_000
_FAR_M = 100_000.0
_QUICKEST_S = 0.1  # fixes closer than this add nothing to a path
_REPEATED_S = 1.0  # the same place again within this is the receiver's old answer, not a new one
_GPS_SIGMA_M = (2.0, 4.0)


class LogError(Exception):
    """A log that cannot be used; one plain sentence."""


class Clock(StrEnum):
    """What the times of a log are."""

    UTC = "UTC"
    LOCAL = "local time, of a zone it does not name"
    OWN = "seconds since its own beginning"


class Heights(StrEnum):
    """What the heights of a log are above."""

    ELLIPSOID = "ellipsoid"
    SEA = "sea"
    TAKEOFF = "takeoff"
    UNSTATED = "unstated"


@dataclass(frozen=True, slots=True)
class FlightLog:
    """One drone's positions as its log has them.

    Attributes:
        times_s: [N] by `clock`; of local time as if it were UTC.
        latitude_deg, longitude_deg: [N].
        height_m: [N] above `heights`; NaN where there is none.
        resolution_deg: of the latitude, where the log rounds it.
        notes: what could not be read, for people.
    """

    format: str
    clock: Clock
    heights: Heights
    times_s: FloatArray
    latitude_deg: FloatArray
    longitude_deg: FloatArray
    height_m: FloatArray
    resolution_deg: float = 0.0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Alignment:
    """What is known of a log beside it.

    Attributes:
        offset_s: added to its times.
        start_ns: UTC of its first fix, in place of what it says.
        heights: what its heights are above, in place of what it says.
        geoid_m: of the geoid (mean sea level) above the ellipsoid there.
        takeoff_m: of the place of take-off above the ellipsoid; None: the site's origin.
    """

    offset_s: float = 0.0
    start_ns: int | None = None
    heights: Heights | None = None
    geoid_m: float | None = None
    takeoff_m: float | None = None


@dataclass(frozen=True, slots=True)
class Flown:
    """A log's path in a site.

    Attributes:
        path: ENU metres by seconds since `epoch_ns`; up is NaN where no height is known.
        notes: what was read and taken for granted, for people.
    """

    name: str
    path: Trajectory
    epoch_ns: int
    notes: tuple[str, ...]

    @property
    def span_ns(self) -> tuple[int, int]:
        """UTC of its first and last fix."""
        first, last = (self.epoch_ns + round(float(t) * NS) for t in self.path.times_s[[0, -1]])
        return first, last


def log_of(
    format_: str,
    clock: Clock,
    heights: Heights,
    fixes: Sequence[tuple[float, float, float, float | None]],
    *,
    skipped: Sequence[tuple[int, str]] = (),
    resolution_deg: float = 0.0,
) -> FlightLog:
    """A log of fixes (seconds, degrees, degrees, metres or None), without those that cannot be.

    Args:
        skipped: how many entries were left out and why.

    Raises:
        LogError: nothing is left, or far too much.
    """
    if len(fixes) > MOST_FIXES:
        raise LogError(f"it holds {len(fixes)} positions and {MOST_FIXES} are the most that are read: cut it")
    rows = np.array([[t, lat, lon, math.nan if h is None else h] for t, lat, lon, h in fixes]).reshape(-1, 4)
    possible = np.isfinite(rows[:, :3]).all(axis=1) & (np.abs(rows[:, 1]) <= 90.0) & (np.abs(rows[:, 2]) <= 180.0)
    nowhere = possible & (rows[:, 1] == 0.0) & (rows[:, 2] == 0.0)
    counted = [
        *skipped,
        (int(np.count_nonzero(~possible)), "an impossible position"),
        (int(np.count_nonzero(nowhere)), "latitude and longitude 0, which means no fix"),
    ]
    notes = tuple(f"{count} entries left out: {why}" for count, why in counted if count)
    rows = rows[possible & ~nowhere]
    if not len(rows):
        raise LogError("it holds no position" + (f" ({'; '.join(notes)})" if notes else ""))
    times, latitude, longitude, height = rows.T
    return FlightLog(format_, clock, heights, times, latitude, longitude, height, resolution_deg, notes)


def place(name: str, log: FlightLog, frame: LocalFrame, known: Alignment) -> Flown:
    """The log's path in the site.

    Raises:
        LogError: it has no day and none was given, lies far from the site, or makes no path.
    """
    epoch_ns, dated = _dated(log, known)
    latitude, longitude, swapped = _near(log, frame)
    altitude, told = _altitudes(log, frame, known)
    known_height = np.isfinite(altitude)
    level = np.where(known_height, altitude, frame.origin.altitude_m)
    places = frame.to_enu(latitude, longitude, level)
    order = np.argsort(log.times_s, kind="stable")
    kept = order[_fresh(log.times_s[order], places[order])]
    horizontal, vertical = _GPS_SIGMA_M
    coarse_m = 111_000.0 * log.resolution_deg / math.sqrt(12.0)
    sigmas = np.tile((math.hypot(horizontal, coarse_m), math.hypot(horizontal, coarse_m), vertical), (len(kept), 1))
    try:
        path = smooth(Fixes(log.times_s[kept] - log.times_s[order[0]], places[kept], sigmas), longest_gap_s=3.5)
    except TrajectoryError as error:
        raise LogError(str(error)) from None
    if not known_height.all():
        path = replace(path, position_m=path.position_m * (1.0, 1.0, math.nan))
    kind = f"{log.format}, {len(log.times_s)} positions"
    notes = (kind, *dated, *swapped, *told, *log.notes)
    return Flown(name, path, epoch_ns, notes)


def _dated(log: FlightLog, known: Alignment) -> tuple[int, tuple[str, ...]]:
    """UTC of the earliest fix, ns."""
    if known.start_ns is not None:
        return known.start_ns + round(known.offset_s * NS), ("its first fix was set to the time given",)
    if log.clock is Clock.OWN:
        raise LogError("it does not say what day it was: give --truth-start, the time (UTC) of its first position")
    notes = [f"moved by {known.offset_s:+g} s, as given"] if known.offset_s else []
    if log.clock is Clock.LOCAL and not known.offset_s:
        notes.append("its times are local, of a zone it does not name, and were taken as UTC")
    return round((float(log.times_s.min()) + known.offset_s) * NS), tuple(notes)


def _near(log: FlightLog, frame: LocalFrame) -> tuple[FloatArray, FloatArray, tuple[str, ...]]:
    """Latitude and longitude, exchanged where only so they lie near the site.

    Raises:
        LogError: neither way.
    """
    latitude, longitude = log.latitude_deg, log.longitude_deg
    away_m = _away_m(latitude, longitude, frame)
    if away_m <= _FAR_M:
        return latitude, longitude, ()
    if float(np.abs(longitude).max()) <= 90.0 and _away_m(longitude, latitude, frame) <= _FAR_M:
        return longitude, latitude, ("its latitude and longitude were exchanged: only so it lies near the site",)
    raise LogError(f"it was flown {away_m / 1000:.0f} km from the site: it is the log of another flight")


def _away_m(latitude: FloatArray, longitude: FloatArray, frame: LocalFrame) -> float:
    middle = float(np.median(latitude)), float(np.median(longitude))
    return float(np.linalg.norm(frame.to_enu(*middle, frame.origin.altitude_m)))


def _altitudes(log: FlightLog, frame: LocalFrame, known: Alignment) -> tuple[FloatArray, tuple[str, ...]]:
    """Metres above the ellipsoid [N], NaN where nobody knows."""
    heights = known.heights or log.heights
    nothing = np.full_like(log.height_m, math.nan)
    if not np.isfinite(log.height_m).all():
        return nothing, ("it gives no height everywhere, so heights are not judged",)
    if heights is Heights.ELLIPSOID:
        return log.height_m, ("heights above the ellipsoid",)
    if heights is Heights.SEA and known.geoid_m is not None:
        return log.height_m + known.geoid_m, (f"heights above sea level, which lies {known.geoid_m:g} m up",)
    if heights is Heights.SEA:
        return nothing, (
            "heights above sea level: not judged without --truth-geoid, how far sea level lies above the ellipsoid",
        )
    if heights is Heights.TAKEOFF:
        takeoff_m = frame.origin.altitude_m if known.takeoff_m is None else known.takeoff_m
        given = "the site's origin" if known.takeoff_m is None else "as given"
        return log.height_m + takeoff_m, (f"heights above take-off, taken at {takeoff_m:g} m ({given})",)
    return nothing, ("it does not say what its heights are above: not judged without --truth-heights",)


def _fresh(times_s: FloatArray, places_m: FloatArray) -> NDArray[np.intp]:
    """Which fixes are news: a log that is written quicker than its receiver repeats the last answer."""
    kept: list[int] = []
    for k, (time_s, where) in enumerate(zip(times_s.tolist(), places_m.tolist(), strict=True)):
        if kept:
            since_s = time_s - times_s[kept[-1]]
            again = where == places_m[kept[-1]].tolist()
            if since_s < (_REPEATED_S if again else _QUICKEST_S) - 1e-6:
                continue
        kept.append(k)
    return np.array(kept)


def overlap(flown: Flown, first_ns: int, last_ns: int) -> None:
    """Check that the log and a flight have a time in common.

    Raises:
        LogError: they have none; the sentence says both times and, where it is likely a zone, the mend.
    """
    begin_ns, end_ns = flown.span_ns
    if begin_ns < last_ns and end_ns > first_ns:
        return
    apart_s = (first_ns + last_ns - begin_ns - end_ns) / 2 / NS
    quarters = round(apart_s / 900.0)
    near = abs(quarters) <= 56 and quarters != 0
    shifted = begin_ns + quarters * 900 * NS < last_ns and end_ns + quarters * 900 * NS > first_ns
    mend = f": if its clock was in another zone, give --truth-offset {quarters * 900}" if near and shifted else ""
    raise LogError(
        f"it runs from {rfc3339(begin_ns)} to {rfc3339(end_ns)} and the flight from {rfc3339(first_ns)} "
        f"to {rfc3339(last_ns)}, so they have no time in common{mend}"
    )
