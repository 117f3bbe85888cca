"""The composition root: read this first. It makes every part of the service and says who is wired to whom.

    source: file, folder, RTSP, device, simulation
      │
      ▼  Capture           newest frame wins, the dropped are counted      service.capture
      │  Frame
    ┌─┼──────────── one thread a camera ──────────────────────────────┐    service.camera
    │ ▼  Detector          its own on the CPU, one batch for all on   │    service.detection, models.infer
    │ │  Detections        CUDA                                       │
    │ ▼  ImageTracker      a pure fold                                │    service.stage, tracking.image_tracker
    │ │  ImageTracks                                                  │
    └─┼───────────────────────────────────────────────────────────────┘
      │  CameraUpdate, one per frame, and a Scan where the camera's place is known
      ├──▶ LiveState       newest frame of each camera with its update     service.live ──▶ pictures, lists
      ▼
     Bus ◀── SensorHealth ── Monitor, four looks a second                  service.bus, service.monitor
      │      one order: seq 1, 2, 3…
      ├──▶ World           scans and heartbeats to tracks of the site and  service.world, service.stage,
      │                    alerts, which go back on the bus                fusion.sequencer, .engine, .alerts
      ├──▶ Store           SQL, one writer                                 service.store ──▶ history
      ├──▶ Journal         MCAP, if the site records                       service.journal ──▶ flights
      └──▶ Hub             WebSockets                                      service.hub

Bounds, each with its policy: a capture keeps the newest frame; the store's subscription refuses the newest and counts
(`STORE_CAPACITY`), and so does the world's, which long before that is told fewer looks (`service.thinning`); the hub's
drops the oldest and tells its clients. Nothing that reads can hold a camera up.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Self

import structlog

from fusion.alerts import AlertFold
from fusion.sensors.camera.config import CameraConfig
from fusion.sensors.microphone_array.config import ArrayConfig
from fusion.site import Site
from models.acoustic_infer import load_recogniser
from service import journal, store
from service.bus import Bus, Full, Publisher
from service.camera import Camera, FrameSource
from service.capture import Capture
from service.clock import Clock, SystemClock
from service.detection import DetectorPool
from service.hearing import Hearings, Listener
from service.journal import FrameShelf, Journal
from service.journal_about import about_run
from service.live import LiveState
from service.monitor import Monitor
from service.recording import RecordingSettings
from service.settings import Settings
from service.sound_capture import SoundFeed, sound_feed
from service.sound_shelf import SoundShelf
from service.store import ALERTS, WORLD, Store
from service.troubles import Troubles
from service.upkeep import Upkeep
from service.world import World, camera_measure, locates
from service.zones import Zones
from tracking.image_tracker import ImageTracker
from tracking.settings import TrackerSettings

STORE_CAPACITY = 8192  # updates: two minutes of two cameras at 30 frames a second while the disk does not answer
JOIN_S = 1.5  # for the frames that the cameras have in hand when the service stops

MakeCapture = Callable[[CameraConfig, Clock], FrameSource]
MakeFeed = Callable[[ArrayConfig, Clock], SoundFeed]

log = structlog.get_logger("service.pipeline")


class Pipeline:
    """All that runs between the sources and the readers. Start it, read `live`, `bus` and `store`, stop it.

    Args:
        make_capture, make_feed: open a camera's and an array's source; a simulation gives its own.
        site: where the sensors stand. Without it, or where none has a place, there is no world: every camera follows
            in its own picture.

    Raises:
        StoreError: the store cannot be written.
        RecordingError: the folder of recordings cannot be used, or another service records there.
        models.infer.WeightsError: the detector's weights are missing or not the right ones.
    """

    def __init__(
        self,
        settings: Settings,
        clock: Clock | None = None,
        make_capture: MakeCapture | None = None,
        site: Site | None = None,
        make_feed: MakeFeed | None = None,
    ) -> None:
        self.settings = settings
        self.site = site
        self.clock = clock or SystemClock()
        self._make_capture = make_capture or Capture
        self._make_feed = make_feed or sound_feed
        self.bus = Bus(self.clock.now_ns)
        self.live = LiveState(settings.sensor_ids)
        self.hearings = Hearings()
        self.store = Store(settings.store_url, min_score=settings.store_min_score)
        self.zones = Zones(self.store, self.bus, site)
        self._first_ids: dict[str, int] = {}
        self.detectors = DetectorPool(settings.detector, [camera.spectrum for camera in settings.cameras])
        self.world = self._world(site) if site is not None and locates(site) else None
        self._way: Publisher = self.world.thinning if self.world is not None else self.bus
        self.cameras = [self._camera(config) for config in settings.cameras]
        self._recogniser = load_recogniser(device=settings.detector.device) if settings.arrays else None
        self._sounds = SoundShelf(settings.recording.sound if settings.recording is not None else "none")
        self.arrays = [self._array(config) for config in settings.arrays]
        self._lines: tuple[Camera | Listener, ...] = (*self.cameras, *self.arrays)
        left_out = self.world.thinning.dropped if self.world is not None else None
        self._monitor = Monitor(self._lines, self.live, self.bus, self.clock, left_out)
        self.journal = self._journal(settings.recording) if settings.recording is not None else None
        self._upkeep = Upkeep(self.store, self.journal, self.clock)

    def start(self) -> None:
        """Readers first, then sources: nothing that is published goes unread."""
        if self.journal is not None:
            self.journal.follow(self.bus.subscribe("journal", capacity=journal.CAPACITY, full=Full.REFUSE_NEWEST))
        kept = self.bus.subscribe("store", capacity=STORE_CAPACITY, full=Full.REFUSE_NEWEST, prefixes=store.SUBJECTS)
        self.store.follow(kept)
        if self.world is not None:
            self.world.start()
        self.zones.announce()
        for line in self._lines:
            line.start()
        self._monitor.start()
        self._upkeep.start()
        log.info("started", sensors=[line.sensor_id for line in self._lines], world=self.world is not None)

    def stop(self) -> None:
        """Sources first, then readers: what was published is written before this returns, within 5 s."""
        for line in self._lines:
            line.stop()
        self._monitor.stop()
        with ThreadPoolExecutor(max(1, len(self._lines))) as joining:  # one that is held does not use up others' time
            joined = list(joining.map(lambda line: line.join(JOIN_S), self._lines))
        late = [line.sensor_id for line, done in zip(self._lines, joined, strict=True) if not done]
        if self.world is not None:
            self.world.stop()
        self.bus.close()
        if self.journal is not None:
            self.journal.close()
        self._upkeep.stop()
        self.store.close()
        log.info("stopped", processed=sum(line.processed for line in self._lines), unfinished=late)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:  # a signal too: what runs by now has to be stopped
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _world(self, site: Site) -> World:
        numbers = (self._first_id(WORLD), self._first_id(ALERTS))
        return World(site, self.bus, self.clock, *numbers, self.settings.sensor_ids)

    def _first_id(self, name: str) -> int:
        self._first_ids[name] = self.store.first_id(name)
        return self._first_ids[name]

    def _journal(self, recording: RecordingSettings) -> Journal:
        shelf = FrameShelf(recording.frames)
        self.live.watch(shelf.put)
        about = about_run(self.settings, self.site, self.detectors, self._first_ids, self.clock.now_ns())
        alerts = AlertFold(first_number=self._first_id(ALERTS)) if self.world is None else None
        told = Troubles(self.bus, self.clock, alerts).recording
        return Journal(recording, about, self.clock, site=self.site, shelf=shelf, sounds=self._sounds, on_state=told)

    def _camera(self, config: CameraConfig) -> Camera:
        thresholds = self.detectors.thresholds(config.spectrum)
        tracking = TrackerSettings.at(thresholds)
        placed = self.site.sensors.get(config.id) if self.site is not None else None
        return Camera(
            config.id,
            self._make_capture(config, self.clock),
            make_detector=lambda: self.detectors.get(config.spectrum),
            make_tracker=lambda first_id: ImageTracker(tracking, first_id=first_id),
            first_id=self._first_id(config.id),
            live=self.live,
            bus=self._way,
            clock=self.clock,
            measure=camera_measure(placed, thresholds),
        )

    def _array(self, config: ArrayConfig) -> Listener:
        placed = self.site.sensors.get(config.id) if self.site is not None else None
        return Listener(
            config,
            self._make_feed(config, self.clock),
            make_recogniser=lambda: self._recogniser,
            pose=placed.pose if placed is not None else None,
            coverage=placed.coverage if placed is not None else None,
            hearings=self.hearings,
            bus=self._way,
            clock=self.clock,
            sounds=self._sounds,
        )
