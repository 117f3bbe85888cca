"""What flights tell of how each camera stands and how long its lens is, beyond what the site file says.

A focal length that is a few percent off, with a position that was fitted to make up for it, is right at the distances
it was fitted at and tens of pixels wrong elsewhere. That is no noise: every target that the camera sees shares it. So
each camera has seven unknowns, a turn, a displacement and the logarithm of its focal length, with a prior about what
the site file says. Each report of a target that others place as well adds to a linear least-squares problem for them:

    slow error = J θ + what is new at every place        (the target's own slow error, see `fusion.noise`)

The filter knows the slow error's posterior (mean m, variance V), which holds its prior (zero, S). What the reports say
apart from that is m S/(S − V), with variance V S/(S − V); with what is new at every place that makes S²/(S − V).
Looks closer together than the slow error's memory count in part. The solution is not used at first: clocks
(`fusion.noise`) tell within seconds, and a turn would take up what they leave.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np

from fusion import linear
from fusion.geometry import CameraModel, FloatArray, matrix_from_quaternion, quaternion_from_matrix
from fusion.settings import NoiseSettings
from fusion.types import NS, Scan, SensorPose

#: Places of the unknowns: turn in ENU, rad; displacement, ENU m; logarithm of the focal length.
TURN, PLACE, FOCAL = slice(0, 3), slice(3, 6), 6
SIZE = 7
_SOLVE_EVERY_NS = NS // 2
_CLOCK_FIRST_NS = 20 * NS


def _nothing() -> FloatArray:
    return np.zeros(SIZE)


@dataclass(slots=True)
class Refinement:
    """What has been learned of one camera.

    Attributes:
        information: [7, 7] what flights told, and
        told: [7] times what they told it of: the solution is (prior + information)⁻¹ told.
        begun_ns: when the camera first saw what was followed; 0 before that.
        change: [7] the solution in use, from `solved_ns` on.
        place_m, prior: where the camera stands, ENU, and one over the variances [7] of its prior; from then too.
    """

    information: FloatArray = field(default_factory=lambda: np.zeros((SIZE, SIZE)))
    told: FloatArray = field(default_factory=_nothing)
    change: FloatArray = field(default_factory=_nothing)
    begun_ns: int = 0
    solved_ns: int = 0
    place_m: tuple[float, ...] = (0.0, 0.0, 0.0)
    prior: FloatArray = field(default_factory=_nothing)


def refined(scan: Scan, refinement: Refinement) -> Scan:
    """The scan as its camera stands and sees after all that was learned."""
    if scan.camera is None or not refinement.solved_ns:
        return scan
    pose, camera = _moved(scan.pose, scan.camera, tuple(refinement.change.tolist()))
    return replace(scan, pose=pose, camera=camera)


@lru_cache(maxsize=256)  # a camera keeps its change for many looks
def _moved(pose: SensorPose, camera: CameraModel, change: tuple[float, ...]) -> tuple[SensorPose, CameraModel]:
    turned = linear.multiply(_rotation(change[TURN]), matrix_from_quaternion(pose.attitude))
    east, north, up = (at + by for at, by in zip(pose.position_m, change[PLACE], strict=True))
    moved = replace(pose, position_m=(east, north, up), attitude=quaternion_from_matrix(turned))
    longer = math.exp(change[FOCAL])
    return moved, replace(camera, fx=camera.fx * longer, fy=camera.fy * longer)


def _rotation(turn: tuple[float, ...]) -> FloatArray:
    """Rotation matrix of a small turn, rad (Rodrigues)."""
    x, y, z = turn
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    angle2 = x * x + y * y + z * z
    half = 0.5 - angle2 / 24.0 + angle2 * angle2 / 720.0
    return np.eye(3) + (1.0 - angle2 / 6.0 + angle2 * angle2 / 120.0) * cross + half * linear.multiply(cross, cross)


def derivative(scan: Scan, away: FloatArray, by_place: FloatArray, pixels: FloatArray) -> FloatArray:
    """[K, 2, 7] how pixels [K, 2] of targets `away` [K, 3] from the camera move with each unknown.

    Args:
        by_place: [K, 2, 3] derivative of the pixels by the target's place.
    """
    assert scan.camera is not None
    out = np.empty((*pixels.shape, SIZE))
    x, y, z = (away[:, None, k] for k in range(3))
    a, b, c = (by_place[..., k] for k in range(3))
    out[..., 0], out[..., 1], out[..., 2] = b * z - c * y, c * x - a * z, a * y - b * x
    out[..., PLACE] = -by_place
    out[..., FOCAL] = pixels - np.array([scan.camera.cx, scan.camera.cy])
    return out


def hear(refinement: Refinement, jacobian: FloatArray, weight: FloatArray, value: FloatArray) -> None:
    """Add what K reports say: `weight` [K, 2] one over variance, `value` [K, 2] px beyond the change in use."""
    flat = jacobian.reshape(-1, SIZE)
    heavy = flat * weight.reshape(-1, 1)
    added = np.add.reduce(heavy[:, :, None] * flat[:, None, :], axis=0)
    refinement.information += added
    refinement.told += np.add.reduce(heavy * value.reshape(-1, 1), axis=0)
    refinement.told += linear.total(added * refinement.change)


def fade(refinement: Refinement, elapsed_s: float, memory_s: float) -> None:
    """Old flights count less: masts settle, somebody turns a camera."""
    keep = float(np.exp(-elapsed_s / memory_s))
    refinement.information *= keep
    refinement.told *= keep


def solve(
    refinement: Refinement, others: list[Refinement], pose: SensorPose, now_ns: int, settings: NoiseSettings
) -> FloatArray | None:
    """Take up what was told, now and then; how much the change in use has changed [7], or None.

    Args:
        others: what is known of the other cameras, for the frame that all share.
    """
    refinement.begun_ns = refinement.begun_ns or now_ns
    if now_ns - refinement.begun_ns < _CLOCK_FIRST_NS or now_ns - refinement.solved_ns < _SOLVE_EVERY_NS:
        return None
    before = refinement.change
    refinement.solved_ns, refinement.place_m = now_ns, pose.position_m
    refinement.prior = 1.0 / prior2(pose, settings)
    refinement.change = _solution(np.diag(refinement.prior) + refinement.information, refinement.told)
    refinement.change = refinement.change + _shared(refinement, others)
    return refinement.change - before


def _shared(refinement: Refinement, others: list[Refinement]) -> FloatArray:
    """What has to be added to one camera's change so that all together leave the frame of the site where it was.

    No flight shows whether all cameras and the targets are displaced, turned or scaled together: what the solutions
    hold of that is drift. The frame is where all that was seen moves least in the pictures, in total.
    """
    known = [refinement, *(each for each in others if each.solved_ns)]
    middle = np.add.reduce([each.place_m for each in known], axis=0) / len(known)
    normal, right = np.zeros((SIZE, SIZE)), np.zeros(SIZE)
    for each in known:
        moved = _moved_together(np.array(each.place_m) - middle)
        weighted = linear.multiply(linear.transpose(moved), np.diag(each.prior) + each.information)
        normal += linear.multiply(weighted, moved)
        right -= linear.total(weighted * each.change)
    together = _solution(normal, right)
    return linear.total(_moved_together(np.array(refinement.place_m) - middle) * together)


def _moved_together(place: FloatArray) -> FloatArray:
    """[7, 7] how a camera at `place` changes with a displacement, a turn and a scale of everything."""
    x, y, z = (float(v) for v in place)
    out = np.zeros((SIZE, SIZE))
    out[TURN, 3:6] = np.eye(3)
    out[PLACE, 0:3] = np.eye(3)
    out[PLACE, 3:6] = [[0.0, z, -y], [-z, 0.0, x], [y, -x, 0.0]]
    out[PLACE, 6] = x, y, z
    return out


def _solution(matrix: FloatArray, right: FloatArray) -> FloatArray:
    """Of `matrix` x = `right`, positive definite."""
    low = linear.cholesky(matrix)
    return _solve_upper(low, linear.solve_lower(low, right[:, None])[:, 0])


def prior2(pose: SensorPose, settings: NoiseSettings) -> FloatArray:
    """[7] variances of the unknowns before any flight."""
    turn2 = settings.mount_rad**2 + pose.attitude_sigma_rad**2
    place2 = settings.mount_m**2 + pose.position_sigma_m**2
    return np.array([turn2] * 3 + [place2] * 3 + [settings.focal_share**2])


def _solve_upper(low: FloatArray, right: FloatArray) -> FloatArray:
    """Lᵀ⁻¹ b for one lower `low` [d, d]."""
    out = right.copy()
    for i in reversed(range(len(out))):
        for k in range(i + 1, len(out)):
            out[i] -= low[k, i] * out[k]
        out[i] /= low[i, i]
    return out
