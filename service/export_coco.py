"""Pictures of a flight that people have spoken about, as labelled data: COCO (https://cocodataset.org/#format-data).

A mark of a track of the site counts for the tracks in pictures that it was made of. What was called no drone, and no
other class either, gets no box: its place is background now. Boxes of tracks nobody spoke about are there as regions
that say nothing (`iscrowd`), as are those of a track that was not detected in a picture. Beside COCO's own fields an
image has `camera`, `spectrum` and `time_ns`, and an annotation `track` and `mark`, so that pictures can be put in their
order again: `models.coco` makes clips of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import orjson

from models.types import CLASSES
from service import foxglove
from service.export import ExportError
from service.flight_file import Flight, Stored
from service.journal import image_topic
from service.partial import written
from service.said import marks_from, newest
from service.schemas import rfc3339
from service.types import CameraUpdate, Mark, Verdict, WorldUpdate, public_mark_id, public_track_id
from tracking.types import ImageTrack, Status

ANNOTATIONS = "annotations.json"

Json = dict[str, Any]


def export_coco(path: Path, output: Path, where: str | None = None) -> list[str]:
    """Write the folder; what is to be told of it.

    Args:
        output: a new or empty folder.
        where: marks beside those in the flight: a service's address, or a file (`service.said`).

    Raises:
        ExportError: nobody spoke about a track that has a picture, or the folder is not empty.
        SaidError, RecordError, FlightError, OSError: see there.
    """
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise ExportError(f"{output} is there already and not an empty folder: give another name.")
    with Flight(path) as flight:
        words = _words(flight, marks_from(where) if where is not None else [])
        data = _DataSet(output)
        for picture in _pictures(flight):
            data.add(picture, words)
        if not data.images:
            raise ExportError(
                f"{path} holds no picture of a track that somebody marked: mark tracks in the console, name the "
                "service with --marks, and record with `frames: detections` or `frames: all`."
            )
        with written(output / ANNOTATIONS) as stream:
            stream.write(orjson.dumps(data.document(flight.about.site_name or path.stem), option=orjson.OPT_INDENT_2))
        told = [f"{len(data.images)} pictures with {data.labelled} labelled boxes written to {output}"]
        return told + ([f"part of the recording is missing: {flight.losses}"] if flight.losses else [])


class _Picture(NamedTuple):
    """As it was recorded, with what was found in it."""

    spectrum: str
    jpeg: bytes
    update: CameraUpdate


def _words(flight: Flight, more: list[Mark]) -> dict[str, Mark]:
    """What people said, by the track in a picture that it is about; of the track itself before that of the site's."""
    said, parts = list(more), dict[str, Counter[str]]()
    for envelope in flight.envelopes():
        match envelope.message:
            case Mark():
                said.append(envelope.message)
            case WorldUpdate():
                for shown in envelope.message.tracks:
                    for source in shown.track.source_tracks:
                        parts.setdefault(source, Counter())[shown.track.track_id] += 1
    counts = newest(said)
    of_site = {source: counts.get(ids.most_common(1)[0][0]) for source, ids in parts.items()}
    return {source: mark for source, mark in of_site.items() if mark is not None} | counts


def _pictures(flight: Flight) -> Iterator[_Picture]:
    waiting: dict[str, Stored] = {}
    topics = {image_topic(camera): camera for camera in flight.about.cameras}
    for piece in flight.read():
        if isinstance(piece, Stored):
            if piece.line.schema == foxglove.IMAGE and piece.line.topic in topics:
                waiting[topics[piece.line.topic]] = piece
        elif isinstance(piece.message, CameraUpdate):
            update = piece.message
            stored = waiting.pop(update.sensor_id, None)
            if stored is not None and stored.publish_time_ns == update.time_ns:
                try:
                    jpeg = foxglove.jpeg_of(bytes(stored.data))
                except ValueError:
                    continue
                yield _Picture(flight.about.cameras[update.sensor_id].spectrum, jpeg, update)


@dataclass(slots=True)
class _DataSet:
    folder: Path
    images: list[Json] = field(default_factory=list)
    annotations: list[Json] = field(default_factory=list)
    labelled: int = 0

    def add(self, picture: _Picture, words: Mapping[str, Mark]) -> None:
        """One more picture, if somebody spoke about a track in it."""
        update = picture.update
        named = [(public_track_id(update.sensor_id, track.track_id), track) for track in update.tracks.tracks]
        if not any(track_id in words for track_id, _ in named):
            return
        size = _size(picture.jpeg)
        if size is None:
            return
        name = f"images/{update.sensor_id}/{update.time_ns}.jpg"
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_bytes(picture.jpeg)
        number = len(self.images) + 1
        image = {"id": number, "file_name": name, "width": size[0], "height": size[1]}
        image |= {"date_captured": rfc3339(update.time_ns), "camera": update.sensor_id}
        self.images.append(image | {"spectrum": picture.spectrum, "time_ns": update.time_ns})
        for track_id, track in named:
            self._annotate(number, track_id, track, update, words.get(track_id))

    def _annotate(self, image: int, track_id: str, track: ImageTrack, update: CameraUpdate, mark: Mark | None) -> None:
        if mark is None and track.status is Status.TENTATIVE:
            return  # hardly anything is behind it; the picture says so
        if mark is not None and mark.verdict is Verdict.NOT_DRONE:
            return
        seen = track.detection is not None and mark is not None
        box = update.detections.boxes[track.detection].tolist() if seen else list(track.box)
        name = mark.verdict.value if mark is not None else _called(track)
        self.labelled += int(seen)
        self.annotations.append(
            {
                "id": len(self.annotations) + 1,
                "image_id": image,
                "category_id": CLASSES.index(name) + 1,
                "bbox": [round(value, 2) for value in box],
                "area": round(box[2] * box[3], 2),
                "iscrowd": int(not seen),
                "track": track_id,
                "mark": None if mark is None else public_mark_id(mark.number),
            }
        )

    def document(self, title: str) -> Json:
        categories = [{"id": k + 1, "name": name, "supercategory": "aircraft"} for k, name in enumerate(CLASSES)]
        return {
            "info": {"description": f"{title}: what people said of its tracks", "version": "1"},
            "licenses": [],
            "categories": categories,
            "images": self.images,
            "annotations": self.annotations,
        }


def _called(track: ImageTrack) -> str:
    return CLASSES[int(np.argmax(track.class_probabilities))]


def _size(jpeg: bytes) -> tuple[int, int] | None:
    """Width and height; None where it is no picture."""
    pixels = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_UNCHANGED)
    return None if pixels is None else (pixels.shape[1], pixels.shape[0])
