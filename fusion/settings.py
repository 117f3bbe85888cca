"""Every number of the fusion that could be otherwise, named, in seconds, metres and radians; never in frames."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MotionSettings:
    """Two motion modes of an interacting multiple model (Blom and Bar-Shalom, IEEE TAC 33, 1988).

    Attributes:
        quiet_accel, agile_accel: σ of white acceleration, m/s² per √Hz (m s^-3/2), of the two modes.
        sojourn_s: mean time a target stays in a mode.
        calm_s: time constant over which velocities fade.
    """

    quiet_accel: float = 1.0
    agile_accel: float = 5.0
    sojourn_s: float = 3.0
    calm_s: float = 20.0


@dataclass(frozen=True, slots=True)
class NoiseSettings:
    """Where the estimate of each camera's noise starts, and how quickly it follows.

    A camera's error is a white part, a slow part (calibration, rolling shutter, where on the drone the box sits) with
    correlation time `slow_s`, and a timing part along the motion in the picture.
    """

    white_px: float = 1.0
    slow_px: float = 2.0
    timing_s: float = 0.01
    slow_s: float = 2.0
    memory_s: float = 20.0
    clock_prior_s: float = 0.03
    clock_memory_s: float = 300.0


@dataclass(frozen=True, slots=True)
class FusionSettings:
    """Life and association.

    Attributes:
        gate: squared Mahalanobis distance beyond which a report is not of this target.
        disown: up to this distance a report near a target starts no other one.
        robust: beyond this squared distance a report counts with a larger variance (Huber).
        look_s: looks of one sensor closer together than this are one piece of evidence about existence.
        coast_s: without a report a track is shown as coasting after this.
        lost_s: and ends after this; a track never confirmed after `tentative_s`.
        confirm, delete: existence at which a track is confirmed, and at which it ends.
        slots: how many cameras' slow errors one target carries; the one longest unseen gives way.
        max_targets: bound on all targets; beyond it new ones are refused and counted.
        link_s: rays this close in time may cross.
        claim_s: how long claim and sightings must disagree before it is said.
    """

    motion: MotionSettings = MotionSettings()
    noise: NoiseSettings = NoiseSettings()
    gate: float = 30.0
    disown: float = 150.0
    robust: float = 9.0
    look_s: float = 0.5
    coast_s: float = 0.5
    lost_s: float = 12.0
    tentative_s: float = 1.0
    mean_life_s: float = 600.0
    confirm: float = 0.97
    delete: float = 0.02
    slots: int = 8
    max_targets: int = 500
    link_s: float = 0.25
    claim_s: float = 2.0
