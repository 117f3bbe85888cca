"""`deeplomatics evaluate tracker`: the tracker on recorded detections of labelled clips, scored against the labels.

Two views: the measures of the field on the clips filmed for one class (`tracking.evaluate`), and what an operator gets
from clips of every class (`tracking.outcome`).

The detections come from files that `deeplomatics track --output` wrote, one `CLIP.jsonl` a clip, so that the tracker,
and any other tracker, can be judged on the very same evidence and without running the network again.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, get_args

import numpy as np
import orjson

from models.audit import Audit, load_audit
from models.halmstad import Clip as LabelledClip
from models.halmstad import load_clips
from models.types import CLASSES, Band, Detections
from tracking.evaluate import Clip, Row, identities, score
from tracking.image_tracker import ImageTracker
from tracking.outcome import ClipRows, Seen, outcome, summary
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
        {"infrared": {"hota": …, "idf1": …, …}, "visible": {…}, "all": {…}}, see `tracking.evaluate.Scores`; and under
        "operator" for each band what `tracking.outcome.summary` says of all clips.

    Raises:
        RecordingError, models.halmstad.DatasetError: a file is missing or broken.
        tracking.evaluate.JudgeMissing: trackeval is not installed.
    """
    clips: dict[str, list[Clip]] = {}
    operator: dict[str, Any] = {}
    for band in bands:
        labelled = load_clips(data, band, split)
        read = [(clip, read_recording(recordings / f"{clip.name}.jsonl")) for clip in labelled]
        clips[band] = [tracked(clip, each, label, settings) for clip, each in read if CLASSES[clip.label] == label]
        operator[band] = operator_view(read, label, settings)
    scored = {band: score(of_band).as_dict() for band, of_band in clips.items() if of_band}
    everything = [clip for of_band in clips.values() for clip in of_band]
    return scored | {"all": score(everything).as_dict(), "operator": operator}


def operator_view(
    recorded: Sequence[tuple[LabelledClip, Recording]], label: str, settings: TrackerSettings | None = None
) -> dict[str, Any]:
    """What an operator whom tracks of class `label` alarm gets from the clips, see `tracking.outcome.summary`."""
    alarming, audit = CLASSES.index(label), load_audit()
    rows = [clip_rows(clip, recording, alarming, audit, settings) for clip, recording in recorded]
    return summary([(each, outcome(each, alarming)) for each in rows], alarming, CLASSES)


def clip_rows(
    labelled: LabelledClip, recording: Recording, alarming: int, audit: Audit, settings: TrackerSettings | None
) -> ClipRows:
    """The labelled frames of a clip with everything that the tracker shows in them."""
    tracker = ImageTracker(settings or recording.settings)
    shown = [_shown(tracker.step(look)) for look in recording.looks[: labelled.labelled_frames]]
    per_class = [truth_rows(labelled, name) for name in CLASSES]
    truth = [
        [Seen(identity, index, box) for index, rows in enumerate(per_class) for identity, box in rows[frame]]
        for frame in range(len(shown))
    ]
    unannotated = [audit.boxes(labelled.name, frame, alarming) for frame in range(len(shown))]
    return ClipRows(labelled.name, 30.0, labelled.label, truth, shown, unannotated)


def _shown(tracks: ImageTracks) -> list[Seen]:
    return [
        Seen(track.track_id, int(np.argmax(track.class_probabilities)), track.box)
        for track in tracks.tracks
        if track.status in SHOWN
    ]


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
    return [(track.identity, track.box) for track in _shown(tracks) if track.label == wanted]


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
