"""Second worlds: a flight that plays beside what is live, behind the same interface.

Each world has everything of its own: bus, live state, a store in a folder that goes with it, board, hub, video. Nothing
is shared with what is live but the clock, so nothing of a replay can reach live tracks, alerts or metrics. A request
with `?world=ID` is answered by that world's own application (`WorldDispatch`); a world can only be looked at.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

import cv2
import numpy as np
import structlog
from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Receive, Scope, Send

from fusion.sensors.address import SourceAddress
from fusion.sensors.camera.config import CameraConfig
from fusion.types import Scan
from models.types import Band, Frame
from service import foxglove, store
from service.bus import Bus, Full
from service.clock import Clock
from service.flight_file import Flight, FlightError, Stored
from service.hearing import Hearings
from service.journal_about import About, recorded_site
from service.journal_format import FormatError
from service.live import LiveState
from service.problems import problem
from service.replay import AS_RECORDED, Replay, ReplayError, Stage
from service.settings import Settings
from service.types import CameraUpdate, Message, SensorHealth, TracksEnded, WorldUpdate
from service.world import World, locates
from service.zones import Zones

MOST_WORLDS = 8
STORE_CAPACITY = 8192
NS = 1_000_000_000

log = structlog.get_logger("service.worlds")


class Player:
    """Plays a flight onto a bus, in a thread: pause, step, seek, speed. Used from any thread.

    Going back plays the file from its beginning again, as fast as possible up to the time asked for: only so are the
    tracks there the ones that were.
    """

    def __init__(
        self,
        path: Path,
        stage: Stage,
        speed: float | None,
        clock: Clock,
        publish: Callable[[Replay, str, Message], None],
    ) -> None:
        self.stage = stage
        self.speed = speed
        self.paused = False
        self.state = "playing"
        self.reason = ""
        self.position_ns = 0
        self._path = path
        self._clock = clock
        self._publish = publish
        self._changed = threading.Condition()
        self._steps = 0
        self._skip_to_ns = 0
        self._back = False
        self._stopping = False
        self._anchor: tuple[int, int] | None = None  # monotonic time and time of the flight
        self._pictures: dict[str, tuple[int, bytes]] = {}
        self._thread = threading.Thread(target=self._run, name="player", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join(5.0)

    def control(
        self, *, paused: bool | None = None, speed: float | None = None, seek_ns: int | None = None, steps: int = 0
    ) -> None:
        """Change how it plays; what is None stays. Steps are messages, and are taken while it is paused."""
        with self._changed:
            self.paused = self.paused if paused is None else paused
            self.speed = speed or self.speed
            self._steps += steps
            if seek_ns is not None:
                self._back = seek_ns < self.position_ns
                self._skip_to_ns = seek_ns
            self._anchor = None
            self._changed.notify_all()

    def take_picture(self, sensor_id: str, time_ns: int) -> bytes | None:
        """The JPEG of an update that is being published."""
        picture = self._pictures.pop(sensor_id, None)
        return picture[1] if picture is not None and picture[0] == time_ns else None

    def _run(self) -> None:
        try:
            while not self._stopping:
                self.state = "playing"
                self._back = False
                over = self._play()
                with self._changed:
                    self.state = "ended" if over else self.state
                    self._changed.wait_for(lambda: self._stopping or self._back)
        except (FlightError, ReplayError, OSError) as error:
            self.state, self.reason = "failed", str(error)
            log.warning("a replay failed", reason=str(error))

    def _play(self) -> bool:
        """From the beginning; False when it was stopped or sent back."""
        with Flight(self._path) as flight:
            replay = Replay(flight.about, self.stage, self._clock, AS_RECORDED)
            for piece in flight.read():
                if isinstance(piece, Stored):
                    self._keep_picture(piece)
                elif not self._await_turn(piece.received_ns):
                    return False
                for subject, message in replay.step(piece):
                    self._publish(replay, subject, message)
        return True

    def _await_turn(self, time_ns: int) -> bool:
        """Until this time of the flight may be played; False: not this one any more."""
        with self._changed:
            while not (self._stopping or self._back):
                wait_s = self._wait_s(time_ns)
                if wait_s == 0.0:
                    self.position_ns = time_ns
                    return True
                self._changed.wait(wait_s)
        return False

    def _wait_s(self, time_ns: int) -> float | None:
        """How long; None: until something is asked for."""
        if time_ns < self._skip_to_ns:
            return 0.0
        if self.paused:
            took, self._steps = self._steps > 0, max(0, self._steps - 1)
            return 0.0 if took else None
        if self.speed is None:
            return 0.0
        now_ns = self._clock.monotonic_ns()
        if self._anchor is None:
            self._anchor = (now_ns, time_ns)
        due_ns = self._anchor[0] + (time_ns - self._anchor[1]) / self.speed
        return max(0.0, (due_ns - now_ns) / NS)

    def _keep_picture(self, stored: Stored) -> None:
        if stored.line.schema == foxglove.IMAGE:
            sensor_id = stored.line.topic.removeprefix("/camera/").removesuffix("/image")
            try:
                self._pictures[sensor_id] = (stored.publish_time_ns, foxglove.jpeg_of(bytes(stored.data)))
            except ValueError:
                self._pictures.pop(sensor_id, None)


class RecordedThresholds:
    """In place of the detectors."""

    def __init__(self, about: About) -> None:
        self._by_band = {camera.spectrum: camera.thresholds for camera in about.cameras.values()}

    def thresholds(self, band: Band) -> Mapping[str, float]:
        return self._by_band.get(band, {})


class ReplayWorld:
    """A flight as the interface sees a running site (`service.api.Site`).

    Raises:
        FlightError: the flight cannot be used.
    """

    def __init__(
        self, world_id: str, flight_id: str, path: Path, stage: Stage, speed: float | None, clock: Clock
    ) -> None:
        with Flight(path) as flight:
            self.about = flight.about
            self.span_ns = flight.duration() or (0, 0)
        try:
            site = recorded_site(self.about)
        except FormatError as error:
            raise FlightError(f"{flight_id} cannot be replayed: {error}") from None
        self.id = world_id
        self.flight_id = flight_id
        self.clock = clock
        self.journal = None
        self._folder = tempfile.TemporaryDirectory(prefix="deeplomatics-replay-")
        self.settings = _settings(self.about, Path(self._folder.name))
        self.bus = Bus(clock.now_ns)
        self.live = LiveState(self.settings.sensor_ids)
        self.hearings = Hearings()
        self.detectors = RecordedThresholds(self.about)
        self.store = store.Store(Path(self._folder.name) / "store.sqlite3")
        self.zones = Zones(self.store, self.bus, site)
        read_here = self.settings.sensor_ids
        placed = site is not None and locates(site)
        self.world = World(site, Bus(clock.now_ns), clock, read_here=read_here) if site is not None and placed else None
        self.player = Player(path, stage, speed, clock, self._play)
        self._alive: dict[str, tuple[int, ...]] = {}
        self._shown: tuple[str, ...] = ()
        self._replay: Replay | None = None

    def start(self) -> None:
        wanted = self.bus.subscribe("store", capacity=STORE_CAPACITY, full=Full.REFUSE_NEWEST, prefixes=store.SUBJECTS)
        self.store.follow(wanted)
        self.player.start()

    def stop(self) -> None:
        self.player.stop()
        self.bus.close()
        self.store.close()
        self._folder.cleanup()

    def _play(self, replay: Replay, subject: str, message: Message) -> None:
        if replay is not self._replay:
            self._begin_again(message)
            self._replay = replay
        match message:
            case CameraUpdate():
                self._alive[message.sensor_id] = tuple(track.track_id for track in message.tracks.tracks)
                self._put_picture(message)
            case SensorHealth() if self.live.health(message.sensor_id) is not None:
                self.live.put_health(message)
            case SensorHealth() if self.world is None or self.world.reporters.health(message.sensor_id) is None:
                return  # of a sensor that this world does not list
            case Scan() if self.world is not None:
                self.world.reporters.note(message)
            case WorldUpdate():
                self._shown = tuple(each.track.track_id for each in message.tracks)
        self.bus.publish(subject, message)

    def _begin_again(self, message: Message) -> None:
        """What was shown of a later time is no more."""
        time_ns = getattr(message, "time_ns", self.span_ns[0])
        for sensor_id, numbers in self._alive.items():
            if numbers:
                self.bus.publish(f"camera.{sensor_id}", TracksEnded(sensor_id, time_ns, numbers))
        if self._shown:
            self.bus.publish("world", WorldUpdate(time_ns, (), self._shown, 1))
        self._alive, self._shown = {}, ()

    def _put_picture(self, update: CameraUpdate) -> None:
        jpeg = self.player.take_picture(update.sensor_id, update.time_ns)
        pixels = None if jpeg is None else cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_UNCHANGED)
        if pixels is None:
            return
        band: Band = "infrared" if self.about.cameras[update.sensor_id].spectrum == "infrared" else "visible"
        whole = np.asarray(pixels.reshape(*pixels.shape[:2], -1), np.uint8)
        self.live.put(Frame(update.sensor_id, update.time_ns, update.sequence, band, whole), update)


def _settings(about: About, folder: Path) -> Settings:
    source = SourceAddress.of_file("recording")
    cameras = tuple(
        CameraConfig(id=name, source=source, spectrum="infrared" if each.spectrum == "infrared" else "visible")
        for name, each in about.cameras.items()
    )
    name = about.site_name or "Recorded flight"
    return Settings(data_folder=folder, cameras=cameras, arrays=(), recording=None, site_name=name, store="")


class Worlds:
    """All worlds beside the live one. Used by the event loop's thread alone, but for what is inside a world.

    Args:
        make_app: the application of a site (`service.api.create_app`).
    """

    def __init__(self, clock: Clock, make_app: Callable[[ReplayWorld], FastAPI]) -> None:
        self._clock = clock
        self._make_app = make_app
        self._count = 0
        self._worlds: dict[str, tuple[ReplayWorld, FastAPI, AsyncExitStack]] = {}

    @property
    def full(self) -> bool:
        return len(self._worlds) >= MOST_WORLDS

    def all(self) -> list[ReplayWorld]:
        return [world for world, _, _ in self._worlds.values()]

    def get(self, world_id: str) -> ReplayWorld | None:
        found = self._worlds.get(world_id)
        return found[0] if found is not None else None

    def app(self, world_id: str) -> ASGIApp | None:
        found = self._worlds.get(world_id)
        return found[1] if found is not None else None

    async def open(self, flight_id: str, path: Path, stage: Stage, speed: float | None) -> ReplayWorld:
        """Begin to play a flight in a world of its own.

        Raises:
            FlightError: it cannot be used.
        """
        self._count += 1
        told = (f"R{self._count}", flight_id, path, stage, speed, self._clock)
        world = await run_in_threadpool(ReplayWorld, *told)  # it reads: a flight that was cut, from end to end
        app = self._make_app(world)
        running = AsyncExitStack()
        await running.enter_async_context(app.router.lifespan_context(app))
        self._worlds[world.id] = (world, app, running)
        world.start()
        return world

    async def close(self, world_id: str) -> bool:
        """End a world and forget it; False where there is none."""
        found = self._worlds.pop(world_id, None)
        if found is None:
            return False
        world, _, running = found
        await running.aclose()
        await run_in_threadpool(world.stop)
        return True

    async def close_all(self) -> None:
        for world_id in list(self._worlds):
            await self.close(world_id)


class WorldDispatch:
    """Middleware, outermost: a request that names a world goes to that world's application."""

    def __init__(self, app: ASGIApp, worlds: Worlds) -> None:
        self._app = app
        self._worlds = worlds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if b"world=" not in scope.get("query_string", b"") or scope["path"] == "/":  # the console shows any world
            await self._app(scope, receive, send)
            return
        world_id, rest = _split(scope["query_string"])
        asked, scope = scope, {**scope, "query_string": rest}
        app = self._app if world_id in ("", "live") else self._worlds.app(world_id)
        if app is not None and app is not self._app and scope["type"] == "http" and scope["method"] not in _LOOKING:
            detail = "A replay can only be looked at: leave out world= to change what is live."
            await problem(405, detail, scope["path"], headers={"Allow": "GET, HEAD"})(scope, receive, send)
        elif app is not None:
            await app(scope, receive, send)
        elif scope["type"] == "http":
            await problem(404, _no_world(world_id), scope["path"])(scope, receive, send)
        else:
            await self._app(asked, receive, send)  # the WebSocket's own route refuses a world by its name


_LOOKING = ("GET", "HEAD", "OPTIONS")


def _no_world(world_id: str) -> str:
    return f"There is no world {world_id[:40]!r}: leave world= out for what is live, or see /api/v1/replays."


def _split(query: bytes) -> tuple[str, bytes]:
    """The world that a query names, and the query without it."""
    pairs: list[tuple[str, Any]] = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    world_id = next((value for name, value in pairs if name == "world"), "")
    return world_id, urlencode([pair for pair in pairs if pair[0] != "world"]).encode("ascii")
