"""Numbers over what was: tracks and alerts by hour and weekday, how soon drones are seen, where tracks were.

The database counts by quarters of an hour, which are whole in every time zone there is; hours and weekdays of a zone
are made of them here. So an answer over years reads some ten thousand rows.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Label, Select, Table, func, select

from fusion.alerts import AlertKind
from fusion.types import Identity
from models.types import CLASSES
from service import tables
from service.database import Database
from service.presence import CELL_DEG, HOUR_NS

QUARTER_NS = 900 * 10**9
CELL_M = CELL_DEG * 111_195.0  # of a degree of latitude on a sphere of 6 371 km
MOST_CELLS = 5000
MOST_TIMES = 200_000  # durations that a median is taken of

Space = Literal["image", "world"]
Week = list[list[int]]  # 7 days, Monday first, of 24 hours


@dataclass(frozen=True, slots=True)
class Asked:
    """What the numbers are of; times are UTC nanoseconds, both ends included, of the birth of a track or alert."""

    space: Space = "world"
    zone: ZoneInfo = ZoneInfo("UTC")  # noqa: RUF009 (it is immutable)
    since_ns: int | None = None
    until_ns: int | None = None
    classes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TrackNumbers:
    """Attributes:
    weeks: of each class, by hour of the week of a track's birth.
    weeks_up: the same of those born in a quarter of an hour in which the service noted that it was up.
    durations_s: median and 95th percentile; None where there is no track.
    """

    weeks: dict[str, Week]
    weeks_up: dict[str, Week]
    identities: dict[str, int]
    durations_s: tuple[float | None, float | None]


@dataclass(frozen=True, slots=True)
class AlertNumbers:
    """Attributes:
    week_up: as of `TrackNumbers`.
    hours: start (UTC) of each hour that had one, and how many, oldest first.
    """

    week: Week
    week_up: Week
    kinds: dict[str, int]
    hours: list[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class UpNumbers:
    """How long the service was up, as far as it noted that: rates are of this time.

    Attributes:
        hours: in all, and by hour of the week.
    """

    hours: float
    week: list[list[float]]


@dataclass(frozen=True, slots=True)
class DetectNumbers:
    """How long after an aircraft's own first report another sensor saw it; `never`: none did."""

    seen: int
    never: int
    seconds: tuple[float | None, float | None]  # median and 95th percentile


@dataclass(frozen=True, slots=True)
class Heat:
    """Seconds that tracks were over cells of the ground, most first; the cells' middles and edges in degrees."""

    edge_deg: tuple[float, float]  # latitude, longitude
    cells: list[tuple[float, float, float]]  # latitude, longitude, seconds
    left_out: int


def up(database: Database, asked: Asked) -> UpNumbers:
    """Quarters of an hour that begin within the times."""
    seconds = _up(database, asked)
    week = [[0.0] * 24 for _ in range(7)]
    for quarter, lasted_s in seconds.items():
        day, hour = _hour_of_week(quarter, asked.zone)
        week[day][hour] += lasted_s / 3600.0
    return UpNumbers(sum(seconds.values()) / 3600.0, week)


def tracks(database: Database, asked: Asked) -> TrackNumbers:
    """Of tracks that were confirmed once."""
    table = tables.world_tracks if asked.space == "world" else tables.tracks
    conditions = [*_born(table.c.first_ns, asked), *_of_classes(table, asked)]
    if table is tables.tracks:
        conditions.append(table.c.confirmed)
    name, quarter = table.c["class"], _quarter(table.c.first_ns)
    rows = database.read(select(name, quarter, func.count()).where(*conditions).group_by(name, "quarter"))
    seconds = _up(database, asked)
    weeks = {each: _week([row[1:] for row in rows if row[0] == each], asked.zone) for each in CLASSES}
    counted = [row for row in rows if row[1] in seconds]
    weeks_up = {each: _week([row[1:] for row in counted if row[0] == each], asked.zone) for each in CLASSES}
    durations = select((table.c.last_ns - table.c.first_ns) / 1e9).where(*conditions)
    identities = _identities(database, table, conditions)
    return TrackNumbers(weeks, weeks_up, identities, _middle_and_high(database, durations))


def alerts(database: Database, asked: Asked) -> AlertNumbers:
    """Of alerts of any kind."""
    alert = tables.alerts.c
    kind, quarter = alert.kind, _quarter(alert.started_ns)
    wanted = select(kind, quarter, func.count()).where(*_born(alert.started_ns, asked)).group_by(kind, "quarter")
    rows = database.read(wanted)
    kinds, hours = dict.fromkeys(AlertKind, 0), Counter[int]()
    for name, number, count in rows:
        kinds[AlertKind(name)] += count
        hours[number * QUARTER_NS // HOUR_NS * HOUR_NS] += count
    seconds = _up(database, asked)
    week = _week([row[1:] for row in rows], asked.zone)
    week_up = _week([row[1:] for row in rows if row[1] in seconds], asked.zone)
    named = {each.value: count for each, count in kinds.items()}
    return AlertNumbers(week, week_up, named, sorted(hours.items()))


def detecting(database: Database, asked: Asked) -> DetectNumbers:
    """Of tracks that began with nothing but an aircraft's own claim: who claims first tells when it was there."""
    track = tables.world_tracks.c
    claimed = [*_born(track.first_ns, asked), *_of_classes(tables.world_tracks, asked), track.claimed_id.is_not(None)]
    late = track.seen_ns > track.first_ns
    never = database.read(select(func.count()).where(*claimed, track.seen_ns.is_(None)))[0][0]
    seen = database.read(select(func.count()).where(*claimed, late))[0][0]
    passed = select((track.seen_ns - track.first_ns) / 1e9).where(*claimed, late)
    return DetectNumbers(seen, never, _middle_and_high(database, passed))


def heat(database: Database, asked: Asked, cell_m: float) -> Heat:
    """Cells of about `cell_m` to each side where the site is."""
    cell = tables.presence.c
    conditions: list[ColumnElement[bool]] = []
    if asked.since_ns is not None:
        conditions.append(cell.hour >= asked.since_ns // HOUR_NS)
    if asked.until_ns is not None:
        conditions.append(cell.hour <= asked.until_ns // HOUR_NS)
    if asked.classes:
        conditions.append(cell["class"].in_(asked.classes))
    ends = database.read(select(func.min(cell.north_cell), func.max(cell.north_cell)).where(*conditions))[0]
    middle_deg = 0.0 if ends[0] is None else (ends[0] + ends[1] + 1) / 2 * CELL_DEG
    high = max(1, round(cell_m / CELL_M))
    wide = max(1, round(cell_m / (CELL_M * max(math.cos(math.radians(middle_deg)), 0.01))))
    north, east = _whole(cell.north_cell, high).label("north"), _whole(cell.east_cell, wide).label("east")
    summed = select(north, east, func.sum(cell.seconds)).where(*conditions).group_by("north", "east")
    rows = sorted(database.read(summed), key=lambda row: (-row[2], row[0], row[1]))
    cells = [((n + 0.5) * high * CELL_DEG, (e + 0.5) * wide * CELL_DEG, s) for n, e, s in rows[:MOST_CELLS]]
    return Heat((high * CELL_DEG, wide * CELL_DEG), cells, max(0, len(rows) - MOST_CELLS))


# ── Parts of the questions ──────────────────────────────────────────────────────────────────────────────────────────


def _born(time: ColumnElement[int], asked: Asked) -> list[ColumnElement[bool]]:
    since = [] if asked.since_ns is None else [time >= asked.since_ns]
    return since + ([] if asked.until_ns is None else [time <= asked.until_ns])


def _of_classes(table: Table, asked: Asked) -> list[ColumnElement[bool]]:
    return [table.c["class"].in_(asked.classes)] if asked.classes else []


def _quarter(time: ColumnElement[int]) -> Label[int]:
    return (time // QUARTER_NS).label("quarter")


def _whole(cell: ColumnElement[int], cells: int) -> ColumnElement[int]:
    """Rounded down, also west of Greenwich, where databases round towards zero."""
    offset = 10_000_000  # more cells than there are
    return (cell + offset * cells) // cells - offset


def _identities(database: Database, table: Table, conditions: list[ColumnElement[bool]]) -> dict[str, int]:
    counts = {identity.value: 0 for identity in Identity}
    if table is tables.world_tracks:
        identity = table.c.identity
        rows = database.read(select(identity, func.count()).where(*conditions).group_by(identity))
        counts |= {row[0]: row[1] for row in rows}
    return counts


def _middle_and_high(database: Database, values: Select[Any]) -> tuple[float | None, float | None]:
    """Median and 95th percentile (the nearest rank) of one column."""
    found = sorted(row[0] for row in database.read(values.limit(MOST_TIMES)))
    if not found:
        return None, None
    return found[(len(found) - 1) // 2], found[math.ceil(0.95 * len(found)) - 1]


def _week(counts: Iterable[Sequence[int]], zone: ZoneInfo) -> Week:
    """By hour of the week of a time zone; `counts` has quarters of an hour since 1970, and how many."""
    week = [[0] * 24 for _ in range(7)]
    for quarter, count in counts:
        day, hour = _hour_of_week(quarter, zone)
        week[day][hour] += count
    return week


def _hour_of_week(quarter: int, zone: ZoneInfo) -> tuple[int, int]:
    """Day, Monday 0, and hour in a time zone."""
    local = datetime.fromtimestamp(quarter * 900, UTC).astimezone(zone)
    return local.weekday(), local.hour


def _up(database: Database, asked: Asked) -> dict[int, float]:
    """Seconds that the service was up, by quarter of an hour."""
    quarter = tables.uptime.c.quarter
    conditions = [] if asked.since_ns is None else [quarter >= -(-asked.since_ns // QUARTER_NS)]
    if asked.until_ns is not None:
        conditions.append(quarter <= asked.until_ns // QUARTER_NS)
    return {row[0]: row[1] for row in database.read(select(tables.uptime).where(*conditions))}
