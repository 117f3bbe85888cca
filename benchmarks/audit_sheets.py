"""Sheets to check by eye what the detector found where the annotation has nothing; from verdicts to `models/audit.csv`.

    python -m benchmarks.audit_sheets sheets --data DIR --split val --detections FOLDER --output out/audit
    python -m benchmarks.audit_sheets audit --output out/audit

`sheets` follows every object in the recorded detections (`CLIP.jsonl` of `deeplomatics track`), leaves out what lies on
an annotated one, and draws the others: a row each, with the frame around it and six moments of its life from near.
Beside the sheets it writes `verdicts.csv` (one line a row, with an empty verdict) and the tracks themselves. A person
fills in a class, `unclear` for something real that cannot be named, or `no` for nothing; `audit` then adds the real
ones to `models/audit.csv`. Sheets hold frames of the recordings: they stay in the output folder.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from models.audit import AUDIT_FILE, Unannotated, load_audit, write_audit
from models.halmstad import Clip, decode, load_clips
from models.types import CLASSES, Band
from service.evaluate_tracker import Recording, read_recording
from tracking.image_tracker import ImageTracker

KEY_FRAMES_APART = 5  # between which a box is interpolated
SHORTEST = 6  # frames
MOMENTS = 6
SIDE = 150  # of a drawn moment, pixels
ROWS = 9  # a sheet
NEAR = 1.5  # an annotated box grown by this is left out


@dataclass(frozen=True, slots=True)
class Followed:
    """One track of something: the frames [K] and boxes [K, 4] where it was detected, its name and its best score."""

    clip: str
    number: int
    frames: list[int]
    boxes: list[list[float]]
    name: str
    score: float


def followed(clip: Clip, recording: Recording) -> list[Followed]:
    """All tracks of the labelled frames that are mostly on no annotated object."""
    tracker = ImageTracker(recording.settings)
    frames: dict[int, list[int]] = defaultdict(list)
    boxes: dict[int, list[list[float]]] = defaultdict(list)
    names: dict[int, np.ndarray] = defaultdict(lambda: np.zeros(len(CLASSES)))
    scores: dict[int, float] = defaultdict(float)
    for frame, look in enumerate(recording.looks[: clip.labelled_frames]):
        for track in tracker.step(look).tracks:
            if track.detection is not None:
                frames[track.track_id].append(frame)
                boxes[track.track_id].append([round(float(side), 1) for side in track.box])
                names[track.track_id] += track.class_probabilities
                scores[track.track_id] = max(scores[track.track_id], float(look.scores[track.detection]))
    return [
        Followed(clip.name, number, frames[number], boxes[number], CLASSES[int(names[number].argmax())], scores[number])
        for number in sorted(frames)
        if len(frames[number]) >= SHORTEST and not _mostly_annotated(clip, frames[number], boxes[number])
    ]


def _mostly_annotated(clip: Clip, frames: Sequence[int], boxes: Sequence[Sequence[float]]) -> bool:
    hits = 0
    for frame, (x, y, w, h) in zip(frames, boxes, strict=True):
        for _, tx, ty, tw, th in clip.boxes_of(frame):
            apart = abs(x + w / 2 - tx - tw / 2) * 2, abs(y + h / 2 - ty - th / 2) * 2
            if apart[0] < NEAR * tw + w and apart[1] < NEAR * th + h:
                hits += 1
                break
    return hits > 0.5 * len(frames)


def drawn(clip: Clip, things: Sequence[Followed]) -> Iterator[np.ndarray]:
    """A row for each: the whole frame in the middle of its life, then moments from near with its box."""
    wanted = {frame for thing in things for frame in _moments(thing)}
    pictures = {i: _colour(pixels) for i, pixels in enumerate(decode(clip)) if i in wanted}
    for thing in things:
        moments = _moments(thing)
        middle = pictures[moments[len(moments) // 2]].copy()
        box = thing.boxes[thing.frames.index(moments[len(moments) // 2])]
        for _, x, y, w, h in clip.boxes_of(moments[len(moments) // 2]):
            cv2.rectangle(middle, (int(x), int(y)), (int(x + w), int(y + h)), (0, 200, 0), 1)
        cv2.rectangle(
            middle,
            (int(box[0] - 4), int(box[1] - 4)),
            (int(box[0] + box[2] + 4), int(box[1] + box[3] + 4)),
            (0, 0, 255),
            2,
        )
        whole = cv2.resize(middle, (int(SIDE * middle.shape[1] / middle.shape[0]), SIDE), interpolation=cv2.INTER_AREA)
        near = [_near(pictures[m], thing.boxes[thing.frames.index(m)]) for m in moments]
        near += [np.zeros_like(near[0])] * (MOMENTS - len(near))
        row = np.hstack([whole, *near])
        text = f"{thing.clip} #{thing.number} {thing.name} {thing.score:.2f} {thing.frames[0]}-{thing.frames[-1]}"
        band = np.zeros((16, row.shape[1], 3), np.uint8)
        cv2.putText(band, text, (2, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (255, 255, 255), 1, cv2.LINE_AA)
        yield np.vstack([band, row])


def _moments(thing: Followed) -> list[int]:
    at = np.unique(np.linspace(0, len(thing.frames) - 1, MOMENTS).round().astype(int))
    return [thing.frames[i] for i in at]


def _colour(pixels: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR) if pixels.shape[2] == 1 else pixels


def _near(picture: np.ndarray, box: Sequence[float]) -> np.ndarray:
    """The surroundings of a box, with their own contrast."""
    x, y, w, h = box
    half = max(w, h, 8) * 1.5
    size = max(int(2 * half), 8)
    crop = cv2.getRectSubPix(picture, (size, size), (x + w / 2, y + h / 2))
    big = cv2.resize(crop, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC).astype(np.float32)
    low, high = np.percentile(big, (1, 99.5))
    big = np.clip((big - low) / max(high - low, 12) * 255, 0, 255).astype(np.uint8)
    scale, middle = SIDE / size, SIDE / 2
    corner = [int(middle - w * scale / 2), int(middle - h * scale / 2)]
    other = [int(middle + w * scale / 2), int(middle + h * scale / 2)]
    cv2.rectangle(big, corner, other, (0, 0, 255), 1)
    return np.asarray(big)


def make_sheets(data: Path, split: str, detections: Path, output: Path, bands: Sequence[Band]) -> int:
    """Sheets, `verdicts.csv` and `tracks.json` in the output folder; how many things there are to look at."""
    output.mkdir(parents=True, exist_ok=True)
    rows: list[np.ndarray] = []
    things: list[Followed] = []
    for band in bands:
        for clip in load_clips(data, band, split):
            of_clip = followed(clip, read_recording(detections / f"{clip.name}.jsonl"))
            things += of_clip
            rows += drawn(clip, of_clip)
    for number, start in enumerate(range(0, len(rows), ROWS)):
        part = rows[start : start + ROWS]
        wide = max(row.shape[1] for row in part)
        sheet = np.vstack([np.pad(row, ((0, 0), (0, wide - row.shape[1]), (0, 0))) for row in part])
        cv2.imwrite(str(output / f"sheet-{number:03d}.png"), sheet)
    (output / "tracks.json").write_text(json.dumps([[t.clip, t.number, t.frames, t.boxes] for t in things]))
    with (output / "verdicts.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("clip", "number", "name", "score", "verdict"))
        writer.writerows((t.clip, t.number, t.name, f"{t.score:.2f}", "") for t in things)
    return len(things)


def add_verdicts(output: Path, audit_file: Path) -> int:
    """The things that a person found real, into the audit file in place of the clips' earlier ones; how many."""
    tracks = {
        (clip, number): (frames, boxes)
        for clip, number, frames, boxes in json.loads((output / "tracks.json").read_text())
    }
    objects = dict(load_audit(audit_file).objects)
    fresh: dict[str, list[Unannotated]] = defaultdict(list)
    with (output / "verdicts.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            if not row["verdict"]:
                raise SystemExit(f"{output}/verdicts.csv: {row['clip']} {row['number']} has no verdict yet")
            if row["verdict"] != "no":
                frames, boxes = tracks[row["clip"], int(row["number"])]
                keep = sorted({0, len(frames) - 1, *range(0, len(frames), KEY_FRAMES_APART)})
                thing = Unannotated(row["verdict"], np.array(frames)[keep], np.array(boxes)[keep])
                fresh[row["clip"]].append(thing)
    write_audit(audit_file, objects | {clip: tuple(of_clip) for clip, of_clip in fresh.items()})
    return sum(map(len, fresh.values()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=("sheets", "audit"))
    parser.add_argument("--data", type=Path)
    parser.add_argument("--split", default="val")
    parser.add_argument("--sensor", action="append", choices=("infrared", "visible"))
    parser.add_argument("--detections", type=Path)
    parser.add_argument("--output", type=Path, default=Path("out/audit"))
    options = parser.parse_args()
    if options.task == "audit":
        print(f"{add_verdicts(options.output, AUDIT_FILE)} objects added to {AUDIT_FILE}")
        return
    if options.data is None or options.detections is None:
        parser.error("sheets need --data and --detections")
    bands = options.sensor or ["infrared", "visible"]
    count = make_sheets(options.data, options.split, options.detections, options.output, bands)
    print(f"{count} things to look at: fill in {options.output / 'verdicts.csv'}")


if __name__ == "__main__":
    main()
