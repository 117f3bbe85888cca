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
    calm_s: float,
    slow_s: float,
    slow_cov: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Rows `dt_s` later: velocity is an Ornstein-Uhlenbeck process, exact for any spacing.

    Q(a + b) = F(b) Q(a) F(b)ᵀ + Q(b) holds. That velocities fade (over `calm_s`) matters while one camera is alone:
    what it cannot see, motion along its ray, then stays near what drones do.

    Args:
        accel2: [R] spectral density of the acceleration, m²/s³.
        slow_cov: [R, K, 2, 2] stationary covariance of each slot's slow error, px².
    """
    x, p = x.copy(), p.copy()
    keep, calm = float(np.exp(-dt_s / slow_s)), float(np.exp(-dt_s / calm_s))
    reach_s = calm_s * (1.0 - calm)
    x[:, :3] += reach_s * x[:, 3:6]
    x[:, 3:6] *= calm
    x[:, 6:] *= keep
    p[:, :3, :] += reach_s * p[:, 3:6, :]
    p[:, :, :3] += reach_s * p[:, :, 3:6]
    p[:, 3:6, :] *= calm
    p[:, :, 3:6] *= calm
    p[:, 6:, :] *= keep
    p[:, :, 6:] *= keep
    _add_motion_noise(p, dt_s, accel2, calm_s, calm)
    _add_slow_noise(p, (1.0 - keep * keep) * slow_cov)
    return x, 0.5 * (p + np.swapaxes(p, 1, 2))


def _add_motion_noise(p: FloatArray, dt_s: float, accel2: FloatArray, calm_s: float, calm: float) -> None:
    """Covariance that white acceleration adds (integrated Ornstein-Uhlenbeck; Stone et al. 2014, 3.2.2)."""
    lost = 1.0 - calm
    speed = 0.5 * calm_s * (1.0 - calm * calm)
    cross = 0.5 * calm_s**2 * lost * lost
    place = max(calm_s**2 * dt_s - 2.0 * calm_s**3 * lost + calm_s**2 * speed, 0.0)
    for k in range(3):
        p[:, k, k] += accel2 * place
        p[:, k, k + 3] += accel2 * cross
        p[:, k + 3, k] += accel2 * cross
        p[:, k + 3, k + 3] += accel2 * speed


def _add_slow_noise(p: FloatArray, noise: FloatArray) -> None:
    for slot in range(noise.shape[1]):
        c = KINEMATIC + 2 * slot
        p[:, c : c + 2, c : c + 2] += noise[:, slot]


def innovation(
    x: FloatArray, p: FloatArray, z: FloatArray, jacobian: FloatArray, slot: NDArray[np.intp] | None
) -> Innovation:
    """Predicted report with the slow error of each row's `slot` [R] added, its gain and spread.

    Args:
        z, jacobian: [R, d] and [R, d, 6] of `spaces.predict` at these rows.
        slot: camera slot of each row, or None for sensors without a modelled slow error.
    """
    gain = p[:, :, 0, None] * jacobian[:, None, :, 0]
    for k in range(1, KINEMATIC):
        gain = gain + p[:, :, k, None] * jacobian[:, None, :, k]
    if slot is not None:
        columns = KINEMATIC + 2 * slot[:, None] + np.arange(2)
        gain = gain + np.take_along_axis(p, columns[:, None, :], axis=2)
        z = z + np.take_along_axis(x, columns, axis=1)
    spread = linear.multiply(jacobian, gain[:, :KINEMATIC])
    if slot is not None:
        spread = spread + np.take_along_axis(gain, columns[:, :, None], axis=1)
    return Innovation(z, gain, 0.5 * (spread + linear.transpose(spread)))


def update(
    x: FloatArray, p: FloatArray, gain: FloatArray, low: FloatArray, whitened: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Kalman update of rows: `low` [R, d, d] is the factor of the innovation covariance, `whitened` [R, d] = L⁻¹ν.

    The covariance loses a sum of squares and stays symmetric exactly; variances are held above a floor.
    """
    weights = linear.solve_lower(low, linear.transpose(gain))
    x, p = x.copy(), p.copy()
    for k in range(low.shape[-1]):
        x += weights[:, k, :] * whitened[:, k, None]
        p -= weights[:, k, :, None] * weights[:, k, None, :]
    hold_positive(p)
    return x, p


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


def mix(x: FloatArray, p: FloatArray, weight: FloatArray, stay: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Interaction step of the multiple model over targets `[T, 2, …]`: mixed rows, covariances and weights [T, 2]."""
    switch = 1.0 - stay
    ahead = stay * weight + switch * weight[:, ::-1]
    kept = stay * weight / ahead  # how much of each mixed row came from its own mode
    other = 1.0 - kept
    gap = x - x[:, ::-1]
    mixed_x = x - other[..., None] * gap
    spread = (kept * other)[..., None, None] * (gap[..., :, None] * gap[..., None, :])
    mixed_p = kept[..., None, None] * p + other[..., None, None] * p[:, ::-1] + spread
    return mixed_x, mixed_p, ahead


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
