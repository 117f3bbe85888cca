"""Two runs over one flight as a picture: for the site and each camera the paths, and how far apart they are when."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from service.compare import NS, Followed, Json, Tracks

COLOURS = {"a": "#0072b2", "b": "#d55e00"}  # of Okabe and Ito: told apart by everybody
MOST_ROWS = 12


def draw(ours: Tracks, theirs: Tracks, compared: Json, path: Path) -> None:
    """Write a picture of the kind that the file's name says (png, svg, pdf); the site and the first cameras.

    Raises:
        OSError: the folder is missing or may not be written.
    """
    places = sorted(ours.keys() | theirs.keys(), key=lambda where: (where != "site", where))[:MOST_ROWS]
    figure = Figure(figsize=(11.0, 1.0 + 3.4 * max(1, len(places))), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(max(1, len(places)), 2, squeeze=False)
    start_ns = min((each.start_ns for run in (ours, theirs) for at in run.values() for each in at.values()), default=0)
    for (left, right), where in zip(grid, places, strict=False):
        runs = {"a": ours.get(where, {}), "b": theirs.get(where, {})}
        rows = [row for row in compared["differences"] if row["where"] == where]
        _paths(left, where, runs)
        _times(right, where, runs, rows, start_ns)
    counts = ", ".join(f"{count} {what}" for what, count in compared["counts"].items() if count) or "no difference"
    figure.suptitle(f"{Path(compared['flight']).name}: {counts}")
    figure.savefig(path, dpi=110)


def _paths(panel: Axes, where: str, runs: dict[str, dict[str, Followed]]) -> None:
    for run, found in runs.items():
        for number, each in enumerate(found.values()):
            places = np.array([each.at[time_ns] for time_ns in sorted(each.at)])
            label = f"{run}: {len(found)} tracks" if number == 0 else None
            style = "-" if run == "a" else "--"
            panel.plot(places[:, 0], places[:, 1], style, color=COLOURS[run], linewidth=1.2, label=label)
    axes = ("east, m", "north, m") if where == "site" else ("x, px", "y, px")
    panel.set(title=where, xlabel=axes[0], ylabel=axes[1], aspect="equal")
    if where != "site":
        panel.invert_yaxis()  # of pictures, down
    if any(runs.values()):
        panel.legend(loc="best", fontsize="small")


def _times(panel: Axes, where: str, runs: dict[str, dict[str, Followed]], rows: list[Json], start_ns: int) -> None:
    """How far the tracks of each pair are apart; what has no partner as a bar at the foot, under its run's colour."""
    for row in rows:
        a, b = runs["a"].get(row["a"]), runs["b"].get(row["b"])
        if a is not None and b is not None:
            times = sorted(a.at.keys() & b.at.keys())
            apart = [float(np.linalg.norm(np.subtract(a.at[t], b.at[t]))) for t in times]
            panel.plot([(t - start_ns) / NS for t in times], apart, color="0.3", linewidth=1.0)
            continue
        run, alone = ("a", a) if a is not None else ("b", b)
        if alone is not None:
            span = [(alone.start_ns - start_ns) / NS, (alone.end_ns - start_ns) / NS]
            panel.plot(span, [0.0, 0.0], color=COLOURS[run], linewidth=4.0, solid_capstyle="butt")
    panel.set(title=f"{len(rows)} differences", xlabel="seconds", ylabel="apart, " + ("m" if where == "site" else "px"))
