"""A small site that is recorded as the service does it: trackers, world and journal on one bus, on its own clock."""

from __future__ import annotations

import math
import threading
from pathlib import Path

import numpy as np

from fusion.site import Site
from fusion.types import Heartbeat
from models.types import CLASSES, Detections
from service.bus import Bus, Full
from service.journal import CAPACITY, FrameShelf, Journal
from service.journal_about import About, CameraAbout, site_text
from service.recording import RecordingSettings
from service.stage import TrackerStage
from service.types import CameraUpdate, StageTimes, TracksEnded, ZoneChange
from service.world import World, camera_measure
from tracking.image_tracker import ImageTracker
from tracking.settings import TrackerSettings

import fusion_scene  # isort: skip

START_NS = 1_777_636_800_000_000_000
THRESHOLDS = dict.fromkeys(CLASSES, 0.4)
MORE = """fusion: {lag: 0.3}
zones:
  - {name: yard, kind: exclusion, polygon: [[47.3999, 8.4999], [47.3999, 8.5001], [47.4001, 8.5001], [47.4001, 8.4999]]}
"""


class SceneClock:
    """Says the scene's time; nobody's waiting ends before it is told to."""

    now = START_NS

    def now_ns(self) -> int:
        return self.now

    def monotonic_ns(self) -> int:
        return self.now

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        return event.wait()


def scene_site() -> Site:
    return fusion_scene.site(more=MORE)


def looks(site: Site, seconds: float) -> list[Detections]:
    """Two drones before three cameras with some clutter, in order of time."""
    paths = [fusion_scene.circle(), fusion_scene.circle(phase=math.pi, height_m=27.0)]
    chance = np.random.default_rng(3)
    at: dict[tuple[float, str], list[list[float]]] = {}
    for line in fusion_scene.pixels(site, paths, seconds):
        at.setdefault((line["time"], line["sensor_id"]), []).append(line["point"])
    found = []
    for k, ((time, name), points) in enumerate(sorted(at.items())):
        clutter = chance.uniform([0, 0], [1900, 1000], (3, 2)).tolist()
        boxes = np.array([[u - 8, v - 6, 16, 12] for u, v in points + clutter], np.float32)
        scores = np.array([0.9] * len(points) + [0.1] * len(clutter), np.float32)
        class_scores = np.outer(scores, [1.0, 0.2, 0.1, 0.1]).astype(np.float32)
        time_ns = START_NS + round((time - 100.0) * 1e9)
        found.append(Detections(name, time_ns, k, 1920, 1080, boxes, scores, class_scores))
    return found


def record_scene(folder: Path, seconds: float = 4.0, shelf: FrameShelf | None = None, **settings: float) -> list[Path]:
    """The files of a recorded scene."""
    site, clock = scene_site(), SceneClock()
    bus = Bus(clock.now_ns)
    cameras = {name: CameraAbout("visible", "0" * 64, THRESHOLDS, 5) for name in site.sensors}
    about = About("test", "scene", site=site_text(site), cameras=cameras, first_world_id=7, first_alert=3)
    recording = RecordingSettings.model_validate({"folder": folder, "reserve_gb": 0.0, **settings})
    journal = Journal(recording, about, clock, site=site, shelf=shelf)
    journal.follow(bus.subscribe("journal", capacity=CAPACITY, full=Full.REFUSE_NEWEST))
    world = World(site, bus, clock, 7, 3)
    world.start()
    play(bus, clock, site, seconds)
    world.stop()
    bus.close()
    journal.close()
    return [flight.path for flight in journal.folder.flights()]


def play(bus: Bus, clock: SceneClock, site: Site, seconds: float) -> None:
    """What the cameras' threads and the pulse do."""
    settings = TrackerSettings.at(THRESHOLDS)
    stages = {n: TrackerStage(lambda first: ImageTracker(settings, first_id=first), 5) for n in site.sensors}
    measures = {name: camera_measure(sensor, THRESHOLDS) for name, sensor in site.sensors.items()}
    for zone_id, zone in enumerate(site.file.zones):
        bus.publish(f"zone.{zone_id}", ZoneChange(str(zone_id), zone))
    beat_ns = START_NS
    for look in looks(site, seconds):
        clock.now = look.time_ns + 30_000_000
        while beat_ns < clock.now:
            bus.publish("clock", Heartbeat(beat_ns))
            beat_ns += 100_000_000
        name = look.sensor_id
        if look.sequence % 97 == 96:  # it falls silent for a moment
            ended = stages[name].end()
            if ended:
                bus.publish(f"camera.{name}", TracksEnded(name, clock.now, ended))
        update = CameraUpdate(look, stages[name].step(look), StageTimes(look.time_ns, 0, 1, 2, 3, clock.now))
        bus.publish(f"camera.{name}", update)
        measure = measures[name]
        assert measure is not None
        bus.publish(f"scan.{name}", measure(update))
