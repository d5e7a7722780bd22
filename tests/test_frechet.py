"""The Fréchet distance: closed forms, scipy's matrix root, and moments in chunks."""

import numpy as np
import pytest
import scipy.linalg
from numpy.testing import assert_allclose

from jaxgan.evaluate.frechet import Moments, frechet_distance, moments

RNG = np.random.default_rng(0)


def covariance(d, rank=None):
    root = RNG.normal(size=[d, rank or d])
    return root @ root.T / d


def by_scipy(a, b):
    """The formula as it is written, by the general matrix root in float64."""
    cross = np.trace(scipy.linalg.sqrtm(a.cov @ b.cov)).real
    return np.sum((a.mean - b.mean) ** 2) + np.trace(a.cov) + np.trace(b.cov) - 2 * cross


@pytest.mark.parametrize("d", [1, 2, 16, 64])
def test_it_is_the_formula_with_scipy_s_root(d):
    a, b = (Moments(RNG.normal(size=d), covariance(d), 10_000) for _ in range(2))
    assert_allclose(frechet_distance(a, b), by_scipy(a, b), rtol=1e-9)
    assert_allclose(frechet_distance(a, b), frechet_distance(b, a), rtol=1e-9)


def test_of_covariances_that_commute_it_is_the_distance_of_their_roots():
    basis, _ = np.linalg.qr(RNG.normal(size=[5, 5]))
    x, y = RNG.uniform(0.1, 3.0, [2, 5])
    a, b = (Moments(RNG.normal(size=5), (basis * v) @ basis.T, 10_000) for v in (x, y))
    assert_allclose(frechet_distance(a, b), np.sum((a.mean - b.mean) ** 2) + np.sum((x**0.5 - y**0.5) ** 2))


def test_it_is_the_least_cost_of_a_linear_map():
    """A map T with T A T' = B that is symmetric and positive is the optimal transport of N(0, A) to N(0, B)."""
    cov, t = covariance(6), covariance(6) + 0.1 * np.eye(6)
    a, b = Moments(np.zeros(6), cov, 10_000), Moments(np.zeros(6), t @ cov @ t, 10_000)
    gap = t - np.eye(6)
    assert_allclose(frechet_distance(a, b), np.trace(gap @ cov @ gap), rtol=1e-9)


def test_a_translation_costs_its_square():
    x = RNG.normal(size=[500, 8]).astype(np.float32)
    shift = RNG.normal(size=8)
    assert_allclose(frechet_distance(moments([x]), moments([x + shift])), np.sum(shift**2), rtol=1e-6)
    assert_allclose(frechet_distance(moments([x]), moments([x])), 0, atol=1e-12)


def test_moments_in_chunks_are_those_of_the_whole():
    x = (1e3 + RNG.normal(size=[100, 7])).astype(np.float32)
    whole, parts = moments([x]), moments(np.split(x, [1, 2, 40, 99]))
    assert whole.n == parts.n == 100
    assert_allclose(whole.mean, x.astype(np.float64).mean(0))
    assert_allclose(whole.cov, np.cov(x.astype(np.float64), rowvar=False))
    assert_allclose(parts.mean, whole.mean)
    assert_allclose(parts.cov, whole.cov, atol=1e-10)


def test_fewer_samples_than_features_are_warned_of():
    """Without full rank the root of A B is hard for scipy; in the eigenbasis it is exact."""
    x = RNG.normal(size=[10, 16])
    few = moments([x])
    with pytest.warns(UserWarning, match="of 16 features has rank 9: it was fitted to 10 samples"):
        assert_allclose(frechet_distance(few, few), 0, atol=1e-6)
    with pytest.warns(UserWarning, match="rank 9"):
        found = frechet_distance(few, Moments(few.mean, 4 * few.cov, 10_000))
    assert_allclose(found, np.trace(few.cov), rtol=1e-6)


def test_what_cannot_be_fitted_is_refused():
    with pytest.raises(ValueError, match="give a list"):
        moments(np.zeros([5, 3]))
    with pytest.raises(ValueError, match="at least 2 samples, not 1"):
        moments([np.zeros([1, 3])])
