"""What is wrong with an array's channels, found by listening to some of its sound, and how to do with what is left."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from fusion.sensors.microphone_array.channels import Fault, Kind, level_faults, wiring_faults
from fusion.sensors.microphone_array.config import ArrayConfig
from fusion.sensors.microphone_array.measure import DirectionFinder
from fusion.sensors.microphone_array.pcm import Samples
from fusion.sensors.microphone_array.source import SoundError
from fusion.sensors.microphone_array.survey import Survey, survey

WINDOW_S = 0.093
_LOOKS = 40  # windows that wiring is told from
_SURVEYS = 8  # windows that the geometry is told from


@dataclass(frozen=True, slots=True)
class Wiring:
    """What some of an array's sound says about its channels.

    Attributes:
        faults: what is wrong, named.
        heard: the channel that is recognised.
        array: channels that directions are computed from, with the finder for them; None without an array.
        survey: what is wrong with the places of the microphones, empty where nothing shows it.
    """

    faults: tuple[Fault, ...]
    heard: int
    array: tuple[list[int], DirectionFinder] | None
    survey: str = ""

    @property
    def sentences(self) -> tuple[str, ...]:
        """All that is wrong, for people."""
        return (*map(str, self.faults), *([self.survey] if self.survey else []))


def window_of(rate_hz: int) -> int:
    """Samples in a look for directions: the power of two nearest to 93 ms."""
    return int(2 ** round(math.log2(WINDOW_S * rate_hz)))


def examine(name: str, samples: Samples, rate_hz: int, array: ArrayConfig | None) -> Wiring:
    """Look for faulty channels in samples `[M, N]` of what is called `name`. Directions do without dead ones while four
    are left, and with wrong wires mended.

    Raises:
        SoundError: what is left of the array, or the rate, does not do for directions.
    """
    faults = level_faults(samples)
    dead = {channel for fault in faults if fault.kind is Kind.DEAD for channel in fault.channels}
    heard = next((m for m in range(len(samples)) if not any(m in fault.channels for fault in faults)), 0)
    if array is None:
        return Wiring(tuple(faults), heard, None)
    alive = [m for m in range(len(samples)) if m not in dead]
    if len(alive) < 4:
        raise SoundError(f"{name} has only {len(alive)} channels with sound: directions need four")
    finder = _finder(name, tuple(array.microphones[m] for m in alive), rate_hz, array.speed_mps)
    windows = _windows(samples[alive], finder.window)
    crossed = wiring_faults(finder, windows)
    places = Survey()
    if not crossed:
        places = survey(windows[:: max(len(windows) // _SURVEYS, 1)], np.array(array.microphones)[alive], rate_hz)
        crossed = [Fault(Kind.SWAPPED, places.swapped)] if places.swapped else []
    named = [replace(fault, channels=tuple(alive[c] for c in fault.channels)) for fault in crossed]
    return Wiring((*faults, *named), heard, (alive, finder), places.fault)


def _windows(samples: Samples, window: int) -> Samples:
    """`[W, M, window]`, evenly spread."""
    step = max(samples.shape[1] // _LOOKS, 1)
    return np.stack([samples[:, start : start + window] for start in range(0, samples.shape[1] - window + 1, step)])


@lru_cache(maxsize=32)  # its tables take some 100 ms to make and are never changed
def _finder(
    name: str, places: tuple[tuple[float, float, float], ...], rate_hz: int, speed_mps: float
) -> DirectionFinder:
    try:
        return DirectionFinder(places, rate_hz, window_of(rate_hz), speed_mps=speed_mps)
    except ValueError as error:
        raise SoundError(f"{name} cannot give directions: {error}") from None
