"""Ten drones that cross and fly abreast, with three birds, before six cameras: identity switches, GOSPA, SIAP.

    python -m benchmarks.fusion_crossing [--seconds 14] [--json FILE]

Ours starts by itself; the nearest-neighbour EKF (`fusion_nearest`) is started at the true places when judging begins,
three seconds in. Same reports, same run; judged by Stone Soup's metrics at 5 Hz, cut off at 3 m.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.fusion_judge import Rows, at_times, judge, switches
from benchmarks.fusion_nearest import NearestNeighbour
from benchmarks.fusion_scenes import START_S, ring, watch
from fusion.engine import FusionEngine
from fusion.geometry import FloatArray
from fusion.types import NS, Scan
from tracking.types import Status

JUDGED_FROM_S = 3.0
CUTOFF_M = 3.0
LABELS = ["drone"] * 10 + ["bird"] * 3


def flights(t: float) -> FloatArray:
    """[13, 3]: five drones through one place within two seconds, five abreast 3 m apart, three birds that wander."""
    out = []
    for k in range(5):  # through (0, 0, 25 + 0.8 k) at t = 7 + 0.4 k, from five directions
        angle, along = 2.0 * np.pi * k / 5.0, 6.0 * (t - 7.0 - 0.4 * k)
        out.append([along * np.cos(angle), along * np.sin(angle), 25.0 + 0.8 * k])
    out += [[-30.0 + 5.0 * t, -12.0 + 3.0 * k, 32.0 + np.sin(0.8 * t)] for k in range(5)]
    for k in range(3):
        phase = 1.1 * t + 2.0 * k
        out.append([8.0 * np.cos(phase) + 4.0 * k, 9.0 * np.sin(0.7 * phase), 28.0 + 2.0 * np.sin(1.7 * phase)])
    return np.array(out)


def states(t: float) -> FloatArray:
    """[13, 6] with velocities."""
    return np.concatenate([flights(t), (flights(t + 5e-4) - flights(t - 5e-4)) / 1e-3], axis=1)


def ours(scans: list[Scan]) -> tuple[Rows, float]:
    engine, rows, began = FusionEngine(), dict[str, list[list[float]]](), time.process_time()
    for scan in scans:
        for track in engine.step(scan).tracks:
            if track.status is not Status.TENTATIVE:
                rows.setdefault(track.track_id, []).append([scan.time_ns / NS, *track.mean])
    return {name: np.array(r) for name, r in rows.items()}, time.process_time() - began


def nearest(scans: list[Scan]) -> tuple[Rows, float]:
    begin_ns = round((START_S + JUDGED_FROM_S) * NS)
    filters, rows, began = NearestNeighbour(states(JUDGED_FROM_S), begin_ns), [], time.process_time()
    for scan in scans:
        if scan.time_ns >= begin_ns:
            filters.step(scan)
            stamp = np.full((len(filters.x), 1), scan.time_ns / NS)
            rows.append(np.concatenate([stamp, filters.x], axis=1))
    whole = np.array(rows)
    return {f"N{k}": whole[:, k] for k in range(whole.shape[1])}, time.process_time() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=14.0)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    scans = watch(ring(6, 70.0), flights, LABELS, arguments.seconds)
    times = np.arange(JUDGED_FROM_S + 0.2, arguments.seconds, 0.2)
    path = np.array([np.insert(states(t), 0, START_S + t, axis=1) for t in times])
    truths = {f"{label}{k}": path[:, k] for k, label in enumerate(LABELS)}
    result: dict[str, Any] = {"targets": len(LABELS), "reports": sum(len(scan.measurements) for scan in scans)}
    for name, run in (("ours", ours), ("nearest neighbour", nearest)):
        rows, spent = run(scans)
        sampled = {k: r for k, v in rows.items() if len(r := at_times(v, START_S + times))}
        result[name] = {"switches": switches(sampled, truths, CUTOFF_M), "tracks": len(sampled)}
        result[name] |= judge(sampled, truths, CUTOFF_M) | {"cpu_s": round(spent, 1)}
    print(json.dumps(result))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
