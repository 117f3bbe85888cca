"""The measures, on cases small enough to know the answer by heart, and the way from files to them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tracking.evaluate import Clip, Row, identities, score

FRAMES = 20
Frames = list[list[Row]]


def still(identity: int, frames: range = range(FRAMES), x: float = 0.0) -> Frames:
    return [[(identity, (x, 0.0, 10.0, 10.0))] if frame in frames else [] for frame in range(FRAMES)]


def clip(truth: Frames, tracks: Frames) -> Clip:
    return Clip("clip", 10.0, truth, tracks)


def test_perfect_tracks() -> None:
    scores = score([clip(still(1), still(7))])
    assert (scores.hota, scores.idf1, scores.mota) == (1.0, 1.0, 1.0)
    assert (scores.identity_switches, scores.fragments, scores.never_tracked) == (0, 0, 0)
    assert scores.first_track_s == 0.0


def test_a_changed_identity_in_the_middle() -> None:
    halves = [a + b for a, b in zip(still(1, range(10)), still(2, range(10, FRAMES)), strict=True)]
    scores = score([clip(still(1), halves)])
    assert scores.identity_switches == 1
    assert scores.idf1 == 0.5
    assert scores.hota == pytest.approx(0.5**0.5)  # detection 1, association 1/2


def test_a_late_interrupted_track_and_an_object_never_found() -> None:
    seen = [frame for frame in range(FRAMES) if frame >= 4 and frame != 10]
    interrupted = [rows if frame in seen else [] for frame, rows in enumerate(still(1))]
    truth = [a + b + c for a, b, c in zip(still(1), still(2, x=500.0), still(3, x=900.0), strict=True)]
    tracks = [a + b for a, b in zip(interrupted, still(2, x=500.0), strict=True)]
    scores = score([clip(truth, tracks)])
    assert (scores.fragments, scores.identity_switches, scores.never_tracked, scores.objects) == (1, 0, 1, 3)
    assert scores.first_track_s == 0.2  # the median of 0.4 and 0
    assert scores.mota == pytest.approx((len(seen) + FRAMES) / (3 * FRAMES))


def test_unlabelled_identities_are_linked_through_crossing_neighbours() -> None:
    frames = [[(float(n), 0.0, 10.0, 10.0), (60.0 - n, 40.0, 10.0, 10.0)][:: 1 if n % 2 else -1] for n in range(60)]
    rows = identities(frames)
    lower = {identity for row in rows for identity, box in row if box[1] == 40.0}
    upper = {identity for row in rows for identity, box in row if box[1] == 0.0}
    assert len(lower) == len(upper) == 1
    assert lower != upper


def test_scores_of_nothing_and_of_unequal_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="no clip"):
        score([])
    with pytest.raises(ValueError, match="20 frames of truth but 3 of tracks"):
        score([clip(still(1), still(1)[:3])])


def test_recordings_on_disk_to_scores(tmp_path: Path) -> None:
    """A made-up data folder and the JSON lines of `track --output` for it."""
    from service.evaluate_tracker import RecordingError, evaluate

    (tmp_path / "labels").mkdir()
    (tmp_path / "video").mkdir()
    (tmp_path / "clips.csv").write_text(
        "clip,split,sensor,class,distance_bin,scene,scene_in_train,frames,fps,width,height,boxes,drone_model_or_source\n"
        "A,val,infrared,drone,close,S1,no,30,30.0,320,256,30,\n"
    )
    boxes = [[100.0 + n, 80.0, 20.0, 14.0] for n in range(30)]
    labels = [f"{n},drone,{','.join(map(str, box))}" for n, box in enumerate(boxes)]
    (tmp_path / "labels" / "A.csv").write_text("\n".join(["frame,class,x,y,w,h", *labels]) + "\n")
    with pytest.raises(RecordingError, match=r"A\.jsonl is missing"):
        evaluate(tmp_path, "val", tmp_path, bands=["infrared"])
    scores = {"drone": 0.8, "bird": 0.1, "airplane": 0.05, "helicopter": 0.02}
    header = {"type": "header", "source": "A.mp4", "sensor": "infrared", "width": 320, "height": 256, "fps": 30.0}
    frames = [
        {
            "type": "frame",
            "frame": n,
            "time": n / 30,
            "detections": [{"class": "drone", "score": 0.8, "box": box, "scores": scores}],
            "tracks": [],
        }
        for n, box in enumerate(boxes)
    ]
    (tmp_path / "A.jsonl").write_text("\n".join(map(json.dumps, [header, *frames])) + "\n")
    figures = evaluate(tmp_path, "val", tmp_path, bands=["infrared"])
    assert figures["infrared"] == figures["all"]
    assert figures["all"]["hota"] > 0.9
    assert figures["all"]["identity_switches"] == 0
    (tmp_path / "A.jsonl").write_text("not json\n")
    with pytest.raises(RecordingError, match="no output of deeplomatics track"):
        evaluate(tmp_path, "val", tmp_path, bands=["infrared"])
