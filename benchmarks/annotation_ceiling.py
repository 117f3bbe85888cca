"""How far annotated boxes agree with themselves: the ceiling of every figure that asks for IoU with them.

    python -m benchmarks.annotation_ceiling --data DIR --split val [--json FILE]

An object does not change within a fraction of a second, its box should not either. Each annotated object is found
again 1, 5 and 15 frames later by its picture (normalised cross-correlation, to a fraction of a pixel), its box is moved
there, and its IoU with the box annotated there is taken. A detector that knew the object perfectly, and the annotator's
habit in this very frame, could do no better on average in the other. Looks where the picture is not found again with
certainty (correlation below 0.8: it turned, or hid) are left out and counted.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from models.boxes import iou_matrix
from models.halmstad import Clip, decode, load_clips
from models.types import CLASSES, Band
from service.evaluate_tracker import truth_rows

GAPS = (1, 5, 15)  # frames
EVERY = 5  # frames
CERTAIN = 0.8
MARGIN = 2  # pixels around the box that belong to the object's picture
BANDS: tuple[Band, ...] = ("infrared", "visible")


class Pair(NamedTuple):
    """One object seen twice: IoU of its moved box with the one annotated there, NaN where it was not found again."""

    label: int
    distance: str
    gap: int
    iou: float


def pairs(clip: Clip) -> Iterator[Pair]:
    pictures = [_gray(pixels) for _, pixels in zip(range(clip.labelled_frames), decode(clip), strict=False)]
    rows = truth_rows(clip, CLASSES[clip.label])
    for frame in range(0, len(pictures), EVERY):
        for identity, box in rows[frame]:
            for gap in GAPS:
                later = [b for i, b in rows[frame + gap] if i == identity] if frame + gap < len(pictures) else []
                if later:
                    moved = found_again(pictures[frame], box, pictures[frame + gap], later[0])
                    iou = float(iou_matrix(np.array([moved]), np.array(later))[0, 0]) if moved else np.nan
                    yield Pair(clip.label, clip.distance, gap, iou)


def _gray(pixels: np.ndarray) -> np.ndarray:
    return pixels[:, :, 0] if pixels.shape[2] == 1 else cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)


def found_again(
    before: np.ndarray, box: tuple[float, ...], after: np.ndarray, near: tuple[float, ...]
) -> tuple[float, ...] | None:
    """`box` moved to where its picture is in `after`, looked for around `near`; None where that is not certain."""
    x, y, w, h = box
    left, top = max(round(x) - MARGIN, 0), max(round(y) - MARGIN, 0)
    picture = before[top : round(y + h) + MARGIN, left : round(x + w) + MARGIN]
    reach = max(8, round(max(w, h) / 2))
    # Where the picture's corner would be if the object's middle were that of `near`.
    guess_x, guess_y = left + near[0] + near[2] / 2 - x - w / 2, top + near[1] + near[3] / 2 - y - h / 2
    from_x, from_y = max(round(guess_x) - reach, 0), max(round(guess_y) - reach, 0)
    height, width = picture.shape
    window = after[from_y : round(guess_y) + reach + height, from_x : round(guess_x) + reach + width]
    if min(picture.shape) < 4 or window.shape[0] < height or window.shape[1] < width:
        return None
    likeness = cv2.matchTemplate(window, picture, cv2.TM_CCOEFF_NORMED)
    _, best, _, (column, row) = cv2.minMaxLoc(likeness)
    if not best >= CERTAIN:
        return None
    right, down = _vertex(likeness[row], column), _vertex(likeness[:, column], row)
    return x + from_x + column + right - left, y + from_y + row + down - top, w, h


def _vertex(values: np.ndarray, at: int) -> float:
    """Offset of the top of the parabola through a maximum and its neighbours, within half a step."""
    if not 0 < at < len(values) - 1:
        return 0.0
    a, b, c = values[at - 1 : at + 2].astype(float)
    return float(np.clip((a - c) / (2 * (a - 2 * b + c)), -0.5, 0.5)) if a - 2 * b + c < 0 else 0.0


def table(found: list[Pair]) -> dict[str, dict[str, float]]:
    """Per class and gap: how many, the share found again, median IoU, and shares at IoU 0.5 and 0.75."""
    groups: dict[str, list[float]] = defaultdict(list)
    for pair in found:
        groups[f"{CLASSES[pair.label]}, {pair.gap} frames"].append(pair.iou)
        groups[f"all, {pair.gap} frames"].append(pair.iou)
        groups[f"{pair.distance}, {pair.gap} frames"].append(pair.iou)
    return {name: _row(np.array(values)) for name, values in sorted(groups.items())}


def _row(iou: np.ndarray) -> dict[str, float]:
    sure = iou[~np.isnan(iou)]
    return {
        "pairs": len(iou),
        "found again": len(sure) / len(iou),
        "median IoU": float(np.median(sure)) if len(sure) else float("nan"),
        "IoU >= 0.5": float((sure >= 0.5).mean()) if len(sure) else float("nan"),
        "IoU >= 0.75": float((sure >= 0.75).mean()) if len(sure) else float("nan"),
    }


def main() -> None:
    from service.report import show

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", default="val")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    report: dict[str, dict[str, dict[str, float]]] = {
        band: table([pair for clip in load_clips(options.data, band, options.split) for pair in pairs(clip)])
        for band in BANDS
    }
    show(report)
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
