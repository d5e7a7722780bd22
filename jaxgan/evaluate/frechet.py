"""The Fréchet distance between Gaussians fitted to features.

It is called FID only if the features are pool3 of the Inception network of 2015.
"""

import warnings
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np


class Moments(NamedTuple):
    """Mean and covariance of features, float64."""

    mean: np.ndarray  # [D]
    cov: np.ndarray  # [D, D], with divisor n - 1
    n: int  # number of samples they were estimated from


def moments(chunks: Iterable[np.ndarray]) -> Moments:
    """Returns the moments of all rows of the chunks [n, D]. Only one chunk is held in memory at a time.

    Raises ValueError if a chunk is not a matrix, or if there are fewer than 2 rows in all.
    """
    n, mean, scatter = 0, np.float64(0), np.float64(0)
    for chunk in chunks:
        chunk = np.asarray(chunk, np.float64)
        if chunk.ndim != 2:
            raise ValueError(f"a chunk of features has shape {list(chunk.shape)}; give a list of arrays [n, D]")
        chunk_mean = chunk.mean(0)
        delta, total, centred = chunk_mean - mean, n + len(chunk), chunk - chunk_mean
        scatter = scatter + centred.T @ centred + np.outer(delta, delta) * (n * len(chunk) / total)  # Chan et al. 1979
        n, mean = total, mean + delta * (len(chunk) / total)
    if n < 2:
        raise ValueError(f"a covariance needs at least 2 samples, not {n}")
    return Moments(mean, scatter / (n - 1), n)


def frechet_distance(a: Moments, b: Moments) -> float:
    """Returns the squared Fréchet (2-Wasserstein) distance of two Gaussians.

    ||μ_a - μ_b||^2 + tr(Σ_a + Σ_b - 2 (Σ_a Σ_b)^(1/2)) for means μ and covariances Σ.

    Estimates from finite samples are biased upwards, more so for fewer samples. Warns if either set of moments was
    estimated from no more samples than it has dimensions: its covariance is then singular.

    References:
        Heusel et al. 2017, Eq. 6; Dowson & Landau 1982.
    """
    for fit in (a, b):
        if fit.n <= len(fit.mean):
            rank = np.linalg.matrix_rank(fit.cov, hermitian=True)
            message = f"the covariance of {len(fit.mean)} features has rank {rank}: it was fitted to {fit.n} samples"
            warnings.warn(message, stacklevel=2)
    # tr (AB)^1/2 is the sum of the roots of the eigenvalues of AB, which are those of the symmetric A^1/2 B A^1/2.
    eigenvalues, eigenvectors = np.linalg.eigh(a.cov)
    root = (eigenvectors * np.sqrt(eigenvalues.clip(0))) @ eigenvectors.T
    cross = np.sqrt(np.linalg.eigvalsh(root @ b.cov @ root).clip(0)).sum()
    return float(np.sum((a.mean - b.mean) ** 2) + np.trace(a.cov) + np.trace(b.cov) - 2.0 * cross)
