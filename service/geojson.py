"""Tracks of the world as GeoJSON (RFC 7946): a point where the place is known well, else the ellipse it lies in.

A drone that one camera alone sees may be anywhere along a line of sight; a bare point would say what nobody knows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import orjson

from fusion.geometry import WGS84_A_M, wrap_azimuth_deg
from service.schemas import Json

MEDIA_TYPE = "application/geo+json"
PROBABILITY = 0.95
POINT_WITHIN_M = 50.0  # semi-major axis up to which a place is shown as a point
_CHI2 = 5.991464547107979  # 95 % of two degrees of freedom
_CORNERS = 32


def feature(track: Json) -> Json:
    """A Feature of a `Track` that has a place; its properties hold the whole track and `ellipse`.

    `ellipse`: where it is with a probability of 95 %, seen from above: half axes in metres, azimuth of the longer one.
    """
    ellipse = horizontal_ellipse(track["covariance"])
    known = ellipse["semi_major"] <= POINT_WITHIN_M
    geometry = _point(track) if known else _polygon(track, ellipse)
    return {"type": "Feature", "id": track["id"], "geometry": geometry, "properties": {**track, "ellipse": ellipse}}


def feature_collection(tracks: Sequence[Json]) -> bytes:
    """Those that have a place."""
    features = [feature(track) for track in tracks if track["latitude"] is not None]
    return orjson.dumps({"type": "FeatureCollection", "features": features})


def horizontal_ellipse(covariance: Sequence[float]) -> Json:
    """The 95 % ellipse of east and north of a row-major 6×6 covariance."""
    east, cross, north = covariance[0], covariance[1], covariance[7]
    middle, spread = 0.5 * (east + north), math.hypot(0.5 * (east - north), cross)
    angle = 0.5 * math.atan2(2.0 * cross, north - east)  # of the longer axis, from north towards east
    return {
        "semi_major": round(math.sqrt(_CHI2 * (middle + spread)), 3),
        "semi_minor": round(math.sqrt(_CHI2 * max(middle - spread, 0.0)), 3),
        "azimuth": round(wrap_azimuth_deg(math.degrees(angle)) % 180.0, 3),
        "probability": PROBABILITY,
    }


def _point(track: Json) -> Json:
    """Positions are longitude, latitude, altitude: RFC 7946, section 3.1.1."""
    return {"type": "Point", "coordinates": [track["longitude"], track["latitude"], track["altitude"]]}


def _polygon(track: Json, ellipse: Json) -> Json:
    """The ellipse around the track, counter-clockwise and closed (section 3.1.6), on a sphere of the Earth's size.

    It is cut at the poles and not at the date line: its longitudes may go beyond 180.
    """
    azimuth = math.radians(ellipse["azimuth"])
    per_north = math.degrees(1.0 / WGS84_A_M)
    per_east = per_north / max(math.cos(math.radians(track["latitude"])), 1e-6)
    ring = []
    for k in range(_CORNERS):
        turn = -2.0 * math.pi * k / _CORNERS  # azimuths fall: counter-clockwise
        along, across = ellipse["semi_major"] * math.cos(turn), ellipse["semi_minor"] * math.sin(turn)
        east = along * math.sin(azimuth) + across * math.cos(azimuth)
        north = along * math.cos(azimuth) - across * math.sin(azimuth)
        latitude = min(max(track["latitude"] + north * per_north, -90.0), 90.0)
        ring.append([round(track["longitude"] + east * per_east, 7), round(latitude, 7)])
    return {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}
