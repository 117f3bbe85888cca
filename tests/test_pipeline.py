"""The whole line with real captures and a real store: cameras fail alone, ids are used once, the end loses nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from bright_spot import BrightSpot, write_video

from fusion.sensors.address import SourceAddress
from fusion.sensors.camera.config import CameraConfig
from service import detection
from service.history import Filter
from service.pipeline import Pipeline
from service.settings import Settings
from service.types import SensorState

WAIT_S = 30.0


@pytest.fixture(autouse=True)
def _own_detector(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detection, "load", lambda band, settings: BrightSpot())


def camera(name: str, path: Path, loop: bool = False) -> CameraConfig:
    return CameraConfig(id=name, source=SourceAddress(str(path)), loop=loop)


def pipeline(folder: Path, *cameras: CameraConfig) -> Pipeline:
    return Pipeline(Settings(data_folder=folder / "data", cameras=cameras))


def wait_for(happened: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + WAIT_S
    while not happened():
        assert time.monotonic() < deadline, f"not within {WAIT_S} s: {what}"
        time.sleep(0.01)


def state(line: Pipeline, sensor_id: str) -> SensorState:
    health = line.live.health(sensor_id)
    assert health is not None
    return health.state


def test_a_camera_that_fails_says_why_and_the_other_goes_on(tmp_path: Path) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("this is no video")
    good = write_video(tmp_path / "good.mp4", steps=20)
    line = pipeline(tmp_path, camera("bad", text), camera("good", good, loop=True))
    with line:
        wait_for(lambda: state(line, "bad") is SensorState.FAILED, "the failure is told")
        before = line.cameras[1].processed
        wait_for(lambda: line.cameras[1].processed > before + 10, "the good camera goes on")
        health = line.live.health("bad")
        assert health is not None
        assert "text.mp4" in health.reason
        assert state(line, "good") is SensorState.ONLINE


def test_every_frame_is_processed_or_counted_as_dropped_and_what_was_found_is_in_the_store(tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.mp4", steps=25)
    line = pipeline(tmp_path, camera("a", video))
    with line:
        wait_for(lambda: state(line, "a") is SensorState.ENDED, "the recording ends")
    health = line.live.health("a")
    assert health is not None
    assert health.frames_in == 25
    assert health.processed + sum(health.dropped.values()) == 25
    again = pipeline(tmp_path)
    with again:
        found = again.store.detections(Filter(limit=100))
        (track,) = again.store.tracks(Filter())
    assert len(found) == health.processed
    assert track.sensor_id == "a"


def test_no_track_number_is_used_again_after_a_restart(tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.mp4", steps=25)
    numbers: list[int] = []
    for _ in range(2):
        line = pipeline(tmp_path, camera("a", video))
        with line:
            wait_for(lambda line=line: state(line, "a") is SensorState.ENDED, "the recording ends")  # type: ignore[misc]
        latest = line.live.latest("a")
        assert latest is not None
        numbers += [track.track_id for track in latest.update.tracks.tracks]
    assert len(numbers) == len(set(numbers)) == 2
