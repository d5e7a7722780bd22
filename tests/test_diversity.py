"""Vendi score, the test of copying, and clean-fid's resize, against closed forms, SciPy and PIL."""

import jax
import numpy as np
import pytest
from numpy.testing import assert_allclose
from PIL import Image
from scipy.stats import mannwhitneyu

from jaxgan.evaluate import inception
from jaxgan.evaluate.diversity import copying_test, rank_sum_z, vendi_score


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
