"""What an operator got from a clip: was its object found, was it named right at the end, how many tracks cried wolf.

Pure functions of rows that someone else read (`service.evaluate_tracker` reads the files). A shown track lies on an
object when their centres are no further apart than half the object's side, √(width · height) / 2: an operator looks
where the box is, and annotated boxes are too loose to ask for more.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

Box = tuple[float, float, float, float]

FOUND_SHARE = 0.8  # of an object's frames, its first second left out
FIRST_S = 1.0


class Seen(NamedTuple):
    """An annotated object or a shown track in one frame: its identity, index of its class, and x, y, width, height."""

    identity: int
    label: int
    box: Box


@dataclass(frozen=True, slots=True)
class ClipRows:
    """What there was and what was shown, frame by frame.

    Attributes:
        name: for messages.
        fps: frames a second.
        label: index of the class that the clip was filmed for.
        truth, tracks: one entry a frame, both of the same length.
        unannotated: boxes, one entry a frame, where a track is no false alarm though the annotation has nothing there.
    """

    name: str
    fps: float
    label: int
    truth: Sequence[Sequence[Seen]]
    tracks: Sequence[Sequence[Seen]]
    unannotated: Sequence[Sequence[Box]] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of one clip.

    Attributes:
        covered: share of the object's frames, after its first second, with a shown track on it; of the clip's class,
            all objects together. None where no object was there for longer than a second.
        named: index of the class of the last track on the object that was there longest; None where it was never found.
        false_alarms: tracks that were shown as the alarming class and were mostly on no object of that class.
        seconds: length of the clip.
    """

    covered: float | None
    named: int | None
    false_alarms: int
    seconds: float

    @property
    def found(self) -> bool | None:
        return None if self.covered is None else self.covered >= FOUND_SHARE


def outcome(clip: ClipRows, alarming: int) -> Outcome:
    """What the operator got from the clip; tracks of class `alarming` call him."""
    seconds = len(clip.truth) / clip.fps
    return Outcome(_covered(clip), _named(clip), len(false_alarms(clip, alarming)), seconds)


def _objects(clip: ClipRows) -> list[tuple[int, Seen]]:
    """Frame and row of each annotated object of the clip's class."""
    return [(frame, row) for frame, rows in enumerate(clip.truth) for row in rows if row.label == clip.label]


def _covered(clip: ClipRows) -> float | None:
    begun: dict[int, int] = {}
    hits = []
    for frame, row in _objects(clip):
        if frame - begun.setdefault(row.identity, frame) >= FIRST_S * clip.fps:
            hits.append(_track_on(row, clip.tracks[frame]) is not None)
    return float(np.mean(hits)) if hits else None


def _named(clip: ClipRows) -> int | None:
    objects = _objects(clip)
    if not objects:
        return None
    longest = Counter(row.identity for _, row in objects).most_common(1)[0][0]
    for frame, row in reversed(objects):
        on_it = _track_on(row, clip.tracks[frame]) if row.identity == longest else None
        if on_it is not None:
            return on_it.label
    return None


def _track_on(thing: Seen, tracks: Sequence[Seen]) -> Seen | None:
    """The track nearest to the object, if it lies on it."""
    near = [(_apart(thing.box, track.box), track) for track in tracks]
    if not near:
        return None
    distance, track = min(near)
    return track if distance <= np.sqrt(thing.box[2] * thing.box[3]) / 2 else None


def false_alarms(clip: ClipRows, alarming: int) -> list[int]:
    """Identities of tracks shown as `alarming` that touched an object of that class in less than half of those frames.

    Touching is enough: a box beside a drone still shows the operator a drone.
    """
    on_one: dict[int, list[bool]] = defaultdict(list)
    for frame, tracks in enumerate(clip.tracks):
        boxes = [row.box for row in clip.truth[frame] if row.label == alarming]
        boxes += clip.unannotated[frame] if clip.unannotated else ()
        for track in tracks:
            if track.label == alarming:
                on_one[track.identity].append(any(_touch(track.box, box) for box in boxes))
    return [identity for identity, touched in sorted(on_one.items()) if np.mean(touched) < 0.5]


def _apart(a: Box, b: Box) -> float:
    return float(np.hypot(a[0] + a[2] / 2 - b[0] - b[2] / 2, a[1] + a[3] / 2 - b[1] - b[3] / 2))


def _touch(a: Box, b: Box) -> bool:
    return a[0] < b[0] + b[2] and b[0] < a[0] + a[2] and a[1] < b[1] + b[3] and b[1] < a[1] + a[3]


def summary(clips: Sequence[tuple[ClipRows, Outcome]], alarming: int, classes: Sequence[str]) -> dict[str, object]:
    """Over all clips, per class and one by one, ready for JSON.

    Returns:
        {"false drone tracks per minute": …, "in clips without drones": …, "by class": {class: {"clips", "found",
        "named right"}}, "clips": {name: {"class", "found", "covered", "named", "false drone tracks"}}}; "drone" stands
        for the name of `alarming`.
    """
    name = classes[alarming]
    per_class = {}
    for index, label in enumerate(classes):
        of_class = [result for clip, result in clips if clip.label == index]
        if of_class:
            per_class[label] = {
                "clips": len(of_class),
                "found": float(np.mean([result.found is True for result in of_class])),
                "named right": float(np.mean([result.named == index for result in of_class])),
            }
    others = [result for clip, result in clips if clip.label != alarming]
    return {
        f"false {name} tracks per minute": _per_minute([result for _, result in clips]),
        f"false {name} tracks per minute in clips without {name}s": _per_minute(others),
        "by class": per_class,
        "clips": {
            clip.name: {
                "found": result.found,
                "covered": result.covered,
                "named": None if result.named is None else classes[result.named],
                f"false {name} tracks": result.false_alarms,
            }
            for clip, result in clips
        },
    }


def _per_minute(results: Sequence[Outcome]) -> float:
    seconds = sum(result.seconds for result in results)
    return 60.0 * sum(result.false_alarms for result in results) / max(seconds, 1e-9)
