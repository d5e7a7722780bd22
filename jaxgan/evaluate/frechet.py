"""Fréchet distance between Gaussians that are fitted to features.

It is called FID where the features are pool3 of the 2015 Inception network, and nowhere else.
"""

import warnings
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np


class Moments(NamedTuple):
    """A Gaussian fitted to features, in float64: all that the distance needs of them, small enough to keep."""

    mean: np.ndarray  # [D]
    cov: np.ndarray  # [D, D], with divisor n - 1
    n: int  # samples


def moments(chunks: Iterable[np.ndarray]) -> Moments:
    """Fit a Gaussian to the rows of all chunks [n, D] together, of which only one is held at a time."""
    n, mean, scatter = 0, np.float64(0), np.float64(0)
    for chunk in chunks:
        chunk = np.asarray(chunk, np.float64)
        if chunk.ndim != 2:
            raise ValueError(f"features are [n, D], not {list(chunk.shape)}; give a list of such arrays")
        middle = chunk.mean(0)
        gap, total, inner = middle - mean, n + len(chunk), chunk - middle
        scatter = scatter + inner.T @ inner + np.outer(gap, gap) * (n * len(chunk) / total)  # Chan et al. 1979
        n, mean = total, mean + gap * (len(chunk) / total)
    if n < 2:
        raise ValueError(f"a covariance needs at least 2 samples, not {n}")
    return Moments(mean, scatter / (n - 1), n)


def frechet_distance(a: Moments, b: Moments) -> float:
    """Squared Fréchet (2-Wasserstein) distance of two Gaussians (Heusel et al. 2017, Eq. 6; Dowson & Landau 1982).

    Its expectation over samples is too large, the more so the fewer they are: the distance is convex in the moments.
    """
    for fit in (a, b):
        if fit.n <= len(fit.mean):
            rank = np.linalg.matrix_rank(fit.cov, hermitian=True)
            found = f"the covariance of {len(fit.mean)} features has rank {rank}: it was fitted to {fit.n} samples"
            warnings.warn(found, stacklevel=2)
    # tr (AB)^1/2 is the sum of the roots of the eigenvalues of AB, which are those of the symmetric A^1/2 B A^1/2.
    values, vectors = np.linalg.eigh(a.cov)
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    cross = np.sqrt(np.linalg.eigvalsh(root @ b.cov @ root).clip(0)).sum()
    return float(np.sum((a.mean - b.mean) ** 2) + np.trace(a.cov) + np.trace(b.cov) - 2.0 * cross)
