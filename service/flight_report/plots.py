"""The drawings of a report."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Polygon, Wedge

from fusion.geometry import attitude_angles, matrix_from_quaternion
from fusion.site import Sensor, Site
from service.flight_report.observed import Line, Observed, SeenTrack
from service.zones import by_id

#: Okabe and Ito's colours, which people with any kind of colour vision tell apart.
COLOURS = {"drone": "#d55e00", "bird": "#009e73", "airplane": "#0072b2", "helicopter": "#cc79a7"}
_MANY = ("#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6d1f", "#444444")
_SOFT, _INK = "#8a97a3", "#1b2733"
_MOST_LINES = 12
_LEAST_VIEW_M = 40.0
_MOST_VIEW_M = 3_000.0
_SHAPE = 1.5  # of the map, width to height


def colours(names: Sequence[str]) -> dict[str, str]:
    """One for each name, in their order."""
    return {name: _MANY[k % len(_MANY)] for k, name in enumerate(names)}


def _panels(width: float, height: float, **layout: Any) -> tuple[Figure, Sequence[Axes]]:
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = np.atleast_1d(figure.subplots(**layout))
    for panel in axes.flat:
        panel.spines[["top", "right"]].set_visible(False)
        panel.tick_params(labelsize=8, colors=_INK)
    return figure, list(axes.flat)


def overview(site: Site, seen: Observed, tracks: Mapping[str, SeenTrack]) -> Figure:
    """Map from above: sensors and what they look at, zones, true paths broad and pale, tracks thin."""
    figure, (panel,) = _panels(9.0, 6.4)
    everything = [line.places[:, :2] for line in (*_flown(seen).values(), *(t.line for t in tracks.values()))]
    _draw_site(panel, site, seen)
    for name, line in _flown(seen).items():
        place = line.places
        colour = _true_colours(seen)[name]
        panel.plot(*place[:, :2].T, color=colour, linewidth=6.0, alpha=0.25, solid_capstyle="round")
        start = float(place[0, 0]), float(place[0, 1])
        panel.annotate(name, start, fontsize=8, color=colour, xytext=(4, 4), textcoords="offset points")
    for track in tracks.values():
        panel.plot(*track.line.places[:, :2].T, color=COLOURS[track.name], linewidth=1.1, alpha=0.85)
    for label, colour in COLOURS.items():
        if any(track.name == label for track in tracks.values()):
            panel.plot([], [], color=colour, label=f"track called {label}")
    if seen.truths:
        panel.plot([], [], color=_SOFT, linewidth=6.0, alpha=0.4, label="true path")
    _frame(panel, everything, [s.pose.position_m[:2] for s in site.sensors.values() if s.pose is not None])
    panel.set(xlabel="east, m", ylabel="north, m", aspect="equal")
    panel.grid(color="#eef2f5", linewidth=0.8)
    panel.set_axisbelow(True)
    if panel.get_legend_handles_labels()[1]:
        panel.legend(fontsize=8, frameon=False, loc="upper right")
    return figure


def _draw_site(panel: Axes, site: Site, seen: Observed) -> None:
    for zone_id, zone in by_id(site.file.zones).items():
        area = zone.area(zone_id, site.frame)
        colour = "#b00020" if area.critical else "#e69f00"
        panel.add_patch(Polygon(area.corners_m, fill=True, facecolor=colour, alpha=0.12))
        panel.add_patch(Polygon(area.corners_m, fill=False, edgecolor=colour, linewidth=1.0))
        east, north = (float(v) for v in np.mean(area.corners_m, axis=0))
        panel.annotate(area.name, (east, north), fontsize=8, ha="center", color="#7a5200")
    for name, sensor in site.sensors.items():
        if sensor.pose is None:
            continue
        place = sensor.pose.position_m[0], sensor.pose.position_m[1]
        if sensor.camera is not None:
            panel.add_patch(_view(sensor, _reach_m(seen)))
        panel.plot(*place, "s" if sensor.camera is not None else "o", color=_INK, markersize=5)
        panel.annotate(name, place, fontsize=8, color=_INK, xytext=(5, -10), textcoords="offset points")


def _view(sensor: Sensor, reach_m: float) -> Wedge:
    """What a camera looks at, from above."""
    assert sensor.pose is not None
    assert sensor.camera is not None
    azimuth = 90.0 - math.degrees(attitude_angles(matrix_from_quaternion(sensor.pose.attitude).T)[0])
    half = math.degrees(math.atan2(0.5 * sensor.camera.width, sensor.camera.fx))
    edges = azimuth - half, azimuth + half
    return Wedge(sensor.pose.position_m[:2], reach_m, *edges, facecolor="#0b63a5", alpha=0.05, edgecolor="#0b63a5")


def _reach_m(seen: Observed) -> float:
    places = [line.places[:, :2] for line in _flown(seen).values()] or [
        t.line.places[:, :2] for t in seen.tracks.values()
    ]
    far = [float(np.hypot(*p.T).max()) for p in places if len(p)]
    return min(max([1.25 * v for v in far], default=100.0), _MOST_VIEW_M)


def _frame(panel: Axes, paths: Sequence[np.ndarray], sensors: Sequence[Sequence[float]]) -> None:
    """Around what flew near and the sensors; what went far beyond is cut off."""
    points = [np.array(sensors).reshape(-1, 2), *paths]
    whole = np.concatenate(points)
    whole = whole[np.isfinite(whole).all(axis=1)]
    if not len(whole):
        return
    low, high = np.percentile(whole, 1.0, axis=0), np.percentile(whole, 97.0, axis=0)
    stands = np.array(sensors).reshape(-1, 2)
    if len(stands):
        low, high = np.minimum(low, stands.min(axis=0)), np.maximum(high, stands.max(axis=0))
    middle, half = (low + high) / 2.0, np.maximum((high - low) * 0.58, _LEAST_VIEW_M / 2.0)
    half = np.minimum(half, _MOST_VIEW_M)
    half = np.maximum(half, half[::-1] * (_SHAPE, 1.0 / _SHAPE))  # one scale both ways, and the drawing filled
    panel.set_xlim(middle[0] - half[0], middle[0] + half[0])
    panel.set_ylim(middle[1] - half[1], middle[1] + half[1])


def _flown(seen: Observed) -> dict[str, Line]:
    """Of what really flew the drones and what else is not a bird."""
    return {name: line for name, line in seen.truths.items() if seen.classes.get(name) == "drone"}


def _true_colours(seen: Observed) -> dict[str, str]:
    return colours(list(_flown(seen)))


def heights(seen: Observed, tracks: Mapping[str, SeenTrack], altitude_m: float) -> Figure:
    """Heights over time: true ones broad and pale, tracks thin."""
    figure, (panel,) = _panels(9.0, 2.6)
    for name, line in _flown(seen).items():
        panel.plot(line.times_s, line.places[:, 2], color=_true_colours(seen)[name], linewidth=5.0, alpha=0.25)
    for track in tracks.values():
        panel.plot(track.line.times_s, track.line.places[:, 2], color=COLOURS[track.name], linewidth=1.0, alpha=0.85)
    known = [line.places[:, 2] for line in (*_flown(seen).values(), *(t.line for t in tracks.values()))]
    values = np.concatenate(known) if known else np.zeros(1)
    values = values[np.isfinite(values)]
    if len(values):
        low, high = np.percentile(values, (1.0, 97.0))
        panel.set_ylim(min(low, 0.0) - 5.0, high + 0.15 * (high - low) + 5.0)
    panel.set(xlabel="seconds since the beginning", ylabel=f"m above {altitude_m:.0f} m")
    panel.grid(color="#eef2f5", linewidth=0.8)
    return figure


def timeline(seen: Observed, judged: bool) -> Figure:
    """Who reported when: one lane a sensor, a column a second; darker: more of its looks hit, or held a report."""
    names = sorted(seen.sensors)
    figure, (panel,) = _panels(9.0, 0.9 + 0.32 * max(len(names), 1))
    last = max((max(each, default=0) for each in seen.sensors.values()), default=0)
    for lane, name in enumerate(names):
        row = np.zeros((1, last + 1, 4))
        for second, did in seen.sensors[name].items():
            if 0 <= second <= last:
                row[0, second] = (
                    _shade(did.hits, did.misses) if judged else _shade(min(did.reports, did.looks), did.looks)
                )
        panel.imshow(row, extent=(0.0, last + 1.0, lane - 0.38, lane + 0.38), aspect="auto", interpolation="nearest")
    panel.set_yticks(range(len(names)), names)
    panel.set_ylim(len(names) - 0.5, -0.5)
    panel.set_xlim(0.0, last + 1.0)
    panel.set_xlabel("seconds since the beginning")
    return figure


def _shade(found: int, missed: int) -> tuple[float, float, float, float]:
    """Blue by the share that was found; pale red where all was missed; grey where there was nothing to find."""
    if found + missed == 0:
        return 0.93, 0.95, 0.96, 1.0
    share = found / (found + missed)
    if found == 0:
        return 0.96, 0.80, 0.76, 1.0
    return 0.78 - 0.74 * share, 0.87 - 0.48 * share, 0.95 - 0.30 * share, 1.0


def errors(seen: Observed, cutoff_m: float) -> Figure | None:
    """How far each drone's track was off, over time and as shares."""
    found = {name: seen.errors[name] for name in _flown(seen) if seen.errors.get(name)}
    if not found:
        return None
    figure, (over_time, shares) = _panels(9.0, 2.9, ncols=2, width_ratios=(2, 1))
    for name, rows in list(found.items())[:_MOST_LINES]:
        times, off = np.array(rows).T
        over_time.plot(times, off, ".", markersize=2.0, color=_true_colours(seen)[name], label=name)
        shares.plot(np.sort(off), np.linspace(0.0, 100.0, len(off)), color=_true_colours(seen)[name], label=name)
    for panel in (over_time, shares):
        panel.grid(color="#eef2f5", linewidth=0.8)
    over_time.axhline(cutoff_m, color=_SOFT, linewidth=0.8, linestyle="--")
    over_time.set(yscale="log", xlabel="seconds since the beginning", ylabel="off, m")
    shares.set(xscale="log", xlabel="off, m", ylabel="% of the time below")
    shares.legend(fontsize=8, frameon=False)
    return figure


def contributions(names: Sequence[str], values: Sequence[tuple[str, Sequence[float | None]]]) -> Figure:
    """One row of bars for each figure: with all sensors, then without each of them."""
    figure, panels = _panels(9.0, 0.9 + 0.3 * len(names), ncols=len(values), sharey=True)
    for panel, (title, numbers) in zip(panels, values, strict=True):
        known = [0.0 if value is None else value for value in numbers]
        panel.barh(range(len(names)), known, color=["#0b63a5", *["#9fb6c8"] * (len(names) - 1)], height=0.65)
        for k, value in enumerate(numbers):
            panel.annotate("–" if value is None else f"{value:.3g}", (known[k], k), fontsize=7, va="center",
                           xytext=(3, 0), textcoords="offset points")  # fmt: skip
        panel.set_title(title, fontsize=8, loc="left")
        panel.set_xlim(0.0, 1.25 * max([*known, 1e-9]))
        panel.set_yticks(range(len(names)), names)
        panel.set_ylim(len(names) - 0.5, -0.5)
    return figure
