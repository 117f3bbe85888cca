"""Alerts against what really happened: who was in which zone, and whose claim was a lie.

hit            what is told is so
wrong_target   an entry or approach of a bird, a conflict of an honest claim
false          nothing of the kind
late           so, but told `late_s` or more after it began
miss           a drone that was in a zone for `late_s` or more, and left, without an alert
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from fusion.alerts import Alert, AlertKind, ZoneArea, contains
from fusion.geometry import LocalFrame
from fusion.types import NS
from simulation.truth import TrueObject, Truth
from simulation.verdicts import Verdict

_BORDER_M = 5.0  # a track may lie so far off at a border
_MOST_JUDGED = 5_000  # alerts whose verdict is remembered one by one


@dataclass(slots=True)
class _Visit:
    """A drone in a zone: since when, when it last was, and whether that was told."""

    since_ns: int
    last_ns: int
    told: bool = False


class JudgedAlerts:
    """Every alert gets one verdict, the first time that it is told."""

    def __init__(self, frame: LocalFrame, late_s: float) -> None:
        self.counts: dict[AlertKind, Counter[Verdict]] = {kind: Counter() for kind in AlertKind}
        self.verdicts: dict[int, Verdict] = {}
        self.zones: dict[str, ZoneArea] = {}
        self._frame = frame
        self._late_ns = round(late_s * NS)
        self._visits: dict[tuple[str, str], _Visit] = {}

    def fly(self, truth: Truth) -> None:
        """Who is in which zone now."""
        inside = {
            (zone.zone_id, each.name): each
            for zone in self.zones.values()
            for each in truth.objects
            if each.class_name == "drone" and self._is_in(zone, each, 0.0)
        }
        for key in inside:
            self._visits.setdefault(key, _Visit(truth.time_ns, truth.time_ns)).last_ns = truth.time_ns
        for key in [key for key in self._visits if key not in inside]:
            visit = self._visits[key]
            if truth.time_ns - visit.last_ns > self._late_ns:
                del self._visits[key]
                if not visit.told and visit.last_ns - visit.since_ns >= self._late_ns:
                    self.counts[AlertKind.ENTER][Verdict.MISS] += 1

    def judge(self, alert: Alert, truth: TrueObject | None, claimant: TrueObject | None) -> None:
        """An alert as it is told.

        Args:
            truth: what its track is of.
            claimant: what really has the id that its track claims.
        """
        if alert.kind is AlertKind.ENTER and truth is not None:
            visit = self._visits.get((alert.zone_id or "", truth.name))
            if visit is not None:
                visit.told = True
        if alert.number in self.verdicts or not alert.active:
            return
        verdict = self._verdict(alert, truth, claimant)
        self.counts[alert.kind][verdict] += 1
        self.verdicts[alert.number] = verdict
        if len(self.verdicts) > _MOST_JUDGED:
            del self.verdicts[next(iter(self.verdicts))]

    def _verdict(self, alert: Alert, truth: TrueObject | None, claimant: TrueObject | None) -> Verdict:
        if alert.kind is AlertKind.CLAIM_CONFLICT:
            if claimant is None:
                return Verdict.FALSE
            return Verdict.HIT if claimant.lies else Verdict.WRONG_TARGET
        if truth is None:
            return Verdict.FALSE
        if truth.class_name == "bird":
            return Verdict.WRONG_TARGET
        if alert.kind is AlertKind.APPROACH:
            return Verdict.HIT
        zone = self.zones.get(alert.zone_id or "")
        if zone is None or not self._is_in(zone, truth, _BORDER_M):
            return Verdict.FALSE
        visit = self._visits.get((zone.zone_id, truth.name))
        late = visit is not None and alert.time_ns - visit.since_ns >= self._late_ns
        return Verdict.LATE if late else Verdict.HIT

    def _is_in(self, zone: ZoneArea, truth: TrueObject, margin_m: float) -> bool:
        """Whether a thing is in a zone, or so near to it that a track may well be."""
        east, north, up = truth.position_m
        places: Sequence[tuple[float, float]] = [(east, north)]
        if margin_m:
            places = [(east + a * margin_m, north + b * margin_m) for a in (-1, 0, 1) for b in (-1, 0, 1)]
        if not any(contains(zone.corners_m, *place) for place in places):
            return False
        if math.isnan(up):
            return True
        altitude_m = float(self._frame.to_geodetic(truth.position_m)[2])
        return zone.floor_m - margin_m <= altitude_m <= zone.ceiling_m + margin_m
