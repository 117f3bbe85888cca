"""Small dense linear algebra over batches, elementwise, in a fixed order: the same bits on every processor.

Matrices stand on the last two axes, any leading shape. No BLAS, no LAPACK: their kernels sum in an order that depends
on the processor. Meant for up to about 6×6 factors of batches of hundreds.
"""

from __future__ import annotations

import numpy as np

from fusion.geometry import FloatArray


def cholesky(matrix: FloatArray) -> FloatArray:
    """Lower factor `L`, `L Lᵀ = matrix` `[..., d, d]`; pivots are held above a trillionth of their diagonal."""
    d = matrix.shape[-1]
    low = np.zeros_like(matrix)
    for j in range(d):
        pivot = matrix[..., j, j]
        floor = np.maximum(1e-12 * pivot, 1e-300)
        for k in range(j):
            pivot = pivot - low[..., j, k] * low[..., j, k]
        low[..., j, j] = np.sqrt(np.maximum(pivot, floor))
        for i in range(j + 1, d):
            entry = matrix[..., i, j]
            for k in range(j):
                entry = entry - low[..., i, k] * low[..., j, k]
            low[..., i, j] = entry / low[..., j, j]
    return low


def solve_lower(low: FloatArray, right: FloatArray) -> FloatArray:
    """`L⁻¹ B` for lower `L` `[..., d, d]` and `B` `[..., d, m]`."""
    d = low.shape[-1]
    out = np.empty((*np.broadcast_shapes(low.shape[:-2], right.shape[:-2]), d, right.shape[-1]))
    for i in range(d):
        row = right[..., i, :]
        for k in range(i):
            row = row - low[..., i, k, None] * out[..., k, :]
        np.divide(row, low[..., i, i, None], out=out[..., i, :])
    return out


def log_determinant(low: FloatArray) -> FloatArray:
    """Logarithm of the determinant of `L Lᵀ`."""
    total = np.log(low[..., 0, 0])
    for k in range(1, low.shape[-1]):
        total = total + np.log(low[..., k, k])
    return 2.0 * total


def multiply(left: FloatArray, right: FloatArray) -> FloatArray:
    """`A B` for `[..., a, k]` and `[..., k, b]`, summed over k in order."""
    total = left[..., :, 0, None] * right[..., None, 0, :]
    for k in range(1, left.shape[-1]):
        total = total + left[..., :, k, None] * right[..., None, k, :]
    return total


def transpose(matrix: FloatArray) -> FloatArray:
    return np.swapaxes(matrix, -1, -2)


def total(values: FloatArray) -> FloatArray:
    """Sum over the last axis in order (numpy's own sum pairs terms in blocks that depend on the build)."""
    out = values[..., 0]
    for k in range(1, values.shape[-1]):
        out = out + values[..., k]
    return out
