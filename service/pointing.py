"""`/api/v1/sensors/{id}/pointing`: where a camera would have to look to see what the site knows of.

Arrays hear what no camera looks at. For each track there is its direction from the camera with its spread, how far the
camera would have to turn, and whether its picture holds it already; a turret or a person does the rest. The direction
is where the track will be `LEAD_S` from its time on, because turning takes time; its spread is that of the track across
the line of sight, so a track of one array, which is a wedge, says honestly how much there is to search.
"""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np
import orjson
from fastapi import APIRouter, HTTPException, Path, Response
from pydantic import Field

from fusion.geometry import FloatArray, direction_to_angles, matrix_from_quaternion, wrap_azimuth_deg
from fusion.site import Sensor, Site
from fusion.types import NS
from service.board import Board
from service.problems import documented
from service.schemas import Json, Schema, Time, best_class, rfc3339
from service.types import WorldTrack

LEAD_S = 0.5
SEEN_S = 1.0  # since its last report the camera sees the track

CameraId = Annotated[str, Path(examples=["cam-east"])]


class Target(Schema):
    """Where one track is, seen from the camera."""

    track: str = Field(examples=["t12"])
    class_: str = Field(alias="class", examples=["drone"])
    azimuth: float = Field(description="degrees clockwise from true north")
    elevation: float = Field(description="degrees above the horizon")
    sigma: float = Field(description="degrees, one standard deviation along the widest direction", examples=[0.8])
    distance: float = Field(description="metres")
    turn: float | None = Field(description="degrees from the middle of the picture; null without an orientation")
    in_picture: bool = Field(description="the picture holds this direction")
    seen: bool = Field(description="this camera contributed within the last second")
    sensors: list[str] = Field(description="that know of it", examples=[["mic-north", "mic-south"]])


class Pointing(Schema):
    """What a camera should look at: first what it does not see, nearest first."""

    sensor: str = Field(examples=["cam-east"])
    time: Time | None = Field(description="of the tracks; null before there are any")
    lead: float = Field(description="seconds after that time for which directions hold")
    targets: list[Target]


def target(sensor: Sensor, shown: WorldTrack, time_ns: int) -> Json | None:
    """As `Target`; None for a sensor without a place."""
    if sensor.pose is None:
        return None
    track = shown.track
    mean, p = np.array(track.mean), np.array(track.covariance).reshape(6, 6)
    ahead = np.hstack([np.eye(3), LEAD_S * np.eye(3)])
    away = ahead @ mean - np.array(sensor.pose.position_m)
    distance = max(float(np.linalg.norm(away)), 1.0)
    azimuth, elevation = (math.degrees(float(v)) for v in direction_to_angles(away))
    turn, in_picture = _turn(sensor, away)
    reported = dict(track.contributors).get(sensor.config.id)
    return {
        "track": track.track_id,
        "class": best_class(track.class_probabilities),
        "azimuth": round(wrap_azimuth_deg(azimuth), 2),
        "elevation": round(elevation, 2),
        "sigma": round(_spread_deg(ahead @ p @ ahead.T, away / distance, distance), 2),
        "distance": round(distance, 1),
        "turn": turn,
        "in_picture": in_picture,
        "seen": reported is not None and time_ns - reported < SEEN_S * NS,
        "sensors": [name for name, _ in track.contributors],
    }


def _turn(sensor: Sensor, away: FloatArray) -> tuple[float | None, bool]:
    """Degrees from the middle of the picture, and whether the picture holds it."""
    if sensor.pose is None or sensor.camera is None:
        return None, False
    in_camera = matrix_from_quaternion(sensor.pose.attitude).T @ away
    turn = math.degrees(math.atan2(math.hypot(in_camera[0], in_camera[1]), in_camera[2]))
    seen = sensor.camera.project(in_camera)
    held = bool(seen.valid) and bool(sensor.camera.sees(seen.pixels))
    return round(turn, 2), held


def _spread_deg(covariance: FloatArray, line_of_sight: FloatArray, distance_m: float) -> float:
    """Of the place across the line of sight, as an angle; 90° is as little as can be known."""
    across = np.eye(3) - np.outer(line_of_sight, line_of_sight)
    widest = float(np.linalg.eigvalsh(across @ covariance @ across)[-1])
    return min(90.0, math.degrees(math.atan2(math.sqrt(max(widest, 0.0)), distance_m)))


def pointing(sensor: Sensor, board: Board) -> Json:
    """As `Pointing`."""
    shown, time_ns = board.world.shown, board.world.time_ns
    targets = [each for each in (target(sensor, track, time_ns) for track in shown) if each is not None]
    targets.sort(key=lambda each: (each["seen"], each["distance"]))
    return {
        "sensor": sensor.config.id,
        "time": rfc3339(time_ns) if time_ns else None,
        "lead": LEAD_S,
        "targets": targets,
    }


def router(site: Site | None, board: Board) -> APIRouter:
    """The path for the cameras that have a place."""
    api = APIRouter(prefix="/api/v1", responses=documented(422))
    sensors = site.sensors if site is not None else {}
    cameras = {name: each for name, each in sensors.items() if each.config.kind == "camera" and each.pose is not None}

    async def where_to_look(id: CameraId) -> Response:
        """Where a camera would have to look to see what the site knows of: what it does not see first, nearest first.
        Arrays that hear a drone cue cameras with it."""
        if id not in cameras:
            raise HTTPException(404, f"There is no camera {id!r} whose place is known: see /api/v1/site for those.")
        return Response(orjson.dumps(pointing(cameras[id], board)), media_type="application/json")

    api.add_api_route(
        "/sensors/{id}/pointing",
        where_to_look,
        tags=["sensors"],
        summary="Where a camera should look",
        responses={200: {"model": Pointing}, **documented(404)},
    )
    return api
