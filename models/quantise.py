"""Eight-bit arithmetic for the CPU: the trained network with the input and weights of its inner convolutions rounded.

    real = scale · integer        input: 0..255, one scale a layer (after ReLU nothing is negative)
                                  weights: −127..127, one scale an output channel

(Jacob et al., *Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference*, CVPR
2018, section 2.1, without zero points.) The rounding is written into the network as fake quantisation, which an
inference engine reads as leave to compute in integers, and which torch computes in floats to the same values up to
rounding. The first two convolutions and the heads stay as they are: they see the picture and give the answer.

The scales of the weights follow from the weights. Those of the inputs follow from the largest inputs, which are
measured on training pictures (`models.input_ranges`) and lie in the card beside the weights.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.fuse import FromBytes

_SAMPLES = 20_000  # inputs looked at, a layer and picture
_STEPS_INPUT, _STEPS_WEIGHT = 255, 127
_SHARES = np.geomspace(0.1, 1.0, 40)  # of the largest input seen: what may be cut
_WHOLE = ("network.stem", "network.stage4.0", "network.heads")


class RoundedConv(nn.Module):
    """A convolution whose input and weights are rounded to eight bits; inputs above `largest` are cut."""

    def __init__(self, conv: nn.Conv2d, largest: float) -> None:
        super().__init__()
        self.conv = conv
        self.input_scale = largest / _STEPS_INPUT
        scale = conv.weight.detach().abs().amax((1, 2, 3)).clamp(min=1e-8) / _STEPS_WEIGHT
        self.register_buffer("weight_scale", scale)
        self.register_buffer("zero", torch.zeros(len(scale), dtype=torch.int32))

    def forward(self, x: Tensor) -> Tensor:
        conv = self.conv
        x = torch.fake_quantize_per_tensor_affine(x, self.input_scale, 0, 0, _STEPS_INPUT)
        weight = torch.fake_quantize_per_channel_affine(
            conv.weight, self.weight_scale, self.zero, 0, -_STEPS_WEIGHT, _STEPS_WEIGHT
        )
        return functional.conv2d(x, weight, conv.bias, conv.stride, conv.padding)


def rounded(network: FromBytes, largest: dict[str, float]) -> FromBytes:
    """A copy of the folded network that computes with eight bits.

    Args:
        largest: of every inner convolution, as `largest_inputs` measured them with these weights.

    Raises:
        KeyError: a convolution is not among them: they are another network's.
    """
    out = copy.deepcopy(network)
    for name, conv in list(_inner(out)):
        parent, _, last = name.rpartition(".")
        setattr(out.get_submodule(parent), last, RoundedConv(conv, largest[name]))
    return out


@torch.inference_mode()
def largest_inputs(network: FromBytes, pictures: Iterable[tuple[Tensor, Tensor]]) -> dict[str, float]:
    """For every inner convolution the input that the last of the 255 steps should stand for.

    It is the one with the least mean squared error: a few extremes are cut, since to hold them would cost all others
    their resolution.

    Args:
        pictures: as `FromBytes.forward` takes them; seeded by torch's generator where inputs are sampled.
    """
    seen: dict[str, list[Tensor]] = {}

    def watch(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def note(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            values = inputs[0].flatten()
            some = values[torch.randint(len(values), (_SAMPLES,))]
            seen.setdefault(name, []).append(torch.cat([some[some > 0], values.max()[None]]))

        return note

    hooks = [conv.register_forward_pre_hook(watch(name)) for name, conv in _inner(network)]
    try:
        for picture, before in pictures:
            network(picture, before)
    finally:
        for hook in hooks:
            hook.remove()
    return {name: _best_cut(torch.cat(values)) for name, values in seen.items()}


def _best_cut(values: Tensor) -> float:
    tops = float(values.max()) * _SHARES
    return float(min(tops, key=lambda top: _rounding_error(values, top / _STEPS_INPUT)))


def _rounding_error(values: Tensor, scale: float) -> float:
    return float(((values / scale).round().clamp(0, _STEPS_INPUT) * scale - values).square().mean())


def _inner(network: FromBytes) -> Iterator[tuple[str, nn.Conv2d]]:
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d) and not name.startswith(_WHOLE):
            yield name, module
