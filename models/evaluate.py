"""How good the detector is, by the measures of the field, on a split of the recordings.

    deeplomatics evaluate detector --data DIR --split test

What counts as right stands in `models.matching`, what the annotation left out in `models.audit`; figures are given
without the audit and, where the split has one, with it. Each class has its operating threshold, chosen for the best F1
at IoU 0.5 on `val` and kept with the weights. A detection is of its best class.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

from models.audit import Audit, load_audit
from models.boxes import scaled
from models.calibration import Calibration, errors, fit_all
from models.foreign import ForeignDetector, load_any
from models.halmstad import FPS, Clip, frames, load_clips
from models.infer import Detector, Precision, load_detector
from models.matching import RULES, ClipResult, Look, Rule, by_centre, by_iou, looks, match, paired
from models.types import CLASSES, Band

_BIRD = CLASSES.index("bird")
_DRONE = CLASSES.index("drone")
#: The any-class recall is given where there is one false box in so many frames.
FRAMES_PER_FALSE_BOX = 100
#: IoU thresholds of AP50-95 (COCO).
COCO_IOUS = tuple(np.linspace(0.5, 0.95, 10).round(2))
#: Sizes of boxes that are tried on `val`.
BOX_SCALES = (1.0, 0.95, 1.025, 1.05, 1.075, 1.1)


def run_clips(detector: Detector | ForeignDetector, clips: Iterable[Clip]) -> list[ClipResult]:
    """Every frame of every clip through the detector, one by one, as live."""
    return [_run_clip(detector, clip) for clip in track(list(clips), description="detecting", transient=True)]


def _run_clip(detector: Detector | ForeignDetector, clip: Clip) -> ClipResult:
    found = [detector.detect([frame])[0] for frame in islice(frames(clip), clip.labelled_frames)]
    detector.forget(clip.name)
    return ClipResult(
        clip,
        frame=np.repeat(np.arange(len(found)), [len(each) for each in found]),
        boxes=np.concatenate([np.zeros((0, 4)), *(each.boxes for each in found)]),
        class_scores=np.concatenate([np.zeros((0, len(CLASSES))), *(each.class_scores for each in found)]),
        frames=len(found),
    )


def choose_thresholds(results: list[ClipResult]) -> dict[str, float]:
    """Per class, the score with the best F1 at IoU 0.5. For the `val` split only."""
    frames = looks(results)
    return {name: round(match(frames, by_iou, i).best_threshold(), 4) for i, name in enumerate(CLASSES)}


def choose_box_scale(results: list[ClipResult]) -> float:
    """The size of boxes with the best mean F1 at IoU 0.5, for the `val` split only.

    Annotators leave free what they like, and a network learns something like the mean of that. The size that comes to
    IoU 0.5 most often need not be the mean.
    """

    def mean_f1(factor: float) -> float:
        frames = looks(replace(r, boxes=scaled(r.boxes, factor)) for r in results)
        found = [match(frames, by_iou, index) for index in range(len(CLASSES))]
        return float(np.mean([m.at(m.best_threshold())["f1"] for m in found]))

    return max(BOX_SCALES, key=mean_f1)


def operating(frames: Iterable[Look], thresholds: dict[str, float]) -> list[Look]:
    """Only what scores at least its class's threshold."""
    limit = np.array([thresholds[name] for name in CLASSES])
    return [look.keep(look.scores >= limit[look.labels]) for look in frames]


def summarise(
    results: list[ClipResult],
    thresholds: dict[str, float],
    audit: Audit | None = None,
    calibration: Calibration | None = None,
) -> dict[str, Any]:
    """All figures of one band and split, ready for JSON."""
    frames = looks(results, audit)
    at_work = operating(frames, thresholds)
    rules = {name: _by_class(frames, rule, thresholds) for name, rule in RULES.items()}
    for name, rule in RULES.items():
        rules[name]["any class"] = match(at_work, rule, None).at(0.0)
        rules[name]["mean"] = {"f1": _mean_f1(rules[name])}
    return {
        "clips": len(results),
        "frames": len(frames),
        "thresholds": thresholds,
        **rules,
        "average precision, IoU 0.5 to 0.95": _coco_precision(frames),
        f"any-class recall at one false box per {FRAMES_PER_FALSE_BOX} frames": {
            name: match(frames, rule, None).recall_at(1 / FRAMES_PER_FALSE_BOX) for name, rule in RULES.items()
        },
        "by distance": _by_group(frames, thresholds, lambda clip: clip.distance),
        "by scene": _by_group(frames, thresholds, lambda clip: "in train" if clip.seen else "never seen"),
        "expected calibration error": {"scores": errors(frames), "probabilities": errors(frames, calibration or {})},
        "named (by centre)": _confusion(at_work),
        "if every name were right": _named_right(at_work, rules),
        "if the padding of each clip were known (iou50)": _padding_known(results, frames, thresholds, audit),
        **_false_alarms(at_work),
    }


def _by_class(frames: list[Look], rule: Rule, thresholds: dict[str, float]) -> dict[str, dict[str, float]]:
    table = {}
    for index, name in enumerate(CLASSES):
        matches = match(frames, rule, index)
        table[name] = {
            **matches.at(thresholds[name]), "average_precision": matches.average_precision(), "objects": matches.objects
        }  # fmt: skip
    return table


def _mean_f1(table: dict[str, dict[str, float]]) -> float:
    return float(np.mean([table[name]["f1"] for name in CLASSES]))


def _coco_precision(frames: list[Look]) -> dict[str, float]:
    """AP50-95 of each class, and their mean."""
    rules = [partial(by_iou, least=least) for least in COCO_IOUS]
    table = {
        name: float(np.mean([match(frames, rule, index).average_precision() for rule in rules]))
        for index, name in enumerate(CLASSES)
    }
    return {**table, "mean": float(np.mean(list(table.values())))}


def _by_group(
    frames: list[Look], thresholds: dict[str, float], key: Callable[[Clip], str]
) -> dict[str, dict[str, dict[str, float]]]:
    """F1 by both rules and recall by centre per class and group (each clip was filmed for one class at a distance)."""
    table: dict[str, dict[str, dict[str, float]]] = {}
    for index, name in enumerate(CLASSES):
        of_class = [look for look in frames if look.clip.label == index]
        for group in sorted({key(look.clip) for look in of_class}):
            part = [look for look in of_class if key(look.clip) == group]
            iou, centre = (match(part, rule, index) for rule in (by_iou, by_centre))
            row = {"iou50 f1": iou.at(thresholds[name])["f1"], "centre f1": centre.at(thresholds[name])["f1"]}
            recall = centre.at(thresholds[name])["recall"]
            table.setdefault(group, {})[name] = {**row, "centre recall": recall, "objects": centre.objects}
    return table


def _confusion(at_work: list[Look]) -> dict[str, dict[str, int]]:
    """How often an object of each class (rows) that was found by centre was given each name, and how often missed."""
    counts = np.zeros((len(CLASSES), len(CLASSES) + 1), int)
    for look in at_work:
        owner = paired(look.near)
        for found, name in zip(owner[owner >= 0], look.labels[owner >= 0], strict=True):
            counts[look.truth_labels[found], name] += 1
        missed = np.ones(len(look.truth), bool)
        missed[owner[owner >= 0]] = False
        np.add.at(counts[:, -1], look.truth_labels[missed], 1)
    return {
        name: dict(zip((*CLASSES, "missed"), row.tolist(), strict=True))
        for name, row in zip(CLASSES, counts, strict=True)
    }


def _named_right(at_work: list[Look], rules: dict[str, dict[str, dict[str, float]]]) -> dict[str, dict[str, float]]:
    """Mean F1 if every box that is right but for its name had the right name: what confusion costs."""
    table = {}
    for name, rule in RULES.items():
        renamed = [_renamed(look, rule) for look in at_work]
        best = float(np.mean([match(renamed, rule, index).at(0.0)["f1"] for index in range(len(CLASSES))]))
        table[name] = {"mean f1": best, "cost of confusion": best - rules[name]["mean"]["f1"]}
    return table


def _renamed(look: Look, rule: Rule) -> Look:
    owner = paired(rule(look))
    return (
        look._replace(labels=np.where(owner >= 0, look.truth_labels[owner], look.labels)) if len(look.truth) else look
    )


def _padding_known(
    results: list[ClipResult], frames: list[Look], thresholds: dict[str, float], audit: Audit | None
) -> dict[str, float]:
    """F1 if all boxes of a clip were moved and scaled as its annotator's are on average: what his habit costs."""
    by_clip: dict[str, list[np.ndarray]] = {}
    for look in frames:
        owner = paired(look.near)
        pairs = np.hstack([look.boxes[owner >= 0], look.truth[owner[owner >= 0]]])
        by_clip.setdefault(look.clip.name, []).append(pairs)
    fitted = [
        _as_annotated(result, np.concatenate(by_clip.get(result.clip.name, [np.zeros((0, 8))]))) for result in results
    ]
    moved = looks(fitted, audit)
    table = {name: match(moved, by_iou, i).at(thresholds[name])["f1"] for i, name in enumerate(CLASSES)}
    return {**table, "mean": float(np.mean(list(table.values())))}


def _as_annotated(result: ClipResult, pairs: np.ndarray) -> ClipResult:
    """The clip with its boxes moved and scaled by the medians over the pairs [P, 8] of found and annotated boxes."""
    if not len(pairs):
        return result
    found, truth = pairs[:, :4], pairs[:, 4:]
    scale = np.median(truth[:, 2:] / found[:, 2:], axis=0)
    shift = np.median((truth[:, :2] + truth[:, 2:] / 2 - found[:, :2] - found[:, 2:] / 2) / found[:, 2:], axis=0)
    size = result.boxes[:, 2:]
    middle = result.boxes[:, :2] + size / 2 + shift * size
    return replace(result, boxes=np.hstack([middle - scale * size / 2, scale * size]))


def _false_alarms(at_work: list[Look]) -> dict[str, float]:
    """Drone boxes where no drone is, per minute of video; bird boxes in clips of other classes, listed apart."""
    others = [look for look in at_work if look.clip.label != _DRONE]
    drones = sum(int(((look.labels == _DRONE) & ~look.ignored).sum()) for look in others)
    birds = sum(int(((look.labels == _BIRD) & ~look.ignored).sum()) for look in at_work if look.clip.label != _BIRD)
    return {
        "drone boxes per minute in clips without drones": drones * FPS * 60 / max(len(others), 1),
        "bird boxes in clips of other classes (not counted)": birds,
    }


def evaluate(
    data: Path, split: str, bands: Iterable[Band] = ("infrared", "visible"), device: str = "auto",
    weights: Path | None = None, threads: int = 2, precision: Precision = "auto",
) -> dict[str, dict[str, Any]]:  # fmt: skip
    """Figures per band with the thresholds kept with the weights.

    Raises:
        DatasetError, WeightsError, AuditError: what is missing and the mend.
    """
    report: dict[str, dict[str, Any]] = {}
    audit = load_audit()
    for band in bands:
        clips = load_clips(data, band, split)
        detector = load_any(band, device=device, weights=weights, threads=threads, precision=precision)
        results = run_clips(detector, clips)
        report[band] = {
            "weights": detector.name, "sha256": detector.sha256, "backend": detector.backend, "split": split,
            **summarise(results, detector.thresholds, None, detector.calibration),
        }  # fmt: skip
        if any(clip.name in audit for clip in clips):
            report[band]["with the audit"] = summarise(results, detector.thresholds, audit, detector.calibration)
    return report


def set_thresholds(weights: Path, data: Path, device: str = "auto", threads: int = 2) -> dict[str, float]:
    """Choose the thresholds and fit the calibration on `val`; keep both, with the val figures, in the card."""
    return settle(weights, data, device, threads)[0]["thresholds"]


def settle(
    weights: Path, data: Path, device: str = "auto", threads: int = 2
) -> tuple[dict[str, Any], list[ClipResult]]:
    """What `set_thresholds` does; the card, and the results on `val`."""
    card_path = weights.with_suffix(".json")
    card = json.loads(card_path.read_text())
    band: Band = card["architecture"]["band"]
    detector = load_detector(band, device=device, weights=weights, threads=threads)
    detector.box_scale = 1.0
    as_found = run_clips(detector, load_clips(data, band, "val"))
    card["box_scale"] = choose_box_scale(as_found)
    results = [replace(r, boxes=scaled(r.boxes, card["box_scale"])) for r in as_found]
    card["thresholds"] = choose_thresholds(results)
    card["calibration"] = fit_all(looks(results))
    card.setdefault("metrics", {})["val"] = summarise(results, card["thresholds"], None, card["calibration"])
    card_path.write_text(json.dumps(card, indent=2) + "\n")
    return card, results
