"""The demo site: a visible and an infrared camera on one sky, three drones, a few birds and an airliner."""

from __future__ import annotations

import math

import numpy as np

from fusion.geometry import CameraModel
from simulation.camera import Camera
from simulation.landscape import Landscape
from simulation.scene import Scene
from simulation.shapes import Airliner, Bird, Quadcopter
from simulation.world import Aircraft, Limits, Orbit, Vector, WaypointFlight

VISIBLE, INFRARED = "demo-visible", "demo-infrared"

#: Where both cameras look, degrees from north. The fields of view are those of the recordings' cameras.
_AZIMUTH_DEG = 20.0
_LIMITS = Limits(speed=4.0, acceleration=2.0, jerk=4.0)


def demo_scene(seed: int = 7, epoch_ns: int = 0) -> Scene:
    """The same scene for the same seed, begun at `epoch_ns` UTC; other seeds move birds, routes and trees."""
    rng = np.random.default_rng(seed)
    drones = [_drone(number, rng) for number in (1, 2, 3)]
    birds = [_bird(number, rng) for number in range(11, 17)]
    return Scene(_cameras(), [*drones, *birds, _airliner(21)], Landscape(seed), epoch_ns)


def _cameras() -> tuple[Camera, Camera]:
    """640×512 with 26 degrees and 320×256 with 24, side by side, the horizon in the lower quarter of both."""
    visible = CameraModel.from_field_of_view(640, 512, math.radians(26.0))
    infrared = CameraModel.from_field_of_view(320, 256, math.radians(24.0))
    return (
        Camera(VISIBLE, "visible", visible, (0.0, 0.0, 2.0), _AZIMUTH_DEG, 6.0),
        Camera(INFRARED, "infrared", infrared, (0.3, 0.0, 2.0), _AZIMUTH_DEG, 5.0),
    )


def _place(right_deg: float, elevation_deg: float, ground_range_m: float) -> Vector:
    """ENU of a point by its direction from the cameras, `right_deg` from the middle of their picture."""
    azimuth = math.radians(_AZIMUTH_DEG + right_deg)
    height = 2.0 + ground_range_m * math.tan(math.radians(elevation_deg))
    return ground_range_m * math.sin(azimuth), ground_range_m * math.cos(azimuth), height


def _drone(number: int, rng: np.random.Generator) -> Aircraft:
    """Flies rounds of five waypoints within the view, each drone in its own band of distance."""
    near = (0.0, 28.0, 46.0, 64.0)[number]
    right = rng.permutation(np.linspace(-9.5, 9.5, 5)) + rng.uniform(-1.0, 1.0, 5)
    up, away = rng.uniform(5.0, 12.5, 5), near + rng.uniform(0.0, 14.0, 5)
    way = tuple(_place(float(r), float(u), float(d)) for r, u, d in zip(right, up, away, strict=True))
    body = Quadcopter(diagonal_m=(0.0, 0.35, 0.45, 0.6)[number], reflectance=(0.0, 0.2, 0.8, 0.16)[number])
    return Aircraft(number, "drone", WaypointFlight(way, _LIMITS, phase_s=float(rng.uniform(0.0, 60.0))), body, 0.25)


def _bird(number: int, rng: np.random.Generator) -> Aircraft:
    """Flies wide rounds that cross the view above the trees at 9 to 14 m/s."""
    centre = _place(float(rng.uniform(-7.0, 7.0)), float(rng.uniform(5.0, 11.0)), float(rng.uniform(110.0, 190.0)))
    half_m, depth_m, speed = rng.uniform(35.0, 90.0), rng.uniform(10.0, 35.0), rng.uniform(9.0, 14.0)
    azimuth = math.radians(_AZIMUTH_DEG + rng.uniform(-25.0, 25.0))
    turn = -1.0 if rng.random() < 0.5 else 1.0
    orbit = Orbit(
        centre,
        major=(float(half_m * math.cos(azimuth)), float(-half_m * math.sin(azimuth)), 0.0),
        minor=(float(turn * depth_m * math.sin(azimuth)), float(turn * depth_m * math.cos(azimuth)), 2.0),
        period_s=float(math.tau * half_m / speed),
        phase_rad=float(rng.uniform(0.0, math.tau)),
        bob_m=1.0,
        bobs=3,
    )
    wing = Bird(float(rng.uniform(0.6, 1.1)), float(rng.uniform(2.5, 5.0)), phase=float(rng.random()))
    return Aircraft(number, "bird", orbit, wing)


def _airliner(number: int) -> Aircraft:
    """Circles in a holding pattern some ten kilometres away, and crosses the view now and then."""
    east, north, _ = _place(6.0, 0.0, 12_000.0)
    orbit = Orbit((east, north, 1_900.0), (4_000.0, 0.0, 0.0), (0.0, 3_000.0, 0.0), period_s=190.0, phase_rad=2.0)
    return Aircraft(number, "airplane", orbit, Airliner(38.0))
