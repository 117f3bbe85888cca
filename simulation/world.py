"""Truth: where every aircraft and bird is, as a pure function of time.

Positions are East-North-Up metres around the site's origin, times seconds since the scene began. Every path is
periodic and smooth over its seam, so that a scene runs for ever without a jump and any moment can be asked for first.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from simulation.shapes import Body

FloatArray = NDArray[np.float64]
Vector = tuple[float, float, float]

GRAVITY_M_S2 = 9.81


@dataclass(frozen=True, slots=True)
class State:
    """Position (ENU m), velocity (m/s), acceleration (m/s²), each float64 [3]; heading clockwise from north (rad)."""

    position: FloatArray
    velocity: FloatArray
    acceleration: FloatArray
    heading_rad: float


class Trajectory(Protocol):
    """Motion as a function of time; the same time always gives the same state."""

    @property
    def period_s(self) -> float: ...

    def at(self, time_s: float) -> State: ...


@dataclass(frozen=True, slots=True)
class Limits:
    """What an airframe can do: the largest speed (m/s), acceleration (m/s²) and jerk (m/s³)."""

    speed: float
    acceleration: float
    jerk: float

    def __post_init__(self) -> None:
        if min(self.speed, self.acceleration, self.jerk) <= 0.0:
            raise ValueError("limits of speed, acceleration and jerk must be above zero")

    def leg_duration_s(self, distance_m: float) -> float:
        """The shortest minimum-jerk move over `distance_m`, from rest to rest, within the limits.

        The quintic of Flash and Hogan (J. Neuroscience 5, 1985) peaks at 15/8 d/T in speed, 10/√3 d/T² in
        acceleration and 60 d/T³ in jerk.
        """
        return max(
            15.0 / 8.0 * distance_m / self.speed,
            math.sqrt(10.0 / math.sqrt(3.0) * distance_m / self.acceleration),
            math.cbrt(60.0 * distance_m / self.jerk),
        )


@dataclass(frozen=True)
class WaypointFlight:
    """A multirotor that flies a closed round of waypoints and hovers at each, slowly turning about itself.

    Attributes:
        waypoints: ENU metres; after the last comes the first again.
        hover_s: rest at each waypoint.
        phase_s: how far into the round it is at time zero.

    Raises:
        ValueError: fewer than two waypoints, or two neighbours at the same place.
    """

    waypoints: tuple[Vector, ...]
    limits: Limits
    hover_s: float = 1.5
    phase_s: float = 0.0

    def __post_init__(self) -> None:
        if len(self.waypoints) < 2 or float(self._distances.min()) <= 0.0:
            raise ValueError("a flight needs two waypoints or more, neighbours at different places")

    def at(self, time_s: float) -> State:
        """State at `time_s`: on the way along a leg, or hovering at its end."""
        clock = (time_s + self.phase_s) % self.period_s
        leg = min(bisect_right(self._starts, clock) - 1, len(self.waypoints) - 1)
        duration = self._durations[leg]
        progress, rate, bend = _minimum_jerk(min((clock - self._starts[leg]) / duration, 1.0))
        way = self._legs[leg]
        return State(
            position=self._points[leg] + way * progress,
            velocity=way * (rate / duration),
            acceleration=way * (bend / duration**2),
            heading_rad=2.0 * math.pi * clock / self.period_s,
        )

    @cached_property
    def period_s(self) -> float:
        return sum(self._durations) + self.hover_s * len(self.waypoints)

    @cached_property
    def _points(self) -> FloatArray:
        return np.array(self.waypoints, dtype=np.float64)

    @cached_property
    def _legs(self) -> FloatArray:
        return np.roll(self._points, -1, axis=0) - self._points

    @cached_property
    def _distances(self) -> FloatArray:
        return np.sqrt(np.sum(self._legs**2, axis=1, dtype=np.float64))

    @cached_property
    def _durations(self) -> list[float]:
        return [self.limits.leg_duration_s(float(d)) for d in self._distances]

    @cached_property
    def _starts(self) -> list[float]:
        stops = np.cumsum([d + self.hover_s for d in self._durations])
        return [0.0, *(float(s) for s in stops[:-1])]


def _minimum_jerk(u: float) -> tuple[float, float, float]:
    """Progress 0..1 of the rest-to-rest quintic at u in 0..1, and its first and second derivative by u."""
    return (
        u**3 * (10.0 + u * (6.0 * u - 15.0)),
        30.0 * u**2 * (1.0 - u) ** 2,
        60.0 * u * (1.0 - u) * (1.0 - 2.0 * u),
    )


@dataclass(frozen=True)
class Orbit:
    """A closed round: an ellipse about `centre` spanned by `major` and `minor`, rising and sinking on the way.

    With `minor` zero it is a swing to and fro. Birds, circling aeroplanes and loitering drones all fly it.

    Attributes:
        centre, major, minor: ENU metres; `major` and `minor` are half axes.
        period_s: one round.
        phase_rad: where on the round it is at time zero.
        bob_m: height of the undulation, which repeats `bobs` times a round.
    """

    centre: Vector
    major: Vector
    minor: Vector
    period_s: float
    phase_rad: float = 0.0
    bob_m: float = 0.0
    bobs: int = 3

    def __post_init__(self) -> None:
        if self.period_s <= 0.0:
            raise ValueError("an orbit's period must be above zero")

    def at(self, time_s: float) -> State:
        """State at `time_s`; the heading is that of the velocity over ground."""
        rate = 2.0 * math.pi / self.period_s
        angle = rate * (time_s % self.period_s) + self.phase_rad
        sway, lift = math.sin(self.bobs * angle), math.cos(self.bobs * angle)
        bob_rate = self.bobs * rate
        major, minor, up = np.array(self.major), np.array(self.minor), np.array((0.0, 0.0, self.bob_m))
        offset = major * math.cos(angle) + minor * math.sin(angle)
        velocity = rate * (minor * math.cos(angle) - major * math.sin(angle)) + up * (bob_rate * lift)
        return State(
            position=np.array(self.centre) + offset + up * sway,
            velocity=velocity,
            acceleration=-(rate**2) * offset - up * (bob_rate**2 * sway),
            heading_rad=math.atan2(float(velocity[0]), float(velocity[1])),
        )


@dataclass(frozen=True, slots=True)
class Beside:
    """The way of a leader, flown `offset` (ENU metres) beside it: one of a formation."""

    leader: Trajectory
    offset: Vector

    @property
    def period_s(self) -> float:
        return self.leader.period_s

    def at(self, time_s: float) -> State:
        return replace(state := self.leader.at(time_s), position=state.position + self.offset)


@dataclass(frozen=True, slots=True)
class Aircraft:
    """Something that flies: what it truly is, how it moves and what it looks like.

    Attributes:
        object_id: unique in the scene.
        class_name: one of `models.types.CLASSES`.
        drag_per_s: horizontal deceleration per airspeed that its tilt must overcome (multirotors lean into their way).
        name: for people.
        wind_mps: velocity of the air, ENU.
    """

    object_id: int
    class_name: str
    trajectory: Trajectory
    body: Body
    drag_per_s: float = 0.0
    name: str = ""
    wind_mps: Vector = (0.0, 0.0, 0.0)

    def attitude(self, state: State) -> FloatArray:
        """Rotation body → ENU [3, 3]; body axes x forward, y left, z up.

        The up axis carries the specific force: a multirotor tilts to accelerate, and a wing banks into its turn.
        """
        force = state.acceleration + self.drag_per_s * (state.velocity - self.wind_mps)
        up = _unit(float(force[0]), float(force[1]), float(force[2]) + GRAVITY_M_S2)
        east, north = math.sin(state.heading_rad), math.cos(state.heading_rad)
        lean = up[0] * east + up[1] * north
        x, y, z = ahead = _unit(east - lean * up[0], north - lean * up[1], -lean * up[2])
        left = (up[1] * z - up[2] * y, up[2] * x - up[0] * z, up[0] * y - up[1] * x)
        return np.array((ahead, left, up)).T


def _unit(x: float, y: float, z: float) -> Vector:
    length = math.hypot(x, y, z)
    return x / length, y / length, z / length
