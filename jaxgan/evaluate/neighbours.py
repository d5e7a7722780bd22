"""What nearest neighbours tell of samples: are they good, are they diverse, were they copied."""

from collections.abc import Iterator

import numpy as np

CHUNK = 1_000  # rows of a distance matrix held at a time


def prdc(real: np.ndarray, fake: np.ndarray, k: int = 5) -> dict[str, float]:
    """Compare the supports of features real [N, D] and fake [M, D], each a union of balls to the k-th neighbour.

    Returns:
        precision: The part of fakes that lie in a ball about a real.
        recall: The part of reals that lie in a ball about a fake.
        density: How many balls about reals hold a fake, over k; 1 in the mean for equal distributions.
        coverage: The part of reals whose ball holds a fake; `expected_coverage` for equal distributions.

    References:
        Kynkäänniemi et al. 2019 (precision, recall); Naeem et al. 2020, section 3 (density, coverage).
    """
    if min(len(real), len(fake)) <= k:
        raise ValueError(f"{len(real)} reals and {len(fake)} fakes are too few for {k} neighbours")
    real_radius, fake_radius = (radii(x, k) for x in (real, fake))
    hits, recalled, covered = np.zeros(len(fake), np.int64), [], []
    for rows, distance in _distances(real, fake):
        inside = distance < real_radius[rows, None]
        hits += inside.sum(0)
        covered.append(inside.any(1))
        recalled.append((distance < fake_radius).any(1))
    return {
        "precision": float((hits > 0).mean()),
        "recall": float(np.concatenate(recalled).mean()),
        "density": float(hits.mean() / k),
        "coverage": float(np.concatenate(covered).mean()),
    }


def expected_coverage(n: int, m: int, k: int = 5) -> float:
    """The coverage of n reals by m fakes of the same distribution, whatever it is (Naeem et al. 2020, Lemma 2)."""
    i = np.arange(k)
    return float(1 - np.prod((n - 1.0 - i) / (n + m - 1.0 - i)))


def radii(x: np.ndarray, k: int) -> np.ndarray:
    """Distance [N] of each row of x [N, D] to its k-th nearest other row."""
    # A row is its own nearest, so the k-th other is at place k.
    return np.concatenate([np.partition(distance, k, axis=1)[:, k] for _, distance in _distances(x, x)])


def nearest(x: np.ndarray, among: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each row of x [N, D] the place [N] of its nearest row of `among` [M, D], and the distance [N]."""
    found = [(d.argmin(1), d.min(1)) for _, d in _distances(x, among)]
    places, distances = zip(*found, strict=True)
    return np.concatenate(places), np.concatenate(distances)


def _distances(a: np.ndarray, b: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Rows of the matrix of Euclidean distances, some at a time; float64, for small ones cancel."""
    a, b = np.float64(a), np.float64(b)
    square = (b**2).sum(1)
    for start in range(0, len(a), CHUNK):
        rows = slice(start, start + CHUNK)
        distance = (a[rows] ** 2).sum(1)[:, None] + square - 2 * a[rows] @ b.T
        if a is b:
            distance[np.arange(len(distance)), np.arange(start, start + len(distance))] = 0
        yield rows, np.sqrt(np.maximum(distance, 0))
