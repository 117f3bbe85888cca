"""A network of the user's own: tiny ones, exported here, behind the detector's interface; hostile files refused."""

from __future__ import annotations

import hashlib
import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from torch import Tensor, nn
from torch.nn import functional

from models.foreign import Input, fitted, load_any, load_foreign, read_description
from models.infer import WeightsError
from models.onnx_file import OnnxError, refuse_hostile
from models.types import CLASSES, Frame

onnx = pytest.importorskip("onnx", reason="onnx is not installed; it writes the networks of this test")
pytest.importorskip("openvino", reason="OpenVINO is not installed; it runs networks of the user's own")

SIDE = 64
DECODINGS = ("yolov8", "yolox", "boxes")


class Bright(nn.Module):
    """Sees one object, 16 pixels wide, in each bright cell; of class 2 where it is mostly red, of class 0 otherwise."""

    def __init__(self, decoding: str) -> None:
        super().__init__()
        self.decoding = decoding

    def forward(self, picture: Tensor) -> Tensor:
        levels = [self._cells(picture, stride) for stride in ((8, 16, 32) if self.decoding == "yolox" else (16,))]
        rows = torch.cat(levels, 1)
        if self.decoding == "yolov8":
            return rows.transpose(1, 2)
        if self.decoding == "yolox":
            return rows
        score, kind = rows[..., 4:].max(2, keepdim=True)
        half = rows[..., 2:4] / 2
        return torch.cat([rows[..., :2] - half, rows[..., :2] + half, score, kind.to(score)], 2)

    def _cells(self, picture: Tensor, stride: int) -> Tensor:
        mean = functional.avg_pool2d(picture, stride).flatten(2).transpose(1, 2)
        red, all_of_it = mean[..., :1], mean.mean(2, keepdim=True)
        sure = torch.sigmoid(20 * (all_of_it - 0.6)) * (1.0 if stride == 16 else 0.0)
        named = torch.cat([sure * (red < 0.9), sure * 0, sure * (red >= 0.9)], 2)
        y, x = torch.meshgrid(torch.arange(SIDE // stride), torch.arange(SIDE // stride), indexing="ij")
        cell = torch.stack([x, y], -1).reshape(1, -1, 2).float()
        if self.decoding == "yolox":
            return torch.cat([cell * 0 + 0.5, cell * 0, torch.ones_like(sure), named], 2)
        return torch.cat([(cell + 0.5) * stride, cell * 0 + 16.0, named], 2)


def a_network(folder: Path, network: str, **changes: Any) -> Path:
    """`bright.onnx` with its description, changed as told (None leaves a key out)."""
    path = folder / "bright.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter that needs nothing but onnx is an old one
        torch.onnx.export(Bright(network).eval(), (torch.zeros(1, 3, SIDE, SIDE),), str(path), dynamo=False)
    described = {
        "name": "bright",
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "input": {"width": SIDE, "height": SIDE},
        "decoding": network,
        "classes": {"drone": [0], "bird": [1, 2]},
        "thresholds": {"drone": 0.6},
    }
    described |= changes
    text = yaml.safe_dump({key: value for key, value in described.items() if value is not None})
    path.with_suffix(".yaml").write_text(text)
    return path


def a_frame(width: int, height: int, spots: dict[tuple[int, int], tuple[int, int, int]], size: int) -> Frame:
    """Squares of `size` with their upper left corners and colours (BGR) on black."""
    pixels = np.zeros((height, width, 3), np.uint8)
    for (x, y), colour in spots.items():
        pixels[y : y + size, x : x + size] = colour
    return Frame("cam", 1_000, 7, "visible", pixels)


@pytest.mark.parametrize("decoding", DECODINGS)
def test_objects_are_found_where_they_are_by_every_decoding(tmp_path: Path, decoding: str) -> None:
    detector = load_any("visible", weights=a_network(tmp_path, decoding))
    # Twice the network's size and half as high: letterboxed at half scale.
    frame = a_frame(128, 64, {(32, 32): (200, 200, 200), (96, 0): (130, 190, 255)}, 32)
    (found,) = detector.detect([frame])
    assert (found.width, found.height, found.time_ns, found.sequence) == (128, 64, 1_000, 7)
    names = [CLASSES[i] for i in found.class_scores.argmax(1)]
    boxes = {name: box.round().tolist() for name, box in zip(names, found.boxes, strict=True)}
    assert boxes == {"drone": [32, 32, 32, 32], "bird": [96, 0, 32, 32]}
    assert found.scores.min() > 0.9
    assert detector.thresholds == {"drone": 0.6, "bird": 0.45, "airplane": 0.45, "helicopter": 0.45}
    assert detector.detect([a_frame(128, 64, {}, 1)] * 2)[1].boxes.shape == (0, 4)


def test_an_infrared_picture_is_shown_to_a_network_of_colours(tmp_path: Path) -> None:
    detector = load_any("infrared", weights=a_network(tmp_path, "yolov8"))
    pixels = np.zeros((64, 64, 1), np.uint8)
    pixels[16:32, 16:32] = 220
    (found,) = detector.detect([Frame("cam", 0, 0, "infrared", pixels)])
    assert found.boxes.round().tolist() == [[16, 16, 16, 16]]


def test_a_picture_is_fitted_as_described() -> None:
    wide = np.full((50, 100, 3), (10, 20, 30), np.uint8)
    values, scale, shift = fitted(wide, Input(width=64, height=64, fit="letterbox_centred", divide=1.0))
    assert values.shape == (1, 3, 64, 64)
    assert (scale.tolist(), shift.tolist()) == ([0.64, 0.64], [0, 16])
    assert values[0, :, 0, 0].tolist() == [114, 114, 114]
    assert values[0, :, 32, 32].tolist() == [30, 20, 10]  # red first
    values, scale, _ = fitted(wide, Input(width=64, height=32, fit="stretch", layout="NHWC", colour="gray"))
    assert values.shape == (1, 32, 64, 1)
    assert scale.tolist() == [0.64, 0.64]
    values, *_ = fitted(wide, Input(width=64, height=32, colour="bgr", divide=1, mean=(10, 20, 30), std=(1, 2, 3)))
    assert not values.any()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"sha256": "0" * 64}, "its SHA-256 is"),
        ({"sha256": None}, "sha256: field required"),
        ({"classes": {"ufo": [0]}}, "'ufo' is none of drone"),
        ({"decoding": "python"}, "decoding: input should be"),
        ({"input": {"width": SIDE, "height": SIDE, "std": [0]}}, "input.std.0: input should be greater than 0"),
        ({"input": {"width": SIDE, "height": 10**9}}, "input.height: input should be less than"),
        ({"command": "rm"}, "command: extra inputs are not permitted"),
    ],
)
def test_a_wrong_description_is_told(tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    path = a_network(tmp_path, "yolov8", **changes)
    with pytest.raises(WeightsError, match=told):
        load_foreign(path)


def test_a_description_that_does_not_fit_the_output_is_told(tmp_path: Path) -> None:
    path = a_network(tmp_path, "yolov8", decoding="yolox")
    with pytest.raises(WeightsError, match="not what the description says"):
        load_foreign(path).detect([a_frame(64, 64, {}, 1)])


@pytest.mark.parametrize(
    "text", ["a: &a [1]\nb: *a\n", "!!python/object/apply:os.system [x]\n", "a: [", "- 1\n", "\x00"]
)
def test_a_hostile_description_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(WeightsError, match=r"x\.yaml"):
        read_description(path)


class Payload:
    """What a pickle may do to who opens it."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.canary,)


@pytest.mark.parametrize("name", ["model.pt", "model.pth", "model.torchscript", "model.pkl", "model.onnx"])
def test_a_file_that_runs_code_is_refused(tmp_path: Path, name: str) -> None:
    path, canary = tmp_path / name, tmp_path / "canary"
    path.write_bytes(pickle.dumps(Payload(canary)))
    description = yaml.safe_load(a_network(tmp_path, "boxes").with_suffix(".yaml").read_text())
    description["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    path.with_suffix(".yaml").write_text(yaml.safe_dump(description))
    with pytest.raises(WeightsError, match="refused"):
        load_any("visible", weights=path)
    assert not canary.exists()


def test_data_outside_the_file_is_refused(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(16))
    tensor = onnx.TensorProto(name="w", data_type=1, dims=[4], data_location=1)
    tensor.external_data.add(key="location", value=str(secret))
    inside = onnx.helper.make_node("Constant", [], ["w"], value=tensor)
    body = onnx.helper.make_graph([inside], "body", [], [onnx.helper.make_tensor_value_info("w", 1, [4])])
    for graph in (
        onnx.helper.make_graph([], "g", [], [], initializer=[tensor]),
        onnx.helper.make_graph([inside], "g", [], []),
        onnx.helper.make_graph(
            [onnx.helper.make_node("If", ["c"], ["y"], then_branch=body, else_branch=body)], "g", [], []
        ),
    ):
        with pytest.raises(OnnxError, match="another file"):
            refuse_hostile(onnx.helper.make_model(graph).SerializeToString())


def test_an_unknown_operator_is_refused(tmp_path: Path) -> None:
    node = onnx.helper.make_node("RunShell", ["x"], ["y"], domain="evil")
    values = [onnx.helper.make_tensor_value_info(name, 1, [1, 3, SIDE, SIDE]) for name in "xy"]
    model = onnx.helper.make_model(onnx.helper.make_graph([node], "g", values[:1], values[1:]))
    path = a_network(tmp_path, "yolov8")
    path.write_bytes(model.SerializeToString())
    description = yaml.safe_load(path.with_suffix(".yaml").read_text())
    description["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    path.with_suffix(".yaml").write_text(yaml.safe_dump(description))
    with pytest.raises(WeightsError, match="cannot be run"):
        load_foreign(path)


def test_any_broken_file_is_refused_or_whole(tmp_path: Path) -> None:
    """Cut and flipped bytes never raise anything but the one error."""
    content = a_network(tmp_path, "boxes").read_bytes()
    refuse_hostile(content)
    random = np.random.default_rng(5)
    broken = [content[:cut] for cut in random.integers(0, len(content), 40)]
    for at, flip in zip(random.integers(0, len(content), 200), random.integers(1, 256, 200), strict=True):
        broken += [content[:at] + bytes([content[at] ^ int(flip)]) + content[at + 1 :]]
    refused = 0
    for each in broken:
        try:
            refuse_hostile(each)
        except OnnxError:
            refused += 1
    assert refused > 20
