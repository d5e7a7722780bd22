"""Kernel distances between two sets of points."""

import numpy as np


def mmd(a: np.ndarray, b: np.ndarray, std: float) -> float:
    """Returns the maximum mean discrepancy of points a [N, D] and b [M, D], with a Gaussian kernel.

    √(E k(a, a') + E k(b, b') - 2 E k(a, b)) with k(p, q) = exp(-||p - q||^2 / (2 std^2)), over all pairs. It is the
    biased estimate: never negative, and not 0 for two samples of the same density.

    Args:
        a: Points [N, D].
        b: Points [M, D].
        std: Standard deviation of the kernel.

    References:
        Gretton et al. 2012, Eq. 5.
    """
    kernel = lambda p, q: np.exp(-0.5 * _squared_distances(p, q) / std**2).mean()
    return float(np.sqrt(max(kernel(a, a) + kernel(b, b) - 2 * kernel(a, b), 0.0)))


def kernel_distance(
    real: np.ndarray, fake: np.ndarray, subsets: int = 100, size: int = 1_000, seed: int = 0
) -> dict[str, float]:
    """Returns the squared maximum mean discrepancy of features with the kernel (x·y / D + 1)³; on Inception, the KID.

    E k(x, x') + E k(y, y') - 2 E k(x, y), where pairs within a set are of different rows.

    Args:
        real: Features [N, D].
        fake: Features [M, D].
        subsets: Number of random subsets.
        size: Rows in each subset, drawn without replacement.
        seed: Seed of the subsets.

    Returns:
        mean: Mean over the subsets of the unbiased estimate, which may be negative.
        std: Standard deviation over the subsets.

    Raises ValueError if either set has fewer than `size` rows.

    References:
        Bińkowski et al. 2018, section 4.
    """
    if min(len(real), len(fake)) < size:
        raise ValueError(f"{len(real)} real and {len(fake)} fake images are fewer than the {size} of a subset")
    rng, d = np.random.default_rng(seed), real.shape[1]
    cube = lambda x: x * x * x  # NumPy's power takes ten times as long.
    kernel = lambda p, q: cube(p @ q.T / d + 1)
    mean_without_diagonal = lambda p: (kernel(p, p).sum() - cube((p**2).sum(1) / d + 1).sum()) / (size * (size - 1))
    estimates = []
    for _ in range(subsets):
        a, b = (np.float64(x[rng.choice(len(x), size, replace=False)]) for x in (real, fake))
        estimates.append(mean_without_diagonal(a) + mean_without_diagonal(b) - 2 * kernel(a, b).mean())
    return {"mean": float(np.mean(estimates)), "std": float(np.std(estimates))}


def _squared_distances(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    p, q = np.float64(p), np.float64(q)
    return np.maximum((p**2).sum(1)[:, None] + (q**2).sum(1) - 2 * p @ q.T, 0.0)
