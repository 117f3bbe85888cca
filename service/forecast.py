"""`/api/v1/forecast`: where tracks will be if they fly on calmly, and when they will be in a zone.

The prediction is the fusion's own (`fusion.rows.predict`, the quiet one of its two motion modes); the time to a zone is
that of the alerts. What is known less and less is said: the ellipse grows, and a time has a σ.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated

import numpy as np
import orjson
from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from fusion import rows
from fusion.alerts import AlertSettings, Sighted, ZoneArea, time_to_entry
from fusion.geometry import FloatArray
from fusion.settings import MotionSettings
from fusion.site import Site, Zone
from fusion.types import Track
from service.board import Board
from service.paging import Many
from service.problems import documented
from service.schemas import Json, Schema, best_class, rfc3339, rounded
from service.types import WorldTrack

STEPS_S = (5.0, 10.0, 15.0, 20.0, 25.0, 30.0)
HORIZON_S = 60.0  # what comes to a zone later than this is not told
MOST = 20
_MOTION = MotionSettings()
_ALERTS = AlertSettings()

Three = Annotated[list[float], Field(min_length=3, max_length=3)]


class ForecastQuestion(BaseModel):
    model_config = ConfigDict(extra="forbid")

    track: Annotated[Many[str], Field(max_length=20)] = Field(default=[], description="ids; several with commas")


class ForecastStep(Schema):
    """Where it will be."""

    after: float = Field(description="seconds after `time`")
    enu: Three
    covariance: Three = Field(description="of the place, m²: east-east, east-north, north-north")


class ForecastEntry(Schema):
    """A zone that lies ahead."""

    zone: str
    after: float = Field(
        description="seconds after `time` until it is inside, at its present velocity", examples=[12.5]
    )
    sigma: float = Field(description="seconds")


class TrackForecast(Schema):
    """Of one track."""

    track: str = Field(examples=["T7"])
    time: str
    steps: list[ForecastStep]
    entries: list[ForecastEntry] = Field(
        description="soonest first; none where it is inside already or flies elsewhere"
    )


class Forecast(Schema):
    """What is about to be."""

    forecasts: list[TrackForecast]


def predicted(track: Track, after_s: float) -> tuple[FloatArray, FloatArray]:
    """Mean [6] and covariance [6, 6] in ENU metres and m/s, `after_s` later, in the quiet mode of motion."""
    x, p = np.array([track.mean]), np.array([track.covariance]).reshape(1, 6, 6)
    accel2 = np.array([_MOTION.quiet_accel**2])
    rows.predict(x, p, after_s, accel2, np.array([_MOTION.calm_s]), np.empty((1, 0)), np.empty((1, 0, 2, 2)))
    return x[0], p[0]


def entries(zones: Sequence[ZoneArea], seen: Sighted) -> list[Json]:
    """`ForecastEntry` of each zone that it flies into within `HORIZON_S`, soonest first."""
    found = [(time_to_entry(zone, seen, _ALERTS), zone.zone_id) for zone in zones]
    ahead = sorted((after_s, zone_id) for after_s, zone_id in found if 0.0 < after_s <= HORIZON_S)
    return [
        {"zone": zone_id, "after": round(after_s, 1), "sigma": round(_sigma_s(seen.track, after_s), 1)}
        for after_s, zone_id in ahead
    ]


def _sigma_s(track: Track, after_s: float) -> float:
    """Of the time at which it has come so far: of the place along its flight then, over its speed."""
    _, p = predicted(track, after_s)
    ve, vn, vu = track.mean[3:6]
    speed = math.sqrt(ve * ve + vn * vn + vu * vu)
    along = np.array([ve, vn, vu]) / speed
    return math.sqrt(max(float(along @ p[:3, :3] @ along), 0.0)) / speed


def _steps(track: Track) -> Iterator[Json]:
    for after_s in STEPS_S:
        x, p = predicted(track, after_s)
        covariance = rounded((float(p[0, 0]), float(p[0, 1]), float(p[1, 1])), 1)
        yield {"after": after_s, "enu": rounded(x[:3].tolist(), 1), "covariance": covariance}


def forecast(shown: Sequence[WorldTrack], time_ns: int, zones: Sequence[ZoneArea], asked: Sequence[str]) -> Json:
    """A `Forecast`: of the tracks asked for, and of the `MOST` that will be in a zone soonest; birds only if asked."""
    found: list[tuple[float, Json]] = []
    for each in shown:
        track = each.track
        wanted = track.track_id in asked
        if best_class(track.class_probabilities) == "bird" and not wanted:
            continue
        ahead = entries(zones, Sighted(track, each.altitude_m))
        if not ahead and not wanted:
            continue
        soonest = -1.0 if wanted else float(ahead[0]["after"])
        told = {"track": track.track_id, "time": rfc3339(time_ns), "steps": list(_steps(track)), "entries": ahead}
        found.append((soonest, told))
    found.sort(key=lambda pair: pair[0])
    return {"forecasts": [told for _, told in found[: MOST + len(asked)]]}


def router(site: Site | None, board: Board, zones: Callable[[], Mapping[str, Zone]]) -> APIRouter:
    """One path."""
    api = APIRouter(prefix="/api/v1", tags=["tracks"], responses=documented(422))

    @api.get("/forecast", response_model=Forecast, summary="What is about to be")
    async def ahead(question: Annotated[ForecastQuestion, Query()]) -> Response:
        """Of the tracks that will be in a zone within a minute if they fly on as they do, and of those asked for."""
        areas = [zone.area(name, site.frame) for name, zone in zones().items()] if site else []
        world = board.world
        told = await run_in_threadpool(forecast, world.shown, world.time_ns, areas, question.track)
        return Response(orjson.dumps(told), media_type="application/json")

    return api
