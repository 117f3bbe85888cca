"""A recorded flight through the same pipeline again, from a stage of one's choice.

    raw            pictures ─▶ detector ─▶ tracker ─▶ measure ─▶ fusion     where the pictures were recorded
                   sound ─▶ ear ─▶ bearings ────────────────────▶ fusion     where the sound was recorded
    detections                             tracker ─▶ measure ─▶ fusion
    measurements                                                 fusion
    tracks                                                                 what was said, again

Sound is heard again as pictures are looked at again. Where it was kept around detections alone, an ear begins anew with
each piece, and what it knew of its surroundings is gone.

What lies before the stage comes from the file, what lies behind it is computed by the code that runs live
(`TrackerStage`, `World`), in the order of the bus and by the times in the messages. So the result depends on the file
and the build alone: not on the speed of the replay, nor on the machine's clock. From detections and measurements it is
the same, bit for bit, as what was recorded, unless the file begins in the middle of a run (its `part` is not 0), misses
messages, or was recorded by another version.
"""

from __future__ import annotations

import hashlib
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import lru_cache, partial
from typing import NamedTuple

import cv2
import numpy as np

from fusion.alerts import Alert, Trouble
from fusion.sensors.microphone_array.config import ArrayConfig
from fusion.sensors.microphone_array.source import Block
from fusion.site import Sensor, Site
from fusion.types import Heartbeat, Scan
from models.acoustic_infer import Recogniser, load_recogniser
from models.types import Band, Detections, Frame
from service import foxglove
from service.bus import Bus, Full
from service.camera_line import FrameDetector
from service.clock import Clock
from service.detection import OwnDetector, load
from service.ear import STEP_S, Ear
from service.flight_file import Flight, FlightError, Stored
from service.hearing import heard_scan
from service.journal import image_topic, sound_topic
from service.journal_about import About, CameraAbout, recorded_site
from service.journal_format import FormatError, canonical
from service.settings import DetectorSettings
from service.stage import TrackerStage
from service.types import CameraUpdate, Envelope, Message, SensorHealth, TracksEnded, WorldUpdate, ZoneChange
from service.world import World, camera_measure, locates
from tracking.image_tracker import ImageTracker
from tracking.settings import TrackerSettings

ARRAY = "microphone_array"
MOST_LOOKS = 600  # of an array that wait for their turn: a minute
OVERDUE_S = 0.5
OUTPUT_CAPACITY = 100_000  # of one step; a step gives a few
MOST_PIXELS = 8192 * 8192
SECOND_NS = 10**9
PIPELINE = ("camera", "world", "alerts")  # streams of an `Outcome`, in the order in which they arise

Publication = tuple[str, Message]  # subject and message


class Stage(StrEnum):
    RAW = "raw"
    DETECTIONS = "detections"
    MEASUREMENTS = "measurements"
    TRACKS = "tracks"


class ReplayError(Exception):
    """What was asked for cannot be done with this flight; one plain sentence."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What is to be different from the recorded run.

    Attributes:
        without: sensors that are left out.
        thresholds: operating scores in place of the recorded ones.
        detector: weights and device, for `raw`.
    """

    without: tuple[str, ...] = ()
    thresholds: dict[str, float] = field(default_factory=dict)
    detector: DetectorSettings = field(default_factory=DetectorSettings)


AS_RECORDED = Changes()


class _CameraLine:
    """One camera from the stage on: detector (if any), tracker, measure."""

    def __init__(self, sensor_id: str, about: CameraAbout, site: Site | None, changes: Changes) -> None:
        self.sensor_id = sensor_id
        self.band: Band = "infrared" if about.spectrum == "infrared" else "visible"
        self.scan: Scan | None = None  # of the newest update, until its turn on the bus comes
        self.picture: tuple[int, bytes] | None = None  # time and JPEG
        self._thresholds = about.thresholds | changes.thresholds
        settings = TrackerSettings.at(self._thresholds)
        self._tracker = TrackerStage(lambda first: ImageTracker(settings, first_id=first), about.first_id)
        self._measure = camera_measure(site.sensors.get(sensor_id) if site else None, self._thresholds)

    def step(self, recorded: CameraUpdate, detections: Detections) -> CameraUpdate:
        update = replace(recorded, detections=detections, tracks=self._tracker.step(detections))
        self.scan = self._measure(update) if self._measure is not None else None
        return update

    def end(self) -> tuple[int, ...]:
        return self._tracker.end()

    def frame(self, recorded: CameraUpdate) -> Frame | None:
        """The picture of this update, if it was recorded and can be read."""
        picture, self.picture = self.picture, None
        if picture is None or picture[0] != recorded.time_ns:
            return None
        flag = cv2.IMREAD_GRAYSCALE if self.band == "infrared" else cv2.IMREAD_COLOR
        pixels = cv2.imdecode(np.frombuffer(picture[1], np.uint8), flag)
        if pixels is None or pixels.size > MOST_PIXELS:
            return None
        whole = np.asarray(pixels.reshape(*pixels.shape[:2], -1), np.uint8)
        return Frame(self.sensor_id, recorded.time_ns, recorded.sequence, self.band, whole)


class _ArrayLine:
    """One array from its recorded sound on: scans of what is heard now in place of the recorded ones.

    Args:
        make_recogniser: called once there is sound.
    """

    def __init__(self, sensor: Sensor, make_recogniser: Callable[[], Recogniser]) -> None:
        config = sensor.config
        values = {**config.capture, "id": config.id, "microphones": config.microphones or ()}
        self._config = ArrayConfig.model_validate(values)
        self._pose, self._coverage = sensor.pose, sensor.coverage
        self._make_recogniser = make_recogniser
        self._ear: Ear | None = None
        self._looks: deque[tuple[int, Scan | None]] = deque(maxlen=MOST_LOOKS)  # that wait for their turn
        self._told_ns = 0  # up to there all was said, by us or by the recording

    def hear(self, block: Block) -> None:
        """What was kept from before a detection is no news: it makes the ear know its surroundings."""
        if self._ear is None or self._ear.rate_hz != block.rate_hz:
            self._ear = Ear(self._config, block.rate_hz, self._make_recogniser())
        for heard in self._ear.step(block):
            if self._pose is not None and heard.time_ns > self._told_ns:
                scan = heard_scan(heard, self._config.speed_mps, self._pose, self._coverage, recognises=True)
                self._looks.append((heard.time_ns, scan))

    def instead(self, recorded: Scan) -> list[Scan]:
        """All scans up to this one, and in its place what is heard now; itself where its sound was not recorded."""
        near_ns = round(STEP_S / 2 * SECOND_NS)
        looks = self._until(recorded.time_ns + near_ns)
        heard = bool(looks) and looks[-1][0] >= recorded.time_ns - near_ns
        return [scan for _, scan in looks if scan is not None] + ([] if heard else [recorded])

    def overdue(self, now_ns: int) -> list[Scan]:
        """Those of looks of which the recording said nothing."""
        return [scan for _, scan in self._until(now_ns - round(OVERDUE_S * SECOND_NS)) if scan is not None]

    def _until(self, time_ns: int) -> list[tuple[int, Scan | None]]:
        looks = []
        while self._looks and self._looks[0][0] <= time_ns:
            looks.append(self._looks.popleft())
        self._told_ns = max(self._told_ns, time_ns)
        return looks


class Replay:
    """A fold over what a flight holds; `step` gives what the pipeline publishes after it.

    Raises:
        ReplayError: the flight's site cannot be read, or it has no such sensor.
        models.infer.WeightsError: for `raw`, the weights cannot be used.
    """

    def __init__(self, about: About, stage: Stage, clock: Clock, changes: Changes = AS_RECORDED) -> None:
        self.stage = stage
        self.about = about
        self.pictures = 0  # that went through the detector
        self.sound_s = 0.0  # that was heard, of all arrays
        self._without = frozenset(changes.without)
        self._changes = changes
        try:
            self.site = recorded_site(about)
        except FormatError as error:
            raise ReplayError(f"The flight cannot be replayed: {error}.") from None
        self._check_without()
        self._cameras = {name: _CameraLine(name, each, self.site, changes) for name, each in about.cameras.items()}
        self._detectors = self._load() if stage is Stage.RAW else {}
        self._arrays = self._make_arrays() if stage is Stage.RAW else {}
        self._now_ns = 0
        self._bus = Bus(lambda: self._now_ns)
        self._said = self._bus.subscribe("replay", capacity=OUTPUT_CAPACITY, full=Full.REFUSE_NEWEST)
        self._world = self._make_world(clock)

    def _check_without(self) -> None:
        known = self.about.cameras.keys() | (self.site.sensors.keys() if self.site is not None else ())
        unknown = sorted(self._without - known)
        if unknown:
            raise ReplayError(f"The flight has no sensor {unknown[0]!r}: it has {', '.join(sorted(known)) or 'none'}.")

    def step(self, read: Envelope | Stored) -> list[Publication]:
        """What one piece of the file leads to, in order."""
        if isinstance(read, Stored):
            self._keep_picture(read)
            self._hear(read)
            return []
        message, self._now_ns = read.message, read.received_ns
        if getattr(message, "sensor_id", None) in self._without:
            return []
        if self.stage is Stage.TRACKS:
            return [(read.subject, message)]
        return self._again(read.subject, message)

    def _again(self, subject: str, message: Message) -> list[Publication]:
        match message:
            case WorldUpdate() | Alert():
                return [] if self._world is not None else [(subject, message)]
            case CameraUpdate():
                return [(subject, self._look(message))]
            case TracksEnded():
                return self._end(subject, message)
            case Scan() if message.sensor_id in self._arrays:
                return self._bearings(self._arrays[message.sensor_id].instead(message))
            case Scan():
                message = self._own_scan(message)
            case SensorHealth() if message.sensor_id in self._arrays:
                overdue = self._arrays[message.sensor_id].overdue(self._now_ns)
                return [*self._bearings(overdue), (subject, message)]
        return [(subject, message), *self._fuse(message)]

    def _bearings(self, scans: list[Scan]) -> list[Publication]:
        said: list[Publication] = []
        for scan in scans:
            said += [(f"scan.{scan.sensor_id}", scan), *self._fuse(scan)]
        return said

    def _look(self, recorded: CameraUpdate) -> CameraUpdate:
        line = self._cameras.get(recorded.sensor_id)
        if line is None or self.stage is Stage.MEASUREMENTS:
            return recorded
        return line.step(recorded, self._detect(line, recorded))

    def _detect(self, line: _CameraLine, recorded: CameraUpdate) -> Detections:
        frame = line.frame(recorded) if self.stage is Stage.RAW else None
        if frame is None:
            return recorded.detections
        self.pictures += 1
        return self._detectors[line.sensor_id].detect(frame)

    def _end(self, subject: str, recorded: TracksEnded) -> list[Publication]:
        line = self._cameras.get(recorded.sensor_id)
        if line is None or self.stage is Stage.MEASUREMENTS:
            return [(subject, recorded)]
        if line.sensor_id in self._detectors:
            self._detectors[line.sensor_id].forget(line.sensor_id)
        ended = line.end()
        return [(subject, replace(recorded, track_ids=ended))] if ended else []

    def _own_scan(self, recorded: Scan) -> Scan:
        """In place of a camera's recorded scan the one that follows from what was detected and tracked now."""
        line = self._cameras.get(recorded.sensor_id)
        if line is None or line.scan is None or line.scan.sequence != recorded.sequence:
            return recorded
        scan, line.scan = line.scan, None
        return scan

    def _fuse(self, message: Message) -> list[Publication]:
        if self._world is None or not isinstance(message, Scan | Heartbeat | ZoneChange | Trouble):
            return []
        self._world.accept(message)
        return [(each.subject, each.message) for each in self._said.take(0.0)]

    def _make_world(self, clock: Clock) -> World | None:
        if self.stage is Stage.TRACKS or self.site is None or not locates(self.site):
            return None
        return World(self.site, self._bus, clock, self.about.first_world_id, self.about.first_alert)

    def _keep_picture(self, stored: Stored) -> None:
        if self.stage is not Stage.RAW or stored.line.schema != foxglove.IMAGE:
            return
        for name, line in self._cameras.items():
            if stored.line.topic == image_topic(name):
                try:
                    line.picture = (stored.publish_time_ns, foxglove.jpeg_of(bytes(stored.data)))
                except ValueError:
                    line.picture = None

    def _hear(self, stored: Stored) -> None:
        if stored.line.schema != foxglove.SOUND:
            return
        for name, line in self._arrays.items():
            if stored.line.topic == sound_topic(name):
                try:
                    block = foxglove.block_of(name, bytes(stored.data))
                except ValueError:
                    return
                line.hear(block)
                self.sound_s += block.samples.shape[1] / block.rate_hz

    def _make_arrays(self) -> dict[str, _ArrayLine]:
        recogniser = lru_cache(partial(load_recogniser, device=self._changes.detector.device))
        sensors = self.site.sensors.items() if self.site is not None else ()
        arrays = {name: each for name, each in sensors if each.config.kind == ARRAY and name not in self._without}
        return {name: _ArrayLine(sensor, recogniser) for name, sensor in arrays.items()}

    def _load(self) -> dict[str, FrameDetector]:
        return {name: OwnDetector(load(line.band, self._changes.detector)) for name, line in self._cameras.items()}


# ── Whether it came out the same ────────────────────────────────────────────────────────────────────────────────────


class Said(NamedTuple):
    """One message that counts: of which stream, its hash, and its time."""

    stream: str
    hash: bytes
    time_ns: int


def said(message: Message) -> Said | None:
    """Only what a pipeline makes counts, not what it is given."""
    match message:
        case CameraUpdate():
            stream = f"camera {message.sensor_id}"
        case WorldUpdate():
            stream = "world"
        case Alert():
            stream = "alerts"
        case _:
            return None
    return Said(stream, hashlib.sha256(canonical(message)).digest(), message.time_ns)


class Outcome:
    """What was said of each camera and of the site, message by message, as hashes."""

    def __init__(self) -> None:
        self._said: dict[str, list[bytes]] = {}
        self._times: dict[str, list[int]] = {}

    def add(self, said: Said | None) -> None:
        if said is not None:
            self._said.setdefault(said.stream, []).append(said.hash)
            self._times.setdefault(said.stream, []).append(said.time_ns)

    def __len__(self) -> int:
        return sum(map(len, self._said.values()))

    def digest(self) -> str:
        """SHA-256 of everything."""
        whole = hashlib.sha256()
        for stream in sorted(self._said):
            whole.update(stream.encode() + b"\0" + b"".join(self._said[stream]))
        return whole.hexdigest()

    def difference(self, other: Outcome) -> str:
        """Where two first differ, as a sentence; empty where they do not. First is first in time, and of one time what
        the pipeline makes first: so it is the cause that is named and not what follows from it."""
        found = [self._first(stream, other) for stream in self._said.keys() | other._said.keys()]
        return min((each for each in found if each is not None), default=(0, 0, ""))[-1]

    def _first(self, stream: str, other: Outcome) -> tuple[int, int, str] | None:
        """Time, place in the pipeline and sentence of one stream's first difference. What one has beyond the end of the
        other makes no difference while it is less than a second: a recording may end before the last answer came."""
        ours, theirs = self._said.get(stream, []), other._said.get(stream, [])
        times = max(self._times.get(stream, []), other._times.get(stream, []), key=len)
        place = PIPELINE.index(stream.split()[0])
        for k, (a, b) in enumerate(zip(ours, theirs, strict=False)):
            if a != b:
                time_ns = min(self._times[stream][k], other._times[stream][k])
                return time_ns, place, f"{stream} differs from its message {k} on"
        common = min(len(ours), len(theirs))
        if len(times) > common and times[-1] - times[common] > SECOND_NS:
            return times[common], place, f"{stream} has {len(ours)} messages here and {len(theirs)} there"
        return None


# ── Running one ─────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class Run:
    """One replay from its beginning to its end.

    Attributes:
        recorded, replayed: what was said then, and what is said now.
        first_ns, last_ns: bus times of the first and the last message.
    """

    replay: Replay
    recorded: Outcome = field(default_factory=Outcome)
    replayed: Outcome = field(default_factory=Outcome)
    first_ns: int = 0
    last_ns: int = 0

    def over(self, pieces: Iterable[Envelope | Stored]) -> Iterator[tuple[int, Publication]]:
        """What is published, each with its time on the bus."""
        for piece in pieces:
            then, once = None, None
            if isinstance(piece, Envelope):
                self.first_ns, self.last_ns = self.first_ns or piece.received_ns, piece.received_ns
                then, once = piece.message, said(piece.message)
                self.recorded.add(once)
            for publication in self.replay.step(piece):
                self.replayed.add(once if publication[1] is then else said(publication[1]))
                yield self.last_ns, publication


def pieces_of(flights: Iterable[Flight]) -> Iterator[Envelope | Stored]:
    """Parts of one run after each other.

    Raises:
        FlightError: they do not follow each other.
    """
    before: About | None = None
    for flight in flights:
        about = flight.about
        if before is not None and (about.session, about.part) != (before.session, before.part + 1):
            raise FlightError(f"{flight.path} is not the part that follows: name the parts of one run in their order")
        before = about
        yield from flight.read()


class Pace:
    """Waits until a time of the flight is due.

    Args:
        speed: times real time; None as fast as possible.
    """

    def __init__(self, clock: Clock, speed: float | None) -> None:
        self._clock = clock
        self._speed = speed
        self._never = threading.Event()
        self._began: tuple[int, int] | None = None

    def wait(self, time_ns: int) -> None:
        if self._speed is None:
            return
        now_ns = self._clock.monotonic_ns()
        if self._began is None:
            self._began = (now_ns, time_ns)
        due_ns = self._began[0] + (time_ns - self._began[1]) / self._speed
        if due_ns > now_ns:
            self._clock.wait(self._never, (due_ns - now_ns) / SECOND_NS)
