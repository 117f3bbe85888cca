"""Flights for other people's tools, two runs against each other, and evidence that proves itself."""

from __future__ import annotations

import csv
import io
import json
import random
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from service.bus import Bus, Full
from service.clock import SystemClock
from service.compare import compare, differences, runs
from service.compare_plot import draw
from service.evidence import EvidenceError, seal, verify
from service.export import ExportError, export
from service.flight_file import Flight
from service.journal import CAPACITY, FrameShelf, Journal
from service.journal_about import About, CameraAbout
from service.recording import RecordingSettings
from service.replay import AS_RECORDED, Changes
from service.types import CameraUpdate, WorldUpdate

from camera_updates import frame, image_track, update  # isort: skip
from flight_scene import record_scene  # isort: skip

KML = {"k": "http://www.opengis.net/kml/2.2", "gx": "http://www.google.com/kml/ext/2.2"}


@pytest.fixture(scope="module")
def flight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    (path,) = record_scene(tmp_path_factory.mktemp("flights"), 3.0)
    return path


@pytest.fixture(scope="module")
def worlds(flight: Path) -> list[WorldUpdate]:
    with Flight(flight) as opened:
        return [e.message for e in opened.envelopes() if isinstance(e.message, WorldUpdate)]


def test_the_same_places_in_every_format(flight: Path, worlds: list[WorldUpdate], tmp_path: Path) -> None:
    first = next(each for world in worlds for each in world.tracks)
    last = next(each for each in worlds[-1].tracks if each.track.track_id == first.track.track_id)
    name = first.track.track_id
    count = sum(any(each.track.track_id == name for each in world.tracks) for world in worlds)
    for format_ in ("geojson", "csv", "kml", "czml"):
        export(flight, format_, tmp_path / format_)
    features = {f["id"]: f for f in json.loads((tmp_path / "geojson").read_text())["features"]}
    line = features[name]["geometry"]["coordinates"]
    assert len(line) == len(features[name]["properties"]["coordinateProperties"]["times"]) == count
    assert line[0] == pytest.approx([first.longitude_deg, first.latitude_deg, first.altitude_m], abs=1e-3)
    rows = [row for row in csv.DictReader(io.StringIO((tmp_path / "csv").read_text())) if row["id"] == name]
    assert len(rows) == count
    assert float(rows[-1]["latitude"]) == pytest.approx(last.latitude_deg, abs=1e-7)
    assert float(rows[-1]["sigma_east"]) == pytest.approx(last.track.covariance[0] ** 0.5, abs=1e-3)
    marks = ElementTree.parse(tmp_path / "kml").getroot().findall(".//k:Placemark", KML)
    mark = next(each for each in marks if str(each.findtext("k:name", "", KML)).startswith(f"{name} "))
    places = [place.text for place in mark.findall(".//gx:coord", KML)]
    assert len(places) == len(mark.findall(".//k:when", KML)) == count
    assert [float(v) for v in str(places[-1]).split()] == pytest.approx(line[-1])
    packets = {packet["id"]: packet for packet in json.loads((tmp_path / "czml").read_text())}
    assert packets["document"]["version"] == "1.0"
    assert packets[name]["position"]["cartographicDegrees"][-3:] == pytest.approx(line[-1])


def test_tracks_of_one_camera(flight: Path, tmp_path: Path) -> None:
    export(flight, "mot", tmp_path / "mot", "west")
    export(flight, "csv", tmp_path / "csv", "west")
    with Flight(flight) as opened:
        messages = [e.message for e in opened.envelopes()]
    looks = [m for m in messages if isinstance(m, CameraUpdate) and m.sensor_id == "west"]
    shown = sum(track.status != "tentative" for look in looks for track in look.tracks.tracks)
    assert len((tmp_path / "mot").read_text().splitlines()) == shown > 10
    assert len((tmp_path / "csv").read_text().splitlines()) == 1 + sum(len(look.tracks.tracks) for look in looks)
    with pytest.raises(ExportError, match="Say which camera: give --camera with one of east, south, west"):
        export(flight, "mot", tmp_path / "x")
    with pytest.raises(ExportError, match="holds no pictures of west: record with"):
        export(flight, "mp4", tmp_path / "x.mp4", "west")
    assert not (tmp_path / "x.mp4").exists()


def pictured(folder: Path) -> Path:
    """A flight of one camera with pictures and no site."""
    bus, shelf = Bus(SystemClock().now_ns), FrameShelf("all")
    about = About("1", "s", cameras={"cam": CameraAbout("visible", "0" * 64, {})})
    journal = Journal(RecordingSettings(folder=folder, reserve_gb=0.0), about, SystemClock(), shelf=shelf)
    journal.follow(bus.subscribe("journal", capacity=CAPACITY, full=Full.REFUSE_NEWEST))
    for k in range(12):
        message = update("cam", k, [image_track(1, age=k)], found=[("drone", 0.9)])
        shelf.put(frame("cam", k), message)
        bus.publish("camera.cam", message)
    bus.close()
    journal.close()
    return journal.folder.flights()[0].path


def test_a_video_has_every_recorded_picture_at_its_time(tmp_path: Path) -> None:
    path = pictured(tmp_path / "flights")
    export(path, "mp4", tmp_path / "video.mp4")
    with av.open(str(tmp_path / "video.mp4")) as video:
        times = [float(each.time or 0.0) for each in video.decode(video=0)]
    assert times == pytest.approx([k / 30 for k in range(12)], abs=2e-3)
    with pytest.raises(ExportError, match="holds no fused track"):
        export(path, "kml", tmp_path / "x.kml")


# ── Two runs ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_nothing_differs_between_a_flight_and_itself_again(flight: Path) -> None:
    compared = compare(flight, ("tracks", AS_RECORDED), ("detections", AS_RECORDED))
    assert compared["differences"] == []
    assert compared["tracks"]["a"] == compared["tracks"]["b"] > 4


def test_without_one_camera_its_tracks_vanish_and_those_of_the_site_move(flight: Path, artifacts: Path) -> None:
    both = runs(flight, ("tracks", AS_RECORDED), ("measurements", Changes(without=("east",))))
    compared = differences(flight, *both)
    draw(*both, compared, artifacts / "compare.png")
    picture = cv2.imread(str(artifacts / "compare.png"))
    assert picture is not None
    drawn = picture.reshape(-1, 3)
    for blue, green, red in ((178, 114, 0), (0, 94, 213)):  # something of each run
        assert (np.abs(drawn - np.array([blue, green, red])).max(1) < 8).sum() > 50
    by_place: dict[str, set[str]] = {}
    for row in compared["differences"]:
        by_place.setdefault(row["where"], set()).update(row["what"])
    assert by_place["east"] == {"vanished"}
    assert "moved" in by_place["site"]
    assert set(by_place) == {"east", "site"}
    moved = [row for row in compared["differences"] if row["where"] == "site" and "moved" in row["what"]]
    assert all(0.0 < row["mean_apart"] <= row["most_apart"] for row in moved)


def test_a_threshold_above_all_scores_leaves_no_track(flight: Path) -> None:
    compared = compare(flight, ("tracks", AS_RECORDED), ("detections", Changes(thresholds={"drone": 0.99})))
    assert {what for row in compared["differences"] if row["where"] != "site" for what in row["what"]} == {"vanished"}


# ── Evidence ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_one_changed_byte_anywhere_is_found_and_placed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.evidence.BLOCK", 1000)
    path = pictured(tmp_path / "flights")
    sealed = tmp_path / "sealed.tar"
    noted = seal(path, sealed).split()[-1]
    assert verify(sealed, noted).good
    assert not verify(sealed, "0" * 64).good
    whole, size = sealed.read_bytes(), path.stat().st_size
    chance = random.Random(1)
    places = [chance.randrange(len(whole)) for _ in range(200)] + [512, 511 + size, len(whole) - 1]
    for place in places:
        changed = bytearray(whole)
        changed[place] ^= 1 << chance.randrange(8)
        sealed.write_bytes(changed)
        try:
            verdict = verify(sealed, noted)
        except EvidenceError:
            assert not 512 <= place < 512 + size
            continue
        assert not verdict.good, place
        if 512 <= place < 512 + size:
            block = (place - 512) // 1000
            assert f"bytes {block * 1000} to " in verdict.sentence
    sealed.write_bytes(whole[:-1])
    assert not verify(sealed, noted).good
    for cut in (0, 100, 512, 2000):
        sealed.write_bytes(whole[:cut])
        with pytest.raises(EvidenceError):
            verify(sealed, noted)
