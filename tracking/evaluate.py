"""How good are tracks? HOTA, IDF1, MOTA, identity switches and fragments, as `trackeval` computes them.

Pure functions of rows that someone else read (`service.evaluate_tracker` reads the files). The measures: HOTA (Luiten
et al., IJCV 2021), IDF1 (Ristani et al., ECCV workshops 2016) and MOTA with switches and fragments (Bernardin and
Stiefelhagen 2008), all on intersection over union. Over many clips they are pooled, not averaged: every box weighs the
same.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

Array = NDArray[np.float64]
#: One frame: identities and their boxes x, y, width, height, pixels.
Row = tuple[int, tuple[float, float, float, float]]

MATCH_OVERLAP = 0.5  # of a track that has found its object
LONGEST_GAP = 15  # frames over which the reach of an identity grows


class JudgeMissing(RuntimeError):
    """The library that computes the measures is not installed."""


@dataclass(frozen=True, slots=True)
class Clip:
    """What there was and what was tracked, frame by frame.

    Attributes:
        name: for messages.
        fps: frames a second.
        truth, tracks: one entry a frame, both of the same length; track ids are those shown to people.
    """

    name: str
    fps: float
    truth: Sequence[Sequence[Row]]
    tracks: Sequence[Sequence[Row]]


@dataclass(frozen=True, slots=True)
class Scores:
    """Shares are 0..1 (MOTA may be negative), times seconds.

    Attributes:
        hota, det_a, ass_a, loc_a: means over the overlap thresholds 0.05 … 0.95.
        idf1, mota: at overlap 0.5.
        identity_switches, fragments: counts at overlap 0.5.
        first_track_s: median over objects of the time from their first frame to the first track on them.
        never_tracked: objects without any.
        objects, boxes, clips: of the truth.
    """

    hota: float
    det_a: float
    ass_a: float
    loc_a: float
    idf1: float
    mota: float
    identity_switches: int
    fragments: int
    first_track_s: float | None
    never_tracked: int
    objects: int
    boxes: int
    clips: int

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def score(clips: Sequence[Clip]) -> Scores:
    """Pooled scores.

    Raises:
        JudgeMissing: trackeval is not installed.
        ValueError: no clip, or one whose truth and tracks differ in length.
    """
    if not clips:
        raise ValueError("There is no clip to score")
    for clip in clips:
        if len(clip.truth) != len(clip.tracks):
            raise ValueError(f"{clip.name}: {len(clip.truth)} frames of truth but {len(clip.tracks)} of tracks")
    hota, identity, clear = _pooled(clips)
    waits = [wait for clip in clips for wait in first_track_s(clip)]
    found = [wait for wait in waits if wait is not None]
    return Scores(
        hota=float(np.mean(hota["HOTA"])),
        det_a=float(np.mean(hota["DetA"])),
        ass_a=float(np.mean(hota["AssA"])),
        loc_a=float(np.mean(hota["LocA"])),
        idf1=float(identity["IDF1"]),
        mota=float(clear["MOTA"]),
        identity_switches=int(clear["IDSW"]),
        fragments=int(clear["Frag"]),
        first_track_s=float(np.median(found)) if found else None,
        never_tracked=len(waits) - len(found),
        objects=len(waits),
        boxes=sum(len(rows) for clip in clips for rows in clip.truth),
        clips=len(clips),
    )


def first_track_s(clip: Clip) -> list[float | None]:
    """For each object in order of identity: seconds from its first frame to the first track on it, or None."""
    begun: dict[int, int] = {}
    found: dict[int, int] = {}
    for frame, (truth, tracks) in enumerate(zip(clip.truth, clip.tracks, strict=True)):
        hits = np.any(overlaps(_boxes(truth), _boxes(tracks)) >= MATCH_OVERLAP, axis=1).tolist()
        for (identity, _), hit in zip(truth, hits, strict=True):
            begun.setdefault(identity, frame)
            if hit:
                found.setdefault(identity, frame)
    return [(found[i] - begun[i]) / clip.fps if i in found else None for i in sorted(begun)]


def identities(frames: Sequence[Sequence[tuple[float, float, float, float]]], reach: float = 1.5) -> list[list[Row]]:
    """Identities for labels that have none: each box continues the nearest box of the same object before.

    Args:
        frames: labelled boxes of each frame, all of one class.
        reach: a box further than this many box sizes from every object's last box, grown by one size for each frame in
            between, is a new object. With a single box in every frame there is a single object.
    """
    single = max((len(boxes) for boxes in frames), default=0) <= 1
    last: dict[int, tuple[int, tuple[float, float, float, float]]] = {}
    rows: list[list[Row]] = []
    for frame, boxes in enumerate(frames):
        known = sorted(last)
        cost = np.array(
            [[_distance(box, last[i][1]) / min(frame - last[i][0], LONGEST_GAP) for i in known] for box in boxes]
        )
        numbers = [0] * len(boxes) if single else _continued(cost.reshape(len(boxes), len(known)), known, reach)
        last |= {number: (frame, box) for number, box in zip(numbers, boxes, strict=True)}
        rows.append(list(zip(numbers, boxes, strict=True)))
    return rows


def _continued(cost: Array, known: list[int], reach: float) -> list[int]:
    limited = np.minimum(cost, reach)
    numbers = {int(i): known[j] for i, j in zip(*linear_sum_assignment(limited), strict=True) if cost[i, j] < reach}
    fresh = iter(range(len(known), len(known) + len(cost)))
    return [numbers[i] if i in numbers else next(fresh) for i in range(len(cost))]


def _distance(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> float:
    """Between centres, in sizes of `b`."""
    dx = a[0] + a[2] / 2 - b[0] - b[2] / 2
    dy = a[1] + a[3] / 2 - b[1] - b[3] / 2
    return float(np.sqrt((dx * dx + dy * dy) / max(b[2] * b[3], 1.0)))


def overlaps(a: Array, b: Array) -> Array:
    """Intersection over union, [N, M] from [N, 4] and [M, 4] x, y, width, height."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, :2] + a[:, None, 2:], b[None, :, :2] + b[None, :, 2:])
    common = np.prod(np.maximum(high - low, 0.0), axis=2)
    union = np.prod(a[:, None, 2:], axis=2) + np.prod(b[None, :, 2:], axis=2) - common
    return np.asarray(common / np.maximum(union, 1e-12))


def _boxes(rows: Sequence[Row]) -> Array:
    return np.array([box for _, box in rows], dtype=np.float64).reshape(-1, 4)


def _pooled(clips: Sequence[Clip]) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Results of HOTA, Identity and CLEAR over all clips."""
    metrics = _judge()
    quiet = {"PRINT_CONFIG": False, "THRESHOLD": MATCH_OVERLAP}
    judges = (metrics.HOTA(), metrics.Identity(quiet), metrics.CLEAR(quiet))
    data = [_as_trackeval(clip) for clip in clips]
    hota, identity, clear = (
        judge.combine_sequences({clip.name: judge.eval_sequence(each) for clip, each in zip(clips, data, strict=True)})
        for judge in judges
    )
    return hota, identity, clear


def _judge() -> Any:
    with contextlib.redirect_stdout(io.StringIO()):  # it prints about data sets of which we use none
        try:
            from trackeval import metrics
        except ImportError as error:
            raise JudgeMissing("trackeval is not installed: pip install --no-deps trackeval") from error
    return metrics


def _as_trackeval(clip: Clip) -> dict[str, Any]:
    truth_ids, tracker_ids = _dense(clip.truth), _dense(clip.tracks)
    return {
        "num_timesteps": len(clip.truth),
        "num_gt_dets": sum(len(rows) for rows in clip.truth),
        "num_tracker_dets": sum(len(rows) for rows in clip.tracks),
        "num_gt_ids": len(truth_ids),
        "num_tracker_ids": len(tracker_ids),
        "gt_ids": [np.array([truth_ids[i] for i, _ in rows], dtype=int) for rows in clip.truth],
        "tracker_ids": [np.array([tracker_ids[i] for i, _ in rows], dtype=int) for rows in clip.tracks],
        "similarity_scores": [
            overlaps(_boxes(truth), _boxes(tracks)) for truth, tracks in zip(clip.truth, clip.tracks, strict=True)
        ],
    }


def _dense(frames: Iterable[Sequence[Row]]) -> dict[int, int]:
    """Consecutive numbers from 0 for the identities that occur."""
    return {identity: n for n, identity in enumerate(sorted({identity for rows in frames for identity, _ in rows}))}
