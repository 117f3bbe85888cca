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
    card_path = path.with_suffix(".json")
    for needed in (path, card_path):
        if not needed.is_file():
            raise WeightsError(f"The weights {needed} are missing: train them with `deeplomatics train acoustic`.")
    card = json.loads(card_path.read_text())
    if card.get("sounds") != list(SOUNDS):
        raise WeightsError(f"{card_path} is not of a sound recogniser: give weights of `deeplomatics train acoustic`.")
    if hashlib.sha256(path.read_bytes()).hexdigest() != card["sha256"]:
        raise WeightsError(f"{path} is not the file that {card_path.name} describes: restore both together.")
    network = AcousticNetwork(Architecture.from_dict(card["architecture"]))
    try:
        counters = {k: v for k, v in network.state_dict().items() if not v.dtype.is_floating_point}
        network.load_state_dict(load_file(path) | counters)
    except RuntimeError as error:
        raise WeightsError(f"The weights {path} do not fit the network that {card_path.name} describes.") from error
    where = torch.device("cuda" if device == "auto" and torch.cuda.is_available() else device.replace("auto", "cpu"))
    if where.type == "cpu":
        torch.set_num_threads(threads)
    return Recogniser(network, card, where)
