"""What recording costs: the whole service without it and with each policy for pictures.

    python -m benchmarks.recording [--seconds 8] [--rounds 3] [--data FOLDER]

The service of benchmarks.latency, an infrared and a visible camera at 30 frames a second together, runs in this process
without recording and with `frames: none`, `detections` and `all`, in turn, round after round, so that other load on the
machine falls on all alike. Prints and keeps, as medians over the rounds, the CPU of a frame (of all threads); that of
the journal's thread, which other load changes little, and its share; how much more all threads use with recording than
without (the same in the end, but a small difference of large numbers); the 99th percentile from exposure to the bus;
bytes a minute.

Bar: recording costs less than 5 % of a frame's CPU, which is what it takes from the throughput of a busy machine, and
adds at most 5 ms to the 99th percentile.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.latency import cpu_by_thread, make_pipeline, parser_for_two_cameras
from benchmarks.machine import describe, keep, percentile
from service.bus import Full
from service.recording import RecordingSettings
from service.types import CameraUpdate

POLICIES = ("without", "none", "detections", "all")
BAR_SHARE, BAR_MS = 0.05, 5.0


def run(options: argparse.Namespace, policy: str) -> dict[str, float]:
    """One run of the service."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        asked = {"folder": folder / "flights", "frames": policy, "reserve_gb": 0.0}
        recording = None if policy == "without" else RecordingSettings.model_validate(asked)
        with make_pipeline(options, folder, recording) as pipeline:
            heard = pipeline.bus.subscribe("benchmark", capacity=100_000, full=Full.DROP_OLDEST, prefixes=("camera.",))
            time.sleep(options.warm)
            heard.take(0.0)
            wall_ns, cpu_ns, before = time.monotonic_ns(), time.process_time_ns(), cpu_by_thread()
            time.sleep(options.seconds)
            wall_ns, cpu_ns = time.monotonic_ns() - wall_ns, time.process_time_ns() - cpu_ns
            journal_s = cpu_by_thread().get("journal", 0.0) - before.get("journal", 0.0)
            timings = [e.message.timing for e in heard.take(0.0) if isinstance(e.message, CameraUpdate)]
            journal = pipeline.journal
            written = sum(flight.bytes for flight in journal.folder.flights()) if journal is not None else 0
        took = [(each.published_ns - each.captured_ns) / 1e6 for each in timings]
        return {
            "cpu_ms_a_frame": cpu_ns / 1e6 / len(timings),
            "journal_ms_a_frame": journal_s * 1e3 / len(timings),
            "p99_ms": percentile(took, 99),
            "frames_a_second": len(timings) / (wall_ns / 1e9),
            "mb_a_minute": written / 1e6 / (wall_ns / 60e9 + options.warm / 60),
            "pictures_lost": 0 if journal is None else journal.tally.pictures_dropped,
        }


def measure(options: argparse.Namespace) -> dict[str, Any]:
    rounds = [{policy: run(options, policy) for policy in POLICIES} for _ in range(options.rounds)]
    report: dict[str, Any] = {"machine": describe(), "seconds": options.seconds, "rounds": options.rounds}
    for policy in POLICIES:
        figures = {name: median(each[policy][name] for each in rounds) for name in rounds[0][policy]}
        if policy != "without":
            pairs = [(each[policy], each["without"]) for each in rounds]
            share = median(ours["journal_ms_a_frame"] / theirs["cpu_ms_a_frame"] for ours, theirs in pairs)
            more = median(ours["cpu_ms_a_frame"] / theirs["cpu_ms_a_frame"] for ours, theirs in pairs) - 1.0
            added_ms = median(ours["p99_ms"] - theirs["p99_ms"] for ours, theirs in pairs)
            figures |= {"share_of_a_frame": share, "more_of_all_threads": more, "p99_added_ms": added_ms}
            figures["within_the_bar"] = share < BAR_SHARE and added_ms <= BAR_MS
        report[policy] = {name: round(value, 4) for name, value in figures.items()}
    return report


def main() -> None:
    parser = parser_for_two_cameras(__doc__, seconds=8.0, warm=4.0)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    report = measure(options)
    for name, value in report.items():
        print(name, value)
    print("kept in", keep("recording", report))


if __name__ == "__main__":
    main()
