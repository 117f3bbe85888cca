"""What signals become: frames, and the evidence a network finds in them.

Every type here is immutable and is the whole vocabulary of the folder. Times are integer nanoseconds UTC,
set once at the source. Boxes are `[x, y, width, height]` in pixels of the full-size frame, origin top left.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Band = Literal["visible", "infrared"]
TimeSource = Literal["rtcp", "pts", "arrival", "simulated"]

#: The classes of the detector, in the order of every `class_scores` array.
CLASSES: tuple[str, ...] = ("drone", "bird", "airplane", "helicopter")


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture. It stays on the machine that captured it.

    Attributes:
        sensor_id: which camera.
        time_ns: mid-exposure, UTC nanoseconds, as good as the source allows (see `time_source`).
        sequence: counts every frame the source delivered, from 0; a gap means dropped frames.
        band: visible or infrared.
        pixels: uint8 [H, W, C]; C = 3 in BGR order for visible, C = 1 for infrared.
        time_source: `rtcp` the sender's own UTC; `pts` presentation time added to a known start;
            `arrival` the time it reached us less the configured latency; `simulated`.
        time_sigma_ns: standard deviation of `time_ns`.
        received_ns: when the frame reached this machine, UTC nanoseconds (latency is counted from `time_ns`).
    """

    sensor_id: str
    time_ns: int
    sequence: int
    band: Band
    pixels: NDArray[np.uint8]
    time_source: TimeSource = "arrival"
    time_sigma_ns: int = 0
    received_ns: int = 0


@dataclass(frozen=True, slots=True)
class Detections:
    """What the detector found in one frame; one per frame *also when empty*: a look that saw nothing is evidence.

    Attributes:
        sensor_id, time_ns, sequence: of the frame.
        width, height: of the full-size frame, pixels.
        boxes: float32 [N, 4], x, y, width, height in pixels.
        scores: float32 [N], the best class score of each box, 0..1, falling.
        class_scores: float32 [N, 4], one per name in `CLASSES`, 0..1, independent (they need not sum to 1).
    """

    sensor_id: str
    time_ns: int
    sequence: int
    width: int
    height: int
    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    class_scores: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.scores)
