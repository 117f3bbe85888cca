"""The per-camera tracker: what it promises about evidence, identity, garbage, bounds, replay and bits."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.tracker_scenes import crossing_objects
from models.types import CLASSES, Detections
from tracking.image_tracker import ImageTracker
from tracking.lifecycle import MOVES, Event
from tracking.measurements import Reason
from tracking.settings import DEFAULT_THRESHOLD, SCORE_FLOOR, TrackerSettings
from tracking.table import SnapshotError
from tracking.types import ImageTrack, ImageTracks, Status

Box = tuple[float, float, float, float]
SECOND = 1_000_000_000


def look(
    time_s: float, boxes: Sequence[Sequence[float]] = (), scores: Sequence[float] | None = None, kind: str = "drone"
) -> Detections:
    scores = [0.8] * len(boxes) if scores is None else scores
    class_scores = np.full((len(boxes), len(CLASSES)), 0.05, dtype=np.float32)
    class_scores[:, CLASSES.index(kind)] = scores
    return Detections(
        sensor_id="cam",
        time_ns=round(time_s * SECOND),
        sequence=round(time_s * 1000),
        width=640,
        height=512,
        boxes=np.array(boxes, dtype=np.float32).reshape(-1, 4),
        scores=np.array(scores, dtype=np.float32),
        class_scores=class_scores,
    )


def flying(time_s: float, speed: float = 60.0) -> Box:
    return (100.0 + speed * time_s, 200.0, 20.0, 12.0)


def run(tracker: ImageTracker, looks: Sequence[Detections]) -> list[ImageTracks]:
    return [tracker.step(each) for each in looks]


def confirmed(tracks: ImageTracks) -> list[ImageTrack]:
    return [track for track in tracks.tracks if track.status is Status.CONFIRMED]


def digest(outputs: Sequence[ImageTracks]) -> str:
    return hashlib.sha256("\n".join(map(repr, outputs)).encode()).hexdigest()


# -- evidence ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fps", [5.0, 30.0, 100.0])
def test_follows_an_object_with_its_velocity_at_any_frame_rate(fps: float) -> None:
    last = run(ImageTracker(), [look(n / fps, [flying(n / fps)]) for n in range(round(2 * fps))])[-1]
    (track,) = confirmed(last)
    assert track.track_id == 1
    assert track.box == pytest.approx(flying((round(2 * fps) - 1) / fps), abs=1.0)
    assert track.velocity == pytest.approx((60.0, 0.0), abs=3.0)
    assert track.existence > 0.99


@pytest.mark.parametrize("fps", [10.0, 60.0])
def test_coasts_through_misses_by_seconds_and_keeps_the_id(fps: float) -> None:
    tracker = ImageTracker()
    times = np.arange(0.0, 3.0, 1.0 / fps)
    outputs = run(tracker, [look(t, [] if 1.5 < t < 2.0 else [flying(t)]) for t in times.tolist()])
    states = [[(track.track_id, track.status) for track in out.tracks] for out in outputs]
    missing = [state for state, t in zip(states, times, strict=True) if 1.5 < t < 2.0]
    assert missing
    assert all(state == [(1, Status.COASTING)] for state in missing)
    assert states[-1] == [(1, Status.CONFIRMED)]


def test_a_missed_look_lowers_existence_and_silence_ends_the_track() -> None:
    tracker = ImageTracker()
    run(tracker, [look(n / 30, [flying(0.0)]) for n in range(15)])
    outputs = run(tracker, [look(0.5 + n / 30) for n in range(75)])
    existence = [out.tracks[0].existence for out in outputs if out.tracks]
    assert all(later < earlier for earlier, later in pairwise(existence))
    ended = [out for out in outputs if out.deleted]
    assert [out.deleted for out in ended] == [(1,)]
    assert not outputs[-1].tracks
    assert ended[0].time_ns / SECOND - 0.5 <= TrackerSettings().coast_s + 0.1


def test_a_coasting_track_takes_no_faint_detection_far_from_where_it_should_be() -> None:
    """It could be anywhere by then, and faint detections are everywhere: jumping to one would show a false place."""
    tracker = ImageTracker()
    run(tracker, [look(n / 30, [flying(n / 30)]) for n in range(30)])
    away = (flying(1.0)[0], 290.0, 20.0, 12.0)
    outputs = run(tracker, [look(1 + n / 30, [away] if n >= 30 else [], [0.15] if n >= 30 else []) for n in range(50)])
    assert all(track.detection is None for out in outputs for track in out.tracks)
    (coasting,) = outputs[40].tracks
    assert coasting.box[:2] == pytest.approx(flying(1 + 40 / 30)[:2], abs=15.0)


def test_size_does_not_grow_through_a_miss() -> None:
    random = np.random.default_rng(2)
    sizes = [20.0 * float(np.exp(0.2 * random.standard_normal())) for _ in range(30)]
    tracker = ImageTracker()
    run(tracker, [look(n / 30, [(100 - size / 2, 100 - 0.3 * size, size, 0.6 * size)]) for n, size in enumerate(sizes)])
    outputs = run(tracker, [look(1 + n / 30) for n in range(30)])
    assert {track.box[2:] for track in outputs[-1].tracks} == {track.box[2:] for track in outputs[0].tracks}


def test_tracks_are_made_when_they_are_read_and_stay_as_they_were() -> None:
    tracker = ImageTracker()
    run(tracker, [look(n / 30, [flying(n / 30)]) for n in range(10)])
    late, early = (ImageTracker(), ImageTracker())
    for each in (late, early):
        each.restore(tracker.snapshot())
    unread, read = late.step(look(0.5, [flying(0.5)])), early.step(look(0.5, [flying(0.5)]))
    expected = repr(read)
    run(late, [look(0.5 + n / 30, [flying(0.5 + n / 30)]) for n in range(1, 10)])
    assert repr(unread) == expected
    assert unread.tracks is unread.tracks
    with pytest.raises(AttributeError, match="no attribute 'boxes'"):
        _ = unread.boxes  # type: ignore[attr-defined]


def test_a_track_that_left_the_picture_ends_at_once() -> None:
    tracker = ImageTracker()
    run(tracker, [look(n / 30, [(600.0 + 20 * n / 30 * 15, 200.0, 20.0, 12.0)]) for n in range(4)])
    outputs = run(tracker, [look((4 + n) / 30) for n in range(20)])
    assert any(out.deleted == (1,) for out in outputs[:12])


def test_weak_detections_hold_a_track_but_never_begin_one() -> None:
    tracker = ImageTracker()
    weak = [look(1 + n / 30, [flying(0.0), (400.0, 400.0, 20.0, 20.0)], [0.2, 0.2]) for n in range(30)]
    run(tracker, [look(n / 30, [flying(0.0)]) for n in range(30)])
    outputs = run(tracker, weak)
    assert all([track.track_id for track in confirmed(out)] == [1] for out in outputs)
    assert tracker.next_id == 2


@pytest.mark.parametrize("fps", [10.0, 30.0, 100.0])
def test_what_stays_at_its_threshold_is_confirmed_late_and_what_is_sure_at_once(fps: float) -> None:
    def first_confirmed_s(score: float) -> float:
        tracker = ImageTracker()
        outputs = [tracker.step(look(n / fps, [flying(0.0)], [score])) for n in range(round(2 * fps))]
        return next(n for n, out in enumerate(outputs) if confirmed(out)) / fps

    assert 0.25 <= first_confirmed_s(DEFAULT_THRESHOLD + 0.001) <= 0.6
    assert first_confirmed_s(0.9) <= 0.1


def test_the_threshold_of_its_class_decides_whether_a_detection_begins_a_track() -> None:
    strict = TrackerSettings.at({"bird": 0.8, "drone": 0.0})
    assert strict.thresholds == (SCORE_FLOOR, 0.8, DEFAULT_THRESHOLD, DEFAULT_THRESHOLD)
    born = {kind: len(ImageTracker(strict).step(look(0.0, [flying(0.0)], [0.6], kind)).tracks) for kind in CLASSES}
    assert born == {"drone": 1, "bird": 0, "airplane": 1, "helicopter": 1}


def test_class_follows_the_evidence_of_many_looks_and_not_of_one() -> None:
    tracker = ImageTracker()
    run(tracker, [look(n / 30, [flying(0.0)], kind="bird") for n in range(60)])
    once = tracker.step(look(60 / 30, [flying(0.0)], kind="drone")).tracks[0]
    assert CLASSES[int(np.argmax(once.class_probabilities))] == "bird"
    assert sum(once.class_probabilities) == pytest.approx(1.0)
    later = run(tracker, [look(n / 30, [flying(0.0)], kind="drone") for n in range(61, 200)])[-1].tracks[0]
    assert CLASSES[int(np.argmax(later.class_probabilities))] == "drone"


def test_two_crossing_objects_keep_their_ids() -> None:
    def pair(t: float) -> list[Box]:
        return [(100.0 + 80 * t, 200.0 + 30 * t, 20.0, 16.0), (260.0 - 80 * t, 205.0 + 30 * t, 20.0, 16.0)]

    outputs = run(ImageTracker(), [look(n / 30, pair(n / 30)) for n in range(60)])
    last = {track.track_id: track.velocity[0] for track in outputs[-1].tracks}
    assert last == {1: pytest.approx(80.0, abs=5.0), 2: pytest.approx(-80.0, abs=5.0)}


def test_life_cycle_table_is_complete_and_death_is_final() -> None:
    assert all(set(MOVES[status]) == set(Event) for status in Status)
    assert set(MOVES[Status.DELETED].values()) == {Status.DELETED}
    assert not any(Status.TENTATIVE in MOVES[status].values() for status in Status if status is not Status.TENTATIVE)


# -- garbage (P-26), order, bounds -------------------------------------------------------------------------------------

UGLY = [float("nan"), float("inf"), -float("inf"), 3e38, -3e38]
ugly_box = st.one_of(
    st.tuples(*[st.sampled_from([*UGLY, 10.0])] * 4).filter(lambda box: not all(abs(v) < 1e6 for v in box)),
    st.tuples(st.floats(0, 600), st.floats(0, 500), st.sampled_from([0.0, -1.0, -50.0]), st.just(10.0)),
)
ugly_score = st.sampled_from([0.5, 1.0])


@settings(deadline=None, max_examples=40)
@given(garbage=st.lists(st.tuples(st.integers(0, 39), ugly_box, ugly_score), min_size=1, max_size=30))
def test_garbage_changes_no_bit_of_the_tracks_and_is_counted(garbage: list[tuple[int, Box, float]]) -> None:
    def looks(dirty: bool) -> list[Detections]:
        extra: dict[int, list[tuple[Box, float]]] = {}
        for at, box, score in garbage if dirty else ():
            extra.setdefault(at, []).append((box, score))
        rows = [[(flying(n / 30), 0.8), ((300.0, 100.0, 30.0, 30.0), 0.7), *extra.get(n, [])] for n in range(40)]
        return [look(n / 30, [box for box, _ in row], [score for _, score in row]) for n, row in enumerate(rows)]

    clean, dirty = ImageTracker(), ImageTracker()
    expected, got = run(clean, looks(False)), run(dirty, looks(True))
    assert [replace(out, rejected=0) for out in got] == expected
    assert sum(out.rejected for out in got) == sum(dirty.rejected.values()) == len(garbage)


def test_garbage_scores_and_looks_are_counted_by_reason() -> None:
    tracker = ImageTracker()
    tracker.step(look(1.0, [flying(0.0)] * 4, [float("nan"), 1.5, -0.1, 0.8]))
    tracker.step(look(0.9, [flying(0.0)]))
    counted = {reason: count for reason, count in tracker.rejected.items() if count}
    assert counted == {Reason.NOT_FINITE: 1, Reason.OUT_OF_RANGE: 2, Reason.LATE: 1}
    with pytest.raises(ValueError, match="do not fit each other"):
        tracker.step(replace(look(2.0, [flying(0.0)]), boxes=np.zeros((3, 4), np.float32)))


@settings(deadline=None, max_examples=20)
@given(st.randoms(use_true_random=False))
def test_order_of_detections_changes_nothing(random: object) -> None:
    looks = list(crossing_objects(objects=30, frames=15, seed=3))

    def shuffled(each: Detections) -> tuple[Detections, list[int]]:
        order = list(range(len(each)))
        random.shuffle(order)  # type: ignore[attr-defined]
        columns = (each.boxes[order], each.scores[order], each.class_scores[order])
        return replace(each, boxes=columns[0], scores=columns[1], class_scores=columns[2]), order

    plain, mixed = ImageTracker(), ImageTracker()
    for each in looks:
        other, order = shuffled(each)
        out, back = plain.step(each), mixed.step(other)
        renamed = tuple(replace(t, detection=None if t.detection is None else order[t.detection]) for t in back.tracks)
        assert replace(back, tracks=renamed) == out


def test_bounds_hold_and_are_counted() -> None:
    limits = TrackerSettings(max_tracks=5, max_detections=8)
    tracker = ImageTracker(limits)
    boxes = [(40.0 * n, 40.0 * n, 20.0, 20.0) for n in range(12)]
    out = tracker.step(look(0.0, boxes, [0.5 + 0.03 * n for n in range(12)]))
    assert len(out.tracks) == 5
    assert (tracker.rejected[Reason.TOO_MANY], tracker.rejected[Reason.NO_ROOM]) == (4, 3)
    assert {track.detection for track in out.tracks} == {11, 10, 9, 8, 7}


def test_ids_are_never_used_again() -> None:
    tracker = ImageTracker(first_id=100)
    ids = [track.track_id for out in run(tracker, list(crossing_objects(20, 60, 20))) for track in out.tracks]
    born = sorted(set(ids))
    assert born == list(range(100, tracker.next_id))
    assert list(dict.fromkeys(ids)) == born  # first seen in rising order: none came back


def test_clock_set_back_ends_all_tracks_and_goes_on() -> None:
    tracker = ImageTracker()
    run(tracker, [look(1000 + n / 30, [flying(0.0)]) for n in range(10)])
    out = tracker.step(look(1.0, [flying(0.0)]))
    assert out.deleted == (1,)
    assert [track.track_id for track in out.tracks] == [2]


# -- replay ------------------------------------------------------------------------------------------------------------


def test_snapshot_and_tail_equal_the_full_run() -> None:
    looks = list(crossing_objects(objects=40, frames=60, seed=5))
    full, first, second = ImageTracker(), ImageTracker(), ImageTracker()
    expected = run(full, looks)
    run(first, looks[:25])
    second.restore(first.snapshot())
    assert second.snapshot() == first.snapshot()
    assert run(second, looks[25:]) == expected[25:]
    assert second.snapshot() == full.snapshot()


@pytest.mark.parametrize("damage", [b"", b"\x80\x00", b"{}\n", b"[]\n"])
def test_a_bad_snapshot_is_refused_and_changes_nothing(damage: bytes) -> None:
    tracker = ImageTracker()
    run(tracker, list(crossing_objects(5, 5)))
    before = tracker.snapshot()
    for bad in (damage, before[:-1], before + b"\x00"):
        with pytest.raises(SnapshotError):
            tracker.restore(bad)
    with pytest.raises(SnapshotError, match="other tracker settings"):
        ImageTracker(TrackerSettings(gate=9.0)).restore(before)
    assert tracker.snapshot() == before


GOLDEN = """
import hashlib
from benchmarks.tracker_scenes import crossing_objects
from tracking.image_tracker import ImageTracker
tracker = ImageTracker()
outputs = [tracker.step(look) for look in crossing_objects(objects=60, frames=60, seed=9)]
print(hashlib.sha256("\\n".join(map(repr, outputs)).encode()).hexdigest())
"""


@pytest.mark.parametrize(
    "machine",
    [
        {"PYTHONHASHSEED": "1", "OPENBLAS_CORETYPE": "Nehalem"},
        {"PYTHONHASHSEED": "2", "NPY_DISABLE_CPU_FEATURES": "AVX2 FMA3 AVX512F AVX512_SKX"},
    ],
    ids=["old BLAS kernel", "no vector units"],
)
def test_same_bits_on_any_machine(machine: dict[str, str]) -> None:
    here = digest(run(ImageTracker(), list(crossing_objects(objects=60, frames=60, seed=9))))
    child = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", GOLDEN],
        env=os.environ | machine,
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).resolve().parents[1],
    )
    assert child.stdout.strip() == here


def test_messages_are_plain_data() -> None:
    (track,) = ImageTracker().step(look(0.0, [flying(0.0)])).tracks
    numbers = (track.track_id, track.box, track.velocity, track.covariance, track.class_probabilities, track.detection)
    assert json.loads(json.dumps(numbers))[0] == 1
    assert len(track.covariance) == 16
