"""A disk without room: the operator is told, by an alert as any other, and the tracks go on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser
from starlette.testclient import TestClient

from fusion.alerts import Alert, AlertKind, Trouble
from fusion.types import Heartbeat
from service.api import create_app
from service.clock import SystemClock
from service.journal_about import About, site_text
from service.pipeline import Pipeline
from service.recording import FlightFolder, RecordingSettings
from service.replay import Replay, Stage
from service.settings import Settings
from service.types import Envelope

from flight_scene import scene_site  # isort: skip
from live_site import local_client, served  # isort: skip


@pytest.fixture(params=["with a world", "cameras alone"])
def pipeline(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipeline]:
    """A site on a disk that others have filled."""
    monkeypatch.setattr("service.journal.RETRY_S", 0.1)
    monkeypatch.setattr(FlightFolder, "free_bytes", lambda self: ROOM[0])
    ROOM[0] = 0
    settings = Settings(data_folder=tmp_path, recording=RecordingSettings(folder=tmp_path / "flights"))
    with Pipeline(settings, site=scene_site() if request.param == "with a world" else None) as pipeline:
        yield pipeline


ROOM = [0]


def told(pipeline: Pipeline, client: TestClient, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The one alert, once it is as wanted; the service hears something meanwhile."""
    end = time.monotonic() + 20.0
    while time.monotonic() < end:
        pipeline.bus.publish("clock", Heartbeat(pipeline.clock.now_ns()))
        found: list[dict[str, Any]] = client.get("/api/v1/alerts").json()["alerts"]
        if found and wanted(found[0]):
            assert len(found) == 1
            return found[0]
        time.sleep(0.05)
    raise AssertionError("not told in time")


def test_a_full_disk_is_an_alert_that_is_acknowledged_and_ends(pipeline: Pipeline) -> None:
    with local_client(create_app(pipeline)) as client, client.websocket_connect("/api/v1/ws?topics=alerts") as socket:
        alert = told(pipeline, client, lambda alert: bool(alert["active"]))
        assert (alert["kind"], alert["track"], alert["zone"]) == ("recording", None, None)
        assert alert["text"].endswith("less than 0.5 GB is free. Make room or give another folder.")
        assert client.get("/api/v1/alerts?kind=recording&active=true").json()["alerts"] == [alert]
        noted = client.post(f"/api/v1/alerts/{alert['id']}/acknowledge", json={"who": "Meier"})
        assert noted.json()["acknowledged_by"] == "Meier"
        marked = client.post(f"/api/v1/alerts/{alert['id']}/mark", json={"who": "Meier", "verdict": "drone"})
        assert (marked.status_code, "about no track" in marked.json()["detail"]) == (404, True)
        ROOM[0] = 10**12
        over = told(pipeline, client, lambda alert: not alert["active"])
        assert (over["id"], over["acknowledged_by"]) == (alert["id"], "Meier")
        heard: list[dict[str, Any]] = []
        while not heard or heard[-1]["active"]:
            message = socket.receive_json()
            heard += message["alerts"] if message["type"] == "snapshot" else [message["data"]]
        states = [(each["active"], each["acknowledged"]) for each in heard]
        assert states == [(True, False), (True, True), (False, True)]
        assert client.get("/api/v1/statistics").json()["alerts"]["by_kind"]["recording"] == 1


def test_the_console_shows_it_and_takes_note(built: None, browser: Browser, pipeline: Pipeline) -> None:
    assert pipeline.journal is not None
    with served(create_app(pipeline)) as port:
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{port}/")
        pipeline.bus.publish("clock", Heartbeat(pipeline.clock.now_ns()))
        row = page.locator("[data-alert]")
        row.wait_for(timeout=30_000)
        assert f"Nothing is recorded: {pipeline.journal.folder.folder}: less than 0.5 GB is free." in row.inner_text()
        page.locator(".alerts input").fill("Meier")
        row.locator(".acknowledge").click()
        page.get_by_text("acknowledged by Meier").wait_for(timeout=30_000)
        ROOM[0] = 10**12
        end = time.monotonic() + 30.0
        while row.count() and time.monotonic() < end:
            pipeline.bus.publish("clock", Heartbeat(pipeline.clock.now_ns()))
            page.wait_for_timeout(100)
        assert row.count() == 0
        page.close()


def test_a_replay_counts_alerts_as_they_were_counted() -> None:
    """What the service told of itself is among the inputs of the fold."""
    replay = Replay(About("1", "s", site=site_text(scene_site()), first_alert=5), Stage.MEASUREMENTS, SystemClock())
    trouble = Trouble(AlertKind.RECORDING, 7, True, "full")
    ((_, said), (subject, alert)) = replay.step(Envelope(1, "trouble.recording", 7, trouble))
    assert (said, subject) == (trouble, "alert.5")
    assert isinstance(alert, Alert)
    assert alert.text == "full"
