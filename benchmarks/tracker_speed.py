"""Time of one look of 100 objects: ours against SORT on filterpy and the published packages, in one run on one core.

    python -m benchmarks.tracker_speed [--objects 100] [--frames 300] [--repeats 3] [--json FILE]

Ours and the peers take turns; of each the fastest repeat counts, since a busy machine only ever adds time.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

from benchmarks import tracker_peers
from benchmarks.tracker_scenes import FPS, crossing_objects
from models.types import Detections
from tracking.image_tracker import ImageTracker

PEERS: dict[str, dict[str, object]] = {
    "SORT on filterpy": {"kind": "sort"},
    "trackers ByteTrack": {"kind": "trackers ByteTrack"},
    "trackers SORT": {"kind": "trackers SORT"},
    "trackers OC-SORT": {"kind": "trackers OC-SORT"},
    "norfair": {"kind": "norfair"},
    "motpy": {"kind": "motpy"},
    "trackforge SORT (Rust)": {"kind": "trackforge SORT"},
    "trackforge ByteTrack (Rust)": {"kind": "trackforge ByteTrack"},
}


def ours_ms(looks: list[Detections]) -> float:
    tracker = ImageTracker()
    start = time.process_time()
    for look in looks:
        tracker.step(look)
    return (time.process_time() - start) / len(looks) * 1e3


def as_scene(looks: list[Detections]) -> tracker_peers.Scene:
    rows = [
        [[*box, score] for box, score in zip(look.boxes.tolist(), look.scores.tolist(), strict=True)] for look in looks
    ]
    return {"fps": FPS, "frames": rows}


def measure(objects: int, frames: int, repeats: int) -> dict[str, float]:
    """Milliseconds a look of ours and of every peer, fastest repeat."""
    looks = list(crossing_objects(objects, frames))
    scene = as_scene(looks)
    best: dict[str, float] = {}
    for _ in range(repeats):
        times = {"ours": ours_ms(looks)}
        for label, (answer,) in tracker_peers.run([scene], PEERS).items():
            times[label] = answer["seconds"] / frames * 1e3
        best = {label: min(ms, best.get(label, ms)) for label, ms in times.items()}
    return best


def conclusions(best: dict[str, float]) -> list[str]:
    """The bars of the project, and how compiled packages compare, in words."""
    packages = {label: ms for label, ms in best.items() if label not in ("ours", "SORT on filterpy")}
    python = min((label for label in packages if "(Rust)" not in label), key=packages.__getitem__)
    rust = min((label for label in packages if "(Rust)" in label), key=packages.__getitem__)
    sort, ours = best["SORT on filterpy"], best["ours"]
    return [
        f"ours takes 1/{sort / ours:.1f} of SORT on filterpy (bar 1/40)",
        f"ours takes 1/{packages[python] / ours:.1f} of the fastest Python package, {python} (bar 1/4)",
        f"ours takes {ours / packages[rust]:.1f} times as long as the fastest compiled package, {rust}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, default=100)
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write the figures here too")
    options = parser.parse_args()
    best = measure(options.objects, options.frames, options.repeats)
    print(f"{'tracker':<30}{'ms a look':>10}{'times ours':>12}")
    for label, ms in sorted(best.items(), key=lambda item: item[1]):
        print(f"{label:<30}{ms:>10.3f}{ms / best['ours']:>12.1f}")
    for sentence in conclusions(best):
        print(sentence)
    if options.json:
        report = {"objects": options.objects, "frames": options.frames, "cpus": os.cpu_count(), "ms_a_look": best}
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
