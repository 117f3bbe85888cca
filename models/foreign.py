"""A detector of the user's own in place of ours: an ONNX file and, beside it, a description of what goes in and out.

    my-detector.onnx, my-detector.yaml:

        name: my-detector
        sha256: 3f7a…                  # of the .onnx; a changed file is refused
        input:
          width: 640                   # what the network takes, pixels
          height: 640
          layout: NCHW                 # or NHWC
          colour: rgb                  # rgb, bgr or gray
          fit: letterbox               # keep the shape and pad with 114 (top left or centred), or stretch
          divide: 255                  # pixels are divided by this, then (x - mean) / std for each channel
          mean: [0, 0, 0]
          std: [1, 1, 1]
        decoding: yolov8               # see below
        classes: {drone: [0], bird: [14], airplane: [4]}    # numbers of the network's classes that mean one of ours
        thresholds: {drone: 0.4}       # operating score for each class; 0.45 where none is given

| decoding | output of the network |
| --- | --- |
| `yolov8` | [1, 4 + classes, A] or [1, A, 4 + classes]: centre x, y, width, height in input pixels, class scores 0..1 |
| `yolox` | [1, A, 5 + classes] without grids: x, y, log w, log h in cells of 8, 16, 32; objectness; class scores |
| `boxes` | [1, N, 6] after suppression: x1, y1, x2, y2 in input pixels, score, class number |

Only ONNX is taken. A TorchScript or pickled file is a program that may do anything; an ONNX file is arithmetic, and
one whose tensors lie in other files is refused (`models.onnx_file`). OpenVINO runs it, and knows no operators but its
own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import cv2
import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from models.boxes import LOWEST_SCORE, MOST_BOXES, MOST_CELLS, suppress
from models.infer import Detector, Precision, WeightsError, load_detector
from models.onnx_file import OnnxError, refuse_hostile
from models.types import CLASSES, Band, Detections, Frame

SUFFIX = ".onnx"
_PAD = 114
_YOLOX_STRIDES = (8, 16, 32)
_DEFAULT_THRESHOLD = 0.45
_MOST_DESCRIPTION_BYTES = 64 * 1024

Side = Annotated[int, Field(ge=16, le=8192)]
Score = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]


class Input(BaseModel):
    """What the network takes; see the module."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    width: Side
    height: Side
    layout: Literal["NCHW", "NHWC"] = "NCHW"
    colour: Literal["rgb", "bgr", "gray"] = "rgb"
    fit: Literal["letterbox", "letterbox_centred", "stretch"] = "letterbox"
    divide: Annotated[float, Field(gt=0)] = 255.0
    mean: tuple[float, ...] = (0.0,)
    std: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1)] = (1.0,)


class Description(BaseModel):
    """The file beside the network; see the module."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(min_length=1, max_length=100)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    input: Input
    decoding: Literal["yolov8", "yolox", "boxes"]
    classes: dict[str, tuple[Annotated[int, Field(ge=0)], ...]]
    thresholds: dict[str, Score] = {}

    @field_validator("classes", "thresholds")
    @classmethod
    def _ours(cls, given: dict[str, Any]) -> dict[str, Any]:
        unknown = sorted(set(given) - set(CLASSES))
        if unknown:
            raise ValueError(f"{unknown[0]!r} is none of {', '.join(CLASSES)}")
        return given


#: Raw output to corners [A, 4] in input pixels and the network's class scores [A, classes].
Decoded = tuple[np.ndarray, np.ndarray]


class ForeignDetector:
    """The same interface as `models.infer.Detector`; it keeps nothing between frames."""

    def __init__(self, run: Callable[[np.ndarray], np.ndarray], description: Description, backend: str) -> None:
        self._run = run
        self._is = description
        self.name = description.name
        self.sha256 = description.sha256
        self.backend = backend
        self.calibration: dict[str, tuple[float, float]] = {}
        self.thresholds = dict.fromkeys(CLASSES, _DEFAULT_THRESHOLD) | description.thresholds

    def detect(self, frames: Sequence[Frame]) -> list[Detections]:
        """One `Detections` per frame, in the same order.

        Raises:
            WeightsError: the network's output is not what the description says.
        """
        return [self._detect(frame) for frame in frames]

    def forget(self, sensor_id: str) -> None:
        """Nothing is kept of a camera."""

    def _detect(self, frame: Frame) -> Detections:
        picture, scale, shift = fitted(frame.pixels, self._is.input)
        try:
            corners, scores = _DECODERS[self._is.decoding](self._run(picture), self._is.input)
            ours = named(scores, self._is.classes)
        except (IndexError, ValueError) as error:
            raise WeightsError(f"{self.name}: its output is not what the description says ({error}).") from error
        corners, ours = kept(corners, ours, again=self._is.decoding != "boxes")
        height, width = frame.pixels.shape[:2]
        corners = (corners.reshape(-1, 2, 2) - shift) / scale
        boxes = np.concatenate([corners[:, 0], corners[:, 1] - corners[:, 0]], axis=1)
        return Detections(
            sensor_id=frame.sensor_id,
            time_ns=frame.time_ns,
            sequence=frame.sequence,
            width=width,
            height=height,
            boxes=boxes.astype(np.float32),
            scores=ours.max(1, initial=0.0),
            class_scores=ours,
        )


def fitted(pixels: np.ndarray, wanted: Input) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The input of the network, float32 [1, …]; and scale [2], shift [2] that take picture pixels to input pixels."""
    height, width = pixels.shape[:2]
    scale = np.array([wanted.width / width, wanted.height / height])
    if wanted.fit != "stretch":
        scale[:] = scale.min()
    size = np.maximum(np.round(scale * (width, height)).astype(int), 1)
    inside = cv2.resize(pixels, size.tolist(), interpolation=cv2.INTER_LINEAR if scale[0] > 0.5 else cv2.INTER_AREA)
    shift = np.array([wanted.width, wanted.height]) - size
    shift = shift // 2 if wanted.fit == "letterbox_centred" else np.zeros(2, int)
    coloured = _coloured(inside.reshape(size[1], size[0], -1), wanted.colour)
    canvas = np.full((wanted.height, wanted.width, coloured.shape[2]), _PAD, np.uint8)
    canvas[shift[1] : shift[1] + size[1], shift[0] : shift[0] + size[0]] = coloured
    values = (canvas.astype(np.float32) / np.float32(wanted.divide) - np.float32(wanted.mean)) / np.float32(wanted.std)
    values = values.transpose(2, 0, 1) if wanted.layout == "NCHW" else values
    return np.ascontiguousarray(values[None], np.float32), scale, shift


def _coloured(pixels: np.ndarray, colour: str) -> np.ndarray:
    gray = pixels.shape[2] == 1
    if colour == "gray":
        return pixels if gray else cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)[:, :, None]
    if gray:
        return np.repeat(pixels, 3, axis=2)
    return pixels[:, :, ::-1] if colour == "rgb" else pixels


def _yolov8(raw: np.ndarray, wanted: Input) -> Decoded:
    rows = _rows(raw, 5)
    rows = rows.T if rows.shape[0] < rows.shape[1] else rows  # as exported, boxes are columns
    return _corners(rows[:, :2], rows[:, 2:4]), rows[:, 4:]


def _yolox(raw: np.ndarray, wanted: Input) -> Decoded:
    rows = _rows(raw, 6)
    places, steps = [], []
    for stride in _YOLOX_STRIDES:
        y, x = np.mgrid[: wanted.height // stride, : wanted.width // stride]
        places.append(np.stack([x, y], -1).reshape(-1, 2))
        steps.append(np.full((x.size, 1), stride))
    place, step = np.concatenate(places), np.concatenate(steps)
    if len(place) != len(rows):
        raise ValueError(f"{len(rows)} cells, where the input has {len(place)}")
    size = np.exp(np.clip(rows[:, 2:4], -20, 20)) * step
    return _corners((rows[:, :2] + place) * step, size), rows[:, 4:5] * rows[:, 5:]


def _boxes(raw: np.ndarray, wanted: Input) -> Decoded:
    rows = _rows(raw, 6)
    if rows.shape[1] != 6:
        raise ValueError(f"{rows.shape[1]} numbers a box in place of 6")
    kind = np.clip(np.nan_to_num(rows[:, 5], nan=0.0), 0, 10_000).astype(int)
    scores = np.zeros((len(rows), int(kind.max(initial=0)) + 1), np.float32)
    scores[np.arange(len(rows)), kind] = rows[:, 4]
    return rows[:, :4], scores


_DECODERS: dict[str, Callable[[np.ndarray, Input], Decoded]] = {"yolov8": _yolov8, "yolox": _yolox, "boxes": _boxes}


def _rows(raw: np.ndarray, least: int) -> np.ndarray:
    if raw.ndim != 3 or raw.shape[0] != 1 or min(raw.shape[1:]) < 1 or max(raw.shape[1:]) < least:
        raise ValueError(f"shape {list(raw.shape)}")
    return np.asarray(raw[0], np.float32)


def _corners(middle: np.ndarray, size: np.ndarray) -> np.ndarray:
    return np.concatenate([middle - size / 2, middle + size / 2], axis=1)


def named(scores: np.ndarray, classes: dict[str, tuple[int, ...]]) -> np.ndarray:
    """float32 [A, 4]: for each class of ours the best of the network's that mean it."""
    ours = np.zeros((len(scores), len(CLASSES)), np.float32)
    for index, name in enumerate(CLASSES):
        # A list of boxes names only the classes that were found; others are as good as not there.
        numbers = [number for number in classes.get(name, ()) if number < scores.shape[1]]
        if numbers:
            ours[:, index] = scores[:, numbers].max(1)
    return np.clip(np.nan_to_num(ours, nan=0.0), 0.0, 1.0)


def kept(corners: np.ndarray, scores: np.ndarray, *, again: bool) -> tuple[np.ndarray, np.ndarray]:
    """Finite boxes that score enough, best first; those that overlap suppressed where the network has not (`again`)."""
    best = scores.max(1, initial=0.0)
    sane = np.isfinite(corners).all(1) & (corners[:, 2:] > corners[:, :2]).all(1)
    usable = np.flatnonzero(sane & (best >= LOWEST_SCORE))
    order = usable[np.argsort(-best[usable], kind="stable")][:MOST_CELLS]
    if again:
        order = order[suppress(corners[order])]
    order = order[:MOST_BOXES]
    return corners[order].astype(np.float64), scores[order]


def load_foreign(path: Path, threads: int = 1) -> ForeignDetector:
    """The detector in an ONNX file with its description beside it.

    Raises:
        WeightsError: a missing, changed or hostile file, a wrong description, or no OpenVINO to run it.
    """
    description = read_description(path.with_suffix(".yaml"))
    if not path.is_file():
        raise WeightsError(f"There is no network at {path}: check the name.")
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != description.sha256:
        raise WeightsError(
            f"The network {path} is not the one its description speaks of: its SHA-256 is {digest}. "
            "Write that into the description if you trust the file."
        )
    try:
        refuse_hostile(content)
    except OnnxError as error:
        raise WeightsError(f"The network {path} is refused: {error}.") from error
    return ForeignDetector(_compiled(content, path, description.input, threads), description, "openvino-cpu")


def read_description(path: Path) -> Description:
    """Raises WeightsError when the description is missing or wrong, with what is wrong."""
    if not path.is_file():
        raise WeightsError(
            f"There is no description {path} beside the network: docs/networks.md says what stands in it."
        )
    if path.stat().st_size > _MOST_DESCRIPTION_BYTES:
        raise WeightsError(f"The description {path} is too large.")
    try:
        text = path.read_text(encoding="utf-8")
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=yaml.SafeLoader)):
            raise WeightsError(f"The description {path} has aliases (*name): write everything out.")
        return Description.model_validate(yaml.safe_load(text))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise WeightsError(f"The description {path} is wrong: {_reason(error)}.") from error


def _reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        return f"{where}: {first['msg'].removeprefix('Value error, ').lower()}" if where else first["msg"].lower()
    return "it cannot be read as YAML"


def _compiled(content: bytes, path: Path, wanted: Input, threads: int) -> Callable[[np.ndarray], np.ndarray]:
    """The network on this CPU: one input of the described shape, and its first output."""
    try:
        import openvino
    except ImportError:
        raise WeightsError("Networks of your own need OpenVINO: pip install deeplomatics[openvino].") from None
    channels = 1 if wanted.colour == "gray" else 3
    tall = [wanted.height, wanted.width]
    shape = [1, channels, *tall] if wanted.layout == "NCHW" else [1, *tall, channels]
    core = openvino.Core()
    try:
        # From memory: what was checked is what is loaded, and there is no folder to read other files from.
        model = core.read_model(model=content, weights=b"")
        if len(model.inputs) != 1:
            raise WeightsError(f"The network {path} has {len(model.inputs)} inputs; it must have one.")
        model.reshape(shape)
        settings = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"}
        request = core.compile_model(model, "CPU", settings).create_infer_request()
    except RuntimeError as error:
        raise WeightsError(f"The network {path} cannot be run with an input of {shape}: {_last_line(error)}") from error

    def run(picture: np.ndarray) -> np.ndarray:
        request.infer([picture], share_inputs=True, share_outputs=True)
        return request.get_output_tensor(0).data

    return run


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else "no reason given"


def load_any(
    band: Band,
    *,
    weights: Path | None = None,
    device: str = "auto",
    threads: int = 1,
    precision: Precision = "auto",
) -> Detector | ForeignDetector:
    """Our detector, or the user's own where `weights` is an ONNX file.

    Raises:
        WeightsError: see `models.infer.load_detector` and `load_foreign`.
    """
    if weights is None or weights.suffix == ".safetensors":
        return load_detector(band, weights=weights, device=device, threads=threads, precision=precision)
    if weights.suffix != SUFFIX:
        raise WeightsError(
            f"{weights} is neither .safetensors nor .onnx. Other files, such as pickles and TorchScript, can run code "
            "and are refused: export the network to ONNX."
        )
    return load_foreign(weights, threads)
