"""What each camera's errors are like, learned from the targets it follows.

For every report used, the posterior tells how large the white rest, the slow error and its part along the motion in
the picture were, uncertainty included: the M-step of expectation maximisation (Shumway and Stoffer 1982), forgotten
with a time constant. A part along the motion, proportional to the speed, is a wrong clock; its mean is taken out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from fusion.geometry import CameraModel
from fusion.settings import NoiseSettings

_LEAST_WHITE2 = 0.04
_LEAST_SLOW2 = 0.04
_LEAST_TIMING2 = 1e-6
_MOST_CLOCK_S = 1.0
_MOST_HEAVY2 = 25.0
_LEAST_TOLD = 0.02
_LEAST_SPEED2 = 25.0


@dataclass(slots=True)
class SensorNoise:
    """What is known of one camera's errors.

    Attributes:
        white2, learned2, timing2: variances of the white and the slow part, px², and of the timing, s².
        focal_px, prior2: pixels of a radian in the middle; slow variance before anything was learned.
        clock_s, clock_information: how late it stamps, and one over the variance of that.
    """

    white2: float
    learned2: float
    timing2: float
    focal_px: float
    prior2: float
    prior_share: float
    clock_s: float = 0.0
    clock_information: float = 0.0
    seen_ns: int = 0

    @classmethod
    def fresh(cls, settings: NoiseSettings, focal_px: float, attitude_sigma_rad: float = 0.0) -> SensorNoise:
        slow2 = focal_px**2 * (settings.slow_rad**2 + attitude_sigma_rad**2)
        information = 1.0 / settings.clock_prior_s**2
        return cls(
            settings.white_px**2,
            slow2,
            settings.timing_s**2,
            focal_px,
            prior2=slow2,
            prior_share=settings.prior_share,
            clock_information=information,
        )

    @property
    def slow2(self) -> float:
        """Variance of the slow part in the middle of the picture, px²: what was learned, not far below the prior."""
        return max(self.learned2, (self.learned2 + self.prior_share * self.prior2) / (1.0 + self.prior_share))

    def slow_covariance(self, image_speed: tuple[float, float], edge: float) -> tuple[float, float, float, float]:
        """The slow error's covariance, row by row, for a target at `image_speed`, px/s, where σ is `edge` times that
        of the middle."""
        u, v = image_speed
        slow2, cross = self.slow2 * edge * edge, self.timing2 * u * v
        return slow2 + self.timing2 * u * u, cross, cross, slow2 + self.timing2 * v * v

    def slow_rate(self, image_speed: tuple[float, float], settings: NoiseSettings) -> float:
        """How quickly the slow error of a target at `image_speed`, px/s, becomes another one, 1/s."""
        return math.hypot(*image_speed) / (settings.reach_rad * self.focal_px) + 1.0 / settings.slow_s


class Residuals(NamedTuple):
    """Posterior second moments of one report: white [2] and slow [2] means, and their 2×2 covariances.

    Plain lists: single numbers of an array cost more than all that is done with them.
    """

    white: list[float]
    white_cov: list[list[float]]
    slow: list[float]
    slow_cov: list[list[float]]
    image_speed: tuple[float, float]
    edge: float


def edge_factor(camera: CameraModel, point: tuple[float, ...]) -> float:
    """How much larger the slow error's σ is at a pixel than in the middle: lenses are known worst where they bend most.

    1 + ρ² with ρ the distance from the middle over half the diagonal.
    """
    u, v = 2.0 * point[0] - camera.width, 2.0 * point[1] - camera.height
    return 1.0 + (u * u + v * v) / (camera.width**2 + camera.height**2)


def follow(
    noise: SensorNoise, found: Residuals, elapsed_s: float, settings: NoiseSettings
) -> tuple[float, tuple[float, float], tuple[float, float]]:
    """Move `noise` towards what this report shows.

    Returns:
        The factor of σ at this place (the lens's edge, and heavy tails), and what the report tells of causes that all
        places share: weight (one over variance) [2] and value [2], px.
    """
    u, v = found.image_speed
    speed2 = u * u + v * v
    independent = 1.0 - math.exp(-2.0 * elapsed_s * noise.slow_rate(found.image_speed, settings))
    edge = found.edge * _heaviness(noise, found, speed2, settings.slow_freedom)
    edge2 = edge * edge
    told = _beyond_prior(noise, found, edge2, independent)
    (a, b), cov = found.white, found.white_cov
    white2 = 0.5 * (a * a + b * b + cov[0][0] + cov[1][1])
    rate = 1.0 - math.exp(-elapsed_s / settings.memory_s)
    noise.white2 = max(_LEAST_WHITE2, _towards(noise.white2, white2, rate))
    along, across, along_mean = _resolve(found, math.sqrt(speed2))
    rate = independent / settings.memory_looks
    sought = min(across / edge2, 9.0 * noise.slow2)
    noise.learned2 = max(_LEAST_SLOW2, noise.learned2 + rate * (sought - noise.learned2))
    slow2 = noise.slow2 * edge2
    timing2 = speed2 * noise.timing2
    excess = max(along - slow2, 0.0) / max(speed2, 1.0)
    noise.timing2 = max(_LEAST_TIMING2, _towards(noise.timing2, excess, rate * timing2 / (timing2 + slow2)))
    if speed2 >= _LEAST_SPEED2:
        prior2 = slow2 + noise.timing2 * speed2
        _learn_clock(noise, along_mean, along - along_mean**2, prior2, speed2, elapsed_s, independent, settings)
    return edge, *told


def _heaviness(noise: SensorNoise, found: Residuals, speed2: float, freedom: float) -> float:
    """Factor of σ that makes a slow error Student's t: the expected scale of a normal mixture, given what was found
    (Lange, Little and Taylor, JASA 84, 1989)."""
    (a, b), ((uu, _), (_, vv)) = found.slow, found.slow_cov
    expected2 = noise.slow2 * found.edge**2 + 0.5 * noise.timing2 * speed2
    distance2 = (a * a + b * b + uu + vv) / expected2
    return math.sqrt(min((freedom + distance2) / (freedom + 2.0), _MOST_HEAVY2))


def _beyond_prior(
    noise: SensorNoise, found: Residuals, edge2: float, independent: float
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Weight and value of what all places share, see `follow`.

    The posterior (mean m, variance V) holds its prior (zero, S): apart from that it is m S/(S − V) ± S/√(S − V), with
    what is new at every place.
    """
    weights, values = [0.0, 0.0], [0.0, 0.0]
    slow2 = noise.slow2 * edge2
    for k in (0, 1):
        prior2 = slow2 + noise.timing2 * found.image_speed[k] ** 2
        told2 = prior2 - found.slow_cov[k][k]
        if told2 > _LEAST_TOLD * prior2:
            weights[k] = independent * told2 / prior2**2
            values[k] = found.slow[k] * prior2 / told2
    return (weights[0], weights[1]), (values[0], values[1])


def _towards(old: float, new: float, rate: float) -> float:
    return old + rate * (min(new, 9.0 * old) - old)


def _resolve(found: Residuals, speed: float) -> tuple[float, float, float]:
    """Second moments of the slow error along and across the motion, and its mean along."""
    u, v = found.image_speed
    if speed < 1.0:
        u, v, speed = 1.0, 0.0, 1.0
    u, v = u / speed, v / speed
    (a, b), ((uu, uv), (_, vv)) = found.slow, found.slow_cov
    along_mean, across_mean = u * a + v * b, u * b - v * a
    along = along_mean**2 + u * u * uu + 2.0 * u * v * uv + v * v * vv
    across = across_mean**2 + v * v * uu - 2.0 * u * v * uv + u * u * vv
    return along, across, along_mean


def _learn_clock(
    noise: SensorNoise,
    mean: float,
    variance: float,
    prior2: float,
    speed2: float,
    elapsed_s: float,
    independent: float,
    settings: NoiseSettings,
) -> None:
    """One scalar Kalman step: the slow error along the motion is −speed × what is left of the clock's error.

    Its posterior (`mean`, `variance`) holds its prior, σ² about zero. What the reports say apart from that is
    `mean` σ²/(σ² − variance), with variance σ² variance/(σ² − variance).
    """
    told = independent * speed2 * max(prior2 - variance, 0.0) / prior2**2
    noise.clock_information = noise.clock_information * math.exp(-elapsed_s / settings.clock_memory_s) + told
    noise.clock_s -= independent * math.sqrt(speed2) * mean / prior2 / noise.clock_information
    noise.clock_s = min(max(noise.clock_s, -_MOST_CLOCK_S), _MOST_CLOCK_S)


def anchor_clocks(noises: list[SensorNoise]) -> None:
    """Take out what all clocks share, which no flight can show: the median camera is right by definition."""
    ordered = sorted(n.clock_s for n in noises)
    middle = len(ordered) // 2
    median = ordered[middle] if len(ordered) % 2 else 0.5 * (ordered[middle - 1] + ordered[middle])
    for noise in noises:
        noise.clock_s -= median
