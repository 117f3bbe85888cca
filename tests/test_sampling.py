"""Crops for the detector's training: what the boxes say is where the picture shows it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.halmstad import Clip
from models.history import History
from models.planes import normalise, spatial_planes
from models.sampling import GRID, MARGIN, FrameCache, Sampler, _kept
from models.types import CLASSES

SIDE, LEFT, TOP = 10, 60, 40  # of a bright square on gray, whose box has the margin that annotators leave


class OneFrame(FrameCache):
    """A cache of one clip of one picture."""

    def __init__(self) -> None:
        picture = np.full((1, 1, 96, 128), 60, np.uint8)
        picture[0, 0, TOP : TOP + SIDE, LEFT : LEFT + SIDE] = 200
        self.arrays = {"square": picture}


def a_sampler(seed: int) -> Sampler:
    side = SIDE + 2 * MARGIN
    boxes = np.array([[0, CLASSES.index("drone"), LEFT - MARGIN, TOP - MARGIN, side, side]], np.float32)
    clip = Clip("square", Path("square.mp4"), "infrared", "train", 0, "close", "a", False, boxes, GRID)
    return Sampler([clip], OneFrame(), "infrared", 64, seed)


@pytest.mark.parametrize("calm", [False, True])
def test_boxes_stay_on_their_objects_however_a_crop_is_turned_zoomed_and_mirrored(calm: bool) -> None:
    """Half a pixel here, the other way when mirrored, cost a fifth of an eight-pixel object's IoU once."""
    sampler = a_sampler(seed=1)
    sampler.calm_after = 0 if calm else 1 << 62
    off, padding = [], []
    for _ in range(300):
        sample = sampler.draw()
        shade = np.abs(sample.planes[0] - np.median(sample.planes[0]))
        ys, xs = np.nonzero(shade > 0.5 * shade.max())
        if len(sample.boxes) != 1 or not (
            shade.max() > 0.1 and xs.min() > 2 and xs.max() < 61 and ys.min() > 2 and ys.max() < 61
        ):
            continue
        x1, y1, x2, y2 = sample.boxes[0]
        off.append([xs.mean() + 0.5 - (x1 + x2) / 2, ys.mean() + 0.5 - (y1 + y2) / 2])
        padding.append(np.sqrt((x2 - x1) * (y2 - y1)) / 2 - np.sqrt(len(xs)) / 2)
    assert len(off) > 100
    assert np.abs(np.mean(off, 0)).max() < 0.1
    assert np.abs(off).max() < 0.75  # a threshold rounds to whole pixels
    assert np.abs(np.array(padding) - MARGIN).max() < 1.0


def test_a_mirrored_visible_crop_is_what_a_camera_would_give_in_a_mirrored_world(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Moved plane by plane, the pixels within each 2x2 block would keep their order while all else is mirrored."""
    monkeypatch.setattr("models.sampling.CALM_AS_IS", 1.0)
    monkeypatch.setattr(Sampler, "_degrade", lambda self, view: view)
    pixels = np.random.default_rng(2).integers(0, 255, (192, 256, 3), np.uint8)
    cache = OneFrame()
    cache.arrays = {"square": spatial_planes(pixels, "visible")[None]}
    clip = Clip(
        "square", Path("square.mp4"), "visible", "train", 0, "close", "a", False, np.zeros((0, 6), np.float32), 1
    )
    sampler = Sampler([clip], cache, "visible", 64, seed=3, calm_after=0)
    whole = [normalise(spatial_planes(picture, "visible"), [])[:4] for picture in (pixels, pixels[:, ::-1].copy())]
    seen = set()
    for turn in range(12):
        crop = sampler.draw().planes[:4]
        for mirrored, picture in enumerate(whole):
            places = np.lib.stride_tricks.sliding_window_view(picture[0], (64, 64))
            for y, x in np.argwhere(places[:, :, 0, 0] == crop[0, 0, 0]):
                if np.array_equal(picture[:, y : y + 64, x : x + 64], crop):
                    seen.add((mirrored, turn))
    assert len(seen) == 12
    assert {mirrored for mirrored, _ in seen} == {0, 1}


@pytest.mark.parametrize("known", range(7))
def test_what_stands_for_pictures_that_are_not_there_is_the_same_in_training_as_at_work(known: int) -> None:
    history = History[int]()
    for index in range(known):
        history.keep(index * 100_000_000, index)
    at_work = [known if p is None else p for p in history.earlier(known * 100_000_000, (0.1, 0.2, 0.5))]
    assert [_kept(known, step, known) for step in (1, 2, 5)] == at_work
