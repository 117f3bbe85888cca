"""Training samples: small crops around objects, and of places where nothing is, with their earlier pictures.

Objects are 9–60 px in large empty frames, so crops train several times faster than frames. Frames are read once into a
cache on disk (`FrameCache`), on a grid of 10 a second, which is also the spacing of the network's time planes.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from rich.progress import track

from models.detector import PICTURE_SCALE
from models.halmstad import Clip, decode
from models.planes import luma, normalise, spatial_planes
from models.types import CLASSES, Band

#: Every third frame of 30 a second: the spacing of the time planes (0.1 s).
GRID = 3
#: Ages of the earlier pictures, on the grid: `Architecture.history`.
STEPS_BACK = (1, 2, 5)
#: Share of crops by the class that the clip was filmed for: drones matter most, no class is rare among the others.
DRONES = 0.36
OTHERS = {"bird": 0.34, "airplane": 0.32, "helicopter": 0.34}
#: Largest and smallest size that the random zoom gives an object, network pixels.
SIZE_RANGE = (6.0, 100.0)
#: Range of the random zoom, and in the calm end of a training.
ZOOM, CALM_ZOOM = (0.5, 1.35), (0.85, 1.15)
#: Share of crops with every pixel as the camera gave it, and in the calm end: any zoom or turn smooths noise and
#: the sharpness of the smallest targets away.
AS_IS, CALM_AS_IS = 0.35, 0.7
#: What annotators leave free on each side of an object, network pixels: about the same for small and large ones
#: (measured on infrared `train` against sky: medians 3.1–6.4), so that a zoom must not scale it.
MARGIN = 3.5
#: Share of crops that get an object of another clip, and in the calm end; the standard deviation of brightness up to
#: which sky is plain; the least contrast of such an object (one that cannot be seen would teach to see things), both in
#: grey levels.
PASTED, CALM_PASTED = 0.4, 0.1
PLAIN = 8.0
FAINTEST = 9.0
#: Sizes that a pasted object is given, network pixels, and how far it is zoomed for it. All classes get the same sizes:
#: in `train` no helicopter is distant in visible and no airplane close in infrared, and size must not name the class.
PASTED_SIZES = (9.5, 36.0)
PASTED_ZOOM = (0.12, 1.35)


@dataclass(frozen=True, slots=True)
class Sample:
    """One crop.

    Attributes:
        planes: float32 [P, S, S].
        boxes: float32 [N, 4]: x1, y1, x2, y2, pixels of the crop.
        labels: int64 [N].
        bird_weight: how much a bird that is not annotated here counts as false (see `models.losses`).
    """

    planes: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    bird_weight: float


class FrameCache:
    """Spatial planes of every grid frame of every clip, in one memory-mapped file a clip."""

    def __init__(self, folder: Path, clips: list[Clip]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.arrays = {
            clip.name: self._open(clip) for clip in track(clips, description="reading clips", transient=True)
        }

    def _open(self, clip: Clip) -> np.ndarray:
        key = hashlib.sha256(f"{clip.video}{clip.video.stat().st_size}{GRID}".encode()).hexdigest()[:12]
        path = self.folder / f"{clip.name}-{key}.npy"
        if not path.is_file():
            frames = [spatial_planes(p, clip.band) for i, p in enumerate(decode(clip)) if i % GRID == 0]
            partial = path.with_suffix(".partial.npy")
            np.save(partial, np.stack(frames))
            partial.rename(path)
        return np.load(path, mmap_mode="r")


class Sampler:
    """Draws random crops for ever; all randomness comes from one seeded generator.

    After `calm_after` crops they are close to what a camera gives: little is pasted, the polarity stays and sizes
    change little. A network that ends on such crops fits its boxes better (YOLOX, Ge et al. 2021, section 2.1).
    """

    def __init__(
        self,
        clips: list[Clip],
        cache: FrameCache,
        band: Band,
        size: int,
        seed: int,
        calm_after: int = 1 << 62,
        pasted: float = PASTED,
        drones: float = DRONES,
    ) -> None:
        self.clips, self.cache, self.band, self.size, self.pasted = clips, cache, band, size, pasted
        self.calm_after, self.drawn = calm_after, 0
        self.random = np.random.default_rng(seed)
        self.chances = _clip_chances(clips, drones)

    @property
    def calm(self) -> bool:
        return self.drawn > self.calm_after

    def draw(self) -> Sample:
        self.drawn += 1
        clip, index = self._moment()
        boxes = self._boxes(clip, index)
        warp = self._warp(boxes, self.cache.arrays[clip.name].shape[2:])
        view = self._view(clip, index, warp, self.size)
        corners, labels = _move_boxes(boxes, warp, self.size)
        if self.random.random() < (CALM_PASTED if self.calm else self.pasted):
            corners, labels = self._paste(view, corners, labels)
        spatial, *earlier = self._degrade(view)
        planes = normalise(spatial, [picture[0] for picture in earlier])
        bird = 1.0 if clip.label == CLASSES.index("bird") else 0.3
        return Sample(planes, corners, labels, bird)

    def _moment(self) -> tuple[Clip, int]:
        """A clip and the index of one of its labelled frames on the grid."""
        clip = self.clips[int(self.random.choice(len(self.clips), p=self.chances))]
        last = min(len(self.cache.arrays[clip.name]), (clip.labelled_frames - 1) // GRID + 1)
        return clip, int(self.random.integers(last))

    def _boxes(self, clip: Clip, index: int) -> np.ndarray:
        """float32 [N, 5]: class, x, y, width, height in network pixels."""
        return clip.boxes_of(index * GRID) / np.float32([1, *[PICTURE_SCALE[self.band]] * 4])

    def _view(self, clip: Clip, index: int, warp: np.ndarray, size: int) -> list[np.ndarray]:
        """The picture and the luma of those before it, cropped: uint8 [S, size, size], then [1, size, size] each."""
        frames = self.cache.arrays[clip.name]
        window, moved = _window(warp, size, frames.shape[2:])
        now = _crop(frames[index][:, *window], moved, size)
        before = (_crop(frames[i][:4, *window], moved, size) for i in self._earlier(index))
        return [now, *(luma(planes)[None] for planes in before)]

    def _paste(self, view: list[np.ndarray], corners: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Add an object of another clip, with its motion, where the sky is plain in both (Ghiasi et al. 2021).

        Each class was filmed in few places (drones in three), so a network would learn the place for the class.
        """
        clip, index = self._moment()
        boxes = self._boxes(clip, index)
        if not len(boxes):
            return corners, labels
        label, x, y, w, h = boxes[int(self.random.integers(len(boxes)))]
        zoom = self._pasted_zoom(float(np.sqrt(w * h)))
        at = self.random.uniform(0.1, 0.9, 2) * self.size
        half = _zoomed(np.array([w, h]), zoom) / 2
        box = np.hstack([at - half, at + half]).astype(np.float32)
        margin = np.maximum(half, 4.0)
        low, high = np.floor(box[:2] - margin).astype(int), np.ceil(box[2:] + margin).astype(int)
        if low.min() < 0 or high.max() > self.size or any(_touch(box, other) for other in corners):
            return corners, labels
        patch = (slice(low[1], high[1]), slice(low[0], high[0]))
        mask = _feather(at - low, half, margin, high - low)
        warp = self._affine(zoom, np.array([x + w / 2, y + h / 2]), at - low)
        source = [p[:, : mask.shape[0], : mask.shape[1]] for p in self._view(clip, index, warp, int(max(high - low)))]
        ring = (mask > 0) & (mask < 1)
        if not _visible(source[0][0], view[0][0][patch], mask == 1, ring):
            return corners, labels
        for picture, other in zip(view, source, strict=True):
            level = np.median(other[:, ring], axis=1)[:, None, None]
            picture[:, *patch] = np.clip(picture[:, *patch] + mask * (other - level), 0, 255)
        return np.vstack([corners, box]), np.append(labels, np.int64(label))

    def _earlier(self, index: int) -> list[int]:
        """Mostly as far back as wanted; sometimes none or one step off: live sources start, stall and drop frames."""
        chance = self.random.random()
        if chance < 0.04:
            return [index] * len(STEPS_BACK)
        known = int(self.random.integers(1, 6)) if chance < 0.12 else index  # since the camera started
        off = int(chance < 0.18)
        return [_kept(index, step + off, min(known, index)) for step in STEPS_BACK]

    def _warp(self, boxes: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """Affine 2x3 from network pixels to crop pixels: mostly some object in view, else anywhere."""
        random, size = self.random, self.size
        height, width = shape
        if len(boxes) and random.random() < 0.82:
            _, x, y, w, h = boxes[int(random.integers(len(boxes)))]
            side = max(float(np.sqrt(w * h)), 1.0)
            zoom = self._zoom(side)
            reach = max(size * 0.5 / zoom - 0.6 * side, 2.0)
            centre = np.array([x + w / 2, y + h / 2]) + random.uniform(-reach, reach, 2)
        else:
            zoom = self._zoom(10.0)
            centre = random.uniform(0, 1, 2) * (width, height)
        half = size / 2 / zoom
        centre = np.array([_within(centre[0], half, width), _within(centre[1], half, height)])
        middle = np.array([size / 2, size / 2])
        if zoom == 1.0:
            return self._affine(zoom, np.round(centre), middle, turned=0.0)
        return self._affine(zoom, centre, middle)

    def _zoom(self, side: float) -> float:
        """How much larger an object of this many network pixels is shown."""
        if self.random.random() < (CALM_AS_IS if self.calm else AS_IS):
            return 1.0
        low, high = CALM_ZOOM if self.calm else ZOOM
        zoom = float(np.exp(self.random.uniform(np.log(low), np.log(high))))
        return float(np.clip(zoom, SIZE_RANGE[0] / side, max(SIZE_RANGE[1] / side, 0.4)))

    def _pasted_zoom(self, side: float) -> float:
        """The zoom that gives an object of this many network pixels a size that any class may have."""
        wanted = float(np.exp(self.random.uniform(*np.log(PASTED_SIZES))))
        margin = min(2 * MARGIN, 0.6 * side)
        return float(np.clip((wanted - margin) / (side - margin), *PASTED_ZOOM))

    def _affine(self, zoom: float, centre: np.ndarray, at: np.ndarray, turned: float = 3.0) -> np.ndarray:
        """Affine 2x3 that puts `centre` at `at`, mirrored or not, turned by some degrees (standard deviation)."""
        angle = np.deg2rad(self.random.normal(0, turned))
        mirror = -1.0 if self.random.random() < 0.5 else 1.0
        turn = zoom * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) @ np.diag([mirror, 1])
        return np.hstack([turn, (at - turn @ centre)[:, None]]).astype(np.float32)

    def _degrade(self, view: list[np.ndarray]) -> list[np.ndarray]:
        """Gain, offset, noise, blur and, in infrared, polarity: the same for all pictures but the noise."""
        random = self.random
        gain = float(np.exp(random.normal(0, 0.3)))
        offset = float(random.normal(0, 14))
        if self.band == "infrared" and not self.calm and random.random() < 0.06:
            gain = -gain
        blur = random.random() < 0.06
        noise = float(abs(random.normal(0, 2.0))) if random.random() < 0.25 else 0.0
        level = float(view[0][:4, ::4, ::4].mean())
        if self.band == "visible" and random.random() < 0.5:
            self._tint(view[0][4:])
        # The luma of a visible picture is the mean of four pixels, with half their noise.
        grains = [noise, *[noise / 2 if self.band == "visible" else noise] * (len(view) - 1)]
        return [self._shade(p, gain, offset, level, blur, grain) for p, grain in zip(view, grains, strict=True)]

    def _tint(self, chroma: np.ndarray) -> None:
        """Other skies and cameras: more or less colour, a cast, now and then none at all."""
        strength = 0.0 if self.random.random() < 0.08 else float(np.exp(self.random.normal(0, 0.3)))
        for plane in chroma:
            shades = (np.arange(256) - 128.0) * strength + 128 + self.random.normal(0, 5)
            cv2.LUT(plane, np.clip(shades, 0, 255).astype(np.uint8), dst=plane)

    def _shade(
        self, spatial: np.ndarray, gain: float, offset: float, level: float, blur: bool, noise: float
    ) -> np.ndarray:
        out = spatial.copy()
        brightness = out[:4]  # chroma stays
        shades = np.clip((np.arange(256) - level) * gain + level + offset, 0, 255).astype(np.uint8)
        for plane in brightness:
            cv2.LUT(plane, shades, dst=plane)
            if blur:
                cv2.GaussianBlur(plane, (3, 3), 0, dst=plane)
        if noise:
            grain = noise * self.random.standard_normal(brightness.shape, dtype=np.float32)
            brightness[:] = np.clip(brightness + grain, 0, 255)
        return out


def _window(warp: np.ndarray, size: int, shape: tuple[int, ...]) -> tuple[tuple[slice, slice], np.ndarray]:
    """The part of the frame that a crop needs, and the warp from there: only that much is read and moved."""
    corners = np.array([[0, 0], [size, 0], [0, size], [size, size]], np.float32)
    seen = (corners - warp[:, 2]) @ np.linalg.inv(warp[:, :2]).T
    low = np.clip(np.floor(seen.min(0)).astype(int) - 2, 0, np.array(shape[::-1]) - 1)
    high = np.clip(np.ceil(seen.max(0)).astype(int) + 3, low + 1, shape[::-1])
    moved = np.hstack([warp[:, :2], (warp[:, 2] + warp[:, :2] @ low)[:, None]]).astype(np.float32)
    return (slice(low[1], high[1]), slice(low[0], high[0])), moved


def _crop(planes: np.ndarray, warp: np.ndarray, size: int) -> np.ndarray:
    """Spatial planes [S, h, w] seen through `warp`: uint8 [S, size, size].

    The four luma planes of a visible picture are put together for it: moved one by one, a mirrored or shrunk picture
    would have its pixels within each 2x2 block in another order than any camera gives.
    """
    if len(planes) == 1:
        return _moved(planes[0], warp, size)[None]
    height, width = planes.shape[1:]
    whole = np.empty((2 * height, 2 * width), np.uint8)
    for k in range(4):
        whole[k // 2 :: 2, k % 2 :: 2] = planes[k]
    fine = _moved(whole, warp * np.float32([1, 1, 2]), 2 * size)
    phases = [fine[k // 2 :: 2, k % 2 :: 2] for k in range(4)]
    return np.stack([*phases, *(_moved(chroma, warp, size) for chroma in planes[4:])])


def _moved(plane: np.ndarray, warp: np.ndarray, size: int) -> np.ndarray:
    """One plane through `warp`, smoothed first as far as it shrinks, so that nothing aliases."""
    zoom = float(np.sqrt(abs(np.linalg.det(warp[:, :2]))))
    if zoom < 0.9:
        plane = cv2.GaussianBlur(plane, (0, 0), 0.5 * np.sqrt(zoom**-2 - 1), borderType=cv2.BORDER_REPLICATE)
    warp = warp.copy()  # OpenCV counts from the middle of the first pixel, boxes count from its edge
    warp[:, 2] += 0.5 * warp[:, :2].sum(1) - 0.5
    return cv2.warpAffine(plane, warp, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _kept(index: int, step: int, known: int) -> int:
    """The grid picture a detector compares with that wants the one `step` back and knows `known`: one off will do."""
    return index - min(step, known) if known and step - known <= 1 else index


def _feather(middle: np.ndarray, half: np.ndarray, margin: np.ndarray, sides: np.ndarray) -> np.ndarray:
    """Weights float32 [height, width]: 1 in the box, falling to 0 over the margin around it; all given as x, y."""
    falls = [np.clip(1 - (np.abs(np.arange(sides[k]) + 0.5 - middle[k]) - half[k]) / margin[k], 0, 1) for k in (0, 1)]
    return (falls[1][:, None] * falls[0][None]).astype(np.float32)


def _visible(source: np.ndarray, target: np.ndarray, inside: np.ndarray, ring: np.ndarray) -> bool:
    """Whether an object cut out of `source` stands out there and where it goes, and both are plain sky."""
    clutter = max(float(source[ring].std()), float(target[ring].std()))
    peak = float(np.abs(source[inside] - np.median(source[ring])).max(initial=0.0))
    return clutter <= PLAIN and peak >= max(FAINTEST, 5 * clutter)


def _touch(a: np.ndarray, b: np.ndarray) -> bool:
    return bool((np.minimum(a[2:], b[2:]) > np.maximum(a[:2], b[:2])).all())


def _within(middle: float, half: float, length: int) -> float:
    """The crop's middle moved so that the crop lies in the frame, where it fits."""
    return min(max(middle, half), length - half) if length > 2 * half else length / 2


def _clip_chances(clips: list[Clip], drones: float) -> np.ndarray:
    """By class as in `OTHERS`, drones apart; within a class, scenes and distances of many clips count less for each."""
    crowd = Counter((c.label, c.scene, c.distance) for c in clips)
    weight = np.array([crowd[c.label, c.scene, c.distance] ** -0.5 if c.labelled_frames else 0.0 for c in clips])
    for index, name in enumerate(CLASSES):
        of_class = np.array([c.label == index for c in clips])
        if of_class.any():
            share = drones if name == "drone" else (1 - drones) * OTHERS[name]
            weight[of_class] *= share / weight[of_class].sum()
    return weight / weight.sum()


def _zoomed(sides: np.ndarray, zoom: float) -> np.ndarray:
    """Sides of boxes after a zoom, their margin kept."""
    margin = np.minimum(2 * MARGIN, 0.6 * sides)
    return (sides - margin) * zoom + margin


def _move_boxes(boxes: np.ndarray, warp: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Boxes into the crop; one that is mostly outside is left out.

    The turned box keeps its size (times the zoom): a box around the four turned corners would grow with each degree.
    """
    zoom = float(np.sqrt(abs(np.linalg.det(warp[:, :2]))))
    centre = (boxes[:, 1:3] + boxes[:, 3:5] / 2) @ warp[:, :2].T + warp[:, 2]
    half = _zoomed(boxes[:, 3:5], zoom) / 2
    corners = np.hstack([centre - half, centre + half]).astype(np.float32)
    inside = np.clip(corners, 0, size)
    share = (inside[:, 2] - inside[:, 0]) * (inside[:, 3] - inside[:, 1]) / np.prod(2 * half, 1).clip(1e-6)
    keep = share > 0.4
    return inside[keep], boxes[keep, 0].astype(np.int64)
