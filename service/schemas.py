"""The shapes of JSON that other programs rely on, and how the service's own types become them.

The models describe and document; answers on the hot path are encoded from plain dictionaries with the same keys (a test
holds the two together). Times are RFC 3339 UTC with microseconds, boxes `[x, y, width, height]` in pixels of the
full-size frame, origin top left; angles in degrees.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from fusion import alerts
from models.types import CLASSES, Band, Detections, TimeSource
from service import types
from service.types import (
    Acknowledgement,
    SensorHealth,
    SensorState,
    Verdict,
    WorldTrack,
    public_alert_id,
    public_track_id,
)
from tracking.types import ImageTrack, Status

Json = dict[str, Any]
ClassName = Literal["drone", "bird", "airplane", "helicopter"]
AlertKindName = Literal["enter", "approach", "claim_conflict", "recording"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@lru_cache(maxsize=4096)  # a frame's time stands in all that came of it, and a track's birth in each of its frames
def rfc3339(time_ns: int) -> str:
    """`2026-05-01T12:00:00.123456Z` of UTC nanoseconds, cut (not rounded) to microseconds.

    Raises:
        OverflowError: the instant is not within the years 1 to 9999.
    """
    instant = _EPOCH + timedelta(microseconds=time_ns // 1000)
    return instant.isoformat(timespec="microseconds")[:26] + "Z"


def to_ns(instant: datetime) -> int:
    """UTC nanoseconds of an aware datetime, exact to its microsecond."""
    return (instant - _EPOCH) // _MICROSECOND * 1000


# ── Answers ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class Schema(BaseModel):
    """Base of all answers: no field beyond those written here, no NaN, no infinity."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, populate_by_name=True)


Time = Annotated[
    str,
    Field(
        description="RFC 3339, UTC, microseconds",
        pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$",
        examples=["2026-05-01T12:00:00.123456Z"],
    ),
]
Box = Annotated[
    list[float],
    Field(
        min_length=4,
        max_length=4,
        description="x, y, width, height; pixels of the full-size frame, origin top left",
        examples=[[301.2, 118.7, 14.0, 9.5]],
    ),
]
Probability = Annotated[float, Field(ge=0, le=1)]
ClassScores = Annotated[
    dict[ClassName, Probability],
    Field(examples=[{"drone": 0.93, "bird": 0.04, "airplane": 0.02, "helicopter": 0.01}]),
]


class TrackPoint(Schema):
    """A track at one instant. `space` says which plane box, velocity and covariance live in."""

    time: Time
    state: Status = Field(examples=["confirmed"])
    class_: ClassName = Field(alias="class", examples=["drone"])
    probabilities: ClassScores = Field(description="class by the evidence so far; sums to 1")
    score: Probability = Field(description="confidence shown to people", examples=[0.91])
    existence: Probability = Field(description="probability that there is an object", examples=[0.998])
    space: Literal["image", "world"] = Field(
        description="image: followed in one camera's picture; world: a place on Earth", examples=["image"]
    )
    box: Box | None = Field(description="in the picture; null for a world track")
    velocity: list[float] = Field(
        description="image: of the box centre, px/s [vx, vy]; world: m/s [east, north, up]", examples=[[24.5, -3.1]]
    )
    covariance: list[float] = Field(
        description="row-major. image: 4x4 of centre x, y (px²) and their velocities (px²/s²); "
        "world: 6x6 of position (m²) and velocity (m²/s²) in ENU",
        examples=[[1.2, 0, 3.1, 0, 0, 1.1, 0, 2.9, 3.1, 0, 40, 0, 0, 2.9, 0, 38]],
    )
    latitude: float | None = Field(default=None, description="degrees, WGS-84; null until the track has a place")
    longitude: float | None = Field(default=None, description="degrees, WGS-84")
    altitude: float | None = Field(default=None, description="metres above the ellipsoid")
    enu: list[float] | None = Field(default=None, description="metres east, north, up of the site's origin")


class Track(TrackPoint):
    """One followed object: what is known of it at `time`."""

    id: str = Field(description="never used again, also not after a restart", examples=["cam-east-7"])
    sensor: str | None = Field(
        description="the camera of an image track; null for a world track", examples=["cam-east"]
    )
    sensors: list[str] = Field(description="all that contribute", examples=[["cam-east"]])
    image_tracks: list[str] = Field(default=[], description="of a world track: the tracks in pictures that it is now")
    first_seen: Time
    claimed_id: str | None = Field(default=None, description="what the aircraft says of itself (Remote ID, ADS-B)")
    identity: Literal["cooperative", "unknown", "conflicting"] = "unknown"
    identity_score: Probability = Field(default=0.5, description="how well claim and sightings agree; 0.5: not known")
    evidence: list[str] = Field(default=[], description="why this identity, in words")
    claim_only: bool = Field(default=False, description="nothing but the aircraft's own claim vouches for it")


class Detection(Schema):
    """What the network found in one frame, before any tracking."""

    sensor: str = Field(examples=["cam-east"])
    time: Time
    sequence: int = Field(description="number of the frame", examples=[1234])
    class_: ClassName = Field(alias="class", examples=["drone"])
    score: Probability = Field(examples=[0.93])
    box: Box
    scores: ClassScores = Field(description="one per class, independent: they need not sum to 1")


class SoundDirection(Schema):
    """Where one sound comes from, degrees; azimuth clockwise from true north."""

    azimuth: float = Field(examples=[312.4])
    elevation: float = Field(examples=[21.0])
    sigma_azimuth: float
    sigma_elevation: float
    score: Probability = Field(description="how alike the microphones hear it")
    fixed: bool = Field(description="of something that always stands there and hums: not reported to the fusion")


class SoundBand(Schema):
    """A third octave."""

    frequency: float = Field(description="its middle, Hz", examples=[199.5])
    level: float = Field(description="dB of full scale", examples=[-52.3])
    floor: float = Field(description="its noise floor, dB of full scale", examples=[-61.0])


class SoundPlace(Schema):
    azimuth: float
    elevation: float


class SoundClock(Schema):
    """How an array keeps time."""

    drift_ppm: float | None = Field(description="how much faster than ours its clock runs; null until known")
    gaps: int = Field(description="how often sound was lost")
    lost_s: float = Field(description="seconds of it in all")
    measured_rate_hz: float | None = Field(description="samples a second that come, where not those stated; else null")


class Sound(Schema):
    """What an array hears now; ten times a second anew."""

    time: Time
    state: Literal["listening", "masked by wind"] = Field(
        description="masked by wind: nothing is heard, and that does not mean that nothing flies"
    )
    sample_rate_hz: int = Field(examples=[48000])
    level_db: float = Field(description="dB of full scale, all frequencies", examples=[-43.1])
    noise_floor_db: float = Field(description="of the last minute while nothing flew", examples=[-52.0])
    excess_db: float = Field(description="how far the loudest band stands above its floor", examples=[9.2])
    bands: list[SoundBand]
    scores: dict[str, Probability] | None = Field(
        description="probability of each kind of sound, sums to 1; null in the first second",
        examples=[{"drone": 0.93, "helicopter": 0.02, "background": 0.05}],
    )
    directions: list[SoundDirection] = Field(description="the strongest first")
    fixed_emitters: list[SoundPlace] = Field(description="learned while nothing flew")
    faults: list[str] = Field(description="what is wrong with its channels, a sentence each", examples=[[]])
    clock: SoundClock
    spectrogram: str = Field(examples=["/api/v1/sensors/mic-north/spectrogram.png"])


class Sensor(Schema):
    """A sensor and how it is."""

    id: str = Field(examples=["cam-east"])
    kind: str = Field(description="camera, microphone_array, remote_id, external, …", examples=["camera"])
    spectrum: Band | None = Field(description="of a camera", examples=["infrared"])
    source: str = Field(description="where it is read from, without secrets", examples=["rtsp://camera.local/stream"])
    state: SensorState = Field(examples=["online"])
    reason: str = Field(description="one sentence when it is not online, else empty", examples=[""])
    fps: float = Field(description="frames per second delivered, over the last seconds", examples=[30.0])
    frames_in: int = Field(description="frames delivered since start", examples=[5400])
    processed: int = Field(description="frames that went through detector and tracker", examples=[5398])
    dropped: dict[str, int] = Field(description="frames left out, by reason", examples=[{"behind": 2}])
    reconnects: int = Field(examples=[0])
    time_source: TimeSource = Field(
        description="where capture times come from: the sender's own UTC (rtcp), presentation time (pts), "
        "arrival less the configured latency (arrival), or simulated",
        examples=["rtcp"],
    )
    last_frame: Time | None = Field(description="capture time of the newest frame; null before the first")
    width: int | None = Field(description="pixels of the newest frame; null before the first", examples=[640])
    height: int | None = Field(examples=[512])
    snapshot: str | None = Field(description="of a camera", examples=["/api/v1/sensors/cam-east/snapshot.jpg"])
    stream: str | None = Field(description="of a camera", examples=["/api/v1/sensors/cam-east/stream.mjpg"])
    sound: Sound | None = Field(default=None, description="of a microphone array; null before it is heard")


class Page(Schema):
    """Part of a list, in the order the path says. Give `next_cursor` back as `cursor` for the next part."""

    next_cursor: str | None = Field(description="null at the end", examples=[None])


class TrackPage(Page):
    tracks: list[Track]


class HistoryPage(Page):
    id: str = Field(examples=["cam-east-7"])
    points: list[TrackPoint]


class DetectionPage(Page):
    detections: list[Detection]


class SensorList(Schema):
    sensors: list[Sensor]


class Measurement(BaseModel):
    """One thing a sensor saw. Angles in degrees, azimuth clockwise from true north; lengths in metres."""

    model_config = ConfigDict(extra="allow", populate_by_name=True)

    time: float | str = Field(description="when it was so: UTC seconds since 1970, or RFC 3339 with a zone")
    sensor_id: str = Field(description="as in the site file")
    kind: Literal["pixel", "bearing", "position"]
    class_: ClassName | None = Field(default=None, alias="class")
    score: Probability = 1.0
    box: Box | None = Field(default=None, description="pixel: or `point`")
    point: list[float] | None = Field(default=None, description="pixel: [u, v]")
    azimuth: float | None = Field(default=None, description="bearing")
    elevation: float | None = Field(default=None, description="bearing; may be left out")
    sigma_azimuth: float | None = None
    sigma_elevation: float | None = None
    range: float | None = Field(default=None, description="bearing, where it is known")
    sigma_range: float | None = None
    wave: Literal["sound", "light", "radio"] | None = Field(default=None, description="bearing: sound arrives late")
    latitude: float | None = Field(default=None, description="position: with longitude and altitude, or `enu`")
    longitude: float | None = None
    altitude: float | None = Field(default=None, description="above the ellipsoid")
    enu: list[float] | None = None
    velocity: list[float] | None = Field(default=None, description="position: m/s east, north, up")
    sigma_horizontal: float | None = None
    sigma_vertical: float | None = None
    id: str | None = Field(default=None, description="position: who the aircraft says it is")


class RefusedLine(Schema):
    line: int = Field(description="from 1: place in the array, or line of the text", examples=[3])
    reason: str = Field(examples=["sigma_azimuth must be above zero"])


class Taken(Schema):
    """What became of a batch of measurements."""

    taken: int = Field(description="on their way into the tracks", examples=[12])
    duplicates: int = Field(description="came before and are not used again", examples=[0])
    refused_count: int = Field(examples=[1])
    refused: list[RefusedLine] = Field(description="the first 1000 of them")


class ZoneShape(BaseModel):
    """Part of the air that people are told of when something flies into it."""

    name: str = Field(examples=["Runway"])
    kind: Literal["alert", "exclusion"] = Field(description="exclusion: nothing may fly there at all")
    polygon: list[tuple[float, float]] = Field(
        description="corners as [latitude, longitude], degrees", examples=[[(47.4, 8.5), (47.41, 8.5), (47.41, 8.52)]]
    )
    floor: float | None = Field(description="metres above the ellipsoid; null: down to the ground")
    ceiling: float | None = Field(description="metres above the ellipsoid; null: no upper end")


class Zone(ZoneShape):
    id: str = Field(examples=["runway"])


class ZoneList(Schema):
    zones: list[Zone]


class Alert(Schema):
    """Something that a person should look at."""

    id: str = Field(description="never used again", examples=["A17"])
    kind: AlertKindName
    severity: Literal["warning", "critical"] = Field(description="critical: in or towards an exclusion zone")
    track: str | None = Field(description="null where it is about none: `recording`", examples=["T12"])
    zone: str | None = Field(description="id of the zone; null where it is not about one", examples=["runway"])
    started: Time
    time: Time = Field(description="when it was last so")
    active: bool = Field(description="false once it is over")
    probability: Probability = Field(description="that it is so, by the track's own covariance")
    time_to_entry: float | None = Field(description="of an approach: seconds at the present velocity", examples=[12.5])
    text: str = Field(examples=["T12 is in Runway"])
    acknowledged: bool
    acknowledged_at: Time | None
    acknowledged_by: str | None = Field(examples=["Meier"])
    note: str | None = Field(examples=["our own inspection flight"])


class AlertPage(Page):
    alerts: list[Alert]


class Mark(Schema):
    """What somebody said a track was; the newest of a track counts."""

    id: str = Field(description="never used again", examples=["M3"])
    track: str = Field(examples=["T12"])
    alert: str | None = Field(description="of which it was said, where it was of one", examples=["A17"])
    time: Time
    verdict: Verdict = Field(description="not_drone: whatever it was; unclear takes an earlier word back")
    who: str = Field(examples=["Meier"])
    note: str = Field(examples=["seen with binoculars"])


class MarkPage(Page):
    marks: list[Mark]


class Health(Schema):
    status: Literal["ok"]


class PartState(Schema):
    state: str = Field(examples=["online"])
    reason: str = Field(examples=[""])


class Readiness(Schema):
    """`ready`; `degraded`: works, but not every part; `unavailable` (status 503): nothing can be served."""

    status: Literal["ready", "degraded", "unavailable"]
    version: str = Field(examples=["0.1.0"])
    sensors: dict[str, PartState]
    store: PartState
    fusion: PartState | None = Field(default=None, description="null where no sensor has a place")
    recording: PartState | None = Field(default=None, description="null where nothing is recorded")


class Problem(BaseModel):
    """RFC 9457 problem details. `detail` says what is wrong and what to do about it."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(examples=["about:blank"])
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str = Field(examples=["There is no sensor 'cam-west'. See /api/v1/sensors for those there are."])
    instance: str = Field(description="the path asked for", examples=["/api/v1/sensors/cam-west"])
    errors: list[dict[str, str]] | None = Field(default=None, description="which parameters, when several are wrong")


# ── From the service's own types ──────────────────────────────────────────────────────────────────────────────────────


def rounded(values: Sequence[float], digits: int) -> list[float]:
    return [value and round(value, digits) for value in values]  # half of a covariance is zero, and rounding is slow


def best_class(probabilities: Sequence[float]) -> str:
    """Name of the most probable class; the first of equals."""
    return CLASSES[max(range(len(CLASSES)), key=probabilities.__getitem__)]


def class_names(class_scores: NDArray[np.float32]) -> list[str]:
    """Name of the best class of each row of float32 [N, 4]; the first of equals."""
    return [CLASSES[index] for index in class_scores.argmax(1).tolist()]


def by_class(values: Sequence[float]) -> dict[str, float]:
    return dict(zip(CLASSES, rounded(values, 4), strict=True))


def track_point_json(track: ImageTrack, time_ns: int) -> Json:
    """A `TrackPoint` of an image track."""
    return {
        "time": rfc3339(time_ns),
        "state": track.status.value,
        "class": best_class(track.class_probabilities),
        "probabilities": by_class(track.class_probabilities),
        "score": round(track.score, 4),
        "existence": round(track.existence, 4),
        "space": "image",
        "box": rounded(track.box, 2),
        "velocity": rounded(track.velocity, 2),
        "covariance": rounded(track.covariance, 4),
        "latitude": None,
        "longitude": None,
        "altitude": None,
        "enu": None,
    }


def track_json(sensor_id: str, track: ImageTrack, time_ns: int, first_ns: int) -> Json:
    """A `Track` of an image track."""
    return {
        "id": public_track_id(sensor_id, track.track_id),
        "sensor": sensor_id,
        "sensors": [sensor_id],
        "image_tracks": [],
        "first_seen": rfc3339(first_ns),
        "claimed_id": None,
        "identity": "unknown",
        "identity_score": 0.5,
        "evidence": [],
        "claim_only": False,
        **track_point_json(track, time_ns),
    }


def world_point_json(shown: WorldTrack, time_ns: int) -> Json:
    """A `TrackPoint` of a world track; rounded well below any uncertainty."""
    track = shown.track
    return {
        "time": rfc3339(time_ns),
        "state": track.status.value,
        "class": best_class(track.class_probabilities),
        "probabilities": by_class(track.class_probabilities),
        "score": round(track.existence, 4),
        "existence": round(track.existence, 4),
        "space": "world",
        "box": None,
        "velocity": rounded(track.mean[3:6], 4),
        "covariance": [float(f"{value:.7g}") for value in track.covariance],
        "latitude": round(shown.latitude_deg, 9),
        "longitude": round(shown.longitude_deg, 9),
        "altitude": round(shown.altitude_m, 4),
        "enu": rounded(track.mean[:3], 4),
    }


def world_track_json(shown: WorldTrack, time_ns: int) -> Json:
    """A `Track` of a world track."""
    track = shown.track
    return {
        "id": track.track_id,
        "sensor": None,
        "sensors": [sensor_id for sensor_id, _ in track.contributors],
        "image_tracks": list(track.source_tracks),
        "first_seen": rfc3339(shown.first_ns),
        "claimed_id": track.claimed_id,
        "identity": track.identity.value,
        "identity_score": round(track.identity_score, 4),
        "evidence": list(track.evidence),
        "claim_only": track.claim_only,
        **world_point_json(shown, time_ns),
    }


def alert_json(alert: alerts.Alert, said: Acknowledgement | None) -> Json:
    """An `Alert`, with what somebody said of it."""
    return {
        "id": public_alert_id(alert.number),
        "kind": alert.kind.value,
        "severity": "critical" if alert.critical else "warning",
        "track": alert.track_id,
        "zone": alert.zone_id,
        "started": rfc3339(alert.started_ns),
        "time": rfc3339(alert.time_ns),
        "active": alert.active,
        "probability": round(min(max(alert.probability, 0.0), 1.0), 4),
        "time_to_entry": alert.time_to_entry_s,
        "text": alert.text,
        "acknowledged": said is not None,
        "acknowledged_at": rfc3339(said.time_ns) if said else None,
        "acknowledged_by": said.who if said else None,
        "note": said.note if said else None,
    }


def mark_json(mark: types.Mark) -> Json:
    """A `Mark`."""
    return {
        "id": types.public_mark_id(mark.number),
        "track": mark.track_id,
        "alert": None if mark.alert is None else public_alert_id(mark.alert),
        "time": rfc3339(mark.time_ns),
        "verdict": mark.verdict.value,
        "who": mark.who,
        "note": mark.note,
    }


def found_json(found: Detections) -> list[Json]:
    """Class, score, box and scores of each detection; what it shares with its frame is left to the caller.

    Rounded as whole columns: fifty faint ones a frame are usual, and one by one they cost more than all else here.
    """
    columns = (
        class_names(found.class_scores),
        _rounded_rows(found.scores, 4),
        _rounded_rows(found.boxes, 2),
        _rounded_rows(found.class_scores, 4),
    )
    return [
        {"class": name, "score": score, "box": box, "scores": dict(zip(CLASSES, class_scores, strict=True))}
        for name, score, box, class_scores in zip(*columns, strict=True)
    ]


def _rounded_rows(values: NDArray[np.float32], digits: int) -> list[Any]:
    """In double precision: 0.9132 is to be written as such, not as its nearest single."""
    rows: list[Any] = values.astype(np.float64).round(digits).tolist()
    return rows


def sensor_json(
    sensor_id: str, spectrum: Band, source: str, health: SensorHealth, size: tuple[int, int] | None
) -> Json:
    """A `Sensor` that is a camera; `size` is width and height of its newest frame."""
    width, height = size or (None, None)
    return {
        "id": sensor_id,
        "kind": "camera",
        "spectrum": spectrum,
        "source": source,
        "state": health.state.value,
        "reason": health.reason,
        "fps": round(health.fps, 2),
        "frames_in": health.frames_in,
        "processed": health.processed,
        "dropped": dict(health.dropped),
        "reconnects": health.reconnects,
        "time_source": health.time_source,
        "last_frame": rfc3339(health.last_frame_ns) if health.last_frame_ns else None,
        "width": width,
        "height": height,
        "snapshot": f"/api/v1/sensors/{sensor_id}/snapshot.jpg",
        "stream": f"/api/v1/sensors/{sensor_id}/stream.mjpg",
        "sound": None,
    }
