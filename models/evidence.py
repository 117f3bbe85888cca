"""What one camera has lately shown: in one frame the class and size of a small thing are doubtful, over many less so.

A fold over the detections of one camera. A box goes on from the remembered one that is nearest to it, if it is to that
one too and no further off than its size; its class scores (as logits) and its size are then averaged with what was
remembered, older looks counting less. Its place stays that of the frame, a thing seen for the first time stays what the
network says, and nothing is added that the network did not find: carrying a thing through misses is the tracker's work.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: Time constants, s, of the memory of classes and of sizes (chosen on `val`: docs/decisions/0015).
CLASS_S, SIZE_S = 1.0, 0.5
#: The weight of the frame itself in the scores given: what is plain now counts at once.
NOW = 0.25
#: A thing not found for so long is forgotten, s.
HOLD_S = 0.5
#: How much further the next box may be, in sizes a second.
SPEED = 3.0
_SUREST = 9.0  # logit; a single look does not outweigh all others


@dataclass(slots=True)
class _Things:
    """N things: centre [N, 2], log of width and height [N, 2], logits [N, classes], looks [N] so far, seen_s [N]."""

    centre: np.ndarray
    size: np.ndarray
    logits: np.ndarray
    looks: np.ndarray
    seen_s: np.ndarray

    def rows(self, chosen: np.ndarray) -> _Things:
        return _Things(*(getattr(self, name)[chosen] for name in self.__slots__))

    def with_(self, other: _Things) -> _Things:
        return _Things(*(np.concatenate([getattr(self, name), getattr(other, name)]) for name in self.__slots__))


@dataclass(slots=True)
class Memory:
    """Of one camera."""

    _known: _Things | None = None
    _last_ns: int = 0
    _begun_ns: int = 0  # what its times count from

    def fold(self, time_ns: int, boxes: np.ndarray, class_scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Boxes float32 [N, 4] (x, y, width, height) and class_scores float32 [N, classes] of one frame, best first.

        Returns:
            Boxes of the same places and class scores with the evidence before, best first. A time not after the last
            one begins anew.
        """
        if self._known is None or time_ns <= self._last_ns:
            self._known, self._begun_ns = _things(boxes[:0], class_scores[:0], 0.0), time_ns
        self._last_ns = time_ns
        time_s = (time_ns - self._begun_ns) * 1e-9
        known = self._known.rows(self._known.seen_s >= time_s - HOLD_S)
        if not len(boxes):  # most looks at a sky: nothing to fold
            self._known = known
            return boxes.astype(np.float32), class_scores.astype(np.float32)
        now = _things(boxes, class_scores, time_s)
        looked = now.logits.copy()
        mine, theirs = _pairs(now, known)
        _average(now, mine, known.rows(theirs))
        self._known = now.with_(known.rows(np.delete(np.arange(len(known.looks)), theirs)))
        scores = 1 / (1 + np.exp(-(NOW * looked + (1 - NOW) * now.logits)))
        side = np.exp(now.size)
        order = np.argsort(-scores.max(1, initial=0.0), kind="stable")
        return np.hstack([now.centre - side / 2, side])[order].astype(np.float32), scores[order].astype(np.float32)


def _things(boxes: np.ndarray, class_scores: np.ndarray, seen_s: float) -> _Things:
    count = len(boxes)
    scores = np.clip(class_scores.astype(np.float64), 1e-9, 1 - 1e-9)
    return _Things(
        centre=(boxes[:, :2] + boxes[:, 2:] / 2).astype(np.float64),
        size=np.log(np.maximum(boxes[:, 2:].astype(np.float64), 1e-3)),
        logits=np.clip(np.log(scores / (1 - scores)), -_SUREST, _SUREST),
        looks=np.ones(count),
        seen_s=np.full(count, seen_s),
    )


def _pairs(now: _Things, known: _Things) -> tuple[np.ndarray, np.ndarray]:
    """Indices of things now and of known ones that are each other's nearest and near enough."""
    none = np.zeros(0, np.intp)
    if not len(now.looks) or not len(known.looks):
        return none, none
    apart = np.square(now.centre[:, None] - known.centre[None]).sum(2)
    side = np.exp(np.maximum(now.size.mean(1)[:, None], known.size.mean(1)[None]))
    reach = side * (1 + SPEED * (now.seen_s[:, None] - known.seen_s[None]))
    distance = np.sqrt(apart) / reach
    nearest, back = distance.argmin(1), distance.argmin(0)
    mine = np.arange(len(nearest))
    chosen = (back[nearest] == mine) & (distance[mine, nearest] < 1)
    return mine[chosen], nearest[chosen]


def _average(now: _Things, rows: np.ndarray, before: _Things) -> None:
    """Take what was known `before` of these rows into them: a plain mean at first, then one that forgets."""
    passed = now.seen_s[rows] - before.seen_s
    for name, constant in (("logits", CLASS_S), ("size", SIZE_S)):
        fresh = np.maximum(1 - np.exp(-passed / constant), 1 / (before.looks + 1))[:, None]
        values = getattr(now, name)
        values[rows] = (1 - fresh) * getattr(before, name) + fresh * values[rows]
    now.looks[rows] = before.looks + 1
