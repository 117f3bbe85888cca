"""Reader of the Halmstad multi-sensor drone data set (Svanström, Englund, Alonso-Fernandez, 2020–21; CC0).

Clips are 320x256 infrared or 640x512 visible, 30 frames a second, about ten seconds. The splits are by *scene*
(the `split` column of `clips.csv`), because neighbouring clips share their background.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.types import CLASSES, Band, Frame

#: Of all clips.
FPS = 30.0
_CLASS_INDEX = {name: index for index, name in enumerate(CLASSES)}


class DatasetError(Exception):
    """The recordings are not where they should be, or not as they should be; the message says which and the mend."""


@dataclass(frozen=True, slots=True)
class Clip:
    """One recording.

    Attributes:
        name: as in `clips.csv`.
        band: visible or infrared.
        split: train, val or test.
        label: index into `CLASSES` of what the clip was filmed for.
        distance: close, medium or distant.
        scene: clips of one scene share their background.
        seen: a test or val clip whose scene is also in train.
        boxes: float32 [M, 6]: frame, class index, x, y, width, height (pixels).
        labelled_frames: frames from 0 to here carry labels; past it nobody looked.
    """

    name: str
    video: Path
    band: Band
    split: str
    label: int
    distance: str
    scene: str
    seen: bool
    boxes: np.ndarray
    labelled_frames: int

    def boxes_of(self, frame: int) -> np.ndarray:
        """float32 [N, 5]: class index, x, y, width, height of that frame."""
        return self.boxes[self.boxes[:, 0] == frame, 1:]


def default_folder() -> Path:
    """`$DEEPLOMATICS_DATA/halmstad`, else `../shared/data/halmstad` beside the project."""
    root = os.environ.get("DEEPLOMATICS_DATA")
    base = Path(root) if root else Path(__file__).resolve().parents[2] / "shared" / "data"
    return base / "halmstad"


def load_clips(folder: Path, band: Band, split: str) -> list[Clip]:
    """All clips of one band and split, in the order of `clips.csv` of the folder (or of `halmstad` in it).

    Raises:
        DatasetError: the folder has no `clips.csv`, or a clip has no label file.
    """
    if (folder / "halmstad" / "clips.csv").is_file():
        folder = folder / "halmstad"
    index = folder / "clips.csv"
    if not index.is_file():
        raise DatasetError(f"No recordings in {folder}: clips.csv is missing. Name the data folder with --data.")
    with index.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["sensor"] == band and row["split"] == split]
    if not rows:
        raise DatasetError(f"{index} lists no {band} clips of the split '{split}'. Splits are train, val and test.")
    return [_clip(folder, band, row) for row in rows]


def _clip(folder: Path, band: Band, row: dict[str, str]) -> Clip:
    name = row["clip"]
    boxes = _read_labels(folder / "labels" / f"{name}.csv")
    frames = int(row["frames"])
    return Clip(
        name=name,
        video=folder / "video" / f"{name}.mp4",
        band=band,
        split=row["split"],
        label=_CLASS_INDEX[row["class"]],
        distance=row["distance_bin"],
        scene=row["scene"],
        seen=row["scene_in_train"] == "yes",
        boxes=boxes,
        labelled_frames=min(frames, int(boxes[:, 0].max()) + 1 if len(boxes) else 0),
    )


def _read_labels(path: Path) -> np.ndarray:
    if not path.is_file():
        raise DatasetError(f"The label file {path} is missing.")
    with path.open(newline="") as file:
        rows = [
            [float(r["frame"]), _CLASS_INDEX[r["class"]], float(r["x"]), float(r["y"]), float(r["w"]), float(r["h"])]
            for r in csv.DictReader(file)
            if r["class"] in _CLASS_INDEX
        ]
    boxes = np.asarray(rows, dtype=np.float32).reshape(-1, 6)
    return boxes[(boxes[:, 4] > 0) & (boxes[:, 5] > 0)]


def decode(clip: Clip) -> Iterator[np.ndarray]:
    """Every frame of the clip: uint8 [H, W, 3] BGR (visible) or [H, W, 1] (infrared)."""
    import av  # here, so that a machine without it can run networks on other pictures

    with av.open(str(clip.video)) as container:
        container.streams.video[0].thread_type = "SLICE"
        for frame in container.decode(video=0):
            if clip.band == "infrared":
                yield frame.to_ndarray(format="gray")[:, :, None]
            else:
                yield frame.to_ndarray(format="bgr24")


def frames(clip: Clip) -> Iterator[Frame]:
    """Every frame of the clip as a camera of its name gives it, from time 0 on."""
    for index, pixels in enumerate(decode(clip)):
        yield Frame(clip.name, round(index * 1e9 / FPS), index, clip.band, pixels)
