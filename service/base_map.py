"""`/api/v1/map`: what lies below the console's map, as the site file names it: a plan, GeoJSON, raster tiles.

Places are latitude and longitude, so that a replay of another day's site shows the same ground. All of it is served
from here: the console asks nobody else, and without tiles nothing is asked of any network.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import orjson
import yaml
from fastapi import APIRouter, HTTPException, Response
from fastapi import Path as InPath
from fastapi.responses import FileResponse
from pydantic import Field
from starlette.concurrency import run_in_threadpool

from fusion.site import Fault, MapConfig, Site, SiteError
from service.geojson import MEDIA_TYPE as GEOJSON
from service.problems import documented
from service.schemas import Json, Schema
from service.tiles import DEEPEST_ZOOM, Tiles, TilesError, media_type, open_tiles

MOST_PLAN_BYTES = 64 << 20
MOST_GEOJSON_BYTES = 8 << 20
MOST_POSITIONS = 50_000
LABEL = "name"  # the property of a feature that is written beside it
_KINDS = ("Point", "MultiPoint", "LineString", "MultiLineString", "Polygon", "MultiPolygon")

Corner = Annotated[list[float], Field(min_length=2, max_length=2)]
Number = Annotated[int, InPath(ge=0, le=1 << DEEPEST_ZOOM)]
Zoom = Annotated[int, InPath(ge=0, le=DEEPEST_ZOOM)]


class MapPlan(Schema):
    """A picture seen from above, by three of its corners as [latitude, longitude]."""

    upper_left: Corner
    upper_right: Corner
    lower_left: Corner


class MapTiles(Schema):
    """Raster tiles of the web (Web Mercator)."""

    min_zoom: int
    max_zoom: int
    attribution: str = Field(description="to be shown with them")


class BaseMap(Schema):
    """What lies below the map."""

    plan: MapPlan | None = Field(description="the picture is at /api/v1/map/plan")
    shapes: int = Field(description="how many features there are at /api/v1/map/shapes")
    tiles: MapTiles | None = Field(description="at /api/v1/map/tiles/{z}/{x}/{y}")


class MapError(Exception):
    """A part of the map that cannot be used: `where` in `map`, and one plain sentence with the mend."""

    def __init__(self, where: str, what: str) -> None:
        super().__init__(what)
        self.where, self.what = where, what


def map_of(site: Site, path: Path) -> MapConfig | None:
    """What a site file says of its map, names of files made absolute; None where it says nothing.

    Raises:
        SiteError: a file that is not there or is not what it is said to be, with its line.
    """
    if site.file.map is None:
        return None
    config = _absolute(site.file.map, path.parent)
    faults = [Fault(_line(path, e.where), f"map.{e.where}", e.what) for e in _faults(config)]
    if faults:
        raise SiteError(faults)
    return config


def _absolute(config: MapConfig, folder: Path) -> MapConfig:
    plan, tiles = config.plan, config.tiles
    if plan is not None:
        plan = plan.model_copy(update={"image": str(folder / plan.image)})
    if tiles is not None and "://" not in tiles.source:
        tiles = tiles.model_copy(update={"source": str(folder / tiles.source)})
    geojson = tuple(str(folder / each) for each in config.geojson)
    return config.model_copy(update={"plan": plan, "tiles": tiles, "geojson": geojson})


def _faults(config: MapConfig) -> Iterator[MapError]:
    for read in (_plan_type, _shapes, _tiles):
        try:
            read(config)
        except MapError as error:
            yield error


def _line(path: Path, where: str) -> int:
    """1-based line of `map`, or of the key in it."""
    root: Any = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    line = 1
    for part in ("map", *where.split(".")):
        found = [(key, value) for key, value in getattr(root, "value", ()) if key.value == part]
        if not found:
            break
        line, root = found[0][0].start_mark.line + 1, found[0][1]
    return line


# ── What the files hold ──────────────────────────────────────────────────────────────────────────────────────────────


def _plan_type(config: MapConfig) -> str:
    """Media type of the plan; empty where there is none."""
    if config.plan is None:
        return ""
    path = _file("plan.image", config.plan.image, MOST_PLAN_BYTES)
    with path.open("rb") as file:
        found = media_type(file.read(16))
    if found is None:
        raise MapError("plan.image", f"{path} is no PNG, JPEG or WebP picture; save it as one of these")
    return found


def _tiles(config: MapConfig) -> Tiles | None:
    try:
        return None if config.tiles is None else open_tiles(config.tiles.source)
    except TilesError as error:
        raise MapError("tiles.source", str(error)) from None


def _shapes(config: MapConfig) -> list[Json]:
    """GeoJSON features of all files, with geometry and name alone."""
    shapes = [shape for name in config.geojson for shape in _shapes_of(_file("geojson", name, MOST_GEOJSON_BYTES))]
    positions = sum(1 for shape in shapes for _ in _positions(shape["geometry"]["coordinates"]))
    if positions > MOST_POSITIONS:
        raise MapError("geojson", f"has {positions} positions; simplify it to {MOST_POSITIONS} or fewer")
    return shapes


def _shapes_of(path: Path) -> Iterator[Json]:
    try:
        document = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
        raise MapError("geojson", f"{path} is not JSON ({error}); mend the syntax") from None
    try:
        for feature in _features(document):
            yield from _plain(feature)
    except (ValueError, TypeError, KeyError, AttributeError):
        sentence = f"{path} is no GeoJSON (RFC 7946) of points, lines and polygons as [longitude, latitude]; mend it"
        raise MapError("geojson", sentence) from None


def _features(document: Json) -> list[Json]:
    if document["type"] == "FeatureCollection":
        return list(document["features"])
    return [document if document["type"] == "Feature" else {"geometry": document}]


def _plain(feature: Json) -> Iterator[Json]:
    """Raises ValueError, TypeError, KeyError or AttributeError when it is none."""
    geometry = feature["geometry"]
    if geometry is None:
        return
    if geometry["type"] == "GeometryCollection":
        for each in geometry["geometries"]:
            yield from _plain(feature | {"geometry": each})
        return
    if geometry["type"] not in _KINDS:
        raise ValueError
    for longitude, latitude in _positions(geometry["coordinates"]):
        if not (abs(longitude) <= 180.0 and abs(latitude) <= 90.0):
            raise ValueError
    name = str((feature.get("properties") or {}).get(LABEL) or "")
    properties = {LABEL: name} if name else {}
    geometry = {"type": geometry["type"], "coordinates": geometry["coordinates"]}
    yield {"type": "Feature", "geometry": geometry, "properties": properties}


def _positions(coordinates: list[Any]) -> Iterator[tuple[float, float]]:
    """Longitude and latitude of each, however deep. Raises ValueError where there are no numbers."""
    if coordinates and isinstance(coordinates[0], int | float):
        longitude, latitude = float(coordinates[0]), float(coordinates[1])
        if not (math.isfinite(longitude) and math.isfinite(latitude)):
            raise ValueError
        yield longitude, latitude
        return
    for each in coordinates:
        if not isinstance(each, list):
            raise ValueError
        yield from _positions(each)


def _file(where: str, name: str, most_bytes: int) -> Path:
    path = Path(name)
    if not path.is_file():
        raise MapError(where, f"there is no file {path}: check the name")
    if path.stat().st_size > most_bytes:
        raise MapError(where, f"{path} is larger than {most_bytes >> 20} MiB; make it smaller")
    return path


# ── HTTP ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def router(config: MapConfig | None) -> APIRouter:
    """All paths with their documentation.

    Args:
        config: of `map_of`; None where nothing lies below the map.
    """
    config = config or MapConfig()
    router = APIRouter(prefix="/api/v1/map", tags=["sensors"])
    tiles, shapes, plan_type = _tiles(config), _shapes(config), _plan_type(config)
    body = orjson.dumps(_map_json(config, tiles, len(shapes)))
    collection = orjson.dumps({"type": "FeatureCollection", "features": shapes})

    @router.get("", response_model=BaseMap, summary="What lies below the map")
    async def base_map() -> Response:
        """Does not change while the service runs."""
        return Response(body, media_type="application/json")

    @router.get("/plan", summary="The plan of the site, a picture", responses=documented(404))
    async def plan() -> Response:
        if config.plan is None:
            raise HTTPException(404, "The site has no plan. Name one in the site file: map: {plan: …}.")
        return FileResponse(config.plan.image, media_type=plan_type)

    @router.get("/shapes", summary="The site's GeoJSON")
    async def shapes_of_all() -> Response:
        """Of all files that the site file names; of their properties the name alone."""
        return Response(collection, media_type=GEOJSON)

    @router.get("/tiles/{z}/{x}/{y}", summary="A raster tile", responses=documented(404, 422))
    async def tile(z: Zoom, x: Number, y: Number) -> Response:
        """204 where there is none."""
        if tiles is None:
            raise HTTPException(404, "The site has no tiles. Name some in the site file: map: {tiles: …}.")
        within = x < 1 << z and y < 1 << z
        picture = await run_in_threadpool(tiles.read, z, x, y) if within else None
        kind = media_type(picture) if picture else None
        if picture is None or kind is None:
            return Response(status_code=204)
        return Response(picture, media_type=kind, headers={"Cache-Control": "private, max-age=86400"})

    return router


def _map_json(config: MapConfig, tiles: Tiles | None, shapes: int) -> Json:
    """A `BaseMap`."""
    plan = None if config.plan is None else config.plan.model_dump(include=set(MapPlan.model_fields))
    told = config.tiles
    zooms: Json | None = None
    if told is not None and tiles is not None:
        zooms = {
            "min_zoom": next(z for z in (told.min_zoom, tiles.min_zoom, 0) if z is not None),
            "max_zoom": next(z for z in (told.max_zoom, tiles.max_zoom, 19) if z is not None),
            "attribution": told.attribution,
        }
    return {"plan": plan, "shapes": shapes, "tiles": zooms}
