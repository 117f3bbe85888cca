"""`/api/v1` over HTTP: tracks, detections, sensors and their pictures.

Without times, lists of tracks are what lives now, from the board; with `since`, `until` or `state=deleted` they are
what was, from the store (which has a live track too, some 500 ms late). Both are sorted by birth, newest first.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from functools import partial
from typing import Annotated, Any, Literal, Protocol, TypeVar

import orjson
from fastapi import APIRouter, HTTPException, Path, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.routing import Match, Route
from starlette.types import Scope

from fusion.sensors.camera.config import CameraConfig
from service import schemas
from service.answers import CSV, AnswerFormat, csv_lines, wanted_format
from service.board import Board, LiveTrack, tracks_page
from service.camera_rows import StoredDetection, StoredTrack
from service.geojson import MEDIA_TYPE as GEOJSON
from service.geojson import feature, feature_collection
from service.live import Latest, LiveState
from service.paging import PAGE_LIMIT, CursorText, Limit, Many, cursor_keys, cursor_text, narrowed, split_commas
from service.problems import documented
from service.schemas import ClassName, Json, rfc3339, rounded
from service.sound_api import Sounds
from service.store import Store
from service.track_ids import TrackId, is_world, no_track, parsed, stored_track
from service.types import SensorHealth
from service.video import Picture, Video
from service.world import World
from service.world_rows import StoredWorldTrack

JSON = "application/json"
MOST_EXPORTED = 100_000
#: Of a table of tracks, of points and of detections.
POINT_COLUMNS = (
    *("time", "state", "class", "score", "existence", "space", "latitude", "longitude", "altitude"),
    *("enu.0", "enu.1", "enu.2", "box.0", "box.1", "box.2", "box.3", "velocity.0", "velocity.1", "velocity.2"),
)
TRACK_COLUMNS = (
    *("id", "first_seen", *POINT_COLUMNS),
    *("sensors", "image_tracks", "claimed_id", "identity", "identity_score", "claim_only"),
)
DETECTION_COLUMNS = ("time", "sensor", "sequence", "class", "score", "box.0", "box.1", "box.2", "box.3")
MJPEG = "multipart/x-mixed-replace; boundary=picture"

Endpoint = Callable[..., Any]
SensorId = Annotated[str, Path(examples=["cam-east"])]


def _split_box(value: object) -> object:
    corners = split_commas(value)
    if isinstance(corners, list) and len(corners) != 4:
        raise ValueError("four numbers are needed: west,south,east,north")
    return corners


Longitude = Annotated[float, Field(ge=-180, le=180, allow_inf_nan=False)]
Latitude = Annotated[float, Field(ge=-90, le=90, allow_inf_nan=False)]
BoundingBox = Annotated[tuple[Longitude, Latitude, Longitude, Latitude], BeforeValidator(_split_box)]

Since = Annotated[
    AwareDatetime | None,
    Field(description="RFC 3339 with a zone; from this instant on", examples=["2026-05-01T12:00:00Z"]),
]
Until = Annotated[AwareDatetime | None, Field(description="up to and with this instant")]


Seconds = Annotated[
    float | None, Field(ge=0, le=1e9, allow_inf_nan=False, description="seconds from birth to end, or to now")
]
Speed = Annotated[
    float | None, Field(ge=0, le=1e6, allow_inf_nan=False, description="of the top speed of a track of the world, m/s")
]


class _Question(BaseModel):
    """Base of all query parameters: a misspelt one is an error, not ignored."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    since: Since = None
    until: Until = None
    limit: Limit = 100
    cursor: CursorText = None


class TracksQuestion(_Question):
    class_: Many[ClassName] = Field(default=[], alias="class", description="only these; several with commas")
    state: Many[Literal["tentative", "confirmed", "coasting", "deleted"]] = Field(default=[])
    sensor: Many[str] = Field(default=[], description="only tracks these sensors contribute to")
    space: Many[Literal["image", "world"]] = Field(
        default=[], description="image: followed in one camera's picture; world: a place on Earth; both unless told"
    )
    bbox: BoundingBox | None = Field(
        default=None,
        description="west,south,east,north in degrees: only tracks with a place within; of past ones, at some time",
    )
    identity: Many[Literal["cooperative", "unknown", "conflicting"]] = Field(default=[])
    claimed_id: Many[str] = Field(default=[], description="what the aircraft said of itself")
    zone: Many[str] = Field(default=[], description="ids of zones: only tracks that were inside at some time")
    min_duration: Seconds = None
    max_duration: Seconds = None
    min_speed: Speed = None
    max_speed: Speed = None
    format: AnswerFormat | None = Field(default=None, description="in place of `Accept`")

    @property
    def is_of_the_past(self) -> bool:
        """Whether it asks for what the board of living tracks does not know; the store has those too."""
        rest = (self.identity, self.claimed_id, self.zone, self.since, self.until)
        bounds = (self.min_duration, self.max_duration, self.min_speed, self.max_speed)
        return any(rest) or any(bound is not None for bound in bounds) or "deleted" in self.state


class HistoryQuestion(_Question):
    """Of one track."""

    format: Literal["json", "csv"] | None = None


class DetectionsQuestion(_Question):
    class_: Many[ClassName] = Field(default=[], alias="class")
    sensor: Many[str] = Field(default=[])
    min_score: float = Field(default=0.0, ge=0, le=1, allow_inf_nan=False)
    format: Literal["json", "csv"] | None = None


class PictureQuestion(BaseModel):
    model_config = ConfigDict(extra="forbid")

    overlay: bool = Field(default=False, description="draw tracks, and detections above their threshold")


class Site(Protocol):
    """What the interface reads of the running pipeline."""

    @property
    def live(self) -> LiveState: ...

    @property
    def store(self) -> Store: ...

    @property
    def world(self) -> World | None: ...


class LiveTracksRoute(Route):
    """`GET /api/v1/tracks` as most ask for it: no parameters, JSON. The page is encoded already and is only sent.

    Everything else at this path goes to the documented route behind, which answers this question with the same bytes;
    parameters and their validation alone cost it more than all of this.
    """

    def __init__(self, board: Board) -> None:
        super().__init__("/api/v1/tracks", self._send, methods=["GET"], include_in_schema=False)
        self._board = board

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        plain = scope["type"] == "http" and scope["method"] == "GET" and not scope["query_string"]
        if not plain or wanted_format(None, Headers(scope=scope)) != "json":
            return Match.NONE, {}
        match, child = super().matches(scope)
        return match, {**child, "route": self}  # as FastAPI's own routes say who they are

    async def _send(self, request: Request) -> Response:
        return Response(self._board.page(), media_type=JSON)


class Rest:
    """The handlers. Those that read the disk or encode pictures do it beside the event loop."""

    def __init__(self, site: Site, cameras: Sequence[CameraConfig], board: Board, video: Video, sounds: Sounds) -> None:
        self._sounds = sounds
        self._reporters = site.world.reporters if site.world else None
        self._cameras = {camera.id: camera for camera in cameras}
        self._live = site.live
        self._store = site.store
        self._board = board
        self._video = video

    def router(self) -> APIRouter:
        """All paths with their documentation."""
        router = APIRouter(prefix="/api/v1", responses=documented(422))
        add = partial(_add, router)
        add("/tracks", self.tracks, schemas.TrackPage, "tracks", "List tracks, live or past", 503)
        add("/tracks/{id}", self.track, schemas.Track, "tracks", "One track, live or past", 404, 406, 503)
        add("/tracks/{id}/history", self.history, schemas.HistoryPage, "tracks", "Points of a track", 404, 503)
        add("/detections", self.detections, schemas.DetectionPage, "detections", "List detections", 503)
        add("/sensors", self.sensors, schemas.SensorList, "sensors", "List sensors and how they are")
        add("/sensors/{id}", self.sensor, schemas.Sensor, "sensors", "One sensor", 404)
        picture = partial(_add_picture, router)
        picture("/sensors/{id}/snapshot.jpg", self.snapshot, "image/jpeg", "The newest picture")
        picture("/sensors/{id}/stream.mjpg", self.stream, MJPEG, "Pictures as they come")
        return router

    # ── Tracks ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def tracks(self, request: Request, question: Annotated[TracksQuestion, Query()]) -> Response:
        """With neither times, `state=deleted`, `identity`, `claimed_id`, `zone`, durations nor speeds: the tracks that
        live now. With one of them: all that were confirmed once and lived within the times. Newest birth first.

        `Accept: application/geo+json` answers those that have a place on Earth, as a FeatureCollection: a point where
        it is known to 50 m, else the ellipse (95 %) that it lies in; `ellipse` is among the properties of each.
        `Accept: text/csv` answers a table. Of the past both hold every track asked for (up to 100 000), unless `limit`
        says how many.
        """
        wanted = wanted_format(question.format, request.headers)
        if wanted != "json" and question.is_of_the_past:
            return await run_in_threadpool(self._export_tracks, question, wanted)
        if question.is_of_the_past:
            page = await run_in_threadpool(self._past_tracks, question)
        else:
            page = self._live_tracks(question)
        if wanted == "json":
            return Response(page, media_type=JSON)
        return _exported(orjson.loads(page)["tracks"], wanted)

    def _export_tracks(self, question: TracksQuestion, wanted: AnswerFormat) -> Response:
        """All pages in one answer."""
        most = question.limit if "limit" in question.model_fields_set else MOST_EXPORTED
        found: list[Json] = []
        while len(found) < most:
            part = question.model_copy(update={"limit": min(PAGE_LIMIT, most - len(found))})
            page = orjson.loads(self._past_tracks(part))
            found += page["tracks"]
            if page["next_cursor"] is None:
                break
            question = question.model_copy(update={"cursor": page["next_cursor"]})
        return _exported(found, wanted)

    def _live_tracks(self, question: TracksQuestion) -> bytes:
        after = cursor_keys(question.cursor, int, int, str)
        found = [track for track in self._board.tracks() if _answers(track, question)]
        rest = [track for track in found if after is None or track.order < after]
        page = rest[: question.limit]
        return tracks_page(page, cursor_text(*page[-1].order) if len(rest) > len(page) else None)

    def _past_tracks(self, question: TracksQuestion) -> bytes:
        states, sensors = tuple(question.state), tuple(question.sensor)
        narrow = narrowed(
            question,
            classes=tuple(question.class_),
            states=states,
            sensors=sensors,
            bbox=question.bbox,
            identities=tuple(question.identity),
            claimed_ids=tuple(question.claimed_id),
            zones=tuple(question.zone),
            min_duration_ns=_ns(question.min_duration),
            max_duration_ns=_ns(question.max_duration),
            min_speed=question.min_speed,
            max_speed=question.max_speed,
        )
        rows: list[StoredTrack | StoredWorldTrack] = []
        if _includes(question, "image") and not narrow.is_of_the_world:
            rows += self._store.tracks(narrow)
        if _includes(question, "world"):
            rows += self._store.world_tracks(narrow)
        rows.sort(key=lambda row: row.key, reverse=True)
        page, next_cursor = _page(rows, question.limit)
        return orjson.dumps({"tracks": [_track_json(row) for row in page], "next_cursor": next_cursor})

    async def track(self, request: Request, id: TrackId) -> Response:
        """What is known of it, live or past. `Accept: application/geo+json` answers a Feature."""
        live = self._board.track(id)
        body = live.json if live else await run_in_threadpool(self._past_track, id)
        if wanted_format(None, request.headers) != "geojson":
            return Response(body, media_type=JSON)
        track = orjson.loads(body)
        if track["latitude"] is None:
            raise HTTPException(406, f"The track {id!r} has no place on Earth yet. Ask for application/json.")
        return Response(orjson.dumps(feature(track)), media_type=GEOJSON)

    def _past_track(self, track_id: str) -> bytes:
        stored = stored_track(self._store, track_id)
        if stored is None:
            raise no_track(track_id)
        return orjson.dumps(_track_json(stored))

    async def history(self, request: Request, id: TrackId, question: Annotated[HistoryQuestion, Query()]) -> Response:
        """All that is known of where it was, oldest first. The newest 500 ms may still be on their way to the disk.
        `format=csv` or `Accept: text/csv` answers this page as a table."""
        page = await run_in_threadpool(self._history, id, question)
        return _page_answer(page, "points", POINT_COLUMNS, wanted_format(question.format, request.headers))

    def _history(self, track_id: str, question: HistoryQuestion) -> bytes:
        rows: list[StoredTrack | StoredWorldTrack] = []
        if is_world(track_id):
            rows += self._store.world_history(track_id, narrowed(question))
        else:
            rows += self._store.history(*parsed(track_id), narrowed(question))
        if not rows and self._board.track(track_id) is None and stored_track(self._store, track_id) is None:
            raise no_track(track_id)
        page, next_cursor = _page(rows, question.limit)
        points = [_point_json(row) for row in page]
        return orjson.dumps({"id": track_id, "points": points, "next_cursor": next_cursor})

    # ── Detections ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def detections(self, request: Request, question: Annotated[DetectionsQuestion, Query()]) -> Response:
        """What the networks found, frame by frame, newest first; down to the score
        that the store keeps (setting `store_min_score`, 0.25 unless told). The live topic has the fainter ones too.
        `format=csv` or `Accept: text/csv` answers this page as a table."""
        page = await run_in_threadpool(self._detections, question)
        return _page_answer(page, "detections", DETECTION_COLUMNS, wanted_format(question.format, request.headers))

    def _detections(self, question: DetectionsQuestion) -> bytes:
        classes, sensors = tuple(question.class_), tuple(question.sensor)
        narrow = narrowed(question, classes=classes, sensors=sensors, min_score=question.min_score)
        page, next_cursor = _page(self._store.detections(narrow), question.limit)
        return orjson.dumps({"detections": [detection_json(row) for row in page], "next_cursor": next_cursor})

    # ── Sensors ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def describe(self, health: SensorHealth) -> Json:
        """A sensor as `schemas.Sensor`."""
        other = self._sounds.describe(health) or (self._reporters and self._reporters.describe(health))
        if other:
            return other
        camera, latest = self._cameras[health.sensor_id], self._live.latest(health.sensor_id)
        size = (latest.update.tracks.width, latest.update.tracks.height) if latest else None
        return schemas.sensor_json(camera.id, camera.spectrum, str(camera.source), health, size)

    def all_sensors(self) -> list[Json]:
        """Every sensor as `schemas.Sensor`, in the order of the configuration."""
        health = (self._live.health(sensor_id) for sensor_id in self._live.sensor_ids)
        posting = self._reporters.all_health() if self._reporters else []
        return [self.describe(each) for each in (*health, *posting) if each is not None]

    async def sensors(self) -> Response:
        """All sensors of the configuration, in its order."""
        return Response(orjson.dumps({"sensors": self.all_sensors()}), media_type=JSON)

    async def sensor(self, id: SensorId) -> Response:
        """One sensor and how it is."""
        posting = self._reporters.health(id) if self._reporters else None
        health = self._live.health(id) or posting
        if health is None:
            raise no_sensor(id)
        return Response(orjson.dumps(self.describe(health)), media_type=JSON)

    async def snapshot(self, id: SensorId, question: Annotated[PictureQuestion, Query()]) -> Response:
        """JPEG of the newest frame; `overlay=1` draws what was found in that very frame. `X-Time` is its capture."""
        latest = self._latest(id)
        if latest is None:
            raise HTTPException(
                503, f"The sensor {id!r} has not delivered a frame yet: try again.", {"Retry-After": "1"}
            )
        picture = await self._video.picture(latest, question.overlay)
        return Response(picture.jpeg, media_type="image/jpeg", headers=_picture_headers(picture))

    async def stream(self, id: SensorId, question: Annotated[PictureQuestion, Query()]) -> Response:
        """MJPEG (`multipart/x-mixed-replace`): the newest frame whenever the reader is ready for one."""
        self._latest(id)
        if self._video.full:
            raise HTTPException(503, "Too many are watching: try again later.", {"Retry-After": "10"})
        return StreamingResponse(self._parts(id, question.overlay), media_type=MJPEG)

    async def _parts(self, sensor_id: str, overlay: bool) -> AsyncIterator[bytes]:
        async with aclosing(self._video.watch(sensor_id, overlay)) as pictures:
            async for picture in pictures:
                yield _part(picture)

    def _latest(self, sensor_id: str) -> Latest | None:
        if self._live.health(sensor_id) is None:
            raise no_sensor(sensor_id)
        return self._live.latest(sensor_id)


def no_sensor(sensor_id: str) -> HTTPException:
    return HTTPException(404, f"There is no sensor {sensor_id!r}. See /api/v1/sensors for those there are.")


def _add(
    router: APIRouter, path: str, endpoint: Endpoint, model: type[BaseModel], tag: str, summary: str, *errors: int
) -> None:
    """A route whose answer is encoded by the handler and described by the model."""
    answers: dict[int | str, dict[str, Any]] = {200: {"model": model}, **documented(*errors)}
    router.add_api_route(path, endpoint, tags=[tag], summary=summary, responses=answers, response_model=None)


def _add_picture(router: APIRouter, path: str, endpoint: Endpoint, media_type: str, summary: str) -> None:
    content = {media_type: {"schema": {"type": "string", "format": "binary"}}}
    answers: dict[int | str, dict[str, Any]] = {200: {"content": content}, **documented(404, 503)}
    router.add_api_route(path, endpoint, tags=["sensors"], summary=summary, responses=answers, response_class=Response)


def _answers(track: LiveTrack, question: TracksQuestion) -> bool:
    return (
        (not question.class_ or track.class_name in question.class_)
        and (not question.state or track.state in question.state)
        and (not question.sensor or any(each in question.sensor for each in track.sensors))
        and _includes(question, "image" if track.place is None else "world")
        and (question.bbox is None or _within(track.place, question.bbox))
    )


def _includes(question: TracksQuestion, space: Literal["image", "world"]) -> bool:
    return not question.space or space in question.space


def _within(place: tuple[float, float] | None, bbox: tuple[float, float, float, float]) -> bool:
    """A box whose west is east of its east crosses the date line (RFC 7946, section 5.2)."""
    if place is None:
        return False
    west, south, east, north = bbox
    inside = west <= place[0] <= east if west <= east else place[0] >= west or place[0] <= east
    return inside and south <= place[1] <= north


def _picture_headers(picture: Picture) -> dict[str, str]:
    return {"X-Time": rfc3339(picture.time_ns), "X-Sequence": str(picture.sequence)}


def _part(picture: Picture) -> bytes:
    """One part of the multipart stream (RFC 2046, section 5.1)."""
    headers = {"Content-Type": "image/jpeg", "Content-Length": str(len(picture.jpeg)), **_picture_headers(picture)}
    lines = [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(["--picture", *lines, "", ""]).encode() + picture.jpeg + b"\r\n"


# ── Pages ───────────────────────────────────────────────────────────────────────────────────────────────────────────


Stored = TypeVar("Stored", StoredTrack | StoredWorldTrack, StoredDetection)


def _page(rows: list[Stored], limit: int) -> tuple[list[Stored], str | None]:
    page = rows[:limit]
    return page, cursor_text(*page[-1].key) if len(rows) > limit else None


def _ns(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1e9)


def _page_answer(page: bytes, name: str, columns: Sequence[str], wanted: AnswerFormat) -> Response:
    if wanted != "csv":
        return Response(page, media_type=JSON)
    return Response(csv_lines(columns, orjson.loads(page)[name]), media_type=CSV)


def _exported(tracks: list[Json], wanted: AnswerFormat) -> Response:
    if wanted == "csv":
        return Response(csv_lines(TRACK_COLUMNS, tracks), media_type=CSV)
    return Response(feature_collection(tracks), media_type=GEOJSON)


def _track_json(row: StoredTrack | StoredWorldTrack) -> Json:
    if isinstance(row, StoredWorldTrack):
        return schemas.world_track_json(row.shown, row.shown.track.time_ns)
    return schemas.track_json(row.sensor_id, row.track, row.time_ns, row.first_ns)


def _point_json(row: StoredTrack | StoredWorldTrack) -> Json:
    if isinstance(row, StoredWorldTrack):
        return schemas.world_point_json(row.shown, row.shown.track.time_ns)
    return schemas.track_point_json(row.track, row.time_ns)


def detection_json(row: StoredDetection) -> Json:
    """A `schemas.Detection`."""
    return {
        "sensor": row.sensor_id,
        "time": rfc3339(row.time_ns),
        "sequence": row.sequence,
        "class": schemas.best_class(row.class_scores),
        "score": round(row.score, 4),
        "box": rounded(row.box, 2),
        "scores": schemas.by_class(row.class_scores),
    }
