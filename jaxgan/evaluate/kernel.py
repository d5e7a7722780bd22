"""Kernel distances between two sets of points."""

import numpy as np


def mmd(a: np.ndarray, b: np.ndarray, std: float) -> float:
    """Maximum mean discrepancy of points a [N, D] and b [M, D] by a Gaussian kernel of that standard deviation.

    The biased estimate, which is never negative and not 0 for two samples of one density (Gretton et al. 2012, Eq. 5).
    """
    kernel = lambda p, q: np.exp(-0.5 * _square_distance(p, q) / std**2).mean()
    return float(np.sqrt(max(kernel(a, a) + kernel(b, b) - 2 * kernel(a, b), 0.0)))


def kernel_distance(
    real: np.ndarray, fake: np.ndarray, subsets: int = 100, size: int = 1_000, seed: int = 0
) -> dict[str, float]:
    """Squared maximum mean discrepancy of features [N, D] and [M, D] by the kernel (x·y / D + 1)³; on Inception, KID.

    The mean of the unbiased estimates of random subsets, without repetition in each, and their standard deviation
    (Bińkowski et al. 2018, section 4). It may be negative. Raises ValueError if there are fewer rows than `size`.
    """
    if min(len(real), len(fake)) < size:
        raise ValueError(f"{len(real)} reals and {len(fake)} fakes are fewer than the {size} of a subset")
    rng, d = np.random.default_rng(seed), real.shape[1]
    cube = lambda x: x * x * x  # numpy's power takes ten times as long.
    kernel = lambda p, q: cube(p @ q.T / d + 1)
    within = lambda p: (kernel(p, p).sum() - cube((p**2).sum(1) / d + 1).sum()) / (size * (size - 1))
    found = []
    for _ in range(subsets):
        a, b = (np.float64(x[rng.choice(len(x), size, replace=False)]) for x in (real, fake))
        found.append(within(a) + within(b) - 2 * kernel(a, b).mean())
    return {"mean": float(np.mean(found)), "std": float(np.std(found))}


def _square_distance(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    p, q = np.float64(p), np.float64(q)
    return np.maximum((p**2).sum(1)[:, None] + (q**2).sum(1) - 2 * p @ q.T, 0.0)
