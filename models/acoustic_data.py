"""Sounds of the Halmstad data set (`audio.csv`), changed so that training does not learn one microphone.

Augmentation stands for what differs in the field: distance (absorption by air, background mixed in at a given ratio),
wind (mixing with coloured noise), the ground (a reflection that comes a little later), the microphone (a smooth random
filter, cut at either end), Doppler and other rotors (speed), clipping.
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from scipy import fft, signal

from models.acoustic_network import SOUNDS, Architecture
from models.halmstad import DatasetError

_BACKGROUND = SOUNDS.index("background")
#: What air takes at 10 °C and 70 % humidity, by octaves (ISO 9613-2, table 2).
_AIR_HZ = (63.0, 125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0)
_AIR_DB_PER_KM = (0.1, 0.4, 1.0, 1.9, 3.7, 9.7, 32.8, 117.0)


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


class Augmenter:
    """Draws training windows: all classes equally often, in an order that the seed alone decides."""

    def __init__(self, sounds: list[Sound], architecture: Architecture, seed: int) -> None:
        self._by_label = [[s for s in sounds if s.label == label] for label in range(len(SOUNDS))]
        self._window = architecture.window
        self._bins = np.fft.rfftfreq(self._window, 1.0 / architecture.rate_hz)
        self._frequency = np.geomspace(20.0, architecture.rate_hz / 2.0, 200)
        self._octaves = np.log2(self._frequency)
        self._random = np.random.default_rng(seed)

    def batch(self, size: int) -> tuple[np.ndarray, np.ndarray]:
        """float32 `[size, window]` and labels int64 `[size]`."""
        labels = self._random.integers(0, len(SOUNDS), size)
        return np.stack([self.draw(int(label)) for label in labels]).astype(np.float32), labels

    def draw(self, label: int) -> np.ndarray:
        """One window of that class, changed at random; most of it in the frequency domain."""
        random = self._random
        spectrum = self._filtered(self._far(self._source(label)))
        if random.random() < 0.7:
            background = self._filtered(self._cut(_BACKGROUND, 1.0))
            spectrum = mixed(spectrum, background, random.uniform(-10.0, 30.0))
        if random.random() < 0.6:
            noise = noise_spectrum(random, len(spectrum), random.uniform(0.0, 2.2))
            spectrum = mixed(spectrum, noise, random.uniform(-10.0, 35.0))
        samples = fft.irfft(spectrum.astype(np.complex64), self._window)
        if random.random() < 0.1:
            top = np.max(np.abs(samples)) * random.uniform(0.1, 0.9)
            samples = np.clip(samples, -top, top)
        return samples

    def _source(self, label: int) -> np.ndarray:
        """A recording of that class at another speed; noise alone is background too."""
        if label == _BACKGROUND and self._random.random() < 0.15:
            return noise_spectrum(self._random, len(self._bins), self._random.uniform(0.0, 2.2))
        return self._cut(label, float(np.exp(self._random.uniform(-0.2, 0.2))))

    def _far(self, spectrum: np.ndarray) -> np.ndarray:
        """As heard from further away, over ground."""
        random = self._random
        if random.random() < 0.5:
            loss_db = random.exponential(0.2) * np.interp(self._bins, _AIR_HZ, _AIR_DB_PER_KM)
            spectrum = spectrum * (10.0 ** (-loss_db / 20.0)).astype(np.float32)
        if random.random() < 0.3:
            phase = 2.0 * np.pi * random.uniform(2e-4, 6e-3) * self._bins
            spectrum = spectrum * (1.0 + random.uniform(0.2, 0.8) * np.exp(-1j * phase)).astype(np.complex64)
        return spectrum

    def _cut(self, label: int, speed: float) -> np.ndarray:
        """Spectrum of a window of a sound of that class, played at another speed."""
        options = self._by_label[label]
        samples = options[self._random.integers(len(options))].samples
        length = math.ceil(self._window * speed) + 1
        start = self._random.integers(0, max(len(samples) - length, 1))
        cut = samples[start : start + length]
        if speed != 1.0:
            cut = np.interp(np.arange(self._window) * speed, np.arange(length), cut)
        return fft.rfft(cut[: self._window].astype(np.float32))

    def _filtered(self, spectrum: np.ndarray) -> np.ndarray:
        """A smooth random response within about ±10 dB, sometimes without the lowest or the highest tones."""
        random = self._random
        octaves, frequency = self._octaves, self._frequency
        knots = np.linspace(octaves[0], octaves[-1], 7)
        gain_db = np.interp(octaves, knots, random.normal(0.0, 5.0, 7)) + random.normal(0.0, 1.5) * (octaves - 9.0)
        if random.random() < 0.3:
            gain_db -= 12.0 * np.log2(1.0 + random.uniform(50.0, 300.0) / frequency)
        if random.random() < 0.3:
            gain_db -= 24.0 * np.log2(1.0 + frequency / random.uniform(2_000.0, 8_000.0))
        # The response is drawn on a coarse scale: a smooth curve needs no more.
        gain = 10.0 ** (gain_db / 20.0)
        return spectrum * np.interp(self._bins, frequency, gain).astype(np.float32)
