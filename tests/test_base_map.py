"""What lies below the map: tiles from wherever a site file says, and what is wrong with a file that says it wrongly."""

from __future__ import annotations

import base64
import http.server
import json
import sqlite3
import struct
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from fastapi import FastAPI
from live_site import local_client

from fusion.site import SiteError, parse_site
from service.base_map import map_of, router
from service.pmtiles import PMTiles, PMTilesError, tile_id
from service.site import read_site
from service.tiles import TilesError, media_type, open_tiles

#: Written by the reference writer, `pmtiles` 3.8.1 (BSD-3): tiles 0/0/0, 1/0/0, 1/0/1, 2/1/3, 2/3/1 of one pixel each.
REFERENCE = zlib.decompress(
    base64.b64decode(
        "eNoL8A3JzEktZq5ngABlKL0ISotB6R0MqADGF2GE0KxQPgsazcjEyMTAxIALyHdzgGkm5uTEhCdJySlJKSWsTG5sbGwMt+1PeQmiKFm9jpXB"
        "ef+yxSDjOgP83Hm5pLiATF5PD5cgkFUgzAGSnFAefA9I8Xi6OIZUzElOSEliY2DgY2C/nv+kAmSUp6ufyzqnhCZSDHnw5AnQT1YMMm85ZveR"
        "a0hCejo7A4Meg9ikyspusl3y4AGQZ8IgWZOh9QXZEAAN9U4S"
    )
)
SITE = """
site: {name: Field, origin: {latitude: 47.4, longitude: 8.5, altitude: 400}}
sensors:
  - {id: radar, kind: external, position: {enu: [0, 0, 5]}}
"""
FENCE = {"type": "LineString", "coordinates": [[8.5, 47.4], [8.501, 47.4, 412.0]]}


def png(red: int, green: int, blue: int) -> bytes:
    """A picture of one pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes((0, red, green, blue)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def written(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def folder_of(root: Path) -> str:
    written(root / "tiles" / "2" / "1" / "3.png", png(7, 7, 7))
    return str(root / "tiles" / "{z}" / "{x}" / "{y}.png")


def mbtiles_of(root: Path, kind: str = "png") -> str:
    path = root / "area.mbtiles"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE metadata (name TEXT, value TEXT)")
        database.execute("CREATE TABLE tiles (zoom_level INT, tile_column INT, tile_row INT, tile_data BLOB)")
        database.execute("INSERT INTO metadata VALUES ('format', ?)", (kind,))
        database.execute("INSERT INTO tiles VALUES (2, 1, 0, ?)", (png(7, 7, 7),))  # row 3 of 0..3, from the south: 0
    database.close()
    return str(path)


def pmtiles_of(root: Path) -> str:
    return str(written(root / "area.pmtiles", REFERENCE))


@contextmanager
def web_server(root: Path) -> Iterator[str]:
    """The folder's tiles from another server."""
    folder_of(root)
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(root))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/tiles/{{z}}/{{x}}/{{y}}.png"
        server.shutdown()


@pytest.mark.parametrize("made", [folder_of, mbtiles_of, pmtiles_of])
def test_a_tile_comes_from_folder_mbtiles_and_pmtiles(tmp_path: Path, made: object) -> None:
    assert callable(made)
    tiles = open_tiles(made(tmp_path))
    assert tiles.read(2, 1, 3) == png(7, 7, 7)
    assert tiles.read(2, 1, 2) is None
    assert tiles.read(9, 1, 2) is None


def test_a_tile_comes_from_another_server_and_is_kept(tmp_path: Path) -> None:
    with web_server(tmp_path) as address:
        tiles = open_tiles(address)
        assert tiles.read(2, 1, 3) == png(7, 7, 7)
        assert tiles.read(2, 0, 0) is None
    assert tiles.read(2, 1, 3) == png(7, 7, 7), "the server is gone, the tile was had"


def test_the_archive_of_the_reference_writer_is_read_whole(tmp_path: Path) -> None:
    archive = PMTiles(Path(pmtiles_of(tmp_path)))
    assert (archive.kind, archive.min_zoom, archive.max_zoom) == ("png", 0, 2)
    held = {(0, 0, 0): 1, (1, 0, 0): 9, (1, 0, 1): 9, (2, 1, 3): 7, (2, 3, 1): 8}
    for z in range(4):
        for x in range(2**z):
            for y in range(2**z):
                found = archive.read(z, x, y)
                assert (found is not None) == ((z, x, y) in held), (z, x, y)
    assert archive.read(2, 3, 1) == png(8, 8, 8)


def test_tiles_are_numbered_along_the_curve_of_the_specification() -> None:
    # spec/v3, "Tile ID": Z 0..2 and one far down.
    numbers = {
        (0, 0, 0): 0,
        (1, 0, 0): 1,
        (1, 0, 1): 2,
        (1, 1, 1): 3,
        (1, 1, 0): 4,
        (2, 0, 0): 5,
        (12, 3423, 1763): 19078479,
    }
    assert {where: tile_id(*where) for where in numbers} == numbers


@pytest.mark.parametrize(
    ("broken", "sentence"),
    [
        (b"GIF89a" + bytes(200), "is no PMTiles archive"),
        (REFERENCE[:7] + b"\x02" + REFERENCE[8:], "version 2"),
        (REFERENCE[:130], "cut short"),
        (REFERENCE[:97] + b"\x04" + REFERENCE[98:], "gzip"),
    ],
)
def test_a_broken_archive_is_told_as_such(tmp_path: Path, broken: bytes, sentence: str) -> None:
    with pytest.raises(PMTilesError, match=sentence):
        PMTiles(written(tmp_path / "area.pmtiles", broken))


def test_vector_tiles_are_refused_with_the_mend(tmp_path: Path) -> None:
    with pytest.raises(TilesError, match="raster tiles"):
        open_tiles(mbtiles_of(tmp_path, "pbf"))
    vector = REFERENCE[:99] + b"\x01" + REFERENCE[100:]
    with pytest.raises(TilesError, match="holds vector tiles"):
        open_tiles(str(written(tmp_path / "vector.pmtiles", vector)))


def test_all_faults_of_a_map_are_found_with_line_and_mend(tmp_path: Path) -> None:
    written(tmp_path / "plan.png", b"%PDF-1.4")
    written(tmp_path / "far.json", json.dumps({"type": "Point", "coordinates": [700, 1]}).encode())
    corners = "upper_left: [47.41, 8.49], upper_right: [47.41, 8.51], lower_left: [47.39, 8.49]"
    file = tmp_path / "site.yaml"
    file.write_text(
        f"{SITE}map:\n  plan: {{image: plan.png, {corners}}}\n  geojson: [far.json]\n  tiles:\n    source: area.zip\n",
        encoding="utf-8",
    )
    with pytest.raises(SiteError) as caught:
        read_site(file)
    told = [(fault.line, fault.where, fault.what) for fault in caught.value.faults]
    assert [each[:2] for each in told] == [(6, "map.plan.image"), (7, "map.geojson"), (9, "map.tiles.source")]
    assert "save it as one of these" in told[0][2]
    assert "no GeoJSON" in told[1][2]
    assert "{z}, {x} and {y}" in told[2][2]


def test_keys_of_a_map_are_checked_like_all_others() -> None:
    wrong = SITE + "map:\n  tiles: {source: a.pmtiles, min_zoom: 9, max_zoom: 3}\n  plans: 1\n"
    with pytest.raises(SiteError) as caught:
        parse_site(wrong)
    assert [(fault.line, fault.where) for fault in caught.value.faults] == [(6, "map.tiles"), (7, "map.plans")]
    line = "upper_left: [47, 8], upper_right: [48, 8], lower_left: [49, 8]"
    with pytest.raises(SiteError, match="must not lie on one line"):
        parse_site(f"{SITE}map: {{plan: {{image: a.png, {line}}}}}\n")


def test_the_service_gives_plan_shapes_and_tiles(tmp_path: Path) -> None:
    written(tmp_path / "plan.png", png(0, 0, 255))
    named = {"type": "Feature", "geometry": FENCE, "properties": {"name": "Fence", "owner": "nobody's business"}}
    written(tmp_path / "fence.json", json.dumps({"type": "FeatureCollection", "features": [named]}).encode())
    pmtiles_of(tmp_path)
    corners = "upper_left: [47.41, 8.49], upper_right: [47.41, 8.51], lower_left: [47.39, 8.49]"
    plan = f"plan: {{image: plan.png, {corners}}}"
    tiles = "tiles: {source: area.pmtiles, attribution: © Somebody}"
    file = tmp_path / "site.yaml"
    file.write_text(f"{SITE}map: {{{plan}, geojson: [fence.json], {tiles}}}\n", encoding="utf-8")
    site, _ = read_site(file)
    app = FastAPI()
    app.include_router(router(map_of(site, file)))
    client = local_client(app)

    told = client.get("/api/v1/map").json()
    assert told["plan"]["upper_right"] == [47.41, 8.51]
    assert told["tiles"] == {"min_zoom": 0, "max_zoom": 2, "attribution": "© Somebody"}
    assert client.get("/api/v1/map/plan").headers["content-type"] == "image/png"
    (shape,) = client.get("/api/v1/map/shapes").json()["features"]
    assert shape == {"type": "Feature", "geometry": FENCE, "properties": {"name": "Fence"}}
    tile = client.get("/api/v1/map/tiles/2/1/3")
    assert (tile.status_code, tile.content) == (200, png(7, 7, 7))
    assert client.get("/api/v1/map/tiles/2/0/0").status_code == 204
    assert client.get("/api/v1/map/tiles/2/9/0").status_code == 204
    assert client.get("/api/v1/map/tiles/99/0/0").status_code == 422


def test_without_a_map_nothing_is_there_and_what_to_do_is_said() -> None:
    app = FastAPI()
    app.include_router(router(None))
    client = local_client(app)
    assert client.get("/api/v1/map").json() == {"plan": None, "shapes": 0, "tiles": None}
    assert "site file" in client.get("/api/v1/map/tiles/0/0/0").json()["detail"]


def test_what_is_no_picture_is_not_served_as_one() -> None:
    assert media_type(b"<script>alert(1)</script>") is None
    assert media_type(png(1, 2, 3)) == "image/png"
