"""How fast a flight is fused again, and how soon a large one opens.

    python -m benchmarks.replay [--seconds 60] [--gigabytes 10] [--flight FLIGHT.mcap]

Records the scene of the tests (three cameras at 15 frames a second, two drones; the journal on the scene's own clock),
or takes a flight of one's own, and replays it from each stage as fast as possible, in one process. Then opens, at a
minute in its middle, a file of so many gigabytes that has a whole index, and holes in place of all other chunks.
Bars: 20 times real time from detections, and less than 2 s.

Speeds are by CPU time, which another load on the machine does not change; by the wall clock they stand beside it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.machine import describe, keep
from service import flight_file
from service.clock import SystemClock
from service.flight_file import Flight
from service.replay import Stage
from service.replay_command import replay as replay_flight

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from flight_scene import record_scene

BAR_SPEED, BAR_OPEN_S = 20.0, 2.0


def measure_speed(path: Path) -> dict[str, Any]:
    report: dict[str, Any] = {}
    for stage in (Stage.TRACKS, Stage.MEASUREMENTS, Stage.DETECTIONS):
        cpu_s = time.process_time()
        result = replay_flight([path], stage, None, None, SystemClock())
        cpu_s = time.process_time() - cpu_s
        report[stage.value] = {
            "times_real_time": round(result.flight_s / cpu_s, 1),
            "times_real_time_by_the_wall": round(result.flight_s / result.took_s, 1),
            "within_the_bar": result.flight_s / cpu_s >= BAR_SPEED,
            "outputs": result.outputs,
            "the_same_as_recorded": not result.difference,
            "digest": result.digest,
        }
    return report


def enlarge(path: Path, large: Path, gigabytes: float) -> int:
    """The flight's beginning and its chunk in the middle of a large file with a whole index; that chunk's bus time."""
    with Flight(path) as flight, path.open("rb") as source, large.open("wb") as target:
        assert flight.spans
        span = flight.spans[len(flight.spans) // 2]
        head = source.read(flight.spans[0].offset)
        source.seek(span.offset)
        chunk = source.read(span.length)
        content = flight_file._content(source, flight.size)
        whole = next(each for each in content.chunks if each.chunk_start_offset == span.offset)
        target.write(head)
        content.chunks, step = [], 1 << 20
        count = round(gigabytes * 1e9) // step
        for k in range(count):
            offset, shift = len(head) + k * step, (k - count // 2) * 10**9
            first_ns, last_ns = span.start_ns + shift, span.end_ns + shift
            moved = replace(whole, chunk_start_offset=offset, message_start_time=first_ns, message_end_time=last_ns)
            content.chunks.append(replace(moved, message_index_offsets={}))
            if k == count // 2:
                target.seek(offset)
                target.write(chunk)
        content.end = len(head) + count * step
        target.seek(content.end)
        target.write(flight_file._ending(content))
    return span.start_ns


def measure_opening(path: Path, gigabytes: float) -> dict[str, Any]:
    """To the index, and to the first message of a minute in the middle."""
    large = path.with_name("large.mcap")
    start_ns = enlarge(path, large, gigabytes)
    began = time.perf_counter()
    with Flight(large) as flight:
        opened_s = time.perf_counter() - began
        next(flight.envelopes(start_ns))
        at_minute_s = time.perf_counter() - began
        return {
            "bytes": flight.size,
            "chunks": len(flight.spans or ()),
            "index_s": round(opened_s, 4),
            "at_a_minute_s": round(at_minute_s, 4),
            "within_the_bar": at_minute_s < BAR_OPEN_S,
        }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--gigabytes", type=float, default=10.0)
    parser.add_argument("--flight", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = options.flight or record_scene(Path(folder), options.seconds)[0]
        report = {
            "machine": describe(),
            "speed": measure_speed(path),
            "opening": measure_opening(path, options.gigabytes),
        }
    for name, value in report.items():
        print(name, value)
    print("kept in", keep("replay", report))


if __name__ == "__main__":
    main()
