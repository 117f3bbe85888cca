"""Reads a PMTiles archive, version 3 (github.com/protomaps/PMTiles, spec/v3): one file with all tiles of a map."""

from __future__ import annotations

import gzip
import struct
import threading
from bisect import bisect_right
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

_HEADER = struct.Struct("<7sB11Q6B")
_KINDS = {1: "vector tiles", 2: "png", 3: "jpeg", 4: "webp", 5: "avif", 6: "vector tiles"}
_NO_COMPRESSION, _GZIP = 1, 2
_DEEPEST = 4  # directories below directories
_MOST_BYTES = 8 << 20  # of one directory, packed; the specification's largest root has 16 KiB


class PMTilesError(ValueError):
    """The file is no archive that can be read; one plain sentence."""


@dataclass(frozen=True, slots=True)
class Directory:
    """Entries in order of their first tile; a run of 0 tiles leads to a directory further down."""

    tile_ids: tuple[int, ...]
    runs: tuple[int, ...]
    lengths: tuple[int, ...]
    offsets: tuple[int, ...]


class PMTiles:
    """One archive, open for as long as this lives; any number of threads may read.

    Attributes:
        kind: `png`, `jpeg`, `webp`, `avif` or `vector tiles`.
        min_zoom, max_zoom: of the tiles there are.

    Raises:
        PMTilesError: no archive of version 3, or packed in a way that is not read here.
        OSError: it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self._lock = threading.Lock()
        head = self._file.read(_HEADER.size)
        if len(head) < _HEADER.size or head[:7] != b"PMTiles":
            raise PMTilesError("is no PMTiles archive")
        _, version, *rest = _HEADER.unpack(head)
        if version != 3:
            raise PMTilesError(f"is a PMTiles archive of version {version}; convert it to version 3")
        self._root = (rest[0], rest[1])
        self._leaves, self._tiles = rest[4], rest[6]
        _, self._packed, _, kind, self.min_zoom, self.max_zoom = rest[11:]
        self.kind = _KINDS.get(kind, "tiles of an unknown kind")
        if self._packed not in (_NO_COMPRESSION, _GZIP):
            raise PMTilesError("has directories packed in another way than gzip; convert it")
        self._directory = lru_cache(maxsize=64)(self._read_directory)
        self._directory(*self._root)  # what is broken is known at once

    def read(self, z: int, x: int, y: int) -> bytes | None:
        """A tile as it is in the archive; None where there is none.

        Raises:
            PMTilesError: the archive is broken.
        """
        wanted = tile_id(z, x, y)
        where = self._root
        for _ in range(_DEEPEST):
            directory = self._directory(*where)
            at = bisect_right(directory.tile_ids, wanted) - 1
            if at < 0:
                return None
            run, offset, length = directory.runs[at], directory.offsets[at], directory.lengths[at]
            if run > 0:
                return self._bytes(self._tiles + offset, length) if wanted - directory.tile_ids[at] < run else None
            where = (self._leaves + offset, length)
        raise PMTilesError("has directories that lead to each other without end")

    def _read_directory(self, offset: int, length: int) -> Directory:
        if length > _MOST_BYTES:
            raise PMTilesError("has a directory that is too long to be one")
        try:
            packed = self._bytes(offset, length)
            return _directory_of(gzip.decompress(packed) if self._packed == _GZIP else packed)
        except (OSError, EOFError, IndexError) as error:
            raise PMTilesError("is cut short or broken") from error

    def _bytes(self, offset: int, length: int) -> bytes:
        with self._lock:
            self._file.seek(offset)
            return self._file.read(length)


def tile_id(z: int, x: int, y: int) -> int:
    """The number of a tile: all zooms one after the other, each along a Hilbert curve."""
    number = ((1 << 2 * z) - 1) // 3
    for step in (1 << k for k in reversed(range(z))):
        right, low = bool(x & step), bool(y & step)
        number += step * step * ((3 * right) ^ low)
        if not low:
            if right:
                x, y = step - 1 - (x & (step - 1)), step - 1 - (y & (step - 1))
            x, y = y, x
    return number


def _directory_of(packed: bytes) -> Directory:
    """Raises IndexError when it is cut short."""
    numbers = _Numbers(packed)
    count = numbers.next()
    if count > len(packed):
        raise IndexError
    tile_ids: list[int] = []
    for _ in range(count):
        tile_ids.append(numbers.next() + (tile_ids[-1] if tile_ids else 0))
    runs = tuple(numbers.next() for _ in range(count))
    lengths = tuple(numbers.next() for _ in range(count))
    offsets: list[int] = []
    for k in range(count):
        told = numbers.next()  # 0: right behind the one before
        offsets.append(told - 1 if told or not k else offsets[-1] + lengths[k - 1])
    return Directory(tuple(tile_ids), runs, lengths, tuple(offsets))


class _Numbers:
    """Little-endian base 128, as in Protocol Buffers."""

    def __init__(self, packed: bytes) -> None:
        self._packed = packed
        self._at = 0

    def next(self) -> int:
        number = shift = 0
        while True:
            byte = self._packed[self._at]
            self._at += 1
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return number
