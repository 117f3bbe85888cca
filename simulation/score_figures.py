"""What a `Scorer` has seen, as figures: the shape that `GET /api/v1/score`, `evaluate fusion` and the report share.

Shares are of the time that a drone was in sight, of all drones together unless they stand with one. None: nothing to
tell it from.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

from fusion.types import NS
from simulation.followed import Drone, Followed
from simulation.score import JudgedSensor, Scorer
from simulation.spread import Spread, poisson_rate
from simulation.verdicts import RANGES_M, Verdict

Json = dict[str, Any]


def figures(scorer: Scorer) -> Json:
    """All figures so far."""
    followed = scorer.followed
    duration_s = 0.0
    if followed.first_ns is not None and followed.time_ns is not None:
        duration_s = (followed.time_ns - followed.first_ns) / NS
    tracks, false_tracks = followed.tracks()
    return {
        "truth": {"source": scorer.source, "complete": scorer.complete},
        "cutoff_m": scorer.settings.cutoff_m,
        "late_s": scorer.settings.late_s,
        "duration_s": round(duration_s, 3),
        "figures": _whole(followed, false_tracks, duration_s / 3600.0, scorer.settings.late_s),
        "by_range": [_range_row(k, *followed.by_range[k]) for k in sorted(followed.by_range)],
        "drones": [_drone_row(name, drone) for name, drone in sorted(followed.drones.items())],
        "sensors": [_sensor_row(name, sensor) for name, sensor in sorted(scorer.sensors.items())],
        "tracks": {"updates": _counts(followed.updates), "tracks": _counts(tracks)},
        "alerts": {str(kind): _counts(counts) for kind, counts in scorer.alerts.counts.items()},
        "now": [
            {"id": each.track_id, "verdict": each.verdict, "truth": each.truth, "error_m": _round(each.error_m)}
            for each in followed.now
        ],
    }


def _whole(followed: Followed, false_tracks: int, hours: float, late_s: float) -> Json:
    drones = [each for each in followed.drones.values() if each.class_name == "drone"]
    distance, localisation, missed, false = followed.gospa
    steps, located = followed.steps, sum(each.position_m.count for each in drones)
    in_sight = sum(each.in_sight_ns for each in drones)
    position, two, velocity = Spread(), Spread(), Spread()
    for each in drones:
        position.merge(each.position_m)
        two.merge(each.position_two_m)
        velocity.merge(each.velocity_mps)
    waits = sorted(_wait_s(each) for each in drones)
    rate = poisson_rate(false_tracks, hours)
    return {
        "drones": len(drones),
        "gospa_m": _round(distance / steps) if steps else None,
        "gospa_localisation_m": _round(math.sqrt(localisation / steps)) if steps else None,
        "gospa_missed": _round(missed / steps) if steps else None,
        "gospa_false": _round(false / steps) if steps else None,
        "position_median_m": _round(position.quantile(0.5)),
        "position_p90_m": _round(position.quantile(0.9)),
        "position_two_sensors_median_m": _round(two.quantile(0.5)),
        "velocity_median_mps": _round(velocity.quantile(0.5)),
        "velocity_p90_mps": _round(velocity.quantile(0.9)),
        "positions": located,
        "tracked_share": _share(sum(each.tracked_ns for each in drones), in_sight),
        "located_share": _share(sum(each.located_ns for each in drones), in_sight),
        "called_right_share": _share(sum(each.called_ns for each in drones), sum(each.tracked_ns for each in drones)),
        "one_id_share": _share(sum(max(each.ids.values(), default=0) for each in drones), in_sight),
        "one_id_two_sensors_worst_share": min(
            (s for s in (_share(max(d.ids_two.values(), default=0), d.two_ns) for d in drones) if s is not None),
            default=None,
        ),
        "id_switches": sum(each.switches for each in drones),
        "first_track_median_s": _finite(waits[len(waits) // 2]) if waits else None,
        "first_track_worst_s": _finite(waits[-1]) if waits else None,
        "first_track_late": sum(wait > late_s for wait in waits),
        "false_tracks": false_tracks,
        "false_tracks_per_hour": None if rate is None else {k: _round(v) for k, v in rate._asdict().items()},
        **_claims(followed),
    }


def _claims(followed: Followed) -> Json:
    liars = [each for each in followed.drones.values() if each.lies_ns is not None]
    honest = [each for each in followed.drones.values() if each.claimed_id and each.lies_ns is None]
    after = [_flag_s(each) for each in liars]
    return {
        "liars": len(liars),
        "liars_flagged": sum(each.flagged_ns is not None for each in liars),
        "liar_flagged_after_s": max((s for s in after if s is not None), default=None),
        "honest": len(honest),
        "honest_flagged": sum(each.flagged_honest for each in (*honest, *liars)),
    }


def _drone_row(name: str, drone: Drone) -> Json:
    """One drone (or airplane that says who it is)."""
    return {
        "name": name,
        "class": drone.class_name,
        "claimed_id": drone.claimed_id,
        "in_sight_s": _seconds(drone.in_sight_ns),
        "two_sensors_s": _seconds(drone.two_ns),
        "in_sight_of": {sensor_id: _seconds(ns) for sensor_id, ns in sorted(drone.sensors_ns.items())},
        "tracked_share": _share(drone.tracked_ns, drone.in_sight_ns),
        "located_share": _share(drone.located_ns, drone.in_sight_ns),
        "called_right_share": _share(drone.called_ns, drone.tracked_ns),
        "identified_share": _share(drone.identified_ns, drone.in_sight_ns) if drone.claimed_id else None,
        "one_id_share": _share(max(drone.ids.values(), default=0), drone.in_sight_ns),
        "one_id_two_sensors_share": _share(max(drone.ids_two.values(), default=0), drone.two_ns),
        "track_ids": len(drone.ids),
        "track_id": drone.track_id,
        "id_switches": drone.switches,
        "first_track_s": _finite(_wait_s(drone)),
        "first_range_m": _round(drone.first_range_m),
        "position_median_m": _round(drone.position_m.quantile(0.5)),
        "position_p90_m": _round(drone.position_m.quantile(0.9)),
        "position_two_sensors_median_m": _round(drone.position_two_m.quantile(0.5)),
        "velocity_median_mps": _round(drone.velocity_mps.quantile(0.5)),
        "lies": drone.lies_ns is not None,
        "flagged_after_s": _flag_s(drone),
        "flagged_honest": drone.flagged_honest,
    }


def _sensor_row(name: str, sensor: JudgedSensor) -> Json:
    """One sensor; `recall`: of drones in its view how many it reports at all; `precision`: of reports how many hit."""
    counts, off = sensor.counts, Spread()
    for spread in sensor.off.values():
        off.merge(spread)
    right = counts[Verdict.HIT] + counts[Verdict.LATE]
    said = right + counts[Verdict.FALSE] + counts[Verdict.WRONG_TARGET]
    scale, unit = (math.degrees(1.0), "deg") if sensor.position_m is not None else (1.0, "m")
    median = off.quantile(0.5)
    return {
        "sensor": name,
        "kind": sensor.kind,
        "looks": sensor.looks,
        **_counts(counts),
        "recall": _share(sensor.found, sensor.drones),
        "precision": _share(right, said),
        "error_median": None if median is None else _round(scale * median),
        "error_unit": unit,
        "hit_up_to_m": max((min(RANGES_M[k], 1e4) for k in sensor.off), default=None),
    }


def _range_row(k: int, position: Spread, velocity: Spread) -> Json:
    return {
        "from_m": RANGES_M[k - 1] if k else 0.0,
        "to_m": _finite(RANGES_M[k]),
        "updates": position.count,
        "position_median_m": _round(position.quantile(0.5)),
        "position_p90_m": _round(position.quantile(0.9)),
        "velocity_median_mps": _round(velocity.quantile(0.5)),
        "velocity_p90_mps": _round(velocity.quantile(0.9)),
    }


def _counts(counts: Mapping[Verdict, int] | Counter[Verdict]) -> dict[str, int]:
    return {str(verdict): counts.get(verdict, 0) for verdict in Verdict}


def _wait_s(drone: Drone) -> float:
    """From when it was in sight until a track was of it; infinite: never."""
    if drone.tracked_from_ns is None or drone.sighted_ns is None:
        return math.inf
    return round((drone.tracked_from_ns - drone.sighted_ns) / NS, 3)


def _flag_s(drone: Drone) -> float | None:
    if drone.flagged_ns is None or drone.lies_ns is None:
        return None
    return round((drone.flagged_ns - drone.lies_ns) / NS, 3)


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def _seconds(duration_ns: int) -> float:
    return round(duration_ns / NS, 3)


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
