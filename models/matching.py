"""Which detections are right: each frame's boxes beside the annotated ones, paired best first.

Two rules say whether a box is right: IoU ≥ 0.5 with the annotated one, or its centre no further from the annotated
centre than half the annotated side, √(width · height) / 2. Annotated boxes are loose and jitter, so both are always
given.

The annotation leaves out many real birds in clips of other classes, so bird detections there are not counted, and
neither are the few birds annotated there. The project's own audit (`models.audit`) says where else an object was left
out: a detection there that gives the object its right name is neither right nor wrong. One that gives it another name
is a false alarm as before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from models.audit import Audit
from models.boxes import iou_matrix
from models.halmstad import Clip
from models.types import CLASSES

_BIRD = CLASSES.index("bird")


@dataclass(frozen=True, slots=True)
class ClipResult:
    """All detections of one clip: frame [N], boxes [N, 4], class_scores [N, 4]; `frames` looked at."""

    clip: Clip
    frame: np.ndarray
    boxes: np.ndarray
    class_scores: np.ndarray
    frames: int


class Look(NamedTuple):
    """One frame: N detections, best first, beside M annotated objects.

    Attributes:
        clip, frame: which one.
        boxes, scores, labels: [N, 4], [N], [N] of the detections; the label is the best class.
        truth, truth_labels: [M, 4], [M].
        iou: [N, M].
        near: bool [N, M], right by centre.
        ignored: bool [N], on an object of the audit that has this class, or one that nobody can tell.
        audited: bool [N], on any object of the audit.
    """

    clip: Clip
    frame: int
    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    truth: np.ndarray
    truth_labels: np.ndarray
    iou: np.ndarray
    near: np.ndarray
    ignored: np.ndarray
    audited: np.ndarray

    def keep(self, chosen: np.ndarray) -> Look:
        """With the detections of `chosen`, bool [N], only."""
        rows = ("boxes", "scores", "labels", "iou", "near", "ignored", "audited")
        return self._replace(**{name: getattr(self, name)[chosen] for name in rows})


#: Right (bool [N, M]) for the detections of a look against its annotated objects.
Rule = Callable[[Look], np.ndarray]


def by_iou(look: Look, least: float = 0.5) -> np.ndarray:
    return look.iou >= least


def by_centre(look: Look) -> np.ndarray:
    return look.near


RULES: dict[str, Rule] = {"iou50": by_iou, "centre": by_centre}


def near_centre(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """bool [N, M]: the centre of found [N, 4] is within half the side of truth [M, 4] of its centre."""
    apart = (found[:, None, :2] + found[:, None, 2:] / 2) - (truth[None, :, :2] + truth[None, :, 2:] / 2)
    return np.square(apart).sum(2) <= truth[:, 2:].prod(1)[None] / 4


def looks(results: Iterable[ClipResult], audit: Audit | None = None) -> list[Look]:
    """Every frame of every clip; with an audit, detections on objects that the annotation left out are marked."""
    return [_look(result, frame, audit) for result in results for frame in range(result.frames)]


def _look(result: ClipResult, frame: int, audit: Audit | None) -> Look:
    chosen = np.flatnonzero(result.frame == frame)
    chosen = chosen[np.argsort(-result.class_scores[chosen].max(1, initial=0.0), kind="stable")]
    boxes, class_scores = result.boxes[chosen], result.class_scores[chosen]
    labels = class_scores.argmax(1)
    annotated = result.clip.boxes_of(frame)
    truth = annotated[:, 1:]
    on = audit.found(result.clip.name, frame, boxes, labels) if audit else np.zeros((2, len(boxes)), bool)
    return Look(
        clip=result.clip,
        frame=frame,
        boxes=boxes,
        scores=class_scores.max(1, initial=0.0),
        labels=labels,
        truth=truth,
        truth_labels=annotated[:, 0].astype(int),
        iou=iou_matrix(boxes, truth),
        near=near_centre(boxes, truth),
        ignored=on[0],
        audited=on[1],
    )


@dataclass(frozen=True, slots=True)
class Matches:
    """Detections best first: score [N], hit [N], and how many objects there were to find, in how many frames."""

    score: np.ndarray
    hit: np.ndarray
    objects: int
    frames: int = 0

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

    def recall_at(self, false_per_frame: float) -> float:
        """The share of objects found with at most so many false boxes a frame."""
        allowed = np.cumsum(~self.hit) <= false_per_frame * self.frames
        return float(self.hit[allowed].sum() / max(self.objects, 1))


def match(frames: Sequence[Look], rule: Rule, label: int | None) -> Matches:
    """Best-first greedy matching, one object one detection, of one class, or of any when `label` is None."""
    pairs = [_match_look(look, rule, label) for look in frames if not _birds_elsewhere(look, label)]
    score = np.concatenate([np.zeros(0), *(p[0] for p in pairs)])
    hit = np.concatenate([np.zeros(0, bool), *(p[1] for p in pairs)])
    order = np.argsort(-score, kind="stable")
    return Matches(score[order], hit[order], sum(p[2] for p in pairs), len(pairs))


def _birds_elsewhere(look: Look, label: int | None) -> bool:
    return label == _BIRD and look.clip.label != _BIRD


def _match_look(look: Look, rule: Rule, label: int | None) -> tuple[np.ndarray, np.ndarray, int]:
    """Scores [n] and hits [n] of the detections that count, and the number of objects."""
    right = rule(look)
    if label is None:
        wanted = (look.truth_labels != _BIRD) | (look.clip.label == _BIRD)
        hit = paired(right[:, wanted]) >= 0
        spared = look.audited | ((look.labels == _BIRD) & (look.clip.label != _BIRD))
        counted = hit | ~spared
    else:
        wanted, chosen = look.truth_labels == label, look.labels == label
        hit = np.zeros(len(chosen), bool)
        hit[chosen] = paired(right[chosen][:, wanted]) >= 0
        counted = chosen & (hit | ~look.ignored)
    return look.scores[counted], hit[counted], int(wanted.sum())


def paired(right: np.ndarray) -> np.ndarray:
    """int [N]: which object each detection, best first, gets for its own out of `right` [N, M]; -1 for none."""
    owner = np.full(len(right), -1)
    free = np.ones(right.shape[1], bool)
    for row in np.flatnonzero(right.any(1)):
        options = np.flatnonzero(right[row] & free)
        if len(options):
            owner[row] = options[0]
            free[options[0]] = False
    return owner
