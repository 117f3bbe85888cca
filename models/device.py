"""The whole way of the detector on one device: bytes of frames go up, a few boxes come down.

    bytes ──▶ planes ──▶ time planes ◀──▶ ring of past luma      network ──▶ best cells ──▶ suppression ──▶ boxes
      ▲                      └───────────────────────────────────────▲                                      │
      └ pinned memory ───────────────── on CUDA one graph for each size of batch ───────────────── pinned ◀─┘

A small network at one frame is a hundred kernels of a few microseconds each, and launching them one by one takes longer
than they run. So everything between the two copies has fixed shapes and addresses, and is replayed as one CUDA graph.
Nothing here is bound to CUDA: on the CPU the same code runs without graphs, which is how it is tested against the way
over numpy (`models.planes`, `models.boxes`), bit for bit up to rounding.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from models.boxes import LOWEST_SCORE, MOST_BOXES, MOST_CELLS, NMS_INSIDE, NMS_IOU, suppress
from models.detector import STRIDES, DetectorNetwork, cell_centres
from models.fuse import first_convolution, on_tensor_cores, padded_inputs
from models.history import MOST, History
from models.planes import BYTE_SCALE, TIME_GAIN, even, gray, i420
from models.steady import steadied
from models.types import CLASSES, Frame

#: At most so many frames in one batch; fewer are filled up to the next power of two, so that there are few graphs.
MOST_FRAMES = 64
#: Rounds of suppression on the device; pictures that need more (chains of boxes) are finished on the host.
ROUNDS = 8
_SLOTS = MOST + 1  # of a camera in the ring: the next picture never overwrites one that may be looked back at
_COLUMNS = 4 + len(CLASSES) + 1

_log = logging.getLogger(__name__)


class DeviceBackend:
    """A network on one device with all that surrounds it there. Frames of all cameras that wait go in one batch.

    Args:
        dtype: half precision on CUDA and single elsewhere when None.
        graphs: CUDA graphs, on CUDA. If the first capture fails, a line in the log says so and kernels are launched.
        fused: convolution, bias and ReLU as one kernel (cuDNN), on CUDA; likewise dropped with a line in the log where
            it does not run or gives other numbers.
    """

    def __init__(
        self,
        network: DetectorNetwork,
        device: torch.device,
        *,
        dtype: torch.dtype | None = None,
        graphs: bool = True,
        fused: bool = True,
    ) -> None:
        cuda = device.type == "cuda"
        self.device, self.band = device, network.architecture.band
        self.dtype = dtype or (torch.float16 if cuda else torch.float32)
        if self.dtype == torch.float32:
            torch.backends.cudnn.allow_tf32 = False  # whoever asks for single precision means it
        self.name = f"torch-{device.type}"
        self.history = network.architecture.history
        self.graphs = cuda and graphs
        self.network = padded_inputs(network).to(device, self.dtype, memory_format=torch.channels_last)
        self.inputs: int = first_convolution(self.network).in_channels
        self.fused = cuda and fused and self._fuse()
        self.lanes: dict[tuple[int, int], Lane] = {}

    def look(self, frames: Sequence[Frame]) -> list[tuple[np.ndarray, np.ndarray]]:
        """Boxes [N, 4] and class scores [N, classes] of each frame in network pixels, as `boxes.decode_cells`."""
        found: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        for batch in batches([(self.size_of(frame), frame.sensor_id) for frame in frames]):
            lane = self._lane(self.size_of(frames[batch[0]]))
            found.update(zip(batch, lane.look([frames[index] for index in batch]), strict=True))
        return [found[index] for index in range(len(frames))]

    def forget(self, sensor_id: str) -> None:
        for lane in self.lanes.values():
            lane.forget(sensor_id)

    def size_of(self, frame: Frame) -> tuple[int, int]:
        """Height and width in network pixels."""
        height, width = frame.pixels.shape[:2]
        return (height, width) if self.band == "infrared" else (even(height) // 2, even(width) // 2)

    def _lane(self, size: tuple[int, int]) -> Lane:
        if size not in self.lanes:
            self.lanes[size] = Lane(self, size)
        return self.lanes[size]

    @torch.inference_mode()
    def _fuse(self) -> bool:
        """Take the fused network if it computes what the plain one does, on a picture of noise."""
        picture = torch.rand(1, self.inputs, 64, 64, device=self.device) * 2 - 1
        planes = picture.to(self.dtype, memory_format=torch.channels_last)
        try:
            fused = on_tensor_cores(self.network)
            pairs = list(zip(self.network(planes), fused(planes), strict=True))
            off = max(float((a - b).float().abs().max() / a.float().abs().max()) for a, b in pairs)
        except RuntimeError as error:
            _log.warning("The detector runs without fused convolutions: %s", str(error).splitlines()[0])
            return False
        if not off < 0.05:
            _log.warning(
                "The detector runs without fused convolutions: they are off by %.3f of the largest value.", off
            )
            return False
        self.network = fused
        return True


def batches(keys: Sequence[tuple[object, str]]) -> Iterator[list[int]]:
    """Indices of the frames that may go together, given the size and the camera of each.

    They are of one size, at most `MOST_FRAMES`, and one of a camera: its next one looks back at it.
    """
    waiting = list(range(len(keys)))
    while waiting:
        size, batch, later, cameras = keys[waiting[0]][0], [], [], set()
        for index in waiting:
            fits = keys[index][0] == size and keys[index][1] not in cameras and len(batch) < MOST_FRAMES
            (batch if fits else later).append(index)
            cameras.add(keys[index][1])
        yield batch
        waiting = later


class Batch:
    """Where the frames of one size of batch lie: bytes and slots on both sides, and the rows that come back.

    `slots` int64 [n, 1 + T]: where a picture's luma is kept, then where the earlier ones lie (-1: take its own).
    `rows` float32 [n, K, columns]: corners, class scores, and whether it is kept; see `best_cells`.
    """

    def __init__(self, count: int, uploaded: tuple[int, int], ages: int, cells: int, device: torch.device) -> None:
        pinned = device.type == "cuda"
        self.host_bytes = torch.zeros(count, *uploaded, dtype=torch.uint8, pin_memory=pinned)
        self.host_slots = torch.zeros(count, 1 + ages, dtype=torch.int64, pin_memory=pinned)
        self.host_rows = torch.zeros(count, cells, _COLUMNS, pin_memory=pinned)
        self.bytes, self.slots, self.rows = (
            each.to(device, copy=True) for each in (self.host_bytes, self.host_slots, self.host_rows)
        )
        self.graph: torch.cuda.CUDAGraph | None = None


class Lane:
    """Frames of one size."""

    def __init__(self, backend: DeviceBackend, size: tuple[int, int]) -> None:
        self.backend, self.size = backend, size
        height, width = size
        self.uploaded = size if backend.band == "infrared" else (3 * height, 2 * width)
        self.padded = (height + -height % STRIDES[-1], width + -width % STRIDES[-1])
        grid = [(self.padded[0] // s, self.padded[1] // s, s) for s in STRIDES]
        self.centres = torch.cat([cell_centres(*each, backend.device) for each in grid])
        self.strides = torch.cat([torch.full((h * w,), float(s), device=backend.device) for h, w, s in grid])
        self.cameras: dict[str, tuple[int, History[int]]] = {}  # the camera's number in the ring, and its past
        self.ring = self._new_ring(4)
        self.batches: dict[int, Batch] = {}

    def look(self, frames: Sequence[Frame]) -> list[tuple[np.ndarray, np.ndarray]]:
        count = len(frames)
        slots = [self.slots_of(frame) for frame in frames]  # the ring may grow here
        batch = self._batch(1 << (count - 1).bit_length())
        self.upload(batch, frames, slots)
        self.compute(batch)
        batch.host_rows[:count].copy_(batch.rows[:count], non_blocking=True)
        if self.backend.device.type == "cuda":
            torch.cuda.current_stream(self.backend.device).synchronize()
        return [picked(rows) for rows in batch.host_rows[:count].numpy()]

    def forget(self, sensor_id: str) -> None:
        self.cameras.pop(sensor_id, None)

    def upload(self, batch: Batch, frames: Sequence[Frame], slots: list[list[int]]) -> None:
        """The frames' bytes; places of the batch that stay empty write to slot 0, which nobody reads."""
        count, host = len(frames), batch.host_bytes.numpy()
        for place, frame in zip(host, frames, strict=False):
            if self.backend.band == "infrared":
                np.copyto(place, gray(frame.pixels))
            else:
                i420(frame.pixels, out=place)
        batch.host_slots.zero_()
        batch.host_slots[:count] = torch.tensor(slots)
        batch.bytes[:count].copy_(batch.host_bytes[:count], non_blocking=True)
        batch.slots.copy_(batch.host_slots, non_blocking=True)

    @torch.inference_mode()
    def compute(self, batch: Batch) -> None:
        """`rows` of the batch from its bytes and slots; the ring then holds these pictures too."""
        if self.backend.graphs and batch.graph is None:
            self._capture(batch)
        if batch.graph is not None:
            batch.graph.replay()
        else:
            self._compute(batch)

    def _compute(self, batch: Batch) -> None:
        self.boxes(batch, self.backend.network(self.planes(batch)))

    def planes(self, batch: Batch) -> Tensor:
        """What the network looks at; the ring then holds these pictures."""
        spatial = unshuffled(batch.bytes) if self.backend.band == "visible" else batch.bytes[:, None]
        if self.padded != self.size:  # by repeating the border
            rows, columns = (
                torch.arange(to, device=spatial.device).clamp(max=n - 1)
                for n, to in zip(self.size, self.padded, strict=True)
            )
            spatial = spatial.index_select(2, rows).index_select(3, columns)
        now = mean_luma(spatial)
        write, read = batch.slots[:, 0], batch.slots[:, 1:]
        kept = self.ring.index_select(0, read.clamp(min=0).flatten()).unflatten(0, read.shape)
        earlier = torch.where((read < 0)[:, :, None, None], now[:, None], kept)
        self.ring.index_copy_(0, write, now)
        earlier = steadied(now, earlier)
        return network_planes(spatial, now, earlier, self.backend.inputs, self.backend.dtype)

    def boxes(self, batch: Batch, cells: Sequence[Tensor]) -> None:
        batch.rows.copy_(best_cells(cells, self.centres, self.strides))

    def _capture(self, batch: Batch) -> None:
        """Running it twice does no harm: what is read of the ring is never what is written (see `_SLOTS`)."""
        device = self.backend.device
        try:
            aside = torch.cuda.Stream(device)
            aside.wait_stream(torch.cuda.current_stream(device))
            with torch.cuda.stream(aside):
                self._compute(batch)  # cuDNN chooses its kernels and takes its memory
            torch.cuda.current_stream(device).wait_stream(aside)
            graph = torch.cuda.CUDAGraph()
            # The other band's detector may be at work in another thread.
            with torch.cuda.graph(graph, capture_error_mode="thread_local"):
                self._compute(batch)
        except RuntimeError as error:
            _log.warning("The detector runs without CUDA graphs: %s", str(error).splitlines()[0])
            self.backend.graphs = False
            return
        batch.graph = graph

    def _batch(self, count: int) -> Batch:
        if count not in self.batches:
            cells, device = min(MOST_CELLS, len(self.strides)), self.backend.device
            self.batches[count] = Batch(count, self.uploaded, len(self.backend.history), cells, device)
        return self.batches[count]

    def slots_of(self, frame: Frame) -> list[int]:
        """Where the picture is kept (0: it is not), and where those of each age lie (-1: there is none)."""
        if frame.sensor_id not in self.cameras:
            taken = {number for number, _ in self.cameras.values()}
            self.cameras[frame.sensor_id] = (min(set(range(len(taken) + 1)) - taken), History())
            self._grow()
        number, history = self.cameras[frame.sensor_id]
        earlier = history.earlier(frame.time_ns, self.backend.history)
        first = 1 + number * _SLOTS
        following = (history.kept[-1][1] - first + 1) % _SLOTS + first if history.kept else first
        slot = following if history.keep(frame.time_ns, following) else 0
        return [slot, *(-1 if place is None else place for place in earlier)]

    def _grow(self) -> None:
        """Twice the ring when there are more cameras than it holds; graphs know only the old one."""
        cameras = (len(self.ring) - 1) // _SLOTS
        if max(number for number, _ in self.cameras.values()) < cameras:
            return
        old, self.ring = self.ring, self._new_ring(2 * cameras)
        self.ring[: len(old)] = old
        for batch in self.batches.values():
            batch.graph = None

    def _new_ring(self, cameras: int) -> Tensor:
        return torch.zeros(1 + cameras * _SLOTS, *self.padded, dtype=torch.uint8, device=self.backend.device)


def unshuffled(i420_bytes: Tensor) -> Tensor:
    """`planes.unshuffle` of a batch: I420 uint8 [B, H * 3 / 2, W] to uint8 [B, 6, H / 2, W / 2]."""
    count, rows, width = i420_bytes.shape
    height = rows * 2 // 3
    phases = i420_bytes[:, :height].reshape(count, height // 2, 2, width // 2, 2).permute(0, 2, 4, 1, 3)
    chroma = i420_bytes[:, height:].reshape(count, 2, height // 2, width // 2)
    return torch.cat((phases.reshape(count, 4, height // 2, width // 2), chroma), 1)


def mean_luma(spatial: Tensor) -> Tensor:
    """`planes.luma` of a batch: uint8 [B, 1 or 6, h, w] to uint8 [B, h, w]."""
    return spatial[:, 0] if spatial.shape[1] == 1 else (spatial[:, :4].sum(1, dtype=torch.int16) >> 2).to(torch.uint8)


def network_planes(spatial: Tensor, now: Tensor, earlier: Tensor, inputs: int, dtype: torch.dtype) -> Tensor:
    """`planes.normalise` of a batch, with planes of zeros up to `inputs`: [B, inputs, h, w], channels last."""
    count, pictures, height, width = spatial.shape
    shape, last = (count, inputs, height, width), torch.channels_last
    planes = torch.empty(shape, dtype=dtype, device=spatial.device, memory_format=last).zero_()
    time = planes[:, pictures : pictures + earlier.shape[1]]
    planes[:, :pictures] = spatial
    planes[:, :pictures].mul_(1 / BYTE_SCALE).sub_(1.0)
    torch.sub(now.to(dtype)[:, None], earlier, out=time).mul_(TIME_GAIN / BYTE_SCALE)
    return planes


def best_cells(cells: Sequence[Tensor], centres: Tensor, strides: Tensor, lowest: float = LOWEST_SCORE) -> Tensor:
    """`boxes.decode_cells` of a batch, in shapes that do not depend on what is in the pictures.

    Args:
        cells: for each stride [B, 4 + classes, h, w].
        centres, strides: [A, 2], [A] of all cells, row by row, network pixels.

    Returns:
        float32 [B, K, 4 + classes + 1] the best cells first: corners, class scores, and 1 where the box is kept, 0
        where not, or -1 for all of a picture whose suppression has not come to its end.
    """
    ranks, values = [], []
    for raw in cells:
        best = raw[:, 4:].amax(1)
        peak = best >= functional.max_pool2d(best[:, None], 3, 1, 1)[:, 0]
        sure = peak & (best >= float(np.log(lowest / (1 - lowest))))
        ranks.append(best.masked_fill(~sure, -torch.inf).flatten(1))
        values.append(raw.permute(0, 2, 3, 1).flatten(1, 2))
    every = torch.cat(values, 1)
    rank, index = torch.cat(ranks, 1).float().topk(min(MOST_CELLS, every.shape[1]))
    chosen = every.gather(1, index[:, :, None].expand(-1, -1, every.shape[2])).float()
    distance = functional.softplus(chosen[:, :, :4]) * strides[index][:, :, None]
    corners = torch.cat((centres[index] - distance[:, :, :2], centres[index] + distance[:, :, 2:]), 2)
    valid = rank > -torch.inf
    scores = chosen[:, :, 4:].sigmoid() * valid[:, :, None]
    return torch.cat((corners, scores, _kept(corners, valid)[:, :, None]), 2)


def _kept(corners: Tensor, valid: Tensor) -> Tensor:
    """`boxes.suppress` of a batch: float32 [B, K], see `best_cells`.

    A box falls to any better one that itself is kept. Taken again and again from "all are kept", each round is right
    for one box more along every chain, and a round that changes nothing has the answer (Cluster-NMS, Zheng et al., IEEE
    Transactions on Cybernetics 2022, section III-C).
    """
    size = (corners[:, :, 2:] - corners[:, :, :2]).clamp(min=1e-6).prod(2)
    a, b = corners[:, :, None], corners[:, None]
    shared = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(min=0).prod(3)
    both, smaller = size[:, :, None] + size[:, None] - shared, torch.minimum(size[:, :, None], size[:, None])
    same = ((shared > NMS_IOU * both) | (shared > NMS_INSIDE * smaller)).triu(1)
    alive = before = valid
    for _ in range(ROUNDS):
        before, alive = alive, valid & ~(same & alive[:, :, None]).any(1)
    settled = (alive == before).all(1, keepdim=True)
    return torch.where(settled, alive.float(), -1.0)


def picked(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What is kept of the rows [K, columns] of one picture: boxes float32 [N, 4] and class scores [N, classes]."""
    kept = rows[:, -1]
    if kept[0] < 0:
        kept = np.zeros(len(rows))
        kept[suppress(rows[rows[:, 4:-1].any(1), :4])] = 1
    chosen = np.flatnonzero(kept)[:MOST_BOXES]
    corners, scores = rows[chosen, :4], rows[chosen, 4:-1]
    return np.hstack([corners[:, :2], corners[:, 2:] - corners[:, :2]]), scores
