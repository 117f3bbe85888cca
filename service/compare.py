"""What would have been different: two runs over one flight, track by track.

Tracks of the two runs are paired so that as many as possible are the same object: a pair needs a common time and to lie
within a gate there on average; among those the closest pairs win (Kuhn and Munkres, by `scipy`). What is left alone has
appeared or vanished; what is paired may have moved, changed its class or its number.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.optimize import linear_sum_assignment

from service.clock import SystemClock
from service.flight_file import Flight
from service.replay import Changes, Replay, Run, Stage, pieces_of
from service.schemas import best_class, rfc3339
from service.types import CameraUpdate, Message, WorldUpdate
from tracking.types import Status

WORLD_GATE_M = 25.0
IMAGE_GATE_SIZES = 2.0  # of a box, between its centres
LEAST_S = 0.3  # shorter tracks are not compared: they are births that came to nothing
NOTHING = 1e-9
WHAT = ("appeared", "vanished", "moved", "class", "id")
NS = 1_000_000_000

Json = dict[str, Any]


@dataclass(slots=True)
class Followed:
    """One track of one run.

    Attributes:
        at: place by time: metres ENU, or centre in pixels.
        size: of its box, pixels; 0 for a track of the site.
    """

    id: str
    name: str = ""
    size: float = 0.0
    at: dict[int, tuple[float, ...]] = field(default_factory=dict)

    @property
    def start_ns(self) -> int:
        return min(self.at)

    @property
    def end_ns(self) -> int:
        return max(self.at)


Tracks = dict[str, dict[str, Followed]]  # by camera (or `site`) and id


def compare(path: Path, a: tuple[str, Changes], b: tuple[str, Changes]) -> Json:
    """Both runs and every difference between them.

    Args:
        a, b: stage and what is changed.

    Raises:
        FlightError, ReplayError, WeightsError: see there.
    """
    return differences(path, *runs(path, a, b))


def runs(path: Path, a: tuple[str, Changes], b: tuple[str, Changes]) -> tuple[Tracks, Tracks]:
    """The tracks of both."""
    ours, theirs = (_tracks(path, Stage(stage), changes) for stage, changes in (a, b))
    return ours, theirs


def differences(path: Path, ours: Tracks, theirs: Tracks) -> Json:
    """What is not the same in two runs, in order of time."""
    rows: list[Json] = []
    for where in sorted(ours.keys() | theirs.keys()):
        rows += _differences(where, ours.get(where, {}), theirs.get(where, {}))
    rows.sort(key=lambda row: (row["start"], row["where"], str(row["a"]), str(row["b"])))
    counts = {what: sum(what in row["what"] for row in rows) for what in WHAT}
    compared = {"a": sum(map(len, ours.values())), "b": sum(map(len, theirs.values()))}
    return {"flight": str(path), "tracks": compared, "counts": counts, "differences": rows}


def _tracks(path: Path, stage: Stage, changes: Changes) -> Tracks:
    tracks: Tracks = {}
    with Flight(path) as flight:
        run = Run(Replay(flight.about, stage, SystemClock(), changes))
        for _, (_, message) in run.over(pieces_of([flight])):
            if getattr(message, "sensor_id", None) not in changes.without:
                _note(tracks, message)
    for found in tracks.values():
        for track_id in [t for t, each in found.items() if each.end_ns - each.start_ns < LEAST_S * NS]:
            del found[track_id]
    return tracks


def _note(tracks: Tracks, message: Message) -> None:
    match message:
        case CameraUpdate():
            found = tracks.setdefault(message.sensor_id, {})
            for track in message.tracks.tracks:
                if track.status is not Status.TENTATIVE:
                    x, y, width, height = track.box
                    noted = found.setdefault(str(track.track_id), Followed(str(track.track_id)))
                    noted.name, noted.size = best_class(track.class_probabilities), max(width, height, noted.size)
                    noted.at[message.time_ns] = (x + width / 2, y + height / 2)
        case WorldUpdate():
            found = tracks.setdefault("site", {})
            for shown in message.tracks:
                noted = found.setdefault(shown.track.track_id, Followed(shown.track.track_id))
                noted.name = best_class(shown.track.class_probabilities)
                noted.at[message.time_ns] = shown.track.mean[:3]


def _differences(where: str, ours: dict[str, Followed], theirs: dict[str, Followed]) -> list[Json]:
    first, second = list(ours.values()), list(theirs.values())
    pairs = _pairs(where, first, second)
    rows = [_changed(where, first[i], second[j]) for i, j in pairs]
    left = {i for i, _ in pairs}, {j for _, j in pairs}
    rows += [_alone(where, "vanished", each) for i, each in enumerate(first) if i not in left[0]]
    rows += [_alone(where, "appeared", each) for j, each in enumerate(second) if j not in left[1]]
    return [row for row in rows if row["what"]]


def _pairs(where: str, first: list[Followed], second: list[Followed]) -> list[tuple[int, int]]:
    cost = np.array([[_cost(where, a, b) for b in second] for a in first]).reshape(len(first), len(second))
    taken = linear_sum_assignment(np.minimum(cost, 1.0))
    return [(int(i), int(j)) for i, j in zip(*taken, strict=True) if cost[i, j] < 1.0]


def _cost(where: str, a: Followed, b: Followed) -> float:
    """Mean distance as a share of the gate, a little less for a longer time together."""
    apart = _apart(a, b)
    if not len(apart):
        return float("inf")
    gate = WORLD_GATE_M if where == "site" else IMAGE_GATE_SIZES * max(a.size, b.size, 1.0)
    together = len(apart) / max(len(a.at), len(b.at))
    return float(apart.mean() / gate) + 1e-3 * (1.0 - together)


def _apart(a: Followed, b: Followed) -> NDArray[np.float64]:
    """Distances at common times [T]."""
    times = sorted(a.at.keys() & b.at.keys())
    if not times:
        return np.zeros(0)
    places = np.array([[a.at[t], b.at[t]] for t in times])
    apart: NDArray[np.float64] = np.sqrt(((places[:, 0] - places[:, 1]) ** 2).sum(-1))
    return apart


def _changed(where: str, a: Followed, b: Followed) -> Json:
    apart = _apart(a, b)
    what = ["moved"] * (float(apart.max()) > NOTHING) + ["class"] * (a.name != b.name) + ["id"] * (a.id != b.id)
    row = _row(where, what, a, b)
    return row | {"mean_apart": round(float(apart.mean()), 4), "most_apart": round(float(apart.max()), 4)}


def _alone(where: str, what: str, each: Followed) -> Json:
    a, b = (each, None) if what == "vanished" else (None, each)
    return _row(where, [what], a, b) | {"mean_apart": None, "most_apart": None}


def _row(where: str, what: list[str], a: Followed | None, b: Followed | None) -> Json:
    there = [each for each in (a, b) if each is not None]
    start, end = min(each.start_ns for each in there), max(each.end_ns for each in there)
    return {
        "where": where,
        "what": what,
        "a": a.id if a is not None else None,
        "b": b.id if b is not None else None,
        "class_a": a.name if a is not None else None,
        "class_b": b.name if b is not None else None,
        "start": rfc3339(start),
        "end": rfc3339(end),
        "unit": "m" if where == "site" else "px",
    }


def show(compared: Json) -> None:
    """As a table on standard output."""
    console, tracks = Console(), compared["tracks"]
    if not compared["differences"]:
        console.print(f"no difference: {tracks['a']} tracks in both")
        return
    table = Table("when", "where", "what", "a", "b", "apart, mean", "most", box=None)
    for row in compared["differences"]:
        apart = [f"{row[k]:.2f} {row['unit']}" if row[k] is not None else "" for k in ("mean_apart", "most_apart")]
        table.add_row(row["start"][11:23], row["where"], ", ".join(row["what"]), _who(row, "a"), _who(row, "b"), *apart)
    console.print(table)
    counts = ", ".join(f"{count} {what}" for what, count in compared["counts"].items() if count)
    console.print(f"{tracks['a']} tracks against {tracks['b']}: {counts}")


def _who(row: Json, run: str) -> str:
    return f"{row[run]} {row['class_' + run]}" if row[run] is not None else ""
