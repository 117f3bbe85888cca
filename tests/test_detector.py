"""The detector network, its teaching, its box decoding and its inference: each against an independent computation."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.boxes import decode_cells, iou_matrix, suppress
from models.detector import STRIDES, Architecture, DetectorNetwork, flatten
from models.fuse import FromBytes, fuse_normalisation
from models.infer import Detector, OpenVinoBackend, TorchBackend, WeightsError, load_detector
from models.losses import Targets, assign, complete_iou
from models.planes import luma, normalise, spatial_planes
from models.train import Recipe, Run, write_weights
from models.types import CLASSES, Band, Frame

BANDS: tuple[Band, ...] = ("infrared", "visible")


def a_network(band: Band = "infrared", seed: int = 0) -> DetectorNetwork:
    """Untrained, but with normalisation statistics and heads that are not trivial."""
    torch.manual_seed(seed)
    network = DetectorNetwork(Architecture(band))
    for name, values in network.state_dict().items():
        if name.endswith("running_var"):
            torch.nn.init.uniform_(values, 0.5, 2.0)
        elif name.endswith("running_mean") or (name.startswith("heads") and name.endswith("weight")):
            torch.nn.init.normal_(values, std=0.2)
        elif name.startswith("heads"):
            torch.nn.init.normal_(values[4:], -2.0, 1.0)
    return network.eval()


def a_frame(band: Band, sequence: int = 0, seed: int = 0, size: tuple[int, int] = (96, 128)) -> Frame:
    channels = 1 if band == "infrared" else 3
    pixels = np.random.default_rng(seed).integers(0, 255, (*size, channels), np.uint8)
    return Frame("cam", 1_000_000_000 + sequence * 100_000_000, sequence, band, pixels)


@pytest.mark.parametrize("band", BANDS)
def test_network_gives_a_cell_per_stride(band: Band) -> None:
    network = a_network(band)
    cells = network(torch.zeros(2, network.architecture.planes, 64, 96))
    assert [tuple(c.shape) for c in cells] == [(2, 4 + len(CLASSES), 64 // s, 96 // s) for s in STRIDES]


def test_folded_normalisation_changes_nothing() -> None:
    network, planes = a_network(), torch.randn(1, 4, 64, 64)
    with torch.inference_mode():
        for plain, folded in zip(network(planes), fuse_normalisation(network)(planes), strict=True):
            torch.testing.assert_close(plain, folded, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("band", BANDS)
def test_the_network_prepares_bytes_as_training_does(band: Band) -> None:
    network = a_network(band)
    spatial, before = (spatial_planes(a_frame(band, seed=seed).pixels, band) for seed in (1, 2))
    earlier = [luma(before), luma(spatial), luma(before)]
    planes = torch.from_numpy(normalise(spatial, earlier))[None]
    with torch.inference_mode():
        in_training = network(planes)
        at_work = FromBytes(network)(torch.from_numpy(spatial)[None], torch.from_numpy(np.stack(earlier))[None])
    for a, b in zip(in_training, at_work, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3)


def test_numpy_decoding_agrees_with_torch() -> None:
    with torch.inference_mode():
        cells = a_network()(torch.randn(1, 4, 64, 64))
        boxes, logits, _, _ = flatten(cells)
    found, scores = decode_cells([c[0].numpy() for c in cells], lowest=0.05)
    best = int(logits[0].max(1).values.argmax())
    corners = boxes[0, best].numpy()
    np.testing.assert_allclose(found[0], [*corners[:2], *(corners[2:] - corners[:2])], rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(scores[0], logits[0, best].sigmoid().numpy(), rtol=1e-4)
    assert (np.diff(scores.max(1)) <= 0).all()


box = st.tuples(*[st.floats(0, 50)] * 2, *[st.floats(1, 30)] * 2)


@given(st.lists(box, max_size=12))
@settings(max_examples=60, deadline=None)
def test_what_suppression_keeps_does_not_overlap_and_what_it_drops_does(rows: list[tuple[float, ...]]) -> None:
    boxes = np.array(rows, np.float32).reshape(-1, 4)
    corners = np.hstack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]])
    kept = suppress(corners)
    iou = iou_matrix(boxes, boxes)
    assert all(iou[i, j] <= 0.4501 for i in kept for j in kept if i < j)
    dropped = set(range(len(boxes))) - set(kept.tolist())
    low = np.maximum(corners[:, None, :2], corners[None, :, :2])
    high = np.minimum(corners[:, None, 2:], corners[None, :, 2:])
    size = boxes[:, 2:].prod(1)
    inside = np.clip(high - low, 0, None).prod(2) / np.minimum(size[:, None], size[None])
    assert all(any(iou[i, j] > 0.4499 or inside[i, j] > 0.7999 for i in kept if i < j) for j in dropped)


def test_complete_iou_of_known_boxes() -> None:
    a = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 10]])
    b = torch.tensor([[0.0, 0, 10, 10], [5, 0, 15, 10]])
    iou, ciou = complete_iou(a, b)
    torch.testing.assert_close(iou, torch.tensor([1.0, 1 / 3]), rtol=1e-4, atol=1e-4)
    # Same shape, centres 5 apart in a hull of 15 x 10.
    torch.testing.assert_close(ciou, torch.tensor([1.0, 1 / 3 - 25 / 325]), rtol=1e-4, atol=1e-4)


def some_targets() -> Targets:
    boxes = torch.tensor([[[20.0, 20, 36, 32], [0, 0, 1, 1]], [[40.0, 8, 46, 14], [2, 40, 30, 60]]])
    valid = torch.tensor([[True, False], [True, True]])
    return Targets(boxes, torch.tensor([[0, 0], [1, 3]]), valid, torch.ones(2))


def test_every_object_gets_cells_and_padding_gets_none() -> None:
    boxes, logits, centres, strides = flatten(a_network()(torch.randn(2, 4, 64, 64)))
    owner, quality, spare = assign(boxes, logits.sigmoid(), centres, strides, some_targets())
    assert set(owner[0].tolist()) == {-1, 0}
    assert set(owner[1].tolist()) == {-1, 0, 1}
    assert ((quality >= 0) & (quality <= 1)).all()
    assert (quality[owner < 0] == 0).all()
    assert not spare[owner >= 0].any()


def test_a_network_learns_one_picture_by_heart() -> None:
    run = Run(Recipe("infrared", steps=120, warm_up=10, rate=4e-3), torch.device("cpu"), Path("nowhere"))
    planes = torch.randn(2, 4, 64, 64) * 0.1
    planes[0, :, 20:32, 20:36] += 1.5
    planes[1, :, 8:14, 40:46] += 1.5
    planes[1, :, 40:60, 2:30] -= 1.5
    losses = [float(run.learn(planes, some_targets())["total"]) for _ in range(120)]
    with torch.inference_mode():
        cells = run.network.train()(planes)
    found, scores = decode_cells([c[1].numpy() for c in cells])
    truth = np.array([[40.0, 8, 6, 6], [2, 40, 28, 20]])
    assert losses[-1] < 0.5 * losses[0]
    assert iou_matrix(truth, found[:2]).max(1).min() > 0.5
    assert {int(s.argmax()) for s in scores[:2]} == {1, 3}


def test_planes_keep_every_pixel_of_a_colour_picture() -> None:
    frame = a_frame("visible")
    planes = spatial_planes(frame.pixels, "visible")
    assert planes.shape == (6, 48, 64)
    gray = np.full((8, 8, 3), 128, np.uint8)
    gray[2, 3] = 255
    bright = spatial_planes(gray, "visible")
    assert bright[1, 1, 1] > 200  # row 2, column 3: the odd column of an even row
    assert luma(bright)[1, 1] > luma(bright)[0, 0]


def test_still_pictures_have_empty_time_planes() -> None:
    spatial = spatial_planes(a_frame("infrared").pixels, "infrared")
    planes = normalise(spatial, [luma(spatial), luma(spatial)])
    assert planes.shape == (3, 96, 128)
    assert not planes[1:].any()
    np.testing.assert_allclose(planes[0], spatial[0] / 128 - 1, atol=1e-6)


@pytest.mark.parametrize("band", BANDS)
def test_backends_agree_and_batches_equal_singles(band: Band) -> None:
    pytest.importorskip("openvino", reason="OpenVINO is not installed; torch runs instead")
    network = a_network(band)
    card = {"name": "test", "sha256": ""}
    frames = [a_frame(band, i, seed=i) for i in range(3)]
    torch_detector = Detector(TorchBackend(network, 1), card, band)
    other = Detector(OpenVinoBackend(network, 1), card, band)
    one_by_one = [torch_detector.detect([f])[0] for f in frames]
    for a, b in zip(one_by_one, [other.detect([f])[0] for f in frames], strict=True):
        assert len(a) == len(b) > 0
        np.testing.assert_allclose(a.boxes, b.boxes, atol=0.5)
        np.testing.assert_allclose(a.scores, b.scores, atol=1e-3)
    torch_detector.forget("cam")
    for a, b in zip(one_by_one, torch_detector.detect(frames), strict=True):
        np.testing.assert_allclose(a.boxes, b.boxes, atol=0.5)


@pytest.mark.parametrize("size", [(1, 1), (17, 33), (255, 321)])
@pytest.mark.parametrize("band", BANDS)
def test_frames_of_any_size(band: Band, size: tuple[int, int]) -> None:
    detector = Detector(TorchBackend(a_network(band), 1), {"name": "t", "sha256": ""}, band)
    found = detector.detect([a_frame(band, size=size)])[0]
    assert (found.height, found.width) == size
    assert np.isfinite(found.boxes).all()


def test_a_source_that_begins_anew_has_no_earlier_pictures() -> None:
    detector = Detector(TorchBackend(a_network(), 1), {"name": "t", "sha256": ""}, "infrared")
    first = detector.detect([a_frame("infrared", 5, seed=1)])[0]
    detector.detect([a_frame("infrared", 6, seed=2)])
    again = detector.detect([a_frame("infrared", 1, seed=1)])[0]
    np.testing.assert_array_equal(first.boxes, again.boxes)


def test_weights_are_written_whole_and_checked(tmp_path: Path) -> None:
    run = Run(Recipe("infrared", steps=2, warm_up=1), torch.device("cpu"), tmp_path / "checkpoint.pt")
    path = write_weights(run, "infrared", tmp_path)
    detector = load_detector("infrared", weights=path, device="cpu", backend="torch")
    assert detector.sha256 == json.loads(path.with_suffix(".json").read_text())["sha256"]
    with pytest.raises(WeightsError, match="for infrared pictures, not for visible"):
        load_detector("visible", weights=path, device="cpu")
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(WeightsError, match=r"SHA-256 differs"):
        load_detector("infrared", weights=path, device="cpu")
    with pytest.raises(WeightsError, match="no weights at"):
        load_detector("infrared", weights=tmp_path / "none.safetensors")


def test_an_interrupted_run_continues(tmp_path: Path) -> None:
    recipe = Recipe("infrared", steps=4, warm_up=1)
    planes = torch.randn(2, 4, 64, 64)

    def steps(run: Run, count: int) -> Run:
        for _ in range(count):
            run.learn(planes, some_targets())
        return run

    whole = steps(Run(recipe, torch.device("cpu"), tmp_path / "a.pt"), 4)
    steps(Run(recipe, torch.device("cpu"), tmp_path / "b.pt"), 2).save()
    resumed = steps(Run(recipe, torch.device("cpu"), tmp_path / "b.pt"), 2)
    assert resumed.step == 4
    for name, value in whole.average.items():
        torch.testing.assert_close(resumed.average[name], value, rtol=1e-4, atol=1e-5)


def test_a_run_may_begin_with_other_weights_and_their_network(tmp_path: Path) -> None:
    before = Run(Recipe("infrared", size="small"), torch.device("cpu"), tmp_path / "a.pt")
    written = write_weights(before, "infrared", tmp_path / "infrared")
    run = Run(Recipe("infrared", size="large"), torch.device("cpu"), tmp_path / "b.pt")
    run.begin_with(written)
    assert run.started_from == json.loads(written.with_suffix(".json").read_text())["sha256"]
    run.save()
    resumed = Run(Recipe("infrared", size="large"), torch.device("cpu"), tmp_path / "b.pt")
    assert resumed.network.architecture == before.network.architecture
    for name, value in before.average.items():
        torch.testing.assert_close(resumed.average[name], value)
    with pytest.raises(WeightsError, match="not for visible pictures"):
        Run(Recipe("visible"), torch.device("cpu"), tmp_path / "c.pt").begin_with(written)


def test_frames_of_two_sizes_in_one_batch_keep_their_order() -> None:
    detector = Detector(TorchBackend(a_network(), 1), {"name": "t", "sha256": ""}, "infrared")
    frames = [a_frame("infrared", i, size=(side, side)) for i, side in enumerate((32, 64, 32))]
    assert [(d.sequence, d.height) for d in detector.detect(frames)] == [(0, 32), (1, 64), (2, 32)]
