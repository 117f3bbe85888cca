"""The learned evidence of directions: its density on the sphere, training that goes on, weights that are checked."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from test_acoustic_directions import AIR, PLACES, RATE, WINDOW, angle_deg, drone, heard

from fusion.geometry import angles_to_direction
from fusion.sensors.microphone_array.measure import DirectionFinder
from models import acoustic_directions_train as training
from models.acoustic_directions import Architecture, DirectionNetwork, band_limited, load_evidence
from models.infer import WeightsError
from simulation.array_scenes import array_scenes

ARCHITECTURE = Architecture()
LITTLE = training.Recipe(arrays=2, scenes=4, steps=4)


def test_the_density_read_between_lags_is_the_steered_power() -> None:
    generator = np.random.default_rng(1)
    delays = torch.from_numpy(generator.uniform(-1.5e-3, 1.5e-3, (6, 3)))
    columns = torch.from_numpy(generator.standard_normal((2, 6, ARCHITECTURE.filters, 3, 2))).float()
    columns = torch.view_as_complex(columns)
    directions = generator.standard_normal((2, 40, 3))
    directions /= np.linalg.norm(directions, axis=2, keepdims=True)
    got = training.log_density(columns, ARCHITECTURE, delays.float(), torch.from_numpy(directions).float()).numpy()
    late = np.einsum("bcx,mx->bcm", directions, delays.numpy())
    wave = np.exp(-2j * np.pi * ARCHITECTURE.carriers_hz * late[..., None])  # [B, C, M, F]
    beams = np.einsum("bcmf,bmft->bcft", wave, columns.numpy())
    exact = np.square(np.abs(beams)).sum((2, 3)) - np.square(np.abs(columns.numpy())).sum((1, 2, 3))[:, None]
    np.testing.assert_allclose(got, exact, atol=0.03 * float(exact.std()))


def test_what_the_truth_is_compared_with_covers_the_sky_once() -> None:
    truth = np.array([[0.6, 0.0, 0.8], [0.0, 0.8, 0.6]])
    directions, areas = training.candidates(truth, np.random.default_rng(2))
    np.testing.assert_allclose(np.linalg.norm(directions, axis=2), 1.0)
    np.testing.assert_array_equal(directions[:, 0], truth)
    assert areas.sum(1) == pytest.approx(2.0 * math.pi * (1.0 + math.sin(math.radians(10.0))), rel=0.01)


def test_noise_is_at_the_ratio_asked_for_and_each_microphones_own() -> None:
    generator = np.random.default_rng(3)
    sound = np.zeros((1, 4, 20_000))
    sound[:, :, 0] = 1e-3  # all but silent: noise remains
    noise = training.disturbed(sound, np.array([-60.0]), generator)[0]
    assert np.abs(np.corrcoef(noise) - np.eye(4)).max() < 0.1
    wave = np.sin(np.arange(20_000) * 0.3) * np.ones((1, 4, 1))
    heard = training.disturbed(wave, np.array([0.0]), generator)[0]
    share = np.square(2.0 * (heard * wave[0]).mean(1)) / 2.0 / np.square(heard).mean(1)
    assert share.mean() == pytest.approx(0.5, abs=0.12)


def test_a_lower_rate_keeps_the_tone_and_its_phase() -> None:
    times, fewer = np.arange(4096) / 44_100, np.arange(836) * (4096 / 44_100 / 836)
    tone = 2.0 * np.pi * 20.0 * 44_100 / 4096  # whole periods
    got = band_limited(np.cos(tone * times)[None], 836)[0]
    np.testing.assert_allclose(got, math.sqrt(2.0) * np.cos(tone * fewer), atol=1e-3)


def test_training_goes_on_where_it_was_and_its_weights_are_checked(tmp_path: Path) -> None:
    training.train(array_scenes, tmp_path, replace(LITTLE, steps=2), 1, tmp_path)
    path = training.train(array_scenes, tmp_path, LITTLE, 1, tmp_path)
    card = json.loads(path.with_suffix(".json").read_text())
    assert card["steps_done"] == 4
    untrained = training.Judge([array_scenes(np.random.default_rng(4), 4, ARCHITECTURE.rate_hz, training.WINDOW)])
    assert all(math.isfinite(loss) for loss in untrained.losses(DirectionNetwork().eval()).values())
    evidence = load_evidence(44_100, 4096, weights=path)
    columns = evidence(np.random.default_rng(5).standard_normal((5, 4096)))
    assert columns.shape == (5, len(evidence.omega))
    with pytest.raises(ValueError, match="too few"):
        load_evidence(44_100, 1024, weights=path)
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(WeightsError, match="not the file"):
        load_evidence(44_100, 4096, weights=path)
    with pytest.raises(WeightsError, match="are missing"):
        load_evidence(44_100, 4096, weights=tmp_path / "none.safetensors")


def test_the_shipped_network_hears_a_drone_past_an_array_it_never_met_and_nothing_in_noise() -> None:
    generator = np.random.default_rng(6)
    finder = DirectionFinder(PLACES, RATE, WINDOW, speed_mps=AIR.speed_mps, evidence=load_evidence(RATE, WINDOW))
    errors = []
    for _ in range(6):
        direction = angles_to_direction(generator.uniform(-np.pi, np.pi), generator.uniform(0.0, 1.1))
        samples, truth = heard([drone(direction, generator)], 0.0, generator)
        errors += [angle_deg(found, truth[0]) for found in finder.find(samples)[:1]]
    assert len(errors) >= 5
    assert np.median(errors) < 3.0
    assert sum(len(finder.find(generator.standard_normal((8, WINDOW)))) for _ in range(20)) <= 1
