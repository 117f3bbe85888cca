"""What recording costs: the same updates through the bus with and without a journal.

    python -m benchmarks.recording [--seconds 20] [--cameras 2]

Updates like those of cameras at 30 frames a second (50 detections, most of them faint, and three tracks each; none,
every fifth or every frame has a picture of 640 by 512, as with `frames: none`, `detections` and `all`) are published as
they come due. Prints and keeps the CPU time of an update without and with the journal (all threads, so the journal's
own work is in it), its share of one frame through the detector (`--detector-ms`, measured by benchmarks.latency), bytes
a minute, and what publishing waits.

Bar: recording costs at most 5 % of a frame's CPU, and adds at most 5 ms to the slowest percent of publishings.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import describe, keep, percentile
from models.types import CLASSES, Detections, Frame
from service.bus import Bus, Full
from service.clock import SystemClock
from service.journal import CAPACITY, FrameShelf, Journal
from service.journal_about import About
from service.recording import RecordingSettings
from service.types import CameraUpdate, StageTimes
from tracking.image_tracker import ImageTracker

PERIOD_NS = 33_333_333
BAR_SHARE, BAR_MS = 0.05, 5.0


def updates(cameras: int, count: int) -> list[tuple[Frame, CameraUpdate]]:
    """Made before anything is measured."""
    chance = np.random.default_rng(1)
    trackers = [ImageTracker() for _ in range(cameras)]
    picture = chance.normal(120, 12, (512, 640, 3)).clip(0, 255).astype(np.uint8)
    made = []
    for k in range(count):
        for c, tracker in enumerate(trackers):
            time_ns = 1_777_636_800_000_000_000 + k * PERIOD_NS
            boxes = chance.uniform(0, 480, (50, 4)).astype(np.float32)
            boxes[:, 2:] = 12
            boxes[:3, :2] = [[100 + k / 9, 90], [300, 200 + k / 7], [400 - k / 9, 330]]
            scores = np.concatenate([np.full(3, 0.9), chance.uniform(0.05, 0.2, 47)]).astype(np.float32)
            class_scores = np.outer(scores, [1, 0.2, 0.1, 0.1][: len(CLASSES)]).astype(np.float32)
            look = Detections(f"cam-{c}", time_ns, k, 640, 512, boxes, scores, class_scores)
            update = CameraUpdate(look, tracker.step(look), StageTimes(time_ns, 0, 0, 0, 0, time_ns))
            made.append((Frame(f"cam-{c}", time_ns, k, "visible", picture), update))
    return made


def run(made: list[tuple[Frame, CameraUpdate]], folder: Path | None, policy: str) -> dict[str, float]:
    """CPU seconds and the waits of publishing."""
    bus, clock = Bus(time.time_ns), SystemClock()
    shelf, every = FrameShelf("none" if policy == "none" else "all"), 5 if policy == "fifth" else 1
    journal = None
    if folder is not None:
        settings = RecordingSettings(folder=folder, reserve_gb=0.0)
        journal = Journal(settings, About("bench", "bench"), clock, shelf=shelf)
        journal.follow(bus.subscribe("journal", capacity=CAPACITY, full=Full.REFUSE_NEWEST))
    began_ns, cpu_ns, waits = time.monotonic_ns(), time.process_time_ns(), list[float]()
    per_ns = PERIOD_NS // len({frame.sensor_id for frame, _ in made})
    for k, (frame, update) in enumerate(made):
        time.sleep(max(0.0, (began_ns + k * per_ns - time.monotonic_ns()) / 1e9))
        start_ns = time.monotonic_ns()
        if k % every == 0:
            shelf.put(replace(frame), update)
        bus.publish(f"camera.{frame.sensor_id}", update)
        waits.append((time.monotonic_ns() - start_ns) / 1e6)
    bus.close()
    if journal is not None:
        journal.close(30.0)
    spent = (time.process_time_ns() - cpu_ns) / 1e9
    written = sum(f.bytes for f in journal.folder.flights()) if journal is not None else 0
    recorded = journal.tally.messages if journal is not None else 0
    return {
        "cpu_ms_per_update": spent * 1e3 / len(made),
        "publish_p99_ms": percentile(waits, 99),
        "mb_per_minute": written / 1e6 / (len(made) * per_ns / 60e9),
        "recorded": recorded,
    }


def measure(options: argparse.Namespace) -> dict[str, Any]:
    made = updates(options.cameras, round(options.seconds * 30))
    report: dict[str, Any] = {"machine": describe(), "updates": len(made), "cameras": options.cameras}
    with tempfile.TemporaryDirectory() as folder:
        without = run(made, None, "none")
        for policy in ("none", "fifth", "every"):
            recorded = run(made, Path(folder) / policy, policy)
            cost_ms = recorded["cpu_ms_per_update"] - without["cpu_ms_per_update"]
            added_ms = recorded["publish_p99_ms"] - without["publish_p99_ms"]
            report[f"pictures_{policy}"] = {
                **{name: round(value, 4) for name, value in recorded.items()},
                "cost_ms_per_update": round(cost_ms, 4),
                "share_of_a_frame": round(cost_ms / options.detector_ms, 4),
                "p99_added_ms": round(added_ms, 4),
                "within_the_bar": cost_ms <= BAR_SHARE * options.detector_ms and added_ms <= BAR_MS,
            }
    return report | {"without": {name: round(value, 4) for name, value in without.items()}}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--cameras", type=int, default=2)
    parser.add_argument("--detector-ms", type=float, default=15.0, help="CPU of a frame through the detector")
    options = parser.parse_args()
    report = measure(options)
    for name, value in report.items():
        print(name, value)
    print("kept in", keep("recording", report | {"detector_ms": options.detector_ms}))


if __name__ == "__main__":
    main()
