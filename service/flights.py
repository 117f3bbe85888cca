"""`/api/v1/flights` and `/api/v1/replays`: what was recorded, and playing it again in a world of its own."""

from __future__ import annotations

from functools import partial
from pathlib import Path as FilePath
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, HTTPException, Path, Query, Response
from fastapi.responses import FileResponse
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from service import catalogue
from service.flight_file import FlightError
from service.flight_rows import FlightEntry
from service.journal import Journal
from service.paging import CursorText, Limit, Many, cursor_text, narrowed
from service.problems import documented
from service.recording import FlightFolder, StoredFlight
from service.replay import Stage
from service.schemas import Json, Time, rfc3339, to_ns
from service.store import Store
from service.worlds import MOST_WORLDS, ReplayWorld, Worlds

JSON = "application/json"
MCAP = "application/octet-stream"
FlightId = Annotated[str, Path(description="name of a flight", max_length=100, examples=["20260501T120000Z-0000"])]
WorldId = Annotated[str, Path(max_length=20, examples=["R1"])]


FlightState = Literal["recording", "whole", "cut", "unreadable"]


class FlightModel(BaseModel):
    """One file of a recorded run; the parts of a run have the same `session`."""

    id: str = Field(examples=["20260501T120000Z-0000"])
    state: FlightState = Field(
        description="cut: its writer was killed, it is mended at the next start; unreadable: `reason` says why"
    )
    reason: str = ""
    bytes: int
    start: Time | None
    end: Time | None = Field(description="of a cut or growing flight null: it would have to be read whole")
    session: str | None
    part: int | None
    version: str | None = Field(description="of the program that recorded it")
    sensors: list[str]
    download: str


class FlightList(BaseModel):
    flights: list[FlightModel]
    next_cursor: str | None


class FlightsQuestion(BaseModel):
    model_config = ConfigDict(extra="forbid")

    since: AwareDatetime | None = Field(default=None, description="RFC 3339 with a zone; that lasted beyond it")
    until: AwareDatetime | None = Field(default=None, description="that began before it")
    sensor: Many[str] = Field(default=[], description="with any of these")
    session: Many[str] = Field(default=[], description="parts of these runs")
    state: Many[FlightState] = Field(default=[])
    limit: Limit = 100
    cursor: CursorText = None


class ReplayModel(BaseModel):
    """A flight that plays. Its tracks, pictures and messages are at every path with `?world=<id>`."""

    id: str = Field(examples=["R1"])
    flight: str
    from_: Stage = Field(alias="from")
    state: Literal["playing", "paused", "ended", "failed"]
    reason: str
    speed: float | None = Field(description="times real time; null: as fast as possible")
    time: Time | None = Field(description="how far it is")
    start: Time | None
    end: Time | None


class ReplayList(BaseModel):
    replays: list[ReplayModel]


class ReplayRequest(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    from_: Stage = Field(default=Stage.TRACKS, alias="from")
    speed: float | Literal["max"] = Field(default=1.0, description="times real time, or max")


class ReplayChange(BaseModel):
    model_config = ConfigDict(extra="forbid")

    paused: bool | None = None
    speed: float | None = Field(default=None, gt=0, le=1000, allow_inf_nan=False)
    seek: AwareDatetime | None = Field(default=None, description="go to this instant of the flight")
    step: int = Field(default=0, ge=0, le=1000, description="messages to play while paused")


def router(folder: FilePath | None, store: Store, journal: Journal | None, worlds: Worlds) -> APIRouter:
    """All paths with their documentation.

    Args:
        folder: of the recordings; None where nothing is recorded.
    """
    desk = _Desk(FlightFolder(folder) if folder is not None else None, store, journal, worlds)
    router = APIRouter(prefix="/api/v1", tags=["flights"])
    add = partial(_add, router)
    add("GET", "/flights", desk.flights, FlightList, "Recorded flights, newest first", 422, 503)
    add("POST", "/flights", desk.split, FlightModel, "End the file being recorded and begin another", 409, status=202)
    add("GET", "/flights/{id}", desk.flight, FlightModel, "One flight", 404)
    download = {200: {"content": {MCAP: {}}}, **documented(404)}
    router.add_api_route(
        "/flights/{id}/download", desk.download, summary="The file (MCAP)", responses=download, response_model=None
    )
    add("POST", "/flights/{id}/replay", desk.replay, ReplayModel, "Play a flight", 404, 422, 503, status=201)
    add("GET", "/replays", desk.replays, ReplayList, "Flights that play")
    add("GET", "/replays/{id}", desk.one_replay, ReplayModel, "How far a replay is", 404)
    add("PATCH", "/replays/{id}", desk.change, ReplayModel, "Pause, step, seek, speed", 404, 422)
    router.add_api_route(
        "/replays/{id}",
        desk.end,
        methods=["DELETE"],
        status_code=204,
        summary="End a replay",
        responses=documented(404),
    )
    return router


def _add(
    router: APIRouter,
    method: str,
    path: str,
    endpoint: Any,
    model: type[BaseModel],
    summary: str,
    *errors: int,
    status: int = 200,
) -> None:
    answers: dict[int | str, dict[str, Any]] = {status: {"model": model}, **documented(*errors)}
    router.add_api_route(
        path, endpoint, methods=[method], status_code=status, summary=summary, responses=answers, response_model=None
    )


class _Desk:
    def __init__(self, folder: FlightFolder | None, store: Store, journal: Journal | None, worlds: Worlds) -> None:
        self._folder = folder
        self._store = store
        self._journal = journal
        self._worlds = worlds

    # ── Flights ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def flights(self, question: Annotated[FlightsQuestion, Query()]) -> Response:
        """The files of the recordings' folder. What its end tells of a cut flight counts as the time of the file."""
        return _answer(await run_in_threadpool(self._list, question))

    def _list(self, question: FlightsQuestion) -> Json:
        if self._folder is None:
            return {"flights": [], "next_cursor": None}
        catalogue.look(self._store, self._folder, self._writing)
        narrow = narrowed(question, keys=(int, str))
        found = self._store.flights(narrow, sensors=question.sensor, sessions=question.session, states=question.state)
        page = found[: question.limit]
        next_cursor = cursor_text(page[-1].start_ns, page[-1].id) if len(found) > len(page) else None
        return {"flights": list(map(_flight_json, page)), "next_cursor": next_cursor}

    async def flight(self, id: FlightId) -> Response:
        """One file of the recordings' folder."""
        return _answer(await run_in_threadpool(lambda: self._describe(self._stored(id))))

    @property
    def _writing(self) -> FilePath | None:
        return self._journal.writing if self._journal is not None else None

    async def split(self) -> Response:
        """A site that records always has a flight; this ends its file, so that it can be taken away whole."""
        writing = self._writing
        if self._journal is None or writing is None:
            raise HTTPException(409, "Nothing is recorded: add `recording: {folder: …}` to the site file.")
        self._journal.split()
        return _answer(self._describe(self._stored(writing.stem)), 202)

    async def download(self, id: FlightId) -> Response:
        """The file, as far as it is written."""
        stored = self._stored(id)
        return FileResponse(stored.path, media_type=MCAP, filename=stored.path.name)

    def _stored(self, flight_id: str) -> StoredFlight:
        path = self._folder.path(flight_id) if self._folder is not None else None
        if path is None:
            raise HTTPException(404, f"There is no flight {flight_id!r}. See /api/v1/flights for those there are.")
        stat = path.stat()
        return StoredFlight(flight_id, path, stat.st_size, stat.st_mtime_ns)

    def _describe(self, stored: StoredFlight) -> Json:
        return _flight_json(catalogue.describe(stored, self._writing))

    # ── Replays ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def replay(self, id: FlightId, wanted: ReplayRequest = ReplayRequest()) -> Response:  # noqa: B008 (a body)
        """Opens a second world, in which the flight plays. What is live does not notice."""
        path = self._stored(id).path
        speed = None if wanted.speed == "max" else wanted.speed
        if speed is not None and not 0.0 < speed <= 1000.0:
            raise HTTPException(422, "speed: give a number above 0 and up to 1000, times real time, or max.")
        if self._worlds.full:
            raise HTTPException(503, f"{MOST_WORLDS} replays run already: end one with DELETE /api/v1/replays/ID.")
        try:
            world = await self._worlds.open(id, path, wanted.from_, speed)
        except FlightError as error:
            raise HTTPException(422, f"{error}.") from None
        return _answer(_replay_json(world), 201)

    async def replays(self) -> Response:
        """All that play."""
        return _answer({"replays": [_replay_json(world) for world in self._worlds.all()]})

    async def one_replay(self, id: WorldId) -> Response:
        """How far it is."""
        return _answer(_replay_json(self._world(id)))

    async def change(self, id: WorldId, wanted: ReplayChange) -> Response:
        """What is left out stays. Going back plays from the beginning, as fast as possible, to that instant."""
        world = self._world(id)
        seek_ns = to_ns(wanted.seek) if wanted.seek is not None else None
        world.player.control(paused=wanted.paused, speed=wanted.speed, seek_ns=seek_ns, steps=wanted.step)
        return _answer(_replay_json(world))

    async def end(self, id: WorldId) -> Response:
        """Its world is gone."""
        if not await self._worlds.close(id):
            raise _no_replay(id)
        return Response(status_code=204)

    def _world(self, world_id: str) -> ReplayWorld:
        world = self._worlds.get(world_id)
        if world is None:
            raise _no_replay(world_id)
        return world


def _no_replay(world_id: str) -> HTTPException:
    return HTTPException(404, f"There is no replay {world_id!r}. See /api/v1/replays for those there are.")


def _flight_json(entry: FlightEntry) -> Json:
    """As `FlightModel`."""
    return {
        "id": entry.id,
        "state": entry.state,
        "reason": entry.reason,
        "bytes": entry.bytes,
        "start": None if entry.state == "unreadable" else rfc3339(entry.start_ns),
        "end": rfc3339(entry.end_ns) if entry.state == "whole" else None,
        "session": entry.session,
        "part": entry.part,
        "version": entry.version,
        "sensors": list(entry.sensors),
        "download": f"/api/v1/flights/{entry.id}/download",
    }


def _answer(body: Json, status: int = 200) -> Response:
    return Response(orjson.dumps(body), status, media_type=JSON)


def _replay_json(world: ReplayWorld) -> Json:
    player, (start_ns, end_ns) = world.player, world.span_ns
    state = "paused" if player.paused and player.state == "playing" else player.state
    return {
        "id": world.id,
        "flight": world.flight_id,
        "from": player.stage.value,
        "state": state,
        "reason": player.reason,
        "speed": player.speed,
        "time": _time(player.position_ns),
        "start": _time(start_ns),
        "end": _time(end_ns),
    }


def _time(time_ns: int) -> str | None:
    return rfc3339(time_ns) if time_ns else None
