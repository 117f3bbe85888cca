"""Verdicts, and those of one sensor's looks: which of its reports are of something that was really there.

hit            a report of something, called what it is
wrong_target   a report of something that is something else
false          a report of nothing
late           a hit that came too late to be used
miss           a drone where the sensor looks, without a report of it
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

import numpy as np

from fusion import spaces
from fusion.geometry import FloatArray
from fusion.types import NS, Measurement, Scan, Space
from simulation.gospa import assigned
from simulation.truth import PictureTruth, TrueObject, Truth

MEMORY_NS = 60 * NS
_AHEAD_NS = NS // 2  # so far a drone flies on as it did, until the truth of then is told
_SIGMAS = 3.0
_LEAST_ANGLE_RAD = math.radians(1.0)
_LEAST_PX = 10.0
_BOX_SHARE = 0.75
_CLAIM_M = 15.0
PLACES = (Space.POSITION, Space.POSITION_VELOCITY)
#: Upper ends of the ranges by which errors are told apart.
RANGES_M = (50.0, 100.0, 200.0, 400.0, 800.0, 1600.0, math.inf)


class Verdict(StrEnum):
    HIT = "hit"
    MISS = "miss"
    FALSE = "false"
    WRONG_TARGET = "wrong_target"
    LATE = "late"


class Memory:
    """The truth of the last minute, at any time in it."""

    def __init__(self) -> None:
        self._told: deque[Truth] = deque()

    @property
    def newest_ns(self) -> int | None:
        return self._told[-1].time_ns if self._told else None

    def add(self, truth: Truth) -> None:
        """Truth that is older than what is known already is left out."""
        if self._told and truth.time_ns <= self._told[-1].time_ns:
            return
        self._told.append(truth)
        while truth.time_ns - self._told[0].time_ns > MEMORY_NS:
            self._told.popleft()

    def at(self, time_ns: int) -> tuple[TrueObject, ...] | None:
        """Everything that flew then, between two tellings carried on straight; None: nobody knows."""
        for truth in reversed(self._told):
            if truth.time_ns <= time_ns:
                ahead_ns = time_ns - truth.time_ns
                return _carried(truth.objects, ahead_ns / NS) if ahead_ns <= _AHEAD_NS else None
        return None


def _carried(objects: Sequence[TrueObject], seconds: float) -> tuple[TrueObject, ...]:
    if seconds == 0.0:
        return tuple(objects)
    return tuple(
        TrueObject(
            each.name,
            each.class_name,
            (
                each.position_m[0] + each.velocity_mps[0] * seconds,
                each.position_m[1] + each.velocity_mps[1] * seconds,
                each.position_m[2] + each.velocity_mps[2] * seconds,
            ),
            each.velocity_mps,
            each.claimed_id,
            each.lies,
        )
        for each in objects
    )


class Look(NamedTuple):
    """One look, judged.

    Attributes:
        verdicts: of the reports, in their order; MISS for each drone without one behind them.
        missed_by: of each hit how far it was off, radians (of claims metres), and how far away the thing was, m.
        in_sight: names of what it could see.
        drones: how many of those are drones, and of how many of these there is a report, whatever it calls them.
    """

    verdicts: tuple[Verdict, ...]
    missed_by: tuple[tuple[float, float], ...]
    in_sight: tuple[str, ...]
    drones: tuple[int, int]


def judged(scan: Scan, memory: Memory, picture: PictureTruth | None, late: bool) -> Look | None:
    """One look of one sensor; None where nobody knows what was there.

    Args:
        picture: what really was in a camera's picture; else what should be there by its place in the site file.
    """
    objects = memory.at(scan.time_ns)
    if objects is None:
        return None
    if scan.space in PLACES:
        return _claims(scan, objects, late)
    apart, near, ranges_m, seen = _in_picture(scan, objects, picture) if picture else _by_pose(scan, memory, objects)
    pairs = {j: i for i, j in assigned(apart / near, 1.0)}
    verdicts = [_verdict(report, seen, pairs.get(j), late) for j, report in enumerate(scan.measurements)]
    found = set(pairs.values())
    missed = [o for i, o in enumerate(seen) if i not in found and o.class_name == "drone"]
    off = tuple((float(apart[i, j]), float(ranges_m[i])) for j, i in sorted(pairs.items()))
    drones = sum(each.class_name == "drone" for each in seen)
    names = tuple(each.name for each in seen)
    return Look((*verdicts, *(Verdict.MISS for _ in missed)), off, names, (drones, drones - len(missed)))


def _verdict(report: Measurement, seen: Sequence[TrueObject], which: int | None, late: bool) -> Verdict:
    if which is None:
        return Verdict.FALSE
    if report.label is not None and report.label != seen[which].class_name:
        return Verdict.WRONG_TARGET
    return Verdict.LATE if late else Verdict.HIT


_Seen = tuple[FloatArray, FloatArray, FloatArray, Sequence[TrueObject]]


def _in_picture(scan: Scan, objects: Sequence[TrueObject], picture: PictureTruth) -> _Seen:
    """Angles [T, N] between boxes' centres and reports, how near is near, ranges [T], and what is there [T]."""
    flying = {each.name: each for each in objects}
    boxes = [box for box in picture.objects if box.name in flying]
    seen = [flying[box.name] for box in boxes]
    corners = np.array([box.box for box in boxes]).reshape(-1, 4)
    reports = np.array([m.z for m in scan.measurements]).reshape(-1, 2)
    off = corners[:, None, :2] + 0.5 * corners[:, None, 2:] - reports[None]
    focal = 1.0 if scan.camera is None else math.sqrt(scan.camera.fx * scan.camera.fy)
    apart = np.hypot(off[..., 0], off[..., 1]) / focal
    near = np.maximum(_BOX_SHARE * corners[:, 2:].max(axis=1, initial=0.0), _LEAST_PX)[:, None] / focal
    away = np.array([each.position_m for each in seen]).reshape(-1, 3) - scan.pose.position_m
    return apart, np.broadcast_to(near, apart.shape), np.sqrt(np.square(away).sum(axis=1)), seen


def _by_pose(scan: Scan, memory: Memory, objects: Sequence[TrueObject]) -> _Seen:
    """The same by the sensor's place and attitude: what it should report."""
    wave = next((m.propagation_mps for m in scan.measurements if m.propagation_mps), None)
    then = objects if wave is None else _when_it_left(scan, memory, objects, wave)
    state = np.array([(*o.position_m, *o.velocity_mps) for o in then]).reshape(-1, 6)
    level = np.nan_to_num(state, nan=0.0)
    predicted = spaces.predict(scan.space, level, scan.pose, scan.camera)
    away = level[:, :3] - scan.pose.position_m
    ranges_m = np.sqrt(np.square(away).sum(axis=1))
    inside = predicted.valid & np.isfinite(state[:, 2])
    if scan.camera is not None:
        inside &= scan.camera.sees(predicted.z)
    if scan.coverage is not None:
        inside &= ranges_m < scan.coverage.max_range_m
    seen = [each for each, sees in zip(then, inside, strict=True) if sees]
    dimension = spaces.DIMENSION[scan.space]
    reports = np.array([m.z for m in scan.measurements]).reshape(-1, dimension)
    off = spaces.residual(scan.space, reports[None], predicted.z[inside][:, None])
    apart = _angle(scan, off, predicted.z[inside])
    near = np.array([_near_rad(scan, m) for m in scan.measurements])
    return apart, np.broadcast_to(near, apart.shape), ranges_m[inside], seen


def _when_it_left(scan: Scan, memory: Memory, objects: Sequence[TrueObject], wave_mps: float) -> list[TrueObject]:
    """Things where they were when the sound that arrives now left them."""
    out = []
    for index, each in enumerate(objects):
        then = each
        for _ in range(2):
            delay_ns = round(math.dist(then.position_m, scan.pose.position_m) / wave_mps * NS)
            before = memory.at(scan.time_ns - delay_ns) if math.isfinite(then.position_m[2]) else None
            if before is not None and index < len(before) and before[index].name == each.name:
                then = before[index]
        out.append(then)
    return out


def _angle(scan: Scan, off: FloatArray, predicted: FloatArray) -> FloatArray:
    """Radians [T, N] of residuals [T, N, d]."""
    if scan.space is Space.AZIMUTH:
        return np.abs(off[..., 0])
    across, along = off[..., 0], off[..., 1]
    if scan.space is Space.PIXEL and scan.camera is not None:
        across, along = across / scan.camera.fx, along / scan.camera.fy
    else:
        across = across * np.cos(predicted[:, None, 1])
    angle: FloatArray = np.hypot(across, along)
    return angle


def _near_rad(scan: Scan, report: Measurement) -> float:
    """How far a report may be off and still be of a thing: its own σ, the sensor's attitude, its apparent size."""
    d = len(report.z)
    variance = max(report.covariance[0], report.covariance[d + 1] if d > 1 else 0.0)
    if scan.space is Space.PIXEL and scan.camera is not None:
        variance /= scan.camera.fx * scan.camera.fy
    sigma = math.sqrt(variance + scan.pose.attitude_sigma_rad**2)
    return _LEAST_ANGLE_RAD + _SIGMAS * sigma + (report.angular_size_rad or 0.0)


def _claims(scan: Scan, objects: Sequence[TrueObject], late: bool) -> Look:
    """Places that are claimed or measured: a hit where the one that claims it, or anything, is there."""
    verdicts, off = [], []
    for report in scan.measurements:
        mine = [o for o in objects if o.claimed_id == report.claimed_id] if report.claimed_id else list(objects)
        mine = mine or list(objects)  # nobody knows who claims that
        away = [distance_m(o, report.z) for o in mine]
        d = len(report.z)
        near_m = _CLAIM_M + _SIGMAS * math.sqrt(max(report.covariance[k * (d + 1)] for k in range(3)))
        best = min(range(len(away)), key=away.__getitem__, default=None)
        if best is None or away[best] > near_m:
            verdicts.append(Verdict.FALSE)
            continue
        verdicts.append(_verdict(report, mine, best, late))
        off.append((away[best], math.dist(np.nan_to_num(mine[best].position_m), scan.pose.position_m)))
    told = {report.claimed_id for report in scan.measurements if report.claimed_id}
    names = tuple(o.name for o in objects if o.claimed_id in told)
    return Look(tuple(verdicts), tuple(off), names, (len(verdicts), len(off)))


def distance_m(truth: TrueObject, place_m: Sequence[float]) -> float:
    """Between a thing and a place; level where nobody knows its height."""
    return math.sqrt(sum((a - b) ** 2 for a, b in zip(truth.position_m, place_m, strict=False) if not math.isnan(a)))


def range_bin(range_m: float) -> int:
    """Which of `RANGES_M` a range lies in."""
    return next(k for k, most in enumerate(RANGES_M) if range_m <= most or k == len(RANGES_M) - 1)
