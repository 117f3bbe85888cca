"""The detector at work: which device, precision and backend; the only file besides `models.device` that knows.

`load_detector` gives a `Detector`: frames in, `Detections` out, one for one. Its backend keeps a short past of each
camera for the time planes (`models.history`), it keeps what each lately showed (`models.evidence`), and nothing else.
"""

from __future__ import annotations

import hashlib
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import torch
from safetensors.torch import load_file

from models.boxes import decode_cells, scaled
from models.calibration import Calibration
from models.detector import PICTURE_SCALE, SPATIAL, STRIDES, Architecture, DetectorNetwork
from models.device import DeviceBackend
from models.evidence import Memory
from models.fuse import FromBytes
from models.history import History
from models.planes import luma, spatial_planes
from models.quantise import rounded
from models.steady import calm, steadied
from models.types import Band, Detections, Frame

Precision = Literal["auto", "single"]

WEIGHTS_FOLDER = Path(__file__).parent / "weights"


class WeightsError(Exception):
    """Weights that are missing, changed or of another network; the message names the file and the mend."""


class Backend(Protocol):
    """From frames to boxes, with what it keeps of each camera's past."""

    name: str

    def look(self, frames: Sequence[Frame]) -> list[tuple[np.ndarray, np.ndarray]]:
        """Boxes float32 [N, 4] in network pixels, best first, and class scores float32 [N, classes] of each frame."""

    def forget(self, sensor_id: str) -> None: ...


class HostBackend(ABC):
    """Around a network that someone runs: preparation and decoding with numpy and OpenCV.

    Attributes:
        steady: whether a camera's trembling is undone in its past (see `models.steady`).
    """

    steady = True

    def __init__(self, name: str, architecture: Architecture) -> None:
        self.name = name
        self._band, self._ages = architecture.band, architecture.history
        self._pasts: dict[str, History[np.ndarray]] = {}

    @abstractmethod
    def run(self, spatial: np.ndarray, earlier: np.ndarray) -> list[np.ndarray]:
        """Spatial planes uint8 [B, S, H, W], earlier luma uint8 [B, T, H, W] to cells float32 [B, 8, h, w] a stride."""

    def look(self, frames: Sequence[Frame]) -> list[tuple[np.ndarray, np.ndarray]]:
        """See `Backend`; frames of one size go through the network together."""
        prepared = [self.prepare(frame) for frame in frames]
        found: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        for shape in dict.fromkeys(spatial.shape for spatial, _ in prepared):
            chosen = [i for i, (spatial, _) in enumerate(prepared) if spatial.shape == shape]
            cells = self.run(*(np.stack([prepared[i][part] for i in chosen]) for part in (0, 1)))
            for row, index in enumerate(chosen):
                found[index] = decode_cells([scale[row] for scale in cells])
        return [found[index] for index in range(len(frames))]

    def forget(self, sensor_id: str) -> None:
        self._pasts.pop(sensor_id, None)

    def prepare(self, frame: Frame) -> tuple[np.ndarray, np.ndarray]:
        """What the network sees of a frame, which then belongs to its camera's past.

        Returns:
            Spatial planes uint8 [S, h, w] and earlier luma uint8 [T, h, w].
        """
        spatial = _pad(spatial_planes(frame.pixels, self._band))
        past = self._pasts.setdefault(frame.sensor_id, History())
        now = luma(spatial)
        if past.kept and past.kept[-1][1].shape != now.shape:
            past.kept.clear()
        earlier = np.stack([now if e is None else e for e in past.earlier(frame.time_ns, self._ages)])
        past.keep(frame.time_ns, now if len(spatial) > 1 else now.copy())
        return spatial, self._steadied(now, earlier) if self.steady else earlier

    def _steadied(self, now: np.ndarray, earlier: np.ndarray) -> np.ndarray:
        both = torch.from_numpy(np.ascontiguousarray(now))[None], torch.from_numpy(earlier)[None]
        with torch.inference_mode():
            return earlier if calm(*both) else steadied(*both)[0].numpy()


class TorchBackend(HostBackend):
    """Channels-last torch on the CPU, single precision."""

    def __init__(self, network: DetectorNetwork, threads: int) -> None:
        super().__init__("torch-cpu", network.architecture)
        self._network = FromBytes(network).to(memory_format=torch.channels_last).eval()
        torch.set_num_threads(threads)

    def run(self, spatial: np.ndarray, earlier: np.ndarray) -> list[np.ndarray]:
        with torch.inference_mode():
            return [cells.numpy() for cells in self._network(torch.from_numpy(spatial), torch.from_numpy(earlier))]


class OpenVinoBackend(HostBackend):
    """The same network compiled by OpenVINO for this CPU: a fixed number of threads, one stream.

    Args:
        largest_inputs: then the inner convolutions are computed with eight bits (see `models.quantise`).
    """

    def __init__(self, network: DetectorNetwork, threads: int, largest_inputs: dict[str, float] | None = None) -> None:
        import openvino

        looks = network.architecture
        super().__init__("openvino-cpu" if largest_inputs is None else "openvino-cpu-int8", looks)
        example = [torch.zeros(1, n, 64, 64, dtype=torch.uint8) for n in (SPATIAL[looks.band], len(looks.history))]
        model = FromBytes(network).eval()
        if largest_inputs is not None:
            model = rounded(model, largest_inputs)
        self._model = openvino.convert_model(model, example_input=tuple(example))
        self._core = openvino.Core()
        self._settings = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"}
        self._shape: tuple[int, ...] = ()

    def run(self, spatial: np.ndarray, earlier: np.ndarray) -> list[np.ndarray]:
        if spatial.shape != self._shape:
            # A fixed shape is quicker than a dynamic one, and a camera's frames have one size.
            self._model.reshape({0: list(spatial.shape), 1: list(earlier.shape)})
            self._request = self._core.compile_model(self._model, "CPU", self._settings).create_infer_request()
            self._shape = spatial.shape
        self._request.infer([spatial, earlier], share_inputs=True, share_outputs=True)
        return [self._request.get_output_tensor(scale).data for scale in range(len(STRIDES))]


class Detector:
    """One trained network for one band, for any number of cameras. Not to be called from two threads at once.

    Attributes:
        band: what its frames must be.
        name, sha256: of the weights.
        backend: how it runs, for people.
        thresholds: operating score per class, chosen on the `val` split.
        calibration: makes probabilities of its scores, fitted on `val`; empty where nobody did.
        box_scale: what widths and heights are multiplied with, chosen on `val` with the thresholds.
        operating_points: drone thresholds with what they cost and find on `val`, see `service.operating_point`.
    """

    def __init__(self, backend: Backend, card: dict, band: Band) -> None:
        self._backend = backend
        self.band = band
        self.name: str = card["name"]
        self.sha256: str = card["sha256"]
        self.backend: str = backend.name
        self.thresholds: dict[str, float] = dict(card.get("thresholds", {}))
        self.calibration: Calibration = {name: (a, b) for name, (a, b) in card.get("calibration", {}).items()}
        self.operating_points: list[dict[str, float]] = card.get("operating_points", [])
        self.box_scale: float = card.get("box_scale", 1.0)
        self._memory: dict[str, Memory] = {}

    def detect(self, frames: Sequence[Frame]) -> list[Detections]:
        """One `Detections` per frame, in the same order."""
        return [self._finish(*each) for each in zip(frames, self._backend.look(frames), strict=True)]

    def forget(self, sensor_id: str) -> None:
        """Drop what is kept of a camera, as when it was turned elsewhere or has gone."""
        self._backend.forget(sensor_id)
        self._memory.pop(sensor_id, None)

    def _finish(self, frame: Frame, found: tuple[np.ndarray, np.ndarray]) -> Detections:
        boxes, scores = found
        height, width = frame.pixels.shape[:2]
        memory = self._memory.setdefault(frame.sensor_id, Memory())
        boxes, scores = memory.fold(frame.time_ns, boxes * np.float32(PICTURE_SCALE[self.band]), scores)
        boxes = scaled(boxes, self.box_scale)
        return Detections(
            sensor_id=frame.sensor_id,
            time_ns=frame.time_ns,
            sequence=frame.sequence,
            width=width,
            height=height,
            boxes=boxes,
            scores=scores.max(1, initial=0.0),
            class_scores=scores,
        )


def _pad(planes: np.ndarray) -> np.ndarray:
    """To multiples of the largest stride, by repeating the border."""
    step = STRIDES[-1]
    down, right = -planes.shape[1] % step, -planes.shape[2] % step
    return np.pad(planes, ((0, 0), (0, down), (0, right)), mode="edge") if down or right else planes


def load_detector(
    band: Band,
    *,
    weights: Path | None = None,
    device: str = "auto",
    threads: int = 1,
    backend: str = "auto",
    precision: Precision = "auto",
) -> Detector:
    """The trained detector for one band.

    Args:
        weights: a `.safetensors` with its `.json` beside it; the shipped ones when None.
        device: auto (CUDA where there is one), cpu or cuda.
        threads: of the network on the CPU.
        backend: auto (OpenVINO on the CPU where it is installed, else torch), torch or openvino.
        precision: auto (half on CUDA; eight bits with OpenVINO, where the weights' card tells how and the processor
            has the instructions for it), or single.

    Raises:
        WeightsError: missing, changed or foreign weights, or a device or backend that is not here.
    """
    path = weights or WEIGHTS_FOLDER / f"{band}.safetensors"
    card, network = load_network(path)
    if network.architecture.band != band:
        raise WeightsError(f"The weights {path} are for {network.architecture.band} pictures, not for {band} ones.")
    if device == "cuda" and not torch.cuda.is_available():
        raise WeightsError("There is no CUDA device on this machine; use --device cpu or auto.")
    if device != "cpu" and torch.cuda.is_available():
        dtype = torch.float32 if precision == "single" else torch.float16
        return Detector(DeviceBackend(network, torch.device("cuda"), dtype=dtype), card, band)
    if backend == "openvino" or (backend == "auto" and _has_openvino()):
        eight_bits = precision == "auto" and _adds_bytes_exactly()
        return Detector(
            OpenVinoBackend(network, threads, card.get("largest_inputs") if eight_bits else None), card, band
        )
    return Detector(TorchBackend(network, threads), card, band)


def _has_openvino() -> bool:
    from importlib.util import find_spec

    return find_spec("openvino") is not None


def _adds_bytes_exactly() -> bool:
    """Whether this processor has VNNI. Without, sums of eight-bit products are cut at 16 bits, or are no quicker."""
    try:
        return re.search(r"^flags.*\bavx(512)?_vnni\b", Path("/proc/cpuinfo").read_text(), re.MULTILINE) is not None
    except OSError:  # not Linux
        return False


def load_network(path: Path) -> tuple[dict, DetectorNetwork]:
    """The card and the network of a weights file, its hash checked.

    Raises:
        WeightsError: see there.
    """
    card_path = path.with_suffix(".json")
    if not path.is_file() or not card_path.is_file():
        raise WeightsError(
            f"There are no weights at {path} (the .json beside it belongs to them). Train them or name others."
        )
    card = json.loads(card_path.read_text())
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != card.get("sha256"):
        raise WeightsError(
            f"The weights {path} are not the ones {card_path.name} describes (their SHA-256 differs). Fetch them anew."
        )
    network = DetectorNetwork(architecture_of(card))
    try:
        # Batch counters are not weights: they are not kept, and not missed.
        counters = {k: v for k, v in network.state_dict().items() if not v.dtype.is_floating_point}
        network.load_state_dict(load_file(path) | counters)
    except RuntimeError as error:
        raise WeightsError(f"The weights {path} do not fit the network that {card_path.name} describes.") from error
    return card, network.eval()


def architecture_of(card: dict) -> Architecture:
    """Read back what `Architecture.to_dict` wrote (JSON has no tuples)."""
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in card["architecture"].items()}
    return Architecture(**values)
