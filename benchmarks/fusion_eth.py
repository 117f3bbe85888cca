"""Figures of the fusion on the ETH multi-camera flights (Li et al. 2020), scored against RTK after `calibrated_until`.

    python -m benchmarks.fusion_eth --data ../shared/data/eth_multicam [--sets set1 set2 set3] [--table] [--json FILE]
                                    [--seconds 30] [--rate 8]

A track's line is compared with RTK at each RTK time between two of its lines, while two cameras or more report; gaps of
RTK over a second are left out. Position errors in metres; NEES of the position, three degrees of freedom, against the
two-sided 95 % band (above it the covariance was too small). `--table` repeats with disturbed measurements (one camera
dropped, two cameras only, half the labels, false points, disorder, one clock 50 ms wrong; `clock_ms` is then how much
later the engine thinks that clock is than it thought without the disturbance, in the same run, and should be 50).
`--seconds` takes the first of the scored part only, and as much before it to start on; `--rate` at most so many reports
of each camera a second: the whole table of the whole flights takes hours.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import random
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusion.engine import FusionEngine
from fusion.fuse import Refusals, ordered, track_lines
from fusion.geometry import FloatArray
from fusion.sequencer import DEFAULT_LAG_NS
from fusion.site import Site, parse_site

Line = dict[str, Any]
NEES_BAND = (0.2158, 9.3484)  # 2.5 and 97.5 % of χ² with three degrees of freedom
RECENT_S = 0.5
GAP_S = 1.0
LATE = " 50 ms late"


@dataclass(frozen=True)
class Flight:
    name: str
    site: Site
    lines: list[Line]
    truth: FloatArray  # [N, 4] time, east, north, up
    score_from: float
    score_until: float


@dataclass(frozen=True)
class Figures:
    flight: str
    disturbance: str
    median_m: float
    p95_m: float
    worst_m: float
    one_id: float
    nees_in_band: float
    nees_above: float
    scored: int
    missing: float
    tracks: int
    seconds: float
    clock_ms: float | None = None


def read_flight(folder: Path) -> Flight:
    split = json.loads((folder / "split.json").read_text())
    with (folder / "truth.csv").open() as rows:
        truth = np.array([[float(v) for v in row] for row in list(csv.reader(rows))[1:]])
    lines = [json.loads(line) for line in (folder / "measurements.jsonl").read_text().splitlines()]
    site = parse_site((folder / "site.yaml").read_text())
    return Flight(folder.name, site, lines, truth, split["calibrated_until"], split["last"])


def shortened(flight: Flight, seconds: float | None, rate: float | None) -> Flight:
    """The first seconds of the scored part, as much before it, and so many reports of each camera a second."""
    begin, end = flight.score_from, flight.score_until
    lines = flight.lines
    if seconds is not None:
        end = min(end, begin + seconds)
        lines = [v for v in lines if begin - seconds <= v["time"] < end]
    if rate is not None:
        lines = list(_thinned(lines, 1.0 / rate))
    return replace(flight, lines=lines, score_until=end)


def _thinned(lines: list[Line], gap_s: float) -> Iterator[Line]:
    last: dict[str, float] = {}
    for line in lines:
        if line["time"] - last.get(line["sensor_id"], -math.inf) >= gap_s:
            last[line["sensor_id"]] = line["time"]
            yield line


def score(flight: Flight, lines: list[Line], disturbance: str) -> tuple[Figures, dict[str, float]]:
    """Fuse and compare; also how late the engine thinks each camera's clock is, s."""
    began, engine, tracks = time.process_time(), FusionEngine(), list[Line]()
    encoded = (json.dumps(v).encode() for v in lines)
    for message in ordered(encoded, flight.site, Refusals(), DEFAULT_LAG_NS):
        tracks += [json.loads(t) for t in track_lines(engine.step(message), flight.site.frame)]
    seconds = time.process_time() - began
    clocks = {name: noise.clock_s for name, noise in engine.population.noises.items()}
    times = flight.truth[_scored_rows(flight, lines)]
    found = _best(tracks, times)
    errors, nees = found[:, 0], found[:, 1]
    seen = np.isfinite(errors)
    names, counts = np.unique(found[seen, 2], return_counts=True)
    low, high = NEES_BAND
    figures = Figures(
        flight.name, disturbance,
        median_m=round(float(np.median(errors[seen])), 4),
        p95_m=round(float(np.percentile(errors[seen], 95)), 4),
        worst_m=round(float(errors[seen].max()), 3),
        one_id=round(float(counts.max() / len(times)), 4),
        nees_in_band=round(float(np.mean((nees[seen] > low) & (nees[seen] < high))), 4),
        nees_above=round(float(np.mean(nees[seen] >= high)), 4),
        scored=len(times), missing=round(float(np.mean(~seen)), 4), tracks=len(names), seconds=round(seconds, 1),
    )  # fmt: skip
    return figures, clocks


def _scored_rows(flight: Flight, lines: list[Line]) -> NDArray[np.bool_]:
    """Rows of the truth inside the scored part, without gaps, while two cameras report."""
    t = flight.truth[:, 0]
    near = np.zeros(len(t), dtype=int)
    for camera in flight.site.sensors:
        stamps = np.array(sorted(v["time"] for v in lines if v["sensor_id"] == camera))
        if len(stamps):
            last = np.searchsorted(stamps, t, side="right") - 1
            near += (last >= 0) & (t - stamps[np.clip(last, 0, None)] < RECENT_S)
    steps = np.diff(t, prepend=t[0], append=t[-1])
    whole = (steps[:-1] < GAP_S) & (steps[1:] < GAP_S)
    chosen: NDArray[np.bool_] = (t > flight.score_from) & (t < flight.score_until) & (near >= 2) & whole
    return chosen


def _best(tracks: list[Line], truth: FloatArray) -> FloatArray:
    """[N, 3] error, NEES and number of the nearest track at each row of the truth; infinite where there is none."""
    out = np.full((len(truth), 3), np.inf)
    for name in sorted({t["id"] for t in tracks}):
        mine = [t for t in tracks if t["id"] == name]
        stamps, places = np.array([t["time"] for t in mine]), np.array([t["enu"] for t in mine])
        for row, (t, *place) in enumerate(truth):
            after = int(np.searchsorted(stamps, t))
            if not 0 < after < len(stamps) or stamps[after] - stamps[after - 1] > RECENT_S:
                continue
            share = (t - stamps[after - 1]) / max(stamps[after] - stamps[after - 1], 1e-9)
            gap = (1 - share) * places[after - 1] + share * places[after] - np.array(place)
            error = float(np.linalg.norm(gap))
            if error < out[row, 0]:
                cov = np.array(mine[after - 1]["covariance"]).reshape(6, 6)[:3, :3]
                out[row] = error, float(gap @ np.linalg.solve(cov, gap)), float(name[1:])
    return out


# --- disturbances ----------------------------------------------------------------------------------------------------


def disturbances(flight: Flight) -> Iterator[tuple[str, list[Line]]]:
    """Name and disturbed measurements, from a seeded generator."""
    cameras = list(flight.site.sensors)
    rng = random.Random(1)
    for camera in cameras:
        yield f"without {camera}", [v for v in flight.lines if v["sensor_id"] != camera]
    yield "first and last camera only", [v for v in flight.lines if v["sensor_id"] in (cameras[0], cameras[-1])]
    yield "half of the labels", [v for v in flight.lines if rng.random() < 0.5]
    yield "20 % false points", _with_false(flight, rng)
    yield "0.5 s of disorder", sorted(flight.lines, key=lambda v: float(v["time"]) + 0.5 * rng.random())
    for camera in cameras:
        yield camera + LATE, _late(flight, camera, 0.05)


def _with_false(flight: Flight, rng: random.Random) -> list[Line]:
    out = []
    for line in flight.lines:
        out.append(line)
        camera = flight.site.sensors[line["sensor_id"]].camera
        if camera is not None and rng.random() < 0.2:
            out.append({**line, "point": [rng.random() * camera.width, rng.random() * camera.height]})
    return out


def _late(flight: Flight, camera: str, by_s: float) -> list[Line]:
    moved = [{**v, "time": v["time"] + by_s} if v["sensor_id"] == camera else v for v in flight.lines]
    return sorted(moved, key=lambda v: float(v["time"]))


def cases(flight: Flight, table: bool) -> Iterator[Figures]:
    """Figures as recorded and, for a table, of every disturbance, with progress on a terminal."""
    plain, clocks = score(flight, flight.lines, "as recorded")
    yield plain
    for k, (disturbance, lines) in enumerate(disturbances(flight) if table else []):
        if sys.stderr.isatty():
            print(f"{flight.name}: {k + 1} of {4 + 2 * len(flight.site.sensors)}", file=sys.stderr)
        found, after = score(flight, lines, disturbance)
        camera = disturbance.removesuffix(LATE)
        if camera != disturbance and camera in after and camera in clocks:
            found = replace(found, clock_ms=round(1e3 * (after[camera] - clocks[camera]), 1))
        yield found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", default=["set1", "set2", "set3"])
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--rate", type=float)
    arguments = parser.parse_args()
    results: list[Line] = []
    for name in arguments.sets:
        flight = shortened(read_flight(arguments.data / name), arguments.seconds, arguments.rate)
        for figures in cases(flight, arguments.table):
            results.append(asdict(figures))
            print(json.dumps(results[-1]), flush=True)
            if arguments.json:  # after each, so that a broken run has left what it found
                arguments.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
