"""`/api/v1/statistics`: what an operator counts over days and months; as JSON, a table, or a map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, TypeVar
from zoneinfo import ZoneInfo, available_timezones

import orjson
from fastapi import APIRouter, Query, Request, Response
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from models.types import CLASSES
from service import statistics
from service.answers import AnswerFormat, csv_lines, wanted_format
from service.database import Database
from service.paging import Many
from service.problems import documented
from service.schemas import AlertKindName, ClassName, Json, Time, rfc3339, to_ns
from service.statistics import Asked, Space, UpNumbers, Week

LEAST_UP_H = 0.25  # less says nothing of a rate

Number = TypeVar("Number", int, float)


def _known_zone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError("give a time zone of the IANA database, as Europe/Zurich")
    return name


class StatisticsQuestion(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    since: AwareDatetime | None = Field(default=None, description="RFC 3339 with a zone; all that is kept unless told")
    until: AwareDatetime | None = None
    timezone: Annotated[str, AfterValidator(_known_zone)] = Field(
        default="UTC", description="of hours and weekdays", examples=["Europe/Zurich"]
    )
    space: Space | None = Field(default=None, description="tracks that are counted; world where the site has one")
    class_: Many[ClassName] = Field(default=[], alias="class")
    cell: float = Field(default=100.0, ge=25.0, le=10_000.0, description="wanted edge of a cell of the map, metres")
    format: AnswerFormat | None = None


Hours = Annotated[list[int], Field(min_length=24, max_length=24, description="from 0 o'clock")]
Weekdays = Annotated[list[int], Field(min_length=7, max_length=7, description="Monday first")]


class _Spread(BaseModel):
    median: float | None = Field(description="seconds; null where there is none")
    p95: float | None


Rate = Annotated[float | None, Field(ge=0.0)]


class UpStatistics(BaseModel):
    """How long the service was up, as far as it noted that; times begun within those asked for."""

    hours: float
    by_hour: Annotated[list[float], Field(min_length=24, max_length=24)]
    by_weekday: Annotated[list[float], Field(min_length=7, max_length=7)]
    by_hour_of_week: list[list[float]]


class _Rates(BaseModel):
    """How many an hour in which the service was up; null where it was up less than a quarter of an hour. What came at
    times of which that is not known is left out."""

    per_hour: Rate
    by_hour: list[Rate]
    by_weekday: list[Rate]
    by_hour_of_week: list[list[Rate]]


class TrackStatistics(BaseModel):
    count: int
    by_class: dict[ClassName, int]
    by_identity: dict[Literal["cooperative", "unknown", "conflicting"], int] = Field(
        description="of tracks of the site"
    )
    by_hour: dict[ClassName, Hours] = Field(description="of their birth")
    by_weekday: dict[ClassName, Weekdays]
    by_hour_of_week: list[Hours] = Field(description="all classes; a row a weekday, Monday first")
    rates: dict[ClassName | Literal["all"], _Rates]
    duration: _Spread


class _HourCount(BaseModel):
    time: Time
    count: int


class AlertStatistics(BaseModel):
    count: int
    by_kind: dict[AlertKindName, int]
    by_hour: Hours
    by_weekday: Weekdays
    per_hour: Rate = Field(description="as in `rates`")
    rates: _Rates
    series: list[_HourCount] = Field(description="hours (UTC) that had one, oldest first")


class DetectStatistics(_Spread):
    """Seconds from an aircraft's own first report (Remote ID, ADS-B) until another sensor saw it."""

    count: int = Field(description="reported first, and then seen")
    never: int = Field(description="reported, and seen by no other sensor")


class _Place(BaseModel):
    latitude: float
    longitude: float


class _Cell(_Place):
    seconds: float


class HeatStatistics(BaseModel):
    """How long tracks of the site were over each cell of the ground."""

    cell: _Place = Field(description="edges of a cell, degrees")
    cells: list[_Cell] = Field(description="their middles; the longest first")
    left_out: int = Field(description="cells beyond the 5000 that are told")


class Statistics(BaseModel):
    since: Time | None
    until: Time | None
    timezone: str
    space: Space
    up: UpStatistics
    tracks: TrackStatistics
    alerts: AlertStatistics
    time_to_detect: DetectStatistics
    heat: HeatStatistics


def router(database: Database, has_world: bool) -> APIRouter:
    """The path with its documentation."""
    router = APIRouter(prefix="/api/v1", tags=["statistics"], responses=documented(422, 503))

    @router.get("/statistics", summary="Tracks and alerts by hour and weekday, and where", response_model=Statistics)
    async def get_statistics(request: Request, question: Annotated[StatisticsQuestion, Query()]) -> Response:
        """Of everything born within the times. `format=csv` (or `Accept: text/csv`) answers the tracks by weekday,
        hour and class; `format=geojson` (or `Accept: application/geo+json`) the cells of the map."""
        space: Space = question.space or ("world" if has_world else "image")
        wanted = wanted_format(question.format, request.headers)
        return await run_in_threadpool(_answer, database, question, space, wanted)

    return router


def _answer(database: Database, question: StatisticsQuestion, space: Space, wanted: AnswerFormat) -> Response:
    asked = Asked(
        space,
        ZoneInfo(question.timezone),
        to_ns(question.since) if question.since else None,
        to_ns(question.until) if question.until else None,
        tuple(question.class_),
    )
    if wanted == "csv":
        rows = _table(statistics.tracks(database, asked).weeks)
        return Response(csv_lines(("weekday", "hour", "class", "tracks"), rows), media_type="text/csv")
    if wanted == "geojson":
        return Response(_map(statistics.heat(database, asked, question.cell)), media_type="application/geo+json")
    up = statistics.up(database, asked)
    body = {
        "since": rfc3339(asked.since_ns) if asked.since_ns is not None else None,
        "until": rfc3339(asked.until_ns) if asked.until_ns is not None else None,
        "timezone": question.timezone,
        "space": space,
        "up": _up_json(up),
        "tracks": _tracks_json(statistics.tracks(database, asked), up),
        "alerts": _alerts_json(statistics.alerts(database, asked), up),
        "time_to_detect": _detect_json(statistics.detecting(database, asked)),
        "heat": _heat_json(statistics.heat(database, asked, question.cell)),
    }
    return Response(orjson.dumps(body), media_type="application/json")


def _up_json(up: UpNumbers) -> Json:
    return {
        "hours": round(up.hours, 4),
        "by_hour": [round(hours, 4) for hours in _hours(up.week)],
        "by_weekday": [round(sum(day), 4) for day in up.week],
        "by_hour_of_week": [[round(hours, 4) for hours in day] for day in up.week],
    }


def _tracks_json(found: statistics.TrackNumbers, up: UpNumbers) -> Json:
    all_classes = _summed(found.weeks)
    return {
        "count": sum(map(sum, all_classes)),
        "by_class": {name: sum(map(sum, week)) for name, week in found.weeks.items()},
        "by_identity": found.identities,
        "by_hour": {name: _hours(week) for name, week in found.weeks.items()},
        "by_weekday": {name: list(map(sum, week)) for name, week in found.weeks.items()},
        "by_hour_of_week": all_classes,
        "rates": {name: _rates(week, up) for name, week in (found.weeks_up | {"all": _summed(found.weeks_up)}).items()},
        "duration": _spread(found.durations_s),
    }


def _alerts_json(found: statistics.AlertNumbers, up: UpNumbers) -> Json:
    rates = _rates(found.week_up, up)
    return {
        "count": sum(map(sum, found.week)),
        "by_kind": found.kinds,
        "by_hour": _hours(found.week),
        "by_weekday": list(map(sum, found.week)),
        "per_hour": rates["per_hour"],
        "rates": rates,
        "series": [{"time": rfc3339(start_ns), "count": number} for start_ns, number in found.hours],
    }


def _rates(week: Week, up: UpNumbers) -> Json:
    return {
        "per_hour": _rate(sum(map(sum, week)), up.hours),
        "by_hour": list(map(_rate, _hours(week), _hours(up.week))),
        "by_weekday": [_rate(sum(day), sum(hours)) for day, hours in zip(week, up.week, strict=True)],
        "by_hour_of_week": [list(map(_rate, day, hours)) for day, hours in zip(week, up.week, strict=True)],
    }


def _rate(count: int, hours: float) -> float | None:
    return round(count / hours, 4) if hours >= LEAST_UP_H else None


def _summed(weeks: Mapping[str, Week]) -> Week:
    """Of all classes."""
    return [[sum(week[day][hour] for week in weeks.values()) for hour in range(24)] for day in range(7)]


def _detect_json(found: statistics.DetectNumbers) -> Json:
    return {"count": found.seen, "never": found.never, **_spread(found.seconds)}


def _heat_json(found: statistics.Heat) -> Json:
    cells = [{"latitude": round(n, 7), "longitude": round(e, 7), "seconds": round(s, 1)} for n, e, s in found.cells]
    return {"cell": dict(zip(("latitude", "longitude"), found.edge_deg, strict=True)), "cells": cells} | {
        "left_out": found.left_out
    }


def _hours(week: Sequence[Sequence[Number]]) -> list[Number]:
    return [sum(day[hour] for day in week) for hour in range(24)]


def _spread(values: tuple[float | None, float | None]) -> Json:
    return dict(zip(("median", "p95"), (None if v is None else round(v, 3) for v in values), strict=True))


def _table(weeks: dict[str, Week]) -> list[Json]:
    places = [(day, hour, name) for day in range(7) for hour in range(24) for name in CLASSES]
    return [{"weekday": d + 1, "hour": h, "class": name, "tracks": weeks[name][d][h]} for d, h, name in places]


def _map(found: statistics.Heat) -> bytes:
    high, wide = (edge / 2 for edge in found.edge_deg)
    corners = ((-wide, -high), (wide, -high), (wide, high), (-wide, high), (-wide, -high))
    features = [
        {
            "type": "Feature",
            "geometry": {
                "type": "Polygon",
                "coordinates": [[[round(e + x, 7), round(n + y, 7)] for x, y in corners]],
            },
            "properties": {"seconds": round(seconds, 1)},
        }
        for n, e, seconds in found.cells
    ]
    return orjson.dumps({"type": "FeatureCollection", "features": features})
