"""`/api/v1/site`: where the site is, where its sensors stand and what they can see; for maps, and for drawing what is
known in space into a camera's picture."""

from __future__ import annotations

import math
from typing import Annotated

import orjson
from fastapi import APIRouter, Response
from pydantic import Field

from fusion.geometry import CameraModel, attitude_angles, matrix_from_quaternion, wrap_azimuth_deg
from fusion.site import Sensor, Site
from service.schemas import Json, Schema, rounded

Triple = Annotated[list[float], Field(min_length=3, max_length=3)]


class Lens(Schema):
    """A pinhole camera with distortion (OpenCV's k1, k2, p1, p2, k3), pixels of the full-size frame."""

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    distortion: Annotated[list[float], Field(min_length=5, max_length=5)]
    enu_to_camera: Annotated[list[float], Field(min_length=9, max_length=9)] = Field(
        description="rotation, row-major; rows are right, down and forward"
    )


class PlacedSensor(Schema):
    """A sensor whose place is known."""

    id: str = Field(examples=["cam-east"])
    kind: str = Field(examples=["camera"])
    enu: Triple = Field(description="metres east, north, up of the site's origin")
    azimuth: float | None = Field(description="of a camera: degrees clockwise from true north")
    elevation: float | None
    roll: float | None
    horizontal_fov: float | None = Field(description="of a camera: degrees")
    vertical_fov: float | None
    range: float | None = Field(description="metres; beyond it, that it sees nothing means nothing")
    lens: Lens | None


class Origin(Schema):
    latitude: float
    longitude: float
    altitude: float


class Plan(Schema):
    """Where the site is and where its sensors stand."""

    name: str
    origin: Origin | None = Field(description="null where no sensor has a place")
    sensors: list[PlacedSensor]


def router(name: str, site: Site | None) -> APIRouter:
    """One path. `site` is None where nothing has a place."""
    router = APIRouter(prefix="/api/v1", tags=["sensors"])
    body = orjson.dumps(plan_json(name, site))

    @router.get("/site", response_model=Plan, summary="Plan of the site")
    async def plan() -> Response:
        """Its origin, and the sensors that have a place, with what they can see. Does not change while it runs."""
        return Response(body, media_type="application/json")

    return router


def plan_json(name: str, site: Site | None) -> Json:
    """A `Plan`."""
    if site is None:
        return {"name": name, "origin": None, "sensors": []}
    placed = [_sensor(sensor) for sensor in site.sensors.values() if sensor.pose is not None]
    return {"name": name, "origin": site.file.site.origin.model_dump(), "sensors": placed}


def _sensor(sensor: Sensor) -> Json:
    assert sensor.pose is not None
    known: Json = dict.fromkeys(("azimuth", "elevation", "roll", "horizontal_fov", "vertical_fov", "lens"))
    if sensor.camera is not None:
        to_camera = matrix_from_quaternion(sensor.pose.attitude).T
        azimuth, elevation, roll = (math.degrees(angle) for angle in attitude_angles(to_camera))
        known |= {"azimuth": wrap_azimuth_deg(azimuth), "elevation": elevation, "roll": roll}
        known |= _view(sensor.camera)
        known["lens"] = _lens(sensor.camera) | {"enu_to_camera": rounded(to_camera.ravel().tolist(), 9)}
    return {
        "id": sensor.config.id,
        "kind": sensor.config.kind,
        "enu": list(sensor.pose.position_m),
        "range": sensor.coverage.max_range_m if sensor.coverage else sensor.config.max_range,
        **known,
    }


def _view(camera: CameraModel) -> Json:
    """Of the picture's edges in the middle of its sides, degrees; the lens's distortion included."""
    return {
        "horizontal_fov": _angle(camera, (0.0, camera.cy), (float(camera.width), camera.cy)),
        "vertical_fov": _angle(camera, (camera.cx, 0.0), (camera.cx, float(camera.height))),
    }


def _angle(camera: CameraModel, here: tuple[float, float], there: tuple[float, float]) -> float:
    (ax, ay, az), (bx, by, bz) = camera.rays([here, there]).tolist()
    return math.degrees(math.acos(max(-1.0, min(1.0, ax * bx + ay * by + az * bz))))


def _lens(camera: CameraModel) -> Json:
    return {
        "width": camera.width,
        "height": camera.height,
        "fx": camera.fx,
        "fy": camera.fy,
        "cx": camera.cx,
        "cy": camera.cy,
        "distortion": list(camera.distortion),
    }
