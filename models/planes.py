"""From pictures to the planes the network looks at (what they are: `models.detector`). Numpy and OpenCV only.

At work the last step, `normalise`, is part of the network (`models.fuse.FromBytes`), so that bytes, not floats, go to
the device; training has it here, because crops are drawn on the CPU. A test holds the two together.
"""

from __future__ import annotations

import cv2
import numpy as np

from models.types import Band

#: Time planes are small differences: they are given this much more weight than the picture itself.
TIME_GAIN = 4.0
#: Bytes are divided by this, and the picture then has 1 taken off: about -1..1.
BYTE_SCALE = 128.0


def spatial_planes(pixels: np.ndarray, band: Band) -> np.ndarray:
    """uint8 [H, W, C] to uint8 [1 or 6, h, w]: infrared as it is; visible as four luma phases and two of chroma."""
    if band == "infrared":
        return gray(pixels)[None]
    height, width = even(pixels.shape[0]), even(pixels.shape[1])
    return unshuffle(i420(pixels), height, width)


def gray(pixels: np.ndarray) -> np.ndarray:
    """uint8 [H, W, 1 or 3] to uint8 [H, W]."""
    return pixels[:, :, 0] if pixels.shape[2] == 1 else cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)


def even(pixels: int) -> int:
    """A last odd row or column is left out; a picture one pixel wide or high is doubled."""
    return max(pixels & ~1, 2)


def i420(pixels: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """uint8 [H, W, 1 or 3] to I420 uint8 [H * 3 / 2, W] of its `even` size, into `out` where given."""
    height, width = even(pixels.shape[0]), even(pixels.shape[1])
    # `np.resize` repeats what is there.
    colour = (
        np.resize(pixels, (height, width, pixels.shape[2])) if min(pixels.shape[:2]) < 2 else pixels[:height, :width]
    )
    if colour.shape[2] == 1:
        colour = cv2.cvtColor(colour, cv2.COLOR_GRAY2BGR)
    return cv2.cvtColor(colour, cv2.COLOR_BGR2YUV_I420, dst=out)


def unshuffle(i420: np.ndarray, height: int, width: int) -> np.ndarray:
    """I420 uint8 [H * 3 / 2, W] to uint8 [6, H / 2, W / 2]: luma at the four places of each 2x2 block, then U, V."""
    y = i420[:height]
    chroma = i420[height:].reshape(2, height // 2, width // 2)
    return np.stack((y[0::2, 0::2], y[0::2, 1::2], y[1::2, 0::2], y[1::2, 1::2], chroma[0], chroma[1]))


def luma(spatial: np.ndarray) -> np.ndarray:
    """uint8 [1 or 6, h, w] to uint8 [h, w]: what is kept of a picture to compare later ones with."""
    if len(spatial) == 1:
        return spatial[0]
    return (np.add.reduce(spatial[:4], axis=0, dtype=np.uint16) >> 2).astype(np.uint8)


def normalise(spatial: np.ndarray, earlier: list[np.ndarray]) -> np.ndarray:
    """Planes as the network wants them: float32 [P, h, w], about -1..1.

    Args:
        spatial: uint8 [1 or 6, h, w].
        earlier: uint8 [h, w] each, `luma` of the pictures before (this one again where there is none).
    """
    count = len(spatial)
    now = luma(spatial)
    planes = np.empty((count + len(earlier), *now.shape), np.float32)
    np.multiply(spatial, np.float32(1 / BYTE_SCALE), out=planes[:count], casting="unsafe")
    planes[:count] -= 1.0
    for index, before in enumerate(earlier):
        cv2.subtract(now, before, dst=planes[count + index], dtype=cv2.CV_32F)
        planes[count + index] *= TIME_GAIN / BYTE_SCALE
    return planes
