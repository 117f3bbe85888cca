"""How good the detector is, by the measures of the field, on a split of the recordings.

    deeplomatics evaluate detector --data DIR --split test

Two rules say whether a box is right: IoU ≥ 0.5 with the annotated one, or its centre no further from the annotated
centre than half the annotated side, √(width · height) / 2. Annotated boxes are loose and jitter, so both are always
given. Each class has its operating threshold, chosen for the best F1 at IoU 0.5 on `val` and kept with the weights. A
detection is of its best class.

The annotation leaves out many real birds in clips of other classes, so bird detections there are listed apart and not
counted, and neither are the few birds annotated there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.progress import track

from models.boxes import iou_matrix
from models.halmstad import Clip, decode, load_clips
from models.infer import Detector, load_detector
from models.types import CLASSES, Band, Frame

#: Right (bool [N, M]) for detections [N, 4] against truth [M, 4], boxes x, y, width, height.
Rule = Callable[[np.ndarray, np.ndarray], np.ndarray]
_BIRD = CLASSES.index("bird")
_DRONE = CLASSES.index("drone")


def by_iou(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    return iou_matrix(found, truth) >= 0.5


def by_centre(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    apart = (found[:, None, :2] + found[:, None, 2:] / 2) - (truth[None, :, :2] + truth[None, :, 2:] / 2)
    return np.square(apart).sum(2) <= truth[:, 2:].prod(1)[None] / 4


RULES: dict[str, Rule] = {"iou50": by_iou, "centre": by_centre}


@dataclass(frozen=True, slots=True)
class ClipResult:
    """All detections of one clip: frame [N], boxes [N, 4], scores [N], labels [N] (best class); `frames` looked at."""

    clip: Clip
    frame: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    frames: int


def run_clips(detector: Detector, clips: Iterable[Clip]) -> list[ClipResult]:
    """Every frame of every clip through the detector, one by one, as live."""
    return [_run_clip(detector, clip) for clip in track(list(clips), description="detecting", transient=True)]


def _run_clip(detector: Detector, clip: Clip) -> ClipResult:
    frame, boxes, scores, labels = [], [], [], []
    count = 0
    for index, pixels in enumerate(decode(clip)):
        if index >= clip.labelled_frames:
            break
        picture = Frame(clip.name, round(index * 1e9 / 30), index, clip.band, pixels)
        found = detector.detect([picture])[0]
        frame.append(np.full(len(found), index))
        boxes.append(found.boxes)
        scores.append(found.scores)
        labels.append(found.class_scores.argmax(1))
        count += 1
    detector.forget(clip.name)
    if not count:
        return ClipResult(clip, np.zeros(0, int), np.zeros((0, 4)), np.zeros(0), np.zeros(0, int), 0)
    return ClipResult(
        clip, np.concatenate(frame), np.concatenate(boxes), np.concatenate(scores), np.concatenate(labels), count
    )


@dataclass(frozen=True, slots=True)
class Matches:
    """Detections best first: score [N], hit [N], and how many objects there were to find."""

    score: np.ndarray
    hit: np.ndarray
    objects: int

    def at(self, threshold: float) -> dict[str, float]:
        """Precision, recall, F1 of all that score at least `threshold`."""
        taken = self.score >= threshold
        hits = int(self.hit[taken].sum())
        precision = hits / max(int(taken.sum()), 1)
        recall = hits / max(self.objects, 1)
        f1 = 2 * hits / max(int(taken.sum()) + self.objects, 1)
        return {"precision": precision, "recall": recall, "f1": f1}

    def best_threshold(self) -> float:
        """The score with the highest F1."""
        if not len(self.score):
            return 0.5
        f1 = 2 * np.cumsum(self.hit) / (np.arange(1, len(self.hit) + 1) + self.objects)
        best = int(f1.argmax())
        lower = self.score[best + 1] if best + 1 < len(self.score) else self.score[best] * 0.9
        return float((self.score[best] + lower) / 2)

    def average_precision(self) -> float:
        """Area under the precision-recall curve, every point, precision made monotone (COCO, PASCAL VOC 2010)."""
        if not len(self.score) or not self.objects:
            return 0.0
        hits = np.cumsum(self.hit)
        precision = np.maximum.accumulate((hits / np.arange(1, len(hits) + 1))[::-1])[::-1]
        return float((precision * self.hit).sum() / self.objects)


def match(results: list[ClipResult], rule: Rule, label: int | None) -> Matches:
    """Best-first greedy matching, one object one detection, of one class, or of any when `label` is None."""
    score, hit, objects = [], [], 0
    for result in results:
        if label == _BIRD and result.clip.label != _BIRD:
            continue
        for frame in range(result.frames):
            truth = result.clip.boxes_of(frame)
            chosen = result.frame == frame
            if label is not None:
                truth, chosen = truth[truth[:, 0] == label], chosen & (result.labels == label)
            elif result.clip.label != _BIRD:
                truth = truth[truth[:, 0] != _BIRD]
            order = np.flatnonzero(chosen)
            order = order[np.argsort(-result.scores[order], kind="stable")]
            right = _pair(rule(result.boxes[order], truth[:, 1:]))
            if label is None and result.clip.label != _BIRD:
                counted = right | (result.labels[order] != _BIRD)
                order, right = order[counted], right[counted]
            score.append(result.scores[order])
            hit.append(right)
            objects += len(truth)
    scores, hits = np.concatenate([np.zeros(0), *score]), np.concatenate([np.zeros(0, bool), *hit])
    order = np.argsort(-scores, kind="stable")
    return Matches(scores[order], hits[order], objects)


def _pair(right: np.ndarray) -> np.ndarray:
    """bool [N]: which detections, best first, get an object of their own out of `right` [N, M]."""
    free = np.ones(right.shape[1], bool)
    hit = np.zeros(len(right), bool)
    for row in range(len(right)):
        options = np.flatnonzero(right[row] & free)
        if len(options):
            free[options[0]] = False
            hit[row] = True
    return hit


def choose_thresholds(results: list[ClipResult]) -> dict[str, float]:
    """Per class, the score with the best F1 at IoU 0.5. For the `val` split only."""
    return {name: round(match(results, by_iou, i).best_threshold(), 4) for i, name in enumerate(CLASSES)}


def _operating(results: list[ClipResult], thresholds: dict[str, float]) -> list[ClipResult]:
    """Only what scores at least its class's threshold."""
    limit = np.array([thresholds[name] for name in CLASSES])
    out = []
    for r in results:
        keep = r.scores >= limit[r.labels]
        out.append(ClipResult(r.clip, r.frame[keep], r.boxes[keep], r.scores[keep], r.labels[keep], r.frames))
    return out


def summarise(results: list[ClipResult], thresholds: dict[str, float]) -> dict[str, object]:
    """All figures of one band and split, ready for JSON."""
    operating = _operating(results, thresholds)
    rules = {name: _by_class(results, rule, thresholds) for name, rule in RULES.items()}
    for name, rule in RULES.items():
        rules[name]["any class"] = match(operating, rule, None).at(0.0)
        rules[name]["mean"] = {"f1": float(np.mean([rules[name][c]["f1"] for c in CLASSES]))}
    return {
        "clips": len(results),
        "frames": sum(r.frames for r in results),
        "thresholds": thresholds,
        **rules,
        "by distance": _f1_of_groups(results, thresholds, lambda clip: clip.distance),
        "by scene": _f1_of_groups(results, thresholds, lambda clip: "in train" if clip.seen else "never seen"),
        **_false_alarms(operating),
    }


def _by_class(results: list[ClipResult], rule: Rule, thresholds: dict[str, float]) -> dict[str, dict[str, float]]:
    table = {}
    for index, name in enumerate(CLASSES):
        matches = match(results, rule, index)
        table[name] = {
            **matches.at(thresholds[name]), "average_precision": matches.average_precision(), "objects": matches.objects
        }  # fmt: skip
    return table


def _f1_of_groups(
    results: list[ClipResult], thresholds: dict[str, float], key: Callable[[Clip], str]
) -> dict[str, dict[str, float]]:
    """F1 at IoU 0.5 per group and class (of the clip: each clip was filmed for one class at one distance)."""
    table: dict[str, dict[str, float]] = {}
    for group in sorted({key(r.clip) for r in results}):
        part = [r for r in results if key(r.clip) == group]
        for index, name in enumerate(CLASSES):
            of_class = [r for r in part if r.clip.label == index]
            if of_class:
                table.setdefault(group, {})[name] = match(of_class, by_iou, index).at(thresholds[name])["f1"]
    return table


def _false_alarms(operating: list[ClipResult]) -> dict[str, float]:
    """Drone boxes where no drone is, per minute of video; bird boxes in clips of other classes, listed apart."""
    others = [r for r in operating if r.clip.label != _DRONE]
    minutes = sum(r.frames for r in others) / 30 / 60
    drones = sum(int((r.labels == _DRONE).sum()) for r in others)
    birds = sum(int((r.labels == _BIRD).sum()) for r in operating if r.clip.label != _BIRD)
    return {
        "drone boxes per minute in clips without drones": drones / max(minutes, 1e-9),
        "bird boxes in clips of other classes (not counted)": birds,
    }


def evaluate(
    data: Path, split: str, bands: Iterable[Band] = ("infrared", "visible"), device: str = "auto",
    weights: Path | None = None, threads: int = 2,
) -> dict[str, dict[str, object]]:  # fmt: skip
    """Figures per band with the thresholds kept with the weights.

    Raises:
        DatasetError, WeightsError: what is missing and the mend.
    """
    report: dict[str, dict[str, object]] = {}
    for band in bands:
        clips = load_clips(data, band, split)
        detector = load_detector(band, device=device, weights=weights, threads=threads)
        report[band] = {
            "weights": detector.name, "sha256": detector.sha256, "backend": detector.backend, "split": split,
            **summarise(run_clips(detector, clips), detector.thresholds),
        }  # fmt: skip
    return report


def set_thresholds(weights: Path, data: Path, device: str = "auto", threads: int = 2) -> dict[str, float]:
    """Choose the operating thresholds on `val` and keep them in the card beside the weights, with the val figures."""
    card_path = weights.with_suffix(".json")
    card = json.loads(card_path.read_text())
    band: Band = card["architecture"]["band"]
    detector = load_detector(band, device=device, weights=weights, threads=threads)
    results = run_clips(detector, load_clips(data, band, "val"))
    card["thresholds"] = choose_thresholds(results)
    card.setdefault("metrics", {})["val"] = summarise(results, card["thresholds"])
    card_path.write_text(json.dumps(card, indent=2) + "\n")
    return card["thresholds"]
