"""What an operator gets from a clip, on clips small enough to know the answer by heart."""

from __future__ import annotations

from models.types import CLASSES
from tracking.outcome import ClipRows, Seen, false_alarms, outcome, summary

DRONE, BIRD = 0, 1
FRAMES, FPS = 30, 10.0
BOX = (100.0, 80.0, 20.0, 20.0)
Rows = list[list[Seen]]


def rows(identity: int, label: int, frames: range = range(FRAMES), x: float = 100.0) -> Rows:
    return [[Seen(identity, label, (x, 80.0, 20.0, 20.0))] if f in frames else [] for f in range(FRAMES)]


def both(a: Rows, b: Rows) -> Rows:
    return [x + y for x, y in zip(a, b, strict=True)]


def clip(truth: Rows, tracks: Rows, label: int = DRONE) -> ClipRows:
    return ClipRows("clip", FPS, label, truth, tracks)


def test_the_first_second_is_the_trackers_own() -> None:
    late = outcome(clip(rows(0, DRONE), rows(7, DRONE, range(10, FRAMES))), DRONE)
    assert (late.covered, late.found, late.named, late.false_alarms) == (1.0, True, DRONE, 0)
    later = outcome(clip(rows(0, DRONE), rows(7, DRONE, range(15, FRAMES))), DRONE)
    assert (later.covered, later.found) == (0.75, False)


def test_the_name_is_the_last_one_shown_on_the_object() -> None:
    changed = both(rows(7, DRONE, range(20)), rows(8, BIRD, range(20, 28)))
    assert outcome(clip(rows(0, DRONE), changed), DRONE).named == BIRD
    assert outcome(clip(rows(0, DRONE), rows(7, DRONE, x=300.0)), DRONE).named is None


def test_a_track_near_enough_lies_on_its_object() -> None:
    assert outcome(clip(rows(0, DRONE), rows(7, DRONE, x=110.0)), DRONE).found
    assert not outcome(clip(rows(0, DRONE), rows(7, DRONE, x=111.0)), DRONE).found


def test_a_false_alarm_is_a_track_counted_once_however_long() -> None:
    there = rows(0, BIRD)
    tracks = both(rows(7, DRONE), both(rows(8, DRONE, x=300.0), rows(9, BIRD, x=400.0)))
    assert false_alarms(clip(there, tracks, BIRD), DRONE) == [7, 8]
    beside = both(rows(7, DRONE, x=115.0), rows(8, DRONE, range(3), x=300.0))
    assert false_alarms(clip(rows(0, DRONE), beside), DRONE) == [8]


def test_an_unannotated_drone_is_no_false_alarm() -> None:
    audited = ClipRows("clip", FPS, BIRD, rows(0, BIRD, x=300.0), rows(7, DRONE), [[BOX]] * FRAMES)
    assert false_alarms(audited, DRONE) == []


def test_a_summary_over_clips() -> None:
    clips = [
        clip(rows(0, DRONE), rows(7, DRONE)),
        clip(rows(0, DRONE), rows(7, BIRD)),
        clip(rows(0, BIRD), rows(7, DRONE), BIRD),
    ]
    figures = summary([(each, outcome(each, DRONE)) for each in clips], DRONE, CLASSES)
    assert figures["false drone tracks per minute"] == 60 / 9
    assert figures["false drone tracks per minute in clips without drones"] == 20.0
    assert figures["by class"] == {
        "drone": {"clips": 2, "found": 1.0, "named right": 0.5},
        "bird": {"clips": 1, "found": 1.0, "named right": 0.0},
    }
