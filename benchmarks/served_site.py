"""A served site without cameras, in a process of its own: the load of `rest.py` and `websocket.py`.

    python -m benchmarks.served_site PORT MODE TRACKS RATE_HZ

MODE `service` is the real application under the real server. `naive` is what FastAPI's tutorial leads to: the default
JSON encoder for REST, and for WebSockets a loop that awaits `send_json` to one client after the other. Both publish the
same tracks at RATE_HZ (0: once). A message's `sent_ns` field (service: of the track's `time`) tells when it was made.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import uvicorn
from fastapi import FastAPI, WebSocket

from models.types import CLASSES, Band, Detections
from service import api, schemas
from service.bus import Bus
from service.clock import SystemClock
from service.hearing import Hearings
from service.hub import HubSettings
from service.live import LiveState
from service.settings import Settings
from service.store import Store
from service.types import CameraUpdate, StageTimes
from service.zones import Zones
from tracking.types import ImageTrack, ImageTracks, Status

SENSOR = "cam"


def made_up_track(number: int) -> ImageTrack:
    return ImageTrack(
        track_id=number,
        status=Status.CONFIRMED,
        box=(100.0 + number / 3, 200.0 + number / 7, 14.3, 9.7),
        velocity=(24.51, -3.17),
        covariance=tuple(float(i) / 7 for i in range(16)),
        existence=0.99713,
        class_probabilities=(0.91, 0.05, 0.03, 0.01),
        score=0.9132,
        detection=0,
        age_ns=number * 1_000_000_000,
    )


def update_of(tracks: tuple[ImageTrack, ...], sequence: int) -> CameraUpdate:
    """All tracks, captured now."""
    now = time.time_ns()
    none = np.empty((0, 4), np.float32)
    found = Detections(SENSOR, now, sequence, 640, 512, none, np.empty(0, np.float32), none[:, : len(CLASSES)])
    return CameraUpdate(found, ImageTracks(SENSOR, now, sequence, 640, 512, tracks), StageTimes(now, now, 0, 0, 0, now))


class Thresholds:
    def thresholds(self, band: Band) -> Mapping[str, float]:
        return {}


def service_server(port: int, tracks: tuple[ImageTrack, ...], rate_hz: float) -> uvicorn.Server:
    clock = SystemClock()
    bus = Bus(clock.now_ns)
    settings = Settings(cameras=({"id": SENSOR, "source": "clip.mp4"},))
    store = Store(Path(tempfile.mkdtemp()) / "store.sqlite3")
    site: Any = SimpleNamespace(
        settings=settings,
        clock=clock,
        bus=bus,
        live=LiveState((SENSOR,)),
        store=store,
        zones=Zones(store, bus, None),
        world=None,
        detectors=Thresholds(),
        hearings=Hearings(),
        journal=None,
    )
    app = api.create_app(site, hub_settings=HubSettings(max_clients=10_000))
    http = api.server(app, "127.0.0.1", port)

    async def publish() -> None:
        for sequence in range(1 << 31):
            bus.publish(f"camera.{SENSOR}", update_of(tracks, sequence))
            await asyncio.sleep(1 / rate_hz if rate_hz else 1e9)

    _beside(app, publish)
    return http


def _beside(app: FastAPI, publish: Any) -> None:
    """Run `publish` while the application runs."""
    inner = app.router.lifespan_context

    @contextlib.asynccontextmanager
    async def lifespan(owner: FastAPI) -> AsyncIterator[Any]:
        async with inner(owner) as state:
            task = asyncio.create_task(publish())
            yield state
            task.cancel()

    app.router.lifespan_context = lifespan


def naive_server(port: int, tracks: tuple[ImageTrack, ...], rate_hz: float) -> uvicorn.Server:
    app = FastAPI()
    clients: set[WebSocket] = set()

    def state() -> dict[str, Any]:
        now = time.time_ns()
        return {"tracks": [schemas.track_json(SENSOR, each, now, now) for each in tracks], "next_cursor": None}

    @app.get("/api/v1/tracks", response_model=None)
    async def list_tracks() -> dict[str, Any]:
        return state()

    @app.websocket("/api/v1/ws")
    async def updates(websocket: WebSocket) -> None:
        await websocket.accept()
        clients.add(websocket)
        with contextlib.suppress(Exception):
            await websocket.receive()
        clients.discard(websocket)

    async def publish() -> None:
        while rate_hz:
            now = schemas.rfc3339(time.time_ns())
            messages = [{"type": "update", "time": now, "data": track} for track in state()["tracks"]]
            for client in tuple(clients):
                for message in messages:
                    with contextlib.suppress(Exception):
                        await client.send_json(message)
            await asyncio.sleep(1 / rate_hz)

    _beside(app, publish)
    return uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning", access_log=False))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("port", type=int)
    parser.add_argument("mode", choices=("service", "naive"))
    parser.add_argument("tracks", type=int)
    parser.add_argument("rate_hz", type=float)
    options = parser.parse_args()
    tracks = tuple(made_up_track(number + 1) for number in range(options.tracks))
    make = service_server if options.mode == "service" else naive_server
    make(options.port, tracks, options.rate_hz).run()


if __name__ == "__main__":
    main()
