"""Lines of recorded or posted measurements (JSON, INTERFACES: "Measurements and fused tracks") to scans.

A line that cannot be used is refused with one plain reason; the rest goes on. Degrees and seconds end here.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import orjson

from fusion.geometry import LocalFrame, wrap_angle
from fusion.sensors.camera.measure import point_report
from fusion.site import Sensor, Site
from fusion.types import NS, Measurement, Scan, SensorPose, Space
from models.types import CLASSES

MOST_LINE = 65_536
SPEED_OF_SOUND_MPS = 343.0  # dry air at 20 °C
_MOST_TIME_S = 1e10
_MOST_DISTANCE_M = 100_000.0
_LEAST_SIGMA_RAD = 1e-6
_VELOCITY_SIGMA_MPS = 1.0

Fields = dict[str, Any]


class Refused(Exception):
    """A line that cannot be used; the message is the reason."""


def read_line(line: bytes, number: int, site: Site) -> Scan:
    """The scan, of one report, that line `number` holds.

    Raises:
        Refused: with the reason.
    """
    if len(line) > MOST_LINE:
        raise Refused(f"the line is longer than {MOST_LINE} bytes")
    try:
        fields = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise Refused(f"not JSON ({error})") from None
    if not isinstance(fields, dict):
        raise Refused("not a JSON object")
    return read_report(fields, number, site)


def read_report(fields: Fields, number: int, site: Site) -> Scan:
    """The scan that one measurement (as decoded JSON) gives.

    Raises:
        Refused: with the reason.
    """
    time_ns = _time(fields)
    sensor = _sensor(fields, site)
    kind = fields.get("kind")
    if kind == "pixel":
        report = _pixel(fields, sensor)
    elif kind == "bearing":
        report = _bearing(fields)
    elif kind == "position":
        report = _position(fields, site.frame)
    else:
        raise Refused("kind must be pixel, bearing or position")
    if sensor.pose is None and kind != "position":
        raise Refused(f"sensor {sensor.config.id} has no position in the site file")
    return scan_of(sensor, time_ns, number, report)


def scan_of(sensor: Sensor, time_ns: int, sequence: int, report: Measurement) -> Scan:
    """One report as a scan of its sensor, at the time that the sensor's clock meant."""
    pose = sensor.pose or SensorPose(sensor.config.id, 0, (0.0, 0.0, 0.0))
    camera = sensor.camera if report.space is Space.PIXEL else None
    coverage = None if report.claimed_id is not None else sensor.coverage
    meant_ns = time_ns - round(sensor.config.clock_offset * NS)
    return Scan(sensor.config.id, meant_ns, sequence, report.space, pose, (report,), camera, coverage)


# --- fields ----------------------------------------------------------------------------------------------------------


def _number(fields: Fields, name: str, least: float = -math.inf, most: float = math.inf) -> float:
    if name not in fields:
        raise Refused(f"{name} is missing")
    value = fields[name]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Refused(f"{name} must be a number")
    if not math.isfinite(value) or not least <= value <= most:
        raise Refused(f"{name} is out of range")
    return float(value)


def _numbers(fields: Fields, name: str, count: int) -> tuple[float, ...]:
    value = fields.get(name)
    if not isinstance(value, list) or len(value) != count:
        raise Refused(f"{name} must be a list of {count} numbers")
    for v in value:
        if isinstance(v, bool) or not isinstance(v, int | float) or not math.isfinite(v):
            raise Refused(f"{name} must hold finite numbers only")
    return tuple(float(v) for v in value)


def _time(fields: Fields) -> int:
    return round(_number(fields, "time", 0.0, _MOST_TIME_S) * NS)


def _sensor(fields: Fields, site: Site) -> Sensor:
    name = fields.get("sensor_id")
    sensor = site.sensors.get(name) if isinstance(name, str) else None
    if sensor is None:
        shown = name if isinstance(name, str) and len(name) <= 64 and name.isprintable() else "?"
        raise Refused(f"sensor {shown} is not in the site file")
    return sensor


def _label(fields: Fields) -> tuple[str | None, float]:
    score = _number(fields, "score", 0.0, 1.0) if fields.get("score") is not None else 1.0
    label = fields.get("class")
    return (label if label in CLASSES else None), score


def _sigma(fields: Fields, name: str, most: float) -> float:
    sigma = _number(fields, name, 0.0, most)
    if sigma <= 0.0:
        raise Refused(f"{name} must be above zero")
    return sigma


# --- kinds -----------------------------------------------------------------------------------------------------------


def _pixel(fields: Fields, sensor: Sensor) -> Measurement:
    camera = sensor.camera
    if camera is None:
        raise Refused(f"sensor {sensor.config.id} is no camera with intrinsics in the site file")
    size = None
    if "box" in fields:
        x, y, width, height = _numbers(fields, "box", 4)
        if min(width, height) <= 0.0:
            raise Refused("box must have a width and height above zero")
        point, size = (x + 0.5 * width, y + 0.5 * height), math.sqrt(width * height)
    else:
        u, v = _numbers(fields, "point", 2)
        point = (u, v)
    if not bool(camera.sees(np.array(point))):
        raise Refused("the point lies outside the camera's picture")
    label, score = _label(fields)
    return point_report(point, camera, size_px=size, label=label, score=score)


def _bearing(fields: Fields) -> Measurement:
    azimuth = float(wrap_angle(math.radians(_number(fields, "azimuth", -360.0, 360.0))))
    z, sigmas, space = [azimuth], [_angle_sigma(fields, "sigma_azimuth")], Space.AZIMUTH
    if fields.get("elevation") is not None:
        z.append(math.radians(_number(fields, "elevation", -90.0, 90.0)))
        sigmas.append(_angle_sigma(fields, "sigma_elevation"))
        space = Space.BEARING
    if fields.get("range") is not None:
        if space is Space.AZIMUTH:
            raise Refused("a range needs an elevation beside the azimuth")
        z.append(_number(fields, "range", 0.1, _MOST_DISTANCE_M))
        sigmas.append(_sigma(fields, "sigma_range", _MOST_DISTANCE_M))
        space = Space.BEARING_RANGE
    label, score = _label(fields)
    return Measurement(space, tuple(z), _diagonal(*sigmas), label, score, propagation_mps=_wave(fields))


def _angle_sigma(fields: Fields, name: str) -> float:
    return max(math.radians(_sigma(fields, name, 180.0)), _LEAST_SIGMA_RAD)


def _wave(fields: Fields) -> float | None:
    wave = fields.get("wave")
    if wave is None or wave in ("light", "radio"):
        return None
    if wave == "sound":
        return SPEED_OF_SOUND_MPS
    raise Refused("wave must be sound, light or radio")


def _position(fields: Fields, frame: LocalFrame) -> Measurement:
    enu = _numbers(fields, "enu", 3) if "enu" in fields else _geodetic(fields, frame)
    if max(abs(v) for v in enu) > _MOST_DISTANCE_M:
        raise Refused(f"the position is over {_MOST_DISTANCE_M / 1000:.0f} km from the site")
    horizontal, vertical = _sigma(fields, "sigma_horizontal", 1e5), _sigma(fields, "sigma_vertical", 1e5)
    z, sigmas, space = list(enu), [horizontal, horizontal, vertical], Space.POSITION
    if fields.get("velocity") is not None:
        z += _numbers(fields, "velocity", 3)
        sigma = _sigma(fields, "sigma_velocity", 1e3) if "sigma_velocity" in fields else _VELOCITY_SIGMA_MPS
        sigmas, space = sigmas + [sigma] * 3, Space.POSITION_VELOCITY
    covariance = _stated_covariance(fields, len(z)) or _diagonal(*sigmas)
    label, score = _label(fields)
    return Measurement(space, tuple(z), covariance, label, score, claimed_id=_claimed_id(fields))


def _geodetic(fields: Fields, frame: LocalFrame) -> tuple[float, ...]:
    latitude, longitude = _number(fields, "latitude", -90.0, 90.0), _number(fields, "longitude", -180.0, 180.0)
    altitude = _number(fields, "altitude", -1000.0, 100_000.0)
    if latitude == 0.0 and longitude == 0.0:
        raise Refused("latitude and longitude 0 mean that there is no fix")
    if altitude == -1000.0:
        raise Refused("altitude -1000 means that it is unknown")
    enu: tuple[float, ...] = tuple(frame.to_enu(latitude, longitude, altitude).tolist())
    return enu


def _claimed_id(fields: Fields) -> str | None:
    name = fields.get("id")
    if name is None:
        return None
    if not isinstance(name, str) or not 0 < len(name) <= 64 or not name.isprintable():
        raise Refused("id must be a text of 1 to 64 printable characters")
    return name


def _stated_covariance(fields: Fields, d: int) -> tuple[float, ...] | None:
    """A full covariance in place of the sigmas, where a sensor gives one."""
    if fields.get("covariance") is None:
        return None
    stated = _numbers(fields, "covariance", d * d)
    if any(abs(stated[i * d + j] - stated[j * d + i]) > 1e-9 * (1.0 + abs(stated[i * d + j]))
           for i in range(d) for j in range(i)) or not _is_positive(stated, d):  # fmt: skip
        raise Refused("covariance must be symmetric and positive definite")
    return stated


def _is_positive(matrix: tuple[float, ...], d: int) -> bool:
    """Whether every Cholesky pivot is positive."""
    low = [[0.0] * d for _ in range(d)]
    for i in range(d):
        for j in range(i + 1):
            rest = matrix[i * d + j] - math.fsum(low[i][k] * low[j][k] for k in range(j))
            if i == j and rest <= 1e-12 * matrix[i * d + i]:
                return False
            low[i][j] = math.sqrt(rest) if i == j else rest / low[j][j]
    return True


def _diagonal(*sigmas: float) -> tuple[float, ...]:
    d = len(sigmas)
    return tuple(sigmas[i] ** 2 if i == j else 0.0 for i in range(d) for j in range(d))
