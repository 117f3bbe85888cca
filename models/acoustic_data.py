"""Sounds of the Halmstad data set (`audio.csv`): reading, cutting, mixing."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from scipy import signal

from models.acoustic_network import SOUNDS, Architecture
from models.halmstad import DatasetError


@dataclass(frozen=True, slots=True)
class Sound:
    """One recording: name, index into `SOUNDS`, float32 samples at the network's rate."""

    name: str
    label: int
    samples: np.ndarray


def load_sounds(folder: Path, split: str, rate_hz: int = Architecture.rate_hz) -> list[Sound]:
    """All sounds of a split, in the order of `audio.csv` of the folder (or of `halmstad` in it).

    Raises:
        DatasetError: no `audio.csv` there, no sound of that split, or a file that cannot be read.
    """
    if (folder / "halmstad" / "audio.csv").is_file():
        folder = folder / "halmstad"
    index = folder / "audio.csv"
    if not index.is_file():
        raise DatasetError(f"No sounds in {folder}: audio.csv is missing. Name the data folder with --data.")
    with index.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == split]
    if not rows:
        raise DatasetError(f"{index} lists no sounds of the split '{split}'. Splits are train, val and test.")
    return [_load(folder, row, rate_hz) for row in rows]


def _load(folder: Path, row: dict[str, str], rate_hz: int) -> Sound:
    path = folder / "audio" / f"{row['clip']}.flac"
    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except soundfile.SoundFileError as error:
        raise DatasetError(f"The sound {path} cannot be read: {error}") from None
    return Sound(row["clip"], SOUNDS.index(row["class"]), resample(samples.mean(axis=1), rate, rate_hz))


def resample(samples: np.ndarray, rate_hz: int, wanted_hz: int) -> np.ndarray:
    """float32 samples at another rate, by a polyphase filter."""
    if rate_hz == wanted_hz:
        return samples.astype(np.float32)
    common = math.gcd(rate_hz, wanted_hz)
    return signal.resample_poly(samples, wanted_hz // common, rate_hz // common).astype(np.float32)


def windows(sound: Sound, window: int) -> np.ndarray:
    """Whole windows side by side `[W, window]`; the rest at the end is left out."""
    count = len(sound.samples) // window
    return sound.samples[: count * window].reshape(count, window)


def mixed(sound: np.ndarray, noise: np.ndarray, ratio_db: float) -> np.ndarray:
    """`sound` plus `noise` with the mean powers that far apart; samples, or spectra of both."""
    power, other = float(np.mean(np.square(np.abs(sound)))), float(np.mean(np.square(np.abs(noise))))
    return sound + noise * math.sqrt(power / max(other, 1e-20) * 10.0 ** (-ratio_db / 10.0))


def noise_spectrum(generator: np.random.Generator, bins: int, slope: float) -> np.ndarray:
    """Complex spectrum `[bins]` of noise whose power falls as f^−slope (0 white, 5/3 wind)."""
    parts = generator.standard_normal((bins, 2), dtype=np.float32).view(np.complex64)[:, 0]
    return parts * np.maximum(np.arange(bins, dtype=np.float32), 1.0) ** np.float32(-slope / 2.0)
