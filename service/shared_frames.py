"""A ring of pictures in memory that two processes share, handed over by ownership.

A slot belongs to the writer until it is announced and to the reader until it is given back, so neither ever looks at a
half-written picture and no lock is shared with a process that may be killed at any moment. The memory has no name: it
ends with the last process that holds it, however that process ends. Only pages that were written to cost memory, so
each slot is as large as the largest picture allowed and a stream may change its size at will.
"""

from __future__ import annotations

import math
import mmap
import os
import tempfile

import numpy as np
from numpy.typing import NDArray

from fusion.sensors.camera.source import MAX_PIXELS

SLOTS = 4  # one being written, one announced, one being read, one to spare
SLOT_BYTES = -(-MAX_PIXELS * 3 // mmap.ALLOCATIONGRANULARITY) * mmap.ALLOCATIONGRANULARITY

Shape = tuple[int, int, int]


def allocate() -> int:
    """A file descriptor of memory for one ring; close it once both sides have mapped it.

    Raises:
        OSError: the machine is out of file descriptors or memory.
    """
    descriptor = _unnamed_memory()
    os.ftruncate(descriptor, SLOTS * SLOT_BYTES)
    return descriptor


class FrameRing:
    """One side's view of the memory behind `descriptor`."""

    def __init__(self, descriptor: int) -> None:
        self._memory = mmap.mmap(descriptor, SLOTS * SLOT_BYTES)

    def slot(self, index: int, shape: Shape) -> NDArray[np.uint8]:
        """The picture in a slot, uint8 [H, W, C], without a copy.

        Raises:
            ValueError: no such slot, or a shape that does not fit in one.
        """
        size = math.prod(shape)
        if not (0 <= index < SLOTS and len(shape) == 3 and min(shape) > 0 and size <= SLOT_BYTES):
            raise ValueError(f"no slot {index} of shape {shape}")
        return np.frombuffer(self._memory, np.uint8, count=size, offset=index * SLOT_BYTES).reshape(shape)


def _unnamed_memory() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("frames")
    with tempfile.TemporaryFile() as file:  # macOS
        return os.dup(file.fileno())
