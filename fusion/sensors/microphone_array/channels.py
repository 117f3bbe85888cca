"""What is wrong with the channels of an array: dead, clipped, unlike the others, inverted, swapped.

An array's geometry says how late each microphone may hear what another heard. Channels that cannot be brought into line
are named here, because a direction computed from them would be wrong with a small error bar.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fusion.geometry import FloatArray
from fusion.sensors.microphone_array.measure import DirectionFinder
from fusion.sensors.microphone_array.steering import Columns

_DEAD_BELOW = 1e-3  # of the median channel's root mean square
_CLIPPED_SHARE = 1e-3  # of the samples at the very top
_LEAST_STEPS = 50.0
_LEAST_COHERENCE = 0.15
_CLEARLY_BETTER = 1.5


class Kind(StrEnum):
    """What may be wrong, and what is to be done."""

    DEAD = "is dead: look at its plug"
    CLIPPED = "is clipped: turn its gain down"
    INVERTED = "is inverted: exchange its two wires (directions are computed as if they were)"
    SWAPPED = "are swapped: exchange their plugs, or their lines in the array file (directions are computed so)"


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with which channels, counted from 0; for people they count from 1."""

    kind: Kind
    channels: tuple[int, ...]

    def __str__(self) -> str:
        names = " and ".join(str(channel + 1) for channel in self.channels)
        return f"channel{'s' if len(self.channels) > 1 else ''} {names} {self.kind.value}"


def mended(samples: NDArray[np.float32], faults: Sequence[Fault]) -> NDArray[np.float32]:
    """Samples `[M, N]` as they would be with inverted and swapped channels wired right."""
    right = samples.copy()
    for fault in faults:
        if fault.kind is Kind.INVERTED:
            right[fault.channels[0]] *= -1.0
        elif fault.kind is Kind.SWAPPED:
            right[list(fault.channels)] = right[list(reversed(fault.channels))]
    return right


def level_faults(samples: ArrayLike) -> list[Fault]:
    """Dead and clipped channels of `[M, N]`; no array is needed for it."""
    heard = np.asarray(samples, np.float64)
    size = heard.std(axis=1)
    usual = float(np.median(size))
    dead = size <= _DEAD_BELOW * usual if usual > 0.0 else size <= 0.0
    faults = [Fault(Kind.DEAD, (int(m),)) for m in np.flatnonzero(dead)]
    return faults + [Fault(Kind.CLIPPED, (int(m),)) for m in np.flatnonzero(~dead) if _clipped(np.abs(heard[m]))]


def _clipped(size: FloatArray) -> bool:
    """Many samples at the very top; not where the sound is so soft that it has few steps at all."""
    top, least = float(size.max()), float(size[size > 0.0].min())
    return top > _LEAST_STEPS * least and float((size >= top * (1.0 - 1e-6)).mean()) > _CLIPPED_SHARE


def wiring_faults(finder: DirectionFinder, windows: NDArray[np.float32]) -> list[Fault]:
    """Inverted and swapped channels, from windows `[W, M, N]` in which something is heard from somewhere.

    Each single mend (one channel inverted, two exchanged) is tried on the loudest-steered windows: a mend is needed
    where it raises the best steered power clearly. Silence about a fault is no proof that there is none.
    """
    columns = _clearest(finder, windows)
    if not columns:
        return []
    count = len(columns[0])
    as_wired = _strength(finder, columns, np.arange(count), np.ones(count))
    options: list[tuple[float, Fault]] = []
    for m in range(count):
        signs = np.where(np.arange(count) == m, -1.0, 1.0)
        power = _strength(finder, columns, np.arange(count), signs)
        options.append((power, Fault(Kind.INVERTED, (m,))))
    for a, b in combinations(range(count), 2):
        order = np.arange(count)
        order[[a, b]] = b, a
        power = _strength(finder, columns, order, np.ones(count))
        options.append((power, Fault(Kind.SWAPPED, (a, b))))
    best, fault = max(options, key=lambda option: option[0])
    needed = best > _CLEARLY_BETTER * as_wired and best > _LEAST_COHERENCE
    return [fault] if needed else []


def _clearest(finder: DirectionFinder, windows: NDArray[np.float32], most: int = 8) -> list[Columns]:
    """The columns of the windows whose channels have most in common, whatever their wiring."""
    columns = [finder.evidence(window) for window in windows]
    return sorted(columns, key=lambda s: -_alike(s))[:most]


def _alike(columns: Columns) -> float:
    """How tonal a window is: a few strong frequencies carry it."""
    power = np.square(np.abs(columns)).sum(axis=0)
    return float(np.square(power).sum() / max(float(power.sum()) ** 2, 1e-30))


def _strength(finder: DirectionFinder, columns: list[Columns], order: NDArray[np.intp], signs: FloatArray) -> float:
    """Mean over windows of the best steered power, as a share of all in phase."""
    shares = []
    for each in columns:
        changed = (each[order] * signs[:, None]).astype(np.complex64)
        own = np.square(np.abs(changed))
        whole = float((np.square(np.abs(changed).sum(axis=0)) - own.sum(axis=0)).sum()) / 2.0
        shares.append(float(finder.power(changed).max()) / max(whole, 1e-30))
    return float(np.mean(shares))
