"""The HTTP and WebSocket interface: what is served where. `create_app` puts it together, `server` runs it.

/                         the console (service/web)
/docs, /openapi.json      this interface, described; works without internet
/healthz /readyz /metrics for whoever keeps the service running
/api/v1/…                 service.rest, and measurements (service.intake), zones, alerts, plan, sound
/api/v1/ws                service.hub
/api/v1/ws/video          service.video
"""

from __future__ import annotations

import asyncio
import resource
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import orjson
import uvicorn
from fastapi import APIRouter, FastAPI, HTTPException, Response, WebSocket
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fusion.alerts import Alert
from models.types import Band
from service import (
    alerts,
    base_map,
    flights,
    forecast,
    intake,
    marks,
    plan,
    pointing,
    problems,
    schemas,
    score,
    site_draft,
    statistics_api,
    system,
    zones,
)
from service.board import MOST_ALERTS, Board
from service.bus import Bus
from service.clock import Clock
from service.hearing import Hearings
from service.history import Filter
from service.hub import TOPICS, Hub, HubSettings, Topic
from service.journal import Journal
from service.live import LiveState
from service.local_names import LOOPBACK_NAMES, LocalNames
from service.metrics import Metrics, Owners
from service.pages import DESCRIPTION, WEB, serve_console, serve_documentation
from service.rest import LiveTracksRoute, Rest, no_sensor
from service.settings import Settings
from service.sockets import FramesProtocol, until_gone
from service.sound_api import Sounds
from service.store import Store
from service.types import SensorState
from service.video import Video, VideoSettings, Window
from service.world import World, lag_ns
from service.worlds import WorldDispatch, Worlds
from service.zones import Zones

MAX_BODY_BYTES = 1 << 20
OPEN_FILES = 4096
LIVE = "live"  # the world that is no replay

#: On every answer. No scripts, styles or pictures from anywhere but here; pictures of the console are blobs. It may
#: stand in a frame of its own: two worlds side by side are two consoles.
SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; worker-src 'self' blob:; "
    "object-src 'none'; base-uri 'none'; frame-ancestors 'self'; form-action 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Detectors(Protocol):
    def thresholds(self, band: Band) -> Mapping[str, float]:
        """Operating threshold per class."""


class Site(Protocol):
    """What the interface needs of the running pipeline (`service.pipeline.Pipeline`)."""

    @property
    def settings(self) -> Settings: ...

    @property
    def clock(self) -> Clock: ...

    @property
    def bus(self) -> Bus: ...

    @property
    def live(self) -> LiveState: ...

    @property
    def store(self) -> Store: ...

    @property
    def zones(self) -> Zones: ...

    @property
    def world(self) -> World | None: ...

    @property
    def detectors(self) -> Detectors: ...

    @property
    def hearings(self) -> Hearings: ...

    @property
    def journal(self) -> Journal | None: ...


def create_app(
    site: Site,
    *,
    hub_settings: HubSettings | None = None,
    video_settings: VideoSettings | None = None,
    web: Path = WEB,
    world: str = LIVE,
) -> FastAPI:
    """The application for one running pipeline. It follows the bus from its start-up to its shutdown.

    Args:
        world: id of the replay that it shows.
        web: folder of the built console; where it is missing `/` says how to build it.
    """
    board = Board()
    thresholds = {camera.id: site.detectors.thresholds(camera.spectrum) for camera in site.settings.cameras}
    video = Video(site.live, thresholds, video_settings or VideoSettings())
    sounds = Sounds(site.settings.arrays, site.hearings)
    worlds = Worlds(site.clock, lambda replayed: create_app(replayed, web=web, world=replayed.id))
    rest = Rest(site, site.settings.cameras, board, video, sounds)
    hub = Hub(board, rest.describe, rest.all_sensors, hub_settings or HubSettings())
    place = site.world.site if site.world else None
    keeper = score.ScoreKeeper(place, site.bus, site.zones.zones, live=world == LIVE)
    metrics = Metrics(site.clock.now_ns, Owners(site.live, site.bus, site.store, hub, video, site.world))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        following = asyncio.create_task(hub.run(site.bus, (video.accept, metrics.accept)))
        await asyncio.sleep(0)  # it reads the bus from here on: no alert falls between that and what is stored
        board.alerts.recall(await run_in_threadpool(_open_alerts, site.store))
        with keeper.following():
            yield
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await worlds.close_all()

    app = FastAPI(
        title="Deeplomatics",
        version=_version(),
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.state.hub, app.state.video = hub, video
    problems.install(app)
    app.add_middleware(LocalNames, names=LOOPBACK_NAMES | {site.settings.host})
    app.add_middleware(Front, metrics=metrics, clock=site.clock)
    app.add_middleware(WorldDispatch, worlds=worlds)
    app.router.routes.insert(0, LiveTracksRoute(board))
    app.include_router(rest.router())
    app.include_router(sounds.router())
    app.include_router(intake.router(_intake(site)))
    app.include_router(plan.router(site.settings.site_name, place))
    app.include_router(base_map.router(site.settings.map))
    app.include_router(site_draft.router(site.settings.site_name, site.world.site if site.world else None))
    app.include_router(zones.router(site.zones))
    app.include_router(pointing.router(place, board))
    app.include_router(forecast.router(place, board, lambda: site.zones.zones))
    app.include_router(score.router(keeper, world))
    app.include_router(alerts.router(alerts.AlertDesk(site.store, site.bus, site.clock)))
    app.include_router(marks.router(marks.MarkDesk(site.store, board, site.bus, site.clock)))
    app.include_router(statistics_api.router(site.store.database, site.world is not None))
    recording = site.settings.recording
    app.include_router(flights.router(recording.folder if recording else None, site.store, site.journal, worlds))
    store_folder, recording_folder = site.settings.data_folder, recording.folder if recording else None
    app.include_router(system.router(_version(), site.clock.now_ns(), store_folder, recording_folder))
    app.include_router(_operations(site, metrics))
    app.include_router(_sockets(site.live, hub, video))
    serve_documentation(app)
    serve_console(app, web)
    return app


def _open_alerts(store: Store) -> list[Alert]:
    """Those of earlier, and of this start, that nobody took note of; oldest first."""
    store.flush()
    return [each.alert for each in reversed(store.alerts(Filter(limit=MOST_ALERTS), noted=False))]


def _intake(site: Site) -> intake.Intake | None:
    world = site.world
    return None if world is None else intake.Intake(world.site, site.bus, site.clock, lag_ns(world.site))


def server(app: FastAPI, host: str, port: int) -> uvicorn.Server:
    """The server that the application is meant for: quick WebSockets, bounds on what a client may hold open."""
    _allow_open_files()
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        ws=FramesProtocol,
        ws_max_size=64 << 10,
        ws_per_message_deflate=False,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=2,
        log_config=None,
        access_log=False,
        server_header=False,
    )
    return uvicorn.Server(config)


def _allow_open_files() -> None:
    """Every client is an open file, and a usual limit of 1 024 is less than the hub serves: take what we may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < OPEN_FILES:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(OPEN_FILES, hard), hard))


class Front:
    """Before everything else: a bound on what a request may bring, security headers, count and time of each answer."""

    def __init__(self, app: ASGIApp, metrics: Metrics, clock: Clock) -> None:
        self._app = app
        self._metrics = metrics
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start_ns = self._clock.monotonic_ns()

        async def send_counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                _secure(message)
                route = getattr(scope.get("route"), "path", "")
                elapsed_ns = self._clock.monotonic_ns() - start_ns
                self._metrics.count_request(scope["method"], route, message["status"], elapsed_ns)
            await send(message)

        if scope["method"] in ("GET", "HEAD"):  # whatever these bring is never read
            await self._app(scope, receive, send_counted)
        elif int(Headers(scope=scope).get("content-length", "0")) > MAX_BODY_BYTES:
            await problems.too_large_body(scope["path"])(scope, receive, send_counted)
        else:
            await self._app(scope, _bounded(receive), send_counted)


def _bounded(receive: Receive) -> Receive:
    """A body that does not say its size is cut where it becomes too large."""
    received = 0

    async def receive_bounded() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > MAX_BODY_BYTES:
            raise HTTPException(413)
        return message

    return receive_bounded


_SECURITY_HEADERS = [(name.lower().encode(), value.encode()) for name, value in SECURITY_HEADERS.items()]
_NO_STORE = (b"cache-control", b"no-store")


def _secure(start: Message) -> None:
    """What is live is never to be kept by a cache; a file that says how long it lasts may be."""
    named = {name for name, _ in start["headers"]}
    caching = [] if named & {b"cache-control", b"etag"} else [_NO_STORE]
    start["headers"] = [*start["headers"], *_SECURITY_HEADERS, *caching]


def _version() -> str:
    try:
        return version("deeplomatics")
    except PackageNotFoundError:
        return "0"  # run from a checkout that was not installed


# ── For whoever keeps the service running ───────────────────────────────────────────────────────────────────────────


def _operations(site: Site, metrics: Metrics) -> APIRouter:
    router = APIRouter(tags=["operations"])

    @router.get("/healthz", response_model=schemas.Health, summary="Alive")
    async def healthz() -> Response:
        """Answers while the process can answer; says nothing of the sensors."""
        return Response(b'{"status":"ok"}', media_type="application/json")

    unavailable: dict[int | str, dict[str, Any]] = {503: {"model": schemas.Readiness}}

    @router.get("/readyz", response_model=schemas.Readiness, responses=unavailable, summary="Ready, and what is not")
    async def readyz() -> Response:
        """Each sensor's state and the store's. Status 503 while nothing can be served."""
        state = readiness(site.live, site.store, site.world, site.journal)
        status = 503 if state["status"] == "unavailable" else 200
        return Response(orjson.dumps(state), status, media_type="application/json")

    @router.get("/metrics", response_class=PlainTextResponse, summary="Prometheus")
    async def prometheus() -> Response:
        """Where each frame's time goes, frames in, processed and dropped per sensor, requests, clients."""
        return Response(metrics.render(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return router


def readiness(
    live: LiveState, store: Store, world: World | None = None, journal: Journal | None = None
) -> schemas.Json:
    """As `schemas.Readiness`. A recording that is over is no fault."""
    fusion = None if world is None else _fusion(world)
    fused = fusion is None or fusion["state"] == "ok"
    recorded = journal is None or journal.state.state == "recording"
    health = [each for each in map(live.health, live.sensor_ids) if each is not None]
    well = [each for each in health if each.state in (SensorState.ONLINE, SensorState.ENDED)]
    if store.state.state == "failed" or (health and not any(map(_delivers, (each.state for each in health)))):
        status = "unavailable"
    else:
        good = len(well) == len(health) and store.state.state == "ok" and fused and recorded
        status = "ready" if good else "degraded"
    return {
        "status": status,
        "version": _version(),
        "sensors": {each.sensor_id: {"state": each.state.value, "reason": each.reason} for each in health},
        "store": {"state": store.state.state, "reason": store.state.reason},
        "fusion": fusion,
        "recording": None if journal is None else {"state": journal.state.state, "reason": journal.state.reason},
    }


def _fusion(world: World) -> dict[str, str]:
    if not world.running:
        return {"state": "failed", "reason": "A fault in the program ended it; see the log."}
    behind = world.thinning.reason
    return {"state": "behind" if behind else "ok", "reason": behind}


def _delivers(state: SensorState) -> bool:
    return state in (SensorState.ONLINE, SensorState.STALE, SensorState.FROZEN, SensorState.ENDED)


# ── WebSockets ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _sockets(live: LiveState, hub: Hub, video: Video) -> APIRouter:
    router = APIRouter()

    @router.websocket("/api/v1/ws")
    async def updates(websocket: WebSocket, topics: str = "tracks,sensors,alerts", world: str = "live") -> None:
        wanted = frozenset(topics.split(","))
        if refusal := _foreign(websocket) or _unknown(wanted, world) or _crowded(hub.full):
            await _refuse(websocket, *refusal)
            return
        await websocket.accept()
        await hub.serve(websocket, frozenset[Topic](topic for topic in TOPICS if topic in wanted))

    @router.websocket("/api/v1/ws/video")
    async def pictures(websocket: WebSocket, sensor: str = "") -> None:
        missing = (404, str(no_sensor(sensor).detail)) if live.health(sensor) is None else None
        if refusal := _foreign(websocket) or missing or _crowded(video.full):
            await _refuse(websocket, *refusal)
            return
        await websocket.accept()
        window = Window()
        await until_gone(websocket, _send_pictures(websocket, video, sensor, window), window.came)

    return router


async def _send_pictures(websocket: WebSocket, video: Video, sensor: str, window: Window) -> None:
    async with aclosing(video.watch(sensor, overlay=False)) as pictures:
        async for picture in pictures:
            await websocket.send_bytes(picture.message)
            window.sent()
            await window.room()


Refusal = tuple[int, str]


def _foreign(websocket: WebSocket) -> Refusal | None:
    """A browser lets any page open a WebSocket to anywhere, and says whose page it is: only our own may."""
    origin = websocket.headers.get("origin")
    if origin is None or urlsplit(origin).netloc == websocket.headers.get("host"):
        return None
    return 403, "This page was not served from here. Open the console at this service's own address."


def _unknown(topics: frozenset[str], world: str) -> Refusal | None:
    unknown = sorted(topics - set(TOPICS))
    if unknown:
        return 422, f"There is no topic {unknown[0]!r}: the topics are {', '.join(TOPICS)}."
    if world != "live":
        return 404, f"There is no world {world!r}: leave it out for what is live."
    return None


def _crowded(full: bool) -> Refusal | None:
    return (503, "Too many clients are connected: try again later.") if full else None


async def _refuse(websocket: WebSocket, status: int, detail: str) -> None:
    """Answer the upgrade with a problem."""
    headers = {"Retry-After": "10"} if status == 503 else None
    await websocket.send_denial_response(problems.problem(status, detail, websocket.url.path, headers=headers))
