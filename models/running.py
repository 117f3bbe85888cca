"""What all training runs do alike: the device, a checkpoint that stays whole, averaged weights, a card beside them.

Networks differ in what they learn from what; how a run is kept and how its weights are handed over does not differ.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn


def chosen_device(name: str) -> torch.device:
    """The device called auto, cpu or cuda; auto is a GPU where there is one."""
    return torch.device("cuda" if name == "auto" and torch.cuda.is_available() else name.replace("auto", "cpu"))


def save_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """Written beside and renamed, so that an interruption leaves the old checkpoint whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    torch.save(dict(state), partial)
    partial.rename(path)


def load_checkpoint(path: Path, device: torch.device) -> dict[str, Any] | None:
    """What was saved, or None where nothing was; tensors and plain values only (`weights_only`)."""
    return torch.load(path, map_location=device, weights_only=True) if path.is_file() else None


def copied_weights(network: nn.Module) -> dict[str, Tensor]:
    """A copy of all weights and buffers: the start of an average."""
    return {name: value.detach().clone() for name, value in network.state_dict().items()}


def follow(average: dict[str, Tensor], network: nn.Module, keep: float) -> None:
    """Exponential moving average of the weights in place: `keep` of the old, the rest of the network's."""
    weights = network.state_dict()
    moved = [name for name, value in weights.items() if value.dtype.is_floating_point]
    torch._foreach_lerp_([average[name] for name in moved], [weights[name] for name in moved], 1.0 - keep)
    for name in weights.keys() - set(moved):
        average[name].copy_(weights[name])


def write_weights(path: Path, weights: Mapping[str, Tensor], card: Mapping[str, Any]) -> None:
    """Floating-point weights as safetensors at `path`, and beside them as JSON the card with their hash."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    save_file({k: v.float().cpu().contiguous() for k, v in weights.items() if v.dtype.is_floating_point}, partial)
    os.replace(partial, path)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    path.with_suffix(".json").write_text(json.dumps({**card, "sha256": sha256}, indent=2) + "\n")
