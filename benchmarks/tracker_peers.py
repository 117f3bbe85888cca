"""Published trackers in an environment of their own, run on scenes of ours.

`run(scenes, peers)` makes the environment on first use (about 700 MB under the user's cache folder, nothing of it is a
dependency of the project) and runs this same file in it. Licences: trackers Apache-2.0, trackforge and
motpy MIT, norfair BSD-3, filterpy MIT.

A scene is {"fps": 30.0, "frames": [[[x, y, width, height, score], …], …]}; the answer for each peer and scene is
{"seconds": time inside the tracker's own call, "frames": [[[id, x, y, width, height], …], …]}. Making a tracker's own
input objects from numbers is not timed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.peer_environment import made

Box = list[float]
Scene = dict[str, Any]
#: One frame: what the tracker takes, and its answer as [id, x, y, width, height] made from what it gives.
Step = tuple[Callable[[list[Box]], Any], Callable[[Any], Any], Callable[[Any], list[Box]]]

REQUIREMENTS = (
    ("filterpy>=2.0", "numpy>=2.0", "trackers==2.6.1", "trackforge==0.4.0", "motpy==0.0.10"),
    ("--no-deps", "norfair==2.3.0"),  # its pins are older than its code needs
)


def environment() -> Path:
    """Python of the peers' environment; made when it is not there."""
    return made("tracker-peers", REQUIREMENTS)


def run(scenes: Sequence[Scene], peers: dict[str, dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Answers of each peer for each scene; `peers` gives "label": {"kind": one of `KINDS`, **its settings}."""
    with tempfile.TemporaryDirectory() as folder:
        task, answer = Path(folder, "task.json"), Path(folder, "answer.json")
        task.write_text(json.dumps({"scenes": list(scenes), "peers": peers}), encoding="utf-8")
        one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS"), "1")
        command = [str(environment()), "-m", "benchmarks.tracker_peers", str(task), str(answer)]
        subprocess.run(command, check=True, env=os.environ | one_thread, cwd=Path(__file__).parents[1])
        return dict(json.loads(answer.read_text(encoding="utf-8")))


# -- in the peers' environment -----------------------------------------------------------------------------------------


def sort(fps: float, **settings: Any) -> Step:
    import numpy as np

    from benchmarks.tracker_sort import Sort

    threshold = settings.pop("threshold", 0.0)
    tracker = Sort(**settings)
    return (
        lambda rows: np.array([row[:4] for row in rows if row[4] >= threshold]).reshape(-1, 4),
        tracker.update,
        lambda tracks: [[number, *box.tolist()] for number, box in tracks],
    )


def trackers_package(name: str) -> Callable[..., Step]:
    def make(fps: float, **settings: Any) -> Step:
        import numpy as np
        import supervision  # type: ignore[import-not-found]
        import trackers  # type: ignore[import-not-found]

        tracker = getattr(trackers, name)(frame_rate=fps, **settings)

        def take(rows: list[Box]) -> Any:
            table = np.array(rows, dtype=np.float64).reshape(-1, 5)
            corners = np.concatenate([table[:, :2], table[:, :2] + table[:, 2:4]], axis=1)
            return supervision.Detections(corners, confidence=table[:, 4], class_id=np.zeros(len(table), dtype=int))

        def give(tracks: Any) -> list[Box]:
            rows = zip(tracks.tracker_id.tolist(), tracks.xyxy.tolist(), strict=True)
            return [[number, a, b, c - a, d - b] for number, (a, b, c, d) in rows if number >= 0]

        return take, tracker.update, give

    return make


def trackforge_package(name: str) -> Callable[..., Step]:
    def make(fps: float, **settings: Any) -> Step:
        import trackforge  # type: ignore[import-not-found]

        threshold = settings.pop("threshold", 0.0)
        tracker = getattr(trackforge, name)(**settings)
        return (
            lambda rows: [(row[:4], row[4], 0) for row in rows if row[4] >= threshold],
            tracker.update,
            lambda tracks: [[track[0], *track[1]] for track in tracks],
        )

    return make


def motpy(fps: float, **settings: Any) -> Step:
    import motpy as package  # type: ignore[import-not-found]
    import numpy as np

    threshold = settings.pop("threshold", 0.0)
    tracker = package.MultiObjectTracker(dt=1.0 / fps, **settings)
    numbers: dict[str, int] = {}

    def take(rows: list[Box]) -> Any:
        kept = [row for row in rows if row[4] >= threshold]
        return [package.Detection(np.array([x, y, x + w, y + h]), score=s) for x, y, w, h, s in kept]

    def give(tracks: Any) -> list[Box]:
        boxes = [(numbers.setdefault(track.id, len(numbers) + 1), track.box.tolist()) for track in tracks]
        return [[number, a, b, c - a, d - b] for number, (a, b, c, d) in boxes]

    return take, tracker.step, give


def norfair(fps: float, **settings: Any) -> Step:
    import norfair as package  # type: ignore[import-not-found]
    import numpy as np

    threshold = settings.pop("threshold", 0.0)
    tracker = package.Tracker(distance_function="iou", distance_threshold=0.7, **settings)

    def take(rows: list[Box]) -> Any:
        kept = [row for row in rows if row[4] >= threshold]
        return [package.Detection(np.array([[x, y], [x + w, y + h]])) for x, y, w, h, _ in kept]

    def give(tracks: Any) -> list[Box]:
        boxes = [(track.id, track.estimate.ravel().tolist()) for track in tracks]
        return [[number, a, b, c - a, d - b] for number, (a, b, c, d) in boxes]

    return take, tracker.update, give


KINDS: dict[str, Callable[..., Step]] = {
    "sort": sort,
    "trackers ByteTrack": trackers_package("ByteTrackTracker"),
    "trackers SORT": trackers_package("SORTTracker"),
    "trackers OC-SORT": trackers_package("OCSORTTracker"),
    "trackforge ByteTrack": trackforge_package("BYTETRACK"),
    "trackforge SORT": trackforge_package("SORT"),
    "motpy": motpy,
    "norfair": norfair,
}


def answers(scene: Scene, kind: str, **settings: Any) -> dict[str, Any]:
    take, step, give = KINDS[kind](scene["fps"], **settings)
    seconds, frames = 0.0, []
    for rows in scene["frames"]:
        taken = take(rows)
        start = time.process_time()
        tracks = step(taken)
        seconds += time.process_time() - start
        frames.append(give(tracks))
    return {"seconds": seconds, "frames": frames}


def main(task: str, answer: str) -> None:
    work = json.loads(Path(task).read_text(encoding="utf-8"))
    result = {
        label: [answers(scene, **settings) for scene in work["scenes"]] for label, settings in work["peers"].items()
    }
    Path(answer).write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
