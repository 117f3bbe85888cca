"""What an operator asks and says over HTTP: statistics, marks, questions of the past and their answers as tables."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from camera_updates import START_NS, image_track, update
from live_site import LiveSite, local_client
from starlette.testclient import TestClient
from world_updates import alert, flown

from service import schemas
from service.api import create_app
from service.bus import Full
from service.schemas import rfc3339
from service.statistics import QUARTER_NS
from service.statistics_api import Statistics


@pytest.fixture
def site(tmp_path: Path) -> Iterator[LiveSite]:
    site = LiveSite(tmp_path)
    yield site
    site.close()


@pytest.fixture
def client(site: LiveSite) -> Iterator[TestClient]:
    with local_client(create_app(site)) as client:
        yield client


def fill(site: LiveSite) -> None:
    for message in (*flown(1, 0, 10, speed=20.0), *flown(2, 7200, 60, name="bird", claimed_id="=HYPERLINK()")):
        site.bus.publish("world", message)
    site.bus.publish("alert.1", alert(1, 1.0))
    site.play(update("cam", 30, [image_track(1, age=30)]))
    assert site.store.flush()


def test_statistics_are_what_they_are_documented_to_be(site: LiveSite, client: TestClient) -> None:
    empty = client.get("/api/v1/statistics").json()
    Statistics.model_validate(empty)
    assert (empty["space"], empty["tracks"]["count"], empty["alerts"]["per_hour"]) == ("image", 0, None)
    fill(site)
    site.store.add_uptime({START_NS // QUARTER_NS: 900.0, START_NS // QUARTER_NS + 8: 360.0})
    asked = {"space": "world", "timezone": "Europe/Zurich", "since": rfc3339(START_NS)}
    told = client.get("/api/v1/statistics", params=asked).json()
    Statistics.model_validate(told)
    assert told["tracks"]["by_class"] == {"drone": 1, "bird": 1, "airplane": 0, "helicopter": 0}
    assert told["tracks"]["by_hour"]["drone"][14] == told["tracks"]["by_weekday"]["drone"][4] == 1
    assert told["tracks"]["by_hour_of_week"][4][16] == 1
    assert (told["up"]["hours"], told["up"]["by_hour"][14]) == (0.35, 0.25)
    rates = told["tracks"]["rates"]
    assert (rates["all"]["per_hour"], rates["drone"]["by_hour"][14]) == (round(2 / 0.35, 4), 4.0)
    assert rates["bird"]["by_hour"][16] is None  # up for a tenth of an hour: too little to say
    assert (rates["bird"]["by_weekday"][4], rates["all"]["by_hour_of_week"][4][14]) == (round(1 / 0.35, 4), 4.0)
    assert told["alerts"]["per_hour"] == told["alerts"]["rates"]["per_hour"] == round(1 / 0.35, 4)
    assert told["alerts"]["series"] == [{"time": rfc3339(START_NS), "count": 1}]
    assert sum(cell["seconds"] for cell in told["heat"]["cells"]) == 70.0


def test_statistics_as_a_table_and_as_a_map(site: LiveSite, client: TestClient) -> None:
    fill(site)
    answer = client.get("/api/v1/statistics", params={"space": "world", "format": "csv"})
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert len(rows) == 7 * 24 * 4
    counted = [row for row in rows if row["tracks"] != "0"]
    assert [(row["weekday"], row["hour"], row["class"]) for row in counted] == [
        ("5", "12", "drone"),
        ("5", "14", "bird"),
    ]
    cells = client.get("/api/v1/statistics", headers={"Accept": "application/geo+json"}).json()
    (feature,) = cells["features"]
    ring = feature["geometry"]["coordinates"][0]
    assert (len(ring), ring[0], feature["properties"]) == (5, ring[4], {"seconds": 70.0})
    assert min(p[0] for p in ring) <= 8.5 <= max(p[0] for p in ring)


@pytest.mark.parametrize(
    ("question", "says"),
    [
        ({"timezone": "Mars/Olympus"}, "IANA"),
        ({"cell": "1"}, "cell"),
        ({"class": "ufo"}, "class"),
        ({"format": "xml"}, "format"),
        ({"hour": "3"}, "no such parameter"),
        ({"since": "2026-05-01"}, "since"),
    ],
)
def test_a_wrong_question_is_told(client: TestClient, question: dict[str, str], says: str) -> None:
    answer = client.get("/api/v1/statistics", params=question)
    assert answer.status_code == 422
    assert says in answer.json()["detail"]


def test_a_mark_is_kept_listed_and_on_the_bus(site: LiveSite, client: TestClient) -> None:
    fill(site)
    heard = site.bus.subscribe("test", capacity=10, full=Full.REFUSE_NEWEST, prefixes=("mark.",))
    first = client.post("/api/v1/tracks/T2/mark", json={"verdict": "bird", "who": "Meier", "note": "a kite"})
    assert first.status_code == 201
    schemas.Mark.model_validate(first.json())
    second = client.post("/api/v1/alerts/A1/mark", json={"verdict": "not_drone", "who": "Huber"}).json()
    assert (second["track"], second["alert"], second["id"]) == ("T1", "A1", "M2")
    image = client.post("/api/v1/tracks/cam-1/mark", json={"verdict": "drone", "who": "Meier"}).json()
    told = client.get("/api/v1/marks").json()
    schemas.MarkPage.model_validate(told)
    assert told["marks"] == [image, second, first.json()]
    page = client.get("/api/v1/marks", params={"limit": 2}).json()
    rest = client.get("/api/v1/marks", params={"limit": 2, "cursor": page["next_cursor"]}).json()
    assert page["marks"] + rest["marks"] == told["marks"]
    only = client.get("/api/v1/marks", params={"track": "T1,T2", "verdict": "bird"}).json()
    assert only["marks"] == [first.json()]
    assert [envelope.subject for envelope in heard.take(0.0)] == ["mark.1", "mark.2", "mark.3"]


@pytest.mark.parametrize(
    ("path", "body", "status", "says"),
    [
        ("tracks/T9/mark", {"verdict": "bird", "who": "Meier"}, 404, "no track 'T9'"),
        ("tracks/nonsense/mark", {"verdict": "bird", "who": "Meier"}, 404, "no track"),
        ("alerts/A9/mark", {"verdict": "bird", "who": "Meier"}, 404, "no alert"),
        ("tracks/T1/mark", {"verdict": "ufo", "who": "Meier"}, 422, "verdict"),
        ("tracks/T1/mark", {"verdict": "bird"}, 422, "who"),
        ("tracks/T1/mark", {"verdict": "bird", "who": "Meier", "colour": 1}, 422, "colour"),
    ],
)
def test_a_mark_that_cannot_be_is_told(
    site: LiveSite, client: TestClient, path: str, body: dict[str, object], status: int, says: str
) -> None:
    fill(site)
    answer = client.post(f"/api/v1/{path}", json=body)
    assert answer.status_code == status
    assert says in answer.json()["detail"]
    assert client.get("/api/v1/marks").json()["marks"] == []


@pytest.mark.parametrize(
    ("question", "ids"),
    [
        ({"identity": "unknown"}, "T2 T1"),
        ({"claimed_id": "=HYPERLINK()"}, "T2"),
        ({"zone": "pad"}, "T1"),
        ({"min_duration": "5"}, "T2 T1"),
        ({"min_duration": "11", "space": "image"}, ""),
        ({"max_duration": "2"}, "cam-1"),
        ({"min_speed": "15"}, "T1"),
        ({"max_speed": "15", "class": "bird,drone"}, "T2"),
        ({"since": rfc3339(START_NS), "bbox": "8.4,47.3,8.6,47.5"}, "T2 T1"),
        ({"since": rfc3339(START_NS), "bbox": "9.4,47.3,9.6,47.5"}, ""),
    ],
)
def test_questions_of_the_past(site: LiveSite, client: TestClient, question: dict[str, str], ids: str) -> None:
    fill(site)
    told = client.get("/api/v1/tracks", params=question).json()
    schemas.TrackPage.model_validate(told)
    assert " ".join(track["id"] for track in told["tracks"]) == ids


def test_an_answer_is_exported_whole(site: LiveSite, client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(site)
    monkeypatch.setattr("service.rest.PAGE_LIMIT", 1)
    asked = {"since": rfc3339(START_NS)}
    table = client.get("/api/v1/tracks", params=asked | {"format": "csv"})
    assert table.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(table.text)))
    assert [row["id"] for row in rows] == ["T2", "cam-1", "T1"]
    assert (rows[0]["claimed_id"], rows[0]["latitude"], rows[1]["latitude"]) == ("'=HYPERLINK()", "47.4", "")
    assert len(client.get("/api/v1/tracks", params=asked | {"format": "csv", "limit": 1}).text.splitlines()) == 2
    features = client.get("/api/v1/tracks", params=asked, headers={"Accept": "application/geo+json"}).json()["features"]
    assert [feature["id"] for feature in features] == ["T2", "T1"]
    points = client.get("/api/v1/tracks/T1/history", headers={"Accept": "text/csv"}).text
    assert len(points.splitlines()) == 1 + 21
    while not client.get("/api/v1/tracks").json()["tracks"]:  # the board hears of it a moment later
        time.sleep(0.02)
    live = client.get("/api/v1/tracks", headers={"Accept": "text/csv"}).text
    assert live.splitlines()[1].startswith("cam-1,")
    assert client.get("/api/v1/detections", params={"format": "csv"}).text.startswith("time,sensor,sequence,class")
