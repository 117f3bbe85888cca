"""All hypotheses of all targets as rows of two arrays, predicted and updated together.

A row is `[position 3, velocity 3, slow error of camera slot 0 (2 px), slot 1, …]`. A target owns several consecutive
rows: the motion modes of its interacting multiple model, or, while only one camera knows it, a bank of ranges. Carrying
each camera's slow error in the state (a first-order Gauss-Markov process) keeps the covariance honest although a
camera's successive errors are far from independent. Everything is elementwise (see `fusion.linear`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fusion import linear
from fusion.geometry import FloatArray

KINEMATIC = 6
_FLOOR = 1e-9  # least variance of any state


class Innovation(NamedTuple):
    """What one scan's space predicts for each row, before any report is looked at.

    Attributes:
        z: [R, d] predicted report, slow error included.
        gain: [R, n, d] P Hᵀ.
        spread: [R, d, d] H P Hᵀ, without white noise.
    """

    z: FloatArray
    gain: FloatArray
    spread: FloatArray


def size(slots: int) -> int:
    """Length of a row with that many camera slots."""
    return KINEMATIC + 2 * slots


def predict(
    x: FloatArray,
    p: FloatArray,
    dt_s: float,
    accel2: FloatArray,
    calm_s: FloatArray,
    slow_keep: FloatArray,
    slow_cov: FloatArray,
) -> None:
    """Rows `dt_s` later (in place): velocity is an Ornstein-Uhlenbeck process, exact for any spacing.

    Q(a + b) = F(b) Q(a) F(b)ᵀ + Q(b) holds.

    Args:
        calm_s: [R] time over which velocities fade. It matters while one camera is alone: what it cannot see, motion
            along its ray, then stays near what drones do.
        accel2: [R] spectral density of the acceleration, m²/s³.
        slow_keep: [R, K] how much of each slot's slow error is left.
        slow_cov: [R, K, 2, 2] stationary covariance of it, px².
    """
    calm = np.exp(-dt_s / calm_s)
    reach_s = (calm_s * (1.0 - calm))[:, None]
    x[:, :3] += reach_s * x[:, 3:6]
    p[:, :3, :] += reach_s[:, None] * p[:, 3:6, :]
    p[:, :, :3] += reach_s[:, None] * p[:, :, 3:6]
    place = p[:, :3, :3]
    place[:] = 0.5 * (place + np.swapaxes(place, 1, 2))
    fade = np.ones_like(x)
    fade[:, 3:6] = calm[:, None]
    fade[:, 6:] = np.repeat(slow_keep, 2, axis=1)
    x *= fade
    p *= fade[:, :, None] * fade[:, None, :]
    _add_motion_noise(p, dt_s, accel2, calm_s, calm)
    _add_slow_noise(p, (1.0 - slow_keep * slow_keep)[:, :, None, None] * slow_cov)


def _add_motion_noise(p: FloatArray, dt_s: float, accel2: FloatArray, calm_s: FloatArray, calm: FloatArray) -> None:
    """Covariance that white acceleration adds (integrated Ornstein-Uhlenbeck; Stone et al. 2014, 3.2.2)."""
    lost = 1.0 - calm
    speed = 0.5 * calm_s * (1.0 - calm * calm)
    cross = 0.5 * calm_s**2 * lost * lost
    place = np.maximum(calm_s**2 * dt_s - 2.0 * calm_s**3 * lost + calm_s**2 * speed, 0.0)
    for k in range(3):
        p[:, k, k] += accel2 * place
        p[:, k, k + 3] += accel2 * cross
        p[:, k + 3, k] += accel2 * cross
        p[:, k + 3, k + 3] += accel2 * speed


def _add_slow_noise(p: FloatArray, noise: FloatArray) -> None:
    count, slots = noise.shape[:2]
    blocks = p[:, KINEMATIC:, KINEMATIC:].reshape(count, slots, 2, slots, 2, copy=False)
    own: FloatArray = np.einsum("rkakb->rkab", blocks)  # a view of the diagonal blocks
    own += noise


def innovation(
    x: FloatArray, p: FloatArray, z: FloatArray, jacobian: FloatArray, slot: NDArray[np.intp] | None
) -> Innovation:
    """Predicted report with the slow error of each row's `slot` [R] added, its gain and spread.

    Args:
        z, jacobian: [R, d] and [R, d, 6] of `spaces.predict` at these rows.
        slot: camera slot of each row, or None for sensors without a modelled slow error.
    """
    seen = jacobian[:, :, 0, None] * p[:, 0, None, :]  # H P, whose rows lie together in memory: P is symmetric
    for k in range(1, KINEMATIC):
        seen += jacobian[:, :, k, None] * p[:, k, None, :]
    if slot is not None:
        here, columns = np.arange(len(x))[:, None], KINEMATIC + 2 * slot[:, None] + np.arange(2)
        seen += p[here, columns]
        z = z + x[here, columns]
    gain = linear.transpose(seen)
    spread = linear.multiply(jacobian, gain[:, :KINEMATIC])
    if slot is not None:
        spread = spread + gain[here, columns]
    return Innovation(z, gain, 0.5 * (spread + linear.transpose(spread)))


def update(x: FloatArray, p: FloatArray, gain: FloatArray, low: FloatArray, whitened: FloatArray) -> None:
    """Kalman update of rows (in place).

    `low` [R, d, d] is the factor of the innovation covariance, `whitened` [R, d] = L⁻¹ν. The covariance loses a sum of
    squares and stays symmetric exactly; variances are held above a floor.
    """
    weights = linear.solve_lower(low, linear.transpose(gain))
    for k in range(low.shape[-1]):
        w = weights[:, k]
        x += w * whitened[:, k, None]
        p -= w[:, :, None] * w[:, None, :]
    hold_positive(p)


def shift(x: FloatArray, gain: FloatArray, low: FloatArray, whitened: FloatArray) -> FloatArray:
    """Only the means of `update`."""
    weights = linear.solve_lower(low, linear.transpose(gain))
    return x + linear.total(linear.transpose(weights) * whitened[:, None, :])


def seen_change(change: FloatArray, jacobian: FloatArray, slot: NDArray[np.intp] | None) -> FloatArray:
    """How a change of rows [R, n] shows in the report, [R, d], to first order."""
    shown = linear.total(jacobian * change[:, None, :KINEMATIC])
    if slot is None:
        return shown
    return shown + np.take_along_axis(change, KINEMATIC + 2 * slot[:, None] + np.arange(2), axis=1)


def columns_of(slot: int) -> slice:
    """Where a row holds the slow error of camera slot `slot`."""
    return slice(KINEMATIC + 2 * slot, KINEMATIC + 2 * slot + 2)


def hold_positive(p: FloatArray) -> None:
    """Lift variances to the floor where rounding took them below (in place)."""
    n = p.shape[-1]
    diagonal = p.reshape(len(p), n * n)[:, :: n + 1]
    np.maximum(diagonal, _FLOOR, out=diagonal)


def mix(
    x: FloatArray,
    p: FloatArray,
    log_weight: FloatArray,
    first: NDArray[np.intp] | slice,
    second: NDArray[np.intp] | slice,
    stay: float,
) -> None:
    """Interaction step of the multiple model (in place): rows `first` [W] and `second` [W] are the modes of W targets.

    With D = P₂ − P₁, g = x₂ − x₁ and the share s of the other mode in a mixed one: P₁ + s (D + (1 − s) g gᵀ).
    """
    weight1, weight2 = np.exp(log_weight[first]), np.exp(log_weight[second])
    ahead1 = stay * weight1 + (1.0 - stay) * weight2
    ahead2 = stay * weight2 + (1.0 - stay) * weight1
    share1, share2 = 1.0 - stay * weight1 / ahead1, 1.0 - stay * weight2 / ahead2
    p1, p2, gap = p[first], p[second], x[second] - x[first]
    change, outer = p2 - p1, gap[:, :, None] * gap[:, None, :]
    x[first] += share1[:, None] * gap
    x[second] -= share2[:, None] * gap
    p[first] = p1 + share1[:, None, None] * (change + (1.0 - share1)[:, None, None] * outer)
    p[second] = p2 - share2[:, None, None] * (change - (1.0 - share2)[:, None, None] * outer)
    log_weight[first], log_weight[second] = np.log(ahead1), np.log(ahead2)


def collapse(x: FloatArray, p: FloatArray, weight: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean [n] and covariance [n, n] of a mixture of rows [C, n] with weights [C]."""
    mean = weight[0] * x[0]
    for c in range(1, len(weight)):
        mean = mean + weight[c] * x[c]
    cov = np.zeros_like(p[0])
    for c in range(len(weight)):
        gap = x[c] - mean
        cov = cov + weight[c] * (p[c] + gap[:, None] * gap[None, :])
    return mean, cov
