"""Training samples: batches of small crops around objects, and of places where nothing is, with their earlier pictures.

Objects are 9–60 px in large empty frames, so crops train several times faster than frames. What is drawn is decided for
a whole batch at once (numpy, small), and then seen and changed on the device that learns (`models.footage`), so that a
GPU is kept busy by one thread.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from models.detector import PICTURE_SCALE, Architecture
from models.footage import GRID, GRID_S, Footage
from models.halmstad import Clip
from models.losses import Targets
from models.planes import BYTE_SCALE, TIME_GAIN
from models.types import CLASSES

#: Share of crops by the class that the clip was filmed for: drones matter most, no class is rare among the others.
DRONES = 0.36
OTHERS = {"bird": 0.34, "airplane": 0.32, "helicopter": 0.34}
#: Share of crops with some object in view; the others are of any place.
AIMED = 0.82
#: Largest and smallest size that the random zoom gives an object, network pixels.
SIZE_RANGE = (6.0, 100.0)
#: Range of the random zoom, and in the calm end of a training.
ZOOM, CALM_ZOOM = (0.5, 1.35), (0.85, 1.15)
#: Share of crops with every pixel as the camera gave it, and in the calm end: any zoom or turn smooths noise and
#: the sharpness of the smallest targets away.
AS_IS, CALM_AS_IS = 0.35, 0.7
#: Standard deviation of the turn of other crops, degrees.
TURN = 4.0
#: What annotators leave free on each side of an object, network pixels: about the same for small and large ones
#: (measured on infrared `train` against sky: medians 3.1–6.4), so that a zoom must not scale it.
MARGIN = 3.5
#: The standard deviation of brightness up to which the sky that an object is cut out of is plain, and what it goes
#: before; the least contrast of such an object (one that cannot be seen would teach to see things); in grey levels.
PLAIN, BUSY = 8.0, 16.0
FAINTEST = 7.0
#: How far a pasted object is zoomed.
PASTED_ZOOM = (0.12, 1.35)
#: Share of crops of a camera that turns, and how fast it does, network pixels a second (standard deviation).
PANNED, PAN = 0.15, 20.0
_MOST_BOXES = 12
_BIRD = CLASSES.index("bird")


@dataclass(frozen=True, slots=True)
class Pasting:
    """What is put into crops from other clips.

    Attributes:
        share, calm_share: of crops that get an object, each of `times` times; and in the calm end.
        sizes: that it is given, network pixels. All classes get the same: in `train` no helicopter is distant in
            visible and no airplane close in infrared, and size must not name the class.
        haziest: least share of its contrast that it keeps.
    """

    times: int = 2
    share: float = 0.4
    calm_share: float = 0.1
    sizes: tuple[float, float] = (7.0, 40.0)
    haziest: float = 0.4


@dataclass(slots=True)
class _View:
    """Crops, 0..255: luma [B, k S, k S] (k: `PICTURE_SCALE`), chroma [B, 0 or 2, S, S], earlier luma [B, T, S, S]."""

    luma: Tensor
    chroma: Tensor
    earlier: Tensor


@dataclass(slots=True)
class _Marked:
    """What is where, for B crops or pictures with room for M things: boxes [B, M, 4], labels [B, M], there [B, M]."""

    boxes: np.ndarray
    labels: np.ndarray
    there: np.ndarray

    def of(self, rows: np.ndarray) -> _Marked:
        return _Marked(self.boxes[rows], self.labels[rows], self.there[rows])


class Sampler:
    """Draws random crops for ever; all randomness comes from two generators of one seed.

    Attributes:
        calm: from now on crops are close to what a camera gives: little is pasted, the polarity stays and sizes change
            little. A network that ends on such crops fits its boxes better (YOLOX, Ge et al. 2021, section 2.1).
    """

    def __init__(
        self,
        clips: list[Clip],
        footage: Footage,
        looks: Architecture,
        size: int,
        seed: int,
        pasting: Pasting = Pasting(),
    ) -> None:
        self.footage, self.band, self.size, self.calm = footage, looks.band, size, False
        self.pasting = pasting
        self._ages = np.array([round(age / GRID_S) for age in looks.history])
        self.random = np.random.default_rng(seed)
        self.noise = torch.Generator(footage.device).manual_seed(seed)
        self.chances = _clip_chances(clips, footage.count)
        self._clip_of = np.repeat(np.arange(len(clips)), footage.count)
        self._bird_weight = np.array([1.0 if clip.label == _BIRD else 0.3 for clip in clips], np.float32)
        self._marked = _annotations(clips, footage, PICTURE_SCALE[looks.band])

    def draw(self, count: int) -> tuple[Tensor, Targets]:
        """A batch: planes float32 [B, P, S, S] and what is in it, on the device of the footage."""
        pictures = self._moments(count)
        marked = self._marked.of(pictures)
        warp = self._warps(marked, self.footage.sides[pictures])
        pans = self._pans(count)
        view = self._view(pictures, warp, pans)
        seen = _moved(marked, warp, self.size)
        share = self.pasting.calm_share if self.calm else self.pasting.share
        for _ in range(self.pasting.times):
            chosen = np.flatnonzero(self.random.random(count) < share)
            self._paste(view, seen, chosen, pans)
        self._degrade(view)
        bird_weight = torch.from_numpy(self._bird_weight[self._clip_of[pictures]]).to(self.footage.device)
        return _planes(view), Targets(*(self._on(part) for part in _filled(seen)), bird_weight)

    def _on(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.footage.device, non_blocking=True)

    def _moments(self, count: int) -> np.ndarray:
        """int64 [B]: random pictures."""
        clips = self.random.choice(len(self.chances), count, p=self.chances)
        return self.footage.first[clips] + self.random.integers(self.footage.count[clips])

    def _view(self, pictures: np.ndarray, warp: np.ndarray, pans: np.ndarray) -> _View:
        """Pictures through `warp`, those before them as far moved as the camera turned (`pans` [B, T, 2])."""
        now, through, footage = self._on(pictures), self._on(warp), self.footage
        scale = PICTURE_SCALE[self.band]
        earlier = self._on(self._earlier(pictures))
        moved = through[:, None].repeat(1, len(self._ages), 1, 1)
        moved[..., 2] += self._on(pans)
        shape = (len(pictures), len(self._ages), self.size, self.size)
        return _View(
            footage.luma(now, through * scale, self.size * scale),  # with all its pixels
            footage.chroma(now, through, self.size),
            footage.luma(earlier.flatten(), moved.flatten(0, 1), self.size).reshape(shape),
        )

    def _paste(self, view: _View, seen: _Marked, rows: np.ndarray, pans: np.ndarray) -> None:
        """Add to these crops an object of another clip, with its motion, where it can be seen (Ghiasi et al. 2021).

        Each class was filmed in few places (drones in three), so a network would learn the place for the class.
        """
        pictures = self._moments(len(rows))
        marked = self._marked.of(pictures)
        chosen = (self.random.random(marked.there.shape) * marked.there).argmax(1)
        each = np.arange(len(rows))
        x, y, w, h = marked.boxes[each, chosen].T
        zoom = self._pasted_zoom(np.sqrt(w * h))
        at = self.random.uniform(0.08, 0.92, (len(rows), 2)) * self.size
        half = _zoomed(np.stack([w, h], 1), zoom[:, None]) / 2
        box = np.hstack([at - half, at + half]).astype(np.float32)
        fits = marked.there.any(1) & (box.min(1) > 2) & (box.max(1) < self.size - 2) & ~seen.there[rows].all(1)
        fits &= ~(_touching(box, seen.boxes[rows]) & seen.there[rows]).any(1)
        if not fits.any():
            return
        warp = self._affine(zoom, np.stack([x + w / 2, y + h / 2], 1), at, TURN)
        kept = np.flatnonzero(fits)
        into = self._on(rows[kept])
        source = self._view(pictures[kept], warp[kept], pans[rows[kept]])
        mask = _Mask(self._on(at[kept]), self._on(half[kept]), self.size)
        haziest = abs(np.log(self.pasting.haziest))
        haze = np.exp(self.random.uniform(-haziest, haziest, len(kept))).clip(max=1.0)
        shown, haze = mask.visible(source, view, into, self._on(haze.astype(np.float32)))
        mask.put(source, view, into, haze * shown)
        put = kept[shown.cpu().numpy()]
        free = (~seen.there[rows[put]]).argmax(1)
        seen.boxes[rows[put], free], seen.labels[rows[put], free] = box[put], marked.labels[put, chosen[put]]
        seen.there[rows[put], free] = True

    def _earlier(self, pictures: np.ndarray) -> np.ndarray:
        """int64 [B, T]: mostly as far back as wanted; at times none or one step off, as sources start, stall, drop."""
        chance = self.random.random(len(pictures))
        since = pictures - self.footage.first[self._clip_of[pictures]]
        begun = np.where(chance < 0.12, self.random.integers(1, 6, len(pictures)), since)
        known = np.where(chance < 0.04, 0, np.minimum(begun, since))
        off = (chance < 0.18).astype(int)
        return np.stack([pictures - _back(step + off, known) for step in self._ages], 1)

    def _pans(self, count: int) -> np.ndarray:
        """float32 [B, T, 2]: how far the earlier pictures lie off, pixels of the crop."""
        speed = self.random.normal(0, PAN, (count, 1, 2)) * (self.random.random((count, 1, 1)) < PANNED)
        return (speed * self._ages[None, :, None] * GRID_S).astype(np.float32)

    def _warps(self, marked: _Marked, sides: np.ndarray) -> np.ndarray:
        """float32 [B, 2, 3] from network pixels to crop pixels: mostly some object in view, else anywhere."""
        random, size, count = self.random, self.size, len(sides)
        chosen = (random.random(marked.there.shape) * marked.there).argmax(1)
        x, y, w, h = marked.boxes[np.arange(count), chosen].T
        aimed = marked.there.any(1) & (random.random(count) < AIMED)
        side = np.where(aimed, np.sqrt(w * h).clip(1.0), 10.0)
        zoom = self._zooms(side)
        reach = np.maximum(size * 0.5 / zoom - 0.6 * side, 2.0)[:, None]
        near = np.stack([x + w / 2, y + h / 2], 1) + random.uniform(-1, 1, (count, 2)) * reach
        centre = np.where(aimed[:, None], near, random.uniform(0, 1, (count, 2)) * sides)
        half = (size / 2 / zoom)[:, None]
        centre = np.where(sides > 2 * half, np.minimum(np.maximum(centre, half), sides - half), sides / 2)
        as_is = zoom == 1.0
        centre = np.where(as_is[:, None], np.round(centre), centre)
        return self._affine(zoom, centre, np.full((count, 2), size / 2), TURN * ~as_is)

    def _zooms(self, side: np.ndarray) -> np.ndarray:
        """How much larger objects of so many network pixels are shown."""
        low, high = CALM_ZOOM if self.calm else ZOOM
        zoom = np.exp(self.random.uniform(np.log(low), np.log(high), len(side)))
        zoom = np.clip(zoom, SIZE_RANGE[0] / side, np.maximum(SIZE_RANGE[1] / side, 0.4))
        return np.where(self.random.random(len(side)) < (CALM_AS_IS if self.calm else AS_IS), 1.0, zoom)

    def _pasted_zoom(self, side: np.ndarray) -> np.ndarray:
        """The zoom that gives objects of so many network pixels a size that any class may have."""
        wanted = np.exp(self.random.uniform(*np.log(self.pasting.sizes), len(side)))
        margin = np.minimum(2 * MARGIN, 0.6 * side)
        return np.clip((wanted - margin).clip(1.0) / (side - margin).clip(1e-3), *PASTED_ZOOM)

    def _affine(self, zoom: np.ndarray, centre: np.ndarray, at: np.ndarray, turned: np.ndarray | float) -> np.ndarray:
        """Affine [B, 2, 3] that puts `centre` at `at`, mirrored or not, turned by some degrees (standard deviation)."""
        angle = np.deg2rad(self.random.normal(0, 1, len(zoom)) * turned)
        mirror = np.where(self.random.random(len(zoom)) < 0.5, -1.0, 1.0)
        cos, sin = zoom * np.cos(angle), zoom * np.sin(angle)
        turn = np.stack([np.stack([cos * mirror, -sin], 1), np.stack([sin * mirror, cos], 1)], 1)
        shift = at - (turn @ centre[:, :, None])[:, :, 0]
        return np.concatenate([turn, shift[:, :, None]], 2).astype(np.float32)

    def _degrade(self, view: _View) -> None:
        """Gain, offset, noise, blur and, in infrared, polarity, in place: the same for all pictures but the noise."""
        random, count = self.random, len(view.luma)
        gain = np.exp(random.normal(0, 0.3, count))
        if self.band == "infrared" and not self.calm:
            gain *= np.where(random.random(count) < 0.06, -1.0, 1.0)
        offset = random.normal(0, 14, count)
        level = view.luma.mean((1, 2))
        for pictures in (view.luma[:, None], view.earlier):
            around = level[:, None, None, None]
            factor, more = self._on(gain.astype(np.float32)), self._on(offset.astype(np.float32))
            pictures.sub_(around).mul_(factor[:, None, None, None]).add_(around + more[:, None, None, None])
            pictures.clamp_(0, 255)
        if self.band == "visible":
            self._tint(view.chroma)
        blurred = np.flatnonzero(random.random(count) < 0.08)
        if len(blurred):
            rows, sigma = self._on(blurred), random.uniform(0.5, 1.2, len(blurred))
            view.luma[rows] = _blurred(view.luma[rows][:, None], sigma)[:, 0]
            view.earlier[rows] = _blurred(view.earlier[rows], sigma / PICTURE_SCALE[self.band])
        noise = np.abs(random.normal(0, 2.0, count)) * (random.random(count) < 0.25)
        # The luma of a visible picture before is the mean of four pixels, with half their noise.
        for pictures, part in ((view.luma[:, None], 1.0), (view.earlier, 1.0 / PICTURE_SCALE[self.band])):
            grain = torch.randn(pictures.shape, generator=self.noise, device=pictures.device)
            pictures.add_(grain * self._on((noise * part).astype(np.float32))[:, None, None, None]).clamp_(0, 255)

    def _tint(self, chroma: Tensor) -> None:
        """Other skies and cameras: more or less colour, a cast, now and then none at all."""
        random, count = self.random, len(chroma)
        strength = np.exp(random.normal(0, 0.3, count)) * (random.random(count) >= 0.08)
        changed = random.random(count) < 0.5
        strength = np.where(changed, strength, 1.0).astype(np.float32)
        cast = (random.normal(0, 5, (count, 2)) * changed[:, None]).astype(np.float32)
        chroma.sub_(128.0).mul_(self._on(strength)[:, None, None, None])
        chroma.add_(self._on(cast)[:, :, None, None] + 128.0).clamp_(0, 255)


class _Mask:
    """Where pasted objects go: 1 in the box, falling to 0 over the margin around it.

    Args:
        at, half: [N, 2], middle and half sides of the boxes, pixels of the crop.
    """

    def __init__(self, at: Tensor, half: Tensor, size: int) -> None:
        self._at, self._half, self._size = at.float(), half.float(), size
        self._weight = self._of(size)
        self._ring = ((self._weight > 0) & (self._weight < 1)).float()
        self._inside = self._weight == 1

    def _of(self, size: int) -> Tensor:
        """float32 [N, size, size] for a crop shown with so many pixels."""
        places = (torch.arange(size, device=self._at.device) + 0.5) * (self._size / size)
        off = (places[None, None] - self._at[..., None]).abs() - self._half[..., None]
        falls = (1 - off / self._half[..., None].clamp(min=4.0)).clamp(0, 1)
        return falls[:, 1, :, None] * falls[:, 0, None, :]

    def _level(self, pictures: Tensor) -> Tensor:
        """[N, C, 1, 1]: mean of pictures [N, C, S, S] around the object."""
        total = self._ring.sum((1, 2)).clamp(min=1.0)[:, None]
        return ((pictures * self._ring[:, None]).sum((2, 3)) / total)[..., None, None]

    def visible(self, source: _View, view: _View, rows: Tensor, haze: Tensor) -> tuple[Tensor, Tensor]:
        """Which objects stand out, cut out of plain sky, where they go: bool [N]; and the haze they bear, float [N]."""
        here, there = _smaller(source.luma, self._size), _smaller(view.luma[rows], self._size)
        spread = []
        for picture in (here, there):
            off = (picture[:, None] - self._level(picture[:, None])).square()
            spread.append(self._level(off)[:, 0, 0, 0].sqrt())
        level = self._level(here[:, None])[:, 0]
        peak = ((here - level).abs() * self._inside).amax((1, 2))
        least = torch.maximum(5 * torch.maximum(spread[0], spread[1]), torch.full_like(peak, FAINTEST))
        haze = torch.maximum(haze, (least / peak.clamp(min=1e-3)).clamp(max=1.0))
        return (spread[0] <= PLAIN) & (spread[1] <= BUSY) & (peak >= least), haze

    def put(self, source: _View, view: _View, rows: Tensor, strength: Tensor) -> None:
        """Add what differs from the sky around the objects to these rows of the view, in place."""
        fine = self._of(view.luma.shape[-1])
        scale = strength[:, None, None]
        luma = source.luma - self._level(_smaller(source.luma, self._size)[:, None])[:, 0]
        view.luma[rows] = (view.luma[rows] + scale * fine * luma).clamp(0, 255)
        for mine, other in ((view.chroma, source.chroma), (view.earlier, source.earlier)):
            if mine.shape[1]:
                more = (scale * self._weight)[:, None] * (other - self._level(other))
                mine[rows] = (mine[rows] + more).clamp(0, 255)


def _smaller(luma: Tensor, size: int) -> Tensor:
    """Luma [B, k S, k S] as [B, S, S]."""
    return functional.avg_pool2d(luma[:, None], luma.shape[-1] // size)[:, 0]


def _planes(view: _View) -> Tensor:
    """What the network looks at, as `planes.normalise` gives it at work."""
    size = view.earlier.shape[-1]
    phases = functional.pixel_unshuffle(view.luma[:, None], view.luma.shape[-1] // size)
    spatial = torch.cat((phases, view.chroma), 1) / BYTE_SCALE - 1.0
    change = (_smaller(view.luma, size)[:, None] - view.earlier) * (TIME_GAIN / BYTE_SCALE)
    return torch.cat((spatial, change), 1)


def _blurred(pictures: Tensor, sigma: np.ndarray) -> Tensor:
    """Pictures [N, C, h, w], each smoothed by its own standard deviation [N] in pixels (five taps)."""
    taps = np.exp(-0.5 * np.square(np.arange(-2, 3)[None] / sigma[:, None]))
    kernel = torch.from_numpy((taps / taps.sum(1, keepdims=True)).astype(np.float32)).to(pictures.device)
    for axis in (2, 3):
        edge = (0, 0, 2, 2) if axis == 2 else (2, 2, 0, 0)
        padded = functional.pad(pictures, edge, mode="replicate")
        length = pictures.shape[axis]
        parts = (padded.narrow(axis, k, length) * kernel[:, k, None, None, None] for k in range(5))
        pictures = torch.stack(list(parts)).sum(0)
    return pictures


def _annotations(clips: list[Clip], footage: Footage, scale: int) -> _Marked:
    """What is in every picture of the footage, in network pixels (x, y, width, height)."""
    total = len(footage.sides)
    marked = _Marked(
        np.zeros((total, _MOST_BOXES, 4), np.float32),
        np.zeros((total, _MOST_BOXES), np.int64),
        np.zeros((total, _MOST_BOXES), bool),
    )
    for clip, first, count in zip(clips, footage.first, footage.count, strict=True):
        on_grid = clip.boxes[(clip.boxes[:, 0] % GRID == 0) & (clip.boxes[:, 0] < count * GRID)]
        for frame, label, *box in on_grid:
            row = first + int(frame) // GRID
            free = int(marked.there[row].sum())
            if free < _MOST_BOXES:
                marked.boxes[row, free], marked.labels[row, free] = np.array(box) / scale, int(label)
                marked.there[row, free] = True
    return marked


def _moved(marked: _Marked, warp: np.ndarray, size: int) -> _Marked:
    """Boxes through `warp`, as corners x1 y1 x2 y2; one that is mostly outside is left out.

    The turned box keeps its size (times the zoom): a box around the four turned corners would grow with each degree.
    """
    zoom = np.sqrt(np.abs(np.linalg.det(warp[:, :, :2])))[:, None, None]
    middle = marked.boxes[..., :2] + marked.boxes[..., 2:] / 2
    centre = middle @ warp[:, :, :2].transpose(0, 2, 1) + warp[:, None, :, 2]
    half = _zoomed(marked.boxes[..., 2:], zoom) / 2
    corners = np.concatenate([centre - half, centre + half], 2)
    inside = np.clip(corners, 0, size)
    share = (inside[..., 2:] - inside[..., :2]).prod(2) / (2 * half).prod(2).clip(1e-6)
    return _Marked(inside.astype(np.float32), marked.labels.copy(), marked.there & (share > 0.4))


def _filled(seen: _Marked) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Boxes, labels and which of them are there; the boxes of no thing have an area, for the loss divides by it."""
    return np.where(seen.there[..., None], seen.boxes, np.float32([0, 0, 1, 1])), seen.labels, seen.there


def _back(step: np.ndarray | int, known: np.ndarray) -> np.ndarray:
    """How far back the picture is that a detector compares with which wants the one `step` back and knows `known`.

    One step off will do.
    """
    return np.where((known > 0) & (step - known <= 1), np.minimum(step, known), 0)


def _touching(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    """bool [B, M]: whether box [B, 4] meets each of [B, M, 4]."""
    low, high = np.maximum(box[:, None, :2], others[..., :2]), np.minimum(box[:, None, 2:], others[..., 2:])
    return (high > low).all(2)


def _clip_chances(clips: list[Clip], count: np.ndarray) -> np.ndarray:
    """By class as in `OTHERS`, drones apart; within a class, scenes and distances of many clips count less for each."""
    crowd = Counter((c.label, c.scene, c.distance) for c in clips)
    weight = np.array([crowd[c.label, c.scene, c.distance] ** -0.5 for c in clips]) * (count > 0)
    for index, name in enumerate(CLASSES):
        of_class = np.array([c.label == index for c in clips]) & (count > 0)
        if of_class.any():
            share = DRONES if name == "drone" else (1 - DRONES) * OTHERS[name]
            weight[of_class] *= share / weight[of_class].sum()
    return weight / weight.sum()


def _zoomed(sides: np.ndarray, zoom: np.ndarray) -> np.ndarray:
    """Sides of boxes after a zoom, their margin kept."""
    margin = np.minimum(2 * MARGIN, 0.6 * sides)
    return (sides - margin) * zoom + margin
