"""A flight in a world of its own, behind the same interface as what is live."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from starlette.testclient import TestClient

from service.api import create_app
from service.recording import RecordingSettings

from camera_updates import image_track, update  # isort: skip
from flight_scene import record_scene  # isort: skip
from live_site import LiveSite, local_client  # isort: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("flights")
    record_scene(folder)
    return folder


@pytest.fixture
def client(tmp_path: Path, folder: Path) -> Iterator[TestClient]:
    site = LiveSite(tmp_path)
    site.settings = site.settings.model_copy(update={"recording": RecordingSettings(folder=folder)})
    site.online("cam", "heat")
    with local_client(create_app(site, web=tmp_path)) as client:
        site.play(update("cam", 1, [image_track(1)]))
        wait_for(lambda: client.get("/api/v1/tracks").json()["tracks"])
        yield client
    site.close()


def wait_for(answer: Any, seconds: float = 20.0) -> Any:
    end = time.monotonic() + seconds
    while not (found := answer()):
        assert time.monotonic() < end, "not in time"
        time.sleep(0.01)
    return found


def play(client: TestClient, **wanted: Any) -> str:
    flight = client.get("/api/v1/flights").json()["flights"][0]["id"]
    answer = client.post(f"/api/v1/flights/{flight}/replay", json=wanted)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def ended(client: TestClient, world: str) -> bool:
    return bool(client.get(f"/api/v1/replays/{world}").json()["state"] == "ended")


def settled_tracks(client: TestClient, world: str) -> list[dict[str, Any]]:
    """The tracks once they stay: the last of a replay are still on their way to the board when it has ended."""

    def read() -> list[dict[str, Any]]:
        time.sleep(0.2)
        return client.get(f"/api/v1/tracks?world={world}").json()["tracks"]  # type: ignore[no-any-return]

    before, now = read(), read()
    while not now or now != before:
        before, now = now, read()
    return now


def test_flights_are_listed_and_downloaded(client: TestClient, folder: Path) -> None:
    (flight,) = client.get("/api/v1/flights").json()["flights"]
    assert flight["state"] == "whole"
    assert flight["sensors"] == ["east", "south", "west"]
    assert flight["start"] < flight["end"]
    assert client.get(flight["download"]).content == (folder / f"{flight['id']}.mcap").read_bytes()
    for name in ("nothing", "..%2Fsecret", "%2Fetc%2Fpasswd"):
        assert client.get(f"/api/v1/flights/{name}").status_code == 404
    assert client.post("/api/v1/flights").status_code == 409


@pytest.mark.parametrize("stage", ["tracks", "detections"])
def test_a_replay_is_a_world_of_its_own(client: TestClient, stage: str) -> None:
    live = client.get("/api/v1/tracks").content
    metrics = client.get("/metrics").text.count("deeplomatics_frames")
    world = play(client, speed="max", **{"from": stage})
    wait_for(lambda: ended(client, world))
    tracks = wait_for(lambda: client.get(f"/api/v1/tracks?world={world}").json()["tracks"])
    assert {track["sensor"] for track in tracks} <= {"east", "south", "west", None}
    assert any(track["space"] == "world" for track in tracks)
    assert {s["id"] for s in client.get(f"/api/v1/sensors?world={world}").json()["sensors"]} == {
        "east",
        "south",
        "west",
    }
    assert client.get("/api/v1/tracks").content == live
    assert client.get("/metrics").text.count("deeplomatics_frames") == metrics
    assert [s["id"] for s in client.get("/api/v1/sensors").json()["sensors"]] == ["cam", "heat"]
    assert client.get("/api/v1/alerts").json()["alerts"] == []
    with client.websocket_connect(f"/api/v1/ws?world={world}&topics=tracks") as socket:
        snapshot = orjson.loads(socket.receive_text())
    assert {track["id"] for track in snapshot["tracks"]} == {track["id"] for track in tracks}
    changed = client.post(f"/api/v1/zones?world={world}", json={})
    assert changed.status_code == 405
    assert client.delete(f"/api/v1/replays/{world}").status_code == 204
    assert client.get(f"/api/v1/tracks?world={world}").status_code == 404
    assert client.get("/api/v1/tracks?world=live").content == live


def test_pause_step_seek_and_speed(client: TestClient) -> None:
    world = play(client, speed=0.001)
    path = f"/api/v1/replays/{world}"
    assert client.patch(path, json={"paused": True}).json()["state"] == "paused"
    before = client.get(path).json()["time"]
    client.patch(path, json={"step": 40})
    moved = wait_for(lambda: (t := client.get(path).json()["time"]) and t != before and t)
    client.patch(path, json={"paused": False, "speed": 1000})
    wait_for(lambda: ended(client, world))
    over = settled_tracks(client, world)
    client.patch(path, json={"paused": True, "seek": moved})
    back = wait_for(lambda: (r := client.get(path).json())["state"] == "paused" and r["time"] <= moved and r)
    assert back["time"] < client.get(path).json()["end"]
    client.patch(path, json={"paused": False})
    wait_for(lambda: ended(client, world))
    assert settled_tracks(client, world) == over
    assert client.patch(path, json={"speed": 0}).status_code == 422
    assert client.patch("/api/v1/replays/R99", json={}).status_code == 404


def test_a_flight_that_cannot_be_played_is_refused_with_a_sentence(client: TestClient, folder: Path) -> None:
    broken = folder / "broken.mcap"
    broken.write_bytes(b"no")
    try:
        listed = {flight["id"]: flight for flight in client.get("/api/v1/flights").json()["flights"]}
        assert listed["broken"]["state"] == "unreadable"
        answer = client.post("/api/v1/flights/broken/replay", json={})
        assert answer.status_code == 422
        assert "no flight of this program" in answer.json()["detail"]
    finally:
        broken.unlink()
