"""Reading a flight that may be cut, damaged or made to do harm; mending one whose writer was killed.

The stock reader stops at the first flipped bit, and a file of some kilobytes can cost it minutes. Here every length is
checked before it is believed, a chunk may unpack to `MOST_CHUNK` bytes and `MOST_RATIO` times its size, and behind
damage reading goes on at the next chunk that is whole. What was lost is said: where, how much, and, because the
messages of the bus are numbered without a gap, how many messages.

Layout of the records: https://mcap.dev/spec, sections "Records" and "Chunk".
"""

from __future__ import annotations

import hashlib
import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, NamedTuple, Self

import zstandard
from mcap.data_stream import ReadDataStream, RecordBuilder
from mcap.exceptions import McapError
from mcap.opcode import Opcode
from mcap.records import Channel, ChunkIndex, DataEnd, Footer, Metadata, Schema, Statistics
from mcap.writer import MCAP0_MAGIC as MAGIC

from service.journal_about import ABOUT, About, read_about
from service.journal_format import FormatError, decode, is_ours
from service.types import Envelope

CHANNEL_COPY = "deeplomatics.channel"  # metadata that repeats each channel, should its chunk be damaged
MOST_CHUNK = 32 << 20  # bytes that one chunk may unpack to
MOST_RATIO = 200  # times its own size that it may unpack to
MOST_RECORD = 8 << 20  # bytes of any other record
MOST_SUMMARY = 64 << 20
MOST_DAMAGES = 1000  # that are remembered one by one
SEARCH_BYTES = 1 << 20

_HEAD = struct.Struct("<BQ")  # opcode and length of a record
_CHUNK = struct.Struct("<QQQII4sQ")  # start, end, size, CRC, length of the word "zstd", the word, length of the data
_MESSAGE = struct.Struct("<HIQQ")  # channel, sequence, log time, publish time
_INDEX = struct.Struct("<QQQQI")  # of a chunk: start, end, offset, length, length of the map that follows
_ZSTD = struct.pack("<I4s", 4, b"zstd")
_ZSTD_AT = _HEAD.size + 28  # from the beginning of a chunk's record
_FOOTER_BYTES = _HEAD.size + 20
#: Bytes of a record before its first block, and how many blocks (a length of four bytes and so much) make up the rest.
_BLOCKS: dict[int, tuple[int, int]] = {
    Opcode.HEADER: (0, 2),
    Opcode.METADATA: (0, 2),
    Opcode.MESSAGE_INDEX: (2, 1),
    Opcode.DATA_END: (4, 0),
}
_KNOWN = frozenset(int(code) for code in Opcode)
_UNREADABLE = (McapError, struct.error, UnicodeDecodeError, ValueError, IndexError, EOFError)


class FlightError(Exception):
    """A flight that cannot be used at all; the message is one plain sentence."""


class _Damaged(Exception):
    """A chunk that is not what it was; the message says how."""


@dataclass(frozen=True, slots=True)
class Damage:
    """A piece of a file that cannot be read.

    Attributes:
        offset, bytes: where, and how long.
        after_ns: bus time of the last message before it, or None.
    """

    offset: int
    bytes: int
    reason: str
    after_ns: int | None = None


class Line(NamedTuple):
    """What a channel carries."""

    topic: str
    schema: str


class Stored(NamedTuple):
    """One message of the file, as it stands there."""

    line: Line
    log_time_ns: int
    publish_time_ns: int
    data: memoryview


class Span(NamedTuple):
    """One chunk: where its record begins, how long it is (its head too), and its first and last bus time."""

    offset: int
    length: int
    start_ns: int
    end_ns: int


@dataclass(slots=True)
class Losses:
    """What was missing so far.

    Attributes:
        messages: of the bus that never came, by their numbers.
        bytes: that could not be read.
    """

    damages: list[Damage] = field(default_factory=list)
    messages: int = 0
    bytes: int = 0

    def add(self, damage: Damage) -> None:
        self.bytes += damage.bytes
        if len(self.damages) < MOST_DAMAGES:
            self.damages.append(damage)

    def __bool__(self) -> bool:
        return bool(self.damages or self.messages)

    def __str__(self) -> str:
        where = "; ".join(f"{each.reason} at byte {each.offset}" for each in self.damages[:3])
        return f"{self.messages} messages missing, {self.bytes} bytes unreadable{': ' if where else ''}{where}"


class Flight:
    """One file, open for reading. `losses` grows while it is read.

    Raises:
        FlightError: it is not there, is no flight, or was written by a newer version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.losses = Losses()
        self.lines: dict[int, Line] = {}
        self._last_seq: int | None = None
        self._last_ns: int | None = None
        try:
            self._file: BinaryIO = path.open("rb")
        except OSError as error:
            raise FlightError(f"{path}: {(error.strerror or 'it cannot be read').lower()}") from None
        try:
            self.size = os.fstat(self._file.fileno()).st_size
            self.about = self._begin()
            self.spans = _summary(self._file, self.size, self.lines)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._file.close()

    @property
    def whole(self) -> bool:
        """Closed by its writer or mended: it has an index."""
        return self.spans is not None

    def envelopes(self, start_ns: int = 0) -> Iterator[Envelope]:
        """The bus from this time on, in its order; what cannot be read goes to `losses`."""
        return (each for each in self.read(start_ns) if isinstance(each, Envelope))

    def read(self, start_ns: int = 0) -> Iterator[Envelope | Stored]:
        """The bus, and between its messages what other schemas hold; a picture stands before its update."""
        for stored in self.messages(start_ns):
            if not is_ours(stored.line.schema):
                yield stored
                continue
            try:
                envelope = decode(stored.line.schema, bytes(stored.data), stored.log_time_ns)
            except FormatError as error:
                self.losses.add(Damage(0, len(stored.data), str(error), self._last_ns))
                continue
            if self._follows(envelope):
                yield envelope

    def messages(self, start_ns: int = 0) -> Iterator[Stored]:
        """Every message from this bus time on, in the order of the file; pictures and boxes too."""
        self.losses = Losses()
        self._last_ns = None
        self._last_seq = None if start_ns else 0  # from the middle, nobody knows what comes first
        for offset, length in self._chunks(start_ns):
            try:
                unpacked = _unpacked(_read(self._file, offset, length))
                stored = [each for each in _stored(unpacked, self.lines) if each.log_time_ns >= start_ns]
            except _Damaged as damage:
                self.losses.add(Damage(offset, length, str(damage), self._last_ns))
                continue
            for each in stored:
                self._last_ns = each.log_time_ns
                yield each

    def duration(self) -> tuple[int, int] | None:
        """First and last bus time, ns; None for a flight without a message. One without index is read for it."""
        if self.spans is not None:
            spans = self.spans
            return (min(s.start_ns for s in spans), max(s.end_ns for s in spans)) if spans else None
        times = [each.log_time_ns for each in self.messages()]
        return (min(times), max(times)) if times else None

    def _follows(self, envelope: Envelope) -> bool:
        """Whether it comes after all before it; counts those that are missing between. What holds since before the file
        began is told ahead of its first message."""
        last, ours = self._last_seq, envelope.seq
        if last is not None and ours <= last:
            self.losses.add(Damage(0, 0, f"message {ours} stands behind message {last}", self._last_ns))
            return False
        if last is not None:
            self.losses.messages += max(0, ours - max(last + 1, self.about.first_seq))
        self._last_seq = ours
        return True

    def _chunks(self, start_ns: int) -> Iterator[tuple[int, int]]:
        """Offset and length of the chunks to read. From the beginning the file itself says it, so that nothing is
        left out because an index does not name it."""
        if start_ns and self.spans is not None:
            yield from ((span.offset, span.length) for span in self.spans if span.end_ns >= start_ns)
            return
        for found in walk(self._file, self.size):
            if isinstance(found, Damage):
                self.losses.add(Damage(found.offset, found.bytes, found.reason, self._last_ns))
            elif found.opcode == Opcode.CHUNK:
                yield found.offset, found.length
            elif found.opcode == Opcode.METADATA:
                _learn(_metadata(_read(self._file, found.offset, found.length)), self.lines)

    def _begin(self) -> About:
        """What the file says of itself; also learns the channels that are named before the first chunk."""
        if self.size == 0:
            raise FlightError(f"{self.path} is empty: nothing was recorded")
        reason = "it is not MCAP"
        for found in walk(self._file, self.size):
            if isinstance(found, Damage) or found.opcode != Opcode.METADATA:
                continue
            record = _metadata(_read(self._file, found.offset, found.length))
            if record is not None and record.name == ABOUT:
                try:
                    return read_about(unsealed(record.metadata))
                except FormatError as error:
                    reason = str(error)
        raise FlightError(f"{self.path} is no flight of this program: {reason}")


# ── Records ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class Record(NamedTuple):
    """A record of the file's own level; `length` counts its head too."""

    offset: int
    length: int
    opcode: int


def walk(file: BinaryIO, size: int) -> Iterator[Record | Damage]:
    """The records of a file up to its end, and what lies between them that is none."""
    position = 0 if _read(file, 0, len(MAGIC)) != MAGIC and _record(file, len(MAGIC), size) is None else len(MAGIC)
    while position < size:
        record = _record(file, position, size)
        if record is None:
            beyond = _next_chunk(file, position + 1, size)
            reason = "a record is damaged" if beyond < size else "the file is cut off"
            yield Damage(position, beyond - position, reason)
            position = beyond
            continue
        yield record
        if record.opcode == Opcode.FOOTER:
            return
        position += record.length


def _record(file: BinaryIO, position: int, size: int) -> Record | None:
    """The record that begins here; None where none can."""
    head = _read(file, position, _ZSTD_AT + len(_ZSTD) + 8)
    if len(head) < _HEAD.size:
        return None
    opcode, length = _HEAD.unpack_from(head)
    most = MOST_CHUNK + (64 << 10) if opcode == Opcode.CHUNK else MOST_RECORD
    if opcode not in _KNOWN or length > most or position + _HEAD.size + length > size:
        return None
    if _is_chunk(head, length) != (opcode == Opcode.CHUNK) or not _agrees(file, position, opcode, length, size):
        return None
    return Record(position, _HEAD.size + length, opcode)


def _is_chunk(head: bytes, length: int) -> bool:
    """Whether the two lengths that a chunk has agree."""
    if len(head) < _HEAD.size + _CHUNK.size:
        return False
    packed: int = _CHUNK.unpack_from(head, _HEAD.size)[-1]
    return head[_ZSTD_AT : _ZSTD_AT + len(_ZSTD)] == _ZSTD and packed + _CHUNK.size == length


def _agrees(file: BinaryIO, position: int, opcode: int, length: int, size: int) -> bool:
    """Whether a record's length is what its fields say, so that a flipped bit in it cannot swallow the chunks behind;
    and whether a footer stands at the end, where alone it may end the reading."""
    if opcode == Opcode.FOOTER:
        fits: bool = length == _FOOTER_BYTES - _HEAD.size and position + _FOOTER_BYTES + len(MAGIC) >= size
        return fits
    end, blocks = _BLOCKS.get(opcode, (length, 0))
    for _ in range(blocks):
        if end + 4 > length:
            return False
        end += 4 + int.from_bytes(_read(file, position + _HEAD.size + end, 4), "little")
    return end == length


def _next_chunk(file: BinaryIO, position: int, size: int) -> int:
    """Where the next chunk begins, or the end of the file."""
    start = position
    while start < size:
        window = _read(file, start, SEARCH_BYTES + _ZSTD_AT + len(_ZSTD))
        at = window.find(_ZSTD, _ZSTD_AT)
        while at >= 0:
            candidate = start + at - _ZSTD_AT
            record = _record(file, candidate, size) if candidate >= position else None
            if record is not None and record.opcode == Opcode.CHUNK:
                return candidate
            at = window.find(_ZSTD, at + 1)
        start += SEARCH_BYTES
    return size


def _read(file: BinaryIO, offset: int, length: int) -> bytes:
    file.seek(offset)
    return file.read(length)


def _unpacked(record: bytes) -> memoryview:
    """The records inside a chunk, checked.

    Raises:
        _Damaged: it does not unpack to what it says, or to more than is reasonable.
    """
    _, _, size, crc, _, _, packed = _CHUNK.unpack_from(record, _HEAD.size)
    if size > MOST_CHUNK or size > MOST_RATIO * packed + (64 << 10):
        raise _Damaged(f"a chunk of {packed} bytes says it unpacks to {size}, which is more than is reasonable")
    data = memoryview(record)[_HEAD.size + _CHUNK.size :]
    try:
        with zstandard.ZstdDecompressor(max_window_size=MOST_CHUNK).stream_reader(data) as reader:
            unpacked = reader.read(size + 1)
    except (zstandard.ZstdError, MemoryError):
        raise _Damaged("a chunk is damaged") from None
    if len(unpacked) != size or (crc and zlib.crc32(unpacked) != crc):
        raise _Damaged("a chunk is damaged")
    return memoryview(unpacked)


def _stored(unpacked: memoryview, lines: dict[int, Line]) -> Iterator[Stored]:
    """The messages of a chunk; channels that it names are added to `lines`.

    Raises:
        _Damaged: its records do not fit in it.
    """
    position, schemas = 0, dict[int, str]()
    while position < len(unpacked):
        if position + _HEAD.size > len(unpacked):
            raise _Damaged("a chunk ends within a record")
        opcode, length = _HEAD.unpack_from(unpacked, position)
        body = unpacked[position + _HEAD.size : position + _HEAD.size + length]
        if len(body) != length:
            raise _Damaged("a chunk ends within a record")
        position += _HEAD.size + length
        if opcode == Opcode.MESSAGE and length >= _MESSAGE.size:
            channel, _, log_time, publish_time = _MESSAGE.unpack_from(body)
            if channel in lines:
                yield Stored(lines[channel], log_time, publish_time, body[_MESSAGE.size :])
        elif opcode in (Opcode.SCHEMA, Opcode.CHANNEL):
            _learn_record(opcode, body, schemas, lines)


def _learn_record(opcode: int, body: memoryview, schemas: dict[int, str], lines: dict[int, Line]) -> None:
    stream = ReadDataStream(BytesIO(body))
    try:
        if opcode == Opcode.SCHEMA:
            schema = Schema.read(stream)
            schemas[schema.id] = schema.name
        else:
            channel = Channel.read(stream)
            if channel.schema_id in schemas:
                lines[channel.id] = Line(channel.topic, schemas[channel.schema_id])
    except _UNREADABLE:
        raise _Damaged("a chunk names a channel that cannot be read") from None


def _metadata(record: bytes) -> Metadata | None:
    try:
        metadata: Metadata = Metadata.read(ReadDataStream(BytesIO(record[_HEAD.size :])))
    except _UNREADABLE:
        return None
    return metadata


# ── Metadata that can be trusted: MCAP gives these records no checksum ──────────────────────────────────────────────


def sealed(values: dict[str, str]) -> dict[str, str]:
    """With a checksum of all values."""
    return values | {"sha256": _digest(values)}


def unsealed(values: dict[str, str]) -> dict[str, str]:
    """Without it.

    Raises:
        FormatError: it does not fit.
    """
    rest = {name: value for name, value in values.items() if name != "sha256"}
    if values.get("sha256") != _digest(rest):
        raise FormatError("what it says of itself is damaged")
    return rest


def _digest(values: dict[str, str]) -> str:
    whole = b"\0".join(part.encode() for pair in sorted(values.items()) for part in pair)
    return hashlib.sha256(whole).hexdigest()


def channel_copy(channel: Channel, schema: Schema) -> dict[str, str]:
    """A channel and its schema as metadata."""
    return sealed(
        {
            "id": str(channel.id),
            "topic": channel.topic,
            "schema_id": str(schema.id),
            "schema": schema.name,
            "text": schema.data.decode(),
        }
    )


def _channel_of(record: Metadata | None) -> tuple[Channel, Schema] | None:
    if record is None or record.name != CHANNEL_COPY:
        return None
    try:
        copy = unsealed(record.metadata)
        text, number = copy["text"].encode(), int(copy["schema_id"])
        schema = Schema(id=number, name=copy["schema"], encoding="jsonschema", data=text)
        return Channel(int(copy["id"]), copy["topic"], "json", {}, number), schema
    except (FormatError, KeyError, ValueError):
        return None


def _learn(record: Metadata | None, lines: dict[int, Line]) -> None:
    found = _channel_of(record)
    if found is not None:
        channel, schema = found
        lines[channel.id] = Line(channel.topic, schema.name)


# ── The summary at the end ──────────────────────────────────────────────────────────────────────────────────────────


def _summary(file: BinaryIO, size: int, lines: dict[int, Line]) -> list[Span] | None:
    """The chunks by the file's own index, in their order; None where it has none that can be trusted."""
    tail = _read(file, max(0, size - _FOOTER_BYTES - len(MAGIC)), _FOOTER_BYTES + len(MAGIC))
    if len(tail) < _FOOTER_BYTES + len(MAGIC) or tail[-len(MAGIC) :] != MAGIC or tail[0] != Opcode.FOOTER:
        return None
    start, _, crc = struct.unpack_from("<QQI", tail, _HEAD.size)
    end = size - _FOOTER_BYTES - len(MAGIC)
    if not 0 < start <= end or end - start > MOST_SUMMARY:
        return None
    body = _read(file, start, end - start)
    if zlib.crc32(tail[: _FOOTER_BYTES - 4], zlib.crc32(body)) != crc:
        return None
    spans, schemas, position = list[Span](), dict[int, str](), 0
    while position + _HEAD.size <= len(body):
        opcode, length = _HEAD.unpack_from(body, position)
        part = memoryview(body)[position + _HEAD.size : position + _HEAD.size + length]
        position += _HEAD.size + length
        if opcode == Opcode.CHUNK_INDEX and length >= _INDEX.size:
            start_ns, end_ns, offset, chunk_length, _ = _INDEX.unpack_from(part)
            spans.append(Span(offset, chunk_length, start_ns, end_ns))
        elif opcode in (Opcode.SCHEMA, Opcode.CHANNEL):
            try:
                _learn_record(opcode, part, schemas, lines)
            except _Damaged:
                return None
    fits = all(span.offset + span.length <= start and span.length <= MOST_CHUNK + (64 << 10) for span in spans)
    return sorted(spans) if fits else None


# ── Mending ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Mended:
    """What `mend` did: bytes cut off at the end, messages that remain. `kept` is False where there was none."""

    path: Path
    cut_bytes: int
    messages: int
    kept: bool


@dataclass(slots=True)
class _Content:
    """What a summary is made of."""

    end: int = 0
    chunks: list[ChunkIndex] = field(default_factory=list)
    channels: dict[int, Channel] = field(default_factory=dict)
    schemas: dict[int, Schema] = field(default_factory=dict)
    counts: dict[int, int] = field(default_factory=dict)
    metadata: int = 0


def is_ended(path: Path) -> bool:
    """Whether its writer came to the end."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        return size >= 2 * len(MAGIC) and _read(file, size - len(MAGIC), len(MAGIC)) == MAGIC


def mend(path: Path) -> Mended | None:
    """End a file whose writer was killed: cut what is not whole, add the index. None: it was ended already.

    A file without a message is deleted. A kill while this runs leaves a file that can be mended as before.

    Raises:
        OSError: it cannot be written.
    """
    if is_ended(path):
        return None
    with path.open("r+b") as file:
        size = os.fstat(file.fileno()).st_size
        content = _content(file, size)
        if not content.chunks:
            path.unlink()
            return Mended(path, size, 0, kept=False)
        file.truncate(content.end)
        file.seek(content.end)
        file.write(_ending(content))
        file.flush()
        os.fsync(file.fileno())
    return Mended(path, size - content.end, sum(content.counts.values()), kept=True)


def _content(file: BinaryIO, size: int) -> _Content:
    content = _Content()
    for found in walk(file, size):
        if isinstance(found, Damage) or found.opcode in (Opcode.DATA_END, Opcode.FOOTER):
            continue
        if found.opcode == Opcode.CHUNK:
            _take_chunk(file, found, content)
        elif found.opcode == Opcode.MESSAGE_INDEX:
            _take_index(file, found, content)
        elif found.opcode == Opcode.METADATA:
            content.end = found.offset + found.length
            content.metadata += 1
            copy = _channel_of(_metadata(_read(file, found.offset, found.length)))
            if copy is not None:
                content.channels[copy[0].id], content.schemas[copy[1].id] = copy
    return content


def _take_chunk(file: BinaryIO, found: Record, content: _Content) -> None:
    start, end, size, _, _, _, packed = _CHUNK.unpack_from(_read(file, found.offset, _HEAD.size + _CHUNK.size), 9)
    index = ChunkIndex(found.length, found.offset, "zstd", packed, end, 0, {}, start, size)
    content.chunks.append(index)
    content.end = found.offset + found.length


def _take_index(file: BinaryIO, found: Record, content: _Content) -> None:
    """A message index belongs to the chunk before it, unless damage lies between."""
    if not content.chunks or found.offset != content.end:
        return
    channel, length = struct.unpack("<HI", _read(file, found.offset + _HEAD.size, 6))
    chunk = content.chunks[-1]
    chunk.message_index_offsets[channel] = found.offset
    chunk.message_index_length += found.length
    content.counts[channel] = content.counts.get(channel, 0) + length // 16
    content.end = found.offset + found.length


def _ending(content: _Content) -> bytes:
    """End of the data, summary and footer (https://mcap.dev/spec, "Summary Section")."""
    ending, summary = RecordBuilder(), RecordBuilder()
    DataEnd(0).write(ending)
    summary_start = content.end + ending.count
    for schema in content.schemas.values():
        schema.write(summary)
    for channel in content.channels.values():
        channel.write(summary)
    _statistics(content).write(summary)
    for chunk in content.chunks:
        chunk.write(summary)
    body = summary.end()
    footer = RecordBuilder()
    crc = zlib.crc32(struct.pack("<BQQQ", Opcode.FOOTER, 20, summary_start, 0), zlib.crc32(body))
    Footer(summary_offset_start=0, summary_start=summary_start, summary_crc=crc).write(footer)
    return bytes(ending.end() + body + footer.end() + MAGIC)


def _statistics(content: _Content) -> Statistics:
    return Statistics(
        attachment_count=0,
        channel_count=len(content.channels),
        channel_message_counts=content.counts,
        chunk_count=len(content.chunks),
        message_count=sum(content.counts.values()),
        message_end_time=max(chunk.message_end_time for chunk in content.chunks),
        message_start_time=min(chunk.message_start_time for chunk in content.chunks),
        metadata_count=content.metadata,
        schema_count=len(content.schemas),
    )
