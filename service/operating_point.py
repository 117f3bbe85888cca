"""Which threshold? By the false alarms that an operator will bear, in place of a score that means nothing to him.

The card of the weights holds a curve: for each threshold of drones the false drone tracks per hour and the share of
drone clips found on `val`, through the whole tracker (`service.evaluate_operating_points`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from service.settings import DetectorSettings

ALARMING = "drone"


class OperatingPointError(Exception):
    """The weights do not say how many false alarms they give; the message says the mend."""


class Chosen(Protocol):
    """What is needed of a detector."""

    name: str
    thresholds: dict[str, float]


def thresholds(detector: Chosen, settings: DetectorSettings) -> dict[str, float]:
    """Operating threshold per class: those named in the settings, else by the operating point, else the detector's.

    Raises:
        OperatingPointError: an operating point is wanted and the detector has no curve.
    """
    chosen = dict(detector.thresholds)
    if settings.operating_point is not None:
        curve = getattr(detector, "operating_points", ())
        if not curve:
            raise OperatingPointError(
                f"{detector.name} has no curve of false alarms, so it has no operating points: leave the operating "
                "point out and give thresholds, or make the curve with deeplomatics evaluate operating-points"
            )
        chosen[ALARMING] = at_most(settings.operating_point, curve)
    return chosen | settings.thresholds


def at_most(per_hour: float, curve: Sequence[Mapping[str, float]]) -> float:
    """The threshold that finds most among those with no more false alarms per hour; the quietest where none has.

    Args:
        curve: points with `threshold`, `false_alarms_per_hour` and `found`. Of equal ones the lowest threshold wins:
            it finds sooner.
    """
    quietest = min(point["false_alarms_per_hour"] for point in curve)
    borne = [point for point in curve if point["false_alarms_per_hour"] <= max(per_hour, quietest)]
    return max(borne, key=lambda point: (point["found"], -point["threshold"]))["threshold"]
