"""The detector's way on one device against the way over numpy: the same boxes, whoever computes them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_detector import BANDS, a_frame, a_network
from torch import Tensor
from torch.nn import functional

from models import device
from models.boxes import decode_cells, iou_matrix, suppress
from models.detector import STRIDES, Conv, Residual, cell_centres
from models.device import DeviceBackend, batches, best_cells, mean_luma, network_planes, picked, unshuffled
from models.infer import Detector, TorchBackend
from models.planes import i420, luma, normalise, spatial_planes
from models.types import Band, Frame

CPU = torch.device("cpu")
CARD = {"name": "test", "sha256": ""}


@pytest.mark.parametrize("size", [(1, 1), (17, 33), (96, 128)])
@pytest.mark.parametrize("band", BANDS)
def test_both_ways_find_the_same_in_a_moving_picture(band: Band, size: tuple[int, int]) -> None:
    network = a_network(band)
    numpy_way = Detector(TorchBackend(network, 1), CARD, band)
    device_way = Detector(DeviceBackend(network, CPU), CARD, band)
    frames = [a_frame(band, i, seed=i, size=size) for i in range(7)]
    frames[4] = Frame("cam", frames[3].time_ns + 5_000_000, 4, band, frames[4].pixels)  # too soon to be kept
    frames[6] = Frame("cam", 0, 6, band, frames[6].pixels)  # the source began anew
    total = 0
    for frame in frames:
        a, b = (detector.detect([frame])[0] for detector in (numpy_way, device_way))
        assert len(a) == len(b)
        np.testing.assert_allclose(a.boxes, b.boxes, atol=0.01)
        np.testing.assert_allclose(a.class_scores, b.class_scores, atol=1e-4)
        total += len(a)
    assert total > 0


def test_cameras_in_one_batch_keep_their_own_pasts_while_the_ring_grows() -> None:
    network = a_network()
    together, alone = (Detector(DeviceBackend(network, CPU), CARD, "infrared") for _ in range(2))
    for step in range(3):
        frames = [
            Frame(f"cam-{k}", 10**9 + step * 10**8, step, "infrared", a_frame("infrared", seed=10 * step + k).pixels)
            for k in range(7)
        ]
        for frame, found in zip(frames, together.detect(frames), strict=True):
            np.testing.assert_allclose(found.boxes, alone.detect([frame])[0].boxes, atol=0.01)


def test_a_forgotten_camera_has_no_past_and_leaves_its_place() -> None:
    backend = DeviceBackend(a_network(), CPU)
    first = backend.look([a_frame("infrared", 0, seed=1)])[0]
    backend.look([a_frame("infrared", 1, seed=2)])
    backend.forget("cam")
    again = backend.look([a_frame("infrared", 2, seed=1)])[0]
    np.testing.assert_array_equal(first[0], again[0])
    (lane,) = backend.lanes.values()
    assert len(lane.cameras) == 1


def test_a_batch_has_one_size_and_one_frame_of_a_camera() -> None:
    keys = [("small", "a"), ("large", "b"), ("small", "a"), ("small", "c"), ("large", "a")]
    assert list(batches(keys)) == [[0, 3], [1], [2], [4]]
    assert [len(batch) for batch in batches([("s", str(k)) for k in range(70)])] == [64, 6]


@pytest.mark.parametrize("band", BANDS)
def test_planes_are_those_of_training(band: Band) -> None:
    now, before = (a_frame(band, seed=seed).pixels for seed in (1, 2))
    spatial, earlier = spatial_planes(now, band), luma(spatial_planes(before, band))
    uploaded = torch.from_numpy(spatial if band == "infrared" else i420(now))[None]
    ours = uploaded if band == "infrared" else unshuffled(uploaded)
    np.testing.assert_array_equal(ours[0], spatial)
    np.testing.assert_array_equal(mean_luma(ours)[0], luma(spatial))
    planes = network_planes(ours, mean_luma(ours), torch.from_numpy(earlier)[None, None], 8, torch.float32)
    expected = normalise(spatial, [earlier])
    np.testing.assert_allclose(planes[0, : len(expected)], expected, atol=1e-6)
    assert not planes[0, len(expected) :].any()


@given(st.integers(0, 10_000), st.floats(0.5, 3.0))  # no two scores are the same
@settings(max_examples=25, deadline=None)
def test_boxes_are_those_of_numpy_however_crowded(seed: int, spread: float) -> None:
    random = np.random.default_rng(seed)
    cells = [random.normal(0, 1, (1, 8, 48 // s, 64 // s)).astype(np.float32) for s in STRIDES]
    for raw in cells:
        raw[:, 4:] = raw[:, 4:] * spread - 1
    boxes, scores = decode_cells([raw[0] for raw in cells])
    ours = picked(_rows(cells)[0])
    np.testing.assert_allclose(ours[0], boxes, atol=1e-3)
    np.testing.assert_allclose(ours[1], scores, atol=1e-5)


def _rows(cells: list[np.ndarray]) -> np.ndarray:
    grid = [(*raw.shape[2:], s) for raw, s in zip(cells, STRIDES, strict=True)]
    centres = torch.cat([cell_centres(*each) for each in grid])
    strides = torch.cat([torch.full((h * w,), float(s)) for h, w, s in grid])
    return best_cells([torch.from_numpy(raw) for raw in cells], centres, strides).numpy()


def test_a_chain_of_boxes_too_long_for_the_device_is_finished_on_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.arange(30, dtype=np.float32) * 3  # each overlaps the next: every second one stays, known one after another
    corners = np.stack([x, x * 0, x + 10, x * 0 + 10], 1)
    rows = np.hstack([corners, np.linspace(0.9, 0.5, 30)[:, None] * np.ones((1, 4)), np.zeros((30, 1))])
    valid = torch.ones(1, 30, dtype=torch.bool)
    rows[:, -1] = device._kept(torch.from_numpy(corners)[None], valid)[0]
    assert (rows[:, -1] == -1).all()
    assert len(picked(rows)[0]) == len(suppress(corners)) == 15
    monkeypatch.setattr(device, "ROUNDS", 40)
    assert device._kept(torch.from_numpy(corners)[None], valid)[0].sum() == 15


def _with_bias(x: Tensor, weight: Tensor, bias: Tensor, *shape: Any) -> Tensor:
    return functional.relu(functional.conv2d(x, weight, bias, *shape))


def _with_shortcut(x: Tensor, weight: Tensor, shortcut: Tensor, alpha: float, bias: Tensor, *shape: Any) -> Tensor:
    return functional.relu(functional.conv2d(x, weight, bias, *shape) + alpha * shortcut)


def test_a_fused_network_is_taken_where_it_computes_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "cudnn_convolution_relu", _with_bias)
    monkeypatch.setattr(torch, "cudnn_convolution_add_relu", _with_shortcut)
    plain, fused = (DeviceBackend(a_network(), CPU) for _ in range(2))
    assert fused._fuse()
    assert not any(isinstance(module, Conv | Residual) for module in fused.network.modules())
    for a, b in zip(plain.look([a_frame("infrared")])[0], fused.look([a_frame("infrared")])[0], strict=True):
        np.testing.assert_allclose(a, b, atol=1e-3)


def test_a_fused_network_that_fails_or_computes_something_else_is_not(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    backend = DeviceBackend(a_network(), CPU)
    assert not backend._fuse()  # there is no such kernel for the CPU
    monkeypatch.setattr(torch, "cudnn_convolution_relu", _with_bias)
    monkeypatch.setattr(
        torch, "cudnn_convolution_add_relu", lambda x, weight, z, *rest: _with_bias(x, weight, *rest[1:])
    )
    assert not backend._fuse()
    assert [record.message.split(":")[0] for record in caplog.records] == [
        "The detector runs without fused convolutions"
    ] * 2
    assert any(isinstance(module, Conv) for module in backend.network.modules())


@pytest.mark.skipif(torch.cuda.is_available(), reason="here graphs can be captured")
def test_where_no_graph_can_be_captured_kernels_are_launched(caplog: pytest.LogCaptureFixture) -> None:
    plain, hopeful = (DeviceBackend(a_network(), CPU) for _ in range(2))
    hopeful.graphs = True
    for step in range(2):
        frame = a_frame("infrared", step, seed=step)
        np.testing.assert_array_equal(plain.look([frame])[0][0], hopeful.look([frame])[0][0])
    assert [record.message.split(":")[0] for record in caplog.records] == ["The detector runs without CUDA graphs"]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
@pytest.mark.parametrize("band", BANDS)
def test_on_cuda_graphs_in_half_precision_find_the_same(band: Band) -> None:
    network = a_network(band)
    backend = DeviceBackend(network, torch.device("cuda"))
    a, b = Detector(TorchBackend(network, 1), CARD, band), Detector(backend, CARD, band)
    for step in range(5):
        frame = a_frame(band, step, seed=step)
        ours, theirs = a.detect([frame])[0], b.detect([frame])[0]
        assert abs(len(ours) - len(theirs)) <= 1
        best = iou_matrix(ours.boxes[:5], theirs.boxes).max(1)
        assert (best > 0.9).all()
    assert backend.graphs
