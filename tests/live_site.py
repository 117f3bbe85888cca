"""What the HTTP interface is given in its tests: a real bus, store and live state, and cameras that the test plays."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from fastapi import FastAPI
from starlette.testclient import TestClient

from models.types import Band
from service.api import server
from service.bus import Bus, Full
from service.clock import SystemClock
from service.hearing import Hearings
from service.journal import Journal
from service.live import LiveState
from service.settings import Settings
from service.store import Store
from service.types import CameraUpdate, SensorHealth, SensorState, TracksEnded
from service.world import World
from service.zones import Zones

from camera_updates import frame  # isort: skip


class LiveSite:
    """Two cameras, `cam` and `heat` (infrared), without pipeline: what happens is what `play` says."""

    def __init__(self, folder: Path) -> None:
        self.settings = Settings(
            data_folder=folder,
            cameras=(
                {"id": "cam", "source": "rtsp://user:hunter2@camera.local/stream", "spectrum": "visible"},
                {"id": "heat", "source": "clip.mp4", "spectrum": "infrared"},
            ),
        )
        self.clock = SystemClock()
        self.bus = Bus(self.clock.now_ns)
        self.live = LiveState(("cam", "heat"))
        self.store = Store(folder / "store.sqlite3")
        self.store.follow(self.bus.subscribe("store", capacity=10_000, full=Full.REFUSE_NEWEST))
        self.zones = Zones(self.store, self.bus, None)
        self.world: World | None = None
        self.detectors = Thresholds()
        self.journal: Journal | None = None
        self.hearings = Hearings()

    def play(self, message: CameraUpdate | TracksEnded | SensorHealth) -> None:
        """As the pipeline does it: live state first, then the bus."""
        if isinstance(message, CameraUpdate):
            self.live.put(frame(message.sensor_id, message.sequence, message.sensor_id == "heat"), message)
        elif isinstance(message, SensorHealth):
            self.live.put_health(message)
        self.bus.publish(f"camera.{message.sensor_id}", message)

    def online(self, *sensor_ids: str) -> None:
        for sensor_id in sensor_ids:
            self.play(SensorHealth(sensor_id, SensorState.ONLINE, fps=30.0))

    def close(self) -> None:
        self.bus.close()
        self.store.close()


class Thresholds:
    """In place of the detectors."""

    def thresholds(self, band: Band) -> Mapping[str, float]:
        return {"drone": 0.5, "bird": 0.5}


def local_client(app: FastAPI, *, raise_server_exceptions: bool = True) -> TestClient:
    """A client that names this machine, as a browser on it does."""
    return TestClient(app, headers={"Host": "127.0.0.1:8000"}, raise_server_exceptions=raise_server_exceptions)


@contextmanager
def served(app: FastAPI) -> Iterator[int]:
    """The application under the real server, in a thread; its port."""
    listener = socket.create_server(("127.0.0.1", 0))
    http = server(app, "127.0.0.1", 0)
    thread = threading.Thread(target=lambda: asyncio.run(http.serve([listener])))
    thread.start()
    try:
        while not http.started and thread.is_alive():
            thread.join(0.01)
        yield listener.getsockname()[1]
    finally:
        http.should_exit = True
        thread.join(10)
        listener.close()
