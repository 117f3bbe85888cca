"""The store: what it was given is there after a kill, lists page without loss, numbers are never used twice."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from camera_updates import detections, frame_time, image_track, update
from postgres_server import PostgresServer
from sqlalchemy import Connection, event, select, text

from fusion.alerts import Alert, AlertKind
from service import tables
from service.bus import Bus, Full
from service.database import Fault, QueryTooLarge, StoreError
from service.history import Filter
from service.schemas import best_class
from service.store import ID_BLOCK, Store, open_database
from service.types import Acknowledgement, TracksEnded
from tracking.types import Status


class Recorder:
    """A store with a bus before it."""

    def __init__(self, where: str | Path, **settings: float) -> None:
        self.store = Store(where, **settings)  # type: ignore[arg-type]
        self.bus = Bus(lambda: 0)
        self.subscription = self.bus.subscribe("store", capacity=10_000, full=Full.REFUSE_NEWEST)
        self.store.follow(self.subscription)
        OPEN.append(self)

    def publish(self, *messages: object) -> None:
        for message in messages:
            self.bus.publish("camera.cam", message)  # type: ignore[arg-type]
        assert self.store.flush()

    def close(self) -> None:
        OPEN.remove(self)
        self.bus.close()
        self.store.close()


OPEN: list[Recorder] = []


@pytest.fixture(autouse=True)
def _closed_also_after_a_failure() -> Iterator[None]:
    """A store that nobody closes keeps its thread, and the tests would not end."""
    yield
    for recorder in OPEN:
        recorder.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new folder" / "store.sqlite3"


@pytest.fixture(params=["sqlite", "postgresql"])
def where(request: pytest.FixtureRequest, path: Path) -> str:
    """The address of an empty store of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{path}"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.new_database()


@pytest.fixture
def recorder(where: str) -> Recorder:
    return Recorder(where)


def reopened(where: str) -> Recorder:
    """After a kill: PostgreSQL takes a moment to notice that its client is gone."""
    for _ in range(100):
        try:
            return Recorder(where)
        except StoreError as error:
            held = "another service uses it" in str(error)
        assert held
        time.sleep(0.05)
    raise AssertionError("the killed service still holds the store")


def all_pages(ask: Callable[[Filter], list[object]], narrow: Filter) -> list[object]:
    rows: list[object] = []
    while page := ask(narrow):
        rows += page
        narrow = replace(narrow, after=page[-1].key)  # type: ignore[attr-defined]
    return rows


def test_faint_detections_are_not_kept(where: str) -> None:
    recorder = Recorder(where, min_score=0.25)
    recorder.publish(update("cam", 0, found=[("drone", 0.9), ("bird", 0.25), ("bird", 0.2)]))
    assert [round(each.score, 2) for each in recorder.store.detections(Filter())] == [0.25, 0.9]
    recorder.close()


def test_tracks_and_their_history_come_back_as_they_were(recorder: Recorder) -> None:
    for sequence in range(5):
        recorder.publish(update("cam", sequence, [image_track(7, age=sequence, x=10.0 + sequence)]))
    (stored,) = recorder.store.tracks(Filter())
    assert (stored.sensor_id, stored.first_ns, stored.time_ns) == ("cam", frame_time(0), frame_time(4))
    expected = image_track(7, age=4, x=14.0)
    assert replace(stored.track, class_probabilities=(), detection=0) == replace(expected, class_probabilities=())
    assert stored.track.class_probabilities == pytest.approx(expected.class_probabilities)
    history = recorder.store.history("cam", 7, Filter(since_ns=frame_time(1), until_ns=frame_time(3)))
    assert [point.track.box[0] for point in history] == [11.0, 12.0, 13.0]
    assert recorder.store.track("cam", 7) == stored
    assert recorder.store.track("cam", 8) is recorder.store.track("other", 7) is None


def test_lists_narrow_and_page_without_loss_or_repetition(recorder: Recorder) -> None:
    found = [("drone", 0.9), ("bird", 0.6), ("drone", 0.1)]
    recorder.publish(*(update("cam", n, [image_track(n + 1)], found=found, deleted=(n,)) for n in range(40)))
    recorder.publish(*(update("second", n, [image_track(n + 1, name="bird")]) for n in range(10)))
    tracks = all_pages(recorder.store.tracks, Filter(limit=7))  # type: ignore[arg-type]
    born = [(frame_time(n), "cam") for n in range(40)] + [(frame_time(n), "second") for n in range(10)]
    assert [(t.first_ns, t.sensor_id) for t in tracks] == sorted(born, reverse=True)  # type: ignore[attr-defined]
    assert len(recorder.store.tracks(Filter(classes=("bird",)))) == 10
    assert len(recorder.store.tracks(Filter(sensors=("cam",), states=("confirmed",)))) == 1  # the last one lives
    assert len(recorder.store.tracks(Filter(since_ns=frame_time(38)))) == 2 + 0
    drones = Filter(classes=("drone",), min_score=0.5, since_ns=frame_time(10), until_ns=frame_time(29), limit=6)
    pages = all_pages(recorder.store.detections, drones)  # type: ignore[arg-type]
    assert [each.sequence for each in pages] == list(range(29, 9, -1))  # type: ignore[attr-defined]
    assert recorder.store.detections(Filter(sensors=("unknown",))) == []


def test_a_track_never_confirmed_is_forgotten_and_one_confirmed_stays(recorder: Recorder) -> None:
    doubtful = image_track(1, status=Status.TENTATIVE)
    recorder.publish(update("cam", 0, [doubtful, image_track(2)]))
    assert len(recorder.store.tracks(Filter())) == 1
    assert recorder.store.track("cam", 1) is not None
    recorder.publish(TracksEnded("cam", frame_time(1), (1, 2)))
    assert recorder.store.track("cam", 1) is None
    assert recorder.store.history("cam", 1, Filter()) == []
    assert [stored.track.status for stored in recorder.store.tracks(Filter())] == [Status.DELETED]


def test_a_number_that_is_none_costs_its_own_row_only(recorder: Recorder) -> None:
    bad = detections("cam", 0, [("drone", 0.9), ("drone", 0.8)])
    bad.boxes[0, 0] = np.nan
    recorder.publish(replace(update("cam", 0), detections=bad), update("cam", 1, found=[("bird", 0.5)]))
    assert [each.score for each in recorder.store.detections(Filter())] == pytest.approx([0.5, 0.8])
    assert recorder.store.state.state == "ok"


def test_no_number_is_used_twice_whether_closed_or_killed(where: str) -> None:
    first = Recorder(where)
    assert first.store.first_id("cam") == 1
    first.publish(update("cam", 0, [image_track(41)]))
    first.close()
    script = (
        "import os, signal, sys; from service.store import Store;"
        "print(Store(sys.argv[1]).first_id('cam'), flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", script, where], capture_output=True, text=True, check=False)
    assert (killed.returncode, killed.stdout.strip()) == (-signal.SIGKILL, "42")
    again = reopened(where)
    after_kill = again.store.first_id("cam")
    assert after_kill == 42 + ID_BLOCK
    again.publish(update("cam", 1, [image_track(after_kill + 10 * ID_BLOCK)]))  # far beyond what was reserved
    ((reserved,),) = again.store.database.read(select(tables.sensors.c.reserved))
    assert reserved > after_kill + 10 * ID_BLOCK
    again.close()


def test_what_a_killed_service_left_open_is_not_shown_as_living(where: str) -> None:
    script = (
        "import os, signal, sys; from test_store import Recorder;"
        "from camera_updates import image_track, update;"
        "Recorder(sys.argv[1]).publish(update('cam', 0, [image_track(1)]));"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    here = Path(__file__).resolve().parent
    environment = os.environ | {"PYTHONPATH": f"{here.parent}:{here}"}
    killed = subprocess.run([sys.executable, "-c", script, where], env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL
    again = reopened(where)
    assert [stored.track.status for stored in again.store.tracks(Filter())] == [Status.DELETED]
    again.close()


def test_the_oldest_go_when_it_grows_beyond_its_bound(where: str) -> None:
    recorder = Recorder(where, max_bytes=1 << 20)
    found = [("drone", 0.9)] * 50
    for sequence in range(0, 400, 20):
        recorder.publish(
            *(update("cam", n, [image_track(n + 1)], found=found, deleted=(n,)) for n in range(sequence, sequence + 20))
        )
    kept = [each.sequence for each in all_pages(recorder.store.detections, Filter(limit=500))]  # type: ignore
    assert kept == sorted(kept, reverse=True)
    assert kept[0] == 399
    assert 0 < kept[-1] < 399
    assert recorder.store.tracks(Filter(limit=1000))[-1].time_ns >= frame_time(kept[-1] - 1)
    recorder.close()


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: (path.parent.parent / "file").write_text(""), "Cannot write in the folder"),
        (lambda path: (path.parent.mkdir(), path.write_text("no database " * 99)), "Move it away"),
        (lambda path: Store(path), "in use by another service"),
    ],
)
def test_a_store_that_cannot_be_opened_is_one_sentence(path: Path, make: Callable[[Path], object], says: str) -> None:
    held = make(path)
    place = path.parent.parent / "file" / "store" if isinstance(held, int) else path
    with pytest.raises(StoreError, match=says) as refused:
        Store(place)
    assert "\n" not in str(refused.value)


def test_a_full_disk_is_waited_for(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder(path)
    store = recorder.store

    def prune_on_a_full_disk(connection: Connection) -> None:
        connection.exec_driver_sql("PRAGMA max_page_count = 1")  # not below what there is: the next page does not fit
        try:
            connection.exec_driver_sql("CREATE TABLE filler AS SELECT zeroblob(1000000)")
        finally:
            connection.exec_driver_sql("PRAGMA max_page_count = 1000000")

    monkeypatch.setattr(store, "_prune", prune_on_a_full_disk)
    recorder.bus.publish("camera.cam", update("cam", 0, [image_track(1)]))
    assert store.flush(0.5) is False
    assert store.state.state == "degraded"
    assert "full" in store.state.reason
    monkeypatch.undo()
    assert store.flush(5.0)
    assert store.state.state == "ok"
    assert len(store.tracks(Filter())) == 1
    recorder.close()


def test_a_question_without_end_is_refused(recorder: Recorder) -> None:
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
    with pytest.raises(QueryTooLarge):
        recorder.store.database.read(text(endless))


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("mysql://user:secret@host/name", "write sqlite:///PATH or postgresql://"),
        ("no address, secret", "write sqlite:///PATH"),
        ("sqlite://", "write sqlite:///PATH"),
        ("postgresql://user:secret@host", "write sqlite:///PATH"),
        ("postgresql://user:${NO_SUCH_SECRET}@host/name", "NO_SUCH_SECRET is not set"),
        ("postgresql://user:secret@host/name?sslmode=maybe", "disable, require or verify-full"),
        ("postgresql://user:secret@host/name?colour=red", "unknown option 'colour'"),
        ("postgresql://user:secret@127.0.0.1:1/name", "Start its server"),
    ],
)
def test_an_address_that_cannot_be_used_is_one_sentence_without_its_secret(address: str, says: str) -> None:
    with pytest.raises(StoreError, match=says) as refused:
        Store(address)
    assert "\n" not in str(refused.value)
    assert "secret" not in str(refused.value)


def test_secrets_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_PASSWORD", "s3cr@t/")
    database = open_database("postgresql://watch:${DATABASE_PASSWORD}@host/name")
    assert database.writing.url.password == "s3cr@t/"
    assert "s3cr" not in database.title


# ── Tables of other versions ────────────────────────────────────────────────────────────────────────────────────────

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("version", [1, 3])
def test_a_store_of_an_older_program_is_brought_up_to_date(path: Path, version: int) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as db, db:
        db.executescript((GOLDEN / "store_1.sql").read_text())
        db.execute("INSERT INTO sensors VALUES (1, 'old', 7)")
        if version == 3:
            db.executescript((GOLDEN / "store_3.sql").read_text())
            claim = {"identity": "cooperative", "claimed_id": "HB-1", "claim_only": False}
            said = json.dumps(claim | {"identity_score": 0.9, "evidence": []})
            db.execute("INSERT INTO world_tracks VALUES (4, 'T4', 1, 3, 'confirmed', 'drone', '[\"cam\"]', ?)", (said,))
            points = [(time_ns, 47.0 + time_ns / 10, 8.5, bytes(152)) for time_ns in (1, 2, 3)]
            db.executemany("INSERT INTO world_points VALUES (4, ?, 'confirmed', ?, ?, 400.0, ?)", points)
        db.execute(f"PRAGMA user_version = {version}")
    store = Store(path)
    assert store.first_id("old") == 8
    assert store.alerts(Filter()) == []
    if version == 3:
        (track,) = store.world_tracks(Filter(identities=("cooperative",), bbox=(8.0, 47.15, 9.0, 47.25)))
        assert (track.shown.track.track_id, track.shown.track.status) == ("T4", Status.DELETED)
        assert store.world_tracks(Filter(bbox=(8.0, 47.35, 9.0, 47.5))) == []
    store.close()
    Store(path).close()  # what is up to date stays as it is


def test_alerts_of_before_stay_when_one_may_be_about_no_track(where: str) -> None:
    """The step that rebuilds their table in SQLite."""
    database, config = open_database(where), Config()
    config.set_main_option("script_location", "service:migrations")
    with database.writing.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0002")
        told = "(1, 'enter', 'T1', 'pad', 5, 7, false, true, 0.9, NULL, 'in Pad', 8, 'Meier', 'seen')"
        connection.execute(text(f"INSERT INTO alerts VALUES {told}"))
    database.close()
    recorder = Recorder(where)
    recorder.bus.publish("alert.2", Alert(2, AlertKind.RECORDING, None, None, 9, 9, True, False, 1.0, None, "full"))
    assert recorder.store.flush()
    new, old = recorder.store.alerts(Filter())
    assert (new.alert.track_id, new.alert.kind, new.alert.text) == (None, AlertKind.RECORDING, "full")
    assert (old.alert.track_id, old.alert.zone_id, old.acknowledgement) == (
        "T1",
        "pad",
        Acknowledgement(1, 8, "Meier", "seen"),
    )
    recorder.close()


def test_tables_of_a_newer_program_are_refused(where: str) -> None:
    recorder = Recorder(where)
    with recorder.store.database.writing.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    recorder.close()
    with pytest.raises(StoreError, match=r"version 9999, this program knows up to \d+: update the program"):
        Store(where)


def test_the_steps_lead_to_the_tables_that_the_program_writes(recorder: Recorder) -> None:
    with recorder.store.database.writing.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": False})
        assert compare_metadata(context, tables.metadata) == []


# ── A server that goes away ─────────────────────────────────────────────────────────────────────────────────────────


def test_one_service_alone_writes_in_a_database(postgres: PostgresServer) -> None:
    where = postgres.new_database()
    recorder = Recorder(where)
    with pytest.raises(StoreError, match="another service uses it"):
        Store(where)
    recorder.close()
    Store(where).close()


def test_a_server_that_crashes_loses_nothing_and_doubles_nothing(postgres: PostgresServer) -> None:
    recorder = Recorder(postgres.new_database())
    recorder.publish(update("cam", 0, [image_track(1)], found=[("drone", 0.9)]))
    for crash in range(3):
        first = 1 + 20 * crash
        for n in range(first, first + 10):
            recorder.bus.publish("camera.cam", update("cam", n, [image_track(1, age=n)], found=[("drone", 0.9)]))
        postgres.stop("immediate")
        for n in range(first + 10, first + 20):
            recorder.bus.publish("camera.cam", update("cam", n, [image_track(1, age=n)], found=[("drone", 0.9)]))
        assert recorder.store.flush(1.5) is False
        assert recorder.store.state.state == "degraded"
        postgres.start()
        assert recorder.store.flush(20.0)
        assert recorder.store.state.state == "ok"
    found = all_pages(recorder.store.detections, Filter())  # type: ignore[arg-type]
    assert [each.sequence for each in found] == list(range(60, -1, -1))  # type: ignore[attr-defined]
    assert len(recorder.store.history("cam", 1, Filter())) == 61
    recorder.close()


def test_a_commit_whose_answer_was_lost_is_not_written_twice(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder(where)
    recorder.publish(update("cam", 0))
    monkeypatch.setattr("service.store.RETRY_S", 0.01)
    monkeypatch.setattr(recorder.store.database, "fault", lambda _: Fault.LOST)
    engine, lost = recorder.store.database.writing, list[str]()

    @event.listens_for(engine, "commit")
    def commit_and_lose_the_answer(connection: Connection) -> None:
        if not lost:
            lost.append("once")
            connection.connection.dbapi_connection.commit()  # type: ignore[union-attr]
            raise OSError("the answer is lost")

    recorder.publish(update("cam", 1, found=[("drone", 0.9)]))
    assert lost
    assert [each.sequence for each in recorder.store.detections(Filter())] == [1]
    event.remove(engine, "commit", commit_and_lose_the_answer)
    recorder.close()


@pytest.mark.parametrize("most_pages", [100, 1])
def test_detections_of_classes_and_sensors_are_those_that_a_look_at_all_finds(
    where: str, monkeypatch: pytest.MonkeyPatch, most_pages: int
) -> None:
    """By pages of each pair, and where there are too many pairs for that."""
    monkeypatch.setattr("service.history.MOST_PAGES", most_pages)
    recorder = Recorder(where)
    for n in range(60):
        name, kind = ("cam", "heat", "far")[n * n % 3], ("drone", "bird", "airplane", "helicopter")[n * 7 % 4]
        recorder.bus.publish(f"camera.{name}", update(name, n, found=[(kind, 0.5 + n % 5 / 10), ("bird", 0.3)]))
    assert recorder.store.flush()
    everything = recorder.store.detections(Filter(limit=500))
    assert len(everything) == 120
    for classes in ((), ("helicopter",), ("drone", "bird")):
        for sensors in ((), ("far",), ("cam", "far", "unknown")):
            for least in (0.0, 0.6):
                narrow = Filter(classes=classes, sensors=sensors, min_score=least, until_ns=frame_time(50), limit=7)
                wanted = [
                    each
                    for each in everything
                    if each.time_ns <= frame_time(50)
                    and each.score >= least
                    and (not classes or best_class(each.class_scores) in classes)
                    and (not sensors or each.sensor_id in sensors)
                ]
                first = recorder.store.detections(narrow)
                rest = recorder.store.detections(replace(narrow, after=first[-1].key)) if first else []
                assert first + rest == wanted[:14]
    recorder.close()
