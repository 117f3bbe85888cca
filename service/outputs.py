"""Files that `deeplomatics track` writes: JSON lines, MOTChallenge, a video with boxes.

Each grows as `NAME.partial` and takes its name when it is whole, so a file with its right name is never cut short.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Protocol, Self

import orjson

from models.types import CLASSES, Band, Detections, Frame
from service.mot import track_lines
from tracking.types import ImageTrack, ImageTracks

LOWEST_SCORE = 0.05  # detections below are left out: enough for anyone's precision-recall curve


@dataclass(frozen=True, slots=True)
class Header:
    """What is said once of a recording. `t0` is the UTC second of its first frame, 0.0 when the recording does not say;
    `model` is None where the detections are someone else's."""

    source: str
    sensor: Band
    width: int
    height: int
    fps: float
    t0: float
    model: str | None
    model_sha256: str | None
    version: str


class Writer(Protocol):
    """One output of one or more recordings."""

    def begin(self, header: Header) -> None: ...

    def write(self, time_s: float, frame: Frame | None, detections: Detections, tracks: ImageTracks) -> None: ...


class PartialFile:
    """`path` once all went well, `path.partial` until then and if not.

    Raises:
        OSError: the folder is missing or may not be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.partial = path.with_name(path.name + ".partial")
        self.stream: IO[bytes] = self.partial.open("wb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if kind is None:
            self.stream.flush()
            os.fsync(self.stream.fileno())
        self.stream.close()
        if kind is None:
            self.partial.replace(self.path)


class StandardOutput:
    """The same for `-`: what has left cannot be taken back."""

    partial = None

    def __init__(self) -> None:
        self.stream: IO[bytes] = sys.stdout.buffer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stream.flush()


class JsonLines:
    """The format of `docs/` and INTERFACES: a header, then one line per frame."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def begin(self, header: Header) -> None:
        self._line({"type": "header"} | {name: getattr(header, name) for name in Header.__dataclass_fields__})

    def write(self, time_s: float, frame: Frame | None, detections: Detections, tracks: ImageTracks) -> None:
        self._line(
            {
                "type": "frame",
                "frame": detections.sequence,
                "time": round(time_s, 6),
                "detections": found(detections),
                "tracks": [followed(track) for track in tracks.tracks],
            }
        )

    def _line(self, record: dict[str, Any]) -> None:
        self._stream.write(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE))


def found(detections: Detections) -> list[dict[str, Any]]:
    """Detections as JSON, best first."""
    rows = zip(detections.boxes.tolist(), detections.scores.tolist(), detections.class_scores.tolist(), strict=True)
    return [
        {
            "class": CLASSES[scores.index(max(scores))],
            "score": round(score, 4),
            "box": [round(value, 2) for value in box],
            "scores": {name: round(value, 4) for name, value in zip(CLASSES, scores, strict=True)},
        }
        for box, score, scores in rows
        if score >= LOWEST_SCORE
    ]


def followed(track: ImageTrack) -> dict[str, Any]:
    """A track as JSON."""
    probabilities = track.class_probabilities
    return {
        "id": track.track_id,
        "state": track.status.value,
        "class": CLASSES[probabilities.index(max(probabilities))],
        "score": round(track.score, 4),
        "box": [round(value, 2) for value in track.box],
        "velocity": [round(value, 2) for value in track.velocity],
    }


class MotFile:
    """Tracks as the kits of MOTChallenge read them."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def begin(self, header: Header) -> None:
        pass

    def write(self, time_s: float, frame: Frame | None, detections: Detections, tracks: ImageTracks) -> None:
        for line in track_lines(tracks):
            self._stream.write(line.encode())
