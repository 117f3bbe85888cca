"""What turns a trained network into one for work: normalisation folded in, bytes instead of floats at its mouth."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from models.detector import DetectorNetwork
from models.planes import BYTE_SCALE, TIME_GAIN

Network = TypeVar("Network", bound=nn.Module)


class FromBytes(nn.Module):
    """A folded network that takes what `models.planes.normalise` takes, and does that step on its own device.

    Spatial planes uint8 [B, 1 or 6, H, W] and earlier luma uint8 [B, T, H, W] to raw cells, as `DetectorNetwork` gives.
    """

    def __init__(self, network: DetectorNetwork) -> None:
        super().__init__()
        self.network = fuse_normalisation(network)
        self.colour = network.architecture.band == "visible"

    def forward(self, spatial: Tensor, earlier: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        dtype = self.network.heads[0].weight.dtype
        picture, before = spatial.to(dtype), earlier.to(dtype)
        now = picture[:, :4].mean(1, keepdim=True).floor() if self.colour else picture
        time = (now - before) * (TIME_GAIN / BYTE_SCALE)
        return self.network(torch.cat((picture / BYTE_SCALE - 1.0, time), 1))


def fuse_normalisation(network: Network) -> Network:
    """A copy in evaluation mode, every Conv2d + BatchNorm2d pair made one convolution: the same numbers, less work."""
    fused = copy.deepcopy(network).eval()
    for module in fused.modules():
        if isinstance(module, nn.Sequential):
            _fuse_pairs(module)
    return fused


def _fuse_pairs(sequence: nn.Sequential) -> None:
    for index in range(len(sequence) - 1):
        first, second = sequence[index], sequence[index + 1]
        if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
            sequence[index] = fuse_conv_bn_eval(first, second)
            sequence[index + 1] = nn.Identity()
