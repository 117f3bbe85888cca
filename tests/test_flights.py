"""Flights as a table of the store: what the folder holds is what is found, in both databases and over HTTP."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from fusion.types import Heartbeat
from service import catalogue, tables
from service.api import create_app
from service.flight_file import Flight
from service.history import Filter
from service.journal import Part
from service.journal_about import About, CameraAbout
from service.journal_format import KINDS, encode, topic_of
from service.recording import FlightFolder, RecordingSettings
from service.schemas import rfc3339
from service.statistics import QUARTER_NS
from service.store import Store
from service.types import Envelope
from service.upkeep import Upkeep

from live_site import LiveSite, local_client  # isort: skip
from postgres_server import PostgresServer  # isort: skip
from test_journal import Recorder  # isort: skip

HOUR_NS = 3600 * 10**9
START_NS = 1_777_636_800_000_000_000


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "sqlite":
        where = f"sqlite:///{tmp_path / 'store.sqlite3'}"
    else:
        server: PostgresServer = request.getfixturevalue("postgres")
        where = server.new_database()
    store = Store(where)
    yield store
    store.close()


def write(folder: FlightFolder, hour: int, lasts_s: int = 60, session: str = "a", camera: str = "cam") -> Path:
    """An hour's flight with two heartbeats."""
    begin_ns = START_NS + hour * HOUR_NS
    cameras = {camera: CameraAbout("visible", "", {})}
    about = About("1.2.3", session, part=hour, started_ns=begin_ns, cameras=cameras)
    part = Part(folder.new_path(begin_ns, hour), about, lambda path: path.open("xb"))
    for seq, time_ns in ((1, begin_ns), (2, begin_ns + lasts_s * 10**9)):
        envelope = Envelope(seq, "clock", time_ns, Heartbeat(time_ns))
        part.add(topic_of(envelope.message), KINDS[Heartbeat].name, time_ns, time_ns, encode(envelope), seq)
    part.end()
    return part.path


@pytest.fixture
def folder(tmp_path: Path) -> FlightFolder:
    """Three flights of two sessions, and one that is none."""
    folder = FlightFolder(tmp_path / "flights")
    write(folder, 0)
    write(folder, 1, camera="heat")
    write(folder, 2, 1800, session='odd "b"')
    return folder


def hours(store: Store, **asked: Any) -> list[int]:
    sets = {name: asked.pop(name) for name in ("sensors", "sessions", "states") if name in asked}
    return [int(each.id[9:11]) - 12 for each in store.flights(Filter(**asked), **sets)]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, [2, 1, 0]),
        ({"limit": 2}, [2, 1]),
        ({"sensors": ["heat", "other"]}, [1]),
        ({"sensors": ["hea"]}, []),
        ({"sessions": ["a"]}, [1, 0]),
        ({"sessions": ['odd "b"']}, [2]),
        ({"states": ["cut", "recording"]}, []),
        ({"since_ns": START_NS + 2 * HOUR_NS + 1700 * 10**9}, [2]),
        ({"since_ns": START_NS + 30 * 10**9, "until_ns": START_NS + HOUR_NS}, [1, 0]),
        ({"since_ns": START_NS + 120 * 10**9, "until_ns": START_NS + HOUR_NS - 1}, []),
    ],
)
def test_each_question_finds_its_flights(store: Store, folder: FlightFolder, asked: dict[str, Any], found: Any) -> None:
    catalogue.look(store, folder, None)
    assert hours(store, **asked) == found


def test_the_table_is_what_the_folder_holds(
    store: Store, folder: FlightFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Flights that were there, that come, that are being written, that are ended, that go; none is opened twice."""
    opened: list[str] = []
    opening = Flight.__init__

    def noted(self: Flight, path: Path) -> None:
        opened.append(path.name)
        opening(self, path)

    monkeypatch.setattr(Flight, "__init__", noted)
    catalogue.look(store, folder, None)
    assert (len(opened), hours(store)) == (3, [2, 1, 0])
    catalogue.look(store, folder, None)
    assert len(opened) == 3
    newest = write(folder, 3)
    catalogue.look(store, folder, newest)
    assert (opened[3:], store.flights(Filter(limit=1))[0].state) == ([newest.name], "recording")
    catalogue.look(store, folder, None)  # ended: not a byte has changed
    entry = store.flights(Filter(limit=1))[0]
    assert (entry.state, entry.part, entry.version, entry.sensors) == ("whole", 3, "1.2.3", ("cam",))
    assert (entry.start_ns, entry.end_ns) == (START_NS + 3 * HOUR_NS, START_NS + 3 * HOUR_NS + 60 * 10**9)
    for path in (newest, folder.flights()[0].path):
        path.unlink()
    (folder.folder / "broken.mcap").write_bytes(b"no")
    catalogue.look(store, folder, None)
    states = {each.id: each.state for each in store.flights(Filter())}
    assert (len(states), states["broken"]) == (3, "unreadable")


@pytest.fixture
def site(tmp_path: Path, folder: FlightFolder) -> Iterator[LiveSite]:
    site = LiveSite(tmp_path)
    site.settings = site.settings.model_copy(update={"recording": RecordingSettings(folder=folder.folder)})
    yield site
    site.close()


def test_flights_are_asked_for_over_http_page_by_page(site: LiveSite, folder: FlightFolder) -> None:
    with local_client(create_app(site)) as client:
        asked: dict[str, Any] = {"limit": 2}
        first = client.get("/api/v1/flights", params=asked).json()
        second = client.get("/api/v1/flights", params=asked | {"cursor": first["next_cursor"]}).json()
        assert [each["part"] for page in (first, second) for each in page["flights"]] == [2, 1, 0]
        assert second["next_cursor"] is None
        at = rfc3339(START_NS + HOUR_NS + 5 * 10**9)
        assert parts(client, since=at, until=at) == [1]
        assert parts(client, sensor="cam,heat", session="a") == [1, 0]
        folder.flights()[1].path.unlink()
        assert parts(client) == [2, 0]
        assert client.get("/api/v1/flights", params={"until": "yesterday"}).status_code == 422
        assert client.get("/api/v1/flights", params={"colour": "red"}).status_code == 422
        assert client.get("/api/v1/flights", params={"cursor": "x"}).status_code == 422


def parts(client: TestClient, **asked: str) -> list[int]:
    answer = client.get("/api/v1/flights", params=asked)
    assert answer.status_code == 200, answer.text
    return [each["part"] for each in answer.json()["flights"]]


class Hours:
    """A clock that goes on by so much when it is told."""

    now = START_NS + QUARTER_NS - 10**9

    def now_ns(self) -> int:
        return self.now

    def monotonic_ns(self) -> int:
        return self.now - START_NS

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        return event.wait(timeout_s)


def test_the_service_notes_how_long_it_was_up_and_which_flights_there_are(store: Store, tmp_path: Path) -> None:
    clock = Hours()
    recorder = Recorder(tmp_path / "recorded")
    upkeep = Upkeep(store, recorder.journal, clock)
    for seconds in (0.0, 0.5, 7.0, 3.5):
        clock.now += round(seconds * 1e9)
        upkeep.step()
    recorder.play(1)
    recorder.close()
    upkeep.start()
    upkeep.stop()
    rows = store.database.read(select(tables.uptime).order_by(tables.uptime.c.quarter))
    assert [(quarter - START_NS // QUARTER_NS, seconds) for quarter, seconds in rows] == [(0, 0.5), (1, 10.5)]
    assert [each.state for each in store.flights(Filter())] == ["whole"]
