"""`deeplomatics evaluate tracker`: the tracker on recorded detections of labelled clips, scored against the labels.

The detections come from files that `deeplomatics track --output` wrote, one `CLIP.jsonl` a clip, so that the tracker,
and any other tracker, can be judged on the very same evidence and without running the network again.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, get_args

import numpy as np
import orjson

from models.halmstad import Clip as LabelledClip
from models.halmstad import load_clips
from models.types import CLASSES, Band, Detections
from tracking.evaluate import Clip, Row, identities, score
from tracking.image_tracker import ImageTracker
from tracking.settings import TrackerSettings
from tracking.types import ImageTracks, Status

SHOWN = (Status.CONFIRMED, Status.COASTING)


class Recording(NamedTuple):
    """Detections of every frame, and the settings that suit the detector they come from."""

    looks: list[Detections]
    settings: TrackerSettings


class RecordingError(Exception):
    """A file of recorded detections is missing or cannot be read; the message says which and the mend."""


def evaluate(
    data: Path,
    split: str,
    recordings: Path,
    *,
    bands: Sequence[Band] = get_args(Band),
    label: str = "drone",
    settings: TrackerSettings | None = None,
) -> dict[str, Any]:
    """Scores per band and over all bands, for the clips filmed for `label`; tracks of other classes are left out.

    Args:
        data: folder of the labelled recordings.
        split: train, val or test.
        recordings: folder of `CLIP.jsonl`.
        settings: of the tracker; None: the defaults with the thresholds that each recording names.

    Returns:
        {"infrared": {"hota": …, "idf1": …, …}, "visible": {…}, "all": {…}}, see `tracking.evaluate.Scores`.

    Raises:
        RecordingError, models.halmstad.DatasetError: a file is missing or broken.
        tracking.evaluate.JudgeMissing: trackeval is not installed.
    """
    clips: dict[str, list[Clip]] = {band: _clips(data, split, recordings, band, label, settings) for band in bands}
    scored = {band: score(of_band).as_dict() for band, of_band in clips.items() if of_band}
    return scored | {"all": score([clip for of_band in clips.values() for clip in of_band]).as_dict()}


def _clips(
    data: Path, split: str, recordings: Path, band: Band, label: str, settings: TrackerSettings | None
) -> list[Clip]:
    labelled = (clip for clip in load_clips(data, band, split) if CLASSES[clip.label] == label)
    return [tracked(clip, read_recording(recordings / f"{clip.name}.jsonl"), label, settings) for clip in labelled]


def tracked(labelled: LabelledClip, recording: Recording, label: str, settings: TrackerSettings | None) -> Clip:
    """The labelled frames of a clip with what the tracker shows of class `label`."""
    tracker = ImageTracker(settings or recording.settings)
    shown = [shown_rows(tracker.step(look), label) for look in recording.looks[: labelled.labelled_frames]]
    return Clip(labelled.name, 30.0, truth_rows(labelled, label)[: len(shown)], shown)


def truth_rows(labelled: LabelledClip, label: str) -> list[list[Row]]:
    """Labelled boxes of one class with identities, one entry a labelled frame."""
    wanted = CLASSES.index(label)
    frames = [
        [(float(x), float(y), float(w), float(h)) for kind, x, y, w, h in labelled.boxes_of(frame) if kind == wanted]
        for frame in range(labelled.labelled_frames)
    ]
    return identities(frames)


def shown_rows(tracks: ImageTracks, label: str) -> list[Row]:
    """What people are shown: tracks confirmed or coasting whose likeliest class is `label`."""
    wanted = CLASSES.index(label)
    return [
        (track.track_id, track.box)
        for track in tracks.tracks
        if track.status in SHOWN and np.argmax(track.class_probabilities) == wanted
    ]


def read_recording(path: Path) -> Recording:
    """What a file of `track --output` holds.

    Raises:
        RecordingError: the file is missing or is not one.
    """
    if not path.is_file():
        raise RecordingError(f"{path} is missing: write it with deeplomatics track CLIP.mp4 --output {path.name}")
    try:
        header, *frames = [orjson.loads(line) for line in path.read_bytes().splitlines()]
        looks = [_look(header, frame) for frame in frames if frame["type"] == "frame"]
        return Recording(looks, TrackerSettings.at(header.get("thresholds", {})))
    except (ValueError, KeyError, TypeError) as error:
        raise RecordingError(f"{path} is no output of deeplomatics track: {error}") from error


def _look(header: dict[str, Any], frame: dict[str, Any]) -> Detections:
    found = frame["detections"]
    scores = [[detection["scores"][name] for name in CLASSES] for detection in found]
    return Detections(
        sensor_id=str(header["source"]),
        time_ns=round(frame["time"] * 1e9),
        sequence=frame["frame"],
        width=header["width"],
        height=header["height"],
        boxes=np.array([detection["box"] for detection in found], dtype=np.float32).reshape(-1, 4),
        scores=np.array([detection["score"] for detection in found], dtype=np.float32),
        class_scores=np.array(scores, dtype=np.float32).reshape(-1, len(CLASSES)),
    )
