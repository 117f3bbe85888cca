"""The HTTP interface: shapes as promised, errors that say what to do, and pictures of the very frame."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
from camera_updates import frame_time, image_track, update
from fastapi import Request
from live_site import LiveSite, local_client, served
from starlette.testclient import TestClient, WebSocketDenialResponse

from service import geojson, schemas
from service.api import create_app, readiness
from service.types import SensorHealth, SensorState, TracksEnded
from tracking.types import Status


@pytest.fixture
def site(tmp_path: Path) -> Iterator[LiveSite]:
    site = LiveSite(tmp_path)
    yield site
    site.close()


@pytest.fixture
def client(site: LiveSite) -> Iterator[TestClient]:
    with local_client(create_app(site), raise_server_exceptions=False) as client:
        yield client


def settle(client: TestClient, site: LiveSite, ids: set[str]) -> None:
    """Wait until the interface has seen what was played, and the store has written it."""
    for _ in range(500):
        if {track["id"] for track in client.get("/api/v1/tracks").json()["tracks"]} == ids:
            break
    else:
        pytest.fail(f"the live tracks never became {ids}")
    assert site.store.flush()


def play_some(site: LiveSite, client: TestClient) -> None:
    """Three tracks on two cameras, of which one is doubtful and one has ended."""
    site.online("cam", "heat")
    found = [("drone", 0.9), ("bird", 0.2)]
    for n in range(4):
        ending = (3,) if n == 3 else ()
        tracks = [image_track(1, age=n, x=10.0 + n), image_track(2, status=Status.TENTATIVE)]
        site.play(update("cam", n, tracks + ([] if ending else [image_track(3, age=n)]), found=found, deleted=ending))
        site.play(update("heat", n, [image_track(1, age=n, name="bird")], found=found))
    settle(client, site, {"cam-1", "cam-2", "heat-1"})


@pytest.mark.parametrize(
    ("path", "model"),
    [
        ("/api/v1/tracks", schemas.TrackPage),
        ("/api/v1/tracks?class=drone,bird&limit=2", schemas.TrackPage),
        ("/api/v1/tracks?since=2026-05-01T12:00:00Z", schemas.TrackPage),
        ("/api/v1/tracks/cam-1", schemas.Track),
        ("/api/v1/tracks/cam-3", schemas.Track),
        ("/api/v1/tracks/cam-1/history?limit=2", schemas.HistoryPage),
        ("/api/v1/detections?limit=3", schemas.DetectionPage),
        ("/api/v1/sensors", schemas.SensorList),
        ("/api/v1/sensors/heat", schemas.Sensor),
        ("/readyz", schemas.Readiness),
        ("/healthz", schemas.Health),
    ],
)
def test_answers_have_the_shape_that_is_documented(
    site: LiveSite, client: TestClient, path: str, model: type[schemas.Schema]
) -> None:
    play_some(site, client)
    answer = client.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    body = answer.json()
    shape = model.model_validate_json(answer.content)
    assert shape.model_dump(mode="json", by_alias=True) == body  # no field left out, none made up
    assert not isinstance(body, dict) or all(body.get(key) != [] for key in ("tracks", "points", "detections"))


def test_live_and_past_tracks_are_told_apart(site: LiveSite, client: TestClient) -> None:
    play_some(site, client)

    def ids(query: str) -> list[str]:
        return [track["id"] for track in client.get(f"/api/v1/tracks?{query}").json()["tracks"]]

    assert ids("") == ["cam-2", "heat-1", "cam-1"]  # newest birth first; equal births by number, then by name
    assert ids("state=confirmed&sensor=cam") == ["cam-1"]
    assert ids("class=bird") == ["heat-1"]
    assert set(ids("since=2026-05-01T12:00:00Z")) == {"cam-1", "cam-3", "heat-1"}  # never the doubtful one
    assert ids("state=deleted") == ["cam-3"]
    assert ids("until=2026-05-01T11:59:59Z") == ids("bbox=10,50,11,51") == []
    site.play(TracksEnded("cam", frame_time(5), (1, 2)))
    settle(client, site, {"heat-1"})
    assert set(ids("state=deleted")) == {"cam-1", "cam-3"}


def pages(client: TestClient, path: str, key: str) -> list[Any]:
    rows: list[Any] = []
    cursor = ""
    while True:
        body = client.get(path + cursor).json()
        rows += body[key]
        if body["next_cursor"] is None:
            return rows
        assert len(body[key]) == 3
        cursor = f"&cursor={body['next_cursor']}"


def test_every_list_pages_without_loss_or_repetition(site: LiveSite, client: TestClient) -> None:
    for n in range(6):
        site.play(update("cam", n, [image_track(i + 1, age=n) for i in range(10)], found=[("drone", 0.9)] * 2))
    settle(client, site, {f"cam-{i + 1}" for i in range(10)})
    every = [f"cam-{n}" for n in range(10, 0, -1)]  # all born in one instant
    assert [track["id"] for track in pages(client, "/api/v1/tracks?limit=3", "tracks")] == every
    past = pages(client, "/api/v1/tracks?limit=3&since=2026-05-01T12:00:00Z", "tracks")
    assert [track["id"] for track in past] == every
    points = pages(client, "/api/v1/tracks/cam-4/history?limit=3", "points")
    assert [point["time"] for point in points] == [schemas.rfc3339(frame_time(n)) for n in range(6)]
    found = pages(client, "/api/v1/detections?limit=3", "detections")
    assert [each["sequence"] for each in found] == [5, 5, 4, 4, 3, 3, 2, 2, 1, 1, 0, 0]


def test_the_quick_answer_is_the_documented_one(site: LiveSite, client: TestClient) -> None:
    play_some(site, client)
    assert client.get("/api/v1/tracks").content == client.get("/api/v1/tracks?limit=100").content


@pytest.mark.parametrize(
    ("method", "path", "status", "says"),
    [
        ("GET", "/api/v1/nothing", 404, "/docs"),
        ("GET", "/nothing", 404, "/docs"),
        ("POST", "/api/v1/tracks", 405, "use GET"),
        ("GET", "/api/v1/tracks/cam-99", 404, "no track 'cam-99'"),
        ("GET", "/api/v1/tracks/cam-99999999999999999999", 404, "no track"),
        ("GET", "/api/v1/tracks/cam-99/history", 404, "no track"),
        ("GET", "/api/v1/sensors/west", 404, "/api/v1/sensors"),
        ("GET", "/api/v1/sensors/west/snapshot.jpg", 404, "no sensor 'west'"),
        ("GET", "/api/v1/sensors/west/stream.mjpg", 404, "no sensor 'west'"),
        ("GET", "/api/v1/sensors/cam/snapshot.jpg", 503, "try again"),
        ("GET", "/api/v1/tracks?clas=drone", 422, "clas: there is no such parameter"),
        ("GET", "/api/v1/tracks?class=dragon", 422, "class: input should be 'drone'"),
        ("GET", "/api/v1/tracks?since=2026-05-01T12:00:00", 422, "since"),
        ("GET", "/api/v1/tracks?cursor=x", 422, "cursor"),
        ("GET", "/api/v1/tracks?since=2026-05-01T12:00:00Z&cursor=WzFd", 422, "cursor"),
        ("GET", "/api/v1/tracks?bbox=1,2,3", 422, "west,south,east,north"),
        ("GET", "/api/v1/tracks?bbox=1,2,3,nan", 422, "finite"),
        ("GET", "/api/v1/detections?min_score=nan", 422, "finite"),
        ("GET", "/api/v1/detections?limit=100000", 422, "500"),
    ],
)
def test_every_error_is_a_problem_that_says_what_to_do(
    client: TestClient, method: str, path: str, status: int, says: str
) -> None:
    answer = client.request(method, path)
    body = answer.json()
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert {"type", "title", "status", "detail", "instance"} <= body.keys()
    assert (body["status"], body["instance"]) == (status, path.partition("?")[0])
    assert says in body["detail"]
    assert status != 405 or answer.headers["allow"] == "GET"


def test_a_fault_a_broken_store_and_a_large_body_are_problems_too(site: LiveSite) -> None:
    app = create_app(site)

    @app.post("/fault")
    async def fault(request: Request) -> None:
        await request.body()
        raise RuntimeError("rtsp://user:hunter2@camera.local")

    with local_client(app, raise_server_exceptions=False) as client:
        broken = client.post("/fault")
        assert (broken.status_code, broken.headers["content-type"]) == (500, "application/problem+json")
        assert "hunter2" not in broken.text
        for body in (b"x" * (2 << 20), iter([b"x" * (1 << 20)] * 2)):  # with its size in the header, and without
            large = client.post("/fault", content=body)
            assert (large.status_code, large.headers["content-type"]) == (413, "application/problem+json")
        site.store.flush()
        path = Path(site.store.database.title)
        path.rename(path.with_suffix(".away"))
        unreadable = client.get("/api/v1/detections")
        assert (unreadable.status_code, "store" in unreadable.json()["detail"]) == (503, True)
        path.with_suffix(".away").rename(path)


def test_a_place_on_earth_becomes_geojson_and_no_place_does_not(site: LiveSite, client: TestClient) -> None:
    play_some(site, client)
    accept = {"Accept": geojson.MEDIA_TYPE}
    assert client.get("/api/v1/tracks", headers=accept).json() == {"type": "FeatureCollection", "features": []}
    assert client.get("/api/v1/tracks/cam-1", headers=accept).status_code == 406
    track = client.get("/api/v1/tracks/cam-1").json() | {"latitude": 48.1, "longitude": 11.5, "altitude": 560.0}
    known = geojson.feature(track | {"covariance": [1.0] + [0.0] * 6 + [4.0] + [0.0] * 28})
    assert known["geometry"] == {"type": "Point", "coordinates": [11.5, 48.1, 560.0]}
    assert (known["type"], known["id"], known["properties"]["ellipse"]["azimuth"]) == ("Feature", "cam-1", 0.0)
    guessed = geojson.feature(track | {"covariance": [1e4] + [0.0] * 6 + [4.0] + [0.0] * 28})  # known across, not along
    ((ring,), shape) = guessed["geometry"]["coordinates"], guessed["geometry"]["type"]
    assert (shape, ring[0]) == ("Polygon", ring[-1])
    degree_m = 111_320 * math.cos(math.radians(48.1))
    assert max(east for east, _ in ring) - 11.5 == pytest.approx(244.8 / degree_m, rel=1e-2)


def decoded(jpeg: bytes) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_UNCHANGED), np.uint8)


@pytest.mark.parametrize("sensor", ["cam", "heat"])
def test_a_snapshot_is_the_newest_frame_and_its_overlay_shows_what_was_found_in_it(
    site: LiveSite, client: TestClient, sensor: str
) -> None:
    site.play(update(sensor, 7))
    site.play(update(sensor, 90, [image_track(1)], found=[("drone", 0.9), ("bird", 0.1)]))
    plain = client.get(f"/api/v1/sensors/{sensor}/snapshot.jpg")
    assert (plain.headers["x-sequence"], plain.headers["x-time"]) == ("90", schemas.rfc3339(frame_time(90)))
    assert np.all(np.abs(decoded(plain.content).astype(int) - 90) <= 2)
    drawn = decoded(client.get(f"/api/v1/sensors/{sensor}/snapshot.jpg?overlay=1").content)
    assert drawn.shape == (48, 64, 3)
    assert np.ptp(drawn[20:27, 10:19]) > 50  # the edge of the box
    assert np.ptp(drawn[35:, 40:]) <= 12  # and nothing far from it


def test_the_stream_gives_each_new_frame_once(site: LiveSite) -> None:
    with served(create_app(site)) as port:
        site.play(update("cam", 0))
        url = f"http://127.0.0.1:{port}/api/v1/sensors/cam/stream.mjpg"
        with httpx.stream("GET", url, timeout=10) as answer:
            assert answer.headers["content-type"] == "multipart/x-mixed-replace; boundary=picture"
            received = b""
            for n, chunk in enumerate(answer.iter_raw()):
                received += chunk
                if n < 3:
                    site.play(update("cam", n + 1))
                if received.count(b"X-Sequence: 3\r\n"):
                    break
        sequences = [part.split(b"\r\n")[0] for part in received.split(b"X-Sequence: ")[1:]]
        assert sequences == [b"0", b"1", b"2", b"3"]
        jpeg = received.split(b"\r\n\r\n")[1]
        assert decoded(jpeg).shape == (48, 64, 3)


def test_no_password_leaves_by_any_door(site: LiveSite, client: TestClient) -> None:
    play_some(site, client)
    for path in ("/api/v1/sensors", "/api/v1/sensors/cam", "/readyz", "/metrics", "/openapi.json"):
        assert "hunter2" not in client.get(path).text


def test_readiness_follows_sensors_and_store(site: LiveSite, client: TestClient) -> None:
    def status() -> tuple[int, str]:
        answer = client.get("/readyz")
        return answer.status_code, answer.json()["status"]

    assert status() == (503, "unavailable")  # no frame yet
    site.online("cam")
    assert status() == (200, "degraded")
    site.online("heat")
    assert status() == (200, "ready")
    site.play(SensorHealth("heat", SensorState.DOWN, "the camera does not answer"))
    assert client.get("/readyz").json()["sensors"]["heat"]["reason"] == "the camera does not answer"
    site.store.flush()
    site.store.state = replace(site.store.state, state="failed", reason="the disk is gone")
    assert status() == (503, "unavailable")
    assert readiness(site.live, site.store)["store"]["reason"] == "the disk is gone"


def test_metrics_count_frames_stages_and_requests_with_bounded_labels(site: LiveSite, client: TestClient) -> None:
    play_some(site, client)
    site.play(SensorHealth("cam", SensorState.ONLINE, frames_in=10, processed=8, dropped={"behind": 2}))
    for n in range(50):
        client.get(f"/random/{n}")
    text = client.get("/metrics").text
    for stage in ("transport", "queue", "detect", "track", "deliver", "total"):
        assert f'deeplomatics_stage_seconds_count{{sensor="cam",stage="{stage}"}} 4.0' in text
    assert 'deeplomatics_stage_seconds_sum{sensor="cam",stage="detect"} 0.048' in text
    assert 'deeplomatics_frames_in_total{sensor="cam"} 10.0' in text
    assert 'deeplomatics_frames_processed_total{sensor="cam"} 8.0' in text
    assert 'deeplomatics_frames_dropped_total{reason="behind",sensor="cam"} 2.0' in text
    assert 'deeplomatics_http_requests_total{method="GET",route="none",status="404"} 50.0' in text
    assert 'route="/api/v1/tracks"' in text
    assert "random" not in text


def test_the_interface_is_described_with_examples_and_problems(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    promised = {"/healthz", "/readyz", "/metrics", "/api/v1/tracks", "/api/v1/tracks/{id}", "/api/v1/detections"}
    promised |= {"/api/v1/tracks/{id}/history", "/api/v1/sensors", "/api/v1/sensors/{id}"}
    promised |= {"/api/v1/sensors/{id}/snapshot.jpg", "/api/v1/sensors/{id}/stream.mjpg", "/api/v1/zones"}
    promised |= {"/api/v1/zones/{id}", "/api/v1/alerts", "/api/v1/alerts/{id}"}
    others = {
        "/api/v1/measurements",
        "/api/v1/alerts/{id}/acknowledge",
        "/api/v1/site",
    }  # posted, or nothing to get wrong
    assert promised | others <= document["paths"].keys()
    for path in (each for each in promised if each.startswith("/api")):
        answers = document["paths"][path]["get"]["responses"]
        assert list(answers["422"]["content"]) == ["application/problem+json"]
    names = {parameter["name"] for parameter in document["paths"]["/api/v1/tracks"]["get"]["parameters"]}
    asked = {"class", "state", "sensor", "space", "since", "until", "bbox", "zone", "identity", "claimed_id"}
    bounds = {"min_duration", "max_duration", "min_speed", "max_speed"}
    assert names == asked | bounds | {"format", "limit", "cursor"}
    for name, field in document["components"]["schemas"]["Track"]["properties"].items():
        assert field.get("examples") or field.get("description") or "$ref" in field or "default" in field, name


def test_pages_load_nothing_from_elsewhere_and_say_so(client: TestClient) -> None:
    page = client.get("/docs")
    assert "https://" not in page.text
    assert "unsafe" not in page.headers["content-security-policy"]
    for asset in ("/docs/assets/swagger-ui-bundle.js", "/docs/assets/swagger-ui.css", "/docs/start.js"):
        assert asset in page.text
        assert client.get(asset).status_code == 200
    assert client.get("/api/v1/tracks").headers["cache-control"] == "no-store"


@pytest.mark.parametrize("host", ["localhost:8000", "127.0.0.1", "[::1]:8000", "LOCALHOST"])
def test_names_of_this_machine_are_answered(client: TestClient, host: str) -> None:
    assert client.get("/healthz", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8000", "localhost.evil.example", "", "[::1].evil.example"]
)
def test_a_foreign_name_that_leads_here_is_refused(client: TestClient, host: str) -> None:
    answer = client.get("/api/v1/tracks", headers={"Host": host})
    assert (answer.status_code, answer.headers["content-type"]) == (421, "application/problem+json")
    assert "http://127.0.0.1" in answer.json()["detail"]
    with (
        pytest.raises(WebSocketDenialResponse) as refused,
        client.websocket_connect("/api/v1/ws", headers={"Host": host}),
    ):
        pass
    assert refused.value.status_code == 421


def test_a_console_built_later_is_there_and_its_files_are_kept_by_their_names(site: LiveSite, tmp_path: Path) -> None:
    with local_client(create_app(site, web=tmp_path / "dist")) as client:
        assert client.get("/").status_code == 503
        assert client.get("/assets/index-1.js").headers["content-type"] == "application/problem+json"
        (tmp_path / "dist" / "assets").mkdir(parents=True)
        (tmp_path / "dist" / "index.html").write_text("console")
        (tmp_path / "dist" / "assets" / "index-1.js").write_text("code")
        page, script = client.get("/"), client.get("/assets/index-1.js")
        assert (page.text, page.headers["cache-control"]) == ("console", "no-cache")
        assert (script.text, "immutable" in script.headers["cache-control"]) == ("code", True)
        assert client.get("/assets/index-2.js").status_code == 404


@pytest.mark.browser
def test_the_description_opens_in_a_browser_without_internet(site: LiveSite, chromium: str) -> None:
    from playwright.sync_api import sync_playwright

    with served(create_app(site)) as port, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        errors: list[str] = []
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"http://127.0.0.1:{port}/docs")
        page.get_by_text("List tracks, live or past").wait_for(timeout=60_000)
        assert errors == []
        browser.close()


@pytest.mark.parametrize(
    ("time_ns", "text"),
    [
        (0, "1970-01-01T00:00:00.000000Z"),
        (1_777_636_800_123_456_999, "2026-05-01T12:00:00.123456Z"),  # cut, not rounded
        (4_102_444_799_999_999_000, "2099-12-31T23:59:59.999999Z"),
    ],
)
def test_times_are_exact_to_the_microsecond(time_ns: int, text: str) -> None:
    assert schemas.rfc3339(time_ns) == text
