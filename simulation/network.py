"""The way from a sensor to the site: messages get lost, come twice, and come late, so that some overtake others."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Network:
    """A pure function of the message's number: the same seed loses the same messages.

    Attributes:
        lost, repeated: shares of the messages, 0..1.
        delay_s: mean of an exponential delay, each message its own.
    """

    seed: int
    sensor_id: str
    lost: float = 0.0
    repeated: float = 0.0
    delay_s: float = 0.0

    def delays_ns(self, number: int) -> tuple[int, ...]:
        """How much later than at once the copies of message `number` arrive, ns; none: it is lost."""
        if not (self.lost or self.repeated or self.delay_s):
            return (0,)
        rng = np.random.default_rng((self.seed, 7, zlib.crc32(self.sensor_id.encode()), number))
        fate, *delays = rng.random(), *rng.exponential(self.delay_s, 2)
        copies = 0 if fate < self.lost else 2 if fate < self.lost + self.repeated else 1
        return tuple(round(delay * 1e9) for delay in delays[:copies])
