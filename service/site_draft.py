"""`/api/v1/site/file` and `/api/v1/site/check`: a site file to begin a drawing with, and what is wrong with one drawn.

Nothing here changes the running service: a site is taken over by starting with its file. What is checked is what
`deeplomatics check` checks, with the lines of the text that is answered.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import orjson
import yaml
from fastapi import APIRouter, HTTPException, Request, Response
from pydantic import Field
from starlette.concurrency import run_in_threadpool

from fusion.site import Fault, Site, SiteError, SiteFile
from service.problems import documented
from service.schemas import Json, Schema
from service.site import checked_site

_PASSWORD = re.compile(r"(://[^:/@\s]+):(?!\$\{)[^@/\s]+@")
_EMPTY: Json = {"site": {"name": "New site", "origin": {"latitude": 0.0, "longitude": 0.0, "altitude": 0.0}}}


class DraftFault(Schema):
    line: int = Field(description="of `text`, from 1", examples=[7])
    where: str = Field(examples=["sensors[0].position"])
    what: str = Field(description="what is wrong, and the mend")


class DraftVerdict(Schema):
    """What `deeplomatics check` says of a site."""

    text: str = Field(description="the site as YAML: as it was sent, or made of what was sent as JSON")
    faults: list[DraftFault] = Field(description="none: the service can be started with it")


class _Plain(yaml.SafeDumper):
    """Lists of numbers on one line, as a person would write them."""


def _list(dumper: yaml.SafeDumper, items: list[Any]) -> yaml.Node:
    flat = all(not isinstance(item, dict) for item in items)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=flat)


_Plain.add_representer(list, _list)


def site_text(document: Any) -> str:
    """A site as YAML, in the order of its fields."""
    return yaml.dump(document, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=110)


def draft_of(name: str, site: Site | None) -> Json:
    """The site file that the service was started with, without what only a scenario has; passwords become the name of a
    variable."""
    if site is None:
        return _EMPTY | {"site": _EMPTY["site"] | {"name": name}, "sensors": []}
    draft: Json = orjson.loads(
        site.file.model_dump_json(include=set(SiteFile.model_fields), exclude_unset=True, exclude_none=True)
    )
    for sensor in draft["sensors"]:
        if isinstance(sensor.get("source"), str):
            sensor["source"] = _PASSWORD.sub(r"\1:${PASSWORD}@", sensor["source"])
    return draft


def verdict(body: bytes) -> Json:
    """A `DraftVerdict`.

    Raises:
        HTTPException: the body is no text.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise HTTPException(422, "The body is not UTF-8 text: send a site as YAML or JSON.") from None
    if text.lstrip().startswith("{"):
        text = _from_json(text)
    faults: list[Fault] = []
    try:
        checked_site(text, Path())
    except SiteError as error:
        faults = error.faults
    return {"text": text, "faults": [{"line": f.line, "where": f.where, "what": f.what} for f in faults]}


def _from_json(text: str) -> str:
    try:
        return site_text(orjson.loads(text))
    except orjson.JSONDecodeError as error:
        raise HTTPException(422, f"The body is not JSON ({error}). Send a site as YAML or JSON.") from None


def router(name: str, site: Site | None) -> APIRouter:
    """Two paths.

    Args:
        site: that the service runs with; None where nothing has a place.
    """
    router = APIRouter(prefix="/api/v1/site", tags=["sensors"])
    draft = orjson.dumps(draft_of(name, site))
    content = {"application/yaml": {"schema": {"type": "string"}}, "application/json": {"schema": {"type": "object"}}}
    body: Json = {"requestBody": {"required": True, "content": content}}

    @router.get("/file", summary="The site file in use, as JSON")
    async def file() -> Response:
        """As it was read; passwords within addresses are left out."""
        return Response(draft, media_type="application/json")

    @router.post(
        "/check",
        summary="What is wrong with a site file",
        response_model=DraftVerdict,
        responses=documented(422),
        openapi_extra=body,
    )
    async def check(request: Request) -> Response:
        """The same check as `deeplomatics check`. Nothing is changed: start the service with the file to use it."""
        answer = await run_in_threadpool(verdict, await request.body())
        return Response(orjson.dumps(answer), media_type="application/json")

    return router
