"""The scene behind the targets: sky, drifting clouds, and a horizon of hills, houses, bare trees and a field.

Everything is laid out in angles around the site (azimuth and elevation), so that every camera, of either band, sees
the same landscape. It is painted once per camera at four times its resolution; only the clouds move afterwards.
Colours were chosen against the medians of the Halmstad recordings (clear spring sky over bare birches).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from fusion.geometry import FloatArray, angles_to_direction, direction_to_angles, rotate, wrap_angle
from simulation.camera import Camera

Image = NDArray[np.float32]

#: How far the trees stand: what flies behind them is hidden by them.
TREES_RANGE_M = 220.0
_SUPERSAMPLE = 4
_SHIFT = 4  # fractional bits of OpenCV's drawing coordinates

#: Clear sky: elevation in degrees, and blue, green, red.
_SKY_DEG = (-90.0, 0.0, 2.0, 6.0, 10.0, 16.0, 25.0, 90.0)
_SKY_BGR = np.array(
    [
        (170, 147, 125),
        (172, 148, 124),
        (179, 149, 120),
        (185, 148, 113),
        (187, 143, 104),
        (181, 130, 91),
        (173, 119, 79),
        (150, 95, 60),
    ]
)
_CLOUD_BGR = (222.0, 205.0, 198.0)

#: The clouds' texture: pixels around and up, and how far it drifts.
_CLOUD_SIZE = (512, 2048)
_CLOUD_DRIFT_RAD_S = 0.0012

#: How much longer exposure and gain brighten a picture at most.
_MOST_GAIN = 2.0

#: An infrared core flattens wide contrasts (digital detail enhancement): warm ground digs a dark trough into the sky.
_FLATTEN_RAD = 0.037
_SKY_LEVEL = 100.0
_LEVELS_PER_HEAT = 290.0
_CLOUD_LEVELS = 10.0


class Material(NamedTuple):
    """Blue, green, red as the visible camera sees it, and heat above the sky, 0..1."""

    bgr: tuple[float, float, float]
    heat: float


_HILL = Material((112, 98, 92), 0.75)
_FIELD = Material((64, 80, 78), 0.66)
_FOOT = Material((92, 112, 118), 0.72)
_THICKET = Material((52, 56, 62), 0.86)
_TWIG = Material((70, 66, 72), 0.92)
_BIRCH = Material((126, 124, 128), 0.97)
_WALL = Material((176, 186, 192), 0.98)
_ROOF = Material((62, 62, 118), 0.8)


class Branches(NamedTuple):
    """Straight pieces of trees, in radians: from (azimuth, elevation) to (azimuth, elevation) `ends` [n, 2, 2]."""

    ends: FloatArray
    width_rad: float
    material: Material


@dataclass(frozen=True)
class Landscape:
    """What stands around the site, all of it from one seed, and the air and light about it.

    Attributes:
        haze_m: contrast falls to 1/e over this distance of hazy air.
        light: daylight on what is visible, 1 at noon; infrared does without.
    """

    seed: int
    tree_spacing_deg: float = 0.3
    cloudiness: float = 0.35
    haze_m: float = 30_000.0
    light: float = 1.0

    @property
    def exposed(self) -> float:
        """How bright visible cameras show it, 1 at noon: longer exposure and gain make up for some of the light."""
        return min(1.0, _MOST_GAIN * self.light)

    def foot_rad(self, azimuth_rad: FloatArray) -> FloatArray:
        """Elevation where the field ends and the trees begin."""
        return np.radians(-0.05 + 0.12 * self._roll(azimuth_rad, "foot", 24))

    def hills_rad(self, azimuth_rad: FloatArray) -> FloatArray:
        """Elevation of the far hills' ridge."""
        return np.radians(0.9 + 0.6 * self._roll(azimuth_rad, "hills", 40))

    def thicket_rad(self, azimuth_rad: FloatArray) -> FloatArray:
        """Elevation of the top of the undergrowth."""
        top = 1.35 + 0.3 * self._roll(azimuth_rad, "thicket", 60) + 0.08 * self._roll(azimuth_rad, "leaves", 4000)
        return self.foot_rad(azimuth_rad) + np.radians(top)

    def _roll(self, azimuth_rad: FloatArray, name: str, highest: int) -> FloatArray:
        """Smooth periodic noise of about unit size with waves up to `highest` around the circle."""
        rng = np.random.default_rng((self.seed, highest, len(name)))
        waves = rng.integers(max(highest // 8, 1), highest + 1, 12)
        phases = rng.uniform(0.0, 2.0 * math.pi, 12)
        summed = np.zeros_like(azimuth_rad)
        for wave, phase in zip(waves, phases, strict=True):
            summed += np.cos(wave * azimuth_rad + phase)
        return summed / math.sqrt(6.0)

    @cached_property
    def branches(self) -> tuple[Branches, ...]:
        """Every tree around the site, thick pieces first."""
        rng = np.random.default_rng((self.seed, 1))
        azimuth = np.arange(0.0, 360.0, self.tree_spacing_deg)
        azimuth = np.radians(azimuth + rng.uniform(-0.15, 0.15, azimuth.shape))
        height = np.radians(rng.uniform(2.0, 3.4, azimuth.shape) + 0.3 * self._roll(azimuth, "tall", 30))
        starts = np.stack([azimuth, self.foot_rad(azimuth)], axis=-1)
        birch = rng.random(azimuth.shape) < 0.35
        return (*_grow(starts[~birch], height[~birch], _TWIG, rng), *_grow(starts[birch], height[birch], _BIRCH, rng))

    @cached_property
    def houses(self) -> FloatArray:
        """Azimuth and width, radians, of houses before the trees [n, 2]."""
        rng = np.random.default_rng((self.seed, 2))
        azimuth = np.radians(np.arange(0.0, 360.0, 15.0) + rng.uniform(-5.0, 5.0, 24))
        return np.stack([azimuth, np.radians(rng.uniform(0.5, 1.1, 24))], axis=-1)

    @cached_property
    def clouds(self) -> Image:
        """Cover 0..1 [elevation, azimuth], periodic both ways: noise with a 1/f^2.2 spectrum, stretched sideways. A
        clear sky has none at all, and an overcast one differs only in its greys."""
        rng = np.random.default_rng((self.seed, 3))
        rows, columns = (np.fft.fftfreq(n) * n for n in _CLOUD_SIZE)
        frequency = np.hypot(rows[:, None] * 3.0, columns[None, : _CLOUD_SIZE[1] // 2 + 1])
        spectrum = np.fft.rfft2(rng.standard_normal(_CLOUD_SIZE)) / np.maximum(frequency, 3.0) ** 2.2
        field = np.fft.irfft2(spectrum, _CLOUD_SIZE)
        field = field / field.std() - 2.0 + 5.0 * self.cloudiness
        cover: Image = (np.clip(0.5 * field, 0.0, 1.0) * (0.9 + 0.1 * np.tanh(field - 2.0))).astype(np.float32)
        return cover


def _grow(starts: FloatArray, height: FloatArray, trunk: Material, rng: np.random.Generator) -> tuple[Branches, ...]:
    """Bare trees: each piece bears shorter ones that bend away from it, four generations deep."""
    angle, length = rng.normal(0.0, 0.04, height.shape), height * 0.95
    pieces, width = [], 0.0014
    for generation, children in enumerate((12, 5, 4, 0)):
        step = length[:, None] * np.stack([np.sin(angle), np.cos(angle)], axis=-1)
        pieces.append(Branches(np.stack([starts, starts + step], axis=1), width, trunk if generation == 0 else _TWIG))
        along = rng.uniform(0.25, 1.0, (len(length), children))
        side = rng.choice((-1.0, 1.0), along.shape)
        starts = (starts[:, None] + along[..., None] * step[:, None]).reshape(-1, 2)
        angle = (0.8 * angle[:, None] + side * rng.uniform(0.2, 0.6, along.shape)).reshape(-1)
        length = (length[:, None] * rng.uniform(0.2, 0.4, along.shape) * (1.3 - 0.6 * along)).reshape(-1)
        width *= 0.45
    return tuple(pieces)


@dataclass(frozen=True, slots=True)
class Backdrop:
    """One camera's picture without targets.

    Attributes:
        still: float32 [H, W, C], what does not move.
        cloud: float32 [H, W, C], what full cloud adds to it (nothing before the foreground).
        cover: float32 [H, W + period + 1], cloud cover around the sky.
        foreground: float32 [H, W], how much of each pixel trees, houses and ground hide.
    """

    still: Image
    cloud: Image
    cover: Image
    foreground: Image
    drift_px_s: float

    def write(self, time_s: float, out: Image) -> None:
        """The picture at `time_s` into `out`, float32 [H, W, C]: grey levels before noise."""
        width = self.still.shape[1]
        whole, part = divmod(time_s * self.drift_px_s % (self.cover.shape[1] - width - 1), 1.0)
        first = int(whole)
        near, far = self.cover[:, first : first + width], self.cover[:, first + 1 : first + 1 + width]
        cover = cv2.addWeighted(near, 1.0 - part, far, part, 0.0)
        for channel in range(out.shape[2]):
            out[..., channel] = cover * self.cloud[..., channel]
        out += self.still


def paint_backdrop(landscape: Landscape, camera: Camera) -> Backdrop:
    """The landscape as `camera` sees it; about a second of work, done once."""
    azimuth, elevation = _pixel_angles(camera)
    colour, foreground = _paint_foreground(landscape, camera)
    paint = _visible if camera.band == "visible" else _infrared
    still, cloud = paint(landscape, camera, elevation, colour, foreground)
    corner = float(azimuth[0, 0]), float(elevation.max())
    return Backdrop(
        still.astype(np.float32),
        (cloud * (1.0 - foreground)[..., None]).astype(np.float32),
        _cloud_strip(landscape, camera, corner),
        foreground,
        _CLOUD_DRIFT_RAD_S * camera.model.fx,
    )


def _pixel_angles(camera: Camera) -> tuple[FloatArray, FloatArray]:
    """Azimuth and elevation, radians [H, W], of the pixels: exact for one in 64, interpolated between.

    Azimuth is unwrapped about the camera's own, so that it has no seam within the picture.
    """
    size, step = (camera.model.width, camera.model.height), 8
    columns, rows = np.meshgrid(*((np.arange(max(n // step, 1)) + 0.5) * n / max(n // step, 1) for n in size))
    rays = rotate(camera.enu_to_camera.T, camera.model.rays(np.stack([columns, rows], axis=-1)))
    azimuth, elevation = direction_to_angles(rays)
    ahead = math.radians(camera.azimuth_deg)
    grids = (ahead + wrap_angle(azimuth - ahead), elevation)
    azimuth, elevation = (np.asarray(cv2.resize(g, size, interpolation=cv2.INTER_LINEAR), np.float64) for g in grids)
    return azimuth, elevation


def _visible(
    landscape: Landscape, camera: Camera, elevation: FloatArray, colour: Image, foreground: Image
) -> tuple[FloatArray, FloatArray]:
    """Blue, green, red [H, W, 3] and what cloud adds; sharpened as consumer cameras do."""
    degrees = np.degrees(elevation)
    sky = np.stack([np.interp(degrees, _SKY_DEG, _SKY_BGR[:, c]) for c in range(3)], axis=-1)
    grain = _field_grain(landscape, elevation)
    mixed = sky * (1.0 - foreground)[..., None] + (colour * (1.0 + 0.1 * grain[..., None])) * foreground[..., None]
    sharp = mixed + 0.6 * (mixed - cv2.GaussianBlur(mixed, (0, 0), 1.2))
    return landscape.exposed * sharp, landscape.exposed * (np.array(_CLOUD_BGR) - sky)


def _infrared(
    landscape: Landscape, camera: Camera, elevation: FloatArray, colour: Image, foreground: Image
) -> tuple[FloatArray, FloatArray]:
    """White-hot grey levels [H, W, 1] and what cloud adds, after the camera has flattened the wide contrasts."""
    grain = _field_grain(landscape, elevation)
    heat = cv2.GaussianBlur(colour[..., 0] / 255.0 * foreground * (1.0 + 0.06 * grain), (0, 0), 0.7)
    flat = heat - cv2.GaussianBlur(heat, (0, 0), _FLATTEN_RAD * camera.model.fx, borderType=cv2.BORDER_REFLECT)
    corner = np.linspace(-1.0, 1.0, heat.shape[0])[:, None] ** 8 + np.linspace(-1.0, 1.0, heat.shape[1])[None] ** 8
    levels = _SKY_LEVEL + _LEVELS_PER_HEAT * flat - 8.0 * corner
    return levels[..., None], np.full((*heat.shape, 1), _CLOUD_LEVELS)


def _field_grain(landscape: Landscape, elevation: FloatArray) -> FloatArray:
    """Unit-size texture of the ground, finer towards the horizon; trees get it too, as light and shade."""
    rng = np.random.default_rng((landscape.seed, 4))
    fine = rng.standard_normal(elevation.shape)
    flat = cv2.GaussianBlur(fine, (0, 0), sigmaX=2.5, sigmaY=0.7) * 4.0
    upright = cv2.GaussianBlur(fine, (0, 0), sigmaX=0.8, sigmaY=4.0) * 6.0
    return np.where(elevation < 0.0, 0.3 * flat, upright)


def _cloud_strip(landscape: Landscape, camera: Camera, corner_rad: tuple[float, float]) -> Image:
    """The clouds' texture at this camera's scale, cut to its rows and unrolled to its first column."""
    scale = camera.model.fx * 2.0 * math.pi / 3.0 / _CLOUD_SIZE[1]  # three times around the circle
    size = (round(_CLOUD_SIZE[1] * scale), round(_CLOUD_SIZE[0] * scale))
    texture = cv2.resize(landscape.clouds, size, interpolation=cv2.INTER_CUBIC)
    left, top = round(corner_rad[0] * camera.model.fx), round(-corner_rad[1] * camera.model.fy)
    rows = np.arange(top, top + camera.model.height) % size[1]
    columns = np.arange(left, left + size[0] + camera.model.width + 1) % size[0]
    return np.clip(texture[np.ix_(rows, columns)], 0.0, 1.0)


class _Canvas:
    """A supersampled picture of the foreground: colour, and what is covered."""

    def __init__(self, camera: Camera) -> None:
        self._camera = camera
        self._size = camera.model.height * _SUPERSAMPLE, camera.model.width * _SUPERSAMPLE
        self._colour = np.zeros((*self._size, 3), np.uint8)
        self._mask = np.zeros(self._size, np.uint8)

    def fill(self, azimuth: FloatArray, elevation: FloatArray, material: Material) -> None:
        """A polygon with corners given in radians [n]."""
        points, valid = self._place(azimuth, elevation)
        if bool(np.all(valid)):
            cv2.fillPoly(self._colour, [points], self._tone(material), shift=_SHIFT)
            cv2.fillPoly(self._mask, [points], 255, shift=_SHIFT)

    def draw(self, branches: Branches) -> None:
        """Straight strokes, at least one fine pixel wide."""
        model = self._camera.model
        off = np.abs(wrap_angle(branches.ends[:, 0, 0] - math.radians(self._camera.azimuth_deg)))
        ends = branches.ends[off < 1.5 * math.atan2(model.width, model.fx)]
        points, valid = self._place(ends[..., 0], ends[..., 1])
        inside = np.all(valid & (np.abs(points) < (4 * max(self._size) << _SHIFT)).all(axis=-1), axis=-1)
        thickness = max(1, round(branches.width_rad * model.fx * _SUPERSAMPLE))
        strokes = list(points[inside])
        cv2.polylines(self._colour, strokes, False, self._tone(branches.material), thickness, shift=_SHIFT)
        cv2.polylines(self._mask, strokes, False, 255, thickness, shift=_SHIFT)

    def shrink(self) -> tuple[Image, Image]:
        """Colour float32 [H, W, 3] (not dimmed at edges) and cover float32 [H, W] 0..1, at the camera's size."""
        size = (self._camera.model.width, self._camera.model.height)
        cover = cv2.resize(self._mask, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255.0
        colour = cv2.resize(self._colour, size, interpolation=cv2.INTER_AREA).astype(np.float32)
        return colour / np.maximum(cover, 1e-3)[..., None], cover

    def _place(self, azimuth: FloatArray, elevation: FloatArray) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
        projection = self._camera.see_directions(angles_to_direction(azimuth, elevation))
        fine = (projection.pixels * _SUPERSAMPLE - 0.5) * (1 << _SHIFT)
        return np.clip(np.rint(fine), -(2**24), 2**24).astype(np.int32), projection.valid

    def _tone(self, material: Material) -> tuple[float, ...]:
        return material.bgr if self._camera.band == "visible" else (255.0 * material.heat,) * 3


def _paint_foreground(landscape: Landscape, camera: Camera) -> tuple[Image, Image]:
    """Colour (or heat, 0..255, in each channel) [H, W, 3] and cover [H, W] of all that is not sky."""
    canvas = _Canvas(camera)
    half = camera.model.width / camera.model.fx
    across = math.radians(camera.azimuth_deg) + np.linspace(-half, half, 4 * camera.model.width)
    floor = np.full_like(across, math.radians(-60.0))
    for top, material in ((landscape.hills_rad(across), _HILL), (landscape.thicket_rad(across), _THICKET)):
        _fill_below(canvas, across, top, floor, material)
    for branches in landscape.branches:
        canvas.draw(branches)
    for azimuth, width in landscape.houses:
        _house(canvas, landscape, float(azimuth), float(width))
    foot = landscape.foot_rad(across)
    _fill_below(canvas, across, foot + 0.0006, floor, _FOOT)
    _fill_below(canvas, across, foot - 0.0018, floor, _FIELD)
    return canvas.shrink()


def _fill_below(canvas: _Canvas, across: FloatArray, top: FloatArray, floor: FloatArray, material: Material) -> None:
    canvas.fill(np.concatenate([across, across[::-1]]), np.concatenate([top, floor]), material)


def _house(canvas: _Canvas, landscape: Landscape, azimuth: float, width: float) -> None:
    """A gabled house at the foot of the trees."""
    foot = float(landscape.foot_rad(np.array([azimuth]))[0])
    left, right, eaves, ridge = azimuth - width / 2, azimuth + width / 2, foot + 0.35 * width, foot + 0.6 * width
    canvas.fill(np.array([left, right, right, left]), np.array([foot, foot, eaves, eaves]), _WALL)
    inset = 0.12 * width
    roof = np.array([left - 0.05 * width, right + 0.05 * width, right - inset, left + inset])
    canvas.fill(roof, np.array([eaves, eaves, ridge, ridge]), _ROOF)
