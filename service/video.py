"""Pictures for people: JPEG snapshots, MJPEG, and the video socket whose boxes belong to the very frame they lie on.

**The video socket** `WS /api/v1/ws/video?sensor=ID` sends one binary message per picture:

    4 bytes   length of the header, unsigned little endian
    n bytes   header, JSON in UTF-8 (below)
    the rest  the picture of that very frame, JPEG

    {
      "sensor": "cam-east",                  which camera
      "sequence": 1234,                      number of the frame; a gap: frames were left out
      "time": "2026-05-01T12:00:00.123456Z", mid-exposure, UTC
      "width": 640, "height": 512,           of the full-size frame; every box and trail is in its pixels. The JPEG may
                                             be smaller (`VideoSettings.max_side`): draw in these units and scale
      "detections": [                        those at or above the operating threshold of their class
        {"class": "drone", "score": 0.93, "box": [x, y, width, height]}
      ],
      "tracks": [                            all that live in this frame, tentative ones too
        {
          "id": "cam-east-7",                never used again
          "class": "drone",                  the most probable: drone | bird | airplane | helicopter
          "state": "confirmed",              tentative | confirmed | coasting
          "score": 0.91,                     0..1
          "box": [x, y, width, height],
          "trail": [[x, y], …]               centres of the last two seconds, oldest first, the last is this frame's
        }
      ]
    }

A watcher that reads slowly is sent the newest picture when it is ready for one, and nobody else notices. What lies in
the buffers between counts as read, though, and may be seconds old on a slow line: a watcher that answers each picture
with any text message is never sent more than two ahead of its answers (`Window`). A picture is
encoded once for all its watchers, and not at all while nobody watches. While the camera delivers no frames, no message
comes; its state is told by the topic `sensors` of `/api/v1/ws`. An unknown sensor is answered with status 404 in place
of the upgrade.
"""

from __future__ import annotations

import asyncio
import struct
from collections import deque
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import orjson
from numpy.typing import NDArray

from models.types import Detections
from service.live import Latest, LiveState
from service.overlay import draw
from service.schemas import Json, best_class, class_names, rfc3339, rounded
from service.types import CameraUpdate, Message, TracksEnded, public_track_id
from tracking.types import ImageTrack

TRAIL_NS = 2_000_000_000
TRAIL_STEP_NS = 50_000_000  # between two points of a trail: 40 say as much as 60 do
FALLBACK_THRESHOLD = 0.3  # for a class whose detector names none

Pixels = NDArray[np.uint8]
Thresholds = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class VideoSettings:
    """Bounds of pictures for people.

    Attributes:
        quality: of the JPEG, 1..100.
        max_fps: pictures per second and watcher, by capture time; more frames are left out.
        max_side: pixels; larger frames are made smaller, smaller ones stay as they are.
        max_watchers: beyond it a watcher is answered with status 503.
    """

    quality: int = 80
    max_fps: float = 30.0
    max_side: int = 1280
    max_watchers: int = 64


@dataclass(frozen=True)
class Picture:
    """One frame encoded, and what belongs to it."""

    sequence: int
    time_ns: int
    header: bytes
    jpeg: bytes

    @cached_property
    def message(self) -> bytes:
        """As the video socket sends it."""
        return struct.pack("<I", len(self.header)) + self.header + self.jpeg


class Window:
    """How many pictures may be on their way to one watcher: any number until it first says that one has come, from then
    on `size`. Two keep the line busy while an answer is under way."""

    def __init__(self, size: int = 2) -> None:
        self._size = size
        self._under_way = 0
        self._answers = False
        self._room = asyncio.Event()
        self._room.set()

    def sent(self) -> None:
        self._under_way += 1
        self._update()

    def came(self) -> None:
        """The watcher has answered one picture."""
        self._answers = True
        self._under_way = max(0, self._under_way - 1)
        self._update()

    async def room(self) -> None:
        await self._room.wait()

    def _update(self) -> None:
        if self._answers and self._under_way >= self._size:
            self._room.clear()
        else:
            self._room.set()


class Trails:
    """Where the centres of the living tracks of one camera were during the last two seconds."""

    def __init__(self) -> None:
        self._points: dict[int, deque[tuple[int, float, float]]] = {}

    def accept(self, update: CameraUpdate) -> None:
        self._points = {track.track_id: self._extended(track, update.time_ns) for track in update.tracks.tracks}

    def of(self, track: ImageTrack, time_ns: int) -> list[list[float]]:
        """Oldest first, ending with the centre at `time_ns`; no point is younger than that."""
        old = [(t, x, y) for t, x, y in self._points.get(track.track_id, ()) if time_ns - TRAIL_NS <= t < time_ns]
        return [rounded((x, y), 1) for _, x, y in old] + [rounded(_centre(track), 1)]

    def _extended(self, track: ImageTrack, time_ns: int) -> deque[tuple[int, float, float]]:
        points = self._points.get(track.track_id)
        if not points or time_ns < points[-1][0]:  # new, or the source's time went back
            points = deque(maxlen=TRAIL_NS // TRAIL_STEP_NS)
        if not points or time_ns - points[-1][0] >= TRAIL_STEP_NS:
            points.append((time_ns, *_centre(track)))
        return points


class Video:
    """Pictures of every camera for everyone who watches. Used by the event loop's thread; encoding runs beside it.

    Args:
        thresholds: of each camera, the operating threshold per class.
    """

    def __init__(self, live: LiveState, thresholds: Thresholds, settings: VideoSettings = VideoSettings()) -> None:
        self.settings = settings
        self.watchers = 0
        self._live = live
        self._thresholds = thresholds
        self._trails: dict[str, Trails] = {}
        self._news = {sensor_id: asyncio.Event() for sensor_id in live.sensor_ids}
        self._encoding: dict[tuple[str, bool], tuple[Latest, asyncio.Task[Picture]]] = {}

    @property
    def full(self) -> bool:
        return self.watchers >= self.settings.max_watchers

    def accept(self, message: Message) -> None:
        """A listener of the hub."""
        if isinstance(message, CameraUpdate):
            self._trails.setdefault(message.sensor_id, Trails()).accept(message)
            self._wake(message.sensor_id)
        elif isinstance(message, TracksEnded):
            self._trails.pop(message.sensor_id, None)

    def _wake(self, sensor_id: str) -> None:
        news, self._news[sensor_id] = self._news[sensor_id], asyncio.Event()
        news.set()

    async def watch(self, sensor_id: str, overlay: bool) -> AsyncGenerator[Picture]:
        """The newest picture whenever the watcher is ready for one; without end."""
        self.watchers += 1
        last: Latest | None = None
        try:
            while True:
                news = self._news[sensor_id]
                latest = self._live.latest(sensor_id)
                if latest is None or latest is last or self._too_soon(last, latest):
                    await news.wait()
                    continue
                last = latest
                yield await self.picture(latest, overlay)
        finally:
            self.watchers -= 1

    async def picture(self, latest: Latest, overlay: bool) -> Picture:
        """A frame encoded, shared by all that ask for the same one."""
        key = (latest.frame.sensor_id, overlay)
        held = self._encoding.get(key)
        if held is None or held[0] is not latest:
            held = (latest, asyncio.create_task(self._encode(latest, overlay)))
            self._encoding[key] = held
        return await asyncio.shield(held[1])

    def _too_soon(self, last: Latest | None, latest: Latest) -> bool:
        elapsed_ns = latest.frame.time_ns - last.frame.time_ns if last else 0
        return 0 < elapsed_ns < 0.9e9 / self.settings.max_fps

    async def _encode(self, latest: Latest, overlay: bool) -> Picture:
        frame = latest.frame
        header = orjson.dumps(self._header(latest))
        shown = self._shown(latest.update.detections)
        jpeg = await asyncio.to_thread(encode_jpeg, latest, self.settings, shown if overlay else None)
        return Picture(frame.sequence, frame.time_ns, header, jpeg)

    def _header(self, latest: Latest) -> Json:
        frame, tracks = latest.frame, latest.update.tracks
        trails = self._trails.get(frame.sensor_id) or Trails()
        return {
            "sensor": frame.sensor_id,
            "sequence": frame.sequence,
            "time": rfc3339(frame.time_ns),
            "width": tracks.width,
            "height": tracks.height,
            "detections": self._shown(latest.update.detections),
            "tracks": [
                {
                    "id": public_track_id(frame.sensor_id, track.track_id),
                    "class": best_class(track.class_probabilities),
                    "state": track.status.value,
                    "score": round(track.score, 3),
                    "box": rounded(track.box, 1),
                    "trail": trails.of(track, frame.time_ns),
                }
                for track in tracks.tracks
            ],
        }

    def _shown(self, found: Detections) -> list[Json]:
        """Detections at or above the operating threshold of their class."""
        thresholds = self._thresholds[found.sensor_id]
        named = zip(class_names(found.class_scores), found.scores.tolist(), found.boxes.tolist(), strict=True)
        return [
            {"class": name, "score": round(score, 3), "box": rounded(box, 1)}
            for name, score, box in named
            if score >= thresholds.get(name, FALLBACK_THRESHOLD)
        ]


def encode_jpeg(latest: Latest, settings: VideoSettings, detections: list[Json] | None) -> bytes:
    """The frame as JPEG, no larger than `settings.max_side`; with boxes when detections are given."""
    frame = latest.frame
    scale = min(1.0, settings.max_side / max(frame.pixels.shape[:2]))
    pixels = _scaled(frame.pixels, scale)
    if detections is not None:
        boxes = [found["box"] for found in detections]
        pixels = draw(_with_channels(pixels), latest.update.tracks, scale=scale, detections=boxes)
    _, jpeg = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, settings.quality])
    return bytes(jpeg)


def _scaled(pixels: Pixels, scale: float) -> Pixels:
    if scale == 1.0:
        return pixels
    height, width = pixels.shape[:2]
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


def _with_channels(pixels: Pixels) -> Pixels:
    """[H, W, C] also where OpenCV dropped a lone channel."""
    return pixels if pixels.ndim == 3 else pixels[..., np.newaxis]


def _centre(track: ImageTrack) -> tuple[float, float]:
    x, y, width, height = track.box
    return x + width / 2, y + height / 2
