"""`/api/v1/alerts`: what people should look at, and who took note of it. Found by `fusion.alerts`, kept for good."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, HTTPException, Path, Query, Request, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from service import bodies, problems, schemas
from service.alert_rows import StoredAlert
from service.bus import Bus
from service.clock import Clock
from service.paging import CursorText, Limit, Many, cursor_text, narrowed
from service.schemas import AlertKindName, alert_json
from service.store import Store
from service.types import Acknowledgement

JSON = "application/json"
_ALERT_ID = re.compile(r"A(\d{1,15})", re.ASCII)
_NO_NUL = r"^[^\x00]*$"  # of text that is kept: PostgreSQL has none of it
AlertId = Annotated[str, Path(description="`A<n>`", examples=["A17"])]


class AlertsQuestion(BaseModel):
    model_config = ConfigDict(extra="forbid")

    kind: Many[AlertKindName] = Field(default=[])
    active: bool | None = Field(default=None, description="only those that run, or only those that are over")
    acknowledged: bool | None = None
    since: AwareDatetime | None = Field(default=None, description="RFC 3339 with a zone")
    until: AwareDatetime | None = None
    limit: Limit = 100
    cursor: CursorText = None


class Note(BaseModel):
    """Who says something, and what there is to say of it."""

    model_config = ConfigDict(extra="forbid")

    who: Annotated[str, Field(min_length=1, max_length=100, pattern=_NO_NUL)] = Field(examples=["Meier"])
    note: Annotated[str, Field(max_length=1000, pattern=_NO_NUL)] = Field(
        default="", examples=["our own inspection flight"]
    )


class AlertDesk:
    """Reads what the store has; what is on its way to the disk is waited for."""

    def __init__(self, store: Store, bus: Bus, clock: Clock) -> None:
        self._store = store
        self._bus = bus
        self._clock = clock

    def find(self, question: AlertsQuestion) -> tuple[list[StoredAlert], str | None]:
        """One page, newest first, and the cursor of the next."""
        narrow = narrowed(question)
        self._store.flush()
        rows = self._store.alerts(narrow, kinds=question.kind, active=question.active, noted=question.acknowledged)
        page = rows[: question.limit]
        return page, cursor_text(*page[-1].key) if len(rows) > len(page) else None

    def get(self, alert_id: str) -> StoredAlert:
        match = _ALERT_ID.fullmatch(alert_id)
        self._store.flush()
        found = self._store.alert(int(match[1])) if match else None
        if found is None:
            raise HTTPException(404, f"There is no alert {alert_id!r}. See /api/v1/alerts for those there are.")
        return found

    def acknowledge(self, alert_id: str, note: Note) -> StoredAlert:
        """On disk when it is answered; the first who does it stands, whoever asks again."""
        found = self.get(alert_id)
        if found.acknowledgement is not None:
            return found
        number = found.alert.number
        said = Acknowledgement(number, self._clock.now_ns(), note.who, note.note)
        self._bus.publish(f"acknowledge.{number}", said)
        if not self._store.flush():
            raise HTTPException(503, "The acknowledgement is not on disk: the store does not write. See /readyz.")
        return self.get(alert_id)


def router(desk: AlertDesk) -> APIRouter:
    """All paths with their documentation."""
    router = APIRouter(prefix="/api/v1/alerts", tags=["alerts"], responses=problems.documented(422, 503))

    @router.get("", summary="List alerts", response_model=schemas.AlertPage)
    async def list_alerts(question: Annotated[AlertsQuestion, Query()]) -> Response:
        """Newest first."""
        page, next_cursor = await run_in_threadpool(desk.find, question)
        return _json({"alerts": [_alert_json(each) for each in page], "next_cursor": next_cursor})

    @router.get("/{id}", summary="One alert", response_model=schemas.Alert, responses=problems.documented(404))
    async def get_alert(id: AlertId) -> Response:
        return _json(_alert_json(await run_in_threadpool(desk.get, id)))

    @router.post(
        "/{id}/acknowledge",
        summary="Take note of an alert",
        response_model=schemas.Alert,
        responses=problems.documented(404),
        openapi_extra=bodies.documented(Note),
    )
    async def acknowledge(id: AlertId, request: Request) -> Response:
        """Says who looked at it. The first one stands; asking again changes nothing and is answered the same."""
        note = bodies.read(Note, await request.body())
        return _json(_alert_json(await run_in_threadpool(desk.acknowledge, id, note)))

    return router


def _alert_json(found: StoredAlert) -> schemas.Json:
    return alert_json(found.alert, found.acknowledgement)


def _json(body: Mapping[str, Any]) -> Response:
    return Response(orjson.dumps(body), media_type=JSON)
