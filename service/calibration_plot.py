"""Residuals of a calibration as a picture: over time, over the picture or the sky, and before beside after."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from fusion.calibration import Residuals
from service.calibrate import Found

_ARROWS = 300


def draw(found: Found, path: Path) -> None:
    """Write a picture of the kind that the file's name says (png, svg, pdf).

    Raises:
        OSError: the folder is missing or may not be written.
        ValueError: another kind.
    """
    residuals, axes, unit = _in_units(found)
    figure = Figure(figsize=(11.0, 7.5), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplot_mosaic([["time", "time"], ["field", "shares"]])
    _over_time(panels["time"], residuals, axes, unit)
    _over_field(panels["field"], residuals, axes, unit)
    _shares(panels["shares"], residuals, unit)
    calibration = found.calibration
    figure.suptitle(f"{found.sensor.config.id} from {found.drone}: {calibration.matched} of {calibration.looks} looks")
    figure.savefig(path, dpi=110)


def _in_units(found: Found) -> tuple[Residuals, tuple[str, str], str]:
    """Pixels of a camera as they are; angles in degrees."""
    residuals = found.calibration.residuals
    if found.start.camera is not None:
        return residuals, ("to the right", "down"), "px"
    z, before, after = (np.degrees(each) for each in (residuals.z, residuals.before, residuals.after))
    return replace(residuals, z=z, before=before, after=after), ("azimuth", "elevation"), "°"


def _over_time(panel: Axes, residuals: Residuals, axes: tuple[str, str], unit: str) -> None:
    for k, name in enumerate(axes):
        panel.plot(residuals.times_s, residuals.after[:, k], ".", markersize=3, label=name)
    panel.axhline(0.0, color="0.6", linewidth=0.8)
    panel.set(xlabel="seconds by the sensor's clock", ylabel=f"residual, {unit}")
    panel.legend(loc="upper right")


def _over_field(panel: Axes, residuals: Residuals, axes: tuple[str, str], unit: str) -> None:
    """Where in the picture or sky the residuals point which way, drawn longer than they are."""
    some = np.linspace(0, len(residuals.z) - 1, min(len(residuals.z), _ARROWS)).astype(int)
    (x, y), (u, v) = residuals.z[some].T, residuals.after[some].T
    panel.quiver(x, y, u, v, angles="xy", width=0.003)
    panel.set(xlabel=f"{axes[0]}, {unit}", ylabel=f"{axes[1]}, {unit}", title="residuals, not to scale")
    if axes[1] == "down":
        panel.invert_yaxis()


def _shares(panel: Axes, residuals: Residuals, unit: str) -> None:
    for missed, label in ((residuals.before, "as thought"), (residuals.after, "as found")):
        size = np.sqrt(np.square(missed).sum(axis=1))
        known = np.sort(size[np.isfinite(size)])
        panel.plot(known, np.linspace(0.0, 100.0, len(known)), label=label)
    panel.set(xscale="log", xlabel=f"residual, {unit}", ylabel="% of looks below")
    panel.legend(loc="upper left")
