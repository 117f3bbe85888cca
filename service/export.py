"""A flight for other people's tools: GeoJSON, CSV, KML, CZML, MOTChallenge, a video with the tracks drawn in, a sound.

Altitudes are metres above the WGS-84 ellipsoid, as everywhere here. Viewers of KML take them as above sea level, so on
a globe with terrain a track may lie some ten metres off in height.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, NamedTuple
from xml.sax.saxutils import escape

import cv2
import numpy as np
import orjson

from models.types import Band, Frame
from service import foxglove
from service.answers import harmless
from service.export_sound import NoSoundError, arrays_with_sound, write_sound
from service.flight_file import Flight, Stored
from service.journal import image_topic
from service.mot import track_lines
from service.outputs import Header, VideoFile
from service.partial import STANDARD_OUTPUT, written
from service.schemas import best_class, rfc3339
from service.types import CameraUpdate, Envelope, WorldTrack, WorldUpdate, public_track_id

NS = 1_000_000_000
COLUMNS = (
    *("time", "id", "state", "class", "probability", "existence", "latitude", "longitude", "altitude"),
    *("east", "north", "up", "velocity_east", "velocity_north", "velocity_up"),
    *("sigma_east", "sigma_north", "sigma_up", "sensors", "claimed_id", "identity"),
)
IMAGE_COLUMNS = (
    *("time", "camera", "frame", "id", "state", "class", "score"),
    *("x", "y", "width", "height", "velocity_x", "velocity_y"),
)

Json = dict[str, Any]


class ExportError(Exception):
    """The flight does not hold what the format needs; one plain sentence."""


class Point(NamedTuple):
    """Where a track was: UTC, degrees, metres."""

    time_ns: int
    longitude: float
    latitude: float
    altitude: float


@dataclass(slots=True)
class Path3D:
    """A fused track from first to last; `name` is its last class, `claimed_id` what it last said of itself."""

    id: str
    name: str = ""
    claimed_id: str | None = None
    points: list[Point] = field(default_factory=list)

    def add(self, time_ns: int, shown: WorldTrack) -> None:
        self.name = best_class(shown.track.class_probabilities)
        self.claimed_id = shown.track.claimed_id or self.claimed_id
        self.points.append(
            Point(time_ns, round(shown.longitude_deg, 8), round(shown.latitude_deg, 8), round(shown.altitude_m, 3))
        )


def export(path: Path, format_: str, output: Path, camera: str | None = None, array: str | None = None) -> list[str]:
    """Write a flight in a format; what is to be told of it.

    Args:
        camera: for `mot`, `mp4`, and for a `csv` of one camera's tracks in its picture.
        array: for `wav`.

    Raises:
        ExportError: the flight does not hold what the format needs.
        FlightError, OSError: it cannot be read, or the output not be written.
    """
    with Flight(path) as flight:
        if format_ == "wav":
            return _sound(flight, output, array)
        if format_ == "csv":
            with written(output) as stream:
                count = _csv(flight, stream, _camera(flight, camera) if camera is not None else None)
        elif format_ in ("mot", "mp4"):
            count = _of_camera(flight, format_, output, _camera(flight, camera))
        else:
            paths = _paths(flight)
            with written(output) as stream:
                stream.write(_WRITERS[format_](paths, flight.about.site_name or path.stem))
            count = len(paths)
        told = [f"{count} {_COUNTED[format_]} written to {'standard output' if output == STANDARD_OUTPUT else output}"]
        return told + ([f"part of the recording is missing: {flight.losses}"] if flight.losses else [])


_COUNTED = {"csv": "rows", "mot": "looks", "mp4": "pictures", "geojson": "tracks", "kml": "tracks", "czml": "tracks"}


def _camera(flight: Flight, camera: str | None) -> str:
    names = sorted(flight.about.cameras)
    if camera is None and len(names) == 1:
        return names[0]
    if camera in names:
        return str(camera)
    asked = "Say which camera" if camera is None else f"There is no camera {camera!r}"
    raise ExportError(f"{asked}: give --camera with one of {', '.join(names) or '(the flight has none)'}.")


def _sound(flight: Flight, output: Path, array: str | None) -> list[str]:
    if output == STANDARD_OUTPUT:
        raise ExportError("A sound file cannot go to standard output: give --output a file name.")
    names = arrays_with_sound(flight)
    if array is None and len(names) > 1:
        raise ExportError(f"Say which array: give --array with one of {', '.join(names)}.")
    chosen = array or (names[0] if names else "any array")
    try:
        with written(output) as stream:
            pieces = write_sound(flight, stream, chosen)
    except NoSoundError as error:
        raise ExportError(str(error)) from None
    told = [f"sound of {chosen} written to {output}", *pieces]
    return told + ([f"part of the recording is missing: {flight.losses}"] if flight.losses else [])


# ── Of the site ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _paths(flight: Flight) -> list[Path3D]:
    """The fused tracks, in the order of their first points."""
    paths: dict[str, Path3D] = {}
    for envelope in flight.envelopes():
        if isinstance(envelope.message, WorldUpdate):
            for shown in envelope.message.tracks:
                track_id = shown.track.track_id
                paths.setdefault(track_id, Path3D(track_id)).add(envelope.message.time_ns, shown)
    if not paths:
        raise ExportError(
            f"{flight.path} holds no fused track, so nothing has a place on Earth: "
            "export csv --camera, mot or mp4, which are of one camera's picture."
        )
    return list(paths.values())


def geojson(paths: list[Path3D], name: str) -> bytes:
    """RFC 7946; times of the points as `coordinateProperties.times`."""
    features = [_feature(path) for path in paths]
    return orjson.dumps({"type": "FeatureCollection", "name": name, "features": features})


def _feature(path: Path3D) -> Json:
    places = [[p.longitude, p.latitude, p.altitude] for p in path.points]
    geometry: Json = {"type": "LineString", "coordinates": places}
    if len(places) == 1:  # a line has two ends
        geometry = {"type": "Point", "coordinates": places[0]}
    times = [rfc3339(p.time_ns) for p in path.points]
    properties = {"id": path.id, "class": path.name, "claimed_id": path.claimed_id, "start": times[0], "end": times[-1]}
    return {
        "type": "Feature",
        "id": path.id,
        "geometry": geometry,
        "properties": properties | {"coordinateProperties": {"times": times}},
    }


def kml(paths: list[Path3D], name: str) -> bytes:
    """OGC KML 2.3 / Google's extension `gx:Track`: a path with times."""
    placemarks = "".join(map(_placemark, paths))
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<kml xmlns="http://www.opengis.net/kml/2.2" xmlns:gx="http://www.google.com/kml/ext/2.2"><Document>\n'
        f"<name>{escape(name)}</name>\n{placemarks}</Document></kml>\n"
    ).encode()


def _placemark(path: Path3D) -> str:
    when = "".join(f"<when>{rfc3339(p.time_ns)}</when>" for p in path.points)
    places = "".join(f"<gx:coord>{p.longitude} {p.latitude} {p.altitude}</gx:coord>" for p in path.points)
    return (
        f"<Placemark><name>{escape(_title(path))}</name><gx:Track><altitudeMode>absolute</altitudeMode>"
        f"{when}{places}</gx:Track></Placemark>\n"
    )


def czml(paths: list[Path3D], name: str) -> bytes:
    """Cesium's language: https://github.com/AnalyticalGraphicsInc/czml-writer/wiki/CZML-Guide."""
    start = min(path.points[0].time_ns for path in paths)
    end = max(path.points[-1].time_ns for path in paths)
    interval = f"{rfc3339(start)}/{rfc3339(end)}"
    clock = {"interval": interval, "currentTime": rfc3339(start), "multiplier": 1}
    return orjson.dumps(
        [{"id": "document", "name": name, "version": "1.0", "clock": clock}, *(_packet(path) for path in paths)]
    )


def _packet(path: Path3D) -> Json:
    first = path.points[0].time_ns
    samples = [v for p in path.points for v in ((p.time_ns - first) / NS, p.longitude, p.latitude, p.altitude)]
    colour = {"rgba": [213, 94, 0, 255]}
    return {
        "id": path.id,
        "name": _title(path),
        "availability": f"{rfc3339(first)}/{rfc3339(path.points[-1].time_ns)}",
        "position": {"epoch": rfc3339(first), "cartographicDegrees": samples},
        "point": {"pixelSize": 8, "color": colour},
        "path": {"material": {"solidColor": {"color": colour}}, "width": 2, "leadTime": 0},
    }


def _title(path: Path3D) -> str:
    return f"{path.id} {path.name}" + (f" ({path.claimed_id})" if path.claimed_id else "")


_WRITERS: dict[str, Callable[[list[Path3D], str], bytes]] = {"geojson": geojson, "kml": kml, "czml": czml}


# ── Tables ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _csv(flight: Flight, stream: IO[bytes], camera: str | None) -> int:
    """RFC 4180; one row for each track of each update."""
    text = io.TextIOWrapper(stream, encoding="utf-8", newline="", write_through=True)
    writer = csv.writer(text)
    writer.writerow(COLUMNS if camera is None else IMAGE_COLUMNS)
    count = 0
    for envelope in flight.envelopes():
        for row in _rows(envelope, camera):
            writer.writerow(row)
            count += 1
    text.detach()
    return count


def _rows(envelope: Envelope, camera: str | None) -> Iterator[tuple[Any, ...]]:
    message = envelope.message
    if camera is None and isinstance(message, WorldUpdate):
        yield from (_row(message.time_ns, shown) for shown in message.tracks)
    elif isinstance(message, CameraUpdate) and message.sensor_id == camera:
        yield from _image_rows(message)


def _row(time_ns: int, shown: WorldTrack) -> tuple[Any, ...]:
    track = shown.track
    sigmas = [math.sqrt(max(track.covariance[7 * k], 0.0)) for k in range(3)]
    return (
        *(rfc3339(time_ns), track.track_id, track.status.value, best_class(track.class_probabilities)),
        *(round(max(track.class_probabilities), 4), round(track.existence, 4)),
        *(round(shown.latitude_deg, 8), round(shown.longitude_deg, 8), round(shown.altitude_m, 3)),
        *(round(v, 3) for v in (*track.mean[:6], *sigmas)),
        " ".join(sensor_id for sensor_id, _ in track.contributors),
        *(harmless(track.claimed_id or ""), track.identity.value),
    )


def _image_rows(update: CameraUpdate) -> Iterator[tuple[Any, ...]]:
    for track in update.tracks.tracks:
        yield (
            *(rfc3339(update.time_ns), update.sensor_id, update.sequence),
            *(public_track_id(update.sensor_id, track.track_id), track.status.value),
            *(best_class(track.class_probabilities), round(track.score, 4)),
            *(round(v, 2) for v in (*track.box, *track.velocity)),
        )


# ── Of one camera ───────────────────────────────────────────────────────────────────────────────────────────────────


def _of_camera(flight: Flight, format_: str, output: Path, camera: str) -> int:
    if format_ == "mot":
        with written(output) as stream:
            return _mot(flight, stream, camera)
    if output == STANDARD_OUTPUT:
        raise ExportError("A video cannot go to standard output: give --output a file name.")
    with written(output) as stream:
        return _mp4(flight, stream, camera)


def _mot(flight: Flight, stream: IO[bytes], camera: str) -> int:
    count = 0
    for envelope in flight.envelopes():
        if isinstance(envelope.message, CameraUpdate) and envelope.message.sensor_id == camera:
            stream.writelines(line.encode() for line in track_lines(envelope.message.tracks))
            count += 1
    return count


def _mp4(flight: Flight, stream: IO[bytes], camera: str) -> int:
    video: VideoFile | None = None
    start_ns = count = 0
    for frame, update in _pictures(flight, camera):
        if video is None:
            height, width = frame.pixels.shape[:2]
            video = VideoFile(stream)
            start_ns = frame.time_ns
            video.begin(Header(str(flight.path), frame.band, width, height, 30.0, 0.0, None, None, {}, ""))
        video.write((frame.time_ns - start_ns) / NS, frame, update.detections, update.tracks)
        count += 1
    if video is None:
        raise ExportError(
            f"{flight.path} holds no pictures of {camera}: record with `frames: all` or `frames: detections`."
        )
    video.close()
    return count


def _pictures(flight: Flight, camera: str) -> Iterator[tuple[Frame, CameraUpdate]]:
    """Each recorded picture with what was found in it."""
    band: Band = "infrared" if flight.about.cameras[camera].spectrum == "infrared" else "visible"
    picture: Stored | None = None
    for piece in flight.read():
        if isinstance(piece, Stored):
            picture = piece if piece.line == (image_topic(camera), foxglove.IMAGE) else picture
        elif isinstance(piece.message, CameraUpdate) and piece.message.sensor_id == camera and picture is not None:
            pixels = _decoded(picture)
            if pixels is not None and picture.publish_time_ns == piece.message.time_ns:
                yield Frame(camera, piece.message.time_ns, piece.message.sequence, band, pixels), piece.message
            picture = None


def _decoded(picture: Stored) -> Any:
    """Pixels uint8 [H, W, C], or None."""
    try:
        jpeg = foxglove.jpeg_of(bytes(picture.data))
    except ValueError:
        return None
    pixels = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_UNCHANGED)
    return None if pixels is None else pixels.reshape(*pixels.shape[:2], -1)
