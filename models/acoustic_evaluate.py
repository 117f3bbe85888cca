"""How good the sound recogniser is on a split of the recordings.

    deeplomatics evaluate acoustic --data DIR --split test

Figures are of one-second windows side by side, and of whole clips (the class with the highest mean logarithm of the
scores). The curve against the signal-to-noise ratio mixes each window with a window of the split's own background, and
with noise falling as wind does; what the recording already holds counts as signal.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from models.acoustic_data import Sound, load_sounds, mixed, noise_spectrum, windows
from models.acoustic_infer import Recogniser, load_recogniser
from models.acoustic_network import SOUNDS

RATIOS_DB = (20.0, 10.0, 5.0, 0.0, -5.0, -10.0)
_DRONE, _BACKGROUND = SOUNDS.index("drone"), SOUNDS.index("background")
_WIND_SLOPE = 5.0 / 3.0
_BINS = 10


def evaluate(
    data: Path, split: str, weights: Path | None = None, device: str = "auto", threads: int = 1
) -> dict[str, object]:
    """All figures of one split, ready for JSON.

    Raises:
        DatasetError, WeightsError: what is missing and the mend.
    """
    recogniser = load_recogniser(weights=weights, device=device, threads=threads)
    architecture = recogniser.architecture
    sounds = load_sounds(data, split, architecture.rate_hz)
    looks = [windows(sound, architecture.window) for sound in sounds]
    labels = np.concatenate([np.full(len(look), sound.label) for look, sound in zip(looks, sounds, strict=True)])
    samples = np.concatenate(looks)
    scores = recogniser.scores(samples)
    clips = _clip_labels(sounds, looks, scores)
    return {
        "weights": recogniser.name,
        "sha256": recogniser.sha256,
        "split": split,
        "windows": {"count": len(labels), **by_class(labels, scores.argmax(1))},
        "clips": {"count": len(sounds), **by_class(np.array([s.label for s in sounds]), clips)},
        "drone alarms on background": false_alarms(labels, scores, architecture.window / architecture.rate_hz),
        "expected calibration error": calibration_error(labels, scores),
        "macro f1 by signal to noise": _curve(recogniser, samples, labels),
    }


def _clip_labels(sounds: list[Sound], looks: list[np.ndarray], scores: np.ndarray) -> np.ndarray:
    ends = np.cumsum([len(look) for look in looks])[:-1]
    parts = np.split(np.log(np.maximum(scores, 1e-6)), ends)
    return np.array([int(part.mean(0).argmax()) for part in parts])


def by_class(labels: np.ndarray, found: np.ndarray) -> dict[str, object]:
    """Precision, recall and F1 of each class, their mean F1 and the share that is right; indices into `SOUNDS`."""
    table: dict[str, object] = {}
    f1 = []
    for index, name in enumerate(SOUNDS):
        hits = int(((labels == index) & (found == index)).sum())
        said, true = int((found == index).sum()), int((labels == index).sum())
        f1.append(2 * hits / max(said + true, 1))
        table[name] = {"precision": hits / max(said, 1), "recall": hits / max(true, 1), "f1": f1[-1]}
    return {**table, "macro f1": float(np.mean(f1)), "accuracy": float((labels == found).mean())}


def false_alarms(labels: np.ndarray, scores: np.ndarray, seconds: float) -> dict[str, float]:
    """How often background is called drone: in windows, and by the hour of what there was to hear."""
    background = labels == _BACKGROUND
    alarms = int((scores[background].argmax(1) == _DRONE).sum())
    heard = float(background.sum() * seconds)
    return {"windows": alarms, "seconds heard": heard, "per hour": alarms * 3600.0 / max(heard, 1e-9)}


def calibration_error(labels: np.ndarray, scores: np.ndarray) -> float:
    """Mean distance of the best score from the share that is right, over ten bins (Guo et al., ICML 2017)."""
    best, right = scores.max(1), scores.argmax(1) == labels
    bins = np.minimum((best * _BINS).astype(int), _BINS - 1)
    gaps = [abs(float(best[bins == b].mean() - right[bins == b].mean())) * int((bins == b).sum()) for b in set(bins)]
    return sum(gaps) / len(labels)


def _curve(recogniser: Recogniser, samples: np.ndarray, labels: np.ndarray) -> dict[str, dict[str, float]]:
    """Macro F1 at each ratio, drones and helicopters in other background, and all in wind; the same noise each time."""
    generator = np.random.default_rng(0)
    background = samples[labels == _BACKGROUND]
    others = background[generator.permutation(len(samples)) % len(background)]
    length = samples.shape[1]
    wind = [np.fft.irfft(noise_spectrum(generator, length // 2 + 1, _WIND_SLOPE), length) for _ in labels]
    return {
        "background": {_name(r): _f1(recogniser, _mixed(samples, others, r), labels) for r in RATIOS_DB},
        "wind": {_name(r): _f1(recogniser, _mixed(samples, wind, r), labels) for r in RATIOS_DB},
    }


def _mixed(samples: np.ndarray, noise: Iterable[np.ndarray], ratio_db: float) -> np.ndarray:
    return np.stack([mixed(sound, other, ratio_db) for sound, other in zip(samples, noise, strict=True)])


def _f1(recogniser: Recogniser, samples: np.ndarray, labels: np.ndarray) -> float:
    return float(by_class(labels, recogniser.scores(samples).argmax(1))["macro f1"])


def _name(ratio_db: float) -> str:
    return f"{ratio_db:+.0f} dB"
