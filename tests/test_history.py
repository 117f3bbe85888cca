"""What operators ask of the past: each question alone, both databases; statistics; what people said of tracks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from camera_updates import START_NS, image_track, update
from postgres_server import PostgresServer
from world_updates import NS, Identity, alert, flown, world_track, world_update

from service import statistics
from service.bus import Bus, Full
from service.history import Filter
from service.statistics import Asked
from service.store import Store
from service.types import Mark, Verdict

HOUR = 3600.0
FIRST_QUARTER = START_NS // statistics.QUARTER_NS


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A day at a site: six tracks, three alerts, three marks. 2026-05-01 is a Friday; the day begins at noon UTC."""
    if request.param == "sqlite":
        where = f"sqlite:///{tmp_path_factory.mktemp('store') / 'store.sqlite3'}"
    else:
        server: PostgresServer = request.getfixturevalue("postgres")
        where = server.new_database()
    bus, filled = Bus(lambda: 0), Store(where)
    filled.follow(bus.subscribe("store", capacity=10_000, full=Full.REFUSE_NEWEST))
    for message in (
        *flown(1, 0, 10, speed=20.0),
        *flown(2, 2 * HOUR, 60, name="bird", speed=8.0, sensors=("mic", 'odd "name"')),
        *flown(3, 3 * HOUR, 5, identity=Identity.COOPERATIVE, claimed_id="HB-1", claim_only=True, place=(47.5, 8.6)),
        *flown(4, 3 * HOUR + 60, 20, speed=40.0, sigma=9.0, place=(47.41, 8.5)),
        *flown(5, 13 * HOUR, 4, place=(-33.9, 179.999), claimed_id="no\0text of PostgreSQL"),
    ):
        bus.publish("world", message)
    claimed: dict[str, Any] = {"identity": Identity.COOPERATIVE, "claimed_id": "HB-2"}
    for k in range(9):  # says who it is for two seconds before a camera sees it
        time_ns = START_NS + round(4 * HOUR * NS) + k * NS // 2
        shown = world_track(6, time_ns, first_ns=START_NS + round(4 * HOUR * NS), claim_only=k < 4, **claimed)
        bus.publish("world", world_update(time_ns, shown))
    for each in (
        alert(1, 1.0),
        alert(2, 3 * HOUR, track="T4", zone="runway"),
        alert(3, 3 * HOUR + 900, track="T2", zone="pad", kind="approach"),
    ):
        bus.publish(f"alert.{each.number}", each)
    for mark in (
        Mark(1, START_NS + NS, "T1", Verdict.BIRD, "Meier", "far away"),
        Mark(2, START_NS + 2 * NS, "T1", Verdict.DRONE, "Huber", "", 1),
        Mark(3, START_NS + 3 * NS, "T2", Verdict.BIRD, "Meier"),
    ):
        bus.publish(f"mark.{mark.number}", mark)
    bus.publish("camera.cam", update("cam", 30, [image_track(1, age=30)]))
    bus.close()
    for up in ({FIRST_QUARTER: 450.0}, {FIRST_QUARTER: 450.0, FIRST_QUARTER + 1: 900.0, FIRST_QUARTER + 52: 900.0}):
        filled.add_uptime(up)
    assert filled.flush(20.0)
    yield filled
    filled.close()


@pytest.mark.parametrize(
    ("narrow", "ids"),
    [
        (Filter(), "T5 T6 T4 T3 T2 T1"),
        (Filter(limit=2), "T5 T6"),
        (Filter(classes=("bird",)), "T2"),
        (Filter(identities=("cooperative",)), "T6 T3"),
        (Filter(claimed_ids=("HB-1", "HB-9")), "T3"),
        (Filter(sensors=("mic",)), "T2"),
        (Filter(sensors=('odd "name"',)), "T2"),
        (Filter(sensors=("MIC", "ic")), ""),
        (Filter(min_duration_ns=20 * NS), "T4 T2"),
        (Filter(max_duration_ns=5 * NS), "T5 T6 T3"),
        (Filter(min_speed=15.0), "T1"),  # of T4 the speed was never known
        (Filter(max_speed=9.0), "T2"),
        (Filter(zones=("runway", "pad")), "T4 T1"),  # T2 only came near
        (Filter(bbox=(8.59, 47.49, 8.61, 47.51)), "T3"),
        (Filter(bbox=(8.49, 47.39, 8.51, 47.42)), "T6 T4 T2 T1"),
        (Filter(bbox=(179.0, -34.0, -179.0, -33.0)), "T5"),
        (Filter(bbox=(8.49, 47.39, 8.51, 47.42), until_ns=START_NS + 60 * NS), "T1"),
        (Filter(since_ns=START_NS + round(3.01 * HOUR * NS)), "T5 T6 T4"),
        (Filter(states=("confirmed",)), "T6"),
    ],
)
def test_each_question_finds_its_tracks(store: Store, narrow: Filter, ids: str) -> None:
    assert " ".join(each.shown.track.track_id for each in store.world_tracks(narrow)) == ids


def test_marks_are_found_newest_first(store: Store) -> None:
    assert [mark.number for mark in store.marks(Filter())] == [3, 2, 1]
    assert store.marks(Filter(limit=1), tracks=["T1"]) == [
        Mark(2, START_NS + 2 * NS, "T1", Verdict.DRONE, "Huber", "", 1)
    ]
    assert [mark.number for mark in store.marks(Filter(), verdicts=["bird"], who=["Meier"])] == [3, 1]
    assert [mark.number for mark in store.marks(Filter(after=(START_NS + 2 * NS, 2)))] == [1]


def test_tracks_are_counted_by_hour_and_weekday_of_a_time_zone(store: Store) -> None:
    found = statistics.tracks(store.database, Asked())
    drones = found.weeks["drone"]
    assert {(day, hour): n for day in range(7) for hour, n in enumerate(drones[day]) if n} == {
        (4, 12): 1,
        (4, 15): 2,
        (4, 16): 1,
        (5, 1): 1,
    }
    assert sum(map(sum, found.weeks["bird"])) == 1
    assert found.identities == {"cooperative": 2, "unknown": 4, "conflicting": 0}
    assert found.durations_s == (5.0, 60.0)
    nepal = statistics.tracks(store.database, Asked(zone=ZoneInfo("Asia/Kathmandu"))).weeks["drone"]  # 5:45 ahead
    assert (nepal[4][17], nepal[4][20], nepal[5][6]) == (1, 2, 1)
    assert sum(map(sum, statistics.tracks(store.database, Asked(classes=("bird",))).weeks["drone"])) == 0
    image = statistics.tracks(store.database, Asked(space="image"))
    assert image.weeks["drone"][4][12] == 1
    assert image.durations_s[0] == pytest.approx(1.0, abs=1e-6)


def test_alerts_are_counted(store: Store) -> None:
    found = statistics.alerts(store.database, Asked())
    assert found.kinds == {"enter": 2, "approach": 1, "claim_conflict": 0, "recording": 0}
    assert found.hours == [(START_NS, 1), (START_NS + round(3 * HOUR * NS), 2)]
    assert (found.week_up[4][12], sum(map(sum, found.week_up))) == (1, 1)
    assert statistics.alerts(store.database, Asked(until_ns=START_NS - 1)).hours == []


def test_rates_are_of_the_time_that_the_service_was_up(store: Store) -> None:
    """Half an hour from noon on, and a quarter thirteen hours later; of the rest nobody knows."""
    up = statistics.up(store.database, Asked())
    assert (up.hours, up.week[4][12], up.week[5][1], sum(map(sum, up.week))) == (0.75, 0.5, 0.25, 0.75)
    tracks = statistics.tracks(store.database, Asked())
    counted = {(d, h): n for d in range(7) for h, n in enumerate(tracks.weeks_up["drone"][d]) if n}
    assert counted == {(4, 12): 1, (5, 1): 1}  # those of 14 to 16 o'clock came while nobody noted it
    assert sum(map(sum, tracks.weeks_up["bird"])) == 0
    assert statistics.up(store.database, Asked(since_ns=START_NS + 1)).hours == 0.5
    nepal = statistics.up(store.database, Asked(zone=ZoneInfo("Asia/Kathmandu")))
    assert (nepal.week[4][17], nepal.week[4][18], nepal.week[5][6]) == (0.25, 0.25, 0.25)


def test_how_long_after_its_first_report_an_aircraft_is_seen(store: Store) -> None:
    found = statistics.detecting(store.database, Asked())
    assert (found.seen, found.never, found.seconds) == (1, 1, (2.0, 2.0))


def test_where_tracks_were_and_for_how_long(store: Store) -> None:
    found = statistics.heat(store.database, Asked(until_ns=START_NS + round(12 * HOUR * NS)), 200.0)
    seconds = {(round(lat, 1), round(lon, 1)): round(s, 1) for lat, lon, s in found.cells}
    assert seconds[47.5, 8.6] == 5.0
    assert sum(seconds.values()) == pytest.approx(5.0 + sum(s for p, s in seconds.items() if p != (47.5, 8.6)))
    assert sum(s for _, _, s in found.cells) == pytest.approx(10 + 60 + 5 + 20 + 4)
    for latitude, longitude, _ in found.cells:
        assert min(abs(latitude - 47.4), abs(latitude - 47.41), abs(latitude - 47.5)) <= found.edge_deg[0]
        assert min(abs(longitude - 8.5), abs(longitude - 8.6)) <= found.edge_deg[1]
    south = statistics.heat(store.database, Asked(since_ns=START_NS + round(12 * HOUR * NS)), 25.0)
    ((latitude, longitude, lasted),) = south.cells
    assert (abs(latitude + 33.9) <= south.edge_deg[0], abs(longitude - 179.999) <= south.edge_deg[1]) == (True, True)
    assert lasted == 4.0


def test_an_empty_store_has_numbers_too(tmp_path: Path) -> None:
    empty = Store(tmp_path / "store.sqlite3")
    assert statistics.tracks(empty.database, Asked()).durations_s == (None, None)
    assert statistics.up(empty.database, Asked()).hours == 0.0
    assert statistics.heat(empty.database, Asked(), 100.0).cells == []
    empty.close()
