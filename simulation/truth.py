"""What really was, as messages: everything that flew, and what of it was in each picture.

A simulation says it beside what its sensors report, and a drone's own log can be turned into the same. Only judges
read it (`simulation.score`): nothing that detects, tracks or fuses is ever given it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TrueObject:
    """One thing that really flies.

    Attributes:
        name: unique in the scene (`survey`, `gull-3`).
        class_name: one of `models.types.CLASSES`.
        position_m, velocity_mps: ENU of the site.
        claimed_id: what it broadcasts of itself (Remote ID); None: nothing.
        lies: whether the place that it broadcasts now is away from where it is.
    """

    name: str
    class_name: str
    position_m: tuple[float, float, float]
    velocity_mps: tuple[float, float, float]
    claimed_id: str | None = None
    lies: bool = False


@dataclass(frozen=True, slots=True)
class Truth:
    """Everything that flies at `time_ns`, true UTC; ten a second."""

    time_ns: int
    objects: tuple[TrueObject, ...]


@dataclass(frozen=True, slots=True)
class TrueBox:
    """One thing in a picture; `box` is x, y, width, height in pixels, in the style of the annotated recordings."""

    name: str
    class_name: str
    box: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class PictureTruth:
    """What really is in one picture: where things are in it, not where the site file would place them.

    Attributes:
        sensor_id, time_ns, sequence: of the picture, by the camera's own clock.
    """

    sensor_id: str
    time_ns: int
    sequence: int
    objects: tuple[TrueBox, ...]
