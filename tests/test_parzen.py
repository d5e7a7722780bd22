"""The Parzen window: the density of a mixture of Gaussians, and the choice of its width."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from jaxgan.evaluate.parzen import WIDTHS, log_likelihood, parzen


def test_one_kernel_on_gaussian_data_gives_the_negative_entropy():
    data = np.random.default_rng(0).normal(size=[20_000, 50])
    mean = log_likelihood(data, np.zeros([1, 50]), [1.0]).mean()
    assert mean == pytest.approx(-50 / 2 * (1 + np.log(2 * np.pi)), rel=0.01)


def test_several_kernels_are_a_mixture():
    rng = np.random.default_rng(1)
    samples, test, widths = rng.normal(size=[7, 3]), rng.normal(size=[11, 3]), [0.3, 1.0]
    for width, values in zip(widths, log_likelihood(test, samples, widths), strict=True):
        mixture = np.mean([multivariate_normal(s, width**2 * np.eye(3)).pdf(test) for s in samples], axis=0)
        np.testing.assert_allclose(values, np.log(mixture), rtol=1e-9)


def test_far_from_all_samples_the_density_is_that_of_the_nearest_kernel():
    values = log_likelihood(np.full([1, 4], 1e4), np.array([np.zeros(4), np.ones(4)]), [0.1])
    nearest = multivariate_normal(np.ones(4), 0.01 * np.eye(4)).logpdf(np.full(4, 1e4))
    np.testing.assert_allclose(values, nearest - np.log(2), rtol=1e-12)


def test_the_width_is_the_best_for_the_validation_data():
    rng = np.random.default_rng(2)
    centres = rng.uniform(size=[5, 10])
    draw = lambda n: centres[rng.integers(5, size=n)] + 0.2 * rng.normal(size=[n, 10])
    result = parzen(centres, draw(200), draw(500))
    assert result["width"] == pytest.approx(min(WIDTHS, key=lambda w: abs(w - 0.2)))
    assert 0 < result["standard_error"] < 0.5
