"""Vendi score, tests of copying, and clean-fid's resize, against closed forms, SciPy and PIL."""

import jax
import numpy as np
import pytest
from numpy.testing import assert_allclose
from PIL import Image
from scipy.stats import mannwhitneyu

from jaxgan.evaluate import inception
from jaxgan.evaluate.diversity import copying_test, feature_likelihood, rank_sum_z, vendi_score


def test_the_vendi_score_counts_distinct_directions():
    assert_allclose(vendi_score(np.eye(7).repeat(3, 0) * 5), 7)
    assert_allclose(vendi_score(np.ones([10, 4])), 1)
    x = np.random.default_rng(0).normal(size=(30, 5))
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    eigenvalues = np.linalg.eigvalsh(unit @ unit.T / 30)[-5:]
    assert_allclose(vendi_score(x), np.exp(-(eigenvalues * np.log(eigenvalues)).sum()), rtol=1e-9)


def test_the_rank_statistic_is_scipys():
    a, b = np.random.default_rng(0).normal(size=(2, 50))
    b = np.append(b, a[:3])
    u = mannwhitneyu(a, b).statistic
    assert_allclose(rank_sum_z(a, b), (u - 50 * 53 / 2) / np.sqrt(50 * 53 * 104 / 12))


def test_copies_are_negative_blurred_samples_positive_and_new_samples_near_zero():
    rng = np.random.default_rng(0)
    centres = 10 * np.eye(3)[rng.integers(3, size=1_500)]
    train, test, new = np.split(centres + rng.normal(size=(1_500, 3)), 3)
    copies, far = train + 0.01 * rng.normal(size=train.shape), new + 2 * rng.normal(size=new.shape)
    assert copying_test(train, test, copies) < -5
    assert abs(copying_test(train, test, new)) < 3
    assert copying_test(train, test, far) > 5
    assert np.isnan(copying_test(train, test, new[:10]))


@pytest.mark.parametrize("size", [32, 400])
def test_the_clean_resize_is_pils(size):
    image = np.random.default_rng(0).integers(256, size=(size, size), dtype=np.uint8)
    expected = np.asarray(Image.fromarray(image.astype(np.float32)).resize((299, 299), Image.Resampling.BICUBIC))
    resized = jax.jit(inception.clean_preprocess)(image[None, :, :, None])
    assert resized.shape == (1, 299, 299, 3)
    assert_allclose(128 * resized[0, :, :, 0] + 128, expected.clip(0, 255), atol=0.02)


def test_the_likelihood_of_one_gaussian_has_a_closed_form():
    """With one sample, the variance is the mean squared distance per dimension, of standardised features."""
    rng = np.random.default_rng(0)
    train, test, fake = rng.normal(size=(500, 3)), rng.normal(size=(400, 3)), np.full((1, 3), 0.2)
    standard = lambda x: (x - train.mean(0)) / train.std(0)
    squares = [((standard(x) - standard(fake)) ** 2).mean() for x in (train, test)]
    expected = [-0.5 * (np.log(2 * np.pi * squares[0]) + square / squares[0]) for square in squares]
    assert_allclose(feature_likelihood(train, test, fake), expected, rtol=1e-6)


def test_copies_of_training_points_are_likely_for_these_alone():
    rng = np.random.default_rng(0)
    train, test, fresh = (rng.normal(size=(n, 8)) for n in (400, 300, 400))
    gaps = {}
    for name, fake in (("fresh", fresh), ("copies", train + 1e-3 * fresh)):
        of_train, of_test = feature_likelihood(train, test, fake)
        gaps[name] = of_train - of_test
    assert abs(gaps["fresh"]) < 0.2
    assert gaps["copies"] > 1
