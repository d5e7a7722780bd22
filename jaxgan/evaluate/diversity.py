"""Diversity and memorisation in feature space."""

import numpy as np

from jaxgan.evaluate.neighbours import nearest

MIN_CELL = 20  # generated and test points that a cell must hold to be tested


def vendi_score(features: np.ndarray) -> float:
    """Returns the effective number of distinct items among features [N, D], between 1 and N.

    exp(-Σ λ log λ) with λ the eigenvalues of K / N, where K holds the cosines of all pairs. At most D of these are not
    0, so the score is at most D.

    Reference: Friedman & Dieng 2023, arXiv 2210.02410.
    """
    x = np.float64(features)
    x = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    eigenvalues = np.linalg.eigvalsh(x.T @ x / len(x))
    eigenvalues = eigenvalues[eigenvalues > 1e-12]
    return float(np.exp(-np.sum(eigenvalues * np.log(eigenvalues))))


def rank_sum_z(a: np.ndarray, b: np.ndarray) -> float:
    """Returns the Mann-Whitney statistic of a [M] and b [N] as a z-score: negative if values of `a` tend to be smaller.

    Z = (U - M N / 2) / √(M N (M + N + 1) / 12), where U counts the pairs with a_i > b_j. Ties count one half; the
    variance is that of the case without ties.
    """
    m, n = len(a), len(b)
    ordered = np.sort(b)
    u = 0.5 * (np.searchsorted(ordered, a, "left") + np.searchsorted(ordered, a, "right")).sum()
    return float((u - m * n / 2) / np.sqrt(m * n * (m + n + 1) / 12))


def copying_test(train: np.ndarray, test: np.ndarray, fake: np.ndarray, cells: int = 3, seed: int = 0) -> float:
    """Returns C_T, a z-score of copying: below -3 samples lie closer to training points than test points do.

    C_T = Σ_π P(π) Z(π) / Σ_π P(π) over cells π, into which k-means divides the space of the training points [N, D].
    P(π) is the share of the test points [M, D] that lie in π, and Z(π) the `rank_sum_z` of the distances of the
    generated points [L, D] in π, compared with those of the test points in π, to their nearest training points d(x, T).
    The authors' code (casey-meehan/data-copying) looks for these in the same cell alone, and corrects Z for continuity.
    Cells with fewer than `MIN_CELL` points of either kind are left out, in the authors' code those with a small share
    of generated points; returns NaN if all are.

    Reference: Meehan et al. 2020, arXiv 2004.05675, section 3.
    """
    from sklearn.cluster import KMeans  # Importing it takes a second.

    means = KMeans(cells, n_init=3, random_state=seed).fit(np.float64(train))
    (test_cell, fake_cell) = (means.predict(np.float64(x)) for x in (test, fake))
    (_, test_distance), (_, fake_distance) = nearest(test, train), nearest(fake, train)
    scores, weights = [], []
    for cell in range(cells):
        of_test, of_fake = test_distance[test_cell == cell], fake_distance[fake_cell == cell]
        if min(len(of_test), len(of_fake)) >= MIN_CELL:
            scores.append(rank_sum_z(of_fake, of_test))
            weights.append(len(of_test))
    return float(np.average(scores, weights=weights)) if scores else float("nan")


def feature_likelihood(
    train: np.ndarray, test: np.ndarray, fake: np.ndarray, iterations: int = 30, floor: float = 1e-3
) -> tuple[float, float]:
    """Returns the mean log-likelihoods per dimension, in nats, of training and of test features.

    The density is that of equally weighted isotropic Gaussians around the generated features [L, D], whose variances
    are fitted to the training features [N, D] by expectation maximisation. A sample that copies a training image has a
    narrow Gaussian, which misses the test features [M, D]; the difference of the two results is a measure of copying.
    Features are standardised by the training features. In the manner of the feature likelihood divergence (Jiralerspong
    et al. 2023, arXiv 2302.04440), which fits variances by gradient descent.

    Args:
        train: Features of training images.
        test: Features of test images.
        fake: Features of generated images.
        iterations: Steps of expectation maximisation.
        floor: The smallest variance, as a share of the mean squared distance per dimension.
    """
    mean, std = train.mean(0, dtype=np.float64), train.std(0, dtype=np.float64)
    standardise = lambda x: (np.float64(x) - mean) / np.where(std > 1e-9, std, 1.0)
    train, test, fake = standardise(train), standardise(test), standardise(fake)
    dims, distance = fake.shape[1], _squared_distances(train, fake)
    smallest = floor * distance.mean() / dims
    variance = np.full(len(fake), max(distance.min(1).mean() / dims, smallest))
    for _ in range(iterations):
        log_joint = _log_joint(distance, variance, dims)
        share = np.exp(log_joint - _log_sum(log_joint)[:, None])
        mass = np.maximum(share.sum(0), 1e-12)
        variance = np.maximum((share * distance).sum(0) / (dims * mass), smallest)
    of_train, of_test = distance, _squared_distances(test, fake)
    return tuple(float(_log_sum(_log_joint(d, variance, dims)).mean() / dims) for d in (of_train, of_test))


def _squared_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.maximum((a**2).sum(1)[:, None] + (b**2).sum(1) - 2.0 * a @ b.T, 0.0)


def _log_joint(distance: np.ndarray, variance: np.ndarray, dims: int) -> np.ndarray:
    """Returns the logarithm of each Gaussian's share of the density, [N, L]."""
    return -0.5 * (dims * np.log(2.0 * np.pi * variance) + distance / variance) - np.log(len(variance))


def _log_sum(x: np.ndarray) -> np.ndarray:
    """Returns log Σ exp x over the last axis."""
    largest = x.max(1)
    return largest + np.log(np.exp(x - largest[:, None]).sum(1))
