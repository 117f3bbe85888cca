"""What goes by while a flight is judged, kept as a report needs it: paths, errors, who saw what when, alerts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from fusion.alerts import Alert
from fusion.geometry import FloatArray
from fusion.types import NS, Identity, Scan
from models.types import CLASSES
from service.schemas import best_class
from service.types import Message, WorldTrack, WorldUpdate
from simulation.score import Scorer
from simulation.truth import Truth
from simulation.verdicts import Verdict

_STEP_NS = NS // 2  # so often a place of a path is kept


@dataclass(slots=True)
class Line:
    """A path: seconds, ENU metres and m/s, about twice a second."""

    times_s: list[float] = field(default_factory=list)
    places_m: list[tuple[float, ...]] = field(default_factory=list)
    last_ns: int = -(1 << 62)

    def add(self, time_ns: int, seconds: float, place: tuple[float, ...]) -> None:
        if time_ns - self.last_ns >= _STEP_NS:
            self.last_ns = time_ns
            self.times_s.append(seconds)
            self.places_m.append(place)

    @property
    def places(self) -> FloatArray:
        """[N, 6]."""
        return np.array(self.places_m).reshape(-1, 6)


@dataclass(slots=True)
class SeenTrack:
    """One track from first to last.

    Attributes:
        names: how often it was called what.
        conflicting: for how many updates its claim was told to be wrong; `reason` the last words for it.
        sensors: how many updates each of them had a part in.
    """

    line: Line = field(default_factory=Line)
    first_ns: int = 0
    last_ns: int = 0
    updates: int = 0
    names: Counter[str] = field(default_factory=Counter)
    claimed_id: str | None = None
    claim_only: bool = True
    conflicting: int = 0
    reason: str = ""
    sensors: Counter[str] = field(default_factory=Counter)

    @property
    def name(self) -> str:
        """What it was called for most of its life."""
        return max(CLASSES, key=lambda name: self.names[name])


@dataclass(slots=True)
class Second:
    """What one sensor did in one second."""

    looks: int = 0
    reports: int = 0
    hits: int = 0
    misses: int = 0


class Observed:
    """Told by `score_flight.run_flight` as `watch`."""

    def __init__(self) -> None:
        self.tracks: dict[str, SeenTrack] = {}
        self.truths: dict[str, Line] = {}
        self.classes: dict[str, str] = {}
        self.sensors: dict[str, dict[int, Second]] = {}
        self.errors: dict[str, list[tuple[float, float]]] = {}  # by drone: seconds, metres
        self.alerts: dict[int, tuple[Alert, Alert]] = {}  # first and last word
        self.epoch_ns: int | None = None
        self._hits: dict[str, tuple[int, int]] = {}

    def watch(self, time_ns: int, message: Message, scorer: Scorer) -> None:
        """One message, after it was judged."""
        self.epoch_ns = time_ns if self.epoch_ns is None else self.epoch_ns
        match message:
            case Scan():
                self._scan(message, scorer)
            case WorldUpdate():
                self._update(message, scorer)
            case Truth():
                self.fly(message)
            case Alert():
                first = self.alerts.get(message.number, (message, message))[0]
                self.alerts[message.number] = (first, message)
            case _:
                pass

    def seconds(self, time_ns: int) -> float:
        """Since the beginning of the flight."""
        return (time_ns - (self.epoch_ns or 0)) / NS

    def fly(self, truth: Truth) -> None:
        """Where everything is."""
        seconds = self.seconds(truth.time_ns)
        for each in truth.objects:
            self.classes[each.name] = each.class_name
            line = self.truths.setdefault(each.name, Line())
            line.add(truth.time_ns, seconds, (*each.position_m, *each.velocity_mps))

    def _scan(self, scan: Scan, scorer: Scorer) -> None:
        second = self.sensors.setdefault(scan.sensor_id, {}).setdefault(int(self.seconds(scan.time_ns)), Second())
        second.looks += 1
        second.reports += len(scan.measurements)
        judged = scorer.sensors.get(scan.sensor_id)
        if judged is not None:
            now = judged.counts[Verdict.HIT] + judged.counts[Verdict.LATE], judged.counts[Verdict.MISS]
            before = self._hits.get(scan.sensor_id, (0, 0))
            second.hits += now[0] - before[0]
            second.misses += now[1] - before[1]
            self._hits[scan.sensor_id] = now

    def _update(self, update: WorldUpdate, scorer: Scorer) -> None:
        seconds = self.seconds(update.time_ns)
        for shown in update.tracks:
            self._track(update.time_ns, seconds, shown)
        if scorer.followed.time_ns != update.time_ns:
            return
        for standing in scorer.followed.now:
            if standing.truth is not None and standing.error_m is not None:
                self.errors.setdefault(standing.truth, []).append((seconds, standing.error_m))

    def _track(self, time_ns: int, seconds: float, shown: WorldTrack) -> None:
        track = shown.track
        seen = self.tracks.setdefault(track.track_id, SeenTrack(first_ns=time_ns))
        seen.last_ns = time_ns
        seen.updates += 1
        seen.names[best_class(track.class_probabilities)] += 1
        seen.claimed_id = track.claimed_id or seen.claimed_id
        seen.claim_only &= track.claim_only
        if track.identity is Identity.CONFLICTING:
            seen.conflicting += 1
            seen.reason = track.evidence[0] if track.evidence else ""
        seen.sensors.update(sensor_id for sensor_id, _ in track.contributors)
        seen.line.add(time_ns, seconds, track.mean[:6])
