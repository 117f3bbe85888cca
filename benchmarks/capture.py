"""What it costs to bring a live frame to the worker: decoding, conversion and the way between the processes.

    python benchmarks/capture.py [--seconds 10]

A real RTSP server (`tests/rtsp_server.py`, GStreamer by Debian's Python) sends H.264 at 30 fps. CPU time is that of the
reading process and of this one, divided by frames, so that it does not depend on what else the machine does; the wait
from arrival to the worker does.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import time
from pathlib import Path

import numpy as np

from fusion.sensors.address import SourceAddress
from fusion.sensors.camera.config import CameraConfig
from models.types import Band
from service.capture import Capture
from service.clock import SystemClock

ROOT = Path(__file__).resolve().parents[1]
CASES: tuple[tuple[str, Band], ...] = (("640x512", "infrared"), ("640x512", "visible"), ("1920x1080", "visible"))
FPS = 30


def reader_cpu_s() -> float:
    """CPU seconds so far of the capture process of this process."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            command, fields = (stat.parent / "cmdline").read_text(), stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[1]) == os.getpid() and "service.capture_process" in command:
            tasks = (stat.parent / "task").iterdir()
            return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9
    raise SystemExit("the capture process is gone")


def measure(capture: Capture, seconds: float) -> dict[str, float]:
    while capture.next(1.0) is None:
        pass
    time.sleep(1.0)  # past the catching up of a stream that has just begun
    frames_in, reader_s, ours_s = capture.health().frames_in, reader_cpu_s(), time.process_time()
    waits_ms = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        frame = capture.next(1.0)
        if frame is not None:
            waits_ms.append((time.time_ns() - frame.received_ns) / 1e6)
    frames = capture.health().frames_in - frames_in
    reader_ms, ours_ms = 1e3 * (reader_cpu_s() - reader_s) / frames, 1e3 * (time.process_time() - ours_s) / frames
    return {
        "frames": frames,
        "taken": len(waits_ms),
        "reader_ms_per_frame": round(reader_ms, 3),
        "worker_ms_per_frame": round(ours_ms, 3),
        "percent_of_a_core": round((reader_ms + ours_ms) * FPS / 10, 2),
        "wait_p50_ms": round(float(np.percentile(waits_ms, 50)), 2),
        "wait_p99_ms": round(float(np.percentile(waits_ms, 99)), 2),
    }


def run(size: str, band: Band, seconds: float) -> dict[str, float]:
    command = ["/usr/bin/python3", str(ROOT / "tests" / "rtsp_server.py"), "--size", size, "--fps", str(FPS)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        address = SourceAddress(f"rtsp://127.0.0.1:{int(server.stdout.readline())}/cam")
        capture = Capture(CameraConfig(id="cam", source=address, spectrum=band), SystemClock())
        capture.start()
        try:
            return measure(capture, seconds)
        finally:
            capture.stop()
            server.kill()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0)
    seconds = parser.parse_args().seconds
    for size, band in CASES:
        print(json.dumps({"size": size, "band": band, **run(size, band, seconds)}), flush=True)


if __name__ == "__main__":
    main()
