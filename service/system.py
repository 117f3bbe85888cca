"""`/api/v1/system`: what runs here, since when, and how much room the disk has for what is recorded and stored."""

from __future__ import annotations

import platform
import shutil
from pathlib import Path

import orjson
from fastapi import APIRouter, Response
from pydantic import Field
from starlette.concurrency import run_in_threadpool

from service.schemas import Json, Schema, Time, rfc3339


class Disk(Schema):
    """The file system of a folder, bytes."""

    free: int
    total: int


class System(Schema):
    version: str = Field(description="of this program", examples=["0.1.0"])
    python: str = Field(examples=["3.12.4"])
    started: Time
    store: Disk = Field(description="where tracks and alerts are kept")
    recording: Disk | None = Field(description="where flights are recorded; null where none are")


def router(version: str, started_ns: int, store: Path, recording: Path | None) -> APIRouter:
    """One path."""
    router = APIRouter(prefix="/api/v1", tags=["operations"])

    @router.get("/system", response_model=System, summary="What runs here, and the room it has")
    async def system() -> Response:
        store_disk, recording_disk = await run_in_threadpool(lambda: (_disk(store), _disk(recording)))
        answer = {"version": version, "python": platform.python_version(), "started": rfc3339(started_ns)}
        body = answer | {"store": store_disk, "recording": recording_disk}
        return Response(orjson.dumps(body), media_type="application/json")

    return router


def _disk(folder: Path | None) -> Json | None:
    if folder is None:
        return None
    usage = shutil.disk_usage(folder)
    return {"free": usage.free, "total": usage.total}
