"""Training pictures of sound, changed so that what is learned is neither one microphone nor one place.

Sounds that have nothing to do with each other add in power, and a filter that is smooth in frequency is a gain of each
band: so mixing and filtering are done on the power in mel bands, hundreds of times cheaper than on samples. Drawn are
distance (absorption by air, background at a given ratio), wind and other coloured noise, the ground (a reflection that
comes a little later), the microphone (a smooth random response, cut at either end, a noise floor), codecs and sample
rates (nothing above some frequency), Doppler and other rotors (speed), loudness that changes, and everyday sounds.
"""

from __future__ import annotations

import numpy as np
import torch

from models.acoustic_data import Sound
from models.acoustic_events import everyday
from models.acoustic_network import SOUNDS, Architecture, MelPower

_BACKGROUND = SOUNDS.index("background")
_SPEEDS = np.exp(np.linspace(-0.27, 0.27, 7))
_EVENTS, _NOISE_S = 150, 30
#: What air takes at 10 °C and 70 % humidity, by octaves (ISO 9613-2, table 2).
_AIR_HZ = (63.0, 125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0)
_AIR_DB_PER_KM = (0.1, 0.4, 1.0, 1.9, 3.7, 9.7, 32.8, 117.0)


class Augmenter:
    """Draws training pictures: all classes equally often, in an order that the seed alone decides."""

    def __init__(self, sounds: list[Sound], architecture: Architecture, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self._frames = architecture.frames
        edges = architecture.edges_hz.numpy().astype(np.float64)
        self._frequency = edges[1:-1]
        self._octaves = np.log2(self._frequency)
        self._widths = (edges[2:] - edges[:-2]) / (edges[2:] - edges[:-2]).sum()
        rate_hz, power = architecture.rate_hz, MelPower(architecture)

        def pictured(samples: np.ndarray) -> np.ndarray:
            with torch.inference_mode():
                return power(torch.from_numpy(samples.astype(np.float32))[None])[0].numpy()

        self._sounds: list[list[list[np.ndarray]]] = [[] for _ in SOUNDS]
        for sound in sounds:
            self._sounds[sound.label].append([pictured(_faster(sound.samples, speed)) for speed in _SPEEDS])
        self._events = [pictured(everyday(self._random, architecture.window, rate_hz)) for _ in range(_EVENTS)]
        self._noise = pictured(self._random.standard_normal(_NOISE_S * rate_hz))

    def batch(self, size: int) -> tuple[np.ndarray, np.ndarray]:
        """Power, float32 `[size, bands, frames]`, and labels int64 `[size]`."""
        labels = self._random.integers(0, len(SOUNDS), size)
        return np.stack([self.draw(int(label)) for label in labels]).astype(np.float32), labels

    def draw(self, label: int) -> np.ndarray:
        """Power `[bands, frames]` of one window of that class, changed at random."""
        random = self._random
        power = self._background() if label == _BACKGROUND else self._flying(label)
        if random.random() < (0.4 if label == _BACKGROUND else 0.12):
            power = self._mixed(power, self._event(), random.uniform(-10.0 if label == _BACKGROUND else 3.0, 25.0))
        if random.random() < 0.5:
            power = self._mixed(power, self._coloured(2.2), random.uniform(0.0, 35.0))
        return self._recorded(power)

    def _flying(self, label: int) -> np.ndarray:
        """As heard from some distance, over ground, among other sounds."""
        random = self._random
        power = self._cut(label)
        if random.random() < 0.5:
            loss_db = random.exponential(0.2) * np.interp(self._frequency, _AIR_HZ, _AIR_DB_PER_KM)
            power = power * 10.0 ** (-loss_db[:, None] / 10.0)
        if random.random() < 0.3:
            turns = random.uniform(2e-4, 6e-3) * self._frequency
            comb = np.abs(1.0 + random.uniform(0.2, 0.8) * np.exp(-2j * np.pi * turns))
            power = power * np.square(comb)[:, None]
        if random.random() < 0.5:
            background = self._cut(_BACKGROUND) * self._response()
            power = self._mixed(power * self._response(), background, random.uniform(0.0, 30.0))
        return power

    def _background(self) -> np.ndarray:
        random = self._random
        kind = random.random()
        power = self._coloured(2.2) if kind < 0.08 else self._event() if kind < 0.18 else self._cut(_BACKGROUND)
        if random.random() < 0.35:
            other = self._cut(_BACKGROUND) * self._response()
            power = self._mixed(power * self._response(), other, random.uniform(-10.0, 10.0))
        return power

    def _recorded(self, power: np.ndarray) -> np.ndarray:
        """By some microphone, its amplifier and its codec."""
        random = self._random
        power = power * self._response()
        if random.random() < 0.25:
            power = power / (1.0 + (self._frequency / random.uniform(2500.0, 8000.0)) ** 32)[:, None]
        if random.random() < 0.5:
            power = self._mixed(power, self._coloured(0.7), random.uniform(15.0, 45.0))
        if random.random() < 0.3:
            knots = np.sort(random.integers(0, self._frames, 4))
            power = power * 10.0 ** (np.interp(np.arange(self._frames), knots, random.normal(0.0, 5.0, 4)) / 10.0)
        return self._level(power)

    def _cut(self, label: int) -> np.ndarray:
        """A window of a recording of that class at some speed."""
        recordings = self._sounds[label]
        speeds = recordings[self._random.integers(len(recordings))]
        return self._window(speeds[self._random.integers(len(speeds))])

    def _event(self) -> np.ndarray:
        return self._events[self._random.integers(len(self._events))]

    def _coloured(self, steepest: float) -> np.ndarray:
        """Noise that falls as f^−slope, the slope between none and that."""
        slope = self._random.uniform(0.0, steepest)
        return self._window(self._noise) * (self._frequency[:, None] / 1000.0) ** -slope

    def _window(self, power: np.ndarray) -> np.ndarray:
        start = self._random.integers(0, power.shape[1] - self._frames + 1)
        return power[:, start : start + self._frames]

    def _response(self) -> np.ndarray:
        """Gain in power `[bands, 1]`: smooth, within about ±10 dB, sometimes without the lowest or highest tones."""
        random, octaves = self._random, self._octaves
        knots = np.linspace(octaves[0], octaves[-1], 7)
        gain_db = np.interp(octaves, knots, random.normal(0.0, 5.0, 7)) + random.normal(0.0, 1.5) * (octaves - 9.0)
        if random.random() < 0.3:
            gain_db -= 12.0 * np.log2(1.0 + random.uniform(50.0, 300.0) / self._frequency)
        if random.random() < 0.3:
            gain_db -= 24.0 * np.log2(1.0 + self._frequency / random.uniform(2_000.0, 8_000.0))
        return 10.0 ** (gain_db[:, None] / 10.0)

    def _level(self, power: np.ndarray) -> np.ndarray:
        """Of mean power one, over all frequencies."""
        return power / max(float((power.mean(axis=1) * self._widths).sum()), 1e-20)

    def _mixed(self, power: np.ndarray, other: np.ndarray, ratio_db: float) -> np.ndarray:
        return self._level(power) + self._level(other) * 10.0 ** (-ratio_db / 10.0)


def _faster(samples: np.ndarray, speed: float) -> np.ndarray:
    return np.interp(np.arange(0.0, len(samples) - 1.0, speed), np.arange(len(samples)), samples)
