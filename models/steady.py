"""A trembling camera: earlier pictures are moved onto the present one before the time planes compare them.

On a mast in the wind everything moves, so everything stands out in the time planes and nothing does. The shift of the
whole picture is found by phase correlation (Kuglin and Hines 1975) at half size and undone in whole pixels: to
interpolate would cost the sharpness that the smallest targets have. A picture is moved only if that makes it plainly
more alike, so that a wrong peak changes nothing.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

#: Pictures that differ by less on average, grey levels, show a camera that stands still; the work is spared on the CPU.
CALM = 1.0
#: A moved picture must differ by less than this share of what it did; and nothing moves further than this share.
MORE_ALIKE, FURTHEST = 0.8, 0.1


def steadied(now: Tensor, earlier: Tensor) -> Tensor:
    """Luma uint8 [B, h, w] and of the pictures before [B, T, h, w], which are given back as seen from now.

    What was outside an earlier picture is as it is now.
    """
    y, x = _shifts(now, earlier)
    moved = _moved(now, earlier, y, x)
    before, after = _apart(now, earlier), _apart(now, moved)
    height, width = now.shape[1:]
    near = (y.abs() <= FURTHEST * height) & (x.abs() <= FURTHEST * width)
    return torch.where((near & (before >= CALM) & (after < MORE_ALIKE * before))[:, :, None, None], moved, earlier)


def _apart(now: Tensor, earlier: Tensor) -> Tensor:
    """Mean difference [B, T] of every fourth pixel of every fourth row, grey levels."""
    difference = now[:, None, ::4, ::4].to(torch.int16) - earlier[:, :, ::4, ::4]
    return difference.abs().float().mean((2, 3))


def calm(now: Tensor, earlier: Tensor) -> bool:
    """Whether nothing would be moved, told at a fraction of the cost."""
    return bool((_apart(now, earlier) < CALM).all())


def _shifts(now: Tensor, earlier: Tensor) -> tuple[Tensor, Tensor]:
    """Whole pixels down and right, int64 [B, T] each, by which each earlier picture must go."""
    half = functional.avg_pool2d(torch.cat((now[:, None], earlier), 1).float(), 2, ceil_mode=True)
    height, width = half.shape[2:]
    rows, columns = (torch.hann_window(n, periodic=False, device=now.device) for n in (height, width))
    spectrum = torch.fft.rfft2((half - half.mean((2, 3), keepdim=True)) * rows[:, None] * columns)
    cross = spectrum[:, :1] * spectrum[:, 1:].conj()
    peaks = torch.fft.irfft2(cross / cross.abs().clamp(min=1e-6), s=(height, width))
    best = peaks.flatten(2).argmax(2)
    row, column = best // width, best % width
    return (_whole(peaks, row, column, 2, height), _whole(peaks.transpose(2, 3), column, row, 2, width))


def _whole(peaks: Tensor, at: Tensor, across: Tensor, scale: int, size: int) -> Tensor:
    """The peak's place along the third axis, in pixels `scale` times finer, by a parabola (its neighbours)."""
    line = peaks.gather(3, across[:, :, None, None].expand(-1, -1, size, 1))[..., 0]
    low, middle, high = (line.gather(2, ((at + step) % size)[:, :, None])[..., 0] for step in (-1, 0, 1))
    bend = (low - 2 * middle + high).clamp(max=-1e-9)
    offset = ((low - high) / (2 * bend)).clamp(-0.5, 0.5)
    signed = torch.where(at > size // 2, at - size, at)
    return (scale * (signed + offset)).round().long()


def _moved(now: Tensor, earlier: Tensor, down: Tensor, right: Tensor) -> Tensor:
    height, width = now.shape[1:]
    rows = torch.arange(height, device=now.device) - down[:, :, None]
    columns = torch.arange(width, device=now.device) - right[:, :, None]
    inside = ((rows >= 0) & (rows < height))[:, :, :, None] & ((columns >= 0) & (columns < width))[:, :, None]
    taken = earlier.gather(2, rows.clamp(0, height - 1)[:, :, :, None].expand(-1, -1, -1, width))
    taken = taken.gather(3, columns.clamp(0, width - 1)[:, :, None].expand(-1, -1, height, -1))
    return torch.where(inside, taken, now[:, None])
