"""Raster tiles for the map, from where the site file says: a folder, an address, an MBTiles or a PMTiles file.

Tiles are those of the web: 256 pixels or more wide, Web Mercator, row 0 in the north. What a tile is, is told by its
first bytes and by nothing else.
"""

from __future__ import annotations

import sqlite3
import threading
import urllib.request
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from service.pmtiles import PMTiles, PMTilesError

DEEPEST_ZOOM = 22
MOST_BYTES = 4 << 20  # of one tile
KEPT = 256  # tiles of another server, so that a map that is moved does not ask again and again
TIMEOUT_S = 5.0
_USER_AGENT = "Deeplomatics"


class TilesError(ValueError):
    """There are no tiles to be had from there; one plain sentence with the mend."""


class Tiles(Protocol):
    """`min_zoom`, `max_zoom`: None where nobody says."""

    @property
    def min_zoom(self) -> int | None: ...

    @property
    def max_zoom(self) -> int | None: ...

    def read(self, z: int, x: int, y: int) -> bytes | None:
        """A picture; None where there is none. Any number of threads may call it."""


def media_type(picture: bytes) -> str | None:
    """Of PNG, JPEG and WebP; None for all else."""
    if picture.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if picture.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if picture[:4] == b"RIFF" and picture[8:12] == b"WEBP":
        return "image/webp"
    return None


def open_tiles(source: str) -> Tiles:
    """Tiles of a folder or an address with {z}, {x} and {y}, of an .mbtiles or of a .pmtiles file.

    Raises:
        TilesError: there are none.
    """
    if all(part in source for part in ("{z}", "{x}", "{y}")):
        return RemoteTiles(source) if source.startswith(("http://", "https://")) else FolderTiles(source)
    path = Path(source)
    if path.suffix.lower() not in (".mbtiles", ".pmtiles"):
        raise TilesError("give a folder or an address with {z}, {x} and {y} in it, an .mbtiles or a .pmtiles file")
    if not path.is_file():
        raise TilesError(f"there is no file {path}: check the name")
    return PackedTiles(path) if path.suffix.lower() == ".pmtiles" else DatabaseTiles(path)


class FolderTiles:
    """`tiles/{z}/{x}/{y}.png`."""

    min_zoom: int | None = None
    max_zoom: int | None = None

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        folder = Path(pattern.partition("{")[0])
        if not folder.is_dir():
            raise TilesError(f"there is no folder {folder}: check the name")

    def read(self, z: int, x: int, y: int) -> bytes | None:
        with suppress(OSError):
            return Path(_filled(self._pattern, z, x, y)).read_bytes()
        return None


class RemoteTiles:
    """`https://…/{z}/{x}/{y}.png`: asked for by the service, so that the console speaks with nobody else.

    Bound: the `KEPT` tiles asked for last are kept. What does not answer in `TIMEOUT_S` is no tile, for now.
    """

    min_zoom: int | None = None
    max_zoom: int | None = None

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._kept: OrderedDict[tuple[int, int, int], bytes] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, z: int, x: int, y: int) -> bytes | None:
        key = (z, x, y)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        picture = self._ask(_filled(self._pattern, z, x, y))
        if picture is not None:
            with self._lock:
                self._kept[key] = picture
                while len(self._kept) > KEPT:
                    self._kept.popitem(last=False)
        return picture

    def _ask(self, address: str) -> bytes | None:
        request = urllib.request.Request(address, headers={"User-Agent": _USER_AGENT})
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
                picture: bytes = answer.read(MOST_BYTES + 1)
        except (OSError, ValueError):
            return None
        return picture if len(picture) <= MOST_BYTES else None


class DatabaseTiles:
    """An MBTiles file (github.com/mapbox/mbtiles-spec, 1.3): SQLite, rows counted from the south."""

    def __init__(self, path: Path) -> None:
        self._address = f"{path.absolute().as_uri()}?mode=ro"
        try:
            told = dict(self._ask("SELECT name, value FROM metadata"))
            found = self._ask("SELECT MIN(zoom_level), MAX(zoom_level) FROM tiles")
        except sqlite3.Error as error:
            raise TilesError(f"{path} is no MBTiles file ({error}); give another") from None
        if told.get("format") == "pbf":
            raise TilesError(f"{path} holds vector tiles; give a file with raster tiles (PNG, JPEG or WebP)")
        self.min_zoom: int | None = found[0][0]
        self.max_zoom: int | None = found[0][1]

    def read(self, z: int, x: int, y: int) -> bytes | None:
        where = (z, x, (1 << z) - 1 - y)
        wanted = "SELECT tile_data FROM tiles WHERE zoom_level = ? AND tile_column = ? AND tile_row = ?"
        with suppress(sqlite3.Error):
            found = self._ask(wanted, where)
            return bytes(found[0][0]) if found else None
        return None

    def _ask(self, question: str, values: tuple[int, ...] = ()) -> list[Any]:
        """A connection for each question, for each belongs to one thread; opening one takes less than reading."""
        connection = sqlite3.connect(self._address, uri=True)
        try:
            return connection.execute(question, values).fetchall()
        finally:
            connection.close()


class PackedTiles:
    """A PMTiles file."""

    def __init__(self, path: Path) -> None:
        try:
            self._archive = PMTiles(path)
        except (PMTilesError, OSError) as error:
            reason = error if isinstance(error, PMTilesError) else "cannot be read"
            raise TilesError(f"{path} {reason}; give another") from None
        if self._archive.kind not in ("png", "jpeg", "webp"):
            raise TilesError(f"{path} holds {self._archive.kind}; give a file with raster tiles (PNG, JPEG or WebP)")
        self.min_zoom: int | None = self._archive.min_zoom
        self.max_zoom: int | None = self._archive.max_zoom

    def read(self, z: int, x: int, y: int) -> bytes | None:
        with suppress(PMTilesError, OSError):
            return self._archive.read(z, x, y)
        return None


def _filled(pattern: str, z: int, x: int, y: int) -> str:
    return pattern.replace("{z}", str(z)).replace("{x}", str(x)).replace("{y}", str(y))
