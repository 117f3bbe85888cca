"""A trembling camera: what is moved, what is left, and that both ways through the detector do it alike."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from test_detector import BANDS, a_network

from models.device import DeviceBackend
from models.infer import Detector, TorchBackend
from models.steady import calm, steadied
from models.types import Band, Frame

INSIDE = (slice(40, -40), slice(40, -40))


def ground(seed: int = 0) -> np.ndarray:
    """A landscape larger than a picture: uint8 [300, 380]."""
    noise = np.random.default_rng(seed).standard_normal((300, 380)).astype(np.float32)
    soft = np.asarray(cv2.GaussianBlur(noise, (0, 0), 2))
    return np.asarray(255 * (soft - soft.min()) / np.ptp(soft), np.uint8)


def seen(down: int, right: int, seed: int = 0) -> np.ndarray:
    return ground(seed)[20 + down : 276 + down, 30 + right : 350 + right].copy()


def steady(now: np.ndarray, *before: np.ndarray) -> np.ndarray:
    return steadied(torch.from_numpy(now)[None], torch.from_numpy(np.stack(before))[None])[0].numpy()


@pytest.mark.parametrize(("down", "right"), [(0, 1), (1, 0), (3, -5), (-7, 11), (-12, 20), (16, -30)])
def test_the_shift_of_a_camera_is_undone_to_the_pixel(down: int, right: int) -> None:
    now, before = seen(0, 0), seen(down, right)
    moved = steady(now, before)[0]
    assert (before[INSIDE] != now[INSIDE]).mean() > 0.5
    np.testing.assert_array_equal(moved[INSIDE], now[INSIDE])
    assert np.abs(moved.astype(int) - now).max() == 0  # what is unknown at the border is as it is now


def test_what_moves_in_a_shaken_picture_stays_visible_in_the_difference() -> None:
    now, before = seen(0, 0), seen(2, 6)
    now[100:110, 150:160] = 255
    difference = now.astype(int) - steady(now, before)[0]
    assert np.abs(difference[100:110, 150:160]).mean() > 50
    difference[100:110, 150:160] = 0
    assert not difference[INSIDE].any()


def test_pictures_of_other_places_and_of_a_camera_that_stands_still_are_left() -> None:
    now, other, still = seen(0, 0), seen(0, 0, seed=9), seen(0, 0)
    still[80:90, 80:90] = 255
    np.testing.assert_array_equal(steady(now, other, still), np.stack([other, still]))
    both = torch.from_numpy(now)[None], torch.from_numpy(still)[None, None]
    assert calm(*both)
    assert not calm(both[0], torch.from_numpy(other)[None, None])


@pytest.mark.parametrize("band", BANDS)
def test_both_ways_see_the_same_from_a_trembling_mast(band: Band) -> None:
    network, card = a_network(band), {"name": "test", "sha256": ""}
    ways = [
        Detector(backend, card, band)
        for backend in (TorchBackend(network, 1), DeviceBackend(network, torch.device("cpu")))
    ]
    for number, (down, right) in enumerate([(0, 0), (4, -6), (-2, 8), (6, 2)]):
        pixels = seen(down, right)[:, :, None] if band == "infrared" else np.repeat(seen(down, right)[:, :, None], 3, 2)
        a, b = (way.detect([Frame("c", number * 10**8, number, band, pixels)])[0] for way in ways)
        assert len(a) == len(b) > 0
        np.testing.assert_allclose(a.boxes, b.boxes, atol=0.02)
