"""How numbers are spread, kept in little memory for as long as a service runs; and how sure a rate is."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

from scipy.special import gammaincinv

_PER_E = 50  # boxes for each factor e: a quantile is right to 2 %
_LEAST = 1e-3


@dataclass(slots=True)
class Spread:
    """Positive numbers in boxes that grow by 2 %: a median is right to 2 % however many there were."""

    count: int = 0
    most: float = 0.0
    boxes: dict[int, int] = field(default_factory=dict)

    def add(self, value: float) -> None:
        self.count += 1
        self.most = max(self.most, value)
        box = round(_PER_E * math.log(max(value, _LEAST)))
        self.boxes[box] = self.boxes.get(box, 0) + 1

    def merge(self, other: Spread) -> None:
        """Add all of the other's numbers."""
        self.count += other.count
        self.most = max(self.most, other.most)
        for box, count in other.boxes.items():
            self.boxes[box] = self.boxes.get(box, 0) + count

    def quantile(self, share: float) -> float | None:
        """The value below which so large a share lies; None of nothing."""
        left = share * self.count
        for box in sorted(self.boxes):
            left -= self.boxes[box]
            if left <= 0.0:
                return min(math.exp(box / _PER_E), self.most)
        return None


class Rate(NamedTuple):
    """Events an hour, and between which rates the true one lies with a probability of 95 %."""

    per_hour: float
    low: float
    high: float


def poisson_rate(count: int, hours: float) -> Rate | None:
    """The rate of rare events: the exact interval of Garwood, Biometrika 28 (1936). None while no time has passed."""
    if hours <= 0.0:
        return None
    low = float(gammaincinv(count, 0.025)) if count else 0.0
    return Rate(count / hours, low / hours, float(gammaincinv(count + 1, 0.975)) / hours)
