"""The signal subspace of an array: per frequency, the directions in channel space that sources span.

Sources that vary by themselves show in the strongest eigenvectors of the covariance over short windows, noise in the
rest (MUSIC: Schmidt, IEEE Trans. AP 34, 1986). Fitting plane waves to the eigenvectors, weighted by how far they stand
out of the noise, is weighted subspace fitting (Viberg and Ottersten, IEEE Trans. SP 39, 1991).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Spectra = NDArray[np.complex64]


def frames_of(samples: NDArray[np.float32], length: int) -> NDArray[np.float32]:
    """Frames `[M, F, length]` of `[M, N]`, overlapping by half."""
    framed: NDArray[np.float32] = np.lib.stride_tricks.sliding_window_view(samples, length, axis=1)[:, :: length // 2]
    return framed


def signal_subspace(spectra: Spectra, most: int) -> Spectra:
    """The `most` strongest eigenvectors of each frequency `[M, K·most]` of spectra `[M, F, K]`, weighted.

    Each channel has the same power in every frequency first: wind blows on one microphone at a time. The weight of an
    eigenvector of value λ in noise of variance σ² is (λ − σ²)²/λ; its power is that weight.
    """
    level = np.sqrt(np.square(np.abs(spectra)).mean(axis=1, keepdims=True)) + np.float32(1e-30)
    columns = (spectra / level).transpose(2, 0, 1)
    values, vectors = np.linalg.eigh(columns @ np.conj(columns.swapaxes(1, 2)) / np.float32(spectra.shape[1]))
    noise = np.maximum(values[:, :-most].mean(axis=1, keepdims=True), 0.0)
    strongest = values[:, -most:]
    weights = np.maximum(strongest - noise, 0.0) / np.sqrt(np.maximum(strongest, 1e-6))
    evidence: Spectra = vectors[:, :, -most:] * weights[:, None, :]
    return np.ascontiguousarray(evidence.transpose(1, 0, 2).reshape(len(spectra), -1), np.complex64)
