"""What people say tracks were: `POST /api/v1/tracks/{id}/mark`, `POST /api/v1/alerts/{id}/mark`, `GET /api/v1/marks`.

A mark goes on the bus, so that it is in the flight that is being recorded, and is on disk before it is answered. With
`deeplomatics export --format coco` the pictures of marked tracks become labelled data.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Annotated

import orjson
from fastapi import APIRouter, HTTPException, Query, Request, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from service import bodies, problems, schemas
from service.alerts import AlertDesk, AlertId, Note
from service.board import Board
from service.bus import Bus
from service.clock import Clock
from service.paging import CursorText, Limit, Many, cursor_text, narrowed
from service.schemas import mark_json
from service.store import MARKS, Store
from service.track_ids import TrackId, no_track, stored_track
from service.types import Mark, Verdict

JSON = "application/json"


class MarksQuestion(BaseModel):
    model_config = ConfigDict(extra="forbid")

    track: Many[str] = Field(default=[], description="of these tracks")
    verdict: Many[Verdict] = Field(default=[])
    who: Many[str] = Field(default=[])
    since: AwareDatetime | None = Field(default=None, description="RFC 3339 with a zone; when it was said")
    until: AwareDatetime | None = None
    limit: Limit = 100
    cursor: CursorText = None


class Said(Note):
    """What a track was, and who says so."""

    verdict: Verdict = Field(description="unclear takes an earlier word back", examples=["drone"])


class MarkDesk:
    """Takes marks and finds them."""

    def __init__(self, store: Store, board: Board, bus: Bus, clock: Clock) -> None:
        self._store = store
        self._board = board
        self._bus = bus
        self._clock = clock
        self._alerts = AlertDesk(store, bus, clock)
        self._next = store.first_id(MARKS)
        self._lock = threading.Lock()

    def find(self, question: MarksQuestion) -> tuple[list[Mark], str | None]:
        """One page, newest first, and the cursor of the next."""
        narrow = narrowed(question)
        self._store.flush()
        found = self._store.marks(narrow, tracks=question.track, verdicts=question.verdict, who=question.who)
        page = found[: question.limit]
        return page, cursor_text(page[-1].time_ns, page[-1].number) if len(found) > len(page) else None

    def mark_track(self, track_id: str, said: Said) -> Mark:
        if self._board.track(track_id) is None and stored_track(self._store, track_id) is None:
            raise no_track(track_id)
        return self._mark(track_id, said, None)

    def mark_alert(self, alert_id: str, said: Said) -> Mark:
        """Of the track that it is about."""
        alert = self._alerts.get(alert_id).alert
        if alert.track_id is None:
            raise HTTPException(404, f"The alert {alert_id} is about no track.")
        return self._mark(alert.track_id, said, alert.number)

    def _mark(self, track_id: str, said: Said, alert: int | None) -> Mark:
        with self._lock:
            number, self._next = self._next, self._next + 1
            mark = Mark(number, self._clock.now_ns(), track_id, said.verdict, said.who, said.note, alert)
            self._bus.publish(f"mark.{number}", mark)
        if not self._store.flush():
            raise HTTPException(503, "The mark is not on disk: the store does not write. See /readyz.")
        return mark


def router(desk: MarkDesk) -> APIRouter:
    """All paths with their documentation."""
    router = APIRouter(prefix="/api/v1", tags=["marks"], responses=problems.documented(422, 503))

    @router.get("/marks", summary="What people said tracks were", response_model=schemas.MarkPage)
    async def list_marks(question: Annotated[MarksQuestion, Query()]) -> Response:
        """Newest first; the newest of a track counts."""
        page, next_cursor = await run_in_threadpool(desk.find, question)
        return _json({"marks": [mark_json(each) for each in page], "next_cursor": next_cursor})

    post = partial(
        router.post,
        status_code=201,
        response_model=schemas.Mark,
        responses=problems.documented(404),
        openapi_extra=bodies.documented(Said),
    )

    @post("/tracks/{id}/mark", summary="Say what a track was")
    async def mark_track(id: TrackId, request: Request) -> Response:
        """Live or past, of the world or of one picture. Earlier marks stay; the newest counts."""
        return await _marked(desk.mark_track, id, request)

    @post("/alerts/{id}/mark", summary="Say what the track of an alert was")
    async def mark_alert(id: AlertId, request: Request) -> Response:
        """As of the track itself; the alert is noted with it."""
        return await _marked(desk.mark_alert, id, request)

    return router


async def _marked(mark: Callable[[str, Said], Mark], name: str, request: Request) -> Response:
    said = bodies.read(Said, await request.body())
    return _json(mark_json(await run_in_threadpool(mark, name, said)), 201)


def _json(body: schemas.Json, status: int = 200) -> Response:
    return Response(orjson.dumps(body), status, media_type=JSON)
