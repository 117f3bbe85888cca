"""The network that hears what a sound is: log-mel picture of one second, a few convolutions, one score for each class.

Pressure has no scale here (microphones differ), so the picture's mean is taken out; the spectrum keeps its shape. Time
is averaged away at the end and frequency is not: a rotor is known by where its harmonics lie.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

#: What a sound may be, in the order of every score array.
SOUNDS: tuple[str, ...] = ("drone", "helicopter", "background")


@dataclass(frozen=True)
class Architecture:
    """All that must be known to build the network and feed it.

    Attributes:
        rate_hz, window: samples a second, and samples in one look.
        transform, hop: samples of one short-time spectrum, and from one to the next.
        bands, lowest_hz, highest_hz: of the mel scale.
        widths: channels of the four layers.
    """

    rate_hz: int = 16_000
    window: int = 16_000
    transform: int = 1024
    hop: int = 320
    bands: int = 64
    lowest_hz: float = 50.0
    highest_hz: float = 7_600.0
    widths: tuple[int, int, int, int] = (16, 32, 64, 64)

    def to_dict(self) -> dict:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict) -> Architecture:
        return cls(**{**values, "widths": tuple(values["widths"])})


class LogMel(nn.Module):
    """Samples `[B, N]` to decibels/20 in mel bands `[B, 1, bands, frames]`, mean zero."""

    def __init__(self, of: Architecture) -> None:
        super().__init__()
        self.transform, self.hop = of.transform, of.hop
        self.register_buffer("window", torch.hann_window(of.transform), persistent=False)
        self.register_buffer("filters", _mel_filters(of), persistent=False)

    def forward(self, samples: Tensor) -> Tensor:
        spectra = torch.stft(samples, self.transform, self.hop, window=self.window, return_complex=True)
        power = self.filters @ spectra.abs().square()
        loudest = power.amax(dim=(1, 2), keepdim=True).clamp_min(1e-20)
        picture = torch.log10(power / loudest + 1e-8) / 2.0
        return (picture - picture.mean(dim=(1, 2), keepdim=True))[:, None]


def _mel_filters(of: Architecture) -> Tensor:
    """Triangles `[bands, bins]` equally spaced in mel = 2595 log10(1 + f/700) (O'Shaughnessy), each of sum one."""

    def mel(hertz: float) -> float:
        return 2595.0 * math.log10(1.0 + hertz / 700.0)

    edges = 700.0 * (10.0 ** (torch.linspace(mel(of.lowest_hz), mel(of.highest_hz), of.bands + 2) / 2595.0) - 1.0)
    bins = torch.arange(of.transform // 2 + 1) * (of.rate_hz / of.transform)
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    filters = torch.minimum(rising, falling).clamp_min(0.0)
    nearest = (edges[1:-1] * of.transform / of.rate_hz).round().long()
    narrow = filters.sum(1) == 0  # between two bins: take the nearer
    filters[narrow, nearest[narrow]] = 1.0
    return filters / filters.sum(1, keepdim=True)


class AcousticNetwork(nn.Module):
    """Samples `[B, window]` at `rate_hz` to class logits `[B, 3]` in the order of `SOUNDS`."""

    def __init__(self, architecture: Architecture | None = None) -> None:
        super().__init__()
        self.architecture = architecture or Architecture()
        self.picture = LogMel(self.architecture)
        layers: list[nn.Module] = []
        before = 1
        for width in self.architecture.widths:
            layers += [nn.Conv2d(before, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
            before = width
        self.layers = nn.Sequential(*layers)
        self.drop = nn.Dropout(0.3)
        self.head = nn.Linear(before * math.ceil(self.architecture.bands / 2 ** len(self.architecture.widths)), 3)

    def forward(self, samples: Tensor) -> Tensor:
        return self.classify(self.picture(samples))

    def classify(self, picture: Tensor) -> Tensor:
        """Logits of a log-mel picture `[B, 1, bands, frames]`."""
        features = self.layers(picture).mean(dim=3)
        return self.head(self.drop(functional.relu(features).flatten(1)))
