"""The recordings as training draws from them: every picture of the grid, and any view of any of them, on one device.

Pictures lie in one long row of bytes, read once from the videos into a file: mapped into memory on the CPU, held by the
device on a GPU. Each plane has copies of itself, halved again and again (mip-maps, Williams 1983), so that a view that
shrinks is drawn from one that is already smooth, and nothing aliases.
"""

from __future__ import annotations

import hashlib
import itertools
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
import torch
from rich.progress import track
from torch import Tensor

from models.detector import PICTURE_SCALE
from models.halmstad import Clip, DatasetError, decode
from models.planes import spatial_planes
from models.types import Band

#: Every third frame of 30 a second, and their distance in time: what the ages of the time planes are multiples of.
GRID = 3
GRID_S = 0.1
#: Copies of each plane, the first as the camera gave it, each half as wide as the one before.
LEVELS = 4
_CHUNK = 1 << 28  # bytes moved to a device at once


class Footage:
    """All labelled pictures of some clips of one band.

    Attributes:
        device: where they are.
        first, count: int64 [clips], the pictures of each clip: `first` is an index into all pictures.
        sides: int64 [pictures, 2], width and height in network pixels.
    """

    def __init__(self, clips: list[Clip], band: Band, folder: Path, device: torch.device) -> None:
        data, index = _files(folder, clips, band)
        if not index.is_file():
            _read(clips, data, index)
        with np.load(index) as saved:
            self.count, self.sides = saved["count"], saved["sides"]
        self.device, self._scale = device, PICTURE_SCALE[band]
        self.first = np.cumsum(self.count) - self.count
        self._starts = torch.from_numpy(_starts(self.sides, band)).to(device)
        self._sides = torch.from_numpy(self.sides).to(device)
        self._bytes = _on(device, data)

    def luma(self, pictures: Tensor, warp: Tensor, size: int) -> Tensor:
        """Brightness of pictures [B] through `warp`: float32 [B, size, size], 0..255.

        Args:
            warp: float32 [B, 2, 3], from network pixels to pixels of the view; both count from the edge of the first.
        """
        return self._look(0, pictures, _from_finer(warp, self._scale), size, self._scale)

    def chroma(self, pictures: Tensor, warp: Tensor, size: int) -> Tensor:
        """Colour, U and V, float32 [B, 2, size, size]; with no planes where the band has none."""
        if self._scale == 1:
            return torch.empty(len(pictures), 0, size, size, device=self.device)
        return torch.stack([self._look(plane, pictures, warp, size, 1) for plane in (1, 2)], 1)

    def _look(self, plane: int, pictures: Tensor, warp: Tensor, size: int, scale: int) -> Tensor:
        zoom = torch.linalg.det(warp[:, :, :2]).abs().sqrt()
        level = (-zoom.log2()).round().clamp(0, LEVELS - 1).long()
        start = self._starts[plane, level, pictures][:, None, None]
        width, height = ((self._sides[pictures] * scale) >> level[:, None]).clamp(min=1).unbind(1)
        back = torch.linalg.inv(warp[:, :, :2]) / (2.0**level)[:, None, None]
        at = torch.arange(size, device=self.device) + 0.5
        shifted = [at[None] - warp[:, axis, 2:] for axis in (0, 1)]  # [B, size] each: along x, along y
        x, y = (
            (back[:, row, :1] * shifted[0])[:, None, :] + (back[:, row, 1:] * shifted[1])[:, :, None] - 0.5
            for row in (0, 1)
        )
        return _between(self._bytes, start, x, y, width[:, None, None], height[:, None, None])


def _between(row: Tensor, start: Tensor, x: Tensor, y: Tensor, width: Tensor, height: Tensor) -> Tensor:
    """Bilinear values of planes of width x height that begin at `start` in the row, their border repeated."""
    x, y = torch.minimum(x.clamp(min=0), width - 1.0), torch.minimum(y.clamp(min=0), height - 1.0)
    left, top = x.floor(), y.floor()
    dx, dy = x - left, y - top
    left, top = left.long(), top.long()
    right = torch.minimum(left + 1, width - 1)
    upper, lower = start + top * width, start + torch.minimum(top + 1, height - 1) * width
    above = torch.lerp(row[upper + left].float(), row[upper + right].float(), dx)
    below = torch.lerp(row[lower + left].float(), row[lower + right].float(), dx)
    return torch.lerp(above, below, dy)


def _from_finer(warp: Tensor, scale: int) -> Tensor:
    """The warp from pixels `scale` times finer than network pixels."""
    return torch.cat((warp[:, :, :2] / scale, warp[:, :, 2:]), 2)


def _files(folder: Path, clips: list[Clip], band: Band) -> tuple[Path, Path]:
    told = [f"{clip.video} {clip.video.stat().st_size} {clip.labelled_frames}" for clip in clips]
    key = hashlib.sha256("\n".join([str(GRID), str(LEVELS), *told]).encode()).hexdigest()[:12]
    return folder / f"{band}-{key}.bin", folder / f"{band}-{key}.npz"


def _read(clips: list[Clip], data: Path, index: Path) -> None:
    """Write all pictures to `data`, and to `index` how many each clip gave and how large."""
    data.parent.mkdir(parents=True, exist_ok=True)
    partial = data.with_suffix(".partial")
    counts, sides = [], []
    at_once = os.cpu_count() or 1
    groups = [clips[first : first + at_once] for first in range(0, len(clips), at_once)]
    with partial.open("wb") as out, ThreadPoolExecutor(at_once) as pool:
        for group in track(groups, description="reading clips", transient=True):
            for of_clip in pool.map(_pictures, group):
                counts.append(len(of_clip))
                sides += [(spatial.shape[2], spatial.shape[1]) for spatial in of_clip]
                for spatial in of_clip:
                    _write(out, spatial)
    if not sides:
        raise DatasetError("None of the clips has a labelled frame.")
    partial.rename(data)
    np.savez(index, count=np.array(counts, np.int64), sides=np.array(sides, np.int64))


def _pictures(clip: Clip) -> list[np.ndarray]:
    """Spatial planes of the labelled pictures of the grid."""
    decoded = itertools.islice(decode(clip), clip.labelled_frames)
    return [spatial_planes(pixels, clip.band) for frame, pixels in enumerate(decoded) if frame % GRID == 0]


def _write(out: BinaryIO, spatial: np.ndarray) -> None:
    """One picture, plane by plane and level by level."""
    planes = [spatial[0]] if len(spatial) == 1 else [_whole(spatial[:4]), spatial[4], spatial[5]]
    for plane in planes:
        of_level = plane
        for level in range(LEVELS):
            if level:
                low = (max(plane.shape[1] >> level, 1), max(plane.shape[0] >> level, 1))
                of_level = cv2.resize(of_level, low, interpolation=cv2.INTER_AREA)
            out.write(np.ascontiguousarray(of_level).data)


def _whole(phases: np.ndarray) -> np.ndarray:
    """The four luma planes of a visible picture put together: uint8 [2 h, 2 w]."""
    _, height, width = phases.shape
    return phases.reshape(2, 2, height, width).transpose(2, 0, 3, 1).reshape(2 * height, 2 * width)


def _starts(sides: np.ndarray, band: Band) -> np.ndarray:
    """int64 [planes, LEVELS, pictures]: where each level of each plane of each picture begins."""
    scales = [1] if PICTURE_SCALE[band] == 1 else [PICTURE_SCALE[band], 1, 1]
    sizes = [np.maximum((sides * scale) >> level, 1).prod(1) for scale in scales for level in range(LEVELS)]
    in_file = np.stack(sizes, 1)  # in the order of the file
    ends = np.cumsum(in_file.reshape(-1)).reshape(in_file.shape)
    return (ends - in_file).T.reshape(len(scales), LEVELS, len(sides))


def _on(device: torch.device, data: Path) -> Tensor:
    """The bytes of a file: mapped on the CPU, copied to another device piece by piece."""
    size = data.stat().st_size
    mapped = torch.from_file(str(data), shared=False, size=size, dtype=torch.uint8)
    if device.type == "cpu":
        return mapped
    there = torch.empty(size, dtype=torch.uint8, device=device)
    for start in range(0, size, _CHUNK):
        there[start : start + _CHUNK] = mapped[start : start + _CHUNK]
    return there
