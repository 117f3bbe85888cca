"""The degradations do to pictures what they say, to all alike, and truth moves with the picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.degraded import (
    DEGRADATIONS,
    EVERY,
    PAGE,
    Degradation,
    Picture,
    inverted,
    kept,
    looked_at,
    reasons,
    recoded,
    tables,
    with_dead_pixels,
)
from models.halmstad import Clip
from models.types import CLASSES


def pictures(channels: int, count: int = 12) -> list[Picture]:
    """A bright square of 12 px on a textured ground, which stays."""
    ground = np.random.default_rng(0).integers(60, 90, (96, 128, channels), np.uint8)
    ground[40:52, 80:92] = 250
    return [ground + np.uint8(step % 2) for step in range(count)]


@pytest.mark.parametrize("degradation", DEGRADATIONS, ids=lambda each: each.name)
@pytest.mark.parametrize("channels", [1, 3])
def test_every_degradation_gives_as_many_pictures_of_the_same_kind_and_the_same_each_time(
    degradation: Degradation, channels: int
) -> None:
    clean = pictures(channels)
    shown, moves = degradation.show(clean, np.random.default_rng(3))
    again, _ = degradation.show(clean, np.random.default_rng(3))
    assert len(shown) == len(moves) == len(clean) // EVERY
    assert all(a.shape == clean[0].shape and a.dtype == np.uint8 for a in shown)
    for a, b in zip(shown, again, strict=True):
        np.testing.assert_array_equal(a, b)
    changed = any((a != b).any() for a, b in zip(shown, clean[::EVERY], strict=True))
    assert changed == (not degradation.name.startswith("clean"))


@pytest.mark.parametrize("degradation", [d for d in DEGRADATIONS if d.move], ids=lambda each: each.name)
def test_boxes_go_where_the_things_go(degradation: Degradation) -> None:
    shown, moves = degradation.show(pictures(1), np.random.default_rng(3))
    boxes = np.array([[step, 0, 80, 40, 12, 12] for step in range(12)], np.float32)
    clip = Clip("c", Path(), "infrared", "val", CLASSES.index("drone"), "close", "s", False, boxes, 12)
    for number, picture in enumerate(shown):
        (box,) = looked_at(clip, moves).boxes_of(number)
        rows, columns = np.nonzero(picture[:, :, 0] > 170)
        assert columns.mean() + 0.5 == pytest.approx(box[1] + box[3] / 2, abs=0.6)
        assert rows.mean() + 0.5 == pytest.approx(box[2] + box[4] / 2, abs=0.6)


def test_dead_pixels_stay_and_inversion_is_its_own_opposite() -> None:
    picture, rng = pictures(1)[0], np.random.default_rng(0)
    dead = [with_dead_pixels(each, rng, 0.01) != each for each in pictures(1)]
    assert 80 < dead[0].sum() < 170
    np.testing.assert_array_equal(dead[0], dead[1])
    np.testing.assert_array_equal(inverted(inverted(picture, rng), rng), picture)


def test_an_encoder_gives_all_pictures_back_and_loses_something() -> None:
    clean = pictures(3)
    back = recoded(clean, "libx264", crf="35")
    assert len(back) == len(clean)
    assert 0 < np.abs(back[5].astype(int) - clean[5]).mean() < 12


def test_frozen_pictures_are_told_from_live_ones() -> None:
    live = pictures(1, 4)
    assert [bool(each) for each in reasons([*live, *[live[-1]] * 20, *live[:2]], 25)] == [False] * 4 + [True] * 22


def test_the_page_says_what_the_results_say() -> None:
    assert tables(kept()) in PAGE.read_text(encoding="utf-8")
