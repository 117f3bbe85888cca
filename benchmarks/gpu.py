"""The detector on a GPU: how fast, how near to what the chip can do, and what half precision costs.

    python -m benchmarks.gpu [--device cuda|cpu] [--seconds 75] [--compile] [--data DIR] [--json FILE]

Ceilings are measured in the same run: pinned memory to the device, device memory to itself, a large matrix product and
a large convolution. The *device part* is all between the two copies (planes, network, boxes), by CUDA events; *end to
end* is `Detector.detect` on pictures in host memory, by the wall clock. Cameras come at 25 frames a second, spread
evenly over the 40 ms; a frame waits while a batch runs, and its latency is counted from its arrival. Pictures are
rendered. Sections end when the time is up and say so; what is done by then is kept.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import json
import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.machine import RESULTS, describe, percentile
from benchmarks.rendered import scenes
from models.boxes import iou_matrix
from models.detector import PICTURE_SCALE, STRIDES, DetectorNetwork
from models.device import MOST_FRAMES, Batch, DeviceBackend, Lane
from models.infer import WEIGHTS_FOLDER, Backend, Detector, TorchBackend, load_network
from models.types import Band, Detections, Frame

BANDS: tuple[Band, ...] = ("infrared", "visible")
RATE_HZ = 25.0
PRECISIONS = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
Report = dict[str, Any]


@dataclass(frozen=True)
class Sizes:
    """How much is measured: on the CPU, only that it all runs."""

    batches: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64)
    compared: tuple[int, ...] = (1, 8, 64)
    cameras: tuple[int, ...] = (1, 8, 32, 64, 128, 256)
    paced_s: float = 1.5
    repeats: int = 15
    matrix: int = 8192
    convolution: tuple[int, int, int] = (64, 256, 64)  # batch, channels, side
    copied_mb: int = 256
    scenes: int = 3


TINY = Sizes((1, 2), (2,), (1, 3), 0.2, 1, 128, (1, 16, 32), 1, 1)


class Stopwatch:
    """Seconds of device work, the median of some repeats after a warm-up; on the CPU by the wall clock."""

    def __init__(self, device: torch.device, repeats: int) -> None:
        self.device, self.repeats = device, repeats
        self.cuda = device.type == "cuda"

    def wait(self) -> None:
        if self.cuda:
            torch.cuda.synchronize(self.device)

    def device_s(self, work: Callable[[], object]) -> float:
        """Each repeat is so many calls in a row that launching them hides, 2 ms or more."""
        calls = max(1, min(200, math.ceil(0.002 / max(self.wall_s(work), 1e-6)))) if self.cuda else 1
        return statistics.median(self._once(work, calls) for _ in range(self.repeats))

    def _once(self, work: Callable[[], object], calls: int) -> float:
        if not self.cuda:
            return _wall(work)
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        begin.record()
        for _ in range(calls):
            work()
        end.record()
        end.synchronize()
        return float(begin.elapsed_time(end)) / 1000 / calls

    def wall_s(self, work: Callable[[], object]) -> float:
        """Until it is done, seen from the host."""

        def done() -> None:
            work()
            self.wait()

        for _ in range(min(3, self.repeats)):
            done()
        return statistics.median(_wall(done) for _ in range(self.repeats))


def _wall(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


# -- what the chip can do, and what the network asks of it ------------------------------------------------------------


def ceilings(watch: Stopwatch, sizes: Sizes) -> Report:
    """Bytes and operations a second."""
    device, half = watch.device, torch.float16 if watch.cuda else torch.float32
    pinned = torch.randint(0, 255, (sizes.copied_mb << 20,), dtype=torch.uint8, pin_memory=watch.cuda)
    there, other = pinned.to(device), torch.empty(len(pinned), dtype=torch.uint8, device=device)
    table = {
        "host to device, GB/s": len(pinned) / 1e9 / watch.device_s(lambda: there.copy_(pinned, non_blocking=True)),
        "device memory (read and written), GB/s": 2 * len(pinned) / 1e9 / watch.device_s(lambda: other.copy_(there)),
    }
    n = sizes.matrix
    for name, dtype in {"fp16": half, "bf16": torch.bfloat16}.items():
        a, b = (torch.randn(n, n, device=device).to(dtype) for _ in range(2))
        table[f"matrix product {name}, TFLOP/s"] = 2 * n**3 / 1e12 / watch.device_s(partial(torch.matmul, a, b))
    count, width, side = sizes.convolution
    layer = nn.Conv2d(width, width, 3, padding=1).to(device, half)
    layer = layer.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    x = torch.randn(count, width, side, side, device=device).to(half, memory_format=torch.channels_last)
    with torch.inference_mode():
        operations = 2 * 9 * width**2 * count * side**2
        table["convolution fp16, TFLOP/s"] = operations / 1e12 / watch.device_s(partial(layer, x))
    return {name: round(value, 2) for name, value in table.items()}


def demand(network: DetectorNetwork, size: Sequence[int]) -> tuple[float, float]:
    """Operations of one picture, and the fewest bytes in half precision: each convolution reads and writes once."""
    done: list[tuple[float, float]] = []

    def note(conv: nn.Conv2d, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        done.append((2.0 * output.numel() * conv.weight[0].numel(), 2.0 * (inputs[0].numel() + output.numel())))

    looks, step = network.architecture, STRIDES[-1]
    empty = copy.deepcopy(network).to("meta")
    for module in empty.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(note)
    height, width = (math.ceil(n / PICTURE_SCALE[looks.band] / step) * step for n in size)
    empty(torch.zeros(1, looks.planes, height, width, device="meta"))
    operations, data = np.sum(done, axis=0)
    return float(operations), float(data)


# -- the ways through -------------------------------------------------------------------------------------------------


class Feed:
    """Pictures of N cameras, their times going on by 40 ms each round."""

    def __init__(self, pictures: Sequence[Frame]) -> None:
        self.pictures, self.round = pictures, 0

    def frames(self, cameras: int) -> list[Frame]:
        self.round += 1
        return [self.frame(camera, self.round) for camera in range(cameras)]

    def frame(self, camera: int, number: int) -> Frame:
        picture = self.pictures[(camera + number) % len(self.pictures)]
        return Frame(f"camera-{camera}", number * 40_000_000, number, picture.band, picture.pixels)


@dataclass(frozen=True)
class Subject:
    """One band's network, what to show it, and what the chip can do (see `ceilings`)."""

    card: dict[str, Any]
    network: DetectorNetwork
    shots: Sequence[Sequence[Frame]]
    watch: Stopwatch
    sizes: Sizes
    top: Report

    @property
    def band(self) -> Band:
        return self.network.architecture.band

    def feed(self) -> Feed:
        return Feed([frame for scene in self.shots for frame in scene])

    def backend(self, **how: Any) -> DeviceBackend:
        return DeviceBackend(self.network, self.watch.device, **how)

    def detector(self, backend: Backend) -> Detector:
        return Detector(backend, self.card, self.band)

    def shares(self, count: int, seconds: float) -> Report:
        """How near the network of `count` frames in this time is to what bounds it."""
        operations, data = demand(self.network, self.shots[0][0].pixels.shape[:2])
        over = {
            "operations over the convolution ceiling": operations / self.top["convolution fp16, TFLOP/s"] / 1e12,
            "fewest bytes over the memory ceiling": data / self.top["device memory (read and written), GB/s"] / 1e9,
        }
        return {name: round(count * least / seconds, 4) for name, least in over.items()}


def ready(backend: DeviceBackend, feed: Feed, count: int) -> tuple[Lane, Batch]:
    """A batch of `count` frames (a power of two) that lie on the device."""
    backend.look(feed.frames(count))
    (lane,) = backend.lanes.values()
    return lane, lane.batches[count]


def ways(subject: Subject) -> Iterator[Report]:
    """Milliseconds of the device part: kernels launched or a graph, plain or fused convolutions; the least last."""
    watch, sizes, rows = subject.watch, subject.sizes, list[Report]()
    for graphs, fused in itertools.product((False, True), repeat=2) if watch.cuda else ((False, False),):
        backend, feed = subject.backend(graphs=graphs, fused=fused), subject.feed()
        row: Report = {"way": f"{'graph' if graphs else 'launched'}, {'fused' if fused else 'plain'}"}
        for count in sizes.compared:
            lane, batch = ready(backend, feed, count)
            row[str(count)] = _milliseconds(watch.device_s(partial(lane.compute, batch)))
        rows.append(row if (backend.graphs, backend.fused) == (graphs, fused) else {**row, "fell back": True})
        yield rows[-1]
    yield {"way": "least"} | {n: min((row[n], row["way"]) for row in rows)[1] for n in map(str, sizes.compared)}


def compiled(subject: Subject) -> Iterator[Report]:
    """The same with the network compiled by torch.compile, in a graph."""
    backend, feed = subject.backend(fused=False), subject.feed()
    backend.network = torch.compile(backend.network, dynamic=False)
    for count in subject.sizes.compared:
        begin = time.perf_counter()
        lane, batch = ready(backend, feed, count)
        taken = round(time.perf_counter() - begin, 1)
        seconds = subject.watch.device_s(partial(lane.compute, batch))
        yield {"batch": count, "s to compile": taken, "ms": _milliseconds(seconds)}


@torch.inference_mode()
def parts(subject: Subject) -> Iterator[Report]:
    """Milliseconds of planes, network and boxes, each a graph of its own."""
    watch, backend, feed = subject.watch, subject.backend(), subject.feed()
    for count in subject.sizes.compared:
        lane, batch = ready(backend, feed, count)
        planes = lane.planes(batch)
        steps: dict[str, Callable[[], object]] = {
            "planes": partial(lane.planes, batch),
            "network": partial(backend.network, planes),
            "boxes": partial(lane.boxes, batch, backend.network(planes)),
        }
        taken = {name: watch.device_s(captured(watch, step)) for name, step in steps.items()}
        yield {
            "batch": count,
            **{f"{name}, ms": _milliseconds(seconds) for name, seconds in taken.items()},
            "network": subject.shares(count, taken["network"]),
        }


def captured(watch: Stopwatch, work: Callable[[], object]) -> Callable[[], object]:
    """As a CUDA graph."""
    if not watch.cuda:
        return work
    watch.wait()
    with torch.cuda.stream(torch.cuda.Stream(watch.device)):  # type: ignore[no-untyped-call]
        work()
        watch.wait()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    return graph.replay


def by_batch(subject: Subject) -> Iterator[Report]:
    """Each size of batch the way the product takes: device part and end to end."""
    watch, backend, feed = subject.watch, subject.backend(), subject.feed()
    detector = subject.detector(backend)
    for count in subject.sizes.batches:
        begin = time.perf_counter()
        lane, batch = ready(backend, feed, count)
        first = time.perf_counter() - begin
        device = watch.device_s(partial(lane.compute, batch))
        frames = feed.frames(count)
        up = watch.wall_s(partial(lane.upload, batch, frames, [lane.slots_of(frame) for frame in frames]))
        look = watch.wall_s(partial(_next, backend.look, feed, count))
        whole = watch.wall_s(partial(_next, detector.detect, feed, count))
        copied = batch.host_bytes.nbytes / whole / 1e9
        yield {
            "batch": count,
            "first call, s": round(first, 2),
            "device part, ms": _milliseconds(device),
            "device part, frames/s": round(count / device),
            "bytes staged and copied up, ms": _milliseconds(up),
            "boxes remembered and packed, ms": _milliseconds(max(whole - look, 0.0)),
            "end to end, ms": _milliseconds(whole),
            "end to end, frames/s": round(count / whole),
            "end to end over the copy ceiling": round(copied / subject.top["host to device, GB/s"], 4),
        }


def _next(detect: Callable[[list[Frame]], object], feed: Feed, count: int) -> None:
    detect(feed.frames(count))


def _milliseconds(seconds: float) -> float:
    return round(1000 * seconds, 4)


def paced(subject: Subject) -> Iterator[Report]:
    """N cameras at 25 frames a second, until one in a hundred frames is dropped."""
    detector, feed = subject.detector(subject.backend()), subject.feed()
    for cameras in subject.sizes.cameras:
        detector.detect(feed.frames(cameras))  # the ring has room for all
        for count in subject.sizes.batches:
            detector.detect(feed.frames(min(count, cameras)))
        row = _paced(detector, feed, cameras, subject.sizes.paced_s)
        yield row
        if row["dropped"] > 0.01:
            return


def _paced(detector: Detector, feed: Feed, cameras: int, seconds: float) -> Report:
    """One loop as `service.detection.SharedDetector` does it: what waits goes together, the newest of each camera."""
    period = 1 / RATE_HZ
    due = np.arange(cameras) * period / cameras  # when each camera's next frame arrives
    number = np.full(cameras, feed.round + 1)
    latencies: list[float] = []
    dropped = batches = 0
    begin = time.perf_counter()
    while (now := time.perf_counter() - begin) < seconds:
        waiting = np.flatnonzero(due <= now)
        if not len(waiting):
            time.sleep(max(0.0, float(due.min()) - now - 2e-4))
            continue
        behind = ((now - due[waiting]) // period).astype(int)  # newer frames have come since
        dropped += int(behind.sum())
        number[waiting] += behind
        arrived = due[waiting] + behind * period
        detector.detect([feed.frame(int(c), int(number[c])) for c in waiting])
        done = time.perf_counter() - begin
        latencies.extend((done - arrived).tolist())
        due[waiting], batches = arrived + period, batches + 1
        number[waiting] += 1
    feed.round = int(number.max())
    report: Report = {"cameras": cameras, "frames": len(latencies), "mean batch": round(len(latencies) / batches, 1)}
    for percent in (50, 95, 99):
        report[f"p{percent}, ms"] = round(1000 * percentile(latencies, percent), 2)
    return {**report, "dropped": round(dropped / (len(latencies) + dropped), 4)}


# -- what precision costs ---------------------------------------------------------------------------------------------


def precision(subject: Subject) -> Report:
    """Boxes on rendered pictures against those of the way over numpy in single precision on the CPU."""
    threshold = min(subject.card["thresholds"].values())
    host = TorchBackend(subject.network, torch.get_num_threads())
    reference = _looks(subject.detector(host), subject.shots)
    table: Report = {"boxes of the reference": sum(map(len, reference)), "at the operating threshold": threshold}
    for name, dtype in PRECISIONS.items():
        found = _looks(subject.detector(subject.backend(dtype=dtype)), subject.shots)
        table[name] = _difference(reference, found, threshold)
    return table


def _looks(detector: Detector, shots: Sequence[Sequence[Frame]]) -> list[Detections]:
    found = []
    for scene in shots:
        found += [detector.detect([frame])[0] for frame in scene]
        detector.forget(scene[0].sensor_id)
    return found


def _difference(reference: Sequence[Detections], found: Sequence[Detections], threshold: float) -> Report:
    moved: list[float] = []
    scored: list[float] = []
    lost = extra = 0
    for a, b in zip(reference, found, strict=True):
        iou = iou_matrix(a.boxes, b.boxes)
        pairs = iou.max(1, initial=0.0) > 0.5
        nearest = iou.argmax(1)[pairs] if len(b) else np.zeros(0, int)
        moved += np.abs(a.boxes[pairs] - b.boxes[nearest]).max(1, initial=0.0).tolist()
        scored += np.abs(a.scores[pairs] - b.scores[nearest]).tolist()
        sure, theirs = a.scores >= threshold, b.scores >= threshold
        lost += int((iou[sure][:, theirs].max(1, initial=0.0) <= 0.5).sum())
        extra += int((iou[sure][:, theirs].max(0, initial=0.0) <= 0.5).sum())
    report: Report = {"paired": len(moved), "operating boxes lost": lost, "operating boxes more": extra}
    for name, values in (("edge off by, px", moved), ("score off by", scored)):
        if values:
            report[name] = {"median": _round(statistics.median(values)), "p95": _round(percentile(values, 95)),
                            "largest": _round(max(values))}  # fmt: skip
    return report


def _round(value: float) -> float:
    return float(f"{value:.3g}")


def recordings(data: Path, subject: Subject) -> Report:
    """Mean F1 at IoU 0.5 on every fourth clip of `val`, with each precision."""
    from models.evaluate import run_clips, summarise
    from models.halmstad import load_clips

    clips, table = load_clips(data, subject.band, "val")[::4], {}
    for name, dtype in PRECISIONS.items():
        detector = subject.detector(subject.backend(dtype=dtype))
        figures = summarise(run_clips(detector, clips), detector.thresholds)
        table[name] = round(figures["iou50"]["mean"]["f1"], 4)
    return table


# -- all of it --------------------------------------------------------------------------------------------------------


class Keeper:
    """Runs sections within the time, and keeps what is done after each: a lent machine may be gone the next moment."""

    def __init__(self, path: Path | None, seconds: float) -> None:
        self.path, self.until = path, time.perf_counter() + seconds
        self.report: Report = {}

    def section(self, into: Report, name: str, work: Callable[[], Any], of: str = "") -> None:
        begin = time.perf_counter()
        if begin > self.until:
            into[name] = "left out: the time was up"
        else:
            try:
                into[name] = self._rows(work())
            except Exception as error:  # a section that fails says so; the others are still worth the machine
                into[name] = {"failed": f"{type(error).__name__}: {error}"}
        rows = into[name] if isinstance(into[name], list) else [into[name]]
        print(f"{of} {name} ({time.perf_counter() - begin:.1f} s)", *map(json.dumps, rows), sep="\n  ", flush=True)
        if self.path is not None:
            self.path.write_text(json.dumps(self.report, indent=2) + "\n", encoding="utf-8")

    def _rows(self, result: Any) -> Any:
        if not isinstance(result, Iterator):
            return result
        rows = []
        for row in result:
            rows.append(row)
            if time.perf_counter() > self.until:
                rows.append("the rest left out: the time was up")
                break
        return rows


def chip(device: torch.device) -> Report:
    if device.type != "cuda":
        return {"chip": "cpu", "torch": torch.__version__}
    return {
        "chip": torch.cuda.get_device_name(device),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]
        "multiprocessors": torch.cuda.get_device_properties(device).multi_processor_count,
    }


def measure(
    device: torch.device, sizes: Sizes, keeper: Keeper, *, with_compile: bool = False, data: Path | None = None
) -> Report:
    """All sections for both bands; see the top of the file."""
    watch, report = Stopwatch(device, sizes.repeats), keeper.report
    report |= {"machine": describe(), **chip(device), "most frames in a batch": MOST_FRAMES}
    keeper.section(report, "ceilings", partial(ceilings, watch, sizes))
    subjects = [_subject(band, watch, sizes, report) for band in BANDS]
    sections: dict[str, Callable[[Subject], Any]] = {
        "precision": precision,
        "by batch": by_batch,
        "ways of the device part, ms": ways,
        "parts of the device part": parts,
        "paced cameras": paced,
    }
    if with_compile:
        sections["compiled"] = compiled
    if data is not None:
        sections["F1 on val"] = partial(recordings, data)
    for name, work in sections.items():
        for subject in subjects:
            keeper.section(report[subject.band], name, partial(work, subject), subject.band)
    return report


def _subject(band: Band, watch: Stopwatch, sizes: Sizes, report: Report) -> Subject:
    card, network = load_network(WEIGHTS_FOLDER / f"{band}.safetensors")
    shots = [[shot.frame for shot in scene] for scene in scenes(band, sizes.scenes, seed=0)]
    size = shots[0][0].pixels.shape
    operations, data = demand(network, size[:2])
    report[band] = {
        "weights": card["sha256"][:12],
        "picture": list(size),
        "GFLOP a frame": round(operations / 1e9, 3),
        "fewest MB a frame, half precision": round(data / 1e6, 2),
    }
    return Subject(card, network, shots, watch, sizes, report["ceilings"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--seconds", type=float, default=75.0, help="no section begins after that")
    parser.add_argument("--compile", action="store_true", help="measure torch.compile too (a minute more)")
    parser.add_argument("--data", type=Path, help="recordings: F1 with each precision")
    parser.add_argument("--json", type=Path, help="default: benchmarks/results/gpu_CHIP.json, on CUDA")
    given = parser.parse_args()
    device, path = torch.device(given.device), given.json
    if path is None and given.device == "cuda":
        path = RESULTS / f"gpu_{chip(device)['chip'].replace(' ', '_')}.json"
    sizes = Sizes() if given.device == "cuda" else TINY
    measure(device, sizes, Keeper(path, given.seconds), with_compile=given.compile, data=given.data)


if __name__ == "__main__":
    main()
