"""Labelled pictures in COCO's form as clips that training draws from (`deeplomatics export --format coco`).

Pictures of one camera that follow each other are one clip, on the grid of ten a second that training uses. A clip is
written as a list (`*.ffconcat`, FFmpeg's concat format) that is decoded like any video. Pictures with regions
that say nothing (`iscrowd`) are left out: what is in them nobody knows.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from models.footage import GRID
from models.halmstad import Clip, DatasetError
from models.types import CLASSES, Band

STEP_NS = 100_000_000  # of the grid
GAP_NS = 350_000_000  # between pictures of one clip
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*", re.ASCII)

Json = dict[str, Any]


def load_coco(folder: Path, band: Band) -> list[Clip]:
    """The clips of one band, in order of camera and time. A picture without `camera` and `time_ns` is one by itself.

    Raises:
        DatasetError: no `annotations.json`, or one that is not COCO, or names outside the folder.
    """
    document = _read(folder / "annotations.json")
    try:
        classes = {
            each["id"]: CLASSES.index(each["name"]) for each in document["categories"] if each["name"] in CLASSES
        }
        boxes: dict[int, list[list[float]]] = {}
        unknown = {each["image_id"] for each in document["annotations"] if each.get("iscrowd")}
        for each in document["annotations"]:
            if each["category_id"] in classes and not each.get("iscrowd"):
                boxes.setdefault(each["image_id"], []).append([classes[each["category_id"]], *each["bbox"]])
        images = [each for each in document["images"] if each["id"] not in unknown and _is_of(each, band)]
        runs = _runs(sorted(images, key=lambda each: (each.get("camera", ""), each.get("time_ns", each["id"]))))
        return [_clip(folder, band, k, run, boxes) for k, run in enumerate(runs)]
    except (KeyError, TypeError, ValueError) as error:
        raise DatasetError(f"{folder / 'annotations.json'} is not COCO as it is exported here: {error!r}") from None


def _read(path: Path) -> Json:
    if not path.is_file():
        raise DatasetError(f"The file {path} is missing: give a folder that `export --format coco` wrote.")
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        raise DatasetError(f"{path} is not JSON.") from None
    if not isinstance(document, dict):
        raise DatasetError(f"{path} is not COCO.")
    return document


def _is_of(image: Json, band: Band) -> bool:
    if not _NAME.fullmatch(image["file_name"]):
        raise ValueError(f"the file name {image['file_name'][:80]!r}")
    return bool(image.get("spectrum", band) == band)


def _runs(images: list[Json]) -> list[list[Json]]:
    """Pictures that follow each other in one camera."""
    runs: list[list[Json]] = []
    for image in images:
        before = runs[-1][-1] if runs else None
        if before is None or not _follows(before, image):
            runs.append([])
        runs[-1].append(image)
    return runs


def _follows(before: Json, image: Json) -> bool:
    same = all(before.get(name) == image.get(name) for name in ("camera", "width", "height"))
    timed = "time_ns" in before and "time_ns" in image
    return same and timed and image["time_ns"] - before["time_ns"] <= GAP_NS


def _clip(folder: Path, band: Band, number: int, run: list[Json], boxes: dict[int, list[list[float]]]) -> Clip:
    """The pictures nearest to the grid, each as often as the grid has frames, so that every step is one of them."""
    chosen = _on_grid(run)
    labels = [[k * GRID, *box] for k, image in enumerate(chosen) for box in boxes.get(image["id"], [])]
    name = f"{folder.resolve().name}-{band}-{number}"
    video = folder / f"{name}.ffconcat"  # beside the pictures: FFmpeg opens none that lie above the list
    lines = [f"file {image['file_name']}" for image in chosen for _ in range(GRID)]
    video.write_text("\n".join(["ffconcat version 1.0", *lines, ""]), encoding="utf-8")
    seen = Counter(int(label[1]) for label in labels)
    return Clip(
        name=name,
        video=video,
        band=band,
        split="train",
        label=seen.most_common(1)[0][0] if seen else CLASSES.index("bird"),
        distance="medium",
        scene=f"{folder.resolve().name}-{run[0].get('camera', number)}",
        seen=False,
        boxes=np.asarray(labels, np.float32).reshape(-1, 6),
        labelled_frames=len(chosen) * GRID,
    )


def _on_grid(run: list[Json]) -> list[Json]:
    if "time_ns" not in run[0]:
        return run
    times = [image["time_ns"] for image in run]
    steps = range(times[0], times[-1] + STEP_NS // 2, STEP_NS)
    return [run[_nearest(times, step)] for step in steps]


def _nearest(times: list[int], time: int) -> int:
    k = bisect_left(times, time)
    return min((j for j in (k - 1, k) if 0 <= j < len(times)), key=lambda j: abs(times[j] - time))
