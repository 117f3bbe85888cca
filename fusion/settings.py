"""Every number of the fusion that could be otherwise, named, in seconds, metres and radians; never in frames."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MotionSettings:
    """Two motion modes of an interacting multiple model (Blom and Bar-Shalom, IEEE TAC 33, 1988).

    Attributes:
        quiet_accel, agile_accel: σ of white acceleration, m/s² per √Hz (m s^-3/2), of the two modes.
        sojourn_s: mean time a target stays in a mode.
        calm_s: time constant over which velocities fade,
        lone_calm_s: and while only one sensor follows a target: what it cannot see stays near what drones do.
    """

    quiet_accel: float = 1.0
    agile_accel: float = 5.0
    sojourn_s: float = 3.0
    calm_s: float = 1000.0
    lone_calm_s: float = 20.0


@dataclass(frozen=True, slots=True)
class NoiseSettings:
    """Where the estimate of each camera's noise starts, and how quickly it follows.

    A camera's error is a white part, a slow part (calibration, rolling shutter, where on the drone the box sits) that
    changes as the target moves through the picture, and a timing part along that motion.

    Attributes:
        white_px, slow_rad, timing_s: σ of the three parts at the start; the slow one as an angle.
        reach_rad: the slow part is another one after the target has moved this far in the picture,
        slow_s: or after this time.
        memory_s: time over which the white part is averaged.
        memory_looks: independent looks over which the slow and the timing part are averaged.
        slow_freedom: degrees of freedom of the slow part, which is Student's t: now and then a lens is far worse
            somewhere than elsewhere.
        prior_share: weight of the slow part's prior against what was learned, where that is less: a lens that is good
            where the target has been may be worse where it goes.
        clock_prior_s, clock_memory_s: σ of each clock's error before anything was learned, and how long it is held.
        mount_rad, mount_m, focal_share: σ of what the site file says of a camera's attitude (each axis), position and
            focal length (as a share of it), see `fusion.refinement`.
        mount_memory_s: how long what flights told of these counts.
    """

    white_px: float = 1.0
    slow_rad: float = 0.0015
    timing_s: float = 0.01
    reach_rad: float = 0.12
    slow_s: float = 60.0
    memory_s: float = 20.0
    memory_looks: float = 15.0
    slow_freedom: float = 4.0
    prior_share: float = 0.5
    clock_prior_s: float = 0.03
    clock_memory_s: float = 300.0
    mount_rad: float = 0.005
    mount_m: float = 0.5
    focal_share: float = 0.02
    mount_memory_s: float = 1800.0


@dataclass(frozen=True, slots=True)
class FusionSettings:
    """Life and association.

    Attributes:
        gate: squared Mahalanobis distance beyond which a report is not of this target.
        disown: up to this distance a report near a target starts no other one.
        robust: beyond this squared distance a report counts with a larger variance (Huber).
        look_s: looks of one sensor closer together than this are one piece of evidence about existence.
        clutter_memory_s: over which the number of false reports in a sensor's looks is averaged.
        coast_s: without a report a track is shown as coasting after this.
        lost_s: and ends after this; a track never confirmed after `tentative_s`, or after `tentative_looks` of the
            sensor that saw it where that is longer, at most `most_tentative_s`: a radar turns once in some seconds.
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
    clutter_memory_s: float = 20.0
    coast_s: float = 0.5
    lost_s: float = 12.0
    tentative_s: float = 1.0
    tentative_looks: float = 2.5
    most_tentative_s: float = 10.0
    mean_life_s: float = 600.0
    confirm: float = 0.97
    delete: float = 0.02
    slots: int = 8
    max_targets: int = 500
    link_s: float = 0.25
    claim_s: float = 2.0
