"""What counts as right, and the figures made of it, on cases small enough to know the answer by heart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from models.audit import AUDIT_FILE, Audit, AuditError, Unannotated, load_audit, write_audit
from models.evaluate import BOX_SCALES, choose_box_scale, summarise
from models.halmstad import Clip
from models.matching import ClipResult, Matches, by_centre, by_iou, looks, match, near_centre, paired
from models.types import CLASSES

DRONE, BIRD, AIRPLANE, HELICOPTER = range(4)
THRESHOLDS = dict.fromkeys(CLASSES, 0.5)
Found = tuple[int, float, tuple[float, float, float, float], int, float]


def result(name: str, label: int, truth: Sequence[tuple[int, ...]], found: list[Found], frames: int = 2) -> ClipResult:
    """A clip filmed for `label`; truth rows are frame, class, box; found ones frame, score, box as (class, score)."""
    boxes = np.array(truth, np.float32).reshape(-1, 6)
    clip = Clip(name, Path(), "infrared", "val", label, "close", "S1", False, boxes, frames)
    scores = np.full((len(found), 4), 0.05)
    for row, (_, _, _, kind, score) in enumerate(found):
        scores[row, kind] = score
    return ClipResult(
        clip,
        frame=np.array([f[0] for f in found], int),
        boxes=np.array([f[2] for f in found], float).reshape(-1, 4),
        class_scores=scores,
        frames=frames,
    )


def seen(frame: int, box: tuple[float, float, float, float], kind: int, score: float) -> Found:
    return frame, score, box, kind, score


def test_rules_of_a_right_box() -> None:
    truth = [(0, DRONE, 10, 10, 10, 10)]
    boxes = [(10.0, 10.0, 10.0, 10.0), (15, 10, 10, 10), (16, 10, 10, 10), (12, 12, 6, 6)]
    (look,) = looks([result("a", DRONE, truth, [seen(0, box, DRONE, 0.9) for box in boxes], frames=1)])
    assert by_iou(look)[:, 0].tolist() == [True, False, False, False]
    assert by_centre(look)[:, 0].tolist() == [True, True, False, True]
    assert by_iou(look, 0.3)[:, 0].tolist() == [True, True, False, True]
    assert near_centre(np.array(boxes), look.truth)[:, 0].tolist() == by_centre(look)[:, 0].tolist()


def test_boxes_that_are_too_tight_are_given_the_size_that_makes_them_right() -> None:
    """Sides of 0.68 have an IoU of 0.46; a twentieth more makes 0.51 of it. One true box too large bears it."""
    truth = [(frame, DRONE, 10, 10, 100, 100) for frame in range(2)]
    tight = [seen(0, (26, 26, 68, 68), DRONE, 0.9), seen(1, (10, 10, 100, 100), DRONE, 0.9)]
    assert choose_box_scale([result("a", DRONE, truth, tight)]) == 1.05
    good = [seen(0, (10, 10, 100, 100), DRONE, 0.9), seen(1, (10, 10, 100, 100), DRONE, 0.9)]
    assert (
        choose_box_scale([result("a", DRONE, truth, good)]) == 1.0 == BOX_SCALES[0]
    )  # as found where it does not matter


def test_average_precision_best_threshold_and_recall_by_hand() -> None:
    matches = Matches(np.array([0.9, 0.8, 0.6, 0.3]), np.array([True, False, True, False]), 3, 100)
    assert matches.average_precision() == pytest.approx((1.0 + 2 / 3) / 3)
    assert 0.3 < matches.best_threshold() < 0.6
    assert matches.at(0.5) == pytest.approx({"precision": 2 / 3, "recall": 2 / 3, "f1": 2 / 3})
    assert matches.recall_at(0.01) == pytest.approx(2 / 3)  # one false box is allowed: up to 0.6
    assert matches.recall_at(0.001) == pytest.approx(1 / 3)


def test_one_object_is_found_once() -> None:
    assert paired(np.array([[True, False], [True, True], [True, True]])).tolist() == [0, 1, -1]


def test_birds_in_clips_of_others_are_not_counted_and_confusions_are() -> None:
    box, elsewhere = (10.0, 10.0, 10.0, 10.0), (100.0, 50.0, 10.0, 10.0)
    truth = [(0, DRONE, 10, 10, 10, 10), (1, DRONE, 10, 10, 10, 10)]
    found = [seen(0, box, DRONE, 0.9), seen(1, box, HELICOPTER, 0.8), seen(1, elsewhere, BIRD, 0.7)]
    frames = looks([result("a", DRONE, truth, found)])
    assert match(frames, by_iou, BIRD).score.tolist() == []
    assert match(frames, by_iou, DRONE).at(0.5)["recall"] == 0.5
    assert match(frames, by_iou, HELICOPTER).hit.tolist() == [False]
    assert match(frames, by_iou, None).at(0.5) == {"precision": 1.0, "recall": 1.0, "f1": 1.0}
    figures = summarise([result("a", DRONE, truth, found)], THRESHOLDS)
    assert figures["named (by centre)"]["drone"] == {
        "drone": 1, "bird": 0, "airplane": 0, "helicopter": 1, "missed": 0
    }  # fmt: skip
    assert figures["if every name were right"]["iou50"]["mean f1"] == 0.25  # the drones, of four classes
    assert figures["bird boxes in clips of other classes (not counted)"] == 1
    assert figures["by distance"]["close"]["drone"]["objects"] == 2


def test_what_the_padding_of_a_clip_costs() -> None:
    truth = [(frame, DRONE, 10 + frame, 10, 20, 20) for frame in range(4)]
    tight = [seen(frame, (15.0 + frame, 14.0, 10.0, 10.0), DRONE, 0.9) for frame in range(4)]
    figures = summarise([result("a", DRONE, truth, tight, frames=4)], THRESHOLDS)
    assert figures["iou50"]["drone"]["f1"] == 0.0
    assert figures["centre"]["drone"]["f1"] == 1.0
    assert figures["if the padding of each clip were known (iou50)"]["drone"] == 1.0


def test_an_audited_object_spares_only_its_own_name(tmp_path: Path) -> None:
    moving = Unannotated("bird", np.array([0, 10]), np.array([[100.0, 50, 10, 10], [120, 50, 10, 10]]))
    write_audit(tmp_path / "audit.csv", {"a": [moving]})
    audit = load_audit(tmp_path / "audit.csv")
    assert "a" in audit
    assert "b" not in audit
    assert audit.boxes("a", 5, BIRD) == [(110.0, 50.0, 10.0, 10.0)]
    assert audit.boxes("a", 11, BIRD) == audit.boxes("a", 5, DRONE) == []
    there, away = (111.0, 51.0, 8.0, 8.0), (10.0, 10.0, 8.0, 8.0)
    found = [seen(5, there, kind, 0.9) for kind in (BIRD, DRONE)] + [seen(5, away, DRONE, 0.8)]
    clip = result("a", AIRPLANE, [], found, frames=6)
    with_audit, without = looks([clip], audit), looks([clip])
    assert match(with_audit, by_iou, DRONE).score.tolist() == [0.9, 0.8]
    assert match(with_audit, by_iou, None).score.tolist() == [0.8]
    assert match(without, by_iou, None).score.tolist() == [0.9, 0.8]  # the bird is spared either way


def test_an_unclear_object_spares_every_name() -> None:
    audit = Audit({"a": [Unannotated("unclear", np.array([0, 1]), np.array([[100.0, 50, 10, 10]] * 2))]})
    frames = looks([result("a", AIRPLANE, [], [seen(0, (100.0, 50.0, 9.0, 9.0), DRONE, 0.9)])], audit)
    assert match(frames, by_iou, DRONE).score.tolist() == []


def test_a_broken_audit_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(AuditError, match=r"none\.csv is missing"):
        load_audit(tmp_path / "none.csv")
    path = tmp_path / "audit.csv"
    path.write_text("clip,object,frame,x,y,w,h,what\na,1,0,1,1,9,9,bird\na,1,5,1,1,9,9,ufo\n")
    with pytest.raises(AuditError, match=r"line 3: 'ufo' is no class"):
        load_audit(path)
    path.write_text("clip,object,frame\na,1,0\n")
    with pytest.raises(AuditError, match=r"line 2: a line needs clip"):
        load_audit(path)


def test_the_audit_of_the_project_can_be_read() -> None:
    load_audit(AUDIT_FILE)
