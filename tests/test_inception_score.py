"""The Inception score in closed form."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from jaxgan.evaluate.inception_score import inception_score


@pytest.mark.parametrize("k", [1, 2, 10, 100])
def test_certain_posteriors_of_k_equally_frequent_classes_score_k(k):
    assert_allclose(inception_score(np.eye(100)[np.arange(1000) % k]), [k, 0], atol=1e-9)


@pytest.mark.parametrize("posterior", [np.ones(10) / 10, np.eye(10)[3], np.arange(10) / 45])
def test_equal_posteriors_score_1(posterior):
    assert_allclose(inception_score(np.tile(posterior, [50, 1])), [1, 0], atol=1e-12)


def test_the_score_is_the_exponential_of_the_mutual_information():
    """I(x; y) = H(y) - H(y|x), for random posteriors and one split."""
    p = np.random.default_rng(0).dirichlet(np.ones(6), size=40)
    entropy = lambda q: -(q * np.log(q)).sum(-1)
    assert_allclose(inception_score(p, splits=1)[0], np.exp(entropy(p.mean(0)) - entropy(p).mean()))


def test_each_split_has_its_own_marginal():
    """In samples sorted by class every split holds one class, so the score sees no diversity."""
    labels = np.repeat(np.arange(10), 10)
    assert_allclose(inception_score(np.eye(10)[labels], splits=10), [1, 0], atol=1e-12)
    assert_allclose(inception_score(np.eye(10)[labels], splits=1), [10, 0], atol=1e-12)


def test_splits_of_unequal_size_use_all_samples():
    labels = np.array([0, 1, 0, 1, 2, 0, 0])  # 7 samples in splits of 3 (two classes) and 4 (three classes)
    a = np.exp(-(2 / 3) * np.log(2 / 3) - (1 / 3) * np.log(1 / 3))
    b = np.exp(-0.5 * np.log(0.5) - 2 * 0.25 * np.log(0.25))
    assert_allclose(inception_score(np.eye(3)[labels], splits=2), [(a + b) / 2, (b - a) / 2])


@pytest.mark.parametrize("logits", [np.ones([20, 3]), np.tile([2.0, -1.0], [20, 1])])
def test_logits_are_refused(logits):
    with pytest.raises(ValueError, match="give softmax"):
        inception_score(logits)


def test_fewer_samples_than_splits_are_refused():
    with pytest.raises(ValueError, match="3 samples cannot be divided into 10 splits"):
        inception_score(np.eye(3))
