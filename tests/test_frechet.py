"""The Fréchet distance: closed forms, SciPy's matrix square root, and moments in chunks."""

import numpy as np
import pytest
import scipy.linalg
from numpy.testing import assert_allclose

from jaxgan.evaluate.frechet import Moments, frechet_distance, moments

RNG = np.random.default_rng(0)


def random_covariance(d):
    root = RNG.normal(size=[d, d])
    return root @ root.T / d


def frechet_distance_by_scipy(a, b):
    """The textbook formula with a general matrix square root in float64."""
    cross = np.trace(scipy.linalg.sqrtm(a.cov @ b.cov)).real
    return np.sum((a.mean - b.mean) ** 2) + np.trace(a.cov) + np.trace(b.cov) - 2 * cross


@pytest.mark.parametrize("d", [1, 2, 16, 64])
def test_the_distance_equals_the_formula_with_scipys_root(d):
    a, b = (Moments(RNG.normal(size=d), random_covariance(d), 10_000) for _ in range(2))
    assert_allclose(frechet_distance(a, b), frechet_distance_by_scipy(a, b), rtol=1e-9)
    assert_allclose(frechet_distance(a, b), frechet_distance(b, a), rtol=1e-9)


def test_for_commuting_covariances_it_is_the_distance_of_their_roots():
    basis, _ = np.linalg.qr(RNG.normal(size=[5, 5]))
    x, y = RNG.uniform(0.1, 3.0, [2, 5])
    a, b = (Moments(RNG.normal(size=5), (basis * v) @ basis.T, 10_000) for v in (x, y))
    assert_allclose(frechet_distance(a, b), np.sum((a.mean - b.mean) ** 2) + np.sum((x**0.5 - y**0.5) ** 2))


def test_it_is_the_cost_of_the_optimal_transport_map():
    """A symmetric positive map T with T A T' = B is the optimal transport of N(0, A) to N(0, B)."""
    cov, t = random_covariance(6), random_covariance(6) + 0.1 * np.eye(6)
    a, b = Moments(np.zeros(6), cov, 10_000), Moments(np.zeros(6), t @ cov @ t, 10_000)
    displacement = t - np.eye(6)
    assert_allclose(frechet_distance(a, b), np.trace(displacement @ cov @ displacement), rtol=1e-9)


def test_the_distance_of_a_translation_is_its_squared_length():
    x = RNG.normal(size=[500, 8]).astype(np.float32)
    shift = RNG.normal(size=8)
    assert_allclose(frechet_distance(moments([x]), moments([x + shift])), np.sum(shift**2), rtol=1e-6)
    assert_allclose(frechet_distance(moments([x]), moments([x])), 0, atol=1e-12)


def test_moments_of_chunks_equal_those_of_all_rows():
    x = (1e3 + RNG.normal(size=[100, 7])).astype(np.float32)
    whole, chunked = moments([x]), moments(np.split(x, [1, 2, 40, 99]))
    assert whole.n == chunked.n == 100
    assert_allclose(whole.mean, x.astype(np.float64).mean(0))
    assert_allclose(whole.cov, np.cov(x.astype(np.float64), rowvar=False))
    assert_allclose(chunked.mean, whole.mean)
    assert_allclose(chunked.cov, whole.cov, atol=1e-10)


def test_fewer_samples_than_features_cause_a_warning_and_an_exact_result():
    x = RNG.normal(size=[10, 16])
    few = moments([x])
    with pytest.warns(UserWarning, match="of 16 features has rank 9: it was fitted to 10 samples"):
        assert_allclose(frechet_distance(few, few), 0, atol=1e-6)
    with pytest.warns(UserWarning, match="rank 9"):
        distance = frechet_distance(few, Moments(few.mean, 4 * few.cov, 10_000))
    assert_allclose(distance, np.trace(few.cov), rtol=1e-6)


def test_moments_need_matrices_and_two_rows():
    with pytest.raises(ValueError, match="give a list"):
        moments(np.zeros([5, 3]))
    with pytest.raises(ValueError, match="at least 2 samples, not 1"):
        moments([np.zeros([1, 3])])
