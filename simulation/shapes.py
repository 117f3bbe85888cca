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
    """A quadcopter with arms, motors, blades that a short exposure smears into fans, legs below the arms and a battery
    that warms its body.

    What makes it a drone to the eye, and to a detector trained on real clips, are four arms with legs and motors at
    their ends: rotors drawn as whole discs, or skids below the middle, make a helicopter of it.

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
        """Blades where they are at `time_s`, and the rest, which does not move."""
        blades = [blade for k, tip in enumerate(_TIPS) for blade in self._blades(k, *tip, time_s)]
        return (*blades, *self._airframe)

    @cached_property
    def _airframe(self) -> tuple[Part, ...]:
        shell = Paint(self.reflectance, 0.55)
        # Sun from above: the top shines, and what hangs below lies in shade.
        top, shade = Paint(min(self.reflectance + 0.4, 0.95), 0.6), Paint(0.6 * self.reflectance, 0.35)
        scale = self.diagonal_m
        arms = [_stroke((0.0, 0.0, 0.0), (x, y, 0.04), 0.06, shell, scale) for x, y in _TIPS]
        motors = [_stroke((x, y, 0.0), (x, y, 0.1), 0.08, Paint(self.reflectance, 1.0), scale) for x, y in _TIPS]
        legs = [_stroke((0.6 * x, 0.6 * y, 0.0), (0.7 * x, 0.7 * y, -0.24), 0.05, shade, scale) for x, y in _TIPS]
        hull = _stroke((0.17, 0.0, 0.02), (-0.17, 0.0, 0.02), 0.17, shell, scale)
        gimbal = _stroke((0.12, 0.0, -0.08), (0.12, 0.0, -0.12), 0.08, shade, scale)
        back = _stroke((0.12, 0.0, 0.08), (-0.12, 0.0, 0.08), 0.06, top, scale)
        return (*legs, *arms, *motors, gimbal, hull, back)

    def _blades(self, rotor: int, x: float, y: float, time_s: float) -> list[Part]:
        """Two fans, each as wide as the blade turns in one exposure."""
        spin = (-1.0) ** rotor * math.tau * (_TURNS_PER_S[rotor] * time_s + 0.31 * rotor)
        paint = Paint(0.5 * self.reflectance + 0.05, 0.1, opacity=0.35)
        return [self._fan(x, y, spin + half, paint) for half in (0.0, math.pi)]

    def _fan(self, x: float, y: float, angle: float, paint: Paint) -> Part:
        rim = [
            (x + 0.27 * math.cos(angle + turn), y + 0.27 * math.sin(angle + turn), 0.11) for turn in (-0.28, 0.0, 0.28)
        ]
        return _plate([(x, y, 0.11), *rim], paint, self.diagonal_m)


#: Motors of a quadcopter, shares of its diagonal; and how fast each turns.
_TIPS = tuple((x, y) for x in (0.35, -0.35) for y in (0.35, -0.35))
_TURNS_PER_S = (88.3, 91.7, 93.9, 86.1)
#: Where a helicopter's skids hang.
_STRUTS = tuple((x, y) for x in (0.18, -0.02) for y in (0.1, -0.1))


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


@dataclass(frozen=True)
class FixedWing:
    """A small aeroplane without a crew: straight wings, a thin tail, a propeller behind.

    Attributes:
        wingspan_m: tip to tip.
    """

    wingspan_m: float
    reflectance: float = 0.35

    @property
    def radius_m(self) -> float:
        return 0.6 * self.wingspan_m

    def parts(self, time_s: float) -> tuple[Part, ...]:
        """The same at any time."""
        return self._parts

    @cached_property
    def _parts(self) -> tuple[Part, ...]:
        skin, scale = Paint(self.reflectance, 0.4), self.wingspan_m
        wing = [(0.1, 0.5, 0.04), (0.1, -0.5, 0.04), (-0.03, -0.5, 0.04), (-0.03, 0.5, 0.04)]
        tail = [(-0.38, 0.13, 0.02), (-0.38, -0.13, 0.02), (-0.46, -0.13, 0.02), (-0.46, 0.13, 0.02)]
        fin = [(-0.38, 0.0, 0.02), (-0.46, 0.0, 0.02), (-0.47, 0.0, 0.13), (-0.41, 0.0, 0.13)]
        hull = _stroke((0.22, 0.0, 0.0), (-0.12, 0.0, 0.0), 0.1, skin, scale)
        boom = _stroke((-0.1, 0.0, 0.01), (-0.45, 0.0, 0.02), 0.03, skin, scale)
        motor = _stroke((0.24, 0.0, 0.0), (0.2, 0.0, 0.0), 0.06, Paint(self.reflectance, 1.0), scale)
        plates = [_plate(corners, skin, scale) for corners in (wing, tail, fin)]
        return (*plates, boom, hull, motor)


@dataclass(frozen=True)
class Helicopter:
    """A cabin, a tail boom with a fin, skids, four blades and a warm engine.

    Attributes:
        length_m: nose to fin.
    """

    length_m: float
    reflectance: float = 0.25

    @property
    def radius_m(self) -> float:
        return 0.7 * self.length_m

    def parts(self, time_s: float) -> tuple[Part, ...]:
        """Blades where they are at `time_s`, and the rest, which does not move."""
        turn = math.tau * 6.3 * time_s
        blades = [self._blade(turn + quarter * math.pi / 2.0) for quarter in range(4)]
        return (*self._cabin, *blades)

    def _blade(self, angle: float) -> Part:
        tip = (0.1 + 0.5 * math.cos(angle), 0.5 * math.sin(angle), 0.2)
        return _stroke((0.1, 0.0, 0.2), tip, 0.03, Paint(0.15, 0.2, opacity=0.7), self.length_m)

    @cached_property
    def _cabin(self) -> tuple[Part, ...]:
        skin, shade, scale = Paint(self.reflectance, 0.6), Paint(0.5 * self.reflectance, 0.4), self.length_m
        fin = [(-0.44, 0.0, -0.02), (-0.52, 0.0, -0.02), (-0.54, 0.0, 0.16), (-0.48, 0.0, 0.16)]
        return (
            *[_stroke((0.28, y, -0.17), (-0.12, y, -0.17), 0.02, shade, scale) for y in (0.1, -0.1)],
            *[_stroke((x, y / 2.0, -0.06), (x, y, -0.17), 0.02, shade, scale) for x, y in _STRUTS],
            _plate(fin, skin, scale),
            _stroke((-0.05, 0.0, 0.03), (-0.5, 0.0, 0.05), 0.05, skin, scale),
            _stroke((0.3, 0.0, -0.01), (-0.06, 0.0, 0.01), 0.19, skin, scale),
            _stroke((0.1, 0.0, 0.1), (-0.05, 0.0, 0.1), 0.09, Paint(self.reflectance, 1.0), scale),
            _stroke((0.1, 0.0, 0.1), (0.1, 0.0, 0.2), 0.03, shade, scale),
        )
