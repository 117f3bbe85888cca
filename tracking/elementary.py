"""exp and log made of operations that IEEE 754 defines to the last bit.

The ones of the C library and of numpy pick a kernel by processor (AVX-512, FMA or neither) and differ in the last bit.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

_LN2_HIGH = 0.693147180369123816490  # the first 32 bits, so that a small integer times it is exact
_LN2_LOW = 1.90821492927058770002e-10
_SQRT_HALF = 0.7071067811865476


def exp(x: float) -> float:
    """e^x for finite -700 ≤ x ≤ 700, relative error below 1e-15."""
    k = round(x * 1.4426950408889634)
    r = (x - k * _LN2_HIGH) - k * _LN2_LOW
    total = 1.0
    for n in range(16, 0, -1):  # Taylor by Horner: |r| ≤ ln 2 / 2
        total = 1.0 + r * total / n
    return math.ldexp(total, k)


def log(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Natural logarithm of x > 0, absolute error below 1e-12."""
    mantissa, exponent = np.frexp(x)
    small = mantissa < _SQRT_HALF
    mantissa = np.where(small, 2.0 * mantissa, mantissa)
    exponent = exponent - small
    z = (mantissa - 1.0) / (mantissa + 1.0)  # log m = 2 artanh z, |z| ≤ 0.172
    square = z * z
    series = np.full_like(z, 1.0 / 17.0)
    for n in (15.0, 13.0, 11.0, 9.0, 7.0, 5.0, 3.0, 1.0):
        series = series * square + 1.0 / n
    return exponent * _LN2_HIGH + (exponent * _LN2_LOW + 2.0 * z * series)
