"""Measures on training pictures what `models.quantise` has to know of a network, and keeps it beside the weights."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from models.fuse import FromBytes
from models.halmstad import FPS, Clip, frames, load_clips
from models.infer import TorchBackend, load_network
from models.quantise import largest_inputs
from models.types import Frame

#: Training clips that are looked at, one picture each, and how far into the clip it is taken.
PICTURES, MOMENT_S = 80, 1.0


def set_largest_inputs(weights: Path, data: Path, seed: int = 1) -> None:
    """Measure the inputs on `train` and keep them in the card beside the weights.

    Raises:
        DatasetError, WeightsError: what is missing and the mend.
    """
    card, network = load_network(weights)
    band = network.architecture.band
    clips = load_clips(data, band, "train")
    chosen = np.random.default_rng(seed).permutation(len(clips))[:PICTURES]
    torch.manual_seed(seed)
    backend = TorchBackend(network, threads=1)
    pictures = (_bytes_of(backend.prepare, clips[index]) for index in chosen)
    card["largest_inputs"] = {
        name: round(value, 4) for name, value in largest_inputs(FromBytes(network).eval(), pictures).items()
    }
    weights.with_suffix(".json").write_text(json.dumps(card, indent=2) + "\n")


def _bytes_of(prepare: Callable[[Frame], tuple[np.ndarray, np.ndarray]], clip: Clip) -> tuple[Tensor, Tensor]:
    """What the network sees of a clip at `MOMENT_S`, or at its end, with the pictures before it."""
    for frame in islice(frames(clip), math.ceil(MOMENT_S * FPS) + 1):
        planes = prepare(frame)
    return torch.from_numpy(planes[0])[None], torch.from_numpy(planes[1])[None]
