"""Which report belongs to which target: likelihoods of all pairs, and the best one-to-one assignment."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from fusion import linear
from fusion.geometry import FloatArray

_LOG_2PI = float(np.log(2.0 * np.pi))


class Pairs(NamedTuple):
    """Every row against every report.

    Attributes:
        low: [R, M, d, d] factor of the innovation covariance.
        residual: [R, M, d].
        whitened: [R, M, d] L⁻¹ν.
        distance2: [R, M] squared Mahalanobis distance, infinite where the sensor does not see the row.
        log_likelihood: [R, M].
    """

    low: FloatArray
    residual: FloatArray
    whitened: FloatArray
    distance2: FloatArray
    log_likelihood: FloatArray


def pair(residual: FloatArray, spread: FloatArray, noise: FloatArray, valid: NDArray[np.bool_]) -> Pairs:
    """Score residuals [R, M, d] with spread [R, d, d] of the rows and noise [M, d, d] of the reports."""
    if len(noise) > 1 and bool((noise == noise[0]).all()):  # the usual case: one factor a row serves all reports
        noise = noise[:1]
    low = linear.cholesky(spread[:, None] + noise[None])
    whitened = linear.solve_lower(low, residual[..., None])[..., 0]
    distance2 = linear.total(whitened * whitened)
    log_likelihood = -0.5 * (distance2 + linear.log_determinant(low) + residual.shape[-1] * _LOG_2PI)
    seen = valid[:, None]
    low = np.broadcast_to(low, (*residual.shape, residual.shape[-1]))
    return Pairs(low, residual, whitened, np.where(seen, distance2, np.inf), np.where(seen, log_likelihood, -np.inf))


def mixture(values: FloatArray, log_weight: FloatArray, starts: NDArray[np.intp]) -> FloatArray:
    """Log likelihood [T, M] of targets whose rows begin at `starts`, from rows [R, M] and log weights [R]."""
    joint = values + log_weight[:, None]
    top = np.maximum.reduceat(joint, starts, axis=0)
    safe = np.where(np.isfinite(top), top, 0.0)
    counts = np.diff(np.append(starts, len(log_weight)))
    mass = np.add.reduceat(np.exp(joint - np.repeat(safe, counts, axis=0)), starts, axis=0)
    with np.errstate(divide="ignore"):
        return safe + np.log(mass)


def assign(gain: FloatArray) -> list[tuple[int, int]]:
    """Pairs (target, report) with the greatest total gain [T, M]; pairs that gain nothing stay apart.

    Gains are log likelihood ratios of "this target's" against "clutter, and the target missed"; −inf forbids.
    """
    if gain.size == 0:
        return []
    useful = np.where(gain > 0.0, gain, 0.0)
    rows, columns = linear_sum_assignment(-useful)
    return [(int(t), int(m)) for t, m in zip(rows, columns, strict=True) if useful[t, m] > 0.0]
