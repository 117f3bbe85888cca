"""Objects that the annotation of the recordings left out: the project's own audit of `val` and `test`.

`models/audit.csv` has a line per object and key frame: clip, object (a number within the clip), frame, x, y, w, h
(pixels) and what it is: a class, or `unclear` where there is something real that nobody can name. Between the key
frames of an object its box is interpolated. The objects were proposed by the detector's own false alarms, and each was
checked by eye on sheets that `benchmarks/audit_sheets.py` makes. What is not real (cloud edges, tree tops) is not in
the file, and stays a false alarm.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.types import CLASSES

AUDIT_FILE = Path(__file__).parent / "audit.csv"
COLUMNS = ("clip", "object", "frame", "x", "y", "w", "h", "what")
UNCLEAR = "unclear"


class AuditError(Exception):
    """The audit file cannot be read; the message says where and the mend."""


@dataclass(frozen=True, slots=True)
class Unannotated:
    """One object that the annotation left out: key frames [K], boxes [K, 4], and its class or `unclear`."""

    what: str
    frames: np.ndarray
    boxes: np.ndarray

    def at(self, frame: int) -> np.ndarray | None:
        """Its box x, y, width, height in that frame, or None where it is not there."""
        if not self.frames[0] <= frame <= self.frames[-1]:
            return None
        return np.array([np.interp(frame, self.frames, side) for side in self.boxes.T])


class Audit:
    """The objects of each clip."""

    def __init__(self, objects: Mapping[str, Iterable[Unannotated]]) -> None:
        self.objects = {clip: tuple(of_clip) for clip, of_clip in objects.items()}

    def __contains__(self, clip: str) -> bool:
        return clip in self.objects

    def found(self, clip: str, frame: int, boxes: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """bool [2, N]: detections on an object whose class they name (or that is unclear), and on any object.

        A detection lies on an object when either centre lies in the other's box: boxes of things a few pixels wide
        seldom overlap by half.
        """
        on = np.zeros((2, len(boxes)), bool)
        for thing in self.objects.get(clip, ()):
            box = thing.at(frame)
            if box is None:
                continue
            here = _centre_in(boxes, box) | _centre_in(box, boxes)
            on[1] |= here
            on[0] |= here & (
                np.full(len(labels), True) if thing.what == UNCLEAR else labels == CLASSES.index(thing.what)
            )
        return on

    def boxes(self, clip: str, frame: int, label: int) -> list[tuple[float, float, float, float]]:
        """Boxes in that frame of the objects that are of class `label` or unclear."""
        wanted = (CLASSES[label], UNCLEAR)
        found = [thing.at(frame) for thing in self.objects.get(clip, ()) if thing.what in wanted]
        return [(float(x), float(y), float(w), float(h)) for x, y, w, h in (box for box in found if box is not None)]


def _centre_in(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Whether the centre of `a` lies in `b`; x, y, width, height on the last axis, broadcast."""
    apart = np.abs(a[..., :2] + a[..., 2:] / 2 - b[..., :2] - b[..., 2:] / 2)
    return (apart <= b[..., 2:] / 2).all(-1)


def load_audit(path: Path = AUDIT_FILE) -> Audit:
    """The audit in a file.

    Raises:
        AuditError: it is missing or a line cannot be read.
    """
    if not path.is_file():
        raise AuditError(f"The audit file {path} is missing: give another, or leave it out.")
    rows: dict[tuple[str, str], list[list[float]]] = defaultdict(list)
    what: dict[tuple[str, str], str] = {}
    with path.open(newline="", encoding="utf-8") as file:
        for line, row in enumerate(csv.DictReader(file), start=2):
            try:
                key = (row["clip"], row["object"])
                rows[key].append([float(row[name]) for name in COLUMNS[2:7]])
                what[key] = row["what"]
            except (KeyError, TypeError, ValueError) as error:
                raise AuditError(f"{path}, line {line}: a line needs {', '.join(COLUMNS)}.") from error
            if what[key] not in (*CLASSES, UNCLEAR):
                raise AuditError(f"{path}, line {line}: {what[key]!r} is no class; use one, or {UNCLEAR}.")
    objects: dict[str, list[Unannotated]] = defaultdict(list)
    for (clip, number), values in rows.items():
        table = np.array(sorted(values))
        objects[clip].append(Unannotated(what[clip, number], table[:, 0], table[:, 1:]))
    return Audit(objects)


def write_audit(path: Path, objects: Mapping[str, Iterable[Unannotated]]) -> None:
    """The file that `load_audit` reads, clips in order of their names."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for clip in sorted(objects):
            for number, thing in enumerate(objects[clip], start=1):
                for frame, box in zip(thing.frames, thing.boxes, strict=True):
                    writer.writerow([clip, number, int(frame), *(f"{side:.1f}" for side in box), thing.what])
