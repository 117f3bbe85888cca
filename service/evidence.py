"""Sealed evidence: a flight and what it was recorded with in one file that proves itself.

A tar of two members, `flight.mcap` and `manifest.json`. The manifest holds a chain of hashes over the flight, block by
block (each hash is over the one before and the block), what the flight says of itself (version, settings, weights'
hashes, site), and is closed by the seal: a hash over all of it. The tar is written without time or owner, so that every
byte of it follows from the two members and a change of any byte is found; one in the flight is placed to its block.

A seal proves that nothing changed since it was noted. Who could replace the whole file could make another seal: keep
the seal elsewhere (paper, a mail, a timestamping service), and give it to `verify --seal`.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import orjson

from service.flight_file import Flight
from service.partial import written

BLOCK = 1 << 14  # what a changed byte is placed to; a hash for each makes the file 0.4 % larger
MOST_BLOCK = 1 << 20
MOST_HASHES = 500_000  # a larger flight has larger blocks
FLIGHT, MANIFEST = "flight.mcap", "manifest.json"
MOST_MANIFEST = 64 << 20
_TAR_BLOCK, _TAR_RECORD = 512, 10_240

Json = dict[str, Any]


class EvidenceError(Exception):
    """The file is no sealed evidence at all; one plain sentence."""


@dataclass(frozen=True, slots=True)
class Verdict:
    good: bool
    sentence: str


def seal(flight: Path, output: Path) -> str:
    """Seal a flight; what is to be told, the seal in it.

    Raises:
        FlightError, OSError: it cannot be read or written.
    """
    with Flight(flight) as opened:
        about = asdict(opened.about)
    size = flight.stat().st_size
    with flight.open("rb") as source:
        length = _block_length(size)
        chain = list(_chain(source, size, length))
    manifest = {"format": 1, "about": about, "bytes": size, "block": length, "chain": chain}
    closed = _close(manifest)
    with flight.open("rb") as source, written(output) as stream:
        stream.write(_header(FLIGHT, size))
        for block in _blocks(source, size, MOST_BLOCK):
            stream.write(block)
        stream.write(_padding(size) + _header(MANIFEST, len(closed)) + closed + _end(size, len(closed)))
    return f"{output} is sealed; note the seal elsewhere: {orjson.loads(closed)['seal']}"


def verify(path: Path, noted: str | None = None) -> Verdict:
    """Whether a sealed file is what it was.

    Args:
        noted: the seal as it was told when the file was made.

    Raises:
        EvidenceError: the file is no sealed evidence.
        OSError: it cannot be read.
    """
    with path.open("rb") as stream:
        size, manifest_bytes = _members(path, stream)
        manifest = _read_manifest(path, manifest_bytes)
        for sentence in _faults(stream, path.stat().st_size, size, manifest_bytes, manifest):
            return Verdict(False, f"{path} was changed: {sentence}")
    if noted is not None and noted != manifest["seal"]:
        return Verdict(False, f"{path} agrees with itself but has the seal {manifest['seal']}, not the one noted")
    return Verdict(True, f"{path} is what was sealed: {size} bytes of flight, seal {manifest['seal']}")


def _faults(stream: IO[bytes], whole: int, size: int, closed: bytes, manifest: Json) -> Iterator[str]:
    if _close({name: value for name, value in manifest.items() if name != "seal"}) != closed:
        yield "its manifest (settings, hashes or seal) is not what was sealed"
    if manifest["bytes"] != size:
        yield f"the flight has {size} bytes and had {manifest['bytes']}"
    stream.seek(_TAR_BLOCK)
    length = manifest["block"]
    for k, (ours, theirs) in enumerate(zip(_chain(stream, size, length), manifest["chain"], strict=False)):
        if ours != theirs:
            yield f"the flight differs within bytes {k * length} to {min(size, (k + 1) * length) - 1}"
    frame = _header(FLIGHT, size), _padding(size) + _header(MANIFEST, len(closed)), _end(size, len(closed))
    stream.seek(0)
    if stream.read(_TAR_BLOCK) != frame[0]:
        yield "the head of the file differs"
    stream.seek(_TAR_BLOCK + size)
    if stream.read(len(frame[1])) != frame[1]:
        yield "what lies between flight and manifest differs"
    stream.seek(len(closed), io.SEEK_CUR)
    if stream.read(_TAR_RECORD * 2 + _TAR_BLOCK) != frame[2]:
        yield "the end of the file differs"


def _members(path: Path, stream: IO[bytes]) -> tuple[int, bytes]:
    """Size of the flight, and the manifest. Both members stand where `seal` puts them."""
    try:
        first = tarfile.TarInfo.frombuf(stream.read(_TAR_BLOCK), "utf-8", "surrogateescape")
        stream.seek(_TAR_BLOCK + first.size + len(_padding(first.size)))
        second = tarfile.TarInfo.frombuf(stream.read(_TAR_BLOCK), "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError, OverflowError):
        raise EvidenceError(f"{path} is no sealed flight, or its frame is damaged") from None
    if (first.name, second.name) != (FLIGHT, MANIFEST) or second.size > MOST_MANIFEST:
        raise EvidenceError(f"{path} is no sealed flight, or its frame is damaged")
    return first.size, stream.read(second.size)


def _read_manifest(path: Path, closed: bytes) -> Json:
    try:
        manifest = orjson.loads(closed)
    except orjson.JSONDecodeError:
        raise EvidenceError(f"{path} was changed: its manifest cannot be read") from None
    wanted = {"bytes": int, "block": int, "chain": list, "seal": str}
    if not isinstance(manifest, dict) or any(type(manifest.get(name)) is not kind for name, kind in wanted.items()):
        raise EvidenceError(f"{path} was changed: its manifest is not complete")
    if not 0 < manifest["block"] <= MOST_BLOCK:
        raise EvidenceError(f"{path} was changed: its manifest is not complete")
    return manifest


def _close(manifest: Json) -> bytes:
    """The manifest with its seal, in the one way of writing it."""
    open_ = orjson.dumps(manifest, option=orjson.OPT_SORT_KEYS)
    return orjson.dumps(manifest | {"seal": hashlib.sha256(open_).hexdigest()}, option=orjson.OPT_SORT_KEYS)


def _block_length(size: int) -> int:
    length = BLOCK
    while size > MOST_HASHES * length and length < MOST_BLOCK:
        length *= 2
    return length


def _chain(stream: IO[bytes], size: int, length: int) -> Iterator[str]:
    before = b""
    for block in _blocks(stream, size, length):
        before = hashlib.sha256(before + block).digest()
        yield before.hex()


def _blocks(stream: IO[bytes], size: int, length: int) -> Iterator[bytes]:
    while size > 0 and (block := stream.read(min(length, size))):
        size -= len(block)
        yield block


def _header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = size
    return info.tobuf(tarfile.GNU_FORMAT)


def _padding(size: int) -> bytes:
    return bytes(-size % _TAR_BLOCK)


def _end(flight: int, manifest: int) -> bytes:
    """Padding of the manifest, and what ends a tar."""
    written_ = 2 * _TAR_BLOCK + flight + len(_padding(flight)) + manifest + len(_padding(manifest))
    end = 2 * _TAR_BLOCK
    return _padding(manifest) + bytes(end + -(written_ + end) % _TAR_RECORD)
