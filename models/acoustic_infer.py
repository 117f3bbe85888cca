"""The sound recogniser at work: one second of sound in, one calibrated score for each class out."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from models.acoustic_data import resample
from models.acoustic_network import SOUNDS, AcousticNetwork, Architecture
from models.infer import WEIGHTS_FOLDER, WeightsError
from models.running import chosen_device


class Recogniser:
    """A trained network. Scores are probabilities: its temperature was fitted on `val` (Guo et al., ICML 2017).

    Attributes:
        name, sha256: of the weights.
        architecture: says the rate and length of a window.
    """

    def __init__(self, network: AcousticNetwork, card: dict, device: torch.device) -> None:
        self.name: str = card["name"]
        self.sha256: str = card["sha256"]
        self.architecture = network.architecture
        self._network = network.to(device).eval()
        self._temperature = float(card.get("temperature", 1.0))
        self._device = device

    def scores(self, windows: np.ndarray) -> np.ndarray:
        """float32 `[B, 3]`, rows sum to one, order of `SOUNDS`, of samples `[B, window]` at the network's rate."""
        with torch.inference_mode():
            samples = torch.from_numpy(np.ascontiguousarray(windows, dtype=np.float32)).to(self._device)
            return torch.softmax(self._network(samples) / self._temperature, dim=1).cpu().numpy()

    def resampled(self, samples: np.ndarray, rate_hz: int) -> np.ndarray:
        """float32 samples `[N]` at the network's rate."""
        return resample(np.asarray(samples, dtype=np.float32), rate_hz, self.architecture.rate_hz)


def load_recogniser(*, weights: Path | None = None, device: str = "auto", threads: int = 1) -> Recogniser:
    """The shipped recogniser, or that of `weights` (a safetensors file with its JSON card beside it).

    Raises:
        WeightsError: missing, changed since they were written, or of another network.
    """
    path = weights or WEIGHTS_FOLDER / "acoustic.safetensors"
    card = read_card(path, "deeplomatics train acoustic")
    if card.get("sounds") != list(SOUNDS):
        raise WeightsError(f"{path} is not of a sound recogniser: give weights of `deeplomatics train acoustic`.")
    check_hash(path, card)
    network = AcousticNetwork(Architecture.from_dict(card["architecture"]))
    try:
        counters = {k: v for k, v in network.state_dict().items() if not v.dtype.is_floating_point}
        network.load_state_dict(load_file(path) | counters)
    except RuntimeError as error:
        raise WeightsError(f"The weights {path} do not fit the network that its card describes.") from error
    where = chosen_device(device)
    if where.type == "cpu":
        torch.set_num_threads(threads)
    return Recogniser(network, card, where)


def read_card(path: Path, made_by: str) -> dict:
    """The JSON card beside a safetensors file.

    Raises:
        WeightsError: either is missing.
    """
    for needed in (path, path.with_suffix(".json")):
        if not needed.is_file():
            raise WeightsError(f"The weights {needed} are missing: train them with `{made_by}`.")
    return json.loads(path.with_suffix(".json").read_text())


def check_hash(path: Path, card: dict) -> None:
    """The weights are those that the card describes.

    Raises:
        WeightsError: they are not.
    """
    if hashlib.sha256(path.read_bytes()).hexdigest() != card.get("sha256"):
        raise WeightsError(f"{path} is not the file that its card describes: restore both together.")
