"""What sensors tell the site, and what the site makes of it. Immutable messages; the vocabulary of `fusion`.

Metres, radians, seconds; times are integer nanoseconds UTC, set once at the source. Frames: see `fusion.geometry`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from fusion.geometry import CameraModel
from tracking.types import Status

NS = 1_000_000_000


class Space(StrEnum):
    """What the numbers of a measurement are; `fusion.spaces` holds their functions."""

    PIXEL = "pixel"  # u, v
    BEARING = "bearing"  # azimuth, elevation
    BEARING_RANGE = "bearing_range"  # azimuth, elevation, range
    AZIMUTH = "azimuth"  # azimuth
    POSITION = "position"  # east, north, up
    POSITION_VELOCITY = "position_velocity"  # east, north, up and their rates


class Identity(StrEnum):
    """Whether a track says who it is, and whether what the sensors see bears it out."""

    UNKNOWN = "unknown"
    COOPERATIVE = "cooperative"
    CONFLICTING = "conflicting"


@dataclass(frozen=True, slots=True)
class SensorPose:
    """Where a sensor stands and how it is turned.

    Attributes:
        position_m: ENU.
        attitude: unit quaternion (w, x, y, z), sensor axes → ENU; the identity for sensors that report in ENU.
        position_sigma_m, attitude_sigma_rad: standard deviation of each axis.
    """

    sensor_id: str
    time_ns: int
    position_m: tuple[float, float, float]
    attitude: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 0.0)
    position_sigma_m: float = 0.0
    attitude_sigma_rad: float = 0.0


@dataclass(frozen=True, slots=True)
class Measurement:
    """One thing a sensor reported.

    Attributes:
        space: what `z` is.
        z: the numbers, in the order of `Space`; radians and metres, pixels for `PIXEL`.
        covariance: row-major d×d of `z`, positive definite: its white part, as the sensor states it.
        label: class the sensor names, or None.
        score: how sure it is of the label, 0..1.
        angular_size_rad: apparent size where the sensor sees one (a camera's box), or None.
        propagation_mps: speed of the wave that brought it (sound); None for light, radio and reports.
        claimed_id: what the aircraft says of itself (Remote ID, ADS-B, MAVLink).
        source_track: the sensor's own track it belongs to, a hint.
    """

    space: Space
    z: tuple[float, ...]
    covariance: tuple[float, ...]
    label: str | None = None
    score: float = 1.0
    angular_size_rad: float | None = None
    propagation_mps: float | None = None
    claimed_id: str | None = None
    source_track: str | None = None


@dataclass(frozen=True, slots=True)
class Coverage:
    """Where a sensor would see a drone, so that seeing none there is evidence.

    Attributes:
        max_range_m: beyond it nothing is concluded from silence.
        detection_probability: of a drone inside, in one look.
        clutter: expected false reports in one look, spread evenly over what the sensor covers.
    """

    max_range_m: float
    detection_probability: float
    clutter: float


@dataclass(frozen=True, slots=True)
class Scan:
    """One look of one sensor: all its reports of one moment, in one space; also when empty.

    Attributes:
        time_ns: of the look; for sound of its arrival.
        sequence: the sensor's own count, breaks ties.
        camera: lens of a camera, None for other sensors.
        coverage: None where silence says nothing (claims, sensors that report only now and then).
    """

    sensor_id: str
    time_ns: int
    sequence: int
    space: Space
    pose: SensorPose
    measurements: tuple[Measurement, ...]
    camera: CameraModel | None = None
    coverage: Coverage | None = None
    time_sigma_ns: int = 0


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Time has come this far, said by the site's own clock; moves the watermark when sensors are silent."""

    time_ns: int


@dataclass(frozen=True, slots=True)
class Track:
    """One aircraft of the site, at `time_ns`.

    Attributes:
        mean: ENU position m, velocity m/s.
        covariance: row-major 6×6 of `mean`.
        existence: probability that there is such an object, 0..1.
        class_probabilities: one per name in `models.types.CLASSES`, sums to 1.
        claimed_id: what the aircraft says of itself, where a claim attached.
        identity_score: 0..1 how well claim and sightings agree (1 entirely, 0 not at all; 0.5 nothing known).
        evidence: reasons of `identity`, in words.
        claim_only: no sensor but a claim vouches for this track.
        contributors: (sensor id, time of its last report used, ns), in order of the ids.
        source_tracks: the sensors' own tracks that it is now (`Measurement.source_track`), in order of the sensors.
    """

    track_id: str
    time_ns: int
    status: Status
    mean: tuple[float, ...]
    covariance: tuple[float, ...]
    existence: float
    class_probabilities: tuple[float, ...]
    identity: Identity = Identity.UNKNOWN
    claimed_id: str | None = None
    identity_score: float = 0.5
    evidence: tuple[str, ...] = ()
    claim_only: bool = False
    contributors: tuple[tuple[str, int], ...] = ()
    source_tracks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TrackUpdate:
    """What one message changed: tracks that a scan touched (after a heartbeat: all), then those that ended."""

    time_ns: int
    tracks: tuple[Track, ...]
