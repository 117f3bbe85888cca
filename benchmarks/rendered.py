"""Whether the renderer's pictures are to the detector what real clips are.

    python -m benchmarks.rendered [--data ../shared/data] [--band visible|infrared] [--scenes 30] [--seed 0] [--keep]

The shipped weights look, ten times a second, at the drones of the `val` clips and at rendered ones: skies, clouds,
light, drones, ways and sizes drawn at random. For each size of the annotated box: the share that is found (by centre,
at the operating threshold) and named drone, real and rendered; the rendered recalls are then put together with the
real clips' share of each size, so that the totals are of the same sizes. Beside them what a found drone is called, and
the boxes where nothing is, per picture.
"""

from __future__ import annotations

import argparse
import math
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import describe, keep
from fusion.geometry import CameraModel
from models.halmstad import Clip, frames, load_clips
from models.infer import Detector, load_detector
from models.matching import near_centre
from models.types import CLASSES, Band, Detections
from simulation.camera import Camera
from simulation.landscape import Landscape
from simulation.scene import Scene, Shot
from simulation.shapes import Quadcopter
from simulation.world import Aircraft, Orbit

RATE_HZ = 10.0
EVERY = 3  # frames of a clip of 30 a second
WARM = 3  # looks before the first that counts: the detector sees 0.2 s back
LOOKS = 8
DRONES = 6  # in each rendered scene
EDGES_PX = (0.0, 16.0, 20.0, 25.0, 30.0, 40.0, 60.0, math.inf)
SIZES: dict[Band, tuple[int, int, float]] = {"visible": (640, 512, 26.0), "infrared": (320, 256, 24.0)}
#: Of the drone itself, without the annotator's padding; from the `train` clips.
EXTENT_PX: dict[Band, tuple[float, float]] = {"visible": (5.0, 40.0), "infrared": (3.0, 16.0)}


class Tally:
    """What was found of the drones of one kind of picture."""

    def __init__(self) -> None:
        self.seen = np.zeros(len(EDGES_PX) - 1, int)
        self.found = np.zeros_like(self.seen)
        self.called: Counter[str] = Counter()
        self.pictures = 0
        self.false: Counter[str] = Counter()

    def add(self, found: Detections, truth: np.ndarray, thresholds: np.ndarray) -> None:
        """`truth` [M, 5]: class, x, y, width, height."""
        labels = found.class_scores.argmax(1)
        chosen = found.scores >= thresholds[labels]
        boxes, labels = found.boxes[chosen], labels[chosen]
        near = near_centre(boxes, truth[:, 1:])
        self.pictures += 1
        self.false.update(CLASSES[k] for k in labels[~near.any(axis=1)])
        for k in np.flatnonzero(truth[:, 0] == CLASSES.index("drone")):
            names = [CLASSES[label] for label in labels[near[:, k]]]
            size = int(np.searchsorted(EDGES_PX, math.sqrt(float(truth[k, 3] * truth[k, 4])), side="right")) - 1
            self.seen[size] += 1
            self.found[size] += "drone" in names
            self.called["drone" if "drone" in names else names[0] if names else "nothing"] += 1

    def report(self, weights: np.ndarray) -> dict[str, Any]:
        """`weights`: objects of each size that the total is of."""
        with np.errstate(invalid="ignore"):
            recall = self.found / self.seen
        known = ~np.isnan(recall) & (weights > 0)
        total = float(np.average(recall[known], weights=weights[known])) if known.any() else math.nan
        return {
            "recall": round(total, 3),
            "by size": {_size(k): [round(float(recall[k]), 3), int(n)] for k, n in enumerate(self.seen) if n},
            "called": {name: round(count / int(self.seen.sum()), 3) for name, count in self.called.most_common()},
            "false boxes per picture": round(sum(self.false.values()) / max(self.pictures, 1), 4),
            "false": dict(self.false),
            "pictures": self.pictures,
        }


def _size(k: int) -> str:
    return f"{EDGES_PX[k]:g} to {EDGES_PX[k + 1]:g} px"


def real(detector: Detector, clips: list[Clip]) -> Tally:
    """The drone clips of a split, at a third of their rate; birds, which the annotation leaves out, are not counted."""
    tally, thresholds = Tally(), _thresholds(detector)
    for clip in clips:
        for frame in islice(frames(clip), 0, clip.labelled_frames, EVERY):
            tally.add(detector.detect([frame])[0], clip.boxes_of(frame.sequence), thresholds)
        detector.forget(clip.name)
    tally.false.pop("bird", None)
    return tally


def scenes(band: Band, count: int, seed: int, drones: int = DRONES) -> Iterator[Iterator[Shot]]:
    """`count` scenes drawn at random, as many looks of a camera at each."""
    for scene in range(count):
        rng = np.random.default_rng((seed, scene))
        camera, landscape = _camera(band, rng), _landscape(rng)
        aircraft = [_drone(camera, k, rng) for k in range(drones)]
        site = Scene([camera], aircraft, landscape)
        yield (shot for shot, _ in zip(site.shots(camera.sensor_id), range(LOOKS), strict=False))


def rendered(detector: Detector, band: Band, count: int, seed: int) -> tuple[Tally, Tally]:
    """Rendered drones; and the same skies with nothing in them."""
    drones, empty, thresholds = Tally(), Tally(), _thresholds(detector)
    for tally, flying in ((drones, DRONES), (empty, 0)):
        for shots in scenes(band, count, seed, flying):
            for number, shot in enumerate(shots):
                found = detector.detect([shot.frame])[0]
                truth = np.array([[CLASSES.index(t.class_name), *t.box] for t in shot.truth]).reshape(-1, 5)
                if number >= WARM:
                    tally.add(found, truth, thresholds)
            detector.forget(shot.frame.sensor_id)
    return drones, empty


def _landscape(rng: np.random.Generator) -> Landscape:
    """Clear, as in most clips, or with clouds."""
    clouds, haze_m, light = rng.uniform(-0.5, 0.5), rng.uniform(5_000.0, 40_000.0), rng.uniform(0.5, 1.0)
    return Landscape(int(rng.integers(1 << 30)), cloudiness=max(0.0, clouds), haze_m=haze_m, light=light)


def _camera(band: Band, rng: np.random.Generator) -> Camera:
    width, height, fov_deg = SIZES[band]
    model = CameraModel.from_field_of_view(width, height, math.radians(fov_deg))
    elevation = float(rng.uniform(6.0, 20.0))
    return Camera("camera", band, model, (0.0, 0.0, 3.0), float(rng.uniform(0.0, 360.0)), elevation, 0.0, RATE_HZ)


def _drone(camera: Camera, number: int, rng: np.random.Generator) -> Aircraft:
    """One somewhere in its own part of the picture, no two on each other, at a range that makes its size."""
    size = float(rng.uniform(0.3, 0.9))
    low, high = EXTENT_PX[camera.band]
    range_m = camera.model.fx * size / math.exp(rng.uniform(math.log(low), math.log(high)))
    column, row = number % 3, number // 3
    u = camera.model.width * (column + rng.uniform(0.25, 0.75)) / 3.0
    v = camera.model.height * 0.75 * (row + rng.uniform(0.25, 0.75)) / 2.0
    ray = np.array([(u - camera.model.cx) / camera.model.fx, (v - camera.model.cy) / camera.model.fy, 1.0])
    place = camera.enu_to_camera.T @ (ray / np.linalg.norm(ray)) * range_m + camera.position_m
    heading = float(rng.uniform(0.0, math.tau))
    along = np.array([math.sin(heading), math.cos(heading), rng.uniform(-0.2, 0.2)])
    reach_m = min(4.0, 0.03 * range_m)  # a swing to and fro about its place, within 2.5 m/s²
    speed = float(rng.uniform(0.1, 1.0)) * math.sqrt(2.5 * reach_m)
    path = Orbit(tuple(place), tuple(along * reach_m), (0.0, 0.0, 0.0), math.tau * reach_m / speed,
                 phase_rad=float(rng.uniform(0.0, math.tau)))  # fmt: skip
    return Aircraft(number + 1, "drone", path, Quadcopter(size, float(rng.choice([0.15, 0.2, 0.3, 0.6, 0.9]))), 0.25)


def _thresholds(detector: Detector) -> np.ndarray:
    return np.array([detector.thresholds[name] for name in CLASSES])


def measure(data: Path, band: Band, scenes: int, seed: int) -> dict[str, Any]:
    """Both, for one band."""
    detector = load_detector(band, device="cpu")
    clips = [clip for clip in load_clips(data, band, "val") if clip.label == CLASSES.index("drone")]
    of_clips = real(detector, clips)
    drones, empty = rendered(detector, band, scenes, seed)
    return {
        "weights": detector.sha256[:12],
        "real (val)": of_clips.report(of_clips.seen),
        "rendered": drones.report(of_clips.seen),
        "rendered, empty skies": {"false boxes per picture": empty.report(of_clips.seen)["false boxes per picture"],
                                  "false": dict(empty.false)},
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--band", choices=("visible", "infrared"), action="append")
    parser.add_argument("--scenes", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", action="store_true", help="write benchmarks/results/rendered.json")
    given = parser.parse_args()
    bands: list[Band] = given.band or ["visible", "infrared"]
    report: dict[str, Any] = {"machine": describe()}
    report.update({band: measure(given.data, band, given.scenes, given.seed) for band in bands})
    for band in bands:
        print(band)
        for name, figures in report[band].items():
            print(f"  {name}: {figures}")
    if given.keep:
        print(keep("rendered", report))


if __name__ == "__main__":
    main()
