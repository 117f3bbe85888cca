"""All live tracks of one camera as columns: one array a quantity, one column a track, in order of id."""

from __future__ import annotations

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from models.types import CLASSES
from tracking.existence import Existence
from tracking.kalman import Gaussian

Array = NDArray[np.float64]
Integers = NDArray[np.int64]


class SnapshotError(ValueError):
    """Bytes that are not a snapshot of this version; the message says what is wrong with them."""


class Table(NamedTuple):
    """N live tracks.

    Attributes:
        id, born_ns, seen_ns: [N]; `seen_ns` is the time of the last detection.
        status: [N] codes of `tracking.lifecycle.CODE`.
        state: filter of centre x, centre y, width, height; each array [4, N], pixels.
        belief: existence, arrays [N].
        classes: [C, N] class probabilities.
    """

    id: Integers
    born_ns: Integers
    seen_ns: Integers
    status: NDArray[np.int8]
    state: Gaussian
    belief: Existence
    classes: Array

    @classmethod
    def empty(cls) -> Self:
        return cls.from_columns([np.zeros((*rows, 0), dtype=dtype) for dtype, rows in _LAYOUT])

    @classmethod
    def from_columns(cls, columns: list[NDArray[np.generic]]) -> Self:
        """Inverse of `columns`."""
        head, state, belief, (classes,) = columns[:4], columns[4:9], columns[9:11], columns[11:]
        return cls(*head, Gaussian(*state), Existence(*belief), classes)  # type: ignore[arg-type,call-arg]

    def columns(self) -> list[NDArray[np.generic]]:
        """Every array, tracks along the last axis, in the order of the layout."""
        return [self.id, self.born_ns, self.seen_ns, self.status, *self.state, *self.belief, self.classes]

    def keep(self, alive: NDArray[np.bool_]) -> Table:
        if alive.all():
            return self
        return Table.from_columns([column[..., alive] for column in self.columns()])

    def append(self, born: Table) -> Table:
        if len(born.id) == 0:
            return self
        pairs = zip(self.columns(), born.columns(), strict=True)
        return Table.from_columns([np.concatenate(pair, axis=-1) for pair in pairs])

    def to_bytes(self) -> bytes:
        return b"".join(
            np.ascontiguousarray(column, dtype=dtype).tobytes()
            for column, (dtype, _) in zip(self.columns(), _LAYOUT, strict=True)
        )

    @classmethod
    def from_bytes(cls, data: bytes, count: int) -> Self:
        """Raises SnapshotError when `data` is not exactly `count` tracks."""
        sizes = [np.dtype(dtype).itemsize * int(np.prod(rows)) * count for dtype, rows in _LAYOUT]
        if count < 0 or len(data) != sum(sizes):
            raise SnapshotError(f"Snapshot of {count} tracks should hold {sum(sizes)} bytes, not {len(data)}")
        ends = np.cumsum(sizes).tolist()
        parts = [data[end - size : end] for size, end in zip(sizes, ends, strict=True)]
        columns = [
            np.frombuffer(part, dtype=dtype).reshape(*rows, count).astype(np.dtype(dtype).newbyteorder("="))
            for part, (dtype, rows) in zip(parts, _LAYOUT, strict=True)
        ]
        return cls.from_columns(columns)


#: Type on disk and leading shape of each column.
_LAYOUT: tuple[tuple[str, tuple[int, ...]], ...] = (
    *(("<i8", ()),) * 3,  # id, born_ns, seen_ns
    ("<i1", ()),  # status
    *(("<f8", (4,)),) * 5,  # state
    *(("<f8", ()),) * 2,  # belief
    ("<f8", (len(CLASSES),)),  # classes
)
