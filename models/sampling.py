"""Training samples: small crops around objects, and of places where nothing is, with their earlier pictures.

Objects are 9–60 px in large empty frames, so crops train several times faster than frames. Frames are read once into a
cache on disk (`FrameCache`), on a grid of 10 a second, which is also the spacing of the network's time planes.
"""

from __future__ import annotations

import hashlib
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
#: Share of crops by the class that the clip was filmed for: drones matter most, no class is rare.
CLASS_SHARE = {"drone": 0.36, "bird": 0.22, "airplane": 0.20, "helicopter": 0.22}
#: Largest and smallest size that the random zoom gives an object, network pixels.
SIZE_RANGE = (6.0, 100.0)
#: Range of the random zoom, and in the calm end of a training.
ZOOM, CALM_ZOOM = (0.75, 1.35), (0.9, 1.1)
#: What annotators leave free on each side of an object, network pixels: about the same for small and large ones
#: (measured on infrared `train` against sky: medians 3.1–6.4), so that a zoom must not scale it.
MARGIN = 3.5
#: Share of crops that get an object of another clip; the standard deviation of brightness up to which sky is plain; the
#: least contrast of such an object (one that cannot be seen would teach to see things), both in grey levels.
PASTED = 0.2
PLAIN = 6.0
FAINTEST = 12.0


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

    After `calm_after` crops they are close to what a camera gives: nothing is pasted, the polarity stays and sizes
    change little. A network that ends on such crops fits its boxes better (YOLOX, Ge et al. 2021, section 2.1).
    """

    def __init__(
        self, clips: list[Clip], cache: FrameCache, band: Band, size: int, seed: int, calm_after: int = 1 << 62
    ) -> None:
        self.clips, self.cache, self.band, self.size = clips, cache, band, size
        self.calm_after, self.drawn = calm_after, 0
        self.random = np.random.default_rng(seed)
        self.chances = _clip_chances(clips)

    @property
    def calm(self) -> bool:
        return self.drawn > self.calm_after

    def draw(self) -> Sample:
        self.drawn += 1
        clip, index = self._moment()
        boxes = self._boxes(clip, index)
        warp = self._warp(boxes, self.cache.arrays[clip.name].shape[2:])
        view = self._view(clip, index, warp)
        corners, labels = _move_boxes(boxes, warp, self.size)
        if not self.calm and self.random.random() < PASTED:
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

    def _view(self, clip: Clip, index: int, warp: np.ndarray) -> list[np.ndarray]:
        """The picture and the luma of the two before it, cropped: uint8 [S, size, size] and twice [1, size, size]."""
        frames = self.cache.arrays[clip.name]
        window, moved = self._window(warp, frames.shape[2:])
        before = (luma(frames[i][:, *window])[None] for i in self._earlier(index))
        return [self._crop(part, moved) for part in (frames[index][:, *window], *before)]

    def _paste(self, view: list[np.ndarray], corners: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Add an object of another clip, with its motion, where the sky is plain in both (Ghiasi et al. 2021).

        Each class was filmed in few places (drones in three), so a network would learn the place for the class.
        """
        clip, index = self._moment()
        boxes = self._boxes(clip, index)
        if not len(boxes):
            return corners, labels
        label, x, y, w, h = boxes[int(self.random.integers(len(boxes)))]
        zoom = self._zoom(float(np.sqrt(w * h)))
        at = self.random.uniform(0.1, 0.9, 2) * self.size
        half = _zoomed(np.array([w, h]), zoom) / 2
        box = np.hstack([at - half, at + half]).astype(np.float32)
        mask = _feather(box, self.size)
        if mask is None or any(_touch(box, other) for other in corners):
            return corners, labels
        source = self._view(clip, index, self._affine(zoom, np.array([x + w / 2, y + h / 2]), at))
        ring = (mask > 0) & (mask < 1)
        if not _visible(source[0][0], view[0][0], mask == 1, ring):
            return corners, labels
        for picture, other in zip(view, source, strict=True):
            level = np.median(other[:, ring], axis=1)[:, None, None]
            picture[:] = np.clip(picture + mask * (other - level), 0, 255)
        return np.vstack([corners, box]), np.append(labels, np.int64(label))

    def _earlier(self, index: int) -> tuple[int, int]:
        """Mostly 0.1 and 0.2 s before; sometimes none or further apart: live sources start, stall and drop frames."""
        chance = self.random.random()
        if chance < 0.06:
            return index, index
        if chance < 0.12:
            return max(index - 1, 0), max(index - 1, 0)
        if chance < 0.18:
            return max(index - 2, 0), max(index - 3, 0)
        return max(index - 1, 0), max(index - 2, 0)

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
        return self._affine(zoom, centre, np.array([size / 2, size / 2]))

    def _zoom(self, side: float) -> float:
        """How much larger an object of this many network pixels is shown."""
        low, high = CALM_ZOOM if self.calm else ZOOM
        zoom = float(np.exp(self.random.uniform(np.log(low), np.log(high))))
        return float(np.clip(zoom, SIZE_RANGE[0] / side, max(SIZE_RANGE[1] / side, 0.4)))

    def _affine(self, zoom: float, centre: np.ndarray, at: np.ndarray) -> np.ndarray:
        """Affine 2x3 that puts `centre` at `at`, mirrored or not, turned by a few degrees."""
        angle = np.deg2rad(self.random.normal(0, 3.0))
        mirror = -1.0 if self.random.random() < 0.5 else 1.0
        turn = zoom * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) @ np.diag([mirror, 1])
        return np.hstack([turn, (at - turn @ centre)[:, None]]).astype(np.float32)

    def _window(self, warp: np.ndarray, shape: tuple[int, ...]) -> tuple[tuple[slice, slice], np.ndarray]:
        """The part of the frame that the crop needs, and the warp from there: only that much is read and moved."""
        corners = np.array([[0, 0], [self.size, 0], [0, self.size], [self.size, self.size]], np.float32)
        seen = (corners - warp[:, 2]) @ np.linalg.inv(warp[:, :2]).T
        low = np.clip(np.floor(seen.min(0)).astype(int) - 2, 0, np.array(shape[::-1]) - 1)
        high = np.clip(np.ceil(seen.max(0)).astype(int) + 3, low + 1, shape[::-1])
        moved = np.hstack([warp[:, :2], (warp[:, 2] + warp[:, :2] @ low)[:, None]]).astype(np.float32)
        return (slice(low[1], high[1]), slice(low[0], high[0])), moved

    def _crop(self, spatial: np.ndarray, warp: np.ndarray) -> np.ndarray:
        out = np.empty((len(spatial), self.size, self.size), np.uint8)
        warp = warp.copy()  # OpenCV counts from the middle of the first pixel, boxes count from its edge
        warp[:, 2] += 0.5 * warp[:, :2].sum(1) - 0.5
        for plane, warped in zip(spatial, out, strict=True):
            cv2.warpAffine(
                plane, warp, warped.shape, dst=warped, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
            )
        return out

    def _degrade(self, view: list[np.ndarray]) -> list[np.ndarray]:
        """Gain, offset, noise, blur and, in infrared, polarity: the same for all pictures but the noise."""
        random = self.random
        gain = float(np.exp(random.normal(0, 0.2)))
        offset = float(random.normal(0, 12))
        if self.band == "infrared" and not self.calm and random.random() < 0.06:
            gain = -gain
        blur = random.random() < 0.06
        noise = float(abs(random.normal(0, 1.5))) if random.random() < 0.2 else 0.0
        return [self._shade(picture, gain, offset, blur, noise) for picture in view]

    def _shade(self, spatial: np.ndarray, gain: float, offset: float, blur: bool, noise: float) -> np.ndarray:
        out = spatial.copy()
        brightness = out[:4] if len(out) > 1 else out  # chroma stays
        level = float(brightness[:, ::4, ::4].mean())
        shades = np.clip((np.arange(256) - level) * gain + level + offset, 0, 255).astype(np.uint8)
        for plane in brightness:
            cv2.LUT(plane, shades, dst=plane)
            if blur:
                cv2.GaussianBlur(plane, (3, 3), 0, dst=plane)
        if noise:
            grain = noise * self.random.standard_normal(brightness.shape, dtype=np.float32)
            brightness[:] = np.clip(brightness + grain, 0, 255)
        return out


def _feather(box: np.ndarray, size: int) -> np.ndarray | None:
    """Weights float32 [size, size]: 1 in the box, falling to 0 around it; None if that does not fit in."""
    margin = np.maximum((box[2:] - box[:2]) * 0.5, 4.0)
    if (box[:2] - margin < 0).any() or (box[2:] + margin > size).any():
        return None
    middle, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2
    place = np.arange(size, dtype=np.float32) + 0.5
    falls = [np.clip(1 - (np.abs(place - middle[k]) - half[k]) / margin[k], 0, 1) for k in (0, 1)]
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


def _clip_chances(clips: list[Clip]) -> np.ndarray:
    """By class as in `CLASS_SHARE`; within a class, clips of crowded scenes less often, so that scenes count too."""
    crowd: dict[tuple[int, str], int] = {}
    for clip in clips:
        crowd[clip.label, clip.scene] = crowd.get((clip.label, clip.scene), 0) + 1
    weight = np.array([crowd[c.label, c.scene] ** -0.5 if c.labelled_frames else 0.0 for c in clips])
    for index, name in enumerate(CLASSES):
        of_class = np.array([c.label == index for c in clips])
        if of_class.any():
            weight[of_class] *= CLASS_SHARE[name] / weight[of_class].sum()
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
