"""Tracks of the site against what flies: what each is of, how well each drone is followed, GOSPA.

A drone is *in sight* while a sensor that works could see it. A track is *of* what it lies nearest to, assigned for all
together, within `cutoff_m` or within its own ellipsoid of 99.9 %; it *locates* a drone when it is within `cutoff_m`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from fusion.geometry import FloatArray
from fusion.types import NS, Identity, Track
from models.types import CLASSES
from simulation.gospa import assigned, gospa
from simulation.spread import Spread
from simulation.truth import TrueObject
from simulation.verdicts import Verdict, distance_m, range_bin

Vector = tuple[float, float, float]
#: By the name of each thing: the sensors that could see it, and how far the nearest of them is, m.
Sights = Mapping[str, tuple[tuple[str, ...], float]]

_ELLIPSOID2 = 16.27  # 99.9 % of three dimensions
_MOST_TRACKS = 5_000  # that are remembered one by one
_MOST_DRONES = 500
_FAR = 1e6


@dataclass(slots=True)
class Drone:
    """How one thing that flies was followed; durations are of the evaluation's own steps, ns.

    Attributes:
        in_sight_ns, two_ns: of one sensor or more, of two or more; `sensors_ns` of each.
        tracked_ns, located_ns, called_ns, identified_ns: with a track of it; near; called what it is; with its id.
        ids, ids_two: how long each track was of it; while two sensors or more had it in sight.
        position_m, position_two_m, velocity_mps: errors.
        sighted_ns, tracked_from_ns, first_range_m: when it first was in sight, first had a track, and how far it was.
        lies_ns, flagged_ns: since when it lies while somebody looks, and when that was first said of it.
        flagged_honest: its claim was called wrong before it ever lied.
    """

    class_name: str
    claimed_id: str | None = None
    in_sight_ns: int = 0
    two_ns: int = 0
    tracked_ns: int = 0
    located_ns: int = 0
    called_ns: int = 0
    identified_ns: int = 0
    sensors_ns: Counter[str] = field(default_factory=Counter)
    ids: Counter[str] = field(default_factory=Counter)
    ids_two: Counter[str] = field(default_factory=Counter)
    switches: int = 0
    track_id: str | None = None
    position_m: Spread = field(default_factory=Spread)
    position_two_m: Spread = field(default_factory=Spread)
    velocity_mps: Spread = field(default_factory=Spread)
    sighted_ns: int | None = None
    tracked_from_ns: int | None = None
    first_range_m: float | None = None
    lies_ns: int | None = None
    flagged_ns: int | None = None
    flagged_honest: bool = False


@dataclass(slots=True)
class _Followed:
    """One track of the site."""

    counts: Counter[Verdict] = field(default_factory=Counter)
    called_drone: bool = False

    def verdict(self) -> Verdict | None:
        """What it mostly was; of two the better one."""
        return max(self.counts, key=lambda v: (self.counts[v], v is Verdict.HIT), default=None)


@dataclass(frozen=True, slots=True)
class Standing:
    """How one track stands: what it is of, and how far off."""

    track_id: str
    verdict: Verdict | None
    truth: str | None
    error_m: float | None


class Followed:
    """All tracks and drones, update by update.

    Args:
        cutoff_m: of GOSPA, and how near a track locates.
        complete: the truth names all that flies; else tracks not called drone are judged only where they are of it.
    """

    def __init__(self, cutoff_m: float, complete: bool) -> None:
        self.drones: dict[str, Drone] = {}
        self.updates: Counter[Verdict] = Counter()
        self.by_range: dict[int, tuple[Spread, Spread]] = {}
        self.now: tuple[Standing, ...] = ()
        self.steps = 0
        self.gospa = (0.0, 0.0, 0, 0)  # Σ of distance, of localisation, missed, false
        self.first_ns: int | None = None
        self.time_ns: int | None = None
        self._cutoff_m = cutoff_m
        self._complete = complete
        self._followed: dict[str, _Followed] = {}
        self._ended: Counter[Verdict] = Counter()
        self._ended_false = 0

    def step(self, time_ns: int, objects: Sequence[TrueObject], tracks: Sequence[Track], sights: Sights) -> None:
        """All that flies and all tracks at one time."""
        step_ns = 0 if self.time_ns is None else min(max(time_ns - self.time_ns, 0), NS)
        self.first_ns = time_ns if self.first_ns is None else self.first_ns
        self.time_ns = time_ns
        said = [track for track in tracks if not _is_told_lie(track)]
        for track in filter(_is_told_lie, tracks):
            self._followed.pop(track.track_id, None)
        apart = np.array([[distance_m(o, t.mean) for t in said] for o in objects]).reshape(len(objects), len(said))
        pairs = self._pairs(objects, said, apart)
        self._count_gospa(objects, said, apart, sights)
        thing = {j: objects[i] for i, j in pairs}
        self.now = tuple(self._follow(track, thing.get(j)) for j, track in enumerate(said))
        track_of = {i: said[j] for i, j in pairs}
        for i, each in enumerate(objects):
            if each.class_name == "drone" or each.claimed_id is not None:
                self._fly(each, track_of.get(i), *sights.get(each.name, ((), math.inf)), time_ns, step_ns)
        self._hear_flags(objects, tracks, time_ns)

    def end(self, track_ids: Sequence[str]) -> None:
        """These tracks are no more."""
        for track_id in track_ids:
            self._close(self._followed.pop(track_id, None))

    def tracks(self) -> tuple[Counter[Verdict], int]:
        """How many tracks were mostly what, and how many of those that were called drone were of nothing."""
        counts, false = Counter(self._ended), self._ended_false
        for followed in self._followed.values():
            verdict = followed.verdict()
            if verdict is not None:
                counts[verdict] += 1
                false += followed.called_drone and verdict is Verdict.FALSE
        return counts, false

    def _pairs(
        self, objects: Sequence[TrueObject], tracks: Sequence[Track], apart: FloatArray
    ) -> list[tuple[int, int]]:
        """Which thing [i] each track [j] is of."""
        near = apart < self._cutoff_m
        for i, j in zip(*np.nonzero(~near), strict=True):
            near[i, j] = _within_own_ellipsoid(objects[i], tracks[j])
        return assigned(np.where(near, apart, _FAR), _FAR, power=1.0)

    def _count_gospa(
        self, objects: Sequence[TrueObject], tracks: Sequence[Track], apart: FloatArray, sights: Sights
    ) -> None:
        """Drones in sight against tracks that are called drone."""
        rows = [i for i, o in enumerate(objects) if o.class_name == "drone" and sights.get(o.name, ((), 0.0))[0]]
        columns = [j for j, track in enumerate(tracks) if is_called_drone(track)]
        found = gospa(apart[np.ix_(rows, columns)], self._cutoff_m)
        distance, localisation, missed, false = self.gospa
        self.steps += 1
        self.gospa = (
            distance + found.distance_m,
            localisation + found.localisation,
            missed + found.missed,
            false + found.false,
        )

    def _follow(self, track: Track, truth: TrueObject | None) -> Standing:
        called = is_called_drone(track)
        verdict: Verdict | None = Verdict.FALSE if self._complete or called else None
        if truth is not None:
            verdict = Verdict.HIT if called == (truth.class_name == "drone") else Verdict.WRONG_TARGET
        if track.track_id not in self._followed and len(self._followed) >= _MOST_TRACKS:
            self._close(self._followed.pop(next(iter(self._followed))))
        followed = self._followed.setdefault(track.track_id, _Followed())
        followed.called_drone |= called
        if verdict is not None:
            followed.counts[verdict] += 1
            self.updates[verdict] += 1
        if truth is None:
            return Standing(track.track_id, verdict, None, None)
        return Standing(track.track_id, verdict, truth.name, distance_m(truth, track.mean))

    def _close(self, followed: _Followed | None) -> None:
        verdict = followed.verdict() if followed is not None else None
        if followed is not None and verdict is not None:
            self._ended[verdict] += 1
            self._ended_false += followed.called_drone and verdict is Verdict.FALSE

    # --- drones -------------------------------------------------------------------------------------------------------

    def _fly(
        self,
        truth: TrueObject,
        track: Track | None,
        seen_by: tuple[str, ...],
        range_m: float,
        time_ns: int,
        step_ns: int,
    ) -> None:
        if not seen_by or (truth.name not in self.drones and len(self.drones) >= _MOST_DRONES):
            return
        drone = self.drones.setdefault(truth.name, Drone(truth.class_name))
        drone.claimed_id = truth.claimed_id
        drone.sighted_ns = time_ns if drone.sighted_ns is None else drone.sighted_ns
        drone.lies_ns = time_ns if truth.lies and drone.lies_ns is None else drone.lies_ns
        drone.in_sight_ns += step_ns
        drone.two_ns += step_ns * (len(seen_by) > 1)
        for sensor_id in seen_by:
            drone.sensors_ns[sensor_id] += step_ns
        if track is not None:
            self._count_track(drone, truth, track, len(seen_by) > 1, range_m, time_ns, step_ns)
        elif truth.class_name == "drone":
            self.updates[Verdict.MISS] += 1

    def _count_track(
        self, drone: Drone, truth: TrueObject, track: Track, two: bool, range_m: float, time_ns: int, step_ns: int
    ) -> None:
        off = distance_m(truth, track.mean)
        drift = _length(a - b for a, b in zip(truth.velocity_mps, track.mean[3:6], strict=True))
        if drone.tracked_from_ns is None:
            drone.tracked_from_ns, drone.first_range_m = time_ns, range_m
        drone.switches += drone.track_id is not None and drone.track_id != track.track_id
        drone.track_id = track.track_id
        drone.tracked_ns += step_ns
        drone.located_ns += step_ns * (off < self._cutoff_m)
        drone.called_ns += step_ns * (is_called_drone(track) == (truth.class_name == "drone"))
        drone.identified_ns += step_ns * (truth.claimed_id is not None and track.claimed_id == truth.claimed_id)
        drone.ids[track.track_id] += step_ns
        drone.position_m.add(off)
        drone.velocity_mps.add(drift)
        if two:
            drone.ids_two[track.track_id] += step_ns
            drone.position_two_m.add(off)
        if truth.class_name == "drone":
            position, velocity = self.by_range.setdefault(range_bin(range_m), (Spread(), Spread()))
            position.add(off)
            velocity.add(drift)

    def _hear_flags(self, objects: Sequence[TrueObject], tracks: Sequence[Track], time_ns: int) -> None:
        """Whose claim is said to be wrong."""
        conflicts = {t.claimed_id for t in tracks if t.identity is Identity.CONFLICTING and t.claimed_id}
        for each in objects:
            drone = self.drones.get(each.name)
            if drone is None or each.claimed_id not in conflicts:
                continue
            if drone.lies_ns is None:
                drone.flagged_honest = True
            elif drone.flagged_ns is None:
                drone.flagged_ns = time_ns


def is_called_drone(track: Track) -> bool:
    """Whether people are told that it is a drone."""
    return max(range(len(CLASSES)), key=lambda k: (track.class_probabilities[k], -k)) == CLASSES.index("drone")


def _is_told_lie(track: Track) -> bool:
    """Where nothing but a claim says that something is, and people are told not to believe it."""
    return track.claim_only and track.identity is Identity.CONFLICTING


def _within_own_ellipsoid(truth: TrueObject, track: Track) -> bool:
    """Whether a track's own uncertainty holds the thing; level where nobody knows its height."""
    axes = [k for k in range(3) if not math.isnan(truth.position_m[k])]
    off = np.array([truth.position_m[k] - track.mean[k] for k in axes])
    covariance = np.array(track.covariance).reshape(6, 6)[np.ix_(axes, axes)]
    try:
        distance2 = float(off @ np.linalg.solve(covariance, off))
    except np.linalg.LinAlgError:
        return False
    return 0.0 <= distance2 <= _ELLIPSOID2


def _length(parts: Iterable[float]) -> float:
    return math.sqrt(sum(part * part for part in parts if not math.isnan(part)))
