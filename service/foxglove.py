"""Pictures, sound, boxes and the map in Foxglove's well-known schemas, so that its viewer and others open a flight.

JSON encoding of https://docs.foxglove.dev/docs/visualization/message-schemas: `CompressedImage`, `RawAudio`,
`ImageAnnotations`, `LocationFix`, `GeoJSON`. The schemas here name what these messages hold; fields of the originals
that are optional and never written are left out. Sound has two of ours besides: its place in the stream, which tells
gaps, and how well its time is known.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson

from fusion.geometry import LocalFrame
from fusion.sensors.microphone_array.pcm import Pcm
from fusion.sensors.microphone_array.source import Block
from fusion.site import Sensor
from models.types import Detections
from service.overlay import COLOURS
from service.schemas import best_class
from service.types import WorldTrack
from simulation.truth import Truth
from tracking.types import ImageTrack, ImageTracks, Status

Json = dict[str, Any]
LINE_LOOP = 2
COVARIANCE_KNOWN, COVARIANCE_UNKNOWN = 3, 0
TEXT_PX = 12.0
_PCM, _FULL_SCALE = "pcm-s16", 32_768
_MOST_RATE_HZ, _MOST_CHANNELS = 1_000_000, 1024
_CLEAR = {"r": 0.0, "g": 0.0, "b": 0.0, "a": 0.0}
_TRUE = "#888888"
_WHITE = {"r": 1.0, "g": 1.0, "b": 1.0, "a": 0.6}


def _time(time_ns: int) -> Json:
    return {"sec": time_ns // 1_000_000_000, "nsec": time_ns % 1_000_000_000}


# ── Messages ────────────────────────────────────────────────────────────────────────────────────────────────────────


def compressed_image(sensor_id: str, time_ns: int, jpeg: bytes) -> bytes:
    data = base64.b64encode(jpeg).decode("ascii")
    return orjson.dumps({"timestamp": _time(time_ns), "frame_id": sensor_id, "format": "jpeg", "data": data})


def jpeg_of(compressed: bytes) -> bytes:
    """The picture of a `CompressedImage`.

    Raises:
        ValueError: it is none.
    """
    body = orjson.loads(compressed)
    if not isinstance(body, dict) or not isinstance(body.get("data"), str):
        raise ValueError("a picture without data")
    return base64.b64decode(body["data"], validate=True)


def raw_audio(block: Block) -> bytes:
    """A block as 16 bits, which is exact for sources of 16 bits; what is beyond full scale is clipped."""
    scaled = np.clip(np.rint(block.samples.T * np.float32(_FULL_SCALE)), -_FULL_SCALE, _FULL_SCALE - 1)
    return orjson.dumps(
        {
            "timestamp": _time(block.time_ns),
            "data": base64.b64encode(scaled.astype("<i2").tobytes()).decode("ascii"),
            "format": _PCM,
            "sample_rate": block.rate_hz,
            "number_of_channels": len(block.samples),
            "index": block.index,
            "time_sigma_ns": block.time_sigma_ns,
        }
    )


def block_of(sensor_id: str, audio: bytes) -> Block:
    """The block of a `RawAudio` that `raw_audio` wrote.

    Raises:
        ValueError: it is none.
    """
    body = orjson.loads(audio)
    try:
        when, rate_hz, channels = body["timestamp"], int(body["sample_rate"]), int(body["number_of_channels"])
        data = base64.b64decode(body["data"], validate=True)
        index, sigma_ns = int(body["index"]), int(body["time_sigma_ns"])
        time_ns = int(when["sec"]) * 1_000_000_000 + int(when["nsec"])
    except (KeyError, TypeError, binascii.Error):
        raise ValueError("no sound of this program") from None
    if body.get("format") != _PCM or not 0 < rate_hz <= _MOST_RATE_HZ or not 0 < channels <= _MOST_CHANNELS:
        raise ValueError("sound of a format that is not known here")
    if len(data) % (2 * channels):
        raise ValueError("sound that ends within a sample")
    return Block(sensor_id, index, time_ns, rate_hz, Pcm(rate_hz, channels, "s16le").decode(data), sigma_ns)


def image_annotations(found: Detections, tracks: ImageTracks, least_score: float) -> bytes:
    """Tracks in the colour of their class with their number, and detections of some score thin and white."""
    time = _time(tracks.time_ns)
    strong = [
        box for box, score in zip(found.boxes.tolist(), found.scores.tolist(), strict=True) if score >= least_score
    ]
    shown = [track for track in tracks.tracks if track.status is not Status.DELETED]
    points = [_outline(time, box, _WHITE, 1.0) for box in strong]
    points += [_outline(time, track.box, _colour(track), _thickness(track)) for track in shown]
    texts = [_label(time, track) for track in shown if track.status is not Status.TENTATIVE]
    return orjson.dumps({"circles": [], "points": points, "texts": texts})


def _outline(time: Json, box: Sequence[float], colour: Json, thickness: float) -> Json:
    x, y, width, height = box
    corners = ((x, y), (x + width, y), (x + width, y + height), (x, y + height))
    return {
        "timestamp": time,
        "type": LINE_LOOP,
        "points": [{"x": u, "y": v} for u, v in corners],
        "outline_color": colour,
        "outline_colors": [],
        "fill_color": _CLEAR,
        "thickness": thickness,
        "metadata": [],
    }


def _label(time: Json, track: ImageTrack) -> Json:
    return {
        "timestamp": time,
        "position": {"x": track.box[0], "y": track.box[1] - 2.0},
        "text": f"{track.track_id} {best_class(track.class_probabilities)} {track.score:.2f}",
        "font_size": TEXT_PX,
        "text_color": _colour(track),
        "background_color": _CLEAR,
        "metadata": [],
    }


def _colour(track: ImageTrack) -> Json:
    blue, green, red = COLOURS[best_class(track.class_probabilities)]
    return {"r": red / 255, "g": green / 255, "b": blue / 255, "a": 1.0}


def _thickness(track: ImageTrack) -> float:
    return 2.0 if track.status is Status.CONFIRMED else 1.0


def location_fix(sensor: Sensor, frame: LocalFrame, time_ns: int) -> bytes | None:
    """Where a sensor stands; None where the site does not say."""
    if sensor.pose is None:
        return None
    latitude, longitude, altitude = (float(v) for v in frame.to_geodetic(sensor.pose.position_m))
    variance = sensor.pose.position_sigma_m**2
    return orjson.dumps(
        {
            "timestamp": _time(time_ns),
            "frame_id": sensor.config.id,
            "latitude": latitude,
            "longitude": longitude,
            "altitude": altitude,
            "position_covariance": [variance, 0.0, 0.0, 0.0, variance, 0.0, 0.0, 0.0, variance],
            "position_covariance_type": COVARIANCE_KNOWN if variance else COVARIANCE_UNKNOWN,
        }
    )


def track_map(tracks: Sequence[WorldTrack]) -> bytes:
    """Where the tracks are, as `GeoJSON`, which holds GeoJSON as text."""
    collection = {"type": "FeatureCollection", "features": [_feature(track) for track in tracks]}
    return orjson.dumps({"geojson": orjson.dumps(collection).decode()})


def truth_map(truth: Truth, frame: LocalFrame) -> bytes:
    """What really flies, in grey."""
    features = []
    for each in truth.objects:
        latitude, longitude, altitude = (float(v) for v in frame.to_geodetic(each.position_m))
        features.append(_point(f"{each.name} ({each.class_name})", _TRUE, latitude, longitude, altitude))
    return orjson.dumps({"geojson": orjson.dumps({"type": "FeatureCollection", "features": features}).decode()})


def _feature(placed: WorldTrack) -> Json:
    name = best_class(placed.track.class_probabilities)
    blue, green, red = COLOURS[name]
    place = placed.latitude_deg, placed.longitude_deg, placed.altitude_m
    return _point(f"{placed.track.track_id} {name}", f"#{red:02x}{green:02x}{blue:02x}", *place)


def _point(name: str, colour: str, latitude: float, longitude: float, altitude: float) -> Json:
    position = [round(longitude, 8), round(latitude, 8), round(altitude, 2)]
    properties = {"name": name, "style": {"color": colour}}
    return {"type": "Feature", "geometry": {"type": "Point", "coordinates": position}, "properties": properties}


# ── Schemas ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _object(title: str, **properties: Json) -> Json:
    return {"title": title, "type": "object", "properties": properties, "required": list(properties)}


def _list(items: Json) -> Json:
    return {"type": "array", "items": items}


_NUMBER: Json = {"type": "number"}
_STRING: Json = {"type": "string"}
_INTEGER: Json = {"type": "integer"}
_TIME = _object("time", sec=_INTEGER | {"minimum": 0}, nsec=_INTEGER | {"minimum": 0, "maximum": 999_999_999})
_COLOUR = _object("foxglove.Color", r=_NUMBER, g=_NUMBER, b=_NUMBER, a=_NUMBER)
_POINT = _object("foxglove.Point2", x=_NUMBER, y=_NUMBER)
_PAIR = _object("foxglove.KeyValuePair", key=_STRING, value=_STRING)
_POINTS = _object(
    "foxglove.PointsAnnotation",
    timestamp=_TIME,
    type=_INTEGER,
    points=_list(_POINT),
    outline_color=_COLOUR,
    outline_colors=_list(_COLOUR),
    fill_color=_COLOUR,
    thickness=_NUMBER,
    metadata=_list(_PAIR),
)
_TEXT = _object(
    "foxglove.TextAnnotation",
    timestamp=_TIME,
    position=_POINT,
    text=_STRING,
    font_size=_NUMBER,
    text_color=_COLOUR,
    background_color=_COLOUR,
    metadata=_list(_PAIR),
)
IMAGE, ANNOTATIONS = "foxglove.CompressedImage", "foxglove.ImageAnnotations"
SOUND = "foxglove.RawAudio"
FIX, GEOJSON = "foxglove.LocationFix", "foxglove.GeoJSON"

SCHEMAS: dict[str, bytes] = {
    schema["title"]: orjson.dumps(schema)
    for schema in (
        _object(
            IMAGE,
            timestamp=_TIME,
            frame_id=_STRING,
            data=_STRING | {"contentEncoding": "base64"},
            format=_STRING,
        ),
        _object(
            SOUND,
            timestamp=_TIME,
            data=_STRING | {"contentEncoding": "base64"},
            format=_STRING,
            sample_rate=_INTEGER,
            number_of_channels=_INTEGER,
            index=_INTEGER,
            time_sigma_ns=_INTEGER,
        ),
        _object(ANNOTATIONS, circles=_list({"type": "object"}), points=_list(_POINTS), texts=_list(_TEXT)),
        _object(
            FIX,
            timestamp=_TIME,
            frame_id=_STRING,
            latitude=_NUMBER,
            longitude=_NUMBER,
            altitude=_NUMBER,
            position_covariance=_list(_NUMBER) | {"minItems": 9, "maxItems": 9},
            position_covariance_type=_INTEGER,
        ),
        _object(GEOJSON, geojson=_STRING),
    )
}
