"""The network that hears what a sound is: mel pictures of one second, small towers of convolutions, scores.

Pressure has no scale here (microphones differ), so a picture's mean is taken out. There are two kinds of picture, and a
tower for each that was trained by itself: `level` keeps the spectrum's slope, which tells far from near and rumble from
whistle but is changed by every microphone; `shape` takes away what is broad in frequency and lasting, so that lines and
beats stay and the microphone goes. The scores are the geometric mean of both. Time is averaged away at the end and
frequency is not: a rotor is known by where its harmonics lie.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

#: What a sound may be, in the order of every score array.
SOUNDS: tuple[str, ...] = ("drone", "helicopter", "background")

_QUIETEST = 1e-7  # of the mean power: what is softer is not told from silence
_BROAD = 13  # bands


@dataclass(frozen=True)
class Architecture:
    """All that must be known to build the network and feed it.

    Attributes:
        rate_hz, window: samples a second, and samples in one look.
        transform, hop: samples of one short-time spectrum, and from one to the next.
        bands, lowest_hz, highest_hz: of the mel scale.
        widths: channels of the four layers of a tower.
        pictures: names in `PICTURES`, one tower each.
    """

    rate_hz: int = 16_000
    window: int = 16_000
    transform: int = 1024
    hop: int = 320
    bands: int = 64
    lowest_hz: float = 50.0
    highest_hz: float = 7_600.0
    widths: tuple[int, int, int, int] = (16, 32, 64, 64)
    pictures: tuple[str, ...] = ("level", "shape")

    def to_dict(self) -> dict:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict) -> Architecture:
        return cls(**{**values, "widths": tuple(values["widths"]), "pictures": tuple(values["pictures"])})

    @property
    def frames(self) -> int:
        """Short-time spectra in one look."""
        return (self.window - self.transform) // self.hop + 1

    @property
    def edges_hz(self) -> Tensor:
        """`[bands + 2]`: lower end, middles and upper end of the bands, equally far apart in mel.

        mel = 2595 log10(1 + f/700) (O'Shaughnessy).
        """
        lowest, highest = (2595.0 * math.log10(1.0 + f / 700.0) for f in (self.lowest_hz, self.highest_hz))
        return 700.0 * (10.0 ** (torch.linspace(lowest, highest, self.bands + 2) / 2595.0) - 1.0)


class MelPower(nn.Module):
    """Samples `[B, N]` to mean power in mel bands `[B, bands, frames]`."""

    def __init__(self, of: Architecture) -> None:
        super().__init__()
        self.transform, self.hop = of.transform, of.hop
        self.register_buffer("window", torch.hann_window(of.transform), persistent=False)
        self.register_buffer("filters", _mel_filters(of), persistent=False)

    def forward(self, samples: Tensor) -> Tensor:
        spectra = torch.stft(samples, self.transform, self.hop, window=self.window, center=False, return_complex=True)
        return self.filters @ spectra.abs().square()


def _mel_filters(of: Architecture) -> Tensor:
    """Triangles `[bands, bins]`, each of sum one."""
    edges = of.edges_hz
    bins = torch.arange(of.transform // 2 + 1) * (of.rate_hz / of.transform)
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    filters = torch.minimum(rising, falling).clamp_min(0.0)
    nearest = (edges[1:-1] * of.transform / of.rate_hz).round().long()
    narrow = filters.sum(1) == 0  # between two bins: take the nearer
    filters[narrow, nearest[narrow]] = 1.0
    return filters / filters.sum(1, keepdim=True)


def level(power: Tensor) -> Tensor:
    """Decibels/20 `[B, 1, bands, frames]` of power `[B, bands, frames]`, mean zero."""
    decibels = _decibels(power)
    return (decibels - decibels.mean(dim=(1, 2), keepdim=True))[:, None]


def shape(power: Tensor) -> Tensor:
    """As `level`, less what is broad in frequency of the mean over time."""
    decibels = _decibels(power)
    lasting = functional.pad(decibels.mean(dim=2)[:, None], (_BROAD // 2, _BROAD // 2), mode="replicate")
    broad = functional.avg_pool1d(lasting, _BROAD, 1).transpose(1, 2)
    return 1.5 * (decibels - broad)[:, None]


def _decibels(power: Tensor) -> Tensor:
    mean = power.mean(dim=(1, 2), keepdim=True).clamp_min(1e-20)
    return torch.log10(power / mean + _QUIETEST) / 2.0


PICTURES: dict[str, Callable[[Tensor], Tensor]] = {"level": level, "shape": shape}


class Tower(nn.Module):
    """One kind of picture `[B, 1, bands, frames]` to class logits `[B, 3]`."""

    def __init__(self, of: Architecture) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 1
        for width in of.widths:
            layers += [nn.Conv2d(before, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
            before = width
        self.layers = nn.Sequential(*layers)
        self.drop = nn.Dropout(0.3)
        self.head = nn.Linear(before * math.ceil(of.bands / 2 ** len(of.widths)), len(SOUNDS))

    def forward(self, picture: Tensor) -> Tensor:
        return self.head(self.drop(self.layers(picture).mean(dim=3).flatten(1)))


class AcousticNetwork(nn.Module):
    """Samples `[B, window]` at `rate_hz` to logarithms of class scores `[B, 3]` in the order of `SOUNDS`."""

    def __init__(self, architecture: Architecture | None = None) -> None:
        super().__init__()
        self.architecture = architecture or Architecture()
        self.power = MelPower(self.architecture)
        self.towers = nn.ModuleDict({name: Tower(self.architecture) for name in self.architecture.pictures})

    def forward(self, samples: Tensor) -> Tensor:
        power = self.power(samples)
        told = [functional.log_softmax(tower(PICTURES[name](power)), dim=1) for name, tower in self.towers.items()]
        return torch.stack(told).mean(dim=0)
