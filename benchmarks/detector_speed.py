"""A recording through detector and tracker: ours against `ultralytics track`, and each of our stages against its floor.

    OMP_NUM_THREADS=1 python -m benchmarks.detector_speed [--clip VIDEO --band infrared|visible] [--keep]

Both do all a user's command does: decode, detect, track, make results of every frame. Same clip, same run, turn about,
one thread each, both warmed; the least of some turns counts, in CPU time and by the wall clock, milliseconds a frame.
The peer is the newest nano network of Ultralytics (AGPL-3.0) at its default 640 with ByteTrack, in an environment of
its own under the user's cache folder. Its weights are random, as drawn by the package: its time does not depend on
them, and as it finds little its tracker has an easy time.

Floors of our stages: the decoder alone, and the network's operations over what a large convolution reaches in the same
engine, thread and run.
"""

from __future__ import annotations

import argparse
import importlib
import itertools
import json
import math
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import describe, keep
from benchmarks.peer_environment import made
from models.types import Band

PEER = "ultralytics"
REQUIREMENTS = (
    ("--no-deps", "ultralytics==8.4.190", "ultralytics-thop", "lap"),
    ("torch==2.13.0", "numpy", "opencv-python-headless", "pyyaml", "requests", "psutil", "scipy", "matplotlib",
     "pillow", "polars"),
)  # fmt: skip
#: The peer imports torchvision, which has no CPU build in every index, for this one function.
STAND_IN = '''"""Stands in for torchvision."""
import torch


def nms(boxes, scores, iou_threshold):
    order, kept = scores.argsort(descending=True), []
    area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    while len(order):
        best, order = order[0], order[1:]
        kept.append(best)
        low, high = torch.maximum(boxes[order, :2], boxes[best, :2]), torch.minimum(boxes[order, 2:], boxes[best, 2:])
        shared = (high - low).clamp(min=0).prod(1)
        order = order[shared <= iou_threshold * (area[order] + area[best] - shared)]
    return torch.stack(kept) if kept else torch.zeros(0, dtype=torch.long)
'''
CLIPS: dict[Band, str] = {"infrared": "IR_DRONE_101", "visible": "V_DRONE_010"}
TURNS = 3
PEER_FRAMES = 60
#: Channels, height, width of convolutions of which the quickest is the ceiling.
CONVOLUTIONS = ((32, 128, 160), (64, 64, 80), (96, 32, 40), (128, 32, 40), (256, 32, 32))


def environment() -> Path:
    """Python of the peer's environment; made when it is not there."""
    return made("detector-peer", REQUIREMENTS, _put_stand_in)


def _put_stand_in(packages: Path) -> None:
    package, about = packages / "torchvision", packages / "torchvision-0.28.0.dist-info"
    package.mkdir()
    about.mkdir()
    (package / "__init__.py").write_text('__version__ = "0.28.0"\nfrom torchvision import ops\n')
    (package / "ops.py").write_text(STAND_IN)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: torchvision\nVersion: 0.28.0\n")


Spent = dict[str, float]


def spent(work: Callable[[], int]) -> Spent:
    """CPU and wall milliseconds of each of the frames that `work` says it did."""
    wall, cpu = time.perf_counter(), time.process_time()
    frames = work()
    return {
        "CPU ms": 1000 * (time.process_time() - cpu) / frames,
        "wall ms": 1000 * (time.perf_counter() - wall) / frames,
    }


def least(turns: list[Spent]) -> Spent:
    return {name: round(min(turn[name] for turn in turns), 3) for name in turns[0]}


# -- ours --------------------------------------------------------------------------------------------------------------


def tracked(clip: Path, band: Band, threads: int = 1) -> Callable[[], int]:
    """`deeplomatics track CLIP --output FILE`, the program and its weights loaded."""
    from fusion.sensors.address import SourceAddress
    from service.settings import DetectorSettings
    from service.track import Loader, Progress, Request, track

    settings = DetectorSettings(device="cpu", threads=threads)
    loader = Loader(band, settings)

    def work() -> int:
        with tempfile.TemporaryDirectory() as folder:
            progress = Progress()
            request = Request([SourceAddress(str(clip))], band, settings, jsonl=Path(folder, "tracks.jsonl"))
            track(request, time.time_ns, progress, loader)
            return progress.frames

    return work


def stages(clip: Path, band: Band) -> dict[str, float]:
    """CPU milliseconds a frame of each stage, in the order of a frame's life."""
    from fusion.sensors.address import SourceAddress
    from fusion.sensors.camera.config import CameraConfig
    from fusion.sensors.camera.source import open_source
    from models.boxes import decode_cells
    from models.infer import HostBackend, load_detector
    from tracking.image_tracker import ImageTracker
    from tracking.settings import TrackerSettings

    detector = load_detector(band, device="cpu", threads=1)
    backend = detector._backend
    assert isinstance(backend, HostBackend)
    tracker = ImageTracker(TrackerSettings.at(detector.thresholds))
    taken = dict.fromkeys(("decode", "prepare", "network", "decode boxes", "remember", "track"), 0.0)
    clock = time.process_time

    with open_source(CameraConfig(id="camera", source=SourceAddress(str(clip)), spectrum=band), time.time_ns) as source:
        frames, count = iter(source), 0
        while True:
            times = [clock()]
            frame = next(frames, None)
            if frame is None:
                break
            times.append(clock())
            spatial, earlier = backend.prepare(frame)
            times.append(clock())
            cells = backend.run(spatial[None], earlier[None])
            times.append(clock())
            found = decode_cells([scale[0] for scale in cells])
            times.append(clock())
            detections = detector._finish(frame, found)
            times.append(clock())
            tracker.step(detections)
            times.append(clock())
            count += 1
            if count > 5:  # warm
                for name, (begin, end) in zip(taken, itertools.pairwise(times), strict=True):
                    taken[name] += 1000 * (end - begin)
    return {name: round(total / (count - 5), 3) for name, total in taken.items()}


def decoded(clip: Path) -> Callable[[], int]:
    """The decoder alone, nothing made of its pictures."""
    import av

    def work() -> int:
        with av.open(str(clip)) as container:
            container.streams.video[0].thread_type = "NONE"
            return sum(1 for _ in container.decode(video=0))

    return work


def convolution_gflops(width: int, height: int, columns: int, repeats: int = 30) -> float:
    """What OpenVINO reaches on one thread in single precision with a 3x3 convolution of so many channels."""
    import openvino
    import torch

    layer = torch.nn.Conv2d(width, width, 3, padding=1)
    example = torch.randn(1, width, height, columns)
    settings = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    model = openvino.convert_model(layer, example_input=example)
    model.reshape(list(example.shape))
    request = openvino.Core().compile_model(model, "CPU", settings).create_infer_request()
    pixels, taken = example.numpy(), []
    for _ in range(repeats):
        begin = time.process_time()
        request.infer([pixels], share_inputs=True)
        taken.append(time.process_time() - begin)
    return 2 * 9 * width**2 * height * columns / min(taken) / 1e9


def network_ms(band: Band, size: tuple[int, int], precision: str) -> float:
    """Least CPU milliseconds of the network alone."""
    from models.detector import PICTURE_SCALE, STRIDES
    from models.infer import WEIGHTS_FOLDER, HostBackend, load_detector, load_network

    _, network = load_network(WEIGHTS_FOLDER / f"{band}.safetensors")
    detector = load_detector(band, device="cpu", threads=1, precision="single" if precision == "fp32" else "auto")
    backend = detector._backend
    assert isinstance(backend, HostBackend)
    step = STRIDES[-1]
    height, width = (math.ceil(n / PICTURE_SCALE[band] / step) * step for n in size)
    rng = np.random.default_rng(0)
    spatial = rng.integers(0, 255, (1, 1 if band == "infrared" else 6, height, width), np.uint8)
    earlier = rng.integers(0, 255, (1, len(network.architecture.history), height, width), np.uint8)
    taken = []
    for _ in range(30):
        begin = time.process_time()
        backend.run(spatial, earlier)
        taken.append(time.process_time() - begin)
    return round(1000 * min(taken), 3)


# -- the peer's side ---------------------------------------------------------------------------------------------------


def peer(clip: Path, frames: int = PEER_FRAMES) -> Spent:
    """In its environment: a process of its own each time, of which the first ten frames do not count."""
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    with tempfile.TemporaryDirectory() as folder:
        env = os.environ | one_thread | {"YOLO_CONFIG_DIR": folder, "YOLO_OFFLINE": "true"}
        run = [str(environment()), "-m", "benchmarks.detector_speed", "--peer", str(clip.absolute()), str(frames)]
        root = Path(__file__).parents[1]
        said = subprocess.run(run, check=True, env=env, cwd=root, capture_output=True, text=True).stdout
    return dict(json.loads(said.splitlines()[-1]))


def _peer(clip: str, frames: int) -> None:
    """It sets its threads itself, to the cores less one; here one is what it has."""
    torch, package = importlib.import_module("torch"), importlib.import_module(PEER)
    model = package.YOLO("yolo26n.yaml")
    torch.set_num_threads(1)
    looks = model.track(source=clip, tracker="bytetrack.yaml", imgsz=640, stream=True, verbose=False, device="cpu",
                        save=False)  # fmt: skip
    for _ in range(10):
        next(looks)
    torch.set_num_threads(1)
    print(json.dumps(spent(lambda: sum(1 for _ in itertools.islice(looks, frames)))))


# -- all of it ---------------------------------------------------------------------------------------------------------


def measure(clip: Path, band: Band, *, turns: int = TURNS, with_peer: bool = True) -> dict[str, Any]:
    from benchmarks.gpu import demand
    from models.infer import WEIGHTS_FOLDER, load_network

    ours, alone = tracked(clip, band), decoded(clip)
    ours()
    turn = [(spent(ours), spent(alone), peer(clip) if with_peer else None) for _ in range(turns)]
    report: dict[str, Any] = {"ours": least([t[0] for t in turn]), "decoder alone": least([t[1] for t in turn])}
    if with_peer:
        report[PEER] = least([t[2] for t in turn if t[2] is not None])
        report["times as quick"] = {k: round(report[PEER][k] / report["ours"][k], 1) for k in report["ours"]}
    size = _size(clip)
    operations, _ = demand(load_network(WEIGHTS_FOLDER / f"{band}.safetensors")[1], size)
    ceiling = max(convolution_gflops(*shape) for shape in CONVOLUTIONS)
    single, eight = (network_ms(band, size, precision) for precision in ("fp32", "int8"))
    floor_ms = operations / ceiling / 1e6
    return report | {
        "stages, CPU ms": stages(clip, band),
        "network": {
            "GFLOP a frame": round(operations / 1e9, 3),
            "convolution ceiling, GFLOP/s": round(ceiling, 1),
            "fp32, CPU ms": single,
            "fp32: share of the ceiling": round(floor_ms / single, 3),
            "int8, CPU ms": eight,
            "int8: times its fp32": round(single / eight, 2),
        },
    }


def _size(clip: Path) -> tuple[int, int]:
    import av

    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        return stream.height, stream.width


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--clip", type=Path)
    parser.add_argument("--band", choices=("visible", "infrared"), default="visible", help="of --clip")
    parser.add_argument("--turns", type=int, default=TURNS)
    parser.add_argument("--no-peer", action="store_true", help="without making the peer's environment (1 GB)")
    parser.add_argument("--keep", action="store_true", help="write benchmarks/results/detector_speed.json")
    parser.add_argument("--peer", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.peer:
        _peer(given.peer[0], int(given.peer[1]))
        return
    video = given.data / "halmstad" / "video"
    clips = {given.band: given.clip} if given.clip else {band: video / f"{n}.mp4" for band, n in CLIPS.items()}
    report: dict[str, Any] = {"machine": describe()}
    for band, clip in clips.items():
        report[band] = {"clip": clip.name, **measure(clip, band, turns=given.turns, with_peer=not given.no_peer)}
        print(json.dumps({band: report[band]}, indent=1), flush=True)
    if given.keep:
        print(keep("detector_speed", report))


if __name__ == "__main__":
    main()
