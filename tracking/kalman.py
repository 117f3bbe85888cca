"""Kalman filter for many independent axes at once: each axis has a value and its rate, and moves at constant velocity.

All functions are pure, closed-form and elementwise: `+ - * /` in a fixed order, no matrix product and no
`numpy.linalg`, whose kernels, and so whose last bits, differ by processor. Arrays are float64 [A, N]: A axes, N tracks.

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
    """Value and rate of every axis with their covariance; unit u of the value (pixels here), rate in u/s.

    Attributes:
        value, rate: means, u and u/s.
        var_value, cov, var_rate: covariance matrix of (value, rate): u², u²/s, u²/s².
    """

    value: Array
    rate: Array
    var_value: Array
    cov: Array
    var_rate: Array


def predict(state: Gaussian, dt_s: float, q: Array | float) -> Gaussian:
    """State `dt_s` ≥ 0 seconds later; `q` is the spectral density of the acceleration, u²/s³, [A, N] or a number."""
    half = state.cov + 0.5 * dt_s * state.var_rate
    return Gaussian(
        value=state.value + dt_s * state.rate,
        rate=state.rate,
        var_value=state.var_value + 2.0 * dt_s * half + (dt_s * dt_s * dt_s / 3.0) * q,
        cov=state.cov + dt_s * state.var_rate + (0.5 * dt_s * dt_s) * q,
        var_rate=state.var_rate + dt_s * q,
    )


def update(state: Gaussian, measured: Array, r: Array | float, seen: NDArray[np.bool_] | bool = True) -> Gaussian:
    """State after measuring the value.

    Args:
        measured: measured values, u; anything finite where not seen.
        r: variance of each measurement, u², > 0.
        seen: [N], False for tracks without a measurement, which stay as they are to the last bit.
    """
    s = state.var_value + r
    gain_value = np.where(seen, state.var_value / s, 0.0)
    gain_rate = np.where(seen, state.cov / s, 0.0)
    left = np.where(seen, r / s, 1.0)  # = 1 - gain_value, without cancellation: variances never turn negative
    innovation = measured - state.value
    return Gaussian(
        value=state.value + gain_value * innovation,
        rate=state.rate + gain_rate * innovation,
        var_value=state.var_value * left,
        cov=state.cov * left,
        var_rate=state.var_rate - gain_rate * state.cov,
    )
