"""From a camera's exposure to a WebSocket client, for an infrared and a visible camera at 30 frames a second together.

    python -m benchmarks.latency [--seconds 20] [--data FOLDER] [--infrared FILE] [--visible FILE] [--device auto]

The whole service runs in this process: sources played at their own pace, detector, tracker, store, server. A client in
a process of its own reads detections and tracks and compares each frame's capture time with the clock. Recordings come
from the data folder (DEEPLOMATICS_DATA, else ../shared/data beside the checkout); without one, the simulated demo
plays, and drawing it counts as decoding.

Prints and keeps: capture to client p50/p95/p99 of each camera, each stage's time and share, frames dropped, and the CPU
of a frame by thread. "Outside" is all CPU but decoding (capture threads and native threads) and the network (the camera
threads, as far as the detector's share of their time goes). Bar: no frame dropped, p99 at most two frame periods above
the detector's own time, outside at most 5 % of a frame's CPU.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.machine import describe, keep, percentile
from benchmarks.websocket import Times, connect
from fusion.sensors.camera.config import CameraConfig
from service import api
from service.clock import SystemClock
from service.demo import Demo
from service.pipeline import Pipeline
from service.recording import RecordingSettings
from service.settings import DetectorSettings, Settings

ROOT = Path(__file__).resolve().parents[1]
BANDS = ("infrared", "visible")
STAGES = ("transport", "queue", "detect", "track", "deliver", "total")
PERIOD_MS = 1000 / 30
BAR_OUTSIDE = 0.05


# ── The client ──────────────────────────────────────────────────────────────────────────────────────────────────────


def listen(port: int, seconds: float) -> dict[str, list[float]]:
    """Milliseconds from capture to here of every frame, by camera."""
    reader = connect(port, "detections,tracks")
    reader.sock.settimeout(5.0)
    times = Times()
    latencies: dict[str, list[float]] = {}
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for message in reader.messages():
            made = times.of(message)
            if made is not None and b'"topic":"detections"' in message[:60]:
                sensor = json.loads(message)["data"]["sensor"]
                latencies.setdefault(sensor, []).append((time.time() - made) * 1e3)
    return latencies


# ── The service ─────────────────────────────────────────────────────────────────────────────────────────────────────


def find_clip(data: Path, prefix: str) -> Path | None:
    """The first drone clip of a band, in the order of names."""
    return next(iter(sorted((data / "halmstad" / "video").glob(f"{prefix}_DRONE_*.mp4"))), None)


def make_pipeline(options: argparse.Namespace, folder: Path, recording: RecordingSettings | None = None) -> Pipeline:
    detector = DetectorSettings(device=options.device)
    infrared, visible = (
        options.infrared or find_clip(options.data, "IR"),
        options.visible or find_clip(options.data, "V"),
    )
    if infrared and visible:
        cameras = tuple(
            CameraConfig.model_validate({"id": band, "spectrum": band, "source": str(path), "loop": True})
            for band, path in zip(BANDS, (infrared, visible), strict=True)
        )
        return Pipeline(Settings(data_folder=folder, cameras=cameras, detector=detector, recording=recording))
    demo = Demo(SystemClock())
    settings = Settings(data_folder=folder, cameras=demo.cameras(), detector=detector, recording=recording)
    return Pipeline(settings, make_capture=demo.make_capture)


@dataclass(frozen=True)
class Reading:
    """Counters of the running service at one instant."""

    cpu: dict[str, float]  # seconds by thread: camera, capture, store, loop, other, native
    stages: dict[str, tuple[float, float]]  # seconds and count
    frames_in: int
    processed: int
    dropped: int


def read(pipeline: Pipeline, metrics: str) -> Reading:
    health = [each for each in map(pipeline.live.health, pipeline.live.sensor_ids) if each is not None]
    return Reading(
        cpu_by_thread(),
        {stage: (_sum(metrics, stage, "sum"), _sum(metrics, stage, "count")) for stage in STAGES},
        sum(each.frames_in for each in health),
        sum(each.processed for each in health),
        sum(sum(each.dropped.values()) for each in health),
    )


def _sum(metrics: str, stage: str, what: str) -> float:
    pattern = rf'deeplomatics_stage_seconds_{what}{{sensor="[^"]*",stage="{stage}"}} (\S+)'
    return sum(map(float, re.findall(pattern, metrics)))


def cpu_by_thread() -> dict[str, float]:
    """CPU seconds of this process so far by the kind of thread; threads that Python did not start are `native`."""
    kinds = {thread.native_id: thread.name.split("-")[0] for thread in threading.enumerate()}
    used: dict[str, float] = {}
    for task in Path("/proc/self/task").iterdir():
        try:
            fields = (task / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        except FileNotFoundError:  # it ended since it was listed
            continue
        kind = kinds.get(int(task.name), "native")
        used[kind] = used.get(kind, 0.0) + (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return used


def scrape(port: int) -> str:
    with socket.create_connection(("127.0.0.1", port), 10) as sock:
        sock.sendall(b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        return b"".join(iter(lambda: sock.recv(1 << 16), b"")).decode()


def measure(options: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder, make_pipeline(options, Path(folder)) as pipeline:
        listener = socket.create_server(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        http = api.server(api.create_app(pipeline), "127.0.0.1", port)
        loop = threading.Thread(target=lambda: http.run([listener]), name="loop")
        loop.start()
        time.sleep(options.warm)
        before = read(pipeline, scrape(port))
        command = [sys.executable, "-m", "benchmarks.latency", "--listen", str(port), "--seconds", str(options.seconds)]
        heard = subprocess.run(command, stdout=subprocess.PIPE, check=True)
        after = read(pipeline, scrape(port))
        http.should_exit = True
        loop.join(20)
    return report_of(before, after, json.loads(heard.stdout))


def report_of(before: Reading, after: Reading, latencies: dict[str, list[float]]) -> dict[str, Any]:
    frames = after.processed - before.processed
    if not frames or not latencies:
        raise SystemExit("No frame came through: see the log above for what the sources say.")
    stage_ms = {stage: _mean_ms(before.stages[stage], after.stages[stage]) for stage in STAGES}
    cpu = {kind: (used - before.cpu.get(kind, 0.0)) / frames * 1e3 for kind, used in after.cpu.items()}
    in_network = stage_ms["detect"] / (stage_ms["detect"] + stage_ms["track"])
    inside = cpu.get("capture", 0.0) + cpu.get("native", 0.0) + cpu.get("camera", 0.0) * in_network
    return {
        "capture_to_client_ms": {sensor: _percentiles(each) for sensor, each in sorted(latencies.items())},
        "bar_p99_ms": round(2 * PERIOD_MS + stage_ms["detect"], 1),
        "stage_mean_ms": {stage: round(value, 3) for stage, value in stage_ms.items()},
        "stage_share": {stage: round(stage_ms[stage] / stage_ms["total"], 3) for stage in STAGES[:-1]},
        "frames": {"in": after.frames_in - before.frames_in, "processed": frames},
        "frames_dropped": after.dropped - before.dropped,
        "cpu_ms_a_frame": {kind: round(value, 3) for kind, value in sorted(cpu.items())},
        "cpu_outside_share": round(1 - inside / sum(cpu.values()), 4),
        "bar_outside_share": BAR_OUTSIDE,
    }


def _mean_ms(before: tuple[float, float], after: tuple[float, float]) -> float:
    return (after[0] - before[0]) / max(1.0, after[1] - before[1]) * 1e3


def _percentiles(latencies: list[float]) -> dict[str, float]:
    figures = {f"p{percent}": round(percentile(latencies, percent), 2) for percent in (50, 95, 99)}
    return figures | {"max": round(max(latencies), 2), "frames": len(latencies)}


def parser_for_two_cameras(told: str | None, seconds: float, warm: float) -> argparse.ArgumentParser:
    """What `make_pipeline` and the time of a run need, beside what a script adds."""
    parser = argparse.ArgumentParser(description=told, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=seconds)
    parser.add_argument("--warm", type=float, default=warm, help="seconds before counting begins")
    data = Path(os.environ.get("DEEPLOMATICS_DATA") or ROOT.parent / "shared" / "data")
    parser.add_argument("--data", type=Path, default=data)
    parser.add_argument("--infrared", type=Path)
    parser.add_argument("--visible", type=Path)
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    return parser


def main() -> None:
    parser = parser_for_two_cameras(__doc__, seconds=20.0, warm=5.0)
    parser.add_argument("--listen", type=int, help=argparse.SUPPRESS)  # this process is the client
    options = parser.parse_args()
    if options.listen:
        print(json.dumps(listen(options.listen, options.seconds)))
        return
    report = {"machine": describe(), "seconds": options.seconds} | measure(options)
    print(json.dumps(report, indent=2))
    print(f"kept in {keep('latency', report)}")


if __name__ == "__main__":
    main()
