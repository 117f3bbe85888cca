"""The simulated sound field against closed forms and the tables of the standard."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fusion.geometry import FloatArray
from simulation.array_field import array_field
from simulation.sound_field import (
    Air,
    Emitter,
    Ground,
    Path,
    Recorded,
    Rotor,
    at_snr,
    emission_times,
    field,
    smooth,
    still,
    straight,
    through,
    turbulence,
    wind_noise,
)

RATE = 16_000.0
EAR = np.zeros((1, 3))


def tone(path: Path, frequency_hz: float, amplitude: float = 1.0) -> Rotor:
    return Rotor(path, (0.0,), (60.0 * frequency_hz,), 1, (amplitude,))


def amplitude_of(samples: FloatArray, frequency_hz: float, times: FloatArray) -> float:
    return 2.0 * float(abs(np.mean(samples * np.exp(-2j * np.pi * frequency_hz * times))))


@pytest.mark.parametrize(
    ("temperature_c", "db_per_km"),
    [(10.0, (0.1, 0.4, 1.0, 1.9, 3.7, 9.7, 32.8, 117.0)), (20.0, (0.1, 0.3, 1.1, 2.8, 5.0, 9.0, 22.9, 76.6))],
)
def test_air_absorbs_as_the_table_of_iso_9613_2_says(temperature_c: float, db_per_km: tuple[float, ...]) -> None:
    bands = 1000.0 * 2.0 ** np.arange(-4, 4)
    got = 1000.0 * Air(temperature_c, 70.0).absorption_db_per_m(bands)
    np.testing.assert_allclose(got, db_per_km, rtol=0.02, atol=0.06)


def test_sound_left_when_distance_over_speed_says() -> None:
    velocity, start = np.array([30.0, -4.0, 1.0]), np.array([-200.0, 50.0, 60.0])
    heard = np.linspace(0.0, 10.0, 101)
    path = straight(start, velocity)
    emitted = emission_times(path, EAR[0], heard, 340.0)
    distance = np.linalg.norm(path(emitted), axis=1)
    np.testing.assert_allclose(340.0 * (heard - emitted), distance, atol=1e-6)
    with pytest.raises(ValueError, match="as fast as sound"):
        emission_times(straight(start, [400.0, 0.0, 0.0]), EAR[0], heard, 340.0)


def test_a_tone_that_comes_nearer_is_higher_by_doppler_and_louder_by_distance() -> None:
    air = Air()
    times = np.arange(int(RATE)) / RATE
    speed, start = 40.0, 500.0
    heard = field([tone(straight([start, 0.0, 0.0], [-speed, 0.0, 0.0]), 200.0)], EAR, times, air)[0]
    shifted = 200.0 / (1.0 - speed / air.speed_mps)
    spectrum = np.abs(np.fft.rfft(heard * np.hanning(len(heard)), 16 * len(heard)))
    assert np.argmax(spectrum) / 16.0 == pytest.approx(shifted, abs=0.1)
    emitted = (0.5 - start / air.speed_mps) / (1.0 - speed / air.speed_mps)  # of what is heard at 0.5 s
    distance = start - speed * emitted
    middle = slice(int(0.4 * RATE), int(0.6 * RATE))
    loss = 10 ** (-float(air.absorption_db_per_m(200.0)) * distance / 20.0)
    got = np.sqrt(2.0 * np.mean(heard[middle] ** 2))
    assert got == pytest.approx(loss / distance, rel=0.01)


def test_the_ground_adds_its_image() -> None:
    air, frequency, ear = Air(), 500.0, np.array([[0.0, 0.0, 1.5]])
    source = np.array([40.0, 0.0, 12.0])
    times = np.arange(int(RATE)) / RATE
    heard = field([tone(still(source), frequency)], ear, times, air, Ground(0.0, 0.7))[0]
    direct, image = np.linalg.norm(source - ear[0]), np.linalg.norm(source * [1, 1, -1] - ear[0])
    loss = float(air.absorption_db_per_m(frequency))
    paths = [(1.0, direct), (0.7, image)]
    turns = -2j * np.pi * frequency / air.speed_mps
    sum_of_paths = sum(share * 10 ** (-loss * d / 20.0) / d * np.exp(turns * d) for share, d in paths)
    assert amplitude_of(heard, frequency, times) == pytest.approx(abs(sum_of_paths), rel=1e-3)


def test_a_rotor_follows_its_speed_and_loses_its_high_harmonics_in_the_air() -> None:
    rotor = Rotor(still([1.0, 0.0, 0.0]), (0.0, 2.0), (3000.0, 6000.0), 2, (1.0, 0.0, 0.5))
    times = np.linspace(-0.5, 2.5, 7)
    steps = np.linspace(-0.5, 2.5, 300_001)
    frequency = rotor.frequency_hz(steps)
    turned = np.concatenate([[0.0], np.cumsum(0.5 * (frequency[1:] + frequency[:-1]) * np.diff(steps))])
    turned -= np.interp(0.0, steps, turned)
    phase = 2.0 * np.pi * np.interp(times, steps, turned)
    near = rotor.pressure(times, np.zeros(7), Air())
    np.testing.assert_allclose(near, np.cos(phase) + 0.5 * np.cos(3 * phase), atol=1e-5)
    far = Rotor(still([0.0, 0.0, 0.0]), (0.0,), (60_000.0,), 4, (1.0,)).pressure(np.zeros(1), np.array([500.0]), Air())
    assert far[0] == pytest.approx(10 ** (-float(Air().absorption_db_per_m(4000.0)) * 25.0))


def test_a_recording_travels_like_a_tone() -> None:
    """A recorded tone and the exact one give the same field, also while moving."""
    count = int(2 * RATE)
    stored = np.cos(2.0 * np.pi * 1000.0 * np.arange(count) / RATE)
    path = through([0.0, 2.0], [[100.0, 0.0, 30.0], [70.0, 20.0, 30.0]])
    times = np.arange(int(0.6 * RATE), int(1.8 * RATE)) / RATE
    ears = np.array([[0.0, 0.0, 0.0], [0.3, 0.0, 0.0]])
    emitters: list[Emitter] = [tone(path, 1000.0), Recorded(path, stored, RATE)]
    exact, played = (field([emitter], ears, times) for emitter in emitters)
    assert np.sqrt(np.mean((exact - played) ** 2) / np.mean(exact**2)) < 2e-3
    before = field([Recorded(still([100.0, 0.0, 0.0]), stored, RATE)], EAR, np.arange(2000) / RATE)
    assert not before.any()  # it takes 0.29 s


def array_scene() -> tuple[list[Emitter], FloatArray]:
    """A drone that turns, a hovering one that rushes, and microphones half a metre across."""
    angles = np.linspace(0.0, 4.0, 41)
    turning = smooth(
        angles - 1.0,
        np.stack([30.0 * np.cos(0.4 * angles), 30.0 * np.sin(0.4 * angles), 20.0 + 0.0 * angles], axis=1),
        np.stack([-12.0 * np.sin(0.4 * angles), 12.0 * np.cos(0.4 * angles), 0.0 * angles], axis=1),
    )
    noise = np.random.default_rng(5).standard_normal(40_000)
    band = np.convolve(noise, np.hanning(16) / 8.0, mode="same")  # below about 2 kHz
    still_there = still([-15.0, 8.0, 6.0])
    emitters: list[Emitter] = [
        Rotor(turning, (0.0, 2.0), (4800.0, 5600.0), 2, tuple(1.0 / np.arange(1.0, 15.0)), tuple(np.arange(14.0))),
        tone(still_there, 700.0),
        Recorded(still_there, band, RATE),
    ]
    microphones = np.random.default_rng(6).uniform(-0.25, 0.25, (6, 3))
    microphones[:, 2] += 1.5
    return emitters, microphones


def test_the_quick_field_of_an_array_is_the_exact_one() -> None:
    emitters, microphones = array_scene()
    times = 1.0 + np.arange(4_000) / RATE
    quick = array_field(emitters, microphones, 1.0, len(times), RATE, ground=Ground())
    for m, (ours, exact) in enumerate(zip(quick, field(emitters, microphones, times, ground=Ground()), strict=True)):
        assert np.sqrt(np.mean((ours - exact) ** 2) / np.mean(exact**2)) < 2e-3, m


def test_blocks_of_the_quick_field_fit_together() -> None:
    emitters, microphones = array_scene()
    whole = array_field(emitters, microphones, 1.0, 3_000, RATE)
    starts = (0, 800, 801, 2_000)
    parts = [
        array_field(emitters, microphones, 1.0 + a / RATE, b - a, RATE)
        for a, b in zip(starts, (*starts[1:], 3_000), strict=True)
    ]
    assert np.max(np.abs(np.concatenate(parts, axis=1) - whole)) < 1e-3 * whole.std()


def test_nothing_is_heard_before_a_recording_begins() -> None:
    late = Recorded(still([100.0, 0.0, 0.0]), np.ones(1000), RATE)
    assert not array_field([late], np.zeros((2, 3)), -3.0, 500, RATE).any()


def test_wind_is_each_microphones_own_and_falls_as_kolmogorov_says() -> None:
    noise = wind_noise(np.random.default_rng(1), 4, 200_000, RATE)
    np.testing.assert_allclose(np.corrcoef(noise), np.eye(4), atol=0.02)
    power = np.abs(np.fft.rfft(noise)) ** 2
    frequency = np.fft.rfftfreq(noise.shape[1], 1.0 / RATE)

    def level(centre_hz: float) -> float:
        return float(np.mean(power[:, (frequency > 0.8 * centre_hz) & (frequency < 1.25 * centre_hz)]))

    assert level(3000.0) / level(300.0) == pytest.approx(10.0 ** (-5.0 / 3.0), rel=0.15)


def test_turbulence_takes_coherence() -> None:
    sigma, frequency = 40e-6, 2000.0
    late = turbulence(np.random.default_rng(2), 2, 400_000, RATE, sigma, 0.01)
    assert late.std() == pytest.approx(sigma, rel=0.1)
    coherence = abs(np.mean(np.exp(2j * np.pi * frequency * (late[0] - late[1]))))
    assert coherence == pytest.approx(math.exp(-((2 * np.pi * frequency * sigma) ** 2)), rel=0.1)


def test_snr_is_the_ratio_of_powers() -> None:
    generator = np.random.default_rng(3)
    sound, noise = generator.standard_normal((2, 1, 5000))
    added = at_snr(sound, noise, -5.0) - sound
    assert 10.0 * np.log10(np.mean(sound**2) / np.mean(added**2)) == pytest.approx(-5.0)
