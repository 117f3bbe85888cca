"""What a Remote ID receiver heard, as a claim of the site: `{"kind": "remote_id", "message": "F219…"}`, in hex.

The message is one broadcast (see `messages`): a pack, or several messages joined by the receiver as a list `messages`.
It has to say who (Basic ID) and where (Location). A claim may be a lie: it never moves a track (`fusion.identity`).
"""

from __future__ import annotations

import math
from typing import TypeVar

from fusion.fields import Fields, Refused, diagonal
from fusion.geometry import LocalFrame
from fusion.sensors.remote_id.messages import BasicId, Location, Message, NoMessage, decode
from fusion.site import Sensor
from fusion.types import Measurement, Space

_MOST_HEX = 2 * (3 + 9 * 25)
_MOST_MESSAGES = 9
_MOST_DISTANCE_M = 100_000.0
#: 95 % of one and of two dimensions, in standard deviations.
_SIGMAS_1D, _SIGMAS_2D = 1.96, 2.4477
_UNKNOWN_BOUND_M, _UNKNOWN_BOUND_MPS = 50.0, 5.0
#: An aircraft that does not know its height flies somewhere in the lowest few hundred metres.
_MIDDLE_M, _MIDDLE_SIGMA_M = 60.0, 100.0
_ROUNDING_MPS = (0.35, 0.35, 0.15)  # σ of whole degrees of track at 60 m/s, of speed in 0.25 and climb in 0.5 m/s

Wanted = TypeVar("Wanted", BasicId, Location)


def read_remote_id(fields: Fields, sensor: Sensor, frame: LocalFrame) -> Measurement:
    """Place and velocity that an aircraft claims, under its id."""
    messages = [message for text in _texts(fields) for message in _decoded(text)]
    who, where = _last(messages, BasicId), _last(messages, Location)
    if who is None or not who.text or not who.text.isprintable():
        raise Refused("the message has no Basic ID: join it with one of the same transmitter")
    if where is None:
        raise Refused("the message has no Location: join it with one of the same transmitter")
    if where.latitude is None or where.longitude is None:
        raise Refused("latitude and longitude 0 mean that there is no fix")
    return _claim(who, where, where.latitude, where.longitude, frame)


READERS = {"remote_id": read_remote_id}


def _claim(who: BasicId, where: Location, latitude: float, longitude: float, frame: LocalFrame) -> Measurement:
    height_known = where.altitude_m is not None
    altitude = where.altitude_m if where.altitude_m is not None else frame.origin.altitude_m + _MIDDLE_M
    enu = frame.to_enu(latitude, longitude, altitude).tolist()
    if max(map(abs, enu)) > _MOST_DISTANCE_M:
        raise Refused(f"the position is over {_MOST_DISTANCE_M / 1000:.0f} km from the site")
    level = (where.horizontal_m or _UNKNOWN_BOUND_M) / _SIGMAS_2D
    upward = (where.vertical_m or _UNKNOWN_BOUND_M) / _SIGMAS_1D if height_known else _MIDDLE_SIGMA_M
    if where.velocity_mps is None:
        return Measurement(Space.POSITION, tuple(enu), diagonal(level, level, upward), claimed_id=who.text)
    speed = (where.speed_mps or _UNKNOWN_BOUND_MPS) / _SIGMAS_1D
    sigmas = (level, level, upward, *(math.hypot(speed, rounding) for rounding in _ROUNDING_MPS))
    z = (*enu, *where.velocity_mps)
    return Measurement(Space.POSITION_VELOCITY, z, diagonal(*sigmas), claimed_id=who.text)


def _texts(fields: Fields) -> list[str]:
    several = fields.get("messages", [fields.get("message")])
    if not isinstance(several, list) or not 0 < len(several) <= _MOST_MESSAGES:
        raise Refused(f"messages must be a list of 1 to {_MOST_MESSAGES} texts in hex")
    texts = [text for text in several if isinstance(text, str) and len(text) <= _MOST_HEX]
    if len(texts) < len(several):
        raise Refused(f"message must be a text of at most {_MOST_HEX} hex digits")
    return texts


def _decoded(text: str) -> list[Message]:
    try:
        return list(decode(bytes.fromhex(text)))
    except NoMessage as error:
        raise Refused(f"this is no Remote ID message: {error}") from None
    except ValueError:
        raise Refused("message must be written in hex") from None


def _last(messages: list[Message], wanted: type[Wanted]) -> Wanted | None:
    return next((message for message in reversed(messages) if isinstance(message, wanted)), None)
