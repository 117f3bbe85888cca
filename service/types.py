"""What travels on the service's bus. Frozen dataclasses, as in `models.types` and `tracking.types`.

Instants are integer nanoseconds UTC; durations are nanoseconds of the monotonic clock, so that a step of the
wall clock never shows up as latency.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from fusion.alerts import Alert, Trouble
from fusion.site import Zone
from fusion.types import Heartbeat, Scan, Track
from models.types import Detections, TimeSource
from simulation.truth import PictureTruth, Truth
from tracking.types import ImageTracks


@dataclass(frozen=True, slots=True)
class StageTimes:
    """Where one frame's time went, in the order it was spent.

    Attributes:
        captured_ns: mid-exposure, UTC (`Frame.time_ns`).
        received_ns: the frame reached this machine, UTC; 0 when the source cannot say.
        queued_ns: duration from received until the worker took it.
        detect_ns: duration in the detector.
        track_ns: duration in the tracker.
        published_ns: the update was put on the bus, UTC; `published_ns - captured_ns` is the latency of the pipeline.
    """

    captured_ns: int
    received_ns: int
    queued_ns: int
    detect_ns: int
    track_ns: int
    published_ns: int


@dataclass(frozen=True, slots=True)
class CameraUpdate:
    """All that one frame of one camera brought: the one message per frame on the bus."""

    detections: Detections
    tracks: ImageTracks
    timing: StageTimes

    @property
    def sensor_id(self) -> str:
        return self.detections.sensor_id

    @property
    def time_ns(self) -> int:
        return self.detections.time_ns

    @property
    def sequence(self) -> int:
        return self.detections.sequence


@dataclass(frozen=True, slots=True)
class TracksEnded:
    """A camera fell silent or ended, and its tracks with it: without frames nobody may show them as live.

    Attributes:
        time_ns: when, UTC.
        track_ids: the tracks that ended; never empty, never used again.
    """

    sensor_id: str
    time_ns: int
    track_ids: tuple[int, ...]


class SensorState(StrEnum):
    """How a sensor is, as people and programs are told.

    `starting` no frame yet; `online`; `stale` frames are late; `frozen` the same picture again and again;
    `down` lost, being tried again; `failed` given up until someone acts; `ended` a recording that is over.
    """

    STARTING = "starting"
    ONLINE = "online"
    STALE = "stale"
    FROZEN = "frozen"
    DOWN = "down"
    FAILED = "failed"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class SensorHealth:
    """State of one sensor at one instant. On the bus when the state changes, and once a second.

    Attributes:
        reason: one plain sentence when not online, else empty; never holds a secret.
        fps: frames per second delivered, over the last seconds.
        frames_in: frames the source delivered since start.
        processed: frames that went through detector and tracker.
        dropped: frames left out, by reason.
        time_source: where the capture times come from.
        last_frame_ns: capture time of the newest frame, 0 before the first.
        reconnects: how often the source was opened again.
    """

    sensor_id: str
    state: SensorState
    reason: str = ""
    fps: float = 0.0
    frames_in: int = 0
    processed: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    time_source: TimeSource = "arrival"
    last_frame_ns: int = 0
    reconnects: int = 0


@dataclass(frozen=True, slots=True)
class WorldTrack:
    """A track of the site as it is shown.

    Attributes:
        first_ns: when it was first shown.
        latitude_deg, longitude_deg, altitude_m: its place on WGS-84, above the ellipsoid.
    """

    track: Track
    first_ns: int
    latitude_deg: float
    longitude_deg: float
    altitude_m: float


@dataclass(frozen=True, slots=True)
class WorldUpdate:
    """All world tracks there are at one instant; what is not in it any more has ended.

    Attributes:
        time_ns: to which the tracks are carried; behind the clock by the lag of the fusion.
        tracks: confirmed and coasting ones.
        ended: ids of those shown last time that are no more; never used again.
        next_number: no track has had this number or a larger one.
    """

    time_ns: int
    tracks: tuple[WorldTrack, ...]
    ended: tuple[str, ...]
    next_number: int


@dataclass(frozen=True, slots=True)
class ZoneChange:
    """A zone is new or has a new shape; `zone` None: it is no more."""

    zone_id: str
    zone: Zone | None


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """Somebody took note of an alert; the first one counts."""

    alert: int
    time_ns: int
    who: str
    note: str


class Verdict(StrEnum):
    """What a person says a track was; `not_drone`: whatever it was; `unclear` takes an earlier word back."""

    DRONE = "drone"
    BIRD = "bird"
    AIRPLANE = "airplane"
    HELICOPTER = "helicopter"
    NOT_DRONE = "not_drone"
    UNCLEAR = "unclear"


@dataclass(frozen=True, slots=True)
class Mark:
    """What a person says of a track; the newest of a track counts.

    Attributes:
        number: counts up, never used again.
        track_id: as people know it.
        alert: the number of the alert that it was said of, if of one.
    """

    number: int
    time_ns: int
    track_id: str
    verdict: Verdict
    who: str
    note: str = ""
    alert: int | None = None


#: Everything the bus carries. Updates and endings under `camera.<id>`, health under `sensor.<id>`. All that the fusion
#: of the site follows from: scans under `scan.<id>`, heartbeats under `clock`, zones under `zone.<id>`, what fails in
#: the service itself under `trouble.<kind>`; what it makes of them under `world` and `alert.<number>`. What people say
#: of an alert under `acknowledge.<number>`, of a track under `mark.<number>`. The truth of a simulation under `truth`
#: and `truth.<camera>`.
Message = (
    CameraUpdate
    | TracksEnded
    | SensorHealth
    | Scan
    | Heartbeat
    | ZoneChange
    | WorldUpdate
    | Alert
    | Trouble
    | Acknowledgement
    | Truth
    | PictureTruth
    | Mark
)


@dataclass(frozen=True, slots=True)
class Envelope:
    """A message with its place in the one order of the bus: `seq` counts 1, 2, 3… without a gap."""

    seq: int
    subject: str
    received_ns: int
    message: Message


def public_alert_id(number: int) -> str:
    """`A<n>`, the id by which people and programs know an alert."""
    return f"A{number}"


def public_track_id(sensor_id: str, track_id: int) -> str:
    """`<sensor_id>-<n>`, the id by which people and programs know an image track."""
    return f"{sensor_id}-{track_id}"


def public_mark_id(number: int) -> str:
    """`M<n>`, the id by which people and programs know a mark."""
    return f"M{number}"
