"""MOTChallenge files: other people's detections in, our tracks out.

Lines are `frame, id, left, top, width, height, confidence, …` with frames counted from 1 (Leal-Taixé et al. 2015,
"MOTChallenge 2015: Towards a Benchmark for Multi-Target Tracking", section 4).
"""

from __future__ import annotations

import configparser
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.types import CLASSES, Detections
from tracking.types import ImageTracks, Status

MAX_FRAMES = 10_000_000  # three days at 30 frames a second; a larger number is a broken file


class MotError(Exception):
    """A det.txt that cannot be read: one plain sentence with the line."""


@dataclass(frozen=True, slots=True)
class DetectionFile:
    """A det.txt with what must be known beside it.

    Attributes:
        fps: frames per second.
        width, height: of the picture, pixels; from `seqinfo.ini`, else as far as the boxes reach.
        frames: number of frames, with those that have no detection.
        frame_of: int64 [N], frame of each row, from 1.
        boxes: float32 [N, 4], x, y, width, height.
        scores: float32 [N], 0..1.
    """

    fps: float
    width: int
    height: int
    frames: int
    frame_of: NDArray[np.int64]
    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]

    def detections(self, sensor_id: str) -> Iterator[Detections]:
        """One per frame, scores falling; times count from the first frame."""
        order = np.lexsort((-self.scores, self.frame_of))
        starts = np.searchsorted(self.frame_of[order], np.arange(1, self.frames + 2))
        for index in range(self.frames):
            yield self._one(sensor_id, index, order[starts[index] : starts[index + 1]])

    def _one(self, sensor_id: str, index: int, rows: NDArray[np.intp]) -> Detections:
        class_scores = np.zeros((len(rows), len(CLASSES)), np.float32)
        class_scores[:, CLASSES.index("drone")] = self.scores[rows]  # the file names no class
        time_ns = round(index * 1e9 / self.fps)
        return Detections(
            sensor_id, time_ns, index, self.width, self.height, self.boxes[rows], self.scores[rows], class_scores
        )


def read_detections(path: Path, fps: float | None) -> DetectionFile:
    """Read a det.txt, and the `seqinfo.ini` beside or above it where there is one.

    Args:
        fps: frames per second; None takes it from `seqinfo.ini`.

    Raises:
        MotError: unreadable, not numbers, or no frame rate.
    """
    table = _read_table(path)
    info = _sequence_info(path)
    rate = fps if fps is not None else info.get("frameRate", 0.0)
    if not rate > 0:
        raise MotError(f"{path} says nothing of time: give --fps, the frames per second of its video")
    reach = (table[:, 2:4] + table[:, 4:6]).max(axis=0, initial=1.0)
    frame_of = table[:, 0].astype(np.int64)
    return DetectionFile(
        fps=rate,
        width=int(info.get("imWidth", np.ceil(reach[0]))),
        height=int(info.get("imHeight", np.ceil(reach[1]))),
        frames=max(int(info.get("seqLength", 0)), int(frame_of.max(initial=0))),
        frame_of=frame_of,
        boxes=table[:, 2:6].astype(np.float32),
        scores=as_scores(table[:, 6]),
    )


def _read_table(path: Path) -> NDArray[np.float64]:
    """float64 [N, 7]: frame, id, x, y, width, height, confidence."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise MotError(f"{path} cannot be read as text: {_reason(error)}") from None
    rows = [_read_row(path, number, line) for number, line in enumerate(lines, 1) if line.strip()]
    return np.array(rows, np.float64).reshape(-1, 7)


def _reason(error: OSError | UnicodeDecodeError) -> str:
    return (error.strerror or "unreadable") if isinstance(error, OSError) else "it is not UTF-8"


def _read_row(path: Path, number: int, line: str) -> list[float]:
    fields = line.split(",")
    try:
        values = [float(field) for field in fields[:7]]
    except ValueError:
        values = []
    if len(values) < 6 or not np.isfinite(values).all():
        raise MotError(f"{path}, line {number}: wanted `frame, id, left, top, width, height, confidence` as numbers")
    if not 1 <= values[0] <= MAX_FRAMES or values[0] != int(values[0]):
        raise MotError(f"{path}, line {number}: frame {values[0]:g} is not a whole number from 1")
    return values if len(values) == 7 else [*values, 1.0]


def _sequence_info(path: Path) -> dict[str, float]:
    """The numbers in the `seqinfo.ini` in this folder or the one above (MOTChallenge keeps it there)."""
    parser = configparser.ConfigParser(interpolation=None)
    names = ("frameRate", "imWidth", "imHeight", "seqLength")
    try:
        parser.read([path.parent.parent / "seqinfo.ini", path.parent / "seqinfo.ini"], encoding="utf-8")
        info = {name: parser.getfloat("Sequence", name) for name in names if parser.has_option("Sequence", name)}
    except (configparser.Error, ValueError):
        info = {"": np.nan}
    if not all(0 < value <= MAX_FRAMES for value in info.values()):
        raise MotError(f"the seqinfo.ini of {path} cannot be read: mend it, or take it away and give --fps")
    return info


def as_scores(confidence: NDArray[np.float64]) -> NDArray[np.float32]:
    """Confidences as scores 0..1: kept where they are already, all 1 where the file gives -1 for none,
    by the logistic function where they are margins of a classifier (MOT17's DPM)."""
    if (confidence == -1).all():
        return np.ones(len(confidence), np.float32)
    if ((confidence >= 0) & (confidence <= 1)).all():
        return confidence.astype(np.float32)
    return (1.0 / (1.0 + np.exp(-np.clip(confidence, -50, 50)))).astype(np.float32)


def track_lines(tracks: ImageTracks) -> Iterator[str]:
    """One line per shown track, as the evaluation kits read it. Tentative tracks are not claimed."""
    for track in tracks.tracks:
        if track.status is not Status.TENTATIVE:
            box = ",".join(f"{value:.2f}" for value in track.box)
            yield f"{tracks.sequence + 1},{track.track_id},{box},{track.score:.4f},-1,-1,-1\n"
