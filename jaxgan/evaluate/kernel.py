"""Kernel distances between two sets of points."""

import numpy as np


def mmd(a: np.ndarray, b: np.ndarray, std: float) -> float:
    """Maximum mean discrepancy of points a [N, D] and b [M, D] by a Gaussian kernel of that standard deviation.

    The biased estimate, which is never negative and not 0 for two samples of one density (Gretton et al. 2012, Eq. 5).
    """
    kernel = lambda p, q: np.exp(-0.5 * _square_distance(p, q) / std**2).mean()
    return float(np.sqrt(max(kernel(a, a) + kernel(b, b) - 2 * kernel(a, b), 0.0)))


def _square_distance(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    p, q = np.float64(p), np.float64(q)
    return np.maximum((p**2).sum(1)[:, None] + (q**2).sum(1) - 2 * p @ q.T, 0.0)
