"""`/api/v1/zones`: parts of the air that people are told of when something flies into them.

A change goes on the bus like everything that tracks and alerts follow from, and is on disk before it is answered.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, HTTPException, Path, Request, Response
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool

from fusion.site import Site, Zone
from service import problems, schemas
from service.bus import Bus
from service.store import Store
from service.types import ZoneChange

MOST_ZONES = 200
JSON = "application/json"
_NO_ID = re.compile(r"[^a-z0-9]+")
ZoneId = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$", examples=["runway"])]


def zone_id(name: str, taken: Mapping[str, object]) -> str:
    """An id made of a zone's name that no other zone has: `Runway 2` is `runway-2`."""
    plain = _NO_ID.sub("-", name.lower()).strip("-")[:48] or "zone"
    candidates = (plain, *(f"{plain}-{n}" for n in range(2, len(taken) + 3)))
    return next(each for each in candidates if each not in taken)


def by_id(zones: tuple[Zone, ...]) -> dict[str, Zone]:
    """Zones of a site file, each with an id made of its name."""
    named: dict[str, Zone] = {}
    for zone in zones:
        named[zone_id(zone.name, named)] = zone
    return named


class Zones:
    """The zones there are; used by the event loop's thread alone once the service runs.

    Args:
        site: whose file's zones are taken over where the file has changed.
    """

    def __init__(self, store: Store, bus: Bus, site: Site | None) -> None:
        if site is not None:
            store.seed_zones(by_id(site.file.zones))
        self._store = store
        self._bus = bus
        self.zones = store.zones()

    def announce(self) -> None:
        """Put all of them on the bus, once its readers are there."""
        for each, zone in self.zones.items():
            self._bus.publish(f"zone.{each}", ZoneChange(each, zone))

    async def put(self, name: str, zone: Zone) -> None:
        """Raises HTTPException when there are too many, or the change could not be written."""
        if name not in self.zones and len(self.zones) >= MOST_ZONES:
            raise HTTPException(409, f"There are {MOST_ZONES} zones already. Delete one first.")
        await self._change(name, zone)

    async def remove(self, name: str) -> None:
        await self._change(name, None)

    async def _change(self, name: str, zone: Zone | None) -> None:
        if zone is None:
            self.zones.pop(name, None)
        else:
            self.zones[name] = zone
        self._bus.publish(f"zone.{name}", ZoneChange(name, zone))
        if not await run_in_threadpool(self._store.flush):
            raise HTTPException(503, "The zone holds until the next start only: the store does not write. See /readyz.")


def zone_json(name: str, zone: Zone) -> schemas.Json:
    """A `schemas.Zone`."""
    return {"id": name, **zone.model_dump()}


def router(zones: Zones) -> APIRouter:
    """All paths with their documentation."""
    router = APIRouter(prefix="/api/v1/zones", tags=["zones"], responses=problems.documented(422))
    shape = {"schema": schemas.ZoneShape.model_json_schema()}
    body: dict[str, Any] = {"requestBody": {"required": True, "content": {JSON: shape}}}

    @router.get("", summary="List zones", response_model=schemas.ZoneList)
    async def list_zones() -> Response:
        """All zones, in order of their ids."""
        found = [zone_json(name, zones.zones[name]) for name in sorted(zones.zones)]
        return _json({"zones": found})

    @router.get("/{id}", summary="One zone", response_model=schemas.Zone, responses=problems.documented(404))
    async def get_zone(id: ZoneId) -> Response:
        return _json(zone_json(id, _known(zones, id)))

    @router.post(
        "",
        summary="Add a zone",
        status_code=201,
        response_model=schemas.Zone,
        responses=problems.documented(409, 503),
        openapi_extra=body,
    )
    async def post_zone(request: Request) -> Response:
        """Its id is made of its name."""
        zone = await _read(request)
        name = zone_id(zone.name, zones.zones)
        await zones.put(name, zone)
        return _json(zone_json(name, zone), 201, {"Location": f"/api/v1/zones/{name}"})

    @router.put(
        "/{id}",
        summary="Add or change a zone",
        response_model=schemas.Zone,
        responses=problems.documented(409, 503),
        openapi_extra=body,
    )
    async def put_zone(id: ZoneId, request: Request) -> Response:
        """The whole zone, in place of what was there. It stays so until the site file says something new of it."""
        zone = await _read(request)
        await zones.put(id, zone)
        return _json(zone_json(id, zone))

    @router.delete("/{id}", summary="Delete a zone", status_code=204, responses=problems.documented(404, 503))
    async def delete_zone(id: ZoneId) -> Response:
        """Its alerts end."""
        _known(zones, id)
        await zones.remove(id)
        return Response(status_code=204)

    return router


def _known(zones: Zones, name: str) -> Zone:
    if name not in zones.zones:
        raise HTTPException(404, f"There is no zone {name!r}. See /api/v1/zones for those there are.")
    return zones.zones[name]


async def _read(request: Request) -> Zone:
    """The zone of a body; what a zone is asked to be is what a site file is."""
    try:
        fields = orjson.loads(await request.body())
        if isinstance(fields, dict):
            fields.pop("id", None)  # as it was read; the path says which it is
        return Zone.model_validate(fields)
    except orjson.JSONDecodeError as error:
        raise HTTPException(422, f"The body is not JSON ({error}). Send a zone as described at /docs.") from None
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "zone"
        raise HTTPException(422, f"{where}: {first['msg'].removeprefix('Value error, ')}. See /docs.") from None


def _json(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(orjson.dumps(body), status, headers, JSON)
