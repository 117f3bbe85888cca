"""An object is found again by its picture, to a fraction of a pixel, or not at all."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from benchmarks.annotation_ceiling import Pair, found_again, table


def a_picture(x: float, y: float) -> np.ndarray:
    """A bright disc on a slope, drawn to a sixteenth of a pixel."""
    picture = np.tile(np.linspace(60, 90, 160, dtype=np.uint8), (120, 1))
    centre = (round(x * 16), round(y * 16))
    cv2.circle(picture, centre, 6 * 16, 200, -1, cv2.LINE_AA, shift=4)
    return picture


def test_a_box_moves_with_its_picture() -> None:
    moved = found_again(a_picture(50, 40), (40.0, 30.0, 20.0, 20.0), a_picture(58.5, 44), (47.0, 36.0, 20.0, 20.0))
    assert moved is not None
    assert moved == pytest.approx((48.5, 34.0, 20.0, 20.0), abs=0.3)


def test_what_has_gone_is_not_found_again() -> None:
    empty = np.tile(np.linspace(60, 90, 160, dtype=np.uint8), (120, 1))
    noise = np.random.default_rng(0).integers(0, 255, (120, 160), np.uint8)
    for after in (np.full_like(empty, 70), noise):
        assert found_again(a_picture(50, 40), (40.0, 30.0, 20.0, 20.0), after, (40.0, 30.0, 20.0, 20.0)) is None


def test_pairs_not_found_again_are_counted_but_have_no_iou() -> None:
    rows = table([Pair(0, "close", 1, 0.9), Pair(0, "close", 1, 0.4), Pair(0, "close", 1, float("nan"))])
    assert rows["drone, 1 frames"] == {
        "pairs": 3, "found again": 2 / 3, "median IoU": 0.65, "IoU >= 0.5": 0.5, "IoU >= 0.75": 0.5
    }  # fmt: skip
