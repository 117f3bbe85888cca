"""What a scenario's arrays hear: without seams, from where the drones were, and no more than is asked of a core."""

from __future__ import annotations

import numpy as np
import pytest

from fusion.geometry import direction_to_angles, wrap_angle
from fusion.sensors.microphone_array.measure import DirectionFinder
from service.simulated_sound import BLOCK_NS, sound_blocks
from simulation.scenario import read_scenario
from simulation.site import SimulatedSite

NS = 1_000_000_000
EPOCH_NS = 1_780_315_200 * NS
MICROPHONES = "[[0.3, 0, 0], [0, 0.3, 0], [-0.3, 0, 0], [0, -0.3, 0], [0.15, 0.15, 0.35], [-0.15, -0.15, 0.35]]"
TEXT = f"""
seed: 3
site: {{name: Here, origin: {{latitude: 50, longitude: 10, altitude: 100}}}}
weather: {{wind: 2, temperature: 5}}
sensors:
  - {{id: mic, kind: microphone_array, position: {{enu: [10, 0, 1]}}, microphones: {MICROPHONES}}}
faults:
  mic: {{clock: {{offset: 0.2}}, silent: [[2, 3]]}}
aircraft:
  - {{name: drone, class: drone, motion: {{kind: waypoints, points: [[60, 80, 30], [60, -80, 30]], speed: 15}}}}
  - {{name: gull, class: bird, motion: {{kind: orbit, centre: [0, 90, 15], axes: [[5, 0, 0], [0, 5, 0]], speed: 9}}}}
"""


@pytest.fixture(scope="module")
def site() -> SimulatedSite:
    return SimulatedSite(read_scenario(TEXT), EPOCH_NS)


def test_blocks_of_any_length_are_one_and_the_same_sound(site: SimulatedSite) -> None:
    ears = site.ears["mic"]
    whole = ears.samples(0, 3200)
    parts = np.concatenate([ears.samples(first, count) for first, count in ((0, 700), (700, 900), (1600, 1600))], 1)
    assert whole.shape == (6, 3200)
    np.testing.assert_allclose(parts, whole, atol=1e-3 * float(whole.std()))


def test_the_drone_is_heard_from_where_it_was_and_the_gull_is_not(site: SimulatedSite) -> None:
    ears = site.ears["mic"]
    places = ears.microphones_m - ears.microphones_m.mean(axis=0)
    finder = DirectionFinder(tuple(map(tuple, places)), ears.rate_hz, 1024, speed_mps=ears.air.speed_mps)
    for time_s in (3.0, 6.0, 9.0):
        found = finder.find(ears.samples(round(time_s * ears.rate_hz), 1024))
        drone = site.aircraft[0].trajectory
        middle, left_s = ears.microphones_m.mean(axis=0), time_s + 512 / ears.rate_hz
        for _ in range(20):
            away = drone.at(left_s).position - middle
            left_s = time_s + 512 / ears.rate_hz - float(np.linalg.norm(away)) / ears.air.speed_mps
        azimuth, elevation = direction_to_angles(away)
        assert abs(float(wrap_angle(found[0].azimuth_rad - azimuth))) < np.radians(2.0)
        assert abs(found[0].elevation_rad - float(elevation)) < np.radians(4.0)


def test_blocks_carry_the_arrays_own_time_and_are_missing_while_it_is_silent(site: SimulatedSite) -> None:
    blocks = [block for (_, block), _ in zip(sound_blocks(site, "mic"), range(35), strict=False)]
    assert [k for k, block in enumerate(blocks) if block is None] == list(range(20, 30))
    last = blocks[-1]
    assert last is not None
    assert last.time_ns == EPOCH_NS + 34 * BLOCK_NS + round(0.2 * NS)
    assert last.index == 34 * 1600, "what was not sent is counted, so that the gap shows"
