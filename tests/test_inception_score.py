"""The Inception score in closed form."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from jaxgan.evaluate.inception_score import inception_score


@pytest.mark.parametrize("k", [1, 2, 10, 100])
def test_sure_and_even_gives_the_number_of_classes(k):
    assert_allclose(inception_score(np.eye(100)[np.arange(1000) % k]), [k, 0], atol=1e-9)


@pytest.mark.parametrize("posterior", [np.ones(10) / 10, np.eye(10)[3], np.arange(10) / 45])
def test_one_posterior_for_all_gives_1(posterior):
    assert_allclose(inception_score(np.tile(posterior, [50, 1])), [1, 0], atol=1e-12)


def test_it_is_the_exponential_of_the_mutual_information():
    """I(x; y) = H(y) - H(y|x), of any posteriors, in one split."""
    p = np.random.default_rng(0).dirichlet(np.ones(6), size=40)
    entropy = lambda q: -(q * np.log(q)).sum(-1)
    assert_allclose(inception_score(p, splits=1)[0], np.exp(entropy(p.mean(0)) - entropy(p).mean()))


def test_the_marginal_is_each_split_s_own():
    """Sorted by class, every split holds one: the score sees no diversity."""
    labels = np.repeat(np.arange(10), 10)
    assert_allclose(inception_score(np.eye(10)[labels], splits=10), [1, 0], atol=1e-12)
    assert_allclose(inception_score(np.eye(10)[labels], splits=1), [10, 0], atol=1e-12)


def test_mean_and_deviation_are_over_splits_that_leave_nothing_out():
    labels = np.array([0, 1, 0, 1, 2, 0, 0])  # Of 7 samples 3 and 4: two classes, then 2, 1, 1 of three.
    a = np.exp(-(2 / 3) * np.log(2 / 3) - (1 / 3) * np.log(1 / 3))
    b = np.exp(-0.5 * np.log(0.5) - 2 * 0.25 * np.log(0.25))
    assert_allclose(inception_score(np.eye(3)[labels], splits=2), [(a + b) / 2, (b - a) / 2])


@pytest.mark.parametrize("wrong", [np.ones([20, 3]), np.tile([2.0, -1.0], [20, 1])])
def test_logits_are_refused(wrong):
    with pytest.raises(ValueError, match="give softmax"):
        inception_score(wrong)


def test_too_few_samples_are_refused():
    with pytest.raises(ValueError, match="3 samples cannot be split in 10"):
        inception_score(np.eye(3))
