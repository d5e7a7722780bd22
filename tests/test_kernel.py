"""Kernel distances: closed form, symmetry, and the unbiased estimate as a sum over pairs."""

import numpy as np
import pytest

from jaxgan.evaluate.kernel import kernel_distance, mmd


def test_mmd_of_two_gaussians_has_a_closed_form():
    # For unit Gaussians with means m apart in D dimensions, E k = (s²/(s²+2))^(D/2) exp(-m²/(2(s²+2))).
    rng, m, s = np.random.default_rng(0), 1.0, 0.7
    a, b = rng.normal(size=[4_000, 2]), rng.normal(size=[4_000, 2]) + np.array([m, 0])
    same = s**2 / (s**2 + 2)
    exact = np.sqrt(2 * same * (1 - np.exp(-(m**2) / (2 * (s**2 + 2)))))
    assert mmd(a, b, s) == pytest.approx(exact, rel=0.03)


def test_mmd_is_symmetric_ignores_order_and_is_zero_for_equal_sets():
    points = np.random.default_rng(1).normal(size=[50, 3])
    assert mmd(points, points[::-1], 1.0) < 1e-7
    assert mmd(points, points + 1, 1.0) == pytest.approx(mmd(points + 1, points, 1.0))


def test_kernel_distance_is_the_unbiased_mean_over_pairs():
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=[30, 4]), rng.normal(size=[30, 4])
    k = lambda x, y: (x @ y / 4 + 1) ** 3
    mean = lambda p, q: np.mean([k(x, y) for i, x in enumerate(p) for j, y in enumerate(q) if p is not q or i != j])
    expected = mean(a, a) + mean(b, b) - 2 * mean(a, b)
    assert kernel_distance(a, b, subsets=1, size=30)["mean"] == pytest.approx(expected)
    same = kernel_distance(rng.normal(size=[3_000, 8]), rng.normal(size=[3_000, 8]), subsets=50, size=200)
    assert abs(same["mean"]) < 3 * same["std"] / np.sqrt(10)
    apart = kernel_distance(rng.normal(size=[500, 8]), rng.normal(size=[500, 8]) + 0.5, subsets=5, size=500)
    assert apart["mean"] > 10 * abs(same["mean"])


def test_fewer_rows_than_a_subset_are_refused():
    with pytest.raises(ValueError, match="fewer than the 1000 of a subset"):
        kernel_distance(np.zeros([5, 2]), np.zeros([2_000, 2]))
