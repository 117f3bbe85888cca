"""What is true now: per camera the newest frame with what was found in that very frame, and each sensor's health.

Written by the camera workers, read by the API and the console's pictures. Everything handed out is immutable, so
readers keep it as long as they like; pixels are neither copied nor changed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from models.types import Frame
from service.types import CameraUpdate, SensorHealth, SensorState


@dataclass(frozen=True, slots=True)
class Latest:
    """A frame and what was found in it: `frame.sequence == update.sequence`."""

    frame: Frame
    update: CameraUpdate


class LiveState:
    """The newest of each sensor. One slot per sensor: a new value replaces the old one, nothing queues."""

    def __init__(self, sensor_ids: tuple[str, ...]) -> None:
        self.sensor_ids = sensor_ids
        self._latest: dict[str, Latest] = {}
        self._health = {sensor_id: SensorHealth(sensor_id, SensorState.STARTING) for sensor_id in sensor_ids}
        self._changed = threading.Condition()
        self._watchers: tuple[Callable[[Frame, CameraUpdate], None], ...] = ()

    def watch(self, watcher: Callable[[Frame, CameraUpdate], None]) -> None:
        """Hand every frame to a watcher too, in the thread of its camera: it must return at once and not raise."""
        self._watchers = (*self._watchers, watcher)

    def put(self, frame: Frame, update: CameraUpdate) -> None:
        """Called before the update goes on the bus, so that who reads the update finds its picture."""
        for watcher in self._watchers:
            watcher(frame, update)
        with self._changed:
            self._latest[frame.sensor_id] = Latest(frame, update)
            self._changed.notify_all()

    def put_health(self, health: SensorHealth) -> None:
        with self._changed:
            self._health[health.sensor_id] = health

    def latest(self, sensor_id: str) -> Latest | None:
        """None before the first frame and for an unknown sensor."""
        return self._latest.get(sensor_id)

    def health(self, sensor_id: str) -> SensorHealth | None:
        """None for an unknown sensor."""
        return self._health.get(sensor_id)

    def wait(self, sensor_id: str, after: Latest | None, timeout_s: float) -> Latest | None:
        """The newest once it is another one than `after`; None if that does not happen in time."""

        def newer() -> Latest | None:
            latest = self._latest.get(sensor_id)
            return None if latest is after else latest

        with self._changed:
            return self._changed.wait_for(newer, timeout_s)
