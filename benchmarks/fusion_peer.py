"""Stone Soup's extended Kalman filter with global nearest neighbours, and ours, on the same directions in the same run.

    OMP_NUM_THREADS=1 python -m benchmarks.fusion_peer [--seconds 2] [--data ../shared/data/eth_multicam] [--json FILE]

Simulated: 20 drones, 8 cameras. With `--data` also `--seconds` of set1 and set2 after `calibrated_until`. Ours starts
by itself three seconds earlier. The peer is helped: it is started at the true places, as its initiators need a range,
and nothing ever ends its tracks. CPU time of each tracker alone, and Stone Soup's metrics, over the same `--seconds`.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from stonesoup.dataassociator.neighbour import GNNWith2DAssignment
from stonesoup.hypothesiser.distance import DistanceHypothesiser
from stonesoup.measures import Mahalanobis
from stonesoup.models.measurement.nonlinear import CartesianToElevationBearing
from stonesoup.models.transition.linear import CombinedLinearGaussianTransitionModel, ConstantVelocity
from stonesoup.predictor.kalman import ExtendedKalmanPredictor
from stonesoup.types.angle import Bearing, Elevation
from stonesoup.types.array import StateVector
from stonesoup.types.detection import Detection
from stonesoup.types.state import GaussianState
from stonesoup.types.track import Track as PeerTrack
from stonesoup.updater.kalman import ExtendedKalmanUpdater

from benchmarks.fusion_eth import read_flight
from benchmarks.fusion_judge import Rows, at_times, judge, timestamp
from benchmarks.fusion_scenes import START_S, ring, watch
from benchmarks.fusion_speed import places
from fusion.engine import FusionEngine
from fusion.fuse import Refusals, ordered
from fusion.geometry import FloatArray, direction_to_angles, matrix_from_quaternion, rotate
from fusion.sequencer import DEFAULT_LAG_NS
from fusion.types import NS, Scan
from tracking.types import Status

PEER_SIGMA_PX = 2.0  # the flights' cameras err by one to three pixels
PEER_ACCEL = 5.0
CUTOFF_M = 5.0
START_ALONE_S = 3.0


@dataclass(frozen=True)
class Case:
    name: str
    scans: list[Scan]
    begin_ns: int
    truths: Rows
    times: FloatArray

    @property
    def judged(self) -> list[Scan]:
        return [scan for scan in self.scans if scan.time_ns >= self.begin_ns]


def simulated(seconds: float) -> Case:
    end = START_ALONE_S + seconds
    scans = watch(ring(8, 120.0), lambda t: places(20, t), ["drone"] * 20, end)
    times = np.arange(START_ALONE_S, end, 0.2)
    step = 1e-3
    path = np.stack([np.concatenate([places(20, t), (places(20, t + step) - places(20, t)) / step], 1) for t in times])
    stamps = times + START_S
    truths = {f"drone{k}": np.concatenate([stamps[:, None], path[:, k]], axis=1) for k in range(20)}
    return Case("simulated, 20 drones, 8 cameras", scans, round(stamps[0] * NS), truths, stamps)


def recorded(folder: Path, seconds: float) -> Case:
    flight = read_flight(folder)
    begin, end = flight.score_from, flight.score_from + seconds
    lines = (json.dumps(v).encode() for v in flight.lines if begin - START_ALONE_S <= v["time"] < end)
    scans = [m for m in ordered(lines, flight.site, Refusals(), DEFAULT_LAG_NS) if isinstance(m, Scan)]
    t, place = flight.truth[:, 0], flight.truth[:, 1:]
    rows = np.concatenate([t[:, None], place, np.gradient(place, t, axis=0)], axis=1)[(t >= begin) & (t < end)]
    return Case(f"{folder.name}, {seconds:g} s", scans, round(rows[0, 0] * NS), {"drone": rows}, rows[:, 0])


def ours(case: Case) -> tuple[Rows, float]:
    """Our tracks at the times of the truth, and CPU seconds."""
    engine, rows, spent = FusionEngine(), dict[str, list[list[float]]](), 0.0
    for scan in case.scans:
        began = time.process_time()
        update = engine.step(scan)
        spent += (time.process_time() - began) * (scan.time_ns >= case.begin_ns)
        for track in update.tracks:
            if track.status is not Status.TENTATIVE:
                rows.setdefault(track.track_id, []).append([track.time_ns * 1e-9, *track.mean])
    return _sampled({name: np.array(v) for name, v in rows.items()}, case.times), spent


def peer(case: Case) -> tuple[Rows, float]:
    """Stone Soup's tracks at the times of the truth, and CPU seconds."""
    predictor = ExtendedKalmanPredictor(CombinedLinearGaussianTransitionModel([ConstantVelocity(PEER_ACCEL**2)] * 3))
    updater = ExtendedKalmanUpdater(None)
    associator = GNNWith2DAssignment(DistanceHypothesiser(predictor, updater, Mahalanobis(), missed_distance=5))
    tracks = [PeerTrack([_start(rows[0])]) for rows in case.truths.values()]
    rows: list[list[list[float]]] = [[] for _ in tracks]
    models: dict[str, Any] = {}
    spent = 0.0
    for scan in case.judged:
        when = timestamp(scan.time_ns * 1e-9)
        detections = _detections(scan, models, when)
        began = time.process_time()
        hypotheses = associator.associate(set(tracks), detections, when)
        for track in tracks:
            found = hypotheses[track]
            track.append(updater.update(found) if found else found.prediction)
            del track.states[:-1]
        spent += time.process_time() - began
        for k, track in enumerate(tracks):
            v = [float(x) for x in track.state_vector.ravel()]
            rows[k].append([scan.time_ns * 1e-9, *v[0::2], *v[1::2]])
    return _sampled({f"P{k}": np.array(v) for k, v in enumerate(rows)}, case.times), spent


def _start(row: FloatArray) -> GaussianState:
    t, e, n, u, ve, vn, vu = (float(v) for v in row)
    return GaussianState([e, ve, n, vn, u, vu], np.diag([0.25, 1.0] * 3), timestamp(t))


def _detections(scan: Scan, models: dict[str, Any], when: datetime) -> set[Detection]:
    """The scan's reports as elevation and bearing, each with its camera's model."""
    camera = scan.camera
    assert camera is not None
    if scan.sensor_id not in models:
        sigma2 = (PEER_SIGMA_PX / camera.fx) ** 2
        offset = StateVector(list(scan.pose.position_m))
        models[scan.sensor_id] = CartesianToElevationBearing(
            ndim_state=6, mapping=(0, 2, 4), noise_covar=np.diag([sigma2, sigma2]), translation_offset=offset
        )
    out = set()
    for report in scan.measurements:
        azimuth, elevation = direction_to_angles(
            rotate(matrix_from_quaternion(scan.pose.attitude), camera.rays(np.array(report.z)))
        )
        seen = StateVector([Elevation(float(elevation)), Bearing(0.5 * math.pi - float(azimuth))])
        out.add(Detection(seen, when, measurement_model=models[scan.sensor_id]))
    return out


def _sampled(rows: Rows, times: FloatArray) -> Rows:
    found = {name: at_times(r, times) for name, r in rows.items()}
    return {name: r for name, r in found.items() if len(r)}


def compare(case: Case) -> dict[str, Any]:
    count = sum(len(scan.measurements) for scan in case.judged)
    result: dict[str, Any] = {"case": case.name, "measurements": count}
    for name, run in (("ours", ours), ("peer", peer)):
        rows, spent = run(case)
        result[name] = {"cpu_s": round(spent, 3), "per_s": round(count / spent), "tracks": len(rows)}
        result[name] |= judge(rows, case.truths, CUTOFF_M)
    result["faster"] = round(result["peer"]["cpu_s"] / result["ours"]["cpu_s"], 1)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    cases = [simulated(arguments.seconds)]
    if arguments.data:
        cases += [recorded(arguments.data / name, arguments.seconds) for name in ("set1", "set2")]
    results = []
    for case in cases:
        results.append(compare(case))
        print(json.dumps(results[-1]), flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
