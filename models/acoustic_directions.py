"""Evidence of directions that a network reads from raw waveforms of any array; physics does the rest.

One bank of learned filters is shared over microphones (as in BeamLearning: Pujol, Bavu and Garcia, J. Acoust. Soc. Am.
149, 2021); they begin as windowed tones. A small network looks at what comes out, over filters and time, but not over
directions, and says how much each is worth. Aligned on a direction and added up over microphones, what is worth
something gives the logarithm of the probability that sound comes from there:

    log p(u) = Σ_k w_k/M (|Σ_m conj(a_mk(u)) c_mk|² − Σ_m |c_mk|²) + constant

So the density on the sphere, with its spread, is what is learned, and positions enter only by the delays in a(u): any
array of four or more microphones will do.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from scipy import fft
from torch import Tensor, nn
from torch.nn import functional

from models.acoustic_infer import check_hash, read_card
from models.infer import WEIGHTS_FOLDER, WeightsError

_MADE_BY = "deeplomatics train directions"


@dataclass(frozen=True)
class Architecture:
    """All that must be known to build the network and feed it.

    Attributes:
        rate_hz: of the waveforms it takes.
        filters, taps, hop: of the bank; taps and hop in samples.
        lowest_hz, highest_hz: of the tones that the filters begin as.
        width: channels of the layers that weigh.
    """

    rate_hz: int = 9000
    filters: int = 96
    taps: int = 400
    hop: int = 109
    lowest_hz: float = 120.0
    highest_hz: float = 4020.0
    width: int = 24

    def to_dict(self) -> dict:
        return asdict(self)

    @property
    def carriers_hz(self) -> np.ndarray:
        return np.linspace(self.lowest_hz, self.highest_hz, self.filters)


class DirectionNetwork(nn.Module):
    """Waveforms `[B, M, N]` to evidence, complex `[B, M, F, T]`: F filters, T times."""

    def __init__(self, architecture: Architecture | None = None) -> None:
        super().__init__()
        of = self.architecture = architecture or Architecture()
        self.bank = nn.Conv1d(1, 2 * of.filters, of.taps, of.hop, bias=False)
        with torch.no_grad():
            self.bank.weight.copy_(_tones(of)[:, None])
        layers: list[nn.Module] = []
        for before, dilation in ((4, 1), (of.width, 2), (of.width, 4)):
            layers += [nn.Conv1d(before, of.width, 9, padding=4 * dilation, dilation=dilation), nn.ReLU(inplace=True)]
        self.weigh = nn.Sequential(*layers, nn.Conv1d(of.width, 1, 1))
        nn.init.constant_(self.weigh[-1].bias, -5.0)  # unsure at first

    def forward(self, samples: Tensor) -> Tensor:
        size, count, length = samples.shape
        heard = self.bank(samples.reshape(size * count, 1, length))
        heard = heard.reshape(size, count, 2, self.architecture.filters, -1)
        columns = torch.complex(heard[:, :, 0], heard[:, :, 1])
        power = heard.square().sum(2) + 1e-12
        level = power.sqrt().mean(1, keepdim=True)
        columns = columns / torch.maximum(power.sqrt(), level)
        return columns * (self._weights(power, columns) / count).sqrt()[:, None]

    def _weights(self, power: Tensor, columns: Tensor) -> Tensor:
        """What each filter and time is worth `[B, F, T]`.

        It is judged by its level (also of all times together), by how alike the microphones are in level, and by how
        steady their phases are against each other.
        """
        level = power.mean(1).log()
        level = level - level.mean((1, 2), keepdim=True)
        unlike = power.log().std(1)
        steady = _steadiness(columns)[:, :, None].expand_as(level)
        seen = torch.stack([0.3 * level, 0.3 * level.mean(2, keepdim=True).expand_as(level), unlike, steady], 1)
        size, channels, filters, times = seen.shape
        worth = self.weigh(seen.permute(0, 3, 1, 2).reshape(size * times, channels, filters))
        return functional.softplus(worth).reshape(size, times, filters).transpose(1, 2)


def _steadiness(columns: Tensor) -> Tensor:
    """Share of the pairs' cross-power that remains when times are averaged, `[B, F]`."""
    each = columns.transpose(1, 2)  # [B, F, M, T]
    cross = (each @ each.conj().transpose(2, 3)) / each.shape[3]
    whole = torch.view_as_real(cross).square().sum((2, 3, 4))
    own = torch.view_as_real(torch.diagonal(cross, dim1=2, dim2=3)).square().sum((2, 3))
    count = each.shape[2]
    return ((whole - own) / (own * (count - 1) + 1e-9)).clamp_min(1e-9).sqrt()


def _tones(of: Architecture) -> Tensor:
    """Windowed cosines, then sines, `[2F, taps]`."""
    time = (torch.arange(of.taps) - 0.5 * (of.taps - 1)) / of.rate_hz
    phase = 2.0 * math.pi * torch.from_numpy(of.carriers_hz).float()[:, None] * time
    return torch.cat([phase.cos(), -phase.sin()]) * torch.hann_window(of.taps) / of.taps


class LearnedEvidence:
    """The network at work, as evidence for `fusion.sensors.microphone_array.measure.DirectionFinder`.

    Attributes:
        name, sha256: of the weights.
        omega, shared: see `fusion.sensors.microphone_array.evidence.Evidence`.
    """

    def __init__(self, network: DirectionNetwork, card: dict, rate_hz: float, window: int) -> None:
        of = network.architecture
        self.name, self.sha256 = card["name"], card["sha256"]
        self._network = network.eval()
        self._length = 2 * round(0.5 * window * of.rate_hz / rate_hz)
        times = (self._length - of.taps) // of.hop + 1
        if times < 2 or rate_hz < of.rate_hz:
            raise ValueError(f"{window} samples at {rate_hz:g} Hz are too few for the learned directions")
        self.omega = np.repeat(2.0 * np.pi * of.carriers_hz, times)
        self.shared = _shared(network.bank.weight.detach().numpy()[:, 0], of.hop, times)

    def __call__(self, samples: np.ndarray) -> np.ndarray:
        """Columns `[M, K]` from a window `[M, N]`."""
        heard = band_limited(samples, self._length)
        with torch.inference_mode():
            columns = self._network(torch.from_numpy(heard)[None])[0]
        return columns.reshape(len(heard), -1).numpy()


def _shared(bank: np.ndarray, hop: int, times: int) -> float:
    """Sum of the squared correlations of a column in white noise with all columns, itself too, in the mean.

    Args:
        bank: real, then imaginary parts of all filters `[2F, taps]`.
    """
    filters = bank[: len(bank) // 2] + 1j * bank[len(bank) // 2 :]
    filters = filters / np.sqrt(np.square(np.abs(filters)).sum(axis=1, keepdims=True))
    total = 0.0
    for step in range(-times + 1, times):
        cut = abs(step) * hop
        if cut < bank.shape[1]:
            alike = filters[:, cut:] @ np.conj(filters[:, : bank.shape[1] - cut].T)
            total += (1.0 - abs(step) / times) * float(np.square(np.abs(alike)).sum())
    return total / len(filters)


def band_limited(samples: np.ndarray, length: int) -> np.ndarray:
    """float32 `[M, length]` of the same time as `[M, N]`, at a lower rate, of root mean square one over all."""
    spectra = fft.rfft(np.asarray(samples, np.float32))[:, : length // 2 + 1]
    fewer = fft.irfft(spectra, length)
    return (fewer / (fewer.std() + 1e-20)).astype(np.float32)


def load_evidence(rate_hz: float, window: int, *, weights: Path | None = None) -> LearnedEvidence:
    """The shipped network, or that of `weights`, for windows of that rate and length, on the CPU.

    Raises:
        WeightsError: missing, changed since they were written, or of another network.
        ValueError: the rate is too low or the window too short.
    """
    path = weights or WEIGHTS_FOLDER / "directions.safetensors"
    card = read_card(path, _MADE_BY)
    if card.get("kind") != "directions":
        raise WeightsError(f"{path} is not of directions: give weights of `{_MADE_BY}`.")
    check_hash(path, card)
    network = DirectionNetwork(Architecture(**card["architecture"]))
    try:
        network.load_state_dict(load_file(path))
    except RuntimeError as error:
        raise WeightsError(f"The weights {path} do not fit the network that its card describes.") from error
    return LearnedEvidence(network, card, rate_hz, window)
