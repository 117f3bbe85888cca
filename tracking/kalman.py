"""Kalman filter for many independent axes at once: each moves at constant velocity, or has no velocity and wanders.

All functions are pure, closed-form and elementwise: `+ - * /` in a fixed order, no matrix product and no
`numpy.linalg`, whose kernels, and so whose last bits, differ by processor. Arrays are float64, one column a track:
[A, N] for A axes, [R, N] for the rates of the first R of them; the others are random walks.

Source: Bar-Shalom, Li, Kirubarajan, *Estimation with Applications to Tracking and Navigation* (2001), sections 5.2.3
(filter) and 6.2.2 (continuous white noise acceleration). There, for one axis,

    F = [[1, dt], [0, 1]]      Q = q [[dt³/3, dt²/2], [dt²/2, dt]]      H = [1, 0]

so that Q(a + b) = F(b) Q(a) F(b)ᵀ + Q(b): two short steps equal one long one, whatever the frame rate.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Gaussian(NamedTuple):
    """Value of every axis and rate of those that have one; unit u of the value (pixels here), rate in u/s.

    Attributes:
        value, rate: means [A, N] and [R, N], u and u/s.
        var_value, cov, var_rate: covariance matrix of (value, rate), [A, N], [R, N], [R, N]: u², u²/s, u²/s².
    """

    value: Array
    rate: Array
    var_value: Array
    cov: Array
    var_rate: Array


def predict(state: Gaussian, dt_s: float, q: Array) -> Gaussian:
    """State `dt_s` ≥ 0 seconds later.

    Args:
        q: [A, N], spectral density: of the acceleration where there is a rate, u²/s³, else of the velocity, u²/s.
    """
    moving = len(state.rate)
    drift = dt_s * state.var_rate
    jolt = dt_s * q[:moving]
    value, var_value = state.value.copy(), state.var_value.copy()
    value[:moving] += dt_s * state.rate
    var_value[:moving] += dt_s * (2.0 * state.cov + drift + (dt_s * dt_s / 3.0) * q[:moving])
    var_value[moving:] += dt_s * q[moving:]
    return Gaussian(value, state.rate, var_value, state.cov + drift + (0.5 * dt_s) * jolt, state.var_rate + jolt)


def update(state: Gaussian, measured: Array, r: Array | float, seen: NDArray[np.bool_] | bool = True) -> Gaussian:
    """State after measuring the value.

    Args:
        measured: measured values, u; anything finite where not seen.
        r: variance of each measurement, u², > 0, [A, N] or a number.
        seen: [N], False for tracks without a measurement, which stay as they are to the last bit.
    """
    moving = len(state.rate)
    s = state.var_value + r
    information = np.where(seen, 1.0 / s, 0.0)
    gain = state.var_value * information
    gain_rate = state.cov * information[:moving]
    left = np.where(seen, r / s, 1.0)  # = 1 - gain, without cancellation: variances never turn negative
    innovation = measured - state.value
    return Gaussian(
        value=state.value + gain * innovation,
        rate=state.rate + gain_rate * innovation[:moving],
        var_value=state.var_value * left,
        cov=state.cov * left[:moving],
        var_rate=state.var_rate - gain_rate * state.cov,
    )
