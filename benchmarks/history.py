"""How quick questions about ten million detections are, and how fast the store takes them.

    python -m benchmarks.history [--rows 10000000] [--store sqlite:///PATH | postgresql://…]

A month of four cameras is written in bulk as the service writes it (class, sensor and score as uneven as at a site),
then pages of 100 are asked for in each way that the interface knows, at random times, from an open store. Prints and
keeps the 50th and 95th percentile of each question, in wall time and in CPU time of this process; with SQLite the
database runs in this process too. A file that is there already is asked and not filled again.

Bar: a page of 100 in less than 100 ms (95th percentile) on two cores.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from sqlalchemy import func, insert, select

from benchmarks.machine import describe, keep, percentile
from models.types import CLASSES
from service import statistics, tables
from service.camera_rows import PUT_DETECTION, PUT_POINT, PUT_TRACK, track_key
from service.history import Filter
from service.rest import detection_json
from service.statistics import Asked
from service.store import Store

START_NS = 1_777_636_800_000_000_000
MONTH_NS = 30 * 86_400 * 10**9
SENSORS = ("cam-north", "cam-east", "cam-south", "cam-west")
SENSOR_SHARES = (0.55, 0.3, 0.14, 0.01)
CLASS_SHARES = (0.2, 0.73, 0.06, 0.01)
BATCH = 50_000
BAR_MS = 100.0

Rows = list[tuple[Any, ...]]


def detection_rows(first: int, count: int, total: int, chance: np.random.Generator) -> Rows:
    """In order of time, as they come."""
    times = START_NS + (np.arange(first, first + count) * (MONTH_NS / total)).astype(np.int64)
    sensors = chance.choice(len(SENSORS), count, p=SENSOR_SHARES) + 1
    classes = chance.choice(len(CLASSES), count, p=CLASS_SHARES)
    scores, places = chance.beta(2.0, 2.0, count) * 0.75 + 0.25, chance.uniform(0, 600, (count, 2))
    packed = bytes(4 * len(CLASSES))
    return [
        (t, s, CLASSES[c], k, score, x, y, 12.0, 9.0, packed)
        for k, (t, s, c, score, (x, y)) in enumerate(
            zip(times.tolist(), sensors.tolist(), classes.tolist(), scores.tolist(), places.tolist(), strict=True)
        )
    ]


def track_rows(count: int, chance: np.random.Generator) -> Iterator[tuple[tuple[Any, ...], tuple[Any, ...]]]:
    """Tracks with one point each, which is what a list of them reads."""
    starts = np.sort(chance.integers(0, MONTH_NS, count))
    for k, start in enumerate(starts.tolist()):
        key, first_ns = track_key(1 + k % len(SENSORS), k), START_NS + start
        last_ns = first_ns + int(chance.exponential(20.0) * 1e9)
        name = CLASSES[int(chance.choice(len(CLASSES), p=CLASS_SHARES))]
        track = (key, 1 + k % len(SENSORS), first_ns, last_ns, "deleted", name, True)
        yield track, (key, last_ns, "deleted", 0.9, 0.99, 1.0, 2.0, 3.0, 4.0, bytes(88))


def fill(store: Store, rows: int, tracks: int) -> dict[str, float]:
    """Write everything; rows a second, by wall and by this process's CPU."""
    chance = np.random.default_rng(1)
    database = store.database
    with database.writing.begin() as connection:
        names = [{"id": k + 1, "name": name, "reserved": tracks} for k, name in enumerate(SENSORS)]
        connection.execute(insert(tables.sensors), names)
        pairs = list(track_rows(tracks, chance))
        database.put(connection, PUT_TRACK, [track for track, _ in pairs])
        database.put(connection, PUT_POINT, [point for _, point in pairs])
    wall = cpu = 0.0
    for first in range(0, rows, BATCH):
        batch = detection_rows(first, min(BATCH, rows - first), rows, chance)
        wall_began, cpu_began = time.monotonic(), time.process_time()
        with database.writing.begin() as connection:
            database.put(connection, PUT_DETECTION, batch)
        wall, cpu = wall + time.monotonic() - wall_began, cpu + time.process_time() - cpu_began
    return {"rows_per_second": round(rows / wall), "rows_per_cpu_second": round(rows / cpu)}


def questions(store: Store, chance: random.Random) -> dict[str, Callable[[], object]]:
    """Each asks one page, another at every call."""

    def page(**narrow: Any) -> None:
        orjson.dumps([detection_json(row) for row in store.detections(Filter(**narrow))])

    def instant() -> int:
        return START_NS + chance.randrange(MONTH_NS)

    day_ns = 86_400 * 10**9
    return {
        "newest": lambda: page(),
        "at a time": lambda: page(until_ns=instant()),
        "a day": lambda: page(since_ns=(start := instant()), until_ns=start + day_ns),
        "one class": lambda: page(classes=(chance.choice(CLASSES),), until_ns=instant()),
        "two classes": lambda: page(classes=tuple(chance.sample(CLASSES, 2)), until_ns=instant()),
        "one sensor": lambda: page(sensors=(chance.choice(SENSORS),), until_ns=instant()),
        "two sensors": lambda: page(sensors=tuple(chance.sample(SENSORS, 2)), until_ns=instant()),
        "rare class of a rare sensor": lambda: page(classes=("helicopter",), sensors=("cam-west",), until_ns=instant()),
        "good scores": lambda: page(min_score=0.9, until_ns=instant()),
        "the next page": lambda: page(after=(instant(), 1 << 40)),
        "tracks": lambda: store.tracks(Filter(until_ns=instant())),
        "long tracks of a class": lambda: store.tracks(
            Filter(classes=("drone",), min_duration_ns=60 * 10**9, until_ns=instant())
        ),
    }


def ask(question: Callable[[], object], times: int) -> dict[str, float]:
    wall, cpu = list[float](), list[float]()
    for _ in range(times):
        wall_began, cpu_began = time.monotonic(), time.process_time()
        question()
        wall.append((time.monotonic() - wall_began) * 1e3)
        cpu.append((time.process_time() - cpu_began) * 1e3)
    found = {"wall_p50_ms": percentile(wall, 50), "wall_p95_ms": percentile(wall, 95)}
    found |= {"cpu_p50_ms": percentile(cpu, 50), "cpu_p95_ms": percentile(cpu, 95)}
    return {name: round(value, 2) for name, value in found.items()}


def measure(where: str, options: argparse.Namespace) -> dict[str, Any]:
    store = Store(where, max_bytes=1 << 50)
    try:
        kept = store.database.read(select(func.max(tables.detections.c.id)))[0][0]
        report: dict[str, Any] = {"machine": describe(), "database": store.database.writing.dialect.name}
        if not kept:
            report["writing"] = fill(store, options.rows, options.rows // 100)
        report["rows"] = kept or options.rows
        asked = questions(store, random.Random(2))
        report["questions"] = {name: ask(question, options.times) for name, question in asked.items()}
        image = Asked(space="image")
        report["statistics of a month"] = ask(lambda: statistics.tracks(store.database, image), 5)
    finally:
        store.close()
    slowest = max(each["wall_p95_ms"] for each in report["questions"].values())
    return report | {"slowest_wall_p95_ms": slowest, "within_the_bar": slowest <= BAR_MS}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--times", type=int, default=100, help="calls of each question")
    parser.add_argument("--store", help="where the rows are, or are to be; a temporary file unless told")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report = measure(options.store or f"sqlite:///{Path(folder) / 'store.sqlite3'}", options)
    for name, value in report.items():
        print(name, value)
    print("kept in", keep(f"history_{report['database']}", report))


if __name__ == "__main__":
    main()
