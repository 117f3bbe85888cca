"""The flight recorder: follows the bus and writes every message to MCAP, in the order of the bus.

One thread writes. It never holds anyone up: what it cannot take in time is refused by its subscription and counted, and
the numbers of the bus show the gap to every reader. At most `FLUSH_S` of messages is not yet in the hands of the
operating system, so a killed process loses less than a second; once a second the file is synced to the disk.

A disk that is full, or fails, stops the recording and nothing else: `Journal.state` says so, the log too, and every
`RETRY_S` a new file is tried.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import cv2
import structlog
from mcap.records import Channel, Schema
from mcap.writer import CompressionType, Writer

from fusion.alerts import Alert
from fusion.sensors.microphone_array.source import Block
from fusion.site import Site
from fusion.types import Scan
from models.types import Frame
from service import foxglove
from service.bus import Subscription
from service.clock import Clock
from service.flight_file import CHANNEL_COPY, channel_copy, mend, sealed
from service.journal_about import ABOUT, About, about_record
from service.journal_format import KINDS, PROFILE, encode, event_time_ns, topic_of
from service.recording import GB, FlightFolder, RecordingPolicy, RecordingSettings
from service.sound_shelf import SoundShelf
from service.types import CameraUpdate, Envelope, Message, SensorHealth, WorldUpdate, ZoneChange
from simulation.truth import Truth
from tracking.types import Status

CAPACITY = 16_384  # messages that may wait: minutes, should the disk not answer
TAKE = 1024  # messages written before the time is looked at again
GATHER_S = 0.1  # messages are written together: waking for each would cost as much as writing it
FLUSH_S = 0.4
SYNC_S = 1.0
RETRY_S = 5.0
RETIRE_S = 30.0
BOXES_S = 0.2  # between two sets of boxes of a camera whose pictures are not recorded
MAP_S = 0.5  # between two maps of the tracks
LEAST_SCORE = 0.25  # of a detection that is drawn, or that makes a picture worth keeping
AFTER_S = 2.0  # pictures are kept so long after the last detection
CHUNK_BYTES = 1 << 20
SHELF_BYTES = 256 << 20
MOST_JPEG = 16 << 20
SECOND_NS = 10**9

Open = Callable[[Path], BinaryIO]

log = structlog.get_logger("service.journal")


@dataclass(frozen=True, slots=True)
class JournalState:
    """`recording`; `stopped`: nothing is recorded, `reason` says why in one sentence."""

    state: str = "recording"
    reason: str = ""


@dataclass(slots=True)
class Tally:
    """What was recorded and what was not, since the start."""

    messages: int = 0
    lost: int = 0  # messages that came while nothing could be written
    pictures: int = 0
    pictures_dropped: int = 0
    sounds: int = 0  # blocks


class FrameShelf:
    """Pictures between the camera that had them and the journal that writes them; bounded, the oldest go first.

    Under the policy `detections` those are kept that show a detection of `LEAST_SCORE` or a track, and those of
    `AFTER_S` behind the last of them.
    """

    def __init__(self, policy: RecordingPolicy, most_bytes: int = SHELF_BYTES) -> None:
        self.dropped = 0
        self._policy = policy
        self._most_bytes = most_bytes
        self._held = 0
        self._frames: OrderedDict[tuple[str, int], Frame] = OrderedDict()
        self._last_seen_ns: dict[str, int] = {}
        self._lock = threading.Lock()

    def put(self, frame: Frame, update: CameraUpdate) -> None:
        """Called by the camera's thread before it publishes the update."""
        if self._policy == "none" or not (self._policy == "all" or self._around(update)):
            return
        with self._lock:
            self._frames[frame.sensor_id, frame.sequence] = frame
            self._held += frame.pixels.nbytes
            while self._held > self._most_bytes:
                self._held -= self._frames.popitem(last=False)[1].pixels.nbytes
                self.dropped += 1

    def take(self, update: CameraUpdate) -> Frame | None:
        """The picture of this very update, if it was kept."""
        with self._lock:
            frame = self._frames.pop((update.sensor_id, update.sequence), None)
            self._held -= frame.pixels.nbytes if frame is not None else 0
        return frame

    def _around(self, update: CameraUpdate) -> bool:
        scores = update.detections.scores
        seen = bool(len(scores) and scores[0] >= LEAST_SCORE)
        if seen or any(track.status is not Status.TENTATIVE for track in update.tracks.tracks):
            self._last_seen_ns[update.sensor_id] = update.time_ns
        last_ns = self._last_seen_ns.get(update.sensor_id)
        return last_ns is not None and 0 <= update.time_ns - last_ns <= AFTER_S * SECOND_NS


class Part:
    """One file that is being written.

    Raises:
        OSError: it cannot be written.
    """

    def __init__(self, path: Path, about: About, open_file: Open) -> None:
        self.path = path
        self.started_ns = about.started_ns
        self.messages = 0
        self._about = sealed(about_record(about))
        self._about_again = True  # behind the first chunk, should the beginning be damaged
        self._file = open_file(path)
        self._writer = Writer(self._file, chunk_size=CHUNK_BYTES, compression=CompressionType.ZSTD)
        self._writer.start(PROFILE, f"deeplomatics {about.version}")
        self._writer.add_metadata(ABOUT, self._about)
        self._channels: dict[tuple[str, str], int] = {}
        self._schemas: dict[str, int] = {}
        self._waiting = 0  # bytes of messages that no chunk in the file holds yet

    @property
    def size_bytes(self) -> int:
        """With what waits for its chunk, not yet packed: where a part ends must not hang on when it was flushed."""
        return self._file.tell() + self._waiting

    def add(
        self, topic: str, schema: str, log_time_ns: int, publish_time_ns: int, data: bytes, number: int = 0
    ) -> None:
        """Append a message; `number` shows in other tools as its sequence."""
        channel = self._channels.get((topic, schema)) or self._channel(topic, schema)
        before = self._file.tell()
        self._writer.add_message(channel, log_time_ns, data, publish_time_ns, number & 0xFFFF_FFFF)
        self._waiting = self._waiting + len(data) if self._file.tell() == before else 0
        self.messages += 1

    def flush(self) -> None:
        """Everything so far to the operating system."""
        self._writer.flush()
        self._waiting = 0
        if self._about_again and self.messages:
            self._writer.add_metadata(ABOUT, self._about)
            self._about_again = False

    def sync(self) -> None:
        """Everything flushed to the disk."""
        os.fdatasync(self._file.fileno())

    def end(self) -> None:
        """Write the index and close."""
        try:
            self._writer.finish()
            self._file.flush()
            os.fsync(self._file.fileno())
        finally:
            self._file.close()

    def abandon(self) -> None:
        """Close as it is."""
        try:
            self._file.close()
        except OSError:  # what was buffered does not fit either
            log.warning("the end of a recording is lost", file=str(self.path))

    def _channel(self, topic: str, schema: str) -> int:
        """A new channel; a copy of it goes outside the chunks, so that losing one chunk loses no other's meaning."""
        text = _schema_text(schema)
        if schema not in self._schemas:
            self._schemas[schema] = self._writer.register_schema(schema, "jsonschema", text)
        number = self._schemas[schema]
        channel = self._writer.register_channel(topic, "json", number)
        copy = channel_copy(
            Channel(channel, topic, "json", {}, number),
            Schema(id=number, name=schema, encoding="jsonschema", data=text),
        )
        self._writer.add_metadata(CHANNEL_COPY, copy)
        self._channels[topic, schema] = channel
        return channel


_OURS = {kind.name: kind for kind in KINDS.values()}


def _schema_text(name: str) -> bytes:
    return _OURS[name].schema() if name in _OURS else foxglove.SCHEMAS[name]


def _open(path: Path) -> BinaryIO:
    return path.open("xb")


class Journal:
    """Records one run of a service into a folder, in parts.

    Args:
        about: of the first part.
        site: where sensors stand, for the map; None where there is no site.
        on_state: told when recording stops and when it goes on, in the journal's thread.

    Raises:
        RecordingError: the folder cannot be used, or another service records in it.
    """

    def __init__(
        self,
        settings: RecordingSettings,
        about: About,
        clock: Clock,
        *,
        site: Site | None = None,
        shelf: FrameShelf | None = None,
        sounds: SoundShelf | None = None,
        open_file: Open = _open,
        on_state: Callable[[JournalState], None] = lambda state: None,
    ) -> None:
        self.settings = settings
        self.state = JournalState()
        self._on_state = on_state
        self.tally = Tally()
        self.folder = FlightFolder(settings.folder)
        self.folder.lock()
        self.mended = mend_all(self.folder)
        self._about = about
        self._clock = clock
        self._site = site
        self._shelf = shelf or FrameShelf("none")
        self._sounds = sounds or SoundShelf("none")
        self._open_file = open_file
        self._part: Part | None = None
        self._parts = about.part
        self._due_ns = dict.fromkeys(("flush", "sync", "retry", "retire"), 0)
        self._split = threading.Event()
        self._hurry = threading.Event()
        self._ids = _FirstIds(about)
        self._holding: dict[str, Envelope] = {}  # what was said once and holds on
        self._drawn_ns: dict[str, int] = {}  # when boxes of a camera were last written; 0: none are shown
        self._map_ns = self._truth_ns = 0
        self._thread: threading.Thread | None = None

    @property
    def writing(self) -> Path | None:
        """The file being written, if one is."""
        part = self._part
        return part.path if part is not None else None

    def split(self) -> None:
        """End the file that is being written; the next message begins another."""
        self._split.set()

    def follow(self, subscription: Subscription) -> None:
        """Record all that the subscription brings, until it is closed."""
        self._thread = threading.Thread(target=self._run, args=(subscription,), name="journal")
        self._thread.start()

    def close(self, timeout_s: float = 4.0) -> None:
        """End the file once the (closed) subscription is empty, and let the folder go. Where nothing is followed, and
        `step` was called by somebody else, at once."""
        self._hurry.set()
        if self._thread is None:
            self._end()
        else:
            self._thread.join(timeout_s)
            if self._thread.is_alive():
                log.error("the recording was not ended in time; it is mended at the next start")
                return
        self.folder.unlock()

    # ── The thread ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _run(self, subscription: Subscription) -> None:
        ended = JournalState("stopped", "The program failed on a message; see the log.")
        try:
            while True:
                self._hurry.wait(GATHER_S)
                envelopes = subscription.take(FLUSH_S / 2, TAKE)
                self.step(envelopes)
                if not envelopes and subscription.closed:
                    break
            self._end()
            ended = self.state
        finally:
            self._be(ended)

    def step(self, envelopes: list[Envelope]) -> None:
        """Write these messages and do what is due by the clock. A disk that fails stops the recording."""
        try:
            self._write(envelopes)
            self._tend()
        except OSError as error:
            self._stop((error.strerror or "the disk failed").lower())

    def _write(self, envelopes: list[Envelope]) -> None:
        for envelope in envelopes:
            part = self._part or self._begin(envelope)
            if part is None:
                self._ids.see(envelope.message)  # no number is used twice
                self.tally.lost += 1
                continue
            self._record(part, envelope)
            if self._is_over(part, envelope.received_ns):
                self._split.clear()
                self._end()

    def _tend(self) -> None:
        """What is due by the clock."""
        if self._part is not None and self._is_due("flush", FLUSH_S):
            self._part.flush()
        if self._part is not None and self._is_due("sync", SYNC_S):
            self._part.sync()
            self._keep_reserve()
        if self._is_due("retire", RETIRE_S):
            self._retire()

    def _keep_reserve(self) -> None:
        """Delete what is old, or stop, before the disk has less room than others are to be left."""
        if self._has_room():
            return
        self._retire()
        if not self._has_room():
            self._end()
            self._stop(f"less than {self.settings.reserve_gb:g} GB is free")

    def _has_room(self) -> bool:
        return self.folder.free_bytes() >= self.settings.reserve_gb * GB

    def _is_due(self, what: str, every_s: float) -> bool:
        now_ns = self._clock.monotonic_ns()
        if now_ns < self._due_ns[what]:
            return False
        self._due_ns[what] = now_ns + round(every_s * SECOND_NS)
        return True

    # ── Parts ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _begin(self, first: Envelope) -> Part | None:
        """The next part; None while nothing can be written."""
        now_ns = first.received_ns
        if self.state.state == "stopped" and not self._is_due("retry", RETRY_S):
            return None
        if self.state.state == "stopped":
            mend_all(self.folder)
        self._retire()
        if not self._has_room():
            self._stop(f"less than {self.settings.reserve_gb:g} GB is free")
            return None
        about = self._ids.now(replace(self._about, part=self._parts, started_ns=now_ns, first_seq=first.seq))
        part = Part(self._new_path(now_ns), about, self._open_file)
        self._parts += 1
        self._part = part
        self._place_sensors(part, now_ns)
        for holding in self._holding.values():
            self._record(part, holding)
        if self.state.state == "stopped":
            log.info("recording again", file=str(part.path))
        self._be(JournalState())
        return part

    def _new_path(self, now_ns: int) -> Path:
        """A name that is free; a second service of this second takes the next second's."""
        while (path := self.folder.new_path(now_ns, self._parts)).exists():
            now_ns += SECOND_NS
        return path

    def _is_over(self, part: Part, now_ns: int) -> bool:
        lasted_ns = now_ns - part.started_ns
        return (
            self._split.is_set()
            or part.size_bytes > self.settings.part_gb * GB
            or lasted_ns > self.settings.part_minutes * 60 * SECOND_NS
        )

    def _end(self) -> None:
        part, self._part = self._part, None
        if part is None:
            return
        try:
            part.end()
        except OSError as error:
            self._stop((error.strerror or "the disk failed").lower())

    def _stop(self, reason: str) -> None:
        """Nothing is recorded for now; what was, stays."""
        part, self._part = self._part, None
        if part is not None:
            part.abandon()
        self._is_due("retry", RETRY_S)
        sentence = f"Nothing is recorded in {self.folder.folder}: {reason}. Make room or give another folder."
        if self.state != JournalState("stopped", sentence):
            log.error("recording stopped", folder=str(self.folder.folder), reason=reason)
        self._be(JournalState("stopped", sentence))

    def _be(self, state: JournalState) -> None:
        before, self.state = self.state, state
        if state != before:
            self._on_state(state)

    def _retire(self) -> None:
        gone = self.folder.retire(self.settings, self._clock.now_ns(), self.writing)
        if gone:
            log.info("old recordings deleted", flights=[flight.id for flight in gone])

    # ── Messages ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _record(self, part: Part, envelope: Envelope) -> None:
        """One message; before it its picture or sound, behind it what viewers show."""
        message, now_ns = envelope.message, envelope.received_ns
        if isinstance(message, Scan | SensorHealth):
            for block in self._sounds.take(message.sensor_id):
                self._record_sound(part, block, now_ns)
        pictured = isinstance(message, CameraUpdate) and self._record_picture(part, message, now_ns)
        time_ns = event_time_ns(message) or now_ns
        part.add(topic_of(message), KINDS[type(message)].name, now_ns, time_ns, encode(envelope), envelope.seq)
        self.tally.messages += 1
        self._ids.see(message)
        if isinstance(message, ZoneChange):
            self._holding[message.zone_id] = envelope
        if isinstance(message, CameraUpdate):
            self._record_boxes(part, message, pictured, now_ns)
        elif isinstance(message, WorldUpdate):
            self._record_map(part, message, now_ns)
        elif isinstance(message, Truth):
            self._record_truth(part, message, now_ns)

    def _record_picture(self, part: Part, update: CameraUpdate, now_ns: int) -> bool:
        frame = self._shelf.take(update)
        if frame is None:
            return False
        done, jpeg = cv2.imencode(".jpg", frame.pixels, [cv2.IMWRITE_JPEG_QUALITY, self.settings.quality])
        if not done or jpeg.nbytes > MOST_JPEG:
            self.tally.pictures_dropped += 1
            return False
        data = foxglove.compressed_image(frame.sensor_id, frame.time_ns, jpeg.tobytes())
        part.add(image_topic(frame.sensor_id), foxglove.IMAGE, now_ns, frame.time_ns, data, frame.sequence)
        self.tally.pictures += 1
        return True

    def _record_sound(self, part: Part, block: Block, now_ns: int) -> None:
        part.add(sound_topic(block.sensor_id), foxglove.SOUND, now_ns, block.time_ns, foxglove.raw_audio(block))
        self.tally.sounds += 1

    def _record_boxes(self, part: Part, update: CameraUpdate, pictured: bool, now_ns: int) -> None:
        """With each picture; without pictures now and then. Also the first time that there are none, so that a viewer
        clears the last ones."""
        tracked, sensor_id = bool(update.tracks.tracks), update.sensor_id
        drawn_ns = self._drawn_ns.get(sensor_id, 0)
        if not (drawn_ns or tracked) or (tracked and not pictured and 0 <= now_ns - drawn_ns < BOXES_S * SECOND_NS):
            return
        self._drawn_ns[sensor_id] = now_ns if tracked else 0
        data = foxglove.image_annotations(update.detections, update.tracks, LEAST_SCORE)
        part.add(f"/camera/{sensor_id}/annotations", foxglove.ANNOTATIONS, now_ns, update.time_ns, data)

    def _record_map(self, part: Part, update: WorldUpdate, now_ns: int) -> None:
        if now_ns - self._map_ns >= MAP_S * SECOND_NS:
            self._map_ns = now_ns
            part.add("/world/map", foxglove.GEOJSON, now_ns, update.time_ns, foxglove.track_map(update.tracks))

    def _record_truth(self, part: Part, truth: Truth, now_ns: int) -> None:
        if self._site is not None and now_ns - self._truth_ns >= MAP_S * SECOND_NS:
            self._truth_ns = now_ns
            data = foxglove.truth_map(truth, self._site.frame)
            part.add("/truth/map", foxglove.GEOJSON, now_ns, truth.time_ns, data)

    def _place_sensors(self, part: Part, now_ns: int) -> None:
        if self._site is None:
            return
        for sensor in self._site.sensors.values():
            data = foxglove.location_fix(sensor, self._site.frame, now_ns)
            if data is not None:
                part.add(f"/sensor/{sensor.config.id}/location", foxglove.FIX, now_ns, now_ns, data)


def image_topic(sensor_id: str) -> str:
    return f"/camera/{sensor_id}/image"


def sound_topic(sensor_id: str) -> str:
    return f"/array/{sensor_id}/sound"


class _FirstIds:
    """The numbers that the next tracks would have, for the beginning of the next part."""

    def __init__(self, about: About) -> None:
        self._cameras = dict(about.cameras)
        self._world = about.first_world_id
        self._alert = about.first_alert

    def see(self, message: Message) -> None:
        if isinstance(message, WorldUpdate):
            self._world = max(self._world, message.next_number)
        elif isinstance(message, Alert):
            self._alert = max(self._alert, message.number + 1)
        elif isinstance(message, CameraUpdate) and message.sensor_id in self._cameras:
            camera = self._cameras[message.sensor_id]
            newest = max((track.track_id for track in message.tracks.tracks), default=0)
            if newest >= camera.first_id:
                self._cameras[message.sensor_id] = replace(camera, first_id=newest + 1)

    def now(self, about: About) -> About:
        return replace(about, cameras=dict(self._cameras), first_world_id=self._world, first_alert=self._alert)


def mend_all(folder: FlightFolder) -> int:
    """Mend what a killed service left in a locked folder; how many files."""
    count = 0
    for flight in folder.flights():
        try:
            mended = mend(flight.path)
        except OSError as error:
            log.warning("a recording cannot be mended", file=str(flight.path), reason=error.strerror)
            continue
        if mended is not None:
            count += 1
            log.info("recording mended", file=flight.id, cut_bytes=mended.cut_bytes, kept=mended.kept)
    return count
