"""How long it takes to open a large flight at a given minute.

    python -m benchmarks.flight_opening [--gb 10] [--folder FOLDER]

Writes a flight as the journal does (chunks of 1 MiB; pictures of 50 kB, which do not pack, 20 a second, and a heartbeat
after each), takes it out of the page cache, then opens it at random minutes and reads the first message of each. Prints
and keeps wall and CPU time.

Bar: a 10 GB flight is open at a given minute in less than 2 s.
"""

from __future__ import annotations

import argparse
import os
import random
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.machine import describe, keep, percentile
from fusion.types import Heartbeat
from service import foxglove
from service.flight_file import Flight
from service.journal import Part, image_topic
from service.journal_about import About
from service.journal_format import KINDS, encode, topic_of
from service.types import Envelope

START_NS = 1_777_636_800_000_000_000
STEP_NS = 50_000_000
PICTURE_BYTES = 50_000
BAR_S = 2.0


def write(path: Path, size: float) -> int:
    """A flight of so many bytes; how long it lasts in nanoseconds."""
    part = Part(path, About("benchmark", "session", started_ns=START_NS), lambda path: path.open("xb"))
    pictures = [os.urandom(PICTURE_BYTES) for _ in range(7)]
    beat, topic = KINDS[Heartbeat].name, image_topic("cam")
    k = 0
    while part.size_bytes < size:
        time_ns = START_NS + k * STEP_NS
        part.add(topic, foxglove.IMAGE, time_ns, time_ns, pictures[k % len(pictures)])
        envelope = Envelope(k + 1, "clock", time_ns, Heartbeat(time_ns))
        part.add(topic_of(envelope.message), beat, time_ns, time_ns, encode(envelope))
        k += 1
    part.end()
    return k * STEP_NS


def open_at(path: Path, time_ns: int) -> tuple[float, float]:
    """Wall and CPU seconds until the first message from this time on is there."""
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    wall, cpu = time.monotonic(), time.process_time()
    with Flight(path) as flight:
        first = next(iter(flight.envelopes(time_ns)))
        assert time_ns - 2 * STEP_NS <= first.received_ns <= time_ns + 40 * STEP_NS, "another minute"
    return time.monotonic() - wall, time.process_time() - cpu


def measure(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    report: dict[str, Any] = {"machine": describe(), "gb": options.gb}
    path = folder / "flight.mcap"
    try:
        lasted_ns = write(path, options.gb * 1e9)
        chance = random.Random(1)
        minutes = [chance.randrange(lasted_ns // 60_000_000_000) for _ in range(20)]
        found = [open_at(path, START_NS + minute * 60_000_000_000) for minute in minutes]
    finally:
        path.unlink(missing_ok=True)
    report["minutes"] = lasted_ns // 60_000_000_000
    for k, name in enumerate(("wall", "cpu")):
        values = [each[k] for each in found]
        report |= {f"{name}_p50_s": round(percentile(values, 50), 4), f"{name}_most_s": round(max(values), 4)}
    return report | {"within_the_bar": report["wall_most_s"] < BAR_S}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--gb", type=float, default=10.0)
    parser.add_argument("--folder", type=Path, help="on the disk that is measured")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        report = measure(Path(folder), options)
    for name, value in report.items():
        print(name, value)
    print("kept in", keep("flight_opening", report))


if __name__ == "__main__":
    main()
