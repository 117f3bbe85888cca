"""The live world end to end: what is posted becomes a track, an alert and an acknowledgement; cameras give scans."""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from camera_updates import detections, image_track, one_hot, update
from fusion_scene import site as scene_site
from hypothesis import given, settings
from hypothesis import strategies as st
from live_site import local_client
from starlette.testclient import TestClient, WebSocketTestSession

from fusion.geometry import LocalFrame, direction_to_angles
from fusion.sensors.camera.measure import measure
from fusion.site import Site, parse_site
from fusion.types import NS, Heartbeat, Measurement, Scan, SensorPose, Space
from models.types import Detections
from service.api import create_app
from service.bus import Bus
from service.clock import SystemClock
from service.geojson import horizontal_ellipse
from service.intake import Intake
from service.pipeline import Pipeline
from service.settings import Settings
from service.stage import WorldStage
from tracking.types import Status

WAIT_S = 60.0
POSTS = {"west": (-200.0, 0.0, 2.0), "east": (200.0, 0.0, 2.0)}
SITE = (
    "site: {name: field, origin: {latitude: 47.4, longitude: 8.5, altitude: 400}}\n"
    "fusion: {lag: 4}\nsensors:\n"
    + "".join(f"  - {{id: {name}, kind: external, position: {{enu: {list(at)}}}}}\n" for name, at in POSTS.items())
    + "zones:\n  - name: Field\n    kind: exclusion\n"
    + "    polygon: [[47.4, 8.499], [47.4, 8.501], [47.402, 8.501], [47.402, 8.499]]\n"
)


def drone(t: float) -> np.ndarray[Any, Any]:
    """Flies north into the zone, 60 m up."""
    return np.array([0.0, -20.0 + 10.0 * t, 60.0])


def bearing(name: str, t: float, now: float) -> dict[str, Any]:
    azimuth, elevation = direction_to_angles(drone(t) - np.array(POSTS[name]))
    return {
        "time": now,
        "sensor_id": name,
        "kind": "bearing",
        "azimuth": math.degrees(azimuth),
        "elevation": math.degrees(elevation),
        "sigma_azimuth": 0.3,
        "sigma_elevation": 0.3,
        "class": "drone",
        "score": 0.9,
    }


@contextmanager
def served_site(folder: Path, text: str = SITE) -> Iterator[tuple[Pipeline, TestClient]]:
    pipeline = Pipeline(Settings(data_folder=folder), site=parse_site(text))
    with pipeline, local_client(create_app(pipeline)) as client:
        yield pipeline, client


def fly(client: TestClient, seconds: float, begin: float = 0.0) -> None:
    """Post what both sensors see, as it happens."""
    started = time.time()
    while (elapsed := time.time() - started) < seconds:
        lines = [bearing(name, begin + elapsed, started + elapsed) for name in POSTS]
        answer = client.post("/api/v1/measurements", json=lines)
        assert answer.json() == {"taken": 2, "duplicates": 0, "refused_count": 0, "refused": []}, answer.text
        time.sleep(0.05)


def receive(socket: WebSocketTestSession, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        message: dict[str, Any] = socket.receive_json()
        if wanted(message):
            return message
    raise AssertionError("not told in time")


def test_a_posted_bearing_pair_becomes_a_track_that_enters_a_zone_and_is_acknowledged(tmp_path: Path) -> None:
    with served_site(tmp_path) as (pipeline, client):
        assert {each["state"] for each in client.get("/api/v1/sensors").json()["sensors"]} == {"starting"}
        with client.websocket_connect("/api/v1/ws?topics=tracks,alerts") as socket:
            assert receive(socket, lambda m: m["type"] == "snapshot")["alerts"] == []
            fly(client, 6.0)
            told = receive(socket, lambda m: m["type"] == "update" and m["topic"] == "tracks")["data"]
            alert = receive(socket, lambda m: m["type"] == "alert" and m["data"]["kind"] == "enter")["data"]
            check_track(client, told["id"])
            assert (alert["track"], alert["zone"], alert["severity"]) == (told["id"], "field", "critical")
            noted = client.post(f"/api/v1/alerts/{alert['id']}/acknowledge", json={"who": "Meier", "note": "ours"})
            assert (noted.json()["acknowledged_by"], noted.json()["note"]) == ("Meier", "ours")
            again = client.post(f"/api/v1/alerts/{alert['id']}/acknowledge", json={"who": "Huber"})
            assert again.json()["acknowledged_by"] == "Meier"
            heard = receive(socket, lambda m: m["type"] == "alert" and m["data"]["acknowledged"])["data"]
            assert heard["id"] == alert["id"]
        east = client.get("/api/v1/sensors/east").json()
        assert (east["kind"], east["state"], east["frames_in"] > 10) == ("external", "online", True)
        kinds = {each["kind"] for each in client.get("/api/v1/alerts").json()["alerts"]}
        assert "enter" in kinds
        assert pipeline.store.flush()
        points = client.get(f"/api/v1/tracks/{told['id']}/history").json()["points"]
        assert len(points) > 5
        assert [p["time"] for p in points] == sorted(p["time"] for p in points)
    with served_site(tmp_path) as (_, client):  # everything is there after a restart, and over
        assert client.get(f"/api/v1/tracks/{told['id']}").json()["state"] == "deleted"
        kept = client.get(f"/api/v1/alerts/{alert['id']}").json()
        assert (kept["acknowledged_by"], kept["active"]) == ("Meier", False)
        past = client.get("/api/v1/tracks", params={"since": "2020-01-01T00:00:00Z", "bbox": "8.4,47.3,8.6,47.5"})
        assert [track["id"] for track in past.json()["tracks"]] == [told["id"]]


def check_track(client: TestClient, track_id: str) -> None:
    """Over REST it is where the drone flies, in every form."""
    (track,) = client.get("/api/v1/tracks").json()["tracks"]
    assert (track["id"], track["space"], track["class"], track["sensors"]) == (
        track_id,
        "world",
        "drone",
        sorted(POSTS),
    )
    covariance = np.array(track["covariance"]).reshape(6, 6)
    across = np.array([track["enu"][0], track["enu"][2] - 60.0])  # east and up of the path are known at any time
    assert across @ np.linalg.solve(covariance[np.ix_([0, 2], [0, 2])], across) < 14.0
    assert track["velocity"][1] == pytest.approx(10.0, abs=4.0)
    frame = LocalFrame(parse_site(SITE).frame.origin)
    np.testing.assert_allclose(
        frame.to_enu(track["latitude"], track["longitude"], track["altitude"]), track["enu"], atol=0.01
    )
    geo = client.get("/api/v1/tracks", headers={"Accept": "application/geo+json"}).json()
    (shown,) = geo["features"]
    assert shown["geometry"]["type"] == "Point"
    inside = client.get("/api/v1/tracks", params={"bbox": "8.49,47.39,8.51,47.41"}).json()["tracks"]
    outside = client.get("/api/v1/tracks", params={"bbox": "8.51,47.39,8.52,47.41"}).json()["tracks"]
    assert (len(inside), outside) == (1, [])


def test_one_direction_alone_is_shown_as_a_long_ellipse() -> None:
    long = [0.0] * 36
    long[0], long[7], long[1], long[6] = 5000.0, 5000.0, 4990.0, 4990.0
    ellipse = horizontal_ellipse(long)
    assert ellipse["azimuth"] == 45.0
    assert ellipse["semi_major"] == pytest.approx(math.sqrt(5.991 * 9990.0), rel=1e-3)
    assert ellipse["semi_minor"] == pytest.approx(math.sqrt(5.991 * 10.0), rel=1e-3)


def test_bad_lines_are_refused_with_their_number_and_the_rest_is_taken(tmp_path: Path) -> None:
    now = time.time()
    good = [json.dumps(bearing("west", 0.1 * k, now - 0.01 * k)) for k in range(3)]
    bad = {
        2: ("{", "not JSON"),
        3: (good[0].replace('"west"', '"nobody"'), "sensor nobody is not in the site file"),
        4: (json.dumps(bearing("west", 0.0, now) | {"azimuth": math.nan}), "azimuth"),
        5: (json.dumps(bearing("west", 0.0, now) | {"sigma_azimuth": 0}), "sigma_azimuth must be above zero"),
        6: (json.dumps(bearing("west", 0.0, now - 60.0)), "the lag allows 30.0 s"),
        7: (json.dumps(bearing("west", 0.0, now + 3600.0)), "ahead of this machine's clock"),
        8: ("[]", "not a JSON object"),
        9: (json.dumps(bearing("west", 0.0, now)).replace(f"{now}", "1" + "0" * 400), "time is out of range"),
    }
    lines = [good[0], *(line for line, _ in bad.values()), *good[1:]]
    with served_site(tmp_path, SITE.replace("lag: 4", "lag: 30")) as (_, client):
        answer = client.post("/api/v1/measurements", content="\n".join(lines)).json()
        assert answer["taken"] == 3
        reasons = {each["line"]: each["reason"] for each in answer["refused"]}
        assert set(reasons) == set(bad)
        for number, (_, reason) in bad.items():
            assert reason in reasons[number]
        twice = client.post("/api/v1/measurements", content="\n".join(good)).json()
        assert (twice["taken"], twice["duplicates"]) == (0, 3)
        none = client.post("/api/v1/measurements", content="nothing")
        assert (none.status_code, none.json()["refused_count"]) == (422, 1)
        assert client.post("/api/v1/measurements", content=b" " * (2 << 20)).status_code == 413
        once = {**bearing("west", 9.0, now), "time": datetime.fromtimestamp(now, UTC).isoformat()}
        assert client.post("/api/v1/measurements", json={"measurements": [once]}).json()["taken"] == 1
        foreign = client.post("/api/v1/measurements", content=good[0], headers={"Origin": "http://evil.example"})
        assert foreign.status_code == 403


def test_zones_are_kept_and_the_site_file_speaks_again_only_where_it_changed(tmp_path: Path) -> None:
    shape = {"name": "Pad", "polygon": [[47.4, 8.5], [47.401, 8.5], [47.401, 8.501]], "floor": 400, "ceiling": 500}
    with served_site(tmp_path) as (_, client):
        assert [zone["id"] for zone in client.get("/api/v1/zones").json()["zones"]] == ["field"]
        made = client.post("/api/v1/zones", json=shape)
        assert (made.status_code, made.headers["location"]) == (201, "/api/v1/zones/pad")
        assert client.put("/api/v1/zones/pad", json=shape | {"ceiling": 600}).json()["ceiling"] == 600
        assert client.delete("/api/v1/zones/field").status_code == 204
        for wrong in (shape | {"ceiling": 300}, shape | {"polygon": [[0, 0]]}, shape | {"polygon": [[91, 0]] * 3}, 7):
            assert client.put("/api/v1/zones/pad", json=wrong).status_code == 422
        assert client.delete("/api/v1/zones/none").status_code == 404
    with served_site(tmp_path) as (_, client):
        (pad,) = client.get("/api/v1/zones").json()["zones"]
        assert (pad["id"], pad["ceiling"]) == ("pad", 600)
    with served_site(tmp_path, SITE.replace("8.499", "8.498")) as (_, client):
        assert [zone["id"] for zone in client.get("/api/v1/zones").json()["zones"]] == ["field", "pad"]


@given(
    st.one_of(
        st.binary(max_size=300), st.lists(st.sampled_from([b"{}", b"[1", b"{}]", b'{"time": NaN}'])).map(b"\n".join)
    )
)
@settings(deadline=None, max_examples=150)
def test_any_body_is_counted(body: bytes) -> None:
    where, clock = parse_site(SITE), SystemClock()
    answer = Intake(where, Bus(clock.now_ns), clock, NS).take(body)
    assert (answer.taken, answer.duplicates) == (0, 0)
    assert len(answer.refused) == answer.refused_count
    assert all(reason for _, reason in answer.refused)


# ── The parts ───────────────────────────────────────────────────────────────────────────────────────────────────────


def position_scan(time_ns: int, east: float) -> Scan:
    pose = SensorPose("gps", 0, (0.0, 0.0, 0.0))
    report = Measurement(Space.POSITION, (east, 0.0, 50.0), (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0), label="drone")
    return Scan("gps", time_ns, 0, Space.POSITION, pose, (report,))


def shown_after(stage: WorldStage, begin_ns: int, seconds: float) -> list[str]:
    """Ids shown after some seconds of reports and heartbeats, ten a second."""
    shown: list[str] = []
    for k in range(int(10 * seconds)):
        stage.step(position_scan(begin_ns + k * NS // 10, 0.5 * k))
        found = stage.step(Heartbeat(begin_ns + k * NS // 10))
        shown = [] if found is None else [each.track.track_id for each in found.tracks]
    return shown


def test_a_clock_that_was_set_back_begins_a_new_world_with_new_numbers() -> None:
    stage = WorldStage(scene_site().frame, NS // 5)
    (first,) = shown_after(stage, 1000 * NS, 3.0)
    back = stage.step(Heartbeat(500 * NS))
    assert back is None or first not in [each.track.track_id for each in back.tracks]
    (second,) = shown_after(stage, 500 * NS, 3.0)
    assert second != first


def test_a_fault_in_the_fusion_costs_its_tracks_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served_site(tmp_path) as (pipeline, client):
        world = pipeline.world
        assert world is not None

        def fault(*_: object) -> None:
            raise RuntimeError("a fault of the program")

        with monkeypatch.context() as broken:
            broken.setattr(threading, "excepthook", lambda _: None)
            broken.setattr(world, "accept", fault)
            wait_for(lambda: world.faults > 0)
        wait_for(lambda: client.get("/readyz").json()["fusion"] == {"state": "ok", "reason": ""})
        assert "deeplomatics_fusion_ok 1.0" in client.get("/metrics").text


def wait_for(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def camera_scan(site: Site, found: Detections, **tracks: Any) -> Scan:
    sensor = site.sensors["east"]
    assert sensor.pose is not None
    assert sensor.camera is not None
    followed = update("east", 0, **tracks).tracks
    return measure(found, followed, {"drone": 0.5}, sensor.pose, sensor.camera, sensor.coverage)


def test_a_camera_tells_raw_boxes_above_threshold_and_those_of_confirmed_tracks() -> None:
    found = detections("east", 0, [("drone", 0.9), ("drone", 0.4), ("drone", 0.3)])
    scan = camera_scan(scene_site(), found, tracks=[image_track(7)])
    (report,) = scan.measurements
    assert report.source_track == "east-7"
    # boxes count in pixels of a 64 × 48 picture; the lens is calibrated for 1920 × 1080
    assert report.z == pytest.approx((14.0 * 1920 / 64, 23.0 * 1080 / 48))
    faint = camera_scan(scene_site(), detections("east", 0, [("drone", 0.3)]), tracks=[image_track(7)])
    assert [each.source_track for each in faint.measurements] == ["east-7"]
    tentative = image_track(7, status=Status.TENTATIVE)
    assert camera_scan(scene_site(), detections("east", 0, [("drone", 0.3)]), tracks=[tentative]).measurements == ()


def test_boxes_that_are_none_are_left_out() -> None:
    boxes = np.array([[np.nan, 1, 2, 3], [1, 1, 0, 3], [1, 1, np.inf, 3], [-50, 1, 2, 3]], np.float32)
    scores = np.full(4, 0.9, np.float32)
    classes = np.array([one_hot("drone")] * 4, np.float32)
    found = Detections("east", NS, 0, 64, 48, boxes, scores, classes)
    assert camera_scan(scene_site(), found).measurements == ()
