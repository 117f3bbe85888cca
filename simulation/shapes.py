"""What flying things are made of, as strokes and plates in their own axes (x forward, y left, z up; metres).

A dozen flat pieces are enough: the targets of the real recordings are 3 to 30 pixels across.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Paint:
    """How a surface looks: reflectance 0..1 (visible), heat 0..1 above the sky (infrared), opacity 0..1."""

    reflectance: float
    heat: float
    opacity: float = 1.0


@dataclass(frozen=True, slots=True)
class Part:
    """A plate with corners `points` [n ≥ 3, 3], or, when `width_m` is above zero, a stroke between two points."""

    points: FloatArray
    paint: Paint
    width_m: float = 0.0


class Body(Protocol):
    """The parts of a thing at a moment, those behind first, none further than `radius_m` from its middle."""

    @property
    def radius_m(self) -> float: ...

    def parts(self, time_s: float) -> tuple[Part, ...]: ...


def _stroke(start: tuple[float, ...], end: tuple[float, ...], width: float, paint: Paint, scale: float) -> Part:
    return Part(np.array((start, end)) * scale, paint, width * scale)


def _plate(points: list[tuple[float, float, float]], paint: Paint, scale: float) -> Part:
    return Part(np.array(points) * scale, paint)


@dataclass(frozen=True)
class Quadcopter:
    """A quadcopter with arms, motors, spinning rotors, legs and a battery that warms its body.

    Attributes:
        diagonal_m: motor to motor across the middle.
        reflectance: of its shell: 0.2 is black against the light, 0.9 a white one in the sun.
    """

    diagonal_m: float
    reflectance: float = 0.2

    @property
    def radius_m(self) -> float:
        return 0.8 * self.diagonal_m

    def parts(self, time_s: float) -> tuple[Part, ...]:
        """The same at any time: its rotors are a blur."""
        return self._parts

    @cached_property
    def _parts(self) -> tuple[Part, ...]:
        shell = Paint(self.reflectance, 0.55)
        # Sun from above: the top shines, and what hangs below lies in shade.
        top, shade = Paint(min(self.reflectance + 0.5, 0.95), 0.6), Paint(0.6 * self.reflectance, 0.35)
        scale, tips = self.diagonal_m, [(x, y) for x in (0.35, -0.35) for y in (0.35, -0.35)]
        rotors = [self._rotor(x, y) for x, y in tips]
        arms = [_stroke((0.0, 0.0, 0.0), (x, y, 0.03), 0.07, shell, scale) for x, y in tips]
        motors = [_stroke((x, y, -0.02), (x, y, 0.1), 0.1, Paint(self.reflectance, 1.0), scale) for x, y in tips]
        feet = [
            _stroke((x, y * 0.4, -0.03), (x, y * 0.55, -0.26), 0.04, shade, scale)
            for x in (0.12, -0.12)
            for y in (0.35, -0.35)
        ]
        skids = [_stroke((0.2, y, -0.26), (-0.2, y, -0.26), 0.035, shade, scale) for y in (0.19, -0.19)]
        hull = _stroke((0.2, 0.0, 0.0), (-0.2, 0.0, 0.0), 0.2, shell, scale)
        gimbal = _stroke((0.14, 0.0, -0.06), (0.14, 0.0, -0.18), 0.1, shade, scale)
        back = _stroke((0.14, 0.0, 0.08), (-0.14, 0.0, 0.08), 0.07, top, scale)
        return (*rotors, *feet, *skids, *arms, *motors, gimbal, hull, back)

    def _rotor(self, x: float, y: float) -> Part:
        turns = np.linspace(0.0, 2.0 * np.pi, 12, endpoint=False)
        rim = [(x + 0.24 * math.cos(a), y + 0.24 * math.sin(a), 0.11) for a in turns]
        return _plate(rim, Paint(0.3, 0.1, opacity=0.25), self.diagonal_m)


@dataclass(frozen=True, slots=True)
class Bird:
    """A bird that flaps, in bursts between glides.

    Attributes:
        wingspan_m: tip to tip.
        flap_hz: wing beats a second; `glide_s` one burst and glide; `phase` 0..1 sets the flock out of step.
    """

    wingspan_m: float
    flap_hz: float = 4.0
    glide_s: float = 5.0
    phase: float = 0.0
    reflectance: float = 0.22

    @property
    def radius_m(self) -> float:
        return 0.7 * self.wingspan_m

    def wing_angles(self, time_s: float) -> tuple[float, float]:
        """Dihedral of the inner and outer wing, radians; the outer one lags a quarter of a beat."""
        effort = 0.5 + 0.5 * math.tanh(3.0 * math.sin(2.0 * math.pi * (time_s / self.glide_s + self.phase)) + 1.0)
        beat = 2.0 * math.pi * (self.flap_hz * time_s + self.phase)
        return 0.1 + 0.7 * effort * math.sin(beat), 0.05 + 0.7 * effort * math.sin(beat - 0.5 * math.pi)

    def parts(self, time_s: float) -> tuple[Part, ...]:
        """Body, tail and two jointed wings at `time_s`."""
        feather, flesh = Paint(self.reflectance, 0.25), Paint(self.reflectance, 0.55)
        inner, outer = self.wing_angles(time_s)
        wings = [panel for side in (1.0, -1.0) for panel in self._wing(side, inner, outer, feather)]
        body = _stroke((0.22, 0.0, 0.0), (-0.16, 0.0, 0.0), 0.13, flesh, self.wingspan_m)
        tail = _stroke((-0.16, 0.0, 0.0), (-0.3, 0.0, 0.0), 0.07, feather, self.wingspan_m)
        return (*wings, tail, body)

    def _wing(self, side: float, inner: float, outer: float, feather: Paint) -> list[Part]:
        y1, z1 = 0.24 * math.cos(inner), 0.24 * math.sin(inner)
        y2, z2 = y1 + 0.26 * math.cos(outer), z1 + 0.26 * math.sin(outer)
        root = [(0.1, 0.0, 0.0), (-0.1, 0.0, 0.0)]
        wrist = [(-0.1, side * y1, z1), (0.09, side * y1, z1)]
        tip = [(-0.09, side * y2, z2), (-0.03, side * y2, z2)]
        return [
            _plate(root + wrist, feather, self.wingspan_m),
            _plate([wrist[1], wrist[0], *tip], feather, self.wingspan_m),
        ]


@dataclass(frozen=True)
class Airliner:
    """An aeroplane with swept wings, tail and two hot engines."""

    length_m: float
    reflectance: float = 0.95

    @property
    def radius_m(self) -> float:
        return 0.7 * self.length_m

    def parts(self, time_s: float) -> tuple[Part, ...]:
        """The same at any time."""
        return self._parts

    @cached_property
    def _parts(self) -> tuple[Part, ...]:
        skin, scale = Paint(self.reflectance, 0.7), self.length_m
        parts = [_stroke((0.5, 0.0, 0.0), (-0.5, 0.0, 0.02), 0.1, skin, scale)]
        fin = [(-0.34, 0.0, 0.03), (-0.5, 0.0, 0.03), (-0.52, 0.0, 0.19), (-0.44, 0.0, 0.19)]
        parts.append(_plate(fin, skin, scale))
        for side in (1.0, -1.0):
            wing = [(0.12, 0.0, 0.0), (-0.1, 0.0, 0.0), (-0.2, side * 0.46, 0.05), (-0.14, side * 0.46, 0.05)]
            tail = [(-0.4, 0.0, 0.02), (-0.48, 0.0, 0.02), (-0.52, side * 0.17, 0.03), (-0.48, side * 0.17, 0.03)]
            engine = _stroke((0.06, side * 0.16, -0.05), (-0.06, side * 0.16, -0.05), 0.06, Paint(0.4, 1.0), scale)
            parts += [_plate(wing, skin, scale), _plate(tail, skin, scale), engine]
        return tuple(parts)
