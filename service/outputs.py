"""Files that `deeplomatics track` writes: JSON lines, MOTChallenge, a video with boxes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from typing import IO, Any

import av
import cv2
import numpy as np
import orjson

from models.types import CLASSES, Band, Detections, Frame
from service.mot import track_lines
from service.overlay import draw
from tracking.types import ImageTrack, ImageTracks

LOWEST_SCORE = 0.05  # detections below are left out; enough for anyone's precision-recall curve
TICK = Fraction(1, 90_000)  # of video time


@dataclass(frozen=True, slots=True)
class Header:
    """What is said once of a recording.

    Attributes:
        t0: UTC seconds of its first frame; 0.0 when the recording does not say.
        model, model_sha256: of the detector; None where the detections are someone else's.
        thresholds: operating score per class, with which the tracker ran; it has its own for classes not named.
        calibration: slope and offset per class: a score's probability is σ(slope · logit(score) + offset).
    """

    source: str
    sensor: Band
    width: int
    height: int
    fps: float
    t0: float
    model: str | None
    model_sha256: str | None
    thresholds: dict[str, float]
    version: str
    calibration: dict[str, tuple[float, float]] = field(default_factory=dict)


class Writer(ABC):
    """One output of one or more recordings."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    @abstractmethod
    def begin(self, header: Header) -> None:
        """The next recording."""

    @abstractmethod
    def write(self, time_s: float, frame: Frame | None, detections: Detections, tracks: ImageTracks) -> None:
        """One frame, `time_s` after the first; `frame` is None where there is no picture."""

    def close(self) -> None:
        """All is written, or something failed."""
        self._stream.flush()


class JsonLines(Writer):
    """A header for each recording, then one line per frame."""

    def begin(self, header: Header) -> None:
        self._line({"type": "header"} | asdict(header))

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
    columns = (detections.boxes.tolist(), detections.scores.tolist(), detections.class_scores.tolist())
    return [
        {
            "class": CLASSES[scores.index(max(scores))],
            "score": round(score, 4),
            "box": [round(value, 2) for value in box],
            "scores": {name: round(value, 4) for name, value in zip(CLASSES, scores, strict=True)},
        }
        for box, score, scores in zip(*columns, strict=True)
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


class MotFile(Writer):
    """Tracks as the kits of MOTChallenge read them."""

    def begin(self, header: Header) -> None:
        """The format has no header."""

    def write(self, time_s: float, frame: Frame | None, detections: Detections, tracks: ImageTracks) -> None:
        self._stream.writelines(line.encode() for line in track_lines(tracks))


class VideoFile(Writer):
    """H.264 in MP4, the tracks drawn in, at the recording's own times. A picture of another size than the first is
    scaled to it."""

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__(stream)
        self._container = av.open(stream, "w", format="mp4")
        self._video: Any = None

    def begin(self, header: Header) -> None:
        self._video = self._container.add_stream("libx264", rate=Fraction(header.fps or 30).limit_denominator(1001))
        self._video.width, self._video.height = _even(header.width), _even(header.height)
        self._video.pix_fmt = "yuv420p"
        self._video.codec_context.time_base = TICK
        self._video.options = {"preset": "veryfast", "crf": "20"}

    def write(self, time_s: float, frame: Frame | None, detections: Detections, tracks: ImageTracks) -> None:
        assert frame is not None, "a video needs pictures"
        drawn = draw(frame.pixels, tracks)
        size = (self._video.width, self._video.height)
        if drawn.shape[1::-1] != size:
            drawn = np.asarray(cv2.resize(drawn, size, interpolation=cv2.INTER_LINEAR), np.uint8)
        picture = av.VideoFrame.from_ndarray(drawn, format="bgr24")
        picture.pts, picture.time_base = round(time_s / TICK), TICK
        self._container.mux(self._video.encode(picture))

    def close(self) -> None:
        if self._video is not None:
            self._container.mux(self._video.encode(None))
        self._container.close()
        super().close()


def _even(length: int) -> int:
    """Up to the next even number: the codec halves the colour planes."""
    return length + length % 2
