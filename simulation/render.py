"""Frames of the simulated world: backdrop, small targets drawn with sub-pixel care, optics and sensor.

A target is drawn from its parts at eight times the resolution, averaged down to coverage, blurred by the optics and
added to the backdrop. Sensor noise is weak because the recordings' codec has eaten most of it. All is a pure function
of time: the same camera, seed and time give the same bytes.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from models.types import Band
from simulation.camera import Camera
from simulation.landscape import TREES_RANGE_M, Backdrop, Image, Landscape, paint_backdrop
from simulation.shapes import FloatArray, Part
from simulation.world import Aircraft

#: What changes no pixel by this much is not in the truth; the faintest annotated birds of the clips make about 20.
FAINTEST_LEVELS = 10.0
_CLOUD_STEPS_PER_S = 10
_LEAST_LIGHT = 0.02  # a camera amplifies no further
_MARGIN_PX = 7
_SHIFT = 4
_LARGEST_TARGET_PX = 2048


@dataclass(frozen=True, slots=True)
class Look:
    """What optics, sensor and codec do to a picture of one band.

    Attributes:
        blur_px: sigma of the point spread.
        sharpen: strength of the camera's own sharpening of small detail.
        noise: sigma that changes from frame to frame, grey levels; `pattern` the part that stays.
        levels_per_heat: grey levels of a surface of heat 1 (infrared saturates on motors).
        pad_drone_px, pad_other_px: how far the annotation's boxes reach beyond the visible target, each side, x and y:
            half the median over the training clips of what a box has more than the target's pixels.
    """

    blur_px: float
    sharpen: float
    noise: float
    pattern: float
    levels_per_heat: float
    pad_drone_px: tuple[float, float]
    pad_other_px: tuple[float, float]


LOOKS: dict[Band, Look] = {
    "visible": Look(0.55, 0.7, 0.05, 0.05, 0.0, (10.5, 8.6), (11.0, 10.3)),
    "infrared": Look(0.72, 0.0, 0.25, 0.9, 700.0, (4.5, 3.3), (4.8, 4.6)),
}


@dataclass(frozen=True, slots=True)
class Truth:
    """What really is in the picture.

    Attributes:
        box: x, y, width, height in pixels, in the style of the annotated recordings: the target with the annotator's
            padding, cut at the picture's edge.
        extent: the same around the visible pixels alone.
        visible_px: area of the target that the camera sees, pixels.
        contrast: the largest difference it makes to a pixel, grey levels (above 255 where the picture saturates).
        range_m: from the camera.
    """

    object_id: int
    class_name: str
    box: tuple[float, float, float, float]
    extent: tuple[float, float, float, float]
    visible_px: float
    contrast: float
    range_m: float


@dataclass(frozen=True, slots=True)
class _Patch:
    """Part of a picture: its corner, and float32 [h, w, 3] of coverage, coverage × reflectance, coverage × heat."""

    column: int
    row: int
    layers: Image


class Renderer:
    """One camera's view of the world. Painting the backdrop takes about a second; a frame a few milliseconds."""

    def __init__(self, camera: Camera, landscape: Landscape) -> None:
        self.camera = camera
        self._look = LOOKS[camera.band]
        self._haze_m = landscape.haze_m
        visible = camera.band == "visible"
        self._exposed, self._light = (landscape.exposed, landscape.light) if visible else (1.0, 1.0)
        self._seed = (landscape.seed, zlib.crc32(camera.sensor_id.encode()))
        self._backdrop = self._with_pattern(paint_backdrop(landscape, camera))
        self._noise = self._noise_tile()
        self._sky, self._picture = np.empty_like(self._backdrop.still), np.empty_like(self._backdrop.still)
        self._cloud_step = -1

    def render(self, aircraft: Sequence[Aircraft], time_s: float) -> tuple[NDArray[np.uint8], tuple[Truth, ...]]:
        """Pixels [H, W, C] (BGR, or one channel) at `time_s` ≥ 0, and the truth in them, the farthest first."""
        picture = self._background(time_s)
        truths = []
        for range_m, craft, patch in self._targets(aircraft, time_s):
            contrast = self._blend(picture, patch, range_m)
            if contrast >= FAINTEST_LEVELS:
                truths.append(self._truth(craft, patch, range_m, contrast))
        return self._expose(picture, time_s), tuple(truths)

    def _background(self, time_s: float) -> Image:
        """The backdrop to draw on; its clouds move ten times a second, by less than a pixel."""
        step = math.floor(time_s * _CLOUD_STEPS_PER_S)
        if step != self._cloud_step:
            self._backdrop.write(step / _CLOUD_STEPS_PER_S, self._sky)
            self._cloud_step = step
        np.copyto(self._picture, self._sky)
        return self._picture

    def _targets(self, aircraft: Sequence[Aircraft], time_s: float) -> list[tuple[float, Aircraft, _Patch]]:
        """All that is in view, the farthest first."""
        found = []
        for craft in aircraft:
            state = craft.trajectory.at(time_s)
            if not self.camera.may_see(state.position, craft.body.radius_m):
                continue
            patch = _draw(self.camera, craft.body.parts(time_s), state.position, craft.attitude(state))
            if patch is not None:
                range_m = math.dist(state.position, self.camera.position_m)
                found.append((range_m, craft, self._occlude(patch, range_m)))
        return sorted(found, key=lambda item: (-item[0], item[1].object_id))

    def _occlude(self, patch: _Patch, range_m: float) -> _Patch:
        """What the trees before it leave of a far target, and nothing beyond the picture's edge."""
        window = np.zeros(patch.layers.shape[:2], np.float32)
        outer, inner = _overlap(patch, self._backdrop.foreground.shape)
        hidden = self._backdrop.foreground[outer] if range_m > TREES_RANGE_M else 0.0
        window[inner] = 1.0 - hidden
        return _Patch(patch.column, patch.row, patch.layers * window[..., None])

    def _blend(self, picture: Image, patch: _Patch, range_m: float) -> float:
        """Add the target's light (or heat) to the picture, less what it hides; the largest change, grey levels."""
        outer, inner = _overlap(patch, picture.shape[:2])
        layers = cv2.GaussianBlur(patch.layers, (0, 0), self._look.blur_px)
        cover = layers[..., :1]
        behind = np.zeros((*cover.shape[:2], picture.shape[2]), np.float32)
        behind[inner] = picture[outer]
        if self.camera.band == "visible":
            change = 255.0 * self._exposed * layers[..., 1:2] - behind * cover
            change += self._look.sharpen * (change - cv2.GaussianBlur(change, (0, 0), 1.0))
        else:
            change = self._look.levels_per_heat * layers[..., 2:3] + (100.0 - behind) * cover
        change = np.float32(np.exp(-range_m / self._haze_m)) * change[inner]
        picture[outer] += change
        return float(np.abs(change).max(initial=0.0))

    def _truth(self, craft: Aircraft, patch: _Patch, range_m: float, contrast: float) -> Truth:
        """The annotation of a target."""
        cover = patch.layers[..., 0]
        rows, columns = np.nonzero(cover >= min(0.1, 0.25 * float(cover.max())))
        x0, y0 = patch.column + int(columns.min()), patch.row + int(rows.min())
        x1, y1 = patch.column + int(columns.max()) + 1, patch.row + int(rows.max()) + 1
        extent = (float(x0), float(y0), float(x1 - x0), float(y1 - y0))
        return Truth(
            craft.object_id,
            craft.class_name,
            self._pad(extent, craft.class_name),
            extent,
            float(cover.sum()),
            contrast,
            range_m,
        )

    def _pad(self, extent: tuple[float, float, float, float], class_name: str) -> tuple[float, float, float, float]:
        x, y, width, height = extent
        pad_x, pad_y = self._look.pad_drone_px if class_name == "drone" else self._look.pad_other_px
        left, top = max(x - pad_x, 0.0), max(y - pad_y, 0.0)
        right = min(x + width + pad_x, float(self.camera.model.width))
        bottom = min(y + height + pad_y, float(self.camera.model.height))
        return left, top, right - left, bottom - top

    def _expose(self, picture: Image, time_s: float) -> NDArray[np.uint8]:
        """Noise, rounding, and for colour the half-resolution chroma of every video codec (4:2:0)."""
        height, width = picture.shape[:2]
        rng = np.random.default_rng((*self._seed, round(time_s * 1e6)))
        row, column = (int(v) for v in rng.integers(0, 64, 2))
        noise = self._noise[row : row + height, column : column + width]
        levels = cv2.add(picture, noise.reshape(picture.shape), dtype=cv2.CV_8U)
        if self.camera.band == "visible":
            planes = cv2.cvtColor(levels, cv2.COLOR_BGR2YUV_I420)
            levels = cv2.cvtColor(planes, cv2.COLOR_YUV2BGR_I420)
        return np.asarray(levels, dtype=np.uint8).reshape(picture.shape)

    def _noise_tile(self) -> Image:
        """Noise to cut each frame's from, at a random place."""
        size = (self.camera.model.height + 64, self.camera.model.width + 64, 1)
        sigma = self._look.noise / max(self._light, _LEAST_LIGHT)  # the less light, the more the camera amplifies
        noise = np.random.default_rng((*self._seed, 1)).normal(0.0, sigma, size).astype(np.float32)
        return np.repeat(noise, self._backdrop.still.shape[2], axis=2)

    def _with_pattern(self, backdrop: Backdrop) -> Backdrop:
        """The sensor's fixed pattern, some of it in whole columns, is added to the backdrop once."""
        rng = np.random.default_rng((*self._seed, 2))
        height, width = backdrop.foreground.shape
        pixels, columns = rng.normal(0.0, 1.0, (height, width, 1)), rng.normal(0.0, 1.0, (1, width, 1))
        pattern = self._look.pattern * (0.9 * pixels + 0.4 * columns)
        still = (backdrop.still + pattern).astype(np.float32)
        return Backdrop(still, backdrop.cloud, backdrop.cover, backdrop.foreground, backdrop.drift_px_s)


def _draw(camera: Camera, parts: Sequence[Part], position: FloatArray, body_to_enu: FloatArray) -> _Patch | None:
    """The parts in the camera's pixels, or None when out of the picture or not all in front of the camera."""
    corners = np.concatenate([part.points for part in parts])
    seen, (pixels, _, valid) = camera.see_points(position + corners @ body_to_enu.T)
    if not bool(np.all(valid)):
        return None
    stroke_px = max(part.width_m for part in parts) * camera.model.fx / float(seen[:, 2].min())
    low = np.floor(pixels.min(axis=0) - stroke_px).astype(int)
    high = np.ceil(pixels.max(axis=0) + stroke_px).astype(int)
    size = high - low
    edge = np.array((camera.model.width, camera.model.height))
    if bool(np.any(high <= 0) or np.any(low >= edge)) or int(size.max()) > _LARGEST_TARGET_PX:
        return None
    fine = 8 if size.max() <= 96 else 4 if size.max() <= 384 else 1
    outlines = _outlines(parts, (pixels - low) * fine - 0.5, camera.model.fx * fine / seen[:, 2])
    layers = _coverage(parts, outlines, (int(size[0]), int(size[1])), fine)
    return _Patch(int(low[0]) - _MARGIN_PX, int(low[1]) - _MARGIN_PX, layers)


def _coverage(parts: Sequence[Part], outlines: list[NDArray[np.int32]], size: tuple[int, int], fine: int) -> Image:
    """Layers of a patch of `size` (width, height) and a margin around it; each later part hides what it covers."""
    canvas = np.zeros((size[1] * fine, size[0] * fine, 3), np.uint8)
    for part, outline in zip(parts, outlines, strict=True):
        paint = part.paint
        colour = tuple(255.0 * paint.opacity * v for v in (1.0, paint.reflectance, paint.heat))
        cv2.fillConvexPoly(canvas, outline, colour, shift=_SHIFT)
    layers = np.zeros((size[1] + 2 * _MARGIN_PX, size[0] + 2 * _MARGIN_PX, 3), np.float32)
    inside = cv2.resize(canvas, size, interpolation=cv2.INTER_AREA)
    layers[_MARGIN_PX:-_MARGIN_PX, _MARGIN_PX:-_MARGIN_PX] = inside / np.float32(255.0)
    return layers


def _outlines(parts: Sequence[Part], points: FloatArray, px_per_m: FloatArray) -> list[NDArray[np.int32]]:
    """Each part's corners in OpenCV's fixed-point pixels; `points` [n, 2] are those of all parts in a row.

    A stroke becomes six corners, pointed a little at both ends: seen along its length it is still as wide as it is.
    """
    firsts = np.cumsum([0, *(len(part.points) for part in parts)])
    start, end = points[firsts[:-1]], points[firsts[:-1] + 1]
    along = end - start
    length = np.hypot(along[:, 0], along[:, 1])[:, None]
    unit = np.where(length > 1e-9, along / np.maximum(length, 1e-9), (1.0, 0.0))
    half = 0.5 * np.array([part.width_m for part in parts])[:, None] * px_per_m[firsts[:-1], None]
    across, nose = np.stack([-unit[:, 1], unit[:, 0]], axis=-1) * half, unit * (0.7 * half)
    strokes = [start + across, start - nose, start - across, end - across, end + nose, end + across]
    rounded = np.rint(np.stack(strokes, axis=1) * (1 << _SHIFT)).astype(np.int32)
    plates = np.rint(points * (1 << _SHIFT)).astype(np.int32)
    spans = zip(parts, firsts[:-1], firsts[1:], rounded, strict=True)
    return [stroke if part.width_m > 0.0 else plates[first:stop] for part, first, stop, stroke in spans]


def _overlap(patch: _Patch, shape: tuple[int, ...]) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Where patch and picture meet, as slices (rows, columns) of the picture and of the patch."""
    height, width = patch.layers.shape[:2]
    top, left = max(patch.row, 0), max(patch.column, 0)
    bottom, right = min(patch.row + height, shape[0]), min(patch.column + width, shape[1])
    bottom, right = max(bottom, top), max(right, left)
    picture = (slice(top, bottom), slice(left, right))
    inner = (slice(top - patch.row, bottom - patch.row), slice(left - patch.column, right - patch.column))
    return picture, inner
