"""What aircraft say of themselves, as a receiver hears it: GPS with its errors, rounded as ASTM F3411 carries it.

All is a pure function of time and seed: the same second always brings the same report.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from fusion.geometry import LocalFrame
from simulation.world import Aircraft, FloatArray, Vector

Report = dict[str, Any]

#: Errors of a drone's GPS, m: what changes over minutes (horizontal, vertical) and what changes from fix to fix.
SLOW_SIGMA_M = (0.8, 2.0)
QUICK_SIGMA_M = (0.3, 0.5)
_VELOCITY_SIGMA_MPS = 0.2
_WAVES = 6
_PERIODS_S = (90.0, 900.0)
#: ASTM F3411-22a, table 6: degrees come in 1e-7, altitudes in 0.5 m, speeds in 0.25 m/s.
_DEGREE_STEP, _ALTITUDE_STEP_M, _SPEED_STEP_MPS = 1e-7, 0.5, 0.25


@dataclass(frozen=True)
class GpsError:
    """A receiver's error: slow waves of random period and phase, and white noise on each fix."""

    seed: tuple[int, ...]

    def at(self, time_s: float) -> FloatArray:
        """East, north, up, m, of the fix at `time_s`, which fixes its noise to the millisecond."""
        periods, phases = self._waves
        slow = np.sin(math.tau * time_s / periods + phases).sum(axis=1) * math.sqrt(2.0 / _WAVES)
        noise = np.random.default_rng((*self.seed, 1, round(time_s * 1e3))).normal(size=3)
        sigmas = [(s[0], s[0], s[1]) for s in (SLOW_SIGMA_M, QUICK_SIGMA_M)]
        error: FloatArray = slow * sigmas[0] + noise * sigmas[1]
        return error

    @cached_property
    def _waves(self) -> tuple[FloatArray, FloatArray]:
        rng = np.random.default_rng((*self.seed, 0))
        return rng.uniform(*_PERIODS_S, (3, _WAVES)), rng.uniform(0.0, math.tau, (3, _WAVES))


@dataclass(frozen=True, slots=True)
class Transmitter:
    """An aircraft's Remote ID. `offset_m` is how far it lies from `begins_s` on, ENU."""

    aircraft: Aircraft
    claimed_id: str
    offset_m: Vector
    begins_s: float
    gps: GpsError

    def lies(self, time_s: float) -> bool:
        """Whether what it says at this time is away from where it is."""
        return any(self.offset_m) and time_s >= self.begins_s

    def claimed_place(self, time_s: float) -> FloatArray:
        """ENU, m: what it says its place is, before rounding."""
        lie = np.array(self.offset_m) if self.lies(time_s) else np.zeros(3)
        return self.aircraft.trajectory.at(time_s).position + self.gps.at(time_s) + lie

    def report(self, time_s: float, frame: LocalFrame) -> Report:
        """A `position` measurement (INTERFACES), less its `time` and `sensor_id`."""
        state = self.aircraft.trajectory.at(time_s)
        noise = np.random.default_rng((*self.gps.seed, 2, round(time_s * 1e3))).normal(0.0, _VELOCITY_SIGMA_MPS, 3)
        latitude, longitude, altitude = frame.to_geodetic(self.claimed_place(time_s))
        return {
            "kind": "position",
            "latitude": round(_step(float(latitude), _DEGREE_STEP), 7),
            "longitude": round(_step(float(longitude), _DEGREE_STEP), 7),
            "altitude": _step(float(altitude), _ALTITUDE_STEP_M),
            "sigma_horizontal": round(math.hypot(SLOW_SIGMA_M[0], QUICK_SIGMA_M[0]), 3),
            "sigma_vertical": round(math.hypot(SLOW_SIGMA_M[1], QUICK_SIGMA_M[1]), 3),
            "velocity": [_step(float(v), _SPEED_STEP_MPS) for v in state.velocity + noise],
            "id": self.claimed_id,
            "class": self.aircraft.class_name,
        }


@dataclass(frozen=True, slots=True)
class Receiver:
    """Hears every transmitter within `reach_m`, once a second each, at a fraction of a second of its own."""

    sensor_id: str
    position_m: Vector
    reach_m: float
    transmitters: tuple[Transmitter, ...]

    def heard(self, after_s: float, until_s: float, frame: LocalFrame) -> list[tuple[float, Report]]:
        """Time and report of all broadcasts in (`after_s`, `until_s`], in order of time."""
        found = []
        for index, transmitter in enumerate(self.transmitters):
            fraction = index / len(self.transmitters)
            first = math.floor(after_s - fraction) + 1
            for second in range(max(first, 0), math.floor(until_s - fraction) + 1):
                time_s = second + fraction
                place = transmitter.aircraft.trajectory.at(time_s).position
                if math.dist(place, self.position_m) <= self.reach_m:
                    found.append((time_s, transmitter.report(time_s, frame)))
        return sorted(found, key=lambda item: (item[0], item[1]["id"]))


def _step(value: float, step: float) -> float:
    return round(value / step) * step
