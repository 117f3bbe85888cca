"""Directions from an array against the simulated sound field: errors, their sigmas, several sources, geometry."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fusion.geometry import FloatArray, angles_to_direction, direction_to_angles, wrap_angle
from fusion.sensors.microphone_array.channels import Kind, level_faults, mended, wiring_faults
from fusion.sensors.microphone_array.evidence import Evidence, Spectra, Subspace
from fusion.sensors.microphone_array.measure import (
    Direction,
    DirectionFinder,
    DirectionSettings,
    GeometryError,
)
from simulation.sound_field import Air, Emitter, Rotor, at_snr, emission_times, field, straight, wind_noise

RATE, WINDOW = 32_000, 4096
AIR = Air()


def eight_microphones(radius_m: float = 0.2) -> FloatArray:
    """Two squares, one turned by 45° above the other."""
    angle = np.arange(4) * np.pi / 2.0
    lower = np.stack([np.cos(angle), np.sin(angle), np.full(4, -0.5)], axis=1)
    upper = np.stack([np.cos(angle + np.pi / 4.0), np.sin(angle + np.pi / 4.0), np.full(4, 0.5)], axis=1)
    return np.concatenate([lower, upper]) * radius_m


PLACES = eight_microphones()
EXACT = DirectionSettings(model_sigma_rad=0.0)
EVIDENCE = pytest.mark.parametrize("evidence", [Spectra(RATE, WINDOW), Subspace(RATE, WINDOW)], ids=["srp", "subspace"])


def drone(direction: FloatArray, generator: np.random.Generator, distance_m: float = 80.0) -> Rotor:
    """A rotor at 15 m/s across a direction, with harmonics to 4 kHz."""
    velocity = np.cross(direction, generator.standard_normal(3))
    velocity *= 15.0 / np.linalg.norm(velocity)
    rpm = float(generator.uniform(4500.0, 7000.0))
    harmonics = np.arange(1, 17)
    amplitudes = tuple((harmonics**-0.7).tolist())
    phases = tuple(generator.uniform(0.0, 2.0 * np.pi, len(harmonics)).tolist())
    path = straight(direction * distance_m, velocity)
    return Rotor(path, (0.0, 1.0), (rpm, 1.02 * rpm), 2, amplitudes, phases)


def heard(rotors: list[Rotor], snr_db: float, generator: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """A window `[M, N]` in wind and microphone noise, and the true directions at its middle `[S, 3]`."""
    times = np.arange(WINDOW) / RATE
    emitters: list[Emitter] = list(rotors)
    sound = field(emitters, PLACES, times, AIR)
    noise = generator.standard_normal(sound.shape) + wind_noise(generator, len(PLACES), WINDOW, RATE)
    middle = np.array([0.5 * WINDOW / RATE])
    left = [rotor.path(emission_times(rotor.path, np.zeros(3), middle, AIR.speed_mps))[0] for rotor in rotors]
    return at_snr(sound, noise, snr_db), np.array([place / np.linalg.norm(place) for place in left])


def angle_deg(found: Direction, truth: FloatArray) -> float:
    unit = angles_to_direction(found.azimuth_rad, found.elevation_rad)
    return math.degrees(math.acos(min(1.0, float((unit * truth).sum()))))


def squared_error(found: Direction, truth: FloatArray) -> float:
    """Normalised by the sigmas that the estimate states: 2 in the mean where they are true."""
    azimuth, elevation = direction_to_angles(truth)
    off = float(wrap_angle(found.azimuth_rad - azimuth)) / found.sigma_azimuth_rad
    return off**2 + (float(found.elevation_rad - elevation) / found.sigma_elevation_rad) ** 2


@EVIDENCE
@pytest.mark.parametrize(("snr_db", "median_deg"), [(10.0, 0.5), (0.0, 1.0), (-5.0, 2.5)])
def test_a_moving_drone_is_heard_where_it_is_with_an_honest_sigma(
    snr_db: float, median_deg: float, evidence: Evidence
) -> None:
    generator = np.random.default_rng(5)
    finder = DirectionFinder(PLACES, RATE, WINDOW, EXACT, AIR.speed_mps, evidence)
    errors, normalised = [], []
    for _ in range(16):
        direction = angles_to_direction(generator.uniform(-np.pi, np.pi), generator.uniform(0.0, 1.1))
        samples, truth = heard([drone(direction, generator)], snr_db, generator)
        found = finder.find(samples)
        if found:
            errors.append(angle_deg(found[0], truth[0]))
            normalised.append(squared_error(found[0], truth[0]))
    assert len(errors) >= 15
    assert np.median(errors) < median_deg
    # The median of χ² with two degrees of freedom is 1.39: sigmas within a factor of two.
    assert 1.39 / 4.0 < np.median(normalised) < 1.39 * 4.0


@EVIDENCE
def test_two_drones_twenty_degrees_apart_are_two(evidence: Evidence) -> None:
    generator = np.random.default_rng(6)
    finder = DirectionFinder(PLACES, RATE, WINDOW, EXACT, AIR.speed_mps, evidence)
    resolved = 0
    for _ in range(12):
        azimuth = generator.uniform(-np.pi, np.pi)
        directions = [angles_to_direction(azimuth + turn, 0.3) for turn in (0.0, math.radians(20.0) / math.cos(0.3))]
        samples, truth = heard([drone(direction, generator) for direction in directions], 10.0, generator)
        found = finder.find(samples)
        resolved += all(min((angle_deg(each, true) for each in found), default=90.0) < 5.0 for true in truth)
    assert resolved >= 11


@EVIDENCE
def test_noise_alone_has_no_direction(evidence: Evidence) -> None:
    generator = np.random.default_rng(7)
    finder = DirectionFinder(PLACES, RATE, WINDOW, EXACT, evidence=evidence)
    windows = [
        generator.standard_normal((8, WINDOW)) + 30.0 * wind_noise(generator, 8, WINDOW, RATE) for _ in range(60)
    ]
    assert sum(len(finder.find(samples)) for samples in windows) <= 1
    assert finder.find(np.zeros((8, WINDOW))) == ()


def test_a_flat_array_looks_up() -> None:
    """Its mirror image would fit as well; drones are above."""
    generator = np.random.default_rng(8)
    flat = PLACES * [1.0, 1.0, 0.0]
    finder = DirectionFinder(flat, RATE, WINDOW, speed_mps=AIR.speed_mps)
    truth = angles_to_direction(2.0, 0.8)
    sound = field([drone(truth, generator)], flat, np.arange(WINDOW) / RATE, AIR)
    found = finder.find(at_snr(sound, generator.standard_normal(sound.shape), 20.0))
    assert angle_deg(found[0], truth) < 4.0  # it flew on for as long as its sound took
    assert found[0].elevation_rad > 0.0


@pytest.mark.parametrize(
    ("places", "sentence"),
    [
        ([[0, 0, 0], [1, 0, 0], [0, 1, 0]], "at least four"),
        ([[0, 0, 0], [1, 0, 0], [2, 0, 0], [3, 0, 0]], "one line"),
        ([[0, 0, 0], [0, 0, 0], [0, 1, 0], [1, 0, 0]], "in one place"),
        ([[0, 0, 0], [200, 0, 0], [0, 100, 0], [0, 0, 50]], "in metres"),
        ([[0, 0, 0], [float("nan"), 0, 0], [0, 1, 0], [1, 0, 0]], "in metres"),
    ],
)
def test_a_geometry_that_cannot_work_is_told(places: list[list[float]], sentence: str) -> None:
    with pytest.raises(GeometryError, match=sentence):
        DirectionFinder(places, RATE)


# -- channels ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def recording() -> FloatArray:
    generator = np.random.default_rng(9)
    times = np.arange(RATE) / RATE
    rotor = drone(angles_to_direction(0.7, 0.4), generator)
    sound = field([rotor], PLACES, times, AIR)
    return at_snr(sound, generator.standard_normal(sound.shape), 10.0).astype(np.float32)


def faults_of(samples: FloatArray) -> list[tuple[Kind, tuple[int, ...]]]:
    finder = DirectionFinder(PLACES, RATE, WINDOW, speed_mps=AIR.speed_mps)
    starts = range(0, samples.shape[1] - WINDOW, 1000)
    windows = np.stack([samples[:, start : start + WINDOW] for start in starts]).astype(np.float32)
    return [(fault.kind, fault.channels) for fault in [*level_faults(samples), *wiring_faults(finder, windows)]]


def test_good_channels_are_left_alone(recording: FloatArray) -> None:
    assert faults_of(recording) == []
    assert faults_of(np.random.default_rng(1).standard_normal((8, RATE))) == []


@pytest.mark.parametrize("channel", [0, 5])
def test_an_inverted_channel_is_found_and_mended(recording: FloatArray, channel: int) -> None:
    wrong = recording.copy()
    wrong[channel] *= -1.0
    assert faults_of(wrong) == [(Kind.INVERTED, (channel,))]


@pytest.mark.parametrize("pair", [(0, 2), (1, 6), (3, 4)])
def test_swapped_channels_are_found(recording: FloatArray, pair: tuple[int, int]) -> None:
    wrong = recording.copy()
    wrong[list(pair)] = wrong[list(reversed(pair))]
    assert faults_of(wrong) == [(Kind.SWAPPED, pair)]


def test_dead_and_clipped_channels_are_found(recording: FloatArray) -> None:
    wrong = recording.copy()
    wrong[3] = 0.0
    wrong[6] = np.clip(wrong[6], -0.5 * wrong[6].std(), 0.5 * wrong[6].std())
    assert [(fault.kind, fault.channels) for fault in level_faults(wrong)] == [(Kind.DEAD, (3,)), (Kind.CLIPPED, (6,))]
    assert [fault.kind for fault in level_faults(np.zeros((1, 100)))] == [Kind.DEAD]


def test_mending_undoes_faults(recording: FloatArray) -> None:
    from fusion.sensors.microphone_array.channels import Fault

    wrong = recording.copy()
    wrong[[1, 6]] = wrong[[6, 1]]
    wrong[2] *= -1.0
    faults = [Fault(Kind.SWAPPED, (1, 6)), Fault(Kind.INVERTED, (2,)), Fault(Kind.DEAD, (0,))]
    np.testing.assert_array_equal(mended(wrong.astype(np.float32), faults), recording)
