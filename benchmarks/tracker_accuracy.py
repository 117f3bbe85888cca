"""HOTA and IDF1 of ours, SORT and ByteTrack on the same detections of labelled clips, in one run.

    python -m benchmarks.tracker_accuracy --data DIR --split test --recordings FOLDER [--json FILE]
    python -m benchmarks.tracker_accuracy --data DIR --split val --degraded

FOLDER holds `CLIP.jsonl` of `deeplomatics track --output`; `--degraded` makes detections from the labels instead. The
peers get the detections whose best class is the wanted one, and of each the best threshold on the very split scored
counts (an advantage to them); ours runs once, with its defaults and the detector's thresholds chosen on `val`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import tracker_peers
from benchmarks.tracker_scenes import FPS, degraded
from models.halmstad import Clip as LabelledClip
from models.halmstad import load_clips
from models.types import CLASSES, Detections
from service.evaluate_tracker import Recording, read_recording, tracked, truth_rows
from tracking.evaluate import Clip, Scores, score
from tracking.settings import TrackerSettings

THRESHOLDS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7)


def peers() -> dict[str, dict[str, Any]]:
    """Label to settings of every tracker and threshold; the label starts with the tracker's name."""
    grid: dict[str, dict[str, Any]] = {}
    for at in THRESHOLDS:
        grid[f"SORT on filterpy @{at}"] = {"kind": "sort", "threshold": at}
        grid[f"trackers ByteTrack @{at}"] = {
            "kind": "trackers ByteTrack",
            "track_activation_threshold": at,
            "high_conf_det_threshold": at,
        }
        grid[f"trackforge ByteTrack @{at}"] = {
            "kind": "trackforge ByteTrack",
            "track_thresh": at,
            "det_thresh": at,
        }
    return grid


def as_scene(looks: Sequence[Detections], label: str) -> tracker_peers.Scene:
    wanted = CLASSES.index(label)
    frames = []
    for look in looks:
        of_class = look.class_scores.argmax(axis=1) == wanted
        frames.append(np.concatenate([look.boxes, look.scores[:, None]], axis=1)[of_class].tolist())
    return {"fps": FPS, "frames": frames}


def peer_clip(labelled: LabelledClip, label: str, answer: dict[str, Any]) -> Clip:
    rows = [[(int(i), (x, y, w, h)) for i, x, y, w, h in frame] for frame in answer["frames"]]
    return Clip(labelled.name, FPS, truth_rows(labelled, label)[: len(rows)], rows)


def best_of_each(scored: dict[str, Scores]) -> dict[str, Scores]:
    """Of every tracker the threshold with the highest HOTA."""
    names = sorted({label.split(" @")[0] for label in scored})
    best = {name: max((s for s in scored if s.startswith(name)), key=lambda s: scored[s].hota) for name in names}
    return {label: scored[label] for label in best.values()}


def compare(labelled: Sequence[LabelledClip], recordings: Sequence[Recording], label: str) -> dict[str, Scores]:
    pairs = list(zip(labelled, recordings, strict=True))
    answers = tracker_peers.run([as_scene(each.looks[: clip.labelled_frames], label) for clip, each in pairs], peers())
    scored = {
        name: score([peer_clip(clip, label, answer) for clip, answer in zip(labelled, of_peer, strict=True)])
        for name, of_peer in answers.items()
    }
    return {"ours": score([tracked(clip, each, label, None) for clip, each in pairs])} | best_of_each(scored)


def show(band: str, scored: dict[str, Scores]) -> None:
    shares = "".join(f"{name:>7}" for name in ("HOTA", "IDF1", "MOTA", "DetA", "AssA"))
    print(f"\n{band:<28}{shares}{'IDSW':>6}{'frag':>6}{'first s':>9}{'never':>7}")
    for name, s in scored.items():
        shares = "".join(f"{value:>7.3f}" for value in (s.hota, s.idf1, s.mota, s.det_a, s.ass_a))
        first = "-" if s.first_track_s is None else f"{s.first_track_s:.2f}"
        print(f"{name:<28}{shares}{s.identity_switches:>6}{s.fragments:>6}{first:>9}{s.never_tracked:>7}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", default="val")
    parser.add_argument("--label", default="drone", choices=CLASSES)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--recordings", type=Path)
    source.add_argument("--degraded", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    report = {}
    for band in ("infrared", "visible"):
        labelled = [c for c in load_clips(options.data, band, options.split) if CLASSES[c.label] == options.label]
        recordings = [
            Recording(degraded(clip, seed=1), TrackerSettings())
            if options.degraded
            else read_recording(options.recordings / f"{clip.name}.jsonl")
            for clip in labelled
        ]
        scored = compare(labelled, recordings, options.label)
        show(band, scored)
        report[band] = {name: scores.as_dict() for name, scores in scored.items()}
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
