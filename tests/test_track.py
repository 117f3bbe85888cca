"""`deeplomatics track`: formats, every frame, the same bytes, and files that are whole or clearly not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from bright_spot import BrightSpot, picture, write_video

from fusion.sensors.address import SourceAddress
from fusion.sensors.camera.source import SourceError
from models.types import CLASSES
from service import track as track_module
from service.mot import MotError, as_scores, read_detections
from service.settings import DetectorSettings
from service.track import Progress, Request, RequestError, track


@pytest.fixture(autouse=True)
def _own_detector(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(track_module, "load", lambda band, settings: BrightSpot())


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """12 frames at 25 frames a second."""
    return write_video(tmp_path / "spot.mp4")


def run(*sources: Path, fps: float | None = None, **files: Path) -> int:
    addresses = [SourceAddress(str(path)) for path in sources]
    progress = Progress()
    track(Request(addresses, "visible", DetectorSettings(), fps=fps, **files), lambda: 0, progress)
    return progress.frames


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_every_frame_of_a_video_is_written_with_its_detections_and_tracks(video: Path, tmp_path: Path) -> None:
    assert run(video, jsonl=tmp_path / "a.jsonl", mot=tmp_path / "a.txt") == 12
    header, *frames = lines(tmp_path / "a.jsonl")
    assert header["type"] == "header"
    assert header["source"] == str(video)
    assert (header["sensor"], header["width"], header["height"], header["fps"]) == ("visible", 64, 48, 25.0)
    assert (header["t0"], header["model"]) == (0.0, "bright-spot")
    assert [frame["frame"] for frame in frames] == list(range(12))
    assert [frame["time"] for frame in frames] == [pytest.approx(step / 25, abs=1e-6) for step in range(12)]
    (detection,) = frames[5]["detections"]
    assert set(detection) == {"class", "score", "box", "scores"}
    assert detection["box"] == pytest.approx([14, 20, 8, 8], abs=1)
    assert set(detection["scores"]) == set(CLASSES)
    (followed,) = frames[-1]["tracks"]
    assert set(followed) == {"id", "state", "class", "score", "box", "velocity"}
    assert (followed["state"], followed["class"]) == ("confirmed", "drone")
    assert followed["velocity"] == pytest.approx([50, 0], abs=10)


def test_motchallenge_lines_count_frames_from_one_and_hold_no_tentative_track(video: Path, tmp_path: Path) -> None:
    run(video, jsonl=tmp_path / "a.jsonl", mot=tmp_path / "a.txt")
    claimed = [
        (frame["frame"] + 1, track["id"])
        for frame in lines(tmp_path / "a.jsonl")[1:]
        for track in frame["tracks"]
        if track["state"] != "tentative"
    ]
    rows = [line.split(",") for line in (tmp_path / "a.txt").read_text().splitlines()]
    assert [(int(row[0]), int(row[1])) for row in rows] == claimed
    assert claimed
    assert {len(row) for row in rows} == {10}


def test_the_same_file_twice_gives_the_same_bytes(video: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        run(video, jsonl=tmp_path / name, mot=tmp_path / f"{name}.txt")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a.txt").read_bytes() == (tmp_path / "b.txt").read_bytes()


def test_the_video_has_the_frames_and_times_of_the_source_with_boxes_drawn_in(video: Path, tmp_path: Path) -> None:
    run(video, video=tmp_path / "boxes.mp4")
    with av.open(tmp_path / "boxes.mp4") as container:
        pictures = [(frame.time, frame.to_ndarray(format="bgr24")) for frame in container.decode(video=0)]
    assert [time for time, _ in pictures] == [pytest.approx(step / 25, abs=1e-3) for step in range(12)]
    drawn = pictures[-1][1].astype(int)
    colourful = np.ptp(drawn, axis=2) > 60  # the source is gray throughout
    assert colourful.sum() > 10


def test_a_video_that_breaks_off_leaves_only_a_file_that_says_it_is_partial(video: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(video.read_bytes()[:-40])
    with pytest.raises(SourceError) as error:
        run(cut, jsonl=tmp_path / "cut.jsonl")
    assert "cut.jsonl.partial" in str(error.value)
    assert not (tmp_path / "cut.jsonl").exists()
    assert lines(tmp_path / "cut.jsonl.partial")[0]["type"] == "header"


def test_a_folder_whose_pictures_change_size_ends_the_tracks_and_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for step in range(20):
        pixels = picture(step % 10, (48, 64) if step < 10 else (96, 128))
        write_png(folder / f"{step}.png", pixels)
    write_png(folder / "20.png", np.full((1, 1, 3), 60, np.uint8))
    assert run(folder, fps=10, jsonl=tmp_path / "a.jsonl") == 21
    tracks = [{track["id"] for track in frame["tracks"]} for frame in lines(tmp_path / "a.jsonl")[1:]]
    assert tracks[9]
    assert tracks[19]
    assert not tracks[9] & tracks[19]
    assert tracks[20] == set()


def write_png(path: Path, pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> None:
    with av.open(path, "w", format="image2", options={"update": "1"}) as container:
        stream = container.add_stream("png", rate=1)
        stream.height, stream.width = pixels.shape[:2]
        stream.pix_fmt = "rgb24"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))


def det_file(folder: Path, text: str) -> Path:
    path = folder / "det.txt"
    path.write_text(text)
    return path


def test_detections_of_others_are_tracked_alone_with_every_frame_between(tmp_path: Path) -> None:
    moving = "".join(f"{n},-1,{10 + n},20,8,8,0.9,-1,-1,-1\n" for n in range(1, 31) if n not in (7, 8))
    assert run(det_file(tmp_path, moving), fps=30, jsonl=tmp_path / "a.jsonl") == 30
    header, *frames = lines(tmp_path / "a.jsonl")
    assert (header["fps"], header["model"], header["width"], header["height"]) == (30.0, None, 48, 28)
    assert [len(frame["detections"]) for frame in frames] == [1] * 6 + [0, 0] + [1] * 22
    ids = {track["id"] for frame in frames[5:] for track in frame["tracks"]}
    assert len(ids) == 1
    assert [track["state"] for track in frames[7]["tracks"]] == ["coasting"]


def test_the_sequence_beside_a_det_file_says_its_rate_size_and_length(tmp_path: Path) -> None:
    folder = tmp_path / "MOT-01" / "det"
    folder.mkdir(parents=True)
    info = "[Sequence]\nframeRate=14\nimWidth=640\nimHeight=480\nseqLength=5\n"
    (folder.parent / "seqinfo.ini").write_text(info)
    file = read_detections(det_file(folder, "1,-1,1,2,3,4,0.5\n"), None)
    assert (file.fps, file.width, file.height, file.frames) == (14.0, 640, 480, 5)
    assert [len(look) for look in file.detections("a")] == [1, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1,-1,1,2,3,4,0.5\n", "--fps"),
        ("1,-1,1,2,3,4,0.5\n2,-1,nan,2,3,4,0.5\n", "line 2"),
        ("one,-1,1,2,3,4\n", "line 1"),
        ("0,-1,1,2,3,4,0.5\n", "whole number from 1"),
        ("99999999999,-1,1,2,3,4,0.5\n", "whole number from 1"),
    ],
)
def test_a_det_file_that_cannot_be_used_says_where_and_why(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(MotError, match=words):
        run(det_file(tmp_path, text), fps=None if words == "--fps" else 30, jsonl=tmp_path / "a.jsonl")
    assert not list(tmp_path.glob("a.jsonl*"))


@pytest.mark.parametrize(
    ("confidence", "scores"),
    [([0.2, 1.0], [0.2, 1.0]), ([-1, -1], [1, 1]), ([-2, 0, 2], [0.119, 0.5, 0.881])],
)
def test_confidences_of_any_kind_become_scores(confidence: list[float], scores: list[float]) -> None:
    assert as_scores(np.array(confidence, float)) == pytest.approx(scores, abs=1e-3)


def test_what_makes_no_sense_is_refused_before_anything_is_written(video: Path, tmp_path: Path) -> None:
    det = det_file(tmp_path, "1,-1,1,2,3,4,0.5\n")
    with pytest.raises(RequestError, match="holds no pictures"):
        run(det, fps=30, video=tmp_path / "a.mp4")
    with pytest.raises(RequestError, match="one source"):
        run(video, video, mot=tmp_path / "a.txt")
    with pytest.raises(RequestError, match="same name"):
        run(video, mot=tmp_path / "a.txt", jsonl=tmp_path / "a.txt")
    assert not list(tmp_path.glob("a.*"))
