"""What turns a trained network into one for work: normalisation folded in, bytes at its mouth, few kernels on CUDA."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from models.detector import Conv, DetectorNetwork, Residual
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


#: Tensor cores take channels by eights.
EIGHT = 8


def padded_inputs(network: DetectorNetwork) -> DetectorNetwork:
    """A folded copy whose stem takes planes up to a multiple of eight; the weights of those that are new are zero."""
    folded = fuse_normalisation(network)
    stem = first_convolution(folded)
    missing = -stem.in_channels % EIGHT
    stem.weight = nn.Parameter(functional.pad(stem.weight.detach(), (0, 0, 0, 0, 0, missing)), requires_grad=False)
    stem.in_channels += missing
    return folded


def first_convolution(network: nn.Module) -> nn.Conv2d:
    """The one that sees the planes."""
    return next(module for module in network.modules() if isinstance(module, nn.Conv2d))


def on_tensor_cores(folded: Network) -> Network:
    """A copy whose convolutions add bias and shortcut and cut at zero as they write: one kernel instead of up to four.

    For CUDA only: `torch.cudnn_convolution_relu` and its kin have no other implementation.
    """
    copied = copy.deepcopy(folded)
    _replace(copied)
    return copied


def _replace(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, Residual):
            setattr(module, name, _FusedResidual(child))
        elif isinstance(child, Conv):
            setattr(module, name, _FusedConv(child[0]))
        else:
            _replace(child)


class _FusedConv(nn.Module):
    """Convolution, bias, the shortcut if there is one, ReLU."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv

    def forward(self, x: Tensor, shortcut: Tensor | None = None) -> Tensor:
        conv = self.conv
        shape = (conv.stride, conv.padding, conv.dilation, conv.groups)
        if shortcut is None:
            return torch.cudnn_convolution_relu(x, conv.weight, conv.bias, *shape)
        return torch.cudnn_convolution_add_relu(x, conv.weight, shortcut, 1.0, conv.bias, *shape)


class _FusedResidual(nn.Module):
    def __init__(self, residual: Residual) -> None:
        super().__init__()
        self.first, self.second = _FusedConv(residual.first[0]), _FusedConv(residual.second[0])

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x), x)
