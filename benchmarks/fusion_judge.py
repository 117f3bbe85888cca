"""Stone Soup's metrics of tracks against truth: OSPA, GOSPA and SIAP, an independent judge; and identity switches.

`pip install --no-deps stonesoup` (MIT). Tracks and truths are rows [n, 7] of time, position and velocity by name, at
common times.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
from stonesoup.dataassociator.tracktotrack import TrackToTruth
from stonesoup.measures import Euclidean
from stonesoup.metricgenerator.manager import MultiManager
from stonesoup.metricgenerator.ospametric import GOSPAMetric, OSPAMetric
from stonesoup.metricgenerator.tracktotruthmetrics import SIAPMetrics
from stonesoup.types.groundtruth import GroundTruthPath, GroundTruthState
from stonesoup.types.state import State
from stonesoup.types.track import Track

from fusion.geometry import FloatArray

Rows = dict[str, FloatArray]
_POSITION, _VELOCITY = (0, 2, 4), (1, 3, 5)
_EPOCH = datetime(2026, 1, 1)  # without a zone, as Stone Soup's examples


def judge(tracks: Rows, truths: Rows, cutoff_m: float) -> dict[str, float]:
    """Means over time of OSPA and GOSPA (p = 2, cut off at `cutoff_m`), m, and the SIAP measures."""
    place = Euclidean(_POSITION)
    generators = [
        OSPAMetric(c=cutoff_m, p=2, measure=place, generator_name="ospa"),
        GOSPAMetric(c=cutoff_m, p=2, measure=place, generator_name="gospa"),
        SIAPMetrics(place, Euclidean(_VELOCITY), "siap"),
    ]
    manager = MultiManager(generators, TrackToTruth(association_threshold=cutoff_m, measure=place))
    paths = {GroundTruthPath([GroundTruthState(*_state(row)) for row in rows]) for rows in truths.values()}
    found_paths = {Track([State(*_state(r)) for r in rows]) for rows in tracks.values()}
    manager.add_data({"tracks": found_paths, "groundtruth_paths": paths})
    found = manager.generate_metrics()
    siap = {name: value.value for name, value in found["siap"].items()}
    return {
        "ospa_m": _mean([m.value for m in found["ospa"]["OSPA distances"].value]),
        "gospa_m": _mean([m.value["distance"] for m in found["gospa"]["GOSPA Metrics"].value]),
        "siap_completeness": round(float(siap["SIAP Completeness"]), 4),
        "siap_ambiguity": round(float(siap["SIAP Ambiguity"]), 4),
        "siap_spuriousness": round(float(siap["SIAP Spuriousness"]), 4),
        "siap_position_m": round(float(siap["SIAP Position Accuracy"]), 4),
        "siap_velocity_mps": round(float(siap["SIAP Velocity Accuracy"]), 4),
    }


def switches(tracks: Rows, truths: Rows, within_m: float) -> int:
    """How often the track nearest to a truth, within that distance, is another one than before."""
    count = 0
    for truth in truths.values():
        last = None
        for row in truth:
            name = _nearest(tracks, row, within_m)
            count += name is not None and last is not None and name != last
            last = name or last
    return count


def at_times(rows: FloatArray, times: FloatArray, gap_s: float = 0.5) -> FloatArray:
    """Rows [n, 7] of one track carried to `times` from the last one before each, if that is not older than `gap_s`."""
    last = np.searchsorted(rows[:, 0], times, side="right") - 1
    age = times - rows[np.maximum(last, 0), 0]
    kept = (last >= 0) & (age <= gap_s)
    out: FloatArray = rows[last[kept]].copy()
    out[:, 1:4] += age[kept, None] * out[:, 4:7]
    out[:, 0] = times[kept]
    return out


def timestamp(seconds: float) -> datetime:
    """Stone Soup's time."""
    return _EPOCH + timedelta(microseconds=round(seconds * 1e6))


def _state(row: FloatArray) -> tuple[list[float], datetime]:
    t, e, n, u, ve, vn, vu = (float(v) for v in row)
    return [e, ve, n, vn, u, vu], timestamp(t)


def _nearest(tracks: Rows, row: FloatArray, within_m: float) -> str | None:
    best, name = within_m, None
    for candidate, rows in tracks.items():
        k = int(np.searchsorted(rows[:, 0], row[0] - 1e-6))
        if k < len(rows) and abs(rows[k, 0] - row[0]) < 1e-5:
            away = float(np.sqrt(np.sum((rows[k, 1:4] - row[1:4]) ** 2)))
            if away < best:
                best, name = away, candidate
    return name


def _mean(values: list[float]) -> float:
    return round(float(np.mean(values)), 4)
