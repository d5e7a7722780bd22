"""Metrics from nearest neighbours in feature space: quality, diversity and copies of training images."""

from collections.abc import Iterator

import numpy as np

CHUNK = 1_000  # rows of a distance matrix that are held in memory at a time


def prdc(real: np.ndarray, fake: np.ndarray, k: int = 5) -> dict[str, float]:
    """Returns precision, recall, density and coverage of features real [N, D] and fake [M, D].

    The support of each set is estimated by balls around its points, which reach to the k-th nearest neighbour.

    Returns:
        precision: Fraction of fakes in at least one ball around a real point.
        recall: Fraction of reals in at least one ball around a fake point.
        density: Mean number of real balls that a fake lies in, divided by k; its mean is 1 for equal distributions.
        coverage: Fraction of real balls that contain a fake; `expected_coverage` for equal distributions.

    Raises ValueError if either set has k points or fewer.

    References:
        Kynkäänniemi et al. 2019 (precision, recall); Naeem et al. 2020, section 3 (density, coverage).
    """
    if min(len(real), len(fake)) <= k:
        raise ValueError(f"{len(real)} real and {len(fake)} fake images are too few for {k} neighbours")
    real_radius, fake_radius = (knn_radii(x, k) for x in (real, fake))
    balls_per_fake, recalled, covered = np.zeros(len(fake), np.int64), [], []
    for rows, distance in _distance_chunks(real, fake):
        inside = distance < real_radius[rows, None]
        balls_per_fake += inside.sum(0)
        covered.append(inside.any(1))
        recalled.append((distance < fake_radius).any(1))
    return {
        "precision": float((balls_per_fake > 0).mean()),
        "recall": float(np.concatenate(recalled).mean()),
        "density": float(balls_per_fake.mean() / k),
        "coverage": float(np.concatenate(covered).mean()),
    }


def expected_coverage(n: int, m: int, k: int = 5) -> float:
    """Returns the expected coverage of n reals by m fakes of the same distribution (Naeem et al. 2020, Lemma 2).

    1 - Π_{i=0}^{k-1} (n - 1 - i) / (n + m - 1 - i).
    """
    i = np.arange(k)
    return float(1 - np.prod((n - 1.0 - i) / (n + m - 1.0 - i)))


def knn_radii(x: np.ndarray, k: int) -> np.ndarray:
    """Returns the distance [N] of each row of x [N, D] from its k-th nearest other row."""
    # Index 0 of a sorted row is the distance 0 to itself.
    return np.concatenate([np.partition(distance, k, axis=1)[:, k] for _, distance in _distance_chunks(x, x)])


def nearest(queries: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns index [N] and distance [N] of the nearest row of `points` [M, D] for each row of `queries` [N, D]."""
    minima = [(distance.argmin(1), distance.min(1)) for _, distance in _distance_chunks(queries, points)]
    indices, distances = zip(*minima, strict=True)
    return np.concatenate(indices), np.concatenate(distances)


def _distance_chunks(a: np.ndarray, b: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Yields slices of rows of a, and the Euclidean distances [rows, M] of those rows from all rows of b."""
    a, b = np.float64(a), np.float64(b)  # The expanded square cancels: float32 would lose small distances.
    b_squared = (b**2).sum(1)
    for start in range(0, len(a), CHUNK):
        rows = slice(start, start + CHUNK)
        squared = (a[rows] ** 2).sum(1)[:, None] + b_squared - 2 * a[rows] @ b.T
        if a is b:
            squared[np.arange(len(squared)), np.arange(start, start + len(squared))] = 0
        yield rows, np.sqrt(np.maximum(squared, 0))
