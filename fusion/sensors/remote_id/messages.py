"""What a drone broadcasts of itself: the messages of ASTM F3411-22a (Direct Remote Identification, section 5.4.5).

Each message has 25 bytes, little-endian; a pack holds up to nine. Only what says who and where is decoded.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass

MESSAGE_BYTES = 25
MOST_IN_PACK = 9
_BASIC_ID, _LOCATION, _SYSTEM, _PACK = 0x0, 0x1, 0x4, 0xF
_BASIC = struct.Struct("<BB20s3x")
_PLACE = struct.Struct("<BBBBbiiHHHBBHBx")
_OPERATOR = struct.Struct("<BBiiHBHHBHIx")

#: Tables 7 and 8: what the accuracy codes bound, with a probability of 95 %, m and m/s; None unknown.
HORIZONTAL_M = (None, 18520.0, 7408.0, 3704.0, 1852.0, 926.0, 555.6, 185.2, 92.6, 30.0, 10.0, 3.0, 1.0)
VERTICAL_M = (None, 150.0, 45.0, 25.0, 10.0, 3.0, 1.0)
SPEED_MPS = (None, 10.0, 3.0, 1.0, 0.3)
_DEGREES = 1e-7
_NO_SPEED, _NO_CLIMB, _NO_TRACK, _NO_ALTITUDE, _NO_TIME = 255.0, 63.0, 360.0, -1000.0, 0xFFFF


class NoMessage(Exception):
    """Bytes that are no message; the text is the reason."""


@dataclass(frozen=True, slots=True)
class BasicId:
    """Who: serial number, registration or session id (table 5)."""

    id_type: int
    aircraft_type: int
    text: str


@dataclass(frozen=True, slots=True)
class Location:
    """Where (table 6). None: the aircraft does not know; degrees, metres, m/s.

    Attributes:
        status: 0 undeclared, 1 on the ground, 2 airborne, 3 emergency, 4 Remote ID failure.
        altitude_m: above the ellipsoid; `pressure_altitude_m` above the standard atmosphere's 1013.25 hPa.
        horizontal_m, vertical_m, speed_mps: bounds of 95 %.
        hour_s: seconds since the full UTC hour.
    """

    status: int
    latitude: float | None
    longitude: float | None
    altitude_m: float | None
    pressure_altitude_m: float | None
    velocity_mps: tuple[float, float, float] | None
    horizontal_m: float | None
    vertical_m: float | None
    speed_mps: float | None
    hour_s: float | None


@dataclass(frozen=True, slots=True)
class System:
    """Where the operator says to be (table 10). Personal data: nothing here passes it on."""

    latitude: float | None
    longitude: float | None
    altitude_m: float | None


Message = BasicId | Location | System


def decode(data: bytes) -> Iterator[Message]:
    """The messages of one broadcast, a single one or a pack; kinds not needed here are left out.

    Raises:
        NoMessage: a wrong length or kind.
    """
    if not data:
        raise NoMessage("it is empty")
    if data[0] >> 4 != _PACK:
        yield from _decode_one(data)
        return
    size, count = (data[1], data[2]) if len(data) >= 3 else (0, 0)
    if size != MESSAGE_BYTES or not 1 <= count <= MOST_IN_PACK or len(data) < 3 + size * count:
        raise NoMessage("a pack holds 1 to 9 messages of 25 bytes")
    for k in range(count):
        yield from _decode_one(data[3 + k * size : 3 + (k + 1) * size])


def encode_pack(messages: list[bytes]) -> bytes:
    """Several messages as one broadcast."""
    return bytes([_PACK << 4 | 2, MESSAGE_BYTES, len(messages)]) + b"".join(messages)


def encode_basic_id(text: str, id_type: int = 1, aircraft_type: int = 2) -> bytes:
    """By default the serial number of a multirotor."""
    return _BASIC.pack(_BASIC_ID << 4 | 2, id_type << 4 | aircraft_type, text.encode("ascii"))


def encode_location(
    latitude: float,
    longitude: float,
    altitude_m: float | None,
    velocity_mps: tuple[float, float, float],
    hour_s: float | None,
    accuracy: tuple[int, int, int],
) -> bytes:
    """Airborne, rounded as the standard rounds; `accuracy`: codes of the horizontal, vertical and speed accuracy."""
    east, north, up = velocity_mps
    speed, track = math.hypot(east, north), math.degrees(math.atan2(east, north)) % 360.0
    fast = speed > 63.75
    code = round((speed - 63.75) / 0.75) if fast else round(speed / 0.25)
    direction = round(track) % 360
    flags = 2 << 4 | (direction >= 180) << 1 | fast
    altitude = 0 if altitude_m is None else round((altitude_m + 1000.0) * 2.0)
    time = _NO_TIME if hour_s is None else round(hour_s % 3600.0 * 10.0) % 36000
    return _PLACE.pack(
        _LOCATION << 4 | 2,
        flags,
        direction % 180,
        min(code, 254),
        max(-124, min(124, round(up * 2.0))),
        round(latitude / _DEGREES),
        round(longitude / _DEGREES),
        0,
        max(0, min(altitude, 0xFFFF)),
        0,
        accuracy[1] << 4 | accuracy[0],
        accuracy[2],
        time,
        0,
    )


def _decode_one(data: bytes) -> Iterator[Message]:
    if len(data) != MESSAGE_BYTES:
        raise NoMessage(f"a message has {MESSAGE_BYTES} bytes, this one {len(data)}")
    match data[0] >> 4:
        case 0x0:
            yield _basic_id(data)
        case 0x1:
            yield _location(data)
        case 0x4:
            yield _system(data)
        case 0xF:
            raise NoMessage("a pack within a pack")


def _basic_id(data: bytes) -> BasicId:
    _, kinds, raw = _BASIC.unpack(data)
    text = raw.split(b"\0")[0].decode("ascii", "replace").strip()
    return BasicId(kinds >> 4, kinds & 0xF, text)


def _location(data: bytes) -> Location:
    (_, flags, direction, speed, climb, latitude, longitude, pressure, geodetic, _, places, speeds, time, _) = (
        _PLACE.unpack(data)
    )
    fix = (latitude, longitude) != (0, 0) and abs(latitude) <= 90 / _DEGREES and abs(longitude) <= 180 / _DEGREES
    return Location(
        flags >> 4,
        latitude * _DEGREES if fix else None,
        longitude * _DEGREES if fix else None,
        _altitude(geodetic),
        _altitude(pressure),
        _velocity(direction + 180 * (flags >> 1 & 1), speed * 0.75 + 63.75 if flags & 1 else speed * 0.25, climb * 0.5),
        _bound(HORIZONTAL_M, places & 0xF),
        _bound(VERTICAL_M, places >> 4),
        _bound(SPEED_MPS, speeds & 0xF),
        time / 10.0 if time < 36_000 else None,
    )


def _system(data: bytes) -> System:
    _, _, latitude, longitude, *_, altitude, _ = _OPERATOR.unpack(data)
    fix = (latitude, longitude) != (0, 0)
    return System(latitude * _DEGREES if fix else None, longitude * _DEGREES if fix else None, _altitude(altitude))


def _altitude(code: int) -> float | None:
    altitude = code * 0.5 + _NO_ALTITUDE
    return None if altitude == _NO_ALTITUDE else altitude


def _velocity(track_deg: float, speed: float, climb: float) -> tuple[float, float, float] | None:
    if speed >= _NO_SPEED or climb == _NO_CLIMB or track_deg > _NO_TRACK:
        return None
    track = math.radians(track_deg)
    return speed * math.sin(track), speed * math.cos(track), climb


def _bound(table: tuple[float | None, ...], code: int) -> float | None:
    return table[code] if code < len(table) else None
