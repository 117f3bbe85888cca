"""What anyone's sensor reports: bearings (with or without range, of light, radio or sound) and positions."""

from __future__ import annotations

import math

from fusion.fields import Fields, Refused, angle_sigma, covariance, diagonal, label, name, number, numbers, sigma
from fusion.geometry import LocalFrame, wrap_angle
from fusion.site import Sensor
from fusion.types import Measurement, Space

SPEED_OF_SOUND_MPS = 343.0  # dry air at 20 °C
_MOST_DISTANCE_M = 100_000.0
_MOST_SPEED_MPS = 1_000.0
_VELOCITY_SIGMA_MPS = 1.0


def read_bearing(fields: Fields, sensor: Sensor, frame: LocalFrame) -> Measurement:
    """`azimuth`, `elevation`, `range` as far as they are known, each with its sigma; `wave`."""
    azimuth = float(wrap_angle(math.radians(number(fields, "azimuth", -360.0, 360.0))))
    z, sigmas, space = [azimuth], [angle_sigma(fields, "sigma_azimuth")], Space.AZIMUTH
    if fields.get("elevation") is not None:
        z.append(math.radians(number(fields, "elevation", -90.0, 90.0)))
        sigmas.append(angle_sigma(fields, "sigma_elevation"))
        space = Space.BEARING
    if fields.get("range") is not None:
        if space is Space.AZIMUTH:
            raise Refused("a range needs an elevation beside the azimuth")
        z.append(number(fields, "range", 0.1, _MOST_DISTANCE_M))
        sigmas.append(sigma(fields, "sigma_range", _MOST_DISTANCE_M))
        space = Space.BEARING_RANGE
    return Measurement(space, tuple(z), diagonal(*sigmas), *label(fields), propagation_mps=_wave(fields))


def read_position(fields: Fields, sensor: Sensor, frame: LocalFrame) -> Measurement:
    """A place, as `enu` or geodetic, with its sigmas or a whole `covariance`; `velocity`; `id` where it is a claim."""
    enu = numbers(fields, "enu", 3) if "enu" in fields else _geodetic(fields, frame)
    if max(abs(v) for v in enu) > _MOST_DISTANCE_M:
        raise Refused(f"the position is over {_MOST_DISTANCE_M / 1000:.0f} km from the site")
    horizontal, vertical = sigma(fields, "sigma_horizontal", 1e5), sigma(fields, "sigma_vertical", 1e5)
    z, sigmas, space = list(enu), [horizontal, horizontal, vertical], Space.POSITION
    if fields.get("velocity") is not None:
        z += _velocity(fields)
        stated = sigma(fields, "sigma_velocity", 1e3) if "sigma_velocity" in fields else _VELOCITY_SIGMA_MPS
        sigmas, space = sigmas + [stated] * 3, Space.POSITION_VELOCITY
    spread = covariance(fields, len(z)) or diagonal(*sigmas)
    return Measurement(space, tuple(z), spread, *label(fields), claimed_id=name(fields, "id"))


READERS = {"bearing": read_bearing, "position": read_position}


def _wave(fields: Fields) -> float | None:
    wave = fields.get("wave")
    if wave is None or wave in ("light", "radio"):
        return None
    if wave == "sound":
        return SPEED_OF_SOUND_MPS
    raise Refused("wave must be sound, light or radio")


def _geodetic(fields: Fields, frame: LocalFrame) -> tuple[float, ...]:
    latitude, longitude = number(fields, "latitude", -90.0, 90.0), number(fields, "longitude", -180.0, 180.0)
    altitude = number(fields, "altitude", -1000.0, 100_000.0)
    if latitude == 0.0 and longitude == 0.0:
        raise Refused("latitude and longitude 0 mean that there is no fix")
    if altitude == -1000.0:
        raise Refused("altitude -1000 means that it is unknown")
    enu: tuple[float, ...] = tuple(frame.to_enu(latitude, longitude, altitude).tolist())
    return enu


def _velocity(fields: Fields) -> tuple[float, ...]:
    velocity = numbers(fields, "velocity", 3)
    if max(abs(v) for v in velocity) > _MOST_SPEED_MPS:
        raise Refused(f"velocity is over {_MOST_SPEED_MPS:.0f} m/s")
    return velocity
