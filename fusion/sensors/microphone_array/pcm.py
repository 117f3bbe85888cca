"""Raw samples as they travel: signed integers of 16, 24 or 32 bits or floats, channels interleaved."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

#: Bytes of one sample of each format.
FORMATS = {"s16le": 2, "s16be": 2, "s24le": 3, "s24be": 3, "s32le": 4, "s32be": 4, "f32le": 4, "f32be": 4}


@dataclass(frozen=True, slots=True)
class Pcm:
    """What raw samples are: `rate_hz` a second for each of `channels`, in one of `FORMATS`."""

    rate_hz: int
    channels: int
    format: str

    @property
    def frame_bytes(self) -> int:
        """Of one sample of every channel."""
        return self.channels * FORMATS[self.format]

    def decode(self, data: bytes) -> Samples:
        """Samples `[M, N]`, integers scaled to ±1, of whole frames.

        Raises:
            ValueError: not whole frames.
        """
        three = FORMATS[self.format] == 3
        values = _three_bytes(data, self.format) if three else np.frombuffer(data, _dtype(self.format))
        frames = values.reshape(-1, self.channels).T
        if self.format.startswith("f"):
            return np.ascontiguousarray(frames, np.float32)
        return np.ascontiguousarray(frames, np.float32) * np.float32(2.0 ** (1 - 8 * values.dtype.itemsize))


def _dtype(name: str) -> np.dtype[np.generic]:
    kind = {"s16": "i2", "s24": "i4", "s32": "i4", "f32": "f4"}[name[:3]]
    return np.dtype(("<" if name.endswith("le") else ">") + kind)


def _three_bytes(data: bytes, name: str) -> NDArray[np.generic]:
    """24 bits as the upper three bytes of 32."""
    raw = np.frombuffer(data, np.uint8).reshape(-1, 3)
    wide = np.zeros((len(raw), 4), np.uint8)
    wide[:, 1:] = raw if name.endswith("le") else raw[:, ::-1]
    return wide.view("<i4").ravel()
