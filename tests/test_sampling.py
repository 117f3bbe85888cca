"""Crops for the detector's training: what the boxes say is where the picture shows it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from models import footage as footage_module
from models.detector import PICTURE_SCALE, Architecture
from models.footage import GRID, LEVELS, Footage
from models.halmstad import Clip
from models.history import History
from models.losses import Targets
from models.planes import normalise, spatial_planes
from models.sampling import MARGIN, Pasting, Sampler, _back
from models.types import CLASSES, Band

SIDE, LEFT, TOP = 10, 60, 40  # of a bright square on gray, whose box has the margin that annotators leave
CPU = torch.device("cpu")


def a_clip(folder: Path, band: Band, boxes: np.ndarray, name: str = "clip", frames: int = 1) -> Clip:
    video = folder / f"{name}.mp4"
    video.write_bytes(b"not read here")
    return Clip(name, video, band, "train", 0, "close", "a", False, boxes, frames)


def footage_of(folder: Path, monkeypatch: pytest.MonkeyPatch, clips: list[Clip], *pictures: np.ndarray) -> Footage:
    """Clips that show these pictures [H, W, C], every frame the same."""
    shown = dict(zip([clip.name for clip in clips], pictures, strict=True))

    def decode(clip: Clip) -> Iterator[np.ndarray]:
        return iter([shown[clip.name]] * clip.labelled_frames)

    monkeypatch.setattr(footage_module, "decode", decode)
    return Footage(clips, clips[0].band, folder / "cache", CPU)


def a_square() -> np.ndarray:
    picture = np.full((96, 128, 1), 60, np.uint8)
    picture[TOP : TOP + SIDE, LEFT : LEFT + SIDE] = 200
    return picture


def its_box() -> np.ndarray:
    side = SIDE + 2 * MARGIN
    return np.array([[0, CLASSES.index("drone"), LEFT - MARGIN, TOP - MARGIN, side, side]], np.float32)


def crops(sampler: Sampler, count: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Planes, boxes and labels of one crop after the other."""
    planes, targets = sampler.draw(count)
    for crop, boxes, labels, valid in zip(planes, targets.boxes, targets.labels, targets.valid, strict=True):
        yield crop.numpy(), boxes[valid].numpy(), labels[valid].numpy()


@pytest.mark.parametrize("calm", [False, True])
def test_boxes_stay_on_their_objects_however_a_crop_is_turned_zoomed_and_mirrored(
    calm: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a pixel here, the other way when mirrored, cost a fifth of an eight-pixel object's IoU once."""
    clips = [a_clip(tmp_path, "infrared", its_box())]
    sampler = Sampler(clips, footage_of(tmp_path, monkeypatch, clips, a_square()), Architecture("infrared"), 64, 1)
    sampler.calm = calm
    off, padding = [], []
    for planes, boxes, _ in crops(sampler, 500):
        shade = np.abs(planes[0] - np.median(planes[0]))
        ys, xs = np.nonzero(shade > 0.5 * shade.max())
        inside = shade.max() > 0.1 and xs.min() > 2 and xs.max() < 61 and ys.min() > 2 and ys.max() < 61
        if len(boxes) != 1 or not inside:
            continue
        x1, y1, x2, y2 = boxes[0]
        off.append([xs.mean() + 0.5 - (x1 + x2) / 2, ys.mean() + 0.5 - (y1 + y2) / 2])
        padding.append(np.sqrt((x2 - x1) * (y2 - y1)) / 2 - np.sqrt(len(xs)) / 2)
    assert len(off) > 100
    assert np.abs(np.mean(off, 0)).max() < 0.1
    assert np.abs(off).max() < 0.75  # a threshold rounds to whole pixels
    assert np.abs(np.array(padding) - MARGIN).max() < 1.0


def test_a_mirrored_visible_crop_is_what_a_camera_would_give_in_a_mirrored_world(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Moved plane by plane, the pixels within each 2x2 block would keep their order while all else is mirrored."""
    monkeypatch.setattr("models.sampling.CALM_AS_IS", 1.0)
    monkeypatch.setattr(Sampler, "_degrade", lambda self, view: None)
    pixels = np.random.default_rng(2).integers(0, 255, (192, 256, 3), np.uint8)
    clips = [a_clip(tmp_path, "visible", np.zeros((0, 6), np.float32))]
    footage = footage_of(tmp_path, monkeypatch, clips, pixels)
    sampler = Sampler(clips, footage, Architecture("visible"), 64, seed=3)
    sampler.calm = True
    whole = [normalise(spatial_planes(picture, "visible"), [])[:4] for picture in (pixels, pixels[:, ::-1].copy())]
    seen = set()
    for turn, (crop, _, _) in enumerate(crops(sampler, 12)):
        for mirrored, picture in enumerate(whole):
            places = np.lib.stride_tricks.sliding_window_view(picture[0], (64, 64))
            for y, x in np.argwhere(np.abs(places[:, :, 0, 0] - crop[0, 0, 0]) < 1e-3):
                if np.allclose(picture[:, y : y + 64, x : x + 64], crop[:4], atol=1e-3):
                    seen.add((mirrored, turn))
    assert len(seen) == 12
    assert {mirrored for mirrored, _ in seen} == {0, 1}


@pytest.mark.parametrize("known", range(7))
def test_what_stands_for_pictures_that_are_not_there_is_the_same_in_training_as_at_work(known: int) -> None:
    history = History[int]()
    for index in range(known):
        history.keep(index * 100_000_000, index)
    at_work = [known if p is None else p for p in history.earlier(known * 100_000_000, (0.1, 0.2, 0.5))]
    assert [known - int(_back(step, np.array([known]))[0]) for step in (1, 2, 5)] == at_work


def test_an_object_of_another_clip_is_put_where_its_box_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.sampling.AIMED", 0.0)
    clips = [a_clip(tmp_path, "infrared", its_box(), "square"), a_clip(tmp_path, "infrared", np.zeros((0, 6)), "sky")]
    footage = footage_of(tmp_path, monkeypatch, clips, a_square(), np.full((96, 128, 1), 90, np.uint8))
    sampler = Sampler(clips, footage, Architecture("infrared"), 64, seed=5, pasting=Pasting(share=1.0))
    sampler.chances = np.array([0.5, 0.5])
    put = 0
    for planes, boxes, labels in crops(sampler, 300):
        bright = np.abs(planes[0] - np.median(planes[0]))
        for (x1, y1, x2, y2), label in zip(boxes.round().astype(int), labels, strict=True):
            middle = bright[(y1 + y2) // 2, (x1 + x2) // 2]
            assert label == CLASSES.index("drone")
            if bright.max() > 0.1 and min(x1, y1) > 0 and max(x2, y2) < 64:
                put += 1
                assert middle > 0.02  # as much as can be seen, in a picture of any contrast
    assert put > 150


@pytest.mark.parametrize("band", ["infrared", "visible"])
def test_a_view_of_a_picture_is_the_same_by_any_size_of_its_copies(
    band: Band, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ramp stays a ramp, in place and height, however far it is shrunk."""
    scale = PICTURE_SCALE[band]
    ramp = np.broadcast_to(np.arange(128 * scale, dtype=np.float32) / scale + 20, (96 * scale, 128 * scale))
    picture = np.repeat(ramp.round().astype(np.uint8)[:, :, None], 1 if band == "infrared" else 3, 2)
    clips = [a_clip(tmp_path, band, np.zeros((0, 6)), frames=GRID + 1)]
    footage = footage_of(tmp_path, monkeypatch, clips, picture)
    assert footage.count.tolist() == [2]
    assert footage.sides.tolist() == [[128, 96]] * 2
    for zoom in (1.0, 0.6, 0.3, 0.5**LEVELS, 1.7):
        warp = torch.tensor([[[zoom, 0, 0], [0, zoom, 0]]])
        row = footage.luma(torch.tensor([1]), warp, 6)[0, 3]
        expected = (torch.arange(6) + 0.5) / zoom + 20 - 0.5 / scale
        kept = expected < 140
        if band == "visible":
            expected = 16 + expected * 219 / 255  # BT.601, as in video
        torch.testing.assert_close(row[kept], expected[kept], atol=1.2, rtol=0)
    assert footage.chroma(torch.tensor([0]), warp, 6).shape == (1, 0 if band == "infrared" else 2, 6, 6)


def test_the_same_seed_gives_the_same_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clips = [a_clip(tmp_path, "infrared", its_box())]
    footage = footage_of(tmp_path, monkeypatch, clips, a_square())

    def drawn() -> tuple[Tensor, Targets]:
        return Sampler(clips, footage, Architecture("infrared"), 64, seed=7).draw(16)

    (planes, targets), (again, same) = drawn(), drawn()
    torch.testing.assert_close(planes, again, rtol=0, atol=0)
    for mine, theirs in zip(targets, same, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=0)
