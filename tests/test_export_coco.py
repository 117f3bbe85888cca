"""From the field to the weights: what people said of a flight's tracks becomes crops that training draws."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from camera_updates import FRAME_NS, HEIGHT, WIDTH, frame_time, image_track, update
from test_journal import Recorder
from world_updates import world_track, world_update

from models.coco import load_coco
from models.detector import Architecture
from models.footage import GRID, Footage
from models.halmstad import DatasetError
from models.sampling import Sampler
from models.types import CLASSES, Frame
from service.export import ExportError
from service.export_coco import export_coco
from service.journal import FrameShelf
from service.said import SaidError, newest
from service.types import Mark, Verdict
from tracking.types import Status


def mark(number: int, track_id: str, verdict: Verdict) -> Mark:
    return Mark(number, number, track_id, verdict, "Meier")


def flown(folder: Path, *marks: Mark, tracks: int = 3) -> Path:
    """Three seconds of a camera with tracks 1, 2, 3; track 1 is T7 of the site."""
    shelf = FrameShelf("all")
    recorder = Recorder(folder, shelf=shelf)
    for k in range(0, 90, 3):
        seen = [image_track(number, age=k, x=10.0 * number + 0.05 * k) for number in range(1, tracks + 1)]
        seen = [replace(track, detection=n) for n, track in enumerate(seen)]
        message = update("cam", k, seen, found=[("drone", 0.9)] * tracks)
        message.detections.boxes[:, 0] = [track.box[0] + 1.0 for track in seen]
        pixels = np.full((HEIGHT, WIDTH, 3), 100 + k, np.uint8)
        shelf.put(Frame("cam", frame_time(k), k, "visible", pixels), message)
        recorder.send("camera.cam", message)
        shown = world_track(7, frame_time(k), source_tracks=("cam-1",))
        recorder.send("world", world_update(frame_time(k), shown))
    for each in marks:
        recorder.send(f"mark.{each.number}", each)
    (path,) = recorder.close()
    return path


def test_marked_tracks_become_a_data_set_and_the_data_set_crops(tmp_path: Path) -> None:
    path = flown(
        tmp_path / "flights",
        mark(1, "T7", Verdict.BIRD),
        mark(2, "T7", Verdict.DRONE),
        mark(3, "cam-2", Verdict.NOT_DRONE),
        mark(4, "cam-3", Verdict.HELICOPTER),
    )
    folder = tmp_path / "set"
    (told,) = export_coco(path, folder)
    assert told.startswith("30 pictures with 60 labelled boxes")
    document = json.loads((folder / "annotations.json").read_text())
    categories = {each["id"]: each["name"] for each in document["categories"]}
    first = [each for each in document["annotations"] if each["image_id"] == 1]
    assert [(categories[each["category_id"]], each["track"], each["mark"]) for each in first] == [
        ("drone", "cam-1", "M2"),
        ("helicopter", "cam-3", "M4"),
    ]
    assert first[0]["bbox"] == [11.0, 20.0, 8.0, 6.0]  # the detection's own, not the track's
    image = document["images"][0]
    picture = cv2.imread(str(folder / image["file_name"]))
    assert picture is not None
    assert picture.shape[:2] == (image["height"], image["width"]) == (HEIGHT, WIDTH)

    (clip,) = load_coco(folder, "visible")
    assert load_coco(folder, "infrared") == []
    assert clip.labelled_frames == 30 * GRID
    assert {CLASSES[int(label)] for label in clip.boxes[:, 1]} == {"drone", "helicopter"}
    footage = Footage([clip], "visible", tmp_path / "cache", torch.device("cpu"))
    assert footage.count.tolist() == [30]
    _, targets = Sampler([clip], footage, Architecture("visible"), 64, seed=1).draw(20)
    assert CLASSES.index("drone") in targets.labels[targets.valid].tolist()


def test_what_nobody_spoke_about_says_nothing(tmp_path: Path) -> None:
    path = flown(tmp_path / "flights", mark(1, "cam-1", Verdict.DRONE), tracks=2)
    export_coco(path, tmp_path / "set")
    annotations = json.loads((tmp_path / "set" / "annotations.json").read_text())["annotations"]
    assert {(each["track"], each["iscrowd"]) for each in annotations} == {("cam-1", 0), ("cam-2", 1)}
    assert load_coco(tmp_path / "set", "visible") == []  # every picture holds something unknown


def test_marks_come_from_a_file_too_and_one_taken_back_is_none(tmp_path: Path) -> None:
    path = flown(tmp_path / "flights", tracks=1)
    said = {
        "id": "M1",
        "track": "cam-1",
        "alert": "A3",
        "time": "2026-05-01T12:00:00.000000Z",
        "who": "Meier",
        "note": "",
    }
    marks = tmp_path / "marks.json"
    marks.write_text(json.dumps({"marks": [said | {"verdict": "airplane"}], "next_cursor": None}))
    assert export_coco(path, tmp_path / "set", str(marks))[0].startswith("30 pictures with 30")
    with pytest.raises(ExportError, match="not an empty folder"):
        export_coco(path, tmp_path / "set", str(marks))
    marks.write_text(json.dumps({"marks": [said | {"verdict": "unclear"}], "next_cursor": None}))
    with pytest.raises(ExportError, match="no picture of a track that somebody marked"):
        export_coco(path, tmp_path / "other", str(marks))
    marks.write_text('{"tracks": []}')
    with pytest.raises(SaidError, match="holds no marks"):
        export_coco(path, tmp_path / "other", str(marks))
    assert newest([mark(2, "T1", Verdict.UNCLEAR), mark(1, "T1", Verdict.DRONE)]) == {}


def test_a_coasted_track_gives_no_label(tmp_path: Path) -> None:
    shelf = FrameShelf("all")
    recorder = Recorder(tmp_path / "flights", shelf=shelf)
    message = update("cam", 0, [replace(image_track(1, status=Status.COASTING), detection=None)])
    shelf.put(Frame("cam", frame_time(0), 0, "visible", np.zeros((HEIGHT, WIDTH, 3), np.uint8)), message)
    recorder.send("camera.cam", message)
    recorder.send("mark.1", mark(1, "cam-1", Verdict.DRONE))
    (path,) = recorder.close()
    assert "1 pictures with 0 labelled boxes" in export_coco(path, tmp_path / "set")[0]


def test_a_gap_begins_another_clip_and_the_grid_is_ten_a_second(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    times = [k * FRAME_NS for k in range(31)] + [5 * 10**9 + k * 10**8 for k in range(4)]
    images = [
        {
            "id": k,
            "file_name": f"{k}.jpg",
            "width": 9,
            "height": 9,
            "camera": "cam",
            "spectrum": "infrared",
            "time_ns": t,
        }
        for k, t in enumerate(times)
    ]
    boxes = [{"image_id": k, "category_id": 4, "bbox": [1, 2, 3, 4]} for k in range(len(times))]
    document = {"images": images, "annotations": boxes, "categories": [{"id": 4, "name": "bird"}]}
    (folder / "annotations.json").write_text(json.dumps(document))
    first, second = load_coco(folder, "infrared")
    assert (first.labelled_frames, second.labelled_frames) == (11 * GRID, 4 * GRID)
    assert first.video.read_text().splitlines()[1:][::GRID] == [f"file {3 * k}.jpg" for k in range(11)]
    assert first.boxes[:, 0].tolist() == [k * GRID for k in range(11)]


@pytest.mark.parametrize(
    ("document", "says"),
    [
        (None, "is missing"),
        ("no JSON", "is not JSON"),
        ("[]", "is not COCO"),
        ('{"images": []}', "not COCO as it is exported"),
        (
            '{"categories": [], "annotations": [], "images": [{"id": 1, "file_name": "../../etc/passwd"}]}',
            "the file name '../../etc/passwd'",
        ),
    ],
)
def test_what_is_no_data_set_is_refused(tmp_path: Path, document: str | None, says: str) -> None:
    if document is not None:
        (tmp_path / "annotations.json").write_text(document)
    with pytest.raises(DatasetError, match=says):
        load_coco(tmp_path, "visible")
