"""The detector: one small fully convolutional network, anchor-free, three scales, made for small things in sky.

    planes ─▶ stem C2 ─▶ C4 ─▶ C8 ─▶ C16          residual stages; sN = one cell per N x N network pixels
                          │     │      │
                          ▼     ▼      ▼
                         P4 ◀── P8 ◀── P16         top-down neck (FPN, Lin et al. 2017)
                          │     │      │
                          ▼     ▼      ▼
                        4 distances + 4 class logits a cell (FCOS, Tian et al. 2019)

*Planes* are what the network looks at, all at "network pixels": infrared at its own size; visible at half size
without losing its detail, because the four luma pixels of each 2x2 block become four planes, and chroma (which video
stores at half size anyway) two more. The other planes are time: the luma now less the luma 0.1, 0.2 and 0.5 s ago. A
target that moves against a still sky is plain there when it is hardly a smudge in the picture, and wings that flap
differ from wings that do not.

ReLU and batch normalisation only, so that everything folds into plain convolutions for inference.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.types import CLASSES, Band

STRIDES = (4, 8, 16)
#: Network pixels are this many picture pixels wide.
PICTURE_SCALE: dict[str, int] = {"infrared": 1, "visible": 2}
#: Planes of the picture itself.
SPATIAL: dict[str, int] = {"infrared": 1, "visible": 6}


@dataclass(frozen=True)
class Architecture:
    """Widths of the network, and the ages of the pictures its time planes compare with, s; saved with the weights."""

    band: Band
    history: tuple[float, ...] = (0.1, 0.2, 0.5)
    stem: int = 16
    fine: int = 0  # residual blocks of the stem, where a distant thing is still a few cells wide
    widths: tuple[int, int, int] = (24, 48, 96)
    blocks: tuple[int, int, int] = (1, 2, 2)
    neck: tuple[int, int, int] = (32, 48, 64)

    @property
    def planes(self) -> int:
        """All that the network looks at: the picture's planes and one for each age."""
        return SPATIAL[self.band] + len(self.history)

    def to_dict(self) -> dict[str, object]:
        return asdict(self)


#: Networks by name: what each has otherwise than the small one.
SIZES: dict[str, dict[str, Any]] = {
    "small": {},
    "large": {
        "stem": 24,
        "fine": 1,
        "widths": (40, 72, 128),
        "blocks": (2, 2, 2),
        "neck": (48, 64, 80),
    },
}


class Conv(nn.Sequential):
    """Convolution, batch normalisation, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(outputs, momentum=0.03, eps=1e-3),
            nn.ReLU(inplace=True),
        )


class Residual(nn.Module):
    """Two 3x3 convolutions around a shortcut (He et al. 2016)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = Conv(width, width)
        self.second = nn.Sequential(
            nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width, momentum=0.03, eps=1e-3)
        )

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(x + self.second(self.first(x)))


def _stage(inputs: int, width: int, blocks: int) -> nn.Sequential:
    return nn.Sequential(Conv(inputs, width, 3, 2), *(Residual(width) for _ in range(blocks)))


class DetectorNetwork(nn.Module):
    """Planes float32 [B, P, H, W] (H, W multiples of 16) to raw cells [B, 4 + classes, h, w] for each stride."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        c4, c8, c16 = architecture.widths
        n4, n8, n16 = architecture.neck
        b4, b8, b16 = architecture.blocks
        self.stem = Conv(architecture.planes, architecture.stem, 3, 2)
        self.fine = nn.Sequential(*(Residual(architecture.stem) for _ in range(architecture.fine)))
        self.stage4 = _stage(architecture.stem, c4, b4)
        self.stage8 = _stage(c4, c8, b8)
        self.stage16 = _stage(c8, c16, b16)
        self.neck16 = Conv(c16, n16)
        self.join8 = Conv(c8 + n16, n8, 1)
        self.neck8 = Conv(n8, n8)
        self.join4 = Conv(c4 + n8, n4, 1)
        self.neck4 = Conv(n4, n4)
        self.heads = nn.ModuleList(nn.Conv2d(width, 4 + len(CLASSES), 1) for width in architecture.neck)
        self._start_quietly()

    def _start_quietly(self) -> None:
        """Bias the classes so that a new network says 'nothing here' (focal loss, Lin et al. 2017, section 4.1)."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        for head in self.heads:
            nn.init.normal_(head.weight, std=0.01)
            nn.init.constant_(head.bias[:4], 1.0)
            nn.init.constant_(head.bias[4:], -4.6)

    def forward(self, planes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x4 = self.stage4(self.fine(self.stem(planes)))
        x8 = self.stage8(x4)
        p16 = self.neck16(self.stage16(x8))
        p8 = self.neck8(self.join8(torch.cat((x8, _double(p16)), 1)))
        p4 = self.neck4(self.join4(torch.cat((x4, _double(p8)), 1)))
        return self.heads[0](p4), self.heads[1](p8), self.heads[2](p16)


def _double(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="nearest")


def cell_centres(height: int, width: int, stride: int, device: torch.device | str = "cpu") -> Tensor:
    """float32 [height * width, 2]: x, y of the middle of each cell, network pixels, row by row."""
    y, x = torch.meshgrid(
        torch.arange(height, device=device, dtype=torch.float32),
        torch.arange(width, device=device, dtype=torch.float32),
        indexing="ij",
    )
    return (torch.stack((x, y), -1).reshape(-1, 2) + 0.5) * stride


def flatten(cells: tuple[Tensor, ...]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """All scales in one list of A cells.

    Returns:
        boxes [B, A, 4]: x1, y1, x2, y2 in network pixels.
        logits [B, A, classes].
        centres [A, 2] and strides [A], network pixels.
    """
    boxes, logits, centres, strides = [], [], [], []
    for raw, stride in zip(cells, STRIDES, strict=True):
        _, _, height, width = raw.shape
        rows = raw.flatten(2).transpose(1, 2)
        middle = cell_centres(height, width, stride, raw.device)
        distance = functional.softplus(rows[..., :4].float()) * stride
        boxes.append(torch.cat((middle - distance[..., :2], middle + distance[..., 2:]), -1))
        logits.append(rows[..., 4:].float())
        centres.append(middle)
        strides.append(torch.full((height * width,), float(stride), device=raw.device))
    return torch.cat(boxes, 1), torch.cat(logits, 1), torch.cat(centres), torch.cat(strides)
