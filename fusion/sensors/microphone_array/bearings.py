"""From directions of one look to a scan that the fusion takes: bearings whose wave is sound."""

from __future__ import annotations

from collections.abc import Sequence

from fusion.sensors.microphone_array.measure import Direction
from fusion.types import Coverage, Measurement, Scan, SensorPose, Space


def bearing(direction: Direction, speed_mps: float, label: str | None = None, score: float = 1.0) -> Measurement:
    """One direction as it arrived: the fusion looks for its source where it was when the sound left.

    Args:
        speed_mps: of sound.
        label, score: class that is heard, or None, and how sure it is.
    """
    covariance = (direction.sigma_azimuth_rad**2, 0.0, 0.0, direction.sigma_elevation_rad**2)
    z = (direction.azimuth_rad, direction.elevation_rad)
    return Measurement(Space.BEARING, z, covariance, label, score, propagation_mps=speed_mps)


def bearings_scan(
    pose: SensorPose,
    time_ns: int,
    sequence: int,
    bearings: Sequence[Measurement],
    coverage: Coverage | None = None,
    time_sigma_ns: int = 0,
) -> Scan:
    """One look at `time_ns`, the middle of its window.

    Args:
        coverage: where silence means that nothing flies; None while that cannot be said, as in wind.
    """
    return Scan(
        pose.sensor_id,
        time_ns,
        sequence,
        Space.BEARING,
        pose,
        tuple(bearings),
        coverage=coverage,
        time_sigma_ns=time_sigma_ns,
    )
