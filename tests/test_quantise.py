"""Eight-bit arithmetic: what rounding costs, and that the engine computes what torch says it does."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from test_detector import BANDS, a_frame, a_network

from models import infer
from models.fuse import FromBytes
from models.infer import WEIGHTS_FOLDER, Detector, OpenVinoBackend, load_detector
from models.quantise import RoundedConv, largest_inputs, rounded
from models.types import Band


def bytes_for(band: Band, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    random = np.random.default_rng(seed)
    spatial = random.integers(0, 255, (1, 1 if band == "infrared" else 6, 64, 96), np.uint8)
    return torch.from_numpy(spatial), torch.from_numpy(random.integers(0, 255, (1, 3, 64, 96), np.uint8))


def test_a_rounded_convolution_is_near_the_whole_one() -> None:
    torch.manual_seed(0)
    conv, x = torch.nn.Conv2d(8, 16, 3, padding=1), torch.rand(1, 8, 20, 20) * 3
    off = (RoundedConv(conv, 3.0)(x) - conv(x)).abs().max()
    step = 3.0 / 255
    assert 0 < off < 72 * conv.weight.abs().max() * step  # 72 products, each off by a step at the most


def test_inputs_beyond_the_largest_are_cut() -> None:
    conv = torch.nn.Conv2d(1, 1, 1, bias=False)
    torch.nn.init.ones_(conv.weight)
    out = RoundedConv(conv, 2.0)(torch.tensor([[[[1.0, 50.0]]]]))
    assert out.flatten().tolist() == pytest.approx([1.0, 2.0], abs=0.01)


def test_a_few_extremes_do_not_cost_the_others_their_resolution() -> None:
    """A layer whose inputs are almost all below 1, and one of them 200."""
    band: Band = "infrared"
    network = FromBytes(a_network(band)).eval()
    inner = network.get_submodule("network.stage8.0.0")
    before = largest_inputs(network, [bytes_for(band)])["network.stage8.0.0"]
    hook = inner.register_forward_pre_hook(lambda _, x: (x[0].index_fill(3, torch.tensor([0]), before * 1.5),))
    after = largest_inputs(network, [bytes_for(band)])["network.stage8.0.0"]
    hook.remove()
    assert before <= after <= before * 1.5


@pytest.mark.parametrize("band", BANDS)
def test_the_engine_computes_in_integers_what_torch_computes_in_floats(band: Band) -> None:
    pytest.importorskip("openvino", reason="OpenVINO is not installed; torch runs in single precision instead")
    network, frames = a_network(band), [a_frame(band, i, seed=i) for i in range(3)]
    whole = FromBytes(network).eval()
    largest = largest_inputs(whole, [bytes_for(band, seed) for seed in range(4)])
    backend = OpenVinoBackend(network, 1, largest)
    engine = Detector(backend, {"name": "test", "sha256": ""}, band)
    assert engine.backend == "openvino-cpu-int8"
    with torch.inference_mode():
        for frame in frames:
            spatial, earlier = backend.prepare(frame)
            engine.forget(frame.sensor_id)
            ours = [cells.numpy() for cells in rounded(whole, largest)(*map(_batch, (spatial, earlier)))]
            plain = [cells.numpy() for cells in whole(*map(_batch, (spatial, earlier)))]
            theirs = backend.run(spatial[None], earlier[None])
            for a, b, c in zip(ours, theirs, plain, strict=True):
                spread = float(c.std())
                assert float(np.abs(a - b).mean()) < 0.05 * spread
                assert float(np.abs(a - c).mean()) < 0.15 * spread  # and rounding costs little


def _batch(planes: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(planes)[None]


@pytest.mark.parametrize("band", BANDS)
def test_shipped_weights_are_run_with_eight_bits_where_the_processor_can(
    band: Band, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("openvino", reason="OpenVINO is not installed; torch runs in single precision instead")
    monkeypatch.setattr(infer, "_adds_bytes_exactly", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert load_detector(band).backend == "openvino-cpu-int8"
    assert load_detector(band, precision="single").backend == "openvino-cpu"
    for suffix in (".safetensors", ".json"):
        shutil.copy(WEIGHTS_FOLDER / f"{band}{suffix}", tmp_path / f"{band}{suffix}")
    card = json.loads((tmp_path / f"{band}.json").read_text())
    del card["largest_inputs"]
    (tmp_path / f"{band}.json").write_text(json.dumps(card))
    assert load_detector(band, weights=tmp_path / f"{band}.safetensors").backend == "openvino-cpu"
    monkeypatch.setattr(infer, "_adds_bytes_exactly", lambda: False)
    assert load_detector(band).backend == "openvino-cpu"
