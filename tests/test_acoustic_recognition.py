"""The sound recogniser: features that do not know loudness, training that goes on, weights that are checked."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from models import acoustic_train
from models.acoustic_augment import Augmenter
from models.acoustic_data import Sound, load_sounds, mixed, noise_spectrum, resample, windows
from models.acoustic_evaluate import by_class, calibration_error, false_alarms
from models.acoustic_events import everyday
from models.acoustic_infer import load_recogniser
from models.acoustic_network import PICTURES, SOUNDS, AcousticNetwork, Architecture, MelPower
from models.halmstad import DatasetError
from models.infer import WeightsError

ARCHITECTURE = Architecture()
RATE = ARCHITECTURE.rate_hz


def tone(frequency_hz: float, seconds: float = 1.0, rate: int = RATE) -> np.ndarray:
    return np.sin(2 * np.pi * frequency_hz * np.arange(round(seconds * rate)) / rate).astype(np.float32)


@pytest.mark.parametrize("picture", list(PICTURES))
def test_a_picture_puts_a_tone_in_its_band_whatever_its_loudness(picture: str) -> None:
    power = MelPower(ARCHITECTURE)
    mel = 2595.0 * math.log10(1.0 + 1000.0 / 700.0)
    ends = (ARCHITECTURE.lowest_hz, ARCHITECTURE.highest_hz)
    lowest, highest = (2595.0 * math.log10(1.0 + f / 700.0) for f in ends)
    expected = (mel - lowest) / (highest - lowest) * (ARCHITECTURE.bands + 1) - 1
    loud, soft = (PICTURES[picture](power(torch.from_numpy(level * tone(1000.0))[None]))[0, 0] for level in (1.0, 0.01))
    assert loud.shape == (ARCHITECTURE.bands, ARCHITECTURE.frames)
    assert abs(int(loud.mean(1).argmax()) - expected) <= 1.0
    torch.testing.assert_close(loud, soft, atol=1e-3, rtol=0)


def test_the_shape_of_a_sound_does_not_know_the_microphone() -> None:
    noise = torch.from_numpy(np.random.default_rng(4).standard_normal(ARCHITECTURE.window).astype(np.float32))[None]
    power = MelPower(ARCHITECTURE)(noise)
    duller = power * torch.logspace(0.0, -3.0, ARCHITECTURE.bands)[:, None]  # 30 dB from the lowest to the highest
    differ = {
        name: float((PICTURES[name](power) - PICTURES[name](duller))[:, :, 6:-6].abs().mean()) for name in PICTURES
    }
    assert differ["shape"] < 0.05
    assert differ["level"] > 0.3


def test_everyday_sounds_are_finite_and_of_one_loudness() -> None:
    generator = np.random.default_rng(5)
    for _ in range(40):
        sound = everyday(generator, RATE, RATE)
        assert np.isfinite(sound).all()
        assert 0.5 < float(sound.std()) < 1.5


def test_resampling_keeps_a_tone() -> None:
    heard = resample(tone(440.0, 1.0, 44_100), 44_100, RATE)
    assert len(heard) == RATE
    np.testing.assert_allclose(heard[500:-500], tone(440.0)[500:-500], atol=0.01)


def test_mixing_is_at_the_ratio_asked_for() -> None:
    generator = np.random.default_rng(1)
    sound, noise = generator.standard_normal((2, 4000))
    added = mixed(sound, noise, -10.0) - sound
    assert 10 * math.log10(float(np.mean(sound**2) / np.mean(added**2))) == pytest.approx(-10.0)


def test_noise_falls_with_its_slope() -> None:
    power = np.abs(noise_spectrum(np.random.default_rng(2), 40_000, 5 / 3)) ** 2
    assert power[18_000:22_000].mean() / power[1_800:2_200].mean() == pytest.approx(10 ** (-5 / 3), rel=0.15)


def made_up_sounds(seconds: float = 2.0) -> list[Sound]:
    generator = np.random.default_rng(3)
    noise = generator.standard_normal(round(seconds * RATE)).astype(np.float32)
    return [
        Sound("drone", 0, tone(900.0, seconds) + 0.1 * noise),
        Sound("helicopter", 1, tone(120.0, seconds) + 0.1 * noise),
        Sound("background", 2, noise),
    ]


def test_training_pictures_are_finite_varied_and_the_same_for_one_seed() -> None:
    first, labels = Augmenter(made_up_sounds(), ARCHITECTURE, 7).batch(24)
    again, _ = Augmenter(made_up_sounds(), ARCHITECTURE, 7).batch(24)
    np.testing.assert_array_equal(first, again)
    assert first.shape == (24, ARCHITECTURE.bands, ARCHITECTURE.frames)
    assert (first >= 0.0).all()
    assert np.isfinite(first).all()
    assert set(labels.tolist()) == {0, 1, 2}
    assert len({row.tobytes() for row in first}) == 24


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of three easy sounds, in `train` and in `val`."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "audio").mkdir()
    lines = ["clip,split,class,sample_rate_hz,seconds"]
    for split in ("train", "val"):
        for sound in made_up_sounds():
            soundfile.write(folder / "audio" / f"{split}_{sound.name}.flac", 0.2 * sound.samples, RATE)
            lines.append(f"{split}_{sound.name},{split},{sound.name},{RATE},2.0")
    (folder / "audio.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_training_learns_and_goes_on_where_it_was(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(acoustic_train.RECIPES, "easy", acoustic_train.Recipe(steps=30, batch=12, average=0.8))
    acoustic_train.train("easy", data, tmp_path, "cpu", 1, cap=20, folder=tmp_path)
    path = acoustic_train.train("easy", data, tmp_path, "cpu", 1, folder=tmp_path)
    card = json.loads(path.with_suffix(".json").read_text())
    assert card["steps_done"] == 30
    recogniser = load_recogniser(weights=path, device="cpu")
    sounds = load_sounds(data, "val")
    scores = np.concatenate([recogniser.scores(windows(sound, ARCHITECTURE.window)) for sound in sounds])
    assert scores.sum(axis=1) == pytest.approx(1.0)
    assert card["val"]["loss"] < math.log(3) - 0.1
    assert (scores.argmax(1) == [0, 0, 1, 1, 2, 2]).mean() >= 4 / 6
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(WeightsError, match="not the file that"):
        load_recogniser(weights=path)


def test_what_is_missing_is_named(tmp_path: Path, data: Path) -> None:
    with pytest.raises(DatasetError, match=r"audio\.csv is missing"):
        load_sounds(tmp_path, "train")
    with pytest.raises(DatasetError, match="no sounds of the split 'exam'"):
        load_sounds(data, "exam")
    with pytest.raises(WeightsError, match="are missing"):
        load_recogniser(weights=tmp_path / "none.safetensors")
    (tmp_path / "other.safetensors").touch()
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(WeightsError, match="not of a sound recogniser"):
        load_recogniser(weights=tmp_path / "other.safetensors")


def test_figures_are_those_of_a_table_by_hand() -> None:
    labels = np.array([0, 0, 0, 1, 1, 2, 2, 2])
    found = np.array([0, 0, 1, 1, 1, 2, 0, 2])
    figures = by_class(labels, found)
    assert figures["drone"] == pytest.approx({"precision": 2 / 3, "recall": 2 / 3, "f1": 2 / 3})
    assert figures["macro f1"] == pytest.approx((2 / 3 + 4 / 5 + 4 / 5) / 3)
    scores = np.eye(3)[found]
    assert false_alarms(labels, scores, 1.0) == {"windows": 1, "seconds heard": 3.0, "per hour": 1200.0}
    assert calibration_error(labels, scores) == pytest.approx(0.25)  # always sure, right six times of eight
    assert calibration_error(np.array([0, 1]), np.array([[0.5, 0.25, 0.25], [0.5, 0.25, 0.25]])) == pytest.approx(0.0)


def test_the_network_takes_any_number_of_windows() -> None:
    network = AcousticNetwork().eval()
    with torch.inference_mode():
        for count in (1, 3):
            assert network(torch.randn(count, ARCHITECTURE.window)).shape == (count, len(SOUNDS))
