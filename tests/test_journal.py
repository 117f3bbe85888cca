"""The flight recorder: what goes in comes out, whatever happens to the process, the disk or the file."""

from __future__ import annotations

import base64
import errno
import os
import random
import signal
import subprocess
import sys
import time
import zlib
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import orjson
import pytest
import zstandard
from mcap.data_stream import RecordBuilder
from mcap.reader import make_reader
from mcap.records import Chunk
from mcap.writer import Writer

from fusion.types import Heartbeat
from service.bus import Bus, Full
from service.clock import SystemClock
from service.flight_file import Flight, FlightError, Record, mend, sealed, walk
from service.foxglove import SCHEMAS
from service.journal import CAPACITY, FrameShelf, Journal, JournalState, mend_all
from service.journal_about import ABOUT, About, CameraAbout, about_record
from service.journal_format import encode
from service.recording import FlightFolder, RecordingError, RecordingSettings, StoredFlight
from service.types import CameraUpdate, Envelope, TracksEnded

import killed_recorder  # isort: skip
from camera_updates import frame, image_track, update  # isort: skip

ABOUT_TEST = About("1.2.3", "session", cameras={"cam": CameraAbout("visible", "a" * 64, {"drone": 0.4})})


class Hasty(SystemClock):
    """Passes a second whenever it is asked: whatever is due now and then is due each time."""

    _monotonic_ns = 0

    def monotonic_ns(self) -> int:
        self._monotonic_ns += 10**9
        return self._monotonic_ns


class Recorder:
    """A bus with a journal."""

    def __init__(self, folder: Path, shelf: FrameShelf | None = None, **settings: Any) -> None:
        clock = settings.pop("clock", SystemClock())
        more = {name: settings.pop(name) for name in ("open_file", "on_state") if name in settings}
        self.bus = Bus(settings.pop("bus_clock", SystemClock()).now_ns)
        wanted = RecordingSettings.model_validate({"folder": folder, "reserve_gb": 0.0, **settings})
        self.journal = Journal(wanted, ABOUT_TEST, clock, shelf=shelf, **more)
        self.journal.follow(self.bus.subscribe("journal", capacity=CAPACITY, full=Full.REFUSE_NEWEST))
        self.sent: list[Envelope] = []

    def play(self, count: int, first: int = 0) -> None:
        for k in range(first, first + count):
            track = image_track(1 + k // 10, age=k % 10, x=10.0 + k / 7)
            self.send("camera.cam", update("cam", k, [track], found=[("drone", 0.9), ("bird", 0.1)]))

    def send(self, subject: str, message: Any) -> None:
        self.sent.append(self.bus.publish(subject, message))

    def close(self) -> list[Path]:
        self.bus.close()
        self.journal.close()
        return [flight.path for flight in self.journal.folder.flights()]


def recorded(path: Path) -> list[bytes]:
    with Flight(path) as flight:
        return [encode(envelope) for envelope in flight.envelopes()]


@pytest.fixture(scope="module")
def flight_bytes(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, list[bytes]]:
    """A flight of several chunks of ten messages at most, and its messages."""
    recorder = Recorder(tmp_path_factory.mktemp("flights"), clock=Hasty())
    for k in range(5):
        recorder.play(10, 10 * k)
        wait_until(lambda k=k: recorder.journal.tally.messages == 10 * (k + 1))
    (path,) = recorder.close()
    return path.read_bytes(), [encode(envelope) for envelope in recorder.sent]


def wait_until(done: Any, seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "not in time"
        time.sleep(0.005)


# ── What is written ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_was_on_the_bus_is_in_the_file_to_the_last_bit(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    odd = np.array([[np.float32(0.1), np.nan, np.inf, -0.0]], np.float32)
    strange = update("cam", 0, found=[("drone", 0.3)])
    recorder.send("camera.cam", replace(strange, detections=replace(strange.detections, boxes=odd)))
    recorder.send("camera.cam", TracksEnded("cam", 5, (1, 2)))
    recorder.send("clock", Heartbeat(1_777_636_800_000_000_001))
    (path,) = recorder.close()
    with Flight(path) as flight:
        found = list(flight.envelopes())
        assert flight.about == replace(ABOUT_TEST, started_ns=recorder.sent[0].received_ns)
        assert not flight.losses
    assert [(e.seq, e.subject, e.received_ns) for e in found] == [
        (e.seq, e.subject, e.received_ns) for e in recorder.sent
    ]
    assert found[1:] == recorder.sent[1:]
    back = found[0].message
    assert isinstance(back, CameraUpdate)
    assert back.detections.boxes.tobytes() == odd.tobytes()
    assert back.tracks == strange.tracks


def test_other_tools_open_it_with_pictures_and_boxes(tmp_path: Path) -> None:
    shelf = FrameShelf("all")
    recorder = Recorder(tmp_path, shelf=shelf)
    message = update("cam", 3, [image_track(1)], found=[("drone", 0.9)])
    shelf.put(frame("cam", 3), message)
    recorder.send("camera.cam", message)
    (path,) = recorder.close()
    with path.open("rb") as file:
        reader = make_reader(file, validate_crcs=True)
        read = {channel.topic: (schema, message) for schema, channel, message in reader.iter_messages()}
        summary = reader.get_summary()
    assert summary is not None
    assert summary.statistics is not None
    assert summary.statistics.message_count == 3
    schema, image = read["/camera/cam/image"]
    assert schema is not None
    assert schema.name == "foxglove.CompressedImage"
    assert schema.data == SCHEMAS[schema.name]
    jpeg = np.frombuffer(base64.b64decode(orjson.loads(image.data)["data"]), np.uint8)
    picture = cv2.imdecode(jpeg, cv2.IMREAD_COLOR)
    assert picture is not None
    assert np.abs(picture.astype(int) - frame("cam", 3).pixels).max() <= 2
    boxes = orjson.loads(read["/camera/cam/annotations"][1].data)
    assert boxes["points"][-1]["points"][0] == {"x": 10.0, "y": 20.0}
    assert boxes["texts"][0]["text"] == "1 drone 0.80"


def test_pictures_are_kept_around_detections_and_never_beyond_the_bound() -> None:
    shelf = FrameShelf("detections", most_bytes=3 * frame("cam", 0).pixels.nbytes)
    quiet, seen = update("cam", 0), update("cam", 1, found=[("drone", 0.9)])
    faint = update("cam", 61 + 1, found=[("drone", 0.1)])
    for each in (quiet, seen, update("cam", 2), faint):
        shelf.put(frame("cam", each.sequence), each)
    assert [shelf.take(each) is not None for each in (quiet, seen, update("cam", 2), faint)] == [
        False,
        True,
        True,
        False,
    ]
    for k in range(10, 15):
        shelf.put(frame("cam", k), update("cam", k, found=[("drone", 0.9)]))
    assert shelf.dropped == 2
    assert shelf.take(update("cam", 11)) is None
    assert shelf.take(update("cam", 14)) is not None


def test_parts_go_on_where_the_last_ended_and_the_oldest_go_first(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, part_gb=300e-6)
    recorder.play(2000)
    paths = recorder.close()
    assert len(paths) > 2
    assert [line for path in paths for line in recorded(path)] == [encode(e) for e in recorder.sent]
    abouts = []
    for path in paths:
        with Flight(path) as flight:
            abouts.append(flight.about)
            assert flight.whole
    assert [about.part for about in abouts] == list(range(len(paths)))
    first_ids = [about.cameras["cam"].first_id for about in abouts]
    assert first_ids[0] == 1
    assert first_ids == sorted(set(first_ids))

    folder = FlightFolder(tmp_path)
    writing = paths[0]
    most = sum(path.stat().st_size for path in (writing, *paths[-2:])) / 1e9
    gone = folder.retire(RecordingSettings(folder=tmp_path, max_gb=most, reserve_gb=0), time.time_ns(), writing)
    assert [flight.path for flight in gone] == paths[1:-2]
    assert [flight.path for flight in folder.flights()] == [writing, *paths[-2:]]
    later = time.time_ns() + 40 * 86_400 * 10**9
    folder.retire(RecordingSettings(folder=tmp_path, reserve_gb=0), later, writing)
    assert [flight.path for flight in folder.flights()] == [writing]


class HalfHourly(SystemClock):
    """Each message comes half an hour after the one before."""

    _now_ns = SystemClock().now_ns()

    def now_ns(self) -> int:
        self._now_ns += 1800 * 10**9
        return self._now_ns


def test_a_part_ends_after_its_time(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, part_minutes=100, bus_clock=HalfHourly())
    recorder.play(12)
    paths = recorder.close()
    assert [len(recorded(path)) for path in paths] == [5, 5, 2]


# ── What goes wrong ─────────────────────────────────────────────────────────────────────────────────────────────────


class FullDisk:
    """A file on a disk that takes so many bytes."""

    room = 30_000

    def __init__(self, path: Path) -> None:
        self._file = path.open("xb", buffering=0)

    def write(self, data: bytes) -> int:
        if len(data) > FullDisk.room:
            self._file.write(data[: FullDisk.room])
            FullDisk.room = 0
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        FullDisk.room -= len(data)
        return self._file.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def test_a_full_disk_stops_the_recording_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.journal.RETRY_S", 0.05)
    FullDisk.room = 30_000
    told: list[JournalState] = []
    recorder = Recorder(tmp_path, open_file=FullDisk, on_state=told.append)
    sent = 0
    while recorder.journal.state.state == "recording":
        recorder.play(20, sent)
        sent += 20
        time.sleep(0.02)
    assert "no space left" in recorder.journal.state.reason
    kept = recorder.journal.tally.messages
    FullDisk.room = 10_000_000
    while recorder.journal.state.state == "stopped":
        recorder.play(1, 5000)
        time.sleep(0.02)
    recorder.play(3, 9000)
    paths = recorder.close()
    assert len(paths) == 2
    lines = [line for path in paths for line in recorded(path)]
    everything = [encode(e) for e in recorder.sent]
    assert lines == [line for line in everything if line in set(lines)]
    assert lines[-3:] == everything[-3:]
    assert 0 < len(recorded(paths[0])) <= kept
    assert [state.state for state in told] == ["stopped", "recording"]
    assert told[0].reason.endswith("no space left on device. Make room or give another folder.")


def test_recording_stops_before_others_have_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is recorded so far is ended whole; when there is room again it goes on in another file."""
    monkeypatch.setattr("service.journal.RETRY_S", 0.05)
    monkeypatch.setattr("service.journal.SYNC_S", 0.05)
    free = [3 * 10**9]
    monkeypatch.setattr(FlightFolder, "free_bytes", lambda self: free[0])
    recorder = Recorder(tmp_path, reserve_gb=2.0)
    recorder.play(1)
    wait_until(lambda: recorder.journal.writing is not None)
    writing = recorder.journal.writing
    assert writing is not None
    free[0] = 10**9
    for k in range(1, 200):
        recorder.play(1, k)
        if recorder.journal.state.state == "stopped":
            break
        time.sleep(0.02)
    assert "less than 2 GB is free" in recorder.journal.state.reason
    assert [each.path for each in recorder.journal.folder.flights()] == [writing]
    assert Flight(writing).whole
    free[0] = 3 * 10**9
    for k in range(200, 400):
        recorder.play(1, k)
        if recorder.journal.state.state == "recording":
            break
        time.sleep(0.02)
    assert len(recorder.close()) == 2


def test_a_folder_has_one_service_and_only_its_own_files(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "flights")
    with pytest.raises(RecordingError, match="Another service records"):
        Recorder(tmp_path / "flights")
    recorder.play(1)
    (path,) = recorder.close()
    (tmp_path / "secret.mcap").write_bytes(b"")
    (path.parent / "link.mcap").symlink_to(tmp_path / "secret.mcap")
    folder = recorder.journal.folder
    assert folder.path(path.stem) == path
    for name in ("../secret", "link", "..", "", "/etc/passwd", "a/b", path.stem + "\0", "x" * 200):
        assert folder.path(name) is None
    Recorder(tmp_path / "flights").close()


def test_a_killed_recorder_loses_less_than_a_second(tmp_path: Path) -> None:
    """A hundred kills at any moment. The process says of each message that it is out; its own clock goes on by 50 ms
    with each, so that a second is twenty messages. After a restart all before those are there, in a whole file."""
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path))
    command = [sys.executable, killed_recorder.__file__]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True, bufsize=1
    ) as forking:
        chance = random.Random(7)
        for k in range(100):
            check_after_kill(tmp_path / str(k), one_kill(forking, tmp_path / str(k), chance.randrange(1, 90)))
        forking.communicate()


def one_kill(forking: subprocess.Popen[str], folder: Path, least: int) -> int:
    """Record into a folder, kill when so many messages are out; how many were."""
    assert forking.stdin is not None
    assert forking.stdout is not None
    forking.stdin.write(f"{folder}\n")
    process, told = int(forking.stdout.readline()), folder.with_suffix(".told")
    while not told.exists() or told.stat().st_size < least:
        time.sleep(0.001)
    os.kill(process, signal.SIGKILL)
    assert forking.stdout.readline() == "gone\n"
    return told.stat().st_size


def check_after_kill(folder: Path, out: int) -> None:
    flights = FlightFolder(folder)
    mend_all(flights)
    lines = [line for flight in flights.flights() for line in recorded(flight.path)]
    expected = [encode(killed_recorder.envelope(n)) for n in range(out + 2)]  # it may have written more than it said
    assert lines == expected[: len(lines)]
    assert len(lines) >= out - 20
    assert sum(map(count_by_other_tools, flights.flights())) == len(lines)


def count_by_other_tools(flight: StoredFlight) -> int:
    with flight.path.open("rb") as file:
        return sum(1 for _ in make_reader(file, validate_crcs=True).iter_messages())


# ── Damaged files ───────────────────────────────────────────────────────────────────────────────────────────────────


def read_damaged(path: Path, data: bytes) -> tuple[list[bytes], Flight]:
    path.write_bytes(data)
    with Flight(path) as flight:
        return [encode(envelope) for envelope in flight.envelopes()], flight


def chunk_spans(data: bytes, path: Path) -> list[tuple[int, int]]:
    path.write_bytes(data)
    with Flight(path) as flight:
        assert flight.spans is not None
        return [(span.offset, span.length) for span in flight.spans]


def test_one_flipped_bit_costs_one_chunk_at_most_and_is_told(
    tmp_path: Path, flight_bytes: tuple[bytes, list[bytes]]
) -> None:
    whole, lines = flight_bytes
    spans = chunk_spans(whole, tmp_path / "f.mcap")
    assert len(spans) >= 4
    chance = random.Random(1)
    flips = [(chance.randrange(len(whole)), chance.randrange(8)) for _ in range(100)]
    flips += [(offset + chance.randrange(0, 60), chance.randrange(8)) for offset, _ in spans for _ in range(8)]
    heads = [record.offset for record in walk(BytesIO(whole), len(whole)) if isinstance(record, Record)]
    flips += [(head + byte, bit) for head in heads for byte in (0, 2) for bit in range(8)]  # kind, and middle of length
    for place, bit in flips:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << bit
        found, flight = read_damaged(tmp_path / "f.mcap", bytes(damaged))
        assert set(found) <= set(lines), (place, bit)  # nothing that was never said
        assert len(found) >= len(lines) - 10, (place, bit)
        if len(found) < len(lines):
            assert flight.losses.damages, (place, bit)


def test_cut_anywhere_all_before_the_cut_is_read_and_mended(
    tmp_path: Path, flight_bytes: tuple[bytes, list[bytes]]
) -> None:
    whole, lines = flight_bytes
    path = tmp_path / "f.mcap"
    spans = chunk_spans(whole, path)
    chance = random.Random(2)
    for cut in [0, 1, 8, 9, *(chance.randrange(len(whole)) for _ in range(80)), len(whole) - 1]:
        data, complete = whole[:cut], sum(offset + length <= cut for offset, length in spans)
        path.write_bytes(data)
        if complete:
            found, _ = read_damaged(path, data)
            assert found == lines[: len(found)]
            assert len(found) >= len(lines) * complete // len(spans) - 11
            mended = mend(path)
            assert mended is not None
            assert mended.kept
            assert recorded(path) == found
            assert mend(path) is None
        else:
            mended = mend(path)
            assert mended is not None
            assert not mended.kept
            assert not path.exists()


def test_holes_and_swaps_are_told_by_the_numbers_of_the_messages(
    tmp_path: Path, flight_bytes: tuple[bytes, list[bytes]]
) -> None:
    whole, lines = flight_bytes
    spans = chunk_spans(whole, tmp_path / "f.mcap")
    offset, length = spans[2]
    hole = whole[:offset] + bytes(length) + whole[offset + length :]
    found, flight = read_damaged(tmp_path / "f.mcap", hole)
    assert flight.losses.messages == len(lines) - len(found) > 0
    assert flight.losses.damages[0].offset == offset
    (a, n), (b, m) = spans[1], spans[2]
    swapped = whole[:a] + whole[b : b + m] + whole[a + n : b] + whole[a : a + n] + whole[b + m :]
    found, flight = read_damaged(tmp_path / "f.mcap", swapped)
    assert set(found) <= set(lines)
    assert found == sorted(found, key=lines.index)
    assert flight.losses


@pytest.mark.parametrize("size", [64 << 20, 1 << 20])
def test_a_chunk_that_unpacks_to_more_than_is_reasonable_is_refused(tmp_path: Path, size: int) -> None:
    stream = BytesIO()
    writer = Writer(stream)
    writer.start("deeplomatics", "x")
    writer.add_metadata(ABOUT, sealed(about_record(ABOUT_TEST)))
    packed = zstandard.compress(bytes(size))
    head = stream.getvalue()
    builder = RecordBuilder()
    Chunk("zstd", packed, 1, 0, zlib.crc32(bytes(size)), size).write(builder)
    found, flight = read_damaged(tmp_path / "bomb.mcap", head + builder.end() * 50)
    assert found == []
    assert "more than is reasonable" in flight.losses.damages[0].reason
    lying = RecordBuilder()
    Chunk("zstd", packed, 1, 0, 0, 1000).write(lying)
    found, flight = read_damaged(tmp_path / "bomb.mcap", head + lying.end())
    assert found == []
    assert flight.losses


@pytest.mark.parametrize(
    ("data", "sentence"),
    [(b"", "is empty"), (b"RIFF" * 100, "no flight of this program"), (bytes(4096), "no flight of this program")],
)
def test_what_is_no_flight_is_refused_with_a_sentence(tmp_path: Path, data: bytes, sentence: str) -> None:
    path = tmp_path / "f.mcap"
    path.write_bytes(data)
    with pytest.raises(FlightError, match=sentence):
        Flight(path)


def test_a_flight_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "f.mcap"
    with path.open("wb") as file:
        writer = Writer(file)
        writer.start("deeplomatics", "x")
        writer.add_metadata(ABOUT, sealed(about_record(ABOUT_TEST) | {"format": "2"}))
        writer.finish()
    with pytest.raises(FlightError, match="format 2 and this version reads up to 1: update"):
        Flight(path)
