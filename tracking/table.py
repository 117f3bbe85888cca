"""All live tracks of one camera as columns: one array a quantity, one column a track, in order of id."""

from __future__ import annotations

from itertools import accumulate
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from models.types import CLASSES
from tracking.existence import Existence
from tracking.kalman import Gaussian

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

#: Rows of real numbers: value, rate, var_value, cov, var_rate; existence; classes.
_COUNTS = (4, 2, 4, 2, 2, 2, len(CLASSES))
_ENDS = tuple(accumulate(_COUNTS))
_ROWS = tuple(slice(end - count, end) for end, count in zip(_ENDS, _COUNTS, strict=True))
NUMBERS, REALS = 4, _ENDS[-1]


class SnapshotError(ValueError):
    """Bytes that are not a snapshot of this version; the message says what is wrong with them."""


class Table(NamedTuple):
    """N live tracks.

    Attributes:
        id, born_ns, seen_ns: [N]; `seen_ns` is the time of the last detection.
        status: [N] codes of `tracking.lifecycle.CODE`.
        state: filter of centre x, centre y, which move, and width, height, which wander; pixels.
        belief: existence, arrays [N].
        classes: [C, N] class probabilities.
    """

    id: Integers
    born_ns: Integers
    seen_ns: Integers
    status: Integers
    state: Gaussian
    belief: Existence
    classes: Array

    @classmethod
    def empty(cls) -> Self:
        return cls.from_blocks(np.zeros((NUMBERS, 0), dtype=np.int64), np.zeros((REALS, 0)))

    @classmethod
    def from_blocks(cls, numbers: Integers, reals: Array) -> Self:
        """Inverse of `blocks`; the columns are rows of these arrays."""
        value, rate, var_value, cov, var_rate, (visible, hidden), classes = (reals[rows] for rows in _ROWS)
        state = Gaussian(value, rate, var_value, cov, var_rate)
        number, born_ns, seen_ns, status = numbers
        return cls(number, born_ns, seen_ns, status, state, Existence(visible, hidden), classes)

    def blocks(self) -> tuple[Integers, Array]:
        """Everything in two arrays, [NUMBERS, N] and [REALS, N], so that tracks come and go in few calls."""
        numbers = np.array([self.id, self.born_ns, self.seen_ns, self.status])
        return numbers, np.concatenate([*self.state, [*self.belief], self.classes])

    def renewed(self, alive: NDArray[np.bool_], born: Table | None) -> Table:
        """The tracks that are `alive` [N], and behind them those of `born`."""
        if born is None and alive.all():
            return self
        (kept,) = alive.nonzero()
        numbers, reals = self.blocks()
        numbers, reals = numbers.take(kept, axis=1), reals.take(kept, axis=1)
        if born is not None:
            more_numbers, more_reals = born.blocks()
            numbers = np.concatenate([numbers, more_numbers], axis=1)
            reals = np.concatenate([reals, more_reals], axis=1)
        return Table.from_blocks(numbers, reals)

    def to_bytes(self) -> bytes:
        numbers, reals = self.blocks()
        return numbers.astype("<i8").tobytes() + reals.astype("<f8").tobytes()

    @classmethod
    def from_bytes(cls, data: bytes, count: int) -> Self:
        """Raises SnapshotError when `data` is not exactly `count` tracks."""
        size = 8 * (NUMBERS + REALS) * count
        if count < 0 or len(data) != size:
            raise SnapshotError(f"Snapshot of {count} tracks should hold {size} bytes, not {len(data)}")
        numbers = np.frombuffer(data, "<i8", NUMBERS * count).reshape(NUMBERS, count).astype(np.int64)
        reals = np.frombuffer(data, "<f8", REALS * count, offset=numbers.nbytes).reshape(REALS, count)
        return cls.from_blocks(numbers, reals.astype(np.float64))
