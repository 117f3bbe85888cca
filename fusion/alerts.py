"""Zones and what tracks do about them: who is inside, who will be, and whose claim does not hold. A pure fold.

What the service itself fails at is told to the fold as well (`Trouble`): so there is one order and one count of alerts.

Every alert has hysteresis, so that a track on a border gives one alert and not a hundred: it begins above one
probability and ends below a much smaller one, and only after that has lasted a while. Probabilities come from the
track's own covariance: a drone of which only the direction is known is nowhere inside for sure.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from fusion.types import NS, Identity, Track
from models.types import CLASSES

_BIRD = CLASSES.index("bird")
_SURE = 1e-6  # of a variance or a speed: smaller is none


class AlertKind(StrEnum):
    ENTER = "enter"
    APPROACH = "approach"
    CLAIM_CONFLICT = "claim_conflict"
    RECORDING = "recording"


@dataclass(frozen=True, slots=True)
class ZoneArea:
    """A zone of the site: corners in ENU metres (east, north), in order; heights above the ellipsoid.

    `critical`: nothing may fly there at all.
    """

    zone_id: str
    name: str
    corners_m: tuple[tuple[float, float], ...]
    floor_m: float = -math.inf
    ceiling_m: float = math.inf
    critical: bool = False
    #: West, south, east, north.
    bounds_m: tuple[float, float, float, float] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        easts, norths = zip(*self.corners_m, strict=True)
        object.__setattr__(self, "bounds_m", (min(easts), min(norths), max(easts), max(norths)))


@dataclass(frozen=True, slots=True)
class Alert:
    """Something that a person should look at.

    Attributes:
        number: counts up, never used again.
        track_id, zone_id: None where it is not about one.
        started_ns, time_ns: when it began; when this was last so.
        active: False once it is over.
        critical: about a zone where nothing may fly at all.
        probability: that it is so, 0..1; of a claim conflict how little claim and sightings agree.
        time_to_entry_s: of an approach, at the present velocity.
        text: one sentence for people.
    """

    number: int
    kind: AlertKind
    track_id: str | None
    zone_id: str | None
    started_ns: int
    time_ns: int
    active: bool
    critical: bool
    probability: float
    time_to_entry_s: float | None
    text: str


@dataclass(frozen=True, slots=True)
class Trouble:
    """The service itself fails at something, or (`active` False) no more.

    Attributes:
        kind: of the alert that tells it.
        time_ns: since when.
        text: one sentence for people: what, and what to do.
    """

    kind: AlertKind
    time_ns: int
    active: bool
    text: str


@dataclass(frozen=True, slots=True)
class AlertSettings:
    """Attributes:
    begin, end: probability at which an alert begins, and below which it may end.
    settle_s: how long an approach or a conflict must last before it is told; an entry is told at once.
    calm_s: how long it must be over before it ends.
    ahead_s: how far ahead an entry is foreseen; `ahead_end_s` ends an approach.
    moving: speed over its own σ from which a direction of flight means something.
    most: alerts that run at one time; beyond it new ones are counted and left out.
    """

    begin: float = 0.8
    end: float = 0.2
    settle_s: float = 0.5
    calm_s: float = 2.0
    ahead_s: float = 30.0
    ahead_end_s: float = 45.0
    moving: float = 3.0
    most: int = 1000


_DEFAULTS = AlertSettings()


@dataclass(frozen=True, slots=True)
class Sighted:
    """A track as the zones see it."""

    track: Track
    altitude_m: float


@dataclass(frozen=True, slots=True)
class _Finding:
    """What one look says of one possible alert: whether it may begin, whether it may go on, and what to tell."""

    begins: bool
    goes_on: bool
    probability: float
    text: str
    time_to_entry_s: float | None = None
    settle_s: float = 0.0


@dataclass(slots=True)
class _Running:
    """An alert that runs or may begin; `since_ns`: how long it could have begun, `good_ns`: when it was last so."""

    since_ns: int
    good_ns: int
    alert: Alert | None = None
    told_ns: int = 0


_Key = tuple[AlertKind, str, str]
_TELL_NS = NS  # so often at most is told how an alert that runs has changed


class AlertFold:
    """Alerts of one site.

    Args:
        first_number: the first that was never used.
    """

    def __init__(self, settings: AlertSettings = _DEFAULTS, first_number: int = 1) -> None:
        self._settings = settings
        self._zones: dict[str, ZoneArea] = {}
        self._running: dict[_Key, _Running] = {}
        self._troubles: dict[AlertKind, Alert] = {}
        self.next_number = first_number
        self.left_out = 0

    def put_zone(self, zone: ZoneArea) -> None:
        """A new zone, or a new shape of one there is."""
        self._zones[zone.zone_id] = zone

    def remove_zone(self, zone_id: str) -> None:
        self._zones.pop(zone_id, None)

    def tell(self, trouble: Trouble) -> Alert | None:
        """The alert of a trouble that begins, goes on for another reason, or is over; None where there was none."""
        running = self._troubles.pop(trouble.kind, None)
        if not trouble.active:
            return None if running is None else replace(running, time_ns=trouble.time_ns, active=False)
        if running is None:
            told = (trouble.time_ns, trouble.time_ns, True, False, 1.0, None, trouble.text)
            running = Alert(self.next_number, trouble.kind, None, None, *told)
            self.next_number += 1
        self._troubles[trouble.kind] = replace(running, time_ns=trouble.time_ns, text=trouble.text)
        return self._troubles[trouble.kind]

    def step(self, time_ns: int, tracks: Sequence[Sighted]) -> tuple[Alert, ...]:
        """Alerts that began, changed or ended, given all tracks there are."""
        findings = {key: finding for each in tracks for key, finding in self._findings(each)}
        changed = [self._follow(key, finding, time_ns) for key, finding in findings.items()]
        gone = [key for key in self._running if key not in findings]
        changed += [self._end(key, time_ns) for key in gone]
        return tuple(alert for alert in changed if alert is not None)

    # --- what is to be found ------------------------------------------------------------------------------------------

    def _findings(self, seen: Sighted) -> Iterator[tuple[_Key, _Finding]]:
        track = seen.track
        yield (AlertKind.CLAIM_CONFLICT, track.track_id, ""), _conflict(track, self._settings)
        if track.claim_only and track.identity is Identity.CONFLICTING:
            return  # where a known lie says it is, there is nothing
        if max(range(len(CLASSES)), key=track.class_probabilities.__getitem__) == _BIRD:
            return
        for zone in self._zones.values():
            entry = (AlertKind.ENTER, track.track_id, zone.zone_id)
            approach = (AlertKind.APPROACH, track.track_id, zone.zone_id)
            if _is_far(zone, track, self._settings) and not (entry in self._running or approach in self._running):
                continue
            inside = _probability_inside(zone, seen)
            yield entry, _entry(zone, track, inside, self._settings)
            yield approach, _approach(zone, seen, inside, self._settings)

    # --- hysteresis ---------------------------------------------------------------------------------------------------

    def _follow(self, key: _Key, finding: _Finding, time_ns: int) -> Alert | None:
        running = self._running.get(key)
        if running is None:
            if not finding.begins:
                return None
            running = self._running[key] = _Running(time_ns, time_ns)
        if running.alert is None:
            return self._begin(key, running, finding, time_ns)
        if finding.goes_on:
            running.good_ns = time_ns
        elif time_ns - running.good_ns >= self._settings.calm_s * NS:
            return self._end(key, time_ns)
        return self._tell(running, finding, time_ns)

    def _begin(self, key: _Key, running: _Running, finding: _Finding, time_ns: int) -> Alert | None:
        if not finding.begins:
            del self._running[key]
            return None
        if time_ns - running.since_ns < finding.settle_s * NS:
            return None
        if sum(each.alert is not None for each in self._running.values()) >= self._settings.most:
            self.left_out += 1
            return None
        kind, track_id, zone_id = key
        critical = kind is not AlertKind.CLAIM_CONFLICT and self._zones[zone_id].critical
        told = (critical, finding.probability, finding.time_to_entry_s, finding.text)
        running.alert = Alert(self.next_number, kind, track_id, zone_id or None, running.since_ns, time_ns, True, *told)
        running.good_ns = running.told_ns = time_ns
        self.next_number += 1
        return running.alert

    def _tell(self, running: _Running, finding: _Finding, time_ns: int) -> Alert | None:
        """How it stands, at most once a second, while it is so."""
        if running.alert is None or time_ns != running.good_ns or time_ns - running.told_ns < _TELL_NS:
            return None
        running.told_ns = time_ns
        running.alert = replace(
            running.alert,
            time_ns=time_ns,
            probability=finding.probability,
            time_to_entry_s=finding.time_to_entry_s,
            text=finding.text,
        )
        return running.alert

    def _end(self, key: _Key, time_ns: int) -> Alert | None:
        alert = self._running.pop(key).alert
        return None if alert is None else replace(alert, time_ns=time_ns, active=False, time_to_entry_s=None)


# --- findings --------------------------------------------------------------------------------------------------------


def _conflict(track: Track, settings: AlertSettings) -> _Finding:
    conflicting = track.identity is Identity.CONFLICTING
    reason = track.evidence[0] if track.evidence else "its claim and what is seen do not agree"
    text = f"{track.track_id}: {reason}"
    return _Finding(conflicting, conflicting, 1.0 - track.identity_score, text, settle_s=settings.settle_s)


def _is_far(zone: ZoneArea, track: Track, settings: AlertSettings) -> bool:
    """Too far off to be inside now or soon; spares looking at every side of every zone for every track."""
    east, north, _, ve, vn, _ = track.mean
    reach_m = 4.0 * math.sqrt(track.covariance[0] + track.covariance[7]) + math.hypot(ve, vn) * settings.ahead_end_s
    west, south, away_east, away_north = zone.bounds_m
    beyond_east = max(west - east, east - away_east, 0.0)
    beyond_north = max(south - north, north - away_north, 0.0)
    return math.hypot(beyond_east, beyond_north) > reach_m


def _entry(zone: ZoneArea, track: Track, inside: float, settings: AlertSettings) -> _Finding:
    text = f"{track.track_id} is in {zone.name}"
    return _Finding(inside >= settings.begin, inside >= settings.end, inside, text)


def _approach(zone: ZoneArea, seen: Sighted, inside: float, settings: AlertSettings) -> _Finding:
    """Outside, and inside before long if it flies on as it does."""
    track = seen.track
    entry_s = math.inf if inside >= settings.begin else time_to_entry(zone, seen, settings)
    text = f"{track.track_id} flies towards {zone.name}" + (f", {entry_s:.0f} s away" if entry_s < math.inf else "")
    return _Finding(
        entry_s <= settings.ahead_s,
        entry_s <= settings.ahead_end_s,
        1.0 if entry_s < math.inf else 0.0,
        text,
        round(entry_s, 1) if entry_s < math.inf else None,
        settings.settle_s,
    )


def _probability_inside(zone: ZoneArea, seen: Sighted) -> float:
    """From the distance to the border over σ in that direction, and the height over its σ."""
    mean, cov = seen.track.mean, seen.track.covariance
    east, north, distance_m = _nearest_border(zone.corners_m, mean[0], mean[1])
    variance = east * east * cov[0] + 2.0 * east * north * cov[1] + north * north * cov[7]
    signed_m = distance_m if contains(zone.corners_m, mean[0], mean[1]) else -distance_m
    level = _normal(signed_m, variance)
    above = _normal(seen.altitude_m - zone.floor_m, cov[14])
    below = _normal(zone.ceiling_m - seen.altitude_m, cov[14])
    return level * max(above + below - 1.0, 0.0)


def _normal(distance: float, variance: float) -> float:
    """Probability that a Gaussian of this mean is above zero."""
    if math.isinf(distance):
        return 1.0 if distance > 0.0 else 0.0
    return 0.5 * math.erfc(-distance / math.sqrt(2.0 * max(variance, _SURE)))


def time_to_entry(zone: ZoneArea, seen: Sighted, settings: AlertSettings) -> float:
    """Seconds until it crosses the border within the zone's heights; infinite if it does not, or nobody can know."""
    mean, cov = seen.track.mean, seen.track.covariance
    speed2 = mean[3] ** 2 + mean[4] ** 2 + mean[5] ** 2
    if speed2 < max(settings.moving**2 * (cov[21] + cov[28] + cov[35]), _SURE):
        return math.inf
    inside = contains(zone.corners_m, mean[0], mean[1])
    times = [*([0.0] if inside else []), *sorted(_crossings(zone.corners_m, mean)), math.inf]
    spans = list(zip(times[::2], times[1::2], strict=False))
    low_s, high_s = _within_heights(zone, seen.altitude_m, mean[5])
    return next((max(a, low_s) for a, b in spans if max(a, low_s) <= min(b, high_s)), math.inf)


def _within_heights(zone: ZoneArea, altitude_m: float, climb_mps: float) -> tuple[float, float]:
    """From when to when, in seconds from now, it is between floor and ceiling; (∞, −∞) for never."""
    if abs(climb_mps) < _SURE:
        return (0.0, math.inf) if zone.floor_m <= altitude_m <= zone.ceiling_m else (math.inf, -math.inf)
    ends = sorted(((zone.floor_m - altitude_m) / climb_mps, (zone.ceiling_m - altitude_m) / climb_mps))
    return max(ends[0], 0.0), ends[1]


# --- polygons --------------------------------------------------------------------------------------------------------


def contains(corners: Sequence[tuple[float, float]], east: float, north: float) -> bool:
    """Whether a point lies inside, by the even-odd rule."""
    inside = False
    for (e0, n0), (e1, n1) in _sides(corners):
        if (n0 > north) != (n1 > north) and east < e0 + (north - n0) / (n1 - n0) * (e1 - e0):
            inside = not inside
    return inside


def _nearest_border(corners: Sequence[tuple[float, float]], east: float, north: float) -> tuple[float, float, float]:
    """Unit direction to the nearest point of the border, and how far it is."""
    best = (1.0, 0.0, math.inf)
    for (e0, n0), (e1, n1) in _sides(corners):
        de, dn = e1 - e0, n1 - n0
        length2 = max(de * de + dn * dn, _SURE)
        along = min(max(((east - e0) * de + (north - n0) * dn) / length2, 0.0), 1.0)
        to_east, to_north = e0 + along * de - east, n0 + along * dn - north
        distance = math.hypot(to_east, to_north)
        if distance < best[2]:
            scale = max(distance, _SURE)
            best = (to_east / scale, to_north / scale, distance)
    return best if best[2] > _SURE else (1.0, 0.0, best[2])


def _crossings(corners: Sequence[tuple[float, float]], mean: Sequence[float]) -> Iterator[float]:
    """Times, in seconds from now, at which a straight flight crosses the border."""
    east, north, ve, vn = mean[0], mean[1], mean[3], mean[4]
    for (e0, n0), (e1, n1) in _sides(corners):
        de, dn = e1 - e0, n1 - n0
        turn = ve * dn - vn * de
        if abs(turn) < _SURE:
            continue
        time_s = ((e0 - east) * dn - (n0 - north) * de) / turn
        along = ((e0 - east) * vn - (n0 - north) * ve) / turn
        if time_s >= 0.0 and 0.0 <= along < 1.0:
            yield time_s


def _sides(corners: Sequence[tuple[float, float]]) -> Iterator[tuple[tuple[float, float], tuple[float, float]]]:
    return zip(corners, (*corners[1:], corners[0]), strict=True)
