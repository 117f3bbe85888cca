"""The store: what it was given is there after a kill, lists page without loss, numbers are never used twice."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from camera_updates import detections, frame_time, image_track, update

from service.bus import Bus, Full
from service.store import ID_BLOCK, Filter, QueryTooLarge, Store, StoreError, path_of
from service.types import TracksEnded
from tracking.types import Status


class Recorder:
    """A store with a bus before it."""

    def __init__(self, path: Path, **settings: float) -> None:
        self.store = Store(path, **settings)  # type: ignore[arg-type]
        self.bus = Bus(lambda: 0)
        self.subscription = self.bus.subscribe("store", capacity=10_000, full=Full.REFUSE_NEWEST)
        self.store.follow(self.subscription)

    def publish(self, *messages: object) -> None:
        for message in messages:
            self.bus.publish("camera.cam", message)  # type: ignore[arg-type]
        assert self.store.flush()

    def close(self) -> None:
        self.bus.close()
        self.store.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new folder" / "store.sqlite3"


@pytest.fixture
def recorder(path: Path) -> Iterator[Recorder]:
    recorder = Recorder(path)
    yield recorder
    recorder.close()


def all_pages(ask: Callable[[Filter], list[object]], narrow: Filter) -> list[object]:
    rows: list[object] = []
    while page := ask(narrow):
        rows += page
        narrow = replace(narrow, after=page[-1].key)  # type: ignore[attr-defined]
    return rows


def test_faint_detections_are_not_kept(path: Path) -> None:
    recorder = Recorder(path, min_score=0.25)
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


def test_no_number_is_used_twice_whether_closed_or_killed(path: Path) -> None:
    first = Recorder(path)
    assert first.store.first_id("cam") == 1
    first.publish(update("cam", 0, [image_track(41)]))
    first.close()
    script = (
        "import os, signal, sys; from pathlib import Path; from service.store import Store;"
        "print(Store(Path(sys.argv[1])).first_id('cam'), flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=False)
    assert (killed.returncode, killed.stdout.strip()) == (-signal.SIGKILL, "42")
    again = Recorder(path)
    after_kill = again.store.first_id("cam")
    assert after_kill == 42 + ID_BLOCK
    again.publish(update("cam", 1, [image_track(after_kill + 10 * ID_BLOCK)]))  # far beyond what was reserved
    row = sqlite3.connect(path).execute("SELECT reserved FROM sensors").fetchone()
    assert row[0] > after_kill + 10 * ID_BLOCK
    again.close()


def test_what_a_killed_service_left_open_is_not_shown_as_living(path: Path) -> None:
    script = (
        "import os, signal, sys; from pathlib import Path; from test_store import Recorder;"
        "from camera_updates import image_track, update;"
        "Recorder(Path(sys.argv[1])).publish(update('cam', 0, [image_track(1)]));"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    here = Path(__file__).resolve().parent
    environment = os.environ | {"PYTHONPATH": f"{here.parent}:{here}"}
    killed = subprocess.run([sys.executable, "-c", script, str(path)], env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL
    store = Store(path)
    assert [stored.track.status for stored in store.tracks(Filter())] == [Status.DELETED]
    store.close()


def test_the_oldest_go_when_it_grows_beyond_its_bound(path: Path) -> None:
    recorder = Recorder(path, max_bytes=1 << 20)
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


def test_a_full_disk_is_waited_for(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    store = recorder.store

    def prune_on_a_full_disk(db: sqlite3.Connection) -> None:
        db.execute("PRAGMA max_page_count = 1")  # not below what there is: the next page does not fit
        try:
            db.execute("CREATE TABLE filler AS SELECT zeroblob(1000000)")
        finally:
            db.execute("PRAGMA max_page_count = 1000000")

    monkeypatch.setattr(store, "_prune", prune_on_a_full_disk)
    recorder.bus.publish("camera.cam", update("cam", 0, [image_track(1)]))
    assert store.flush(0.5) is False
    assert store.state.state == "degraded"
    assert "full" in store.state.reason
    monkeypatch.undo()
    assert store.flush(5.0)
    assert store.state.state == "ok"
    assert len(store.tracks(Filter())) == 1


def test_a_question_without_end_is_refused(recorder: Recorder) -> None:
    with pytest.raises(QueryTooLarge):
        recorder.store._read("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n", ())


def test_only_sqlite_addresses_are_known() -> None:
    assert path_of("sqlite:////data/store.sqlite3") == Path("/data/store.sqlite3")
    with pytest.raises(StoreError, match="sqlite:///"):
        path_of("postgresql://user:secret@host/name")
