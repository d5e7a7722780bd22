"""Mode coverage of mixtures, and class balance of digits by a support vector machine."""

import jax
import numpy as np
import pytest

from jaxgan.data import synthetic
from jaxgan.data.digits import digits
from jaxgan.evaluate.digits_svm import accuracy, class_balance
from jaxgan.evaluate.modes import mode_coverage

CENTRES = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])


@pytest.mark.parametrize("density", [synthetic.ring(), synthetic.grid()])
def test_samples_of_the_data_cover_all_modes(density, key):
    coverage = mode_coverage(jax.vmap(density.sample)(jax.random.split(key, 2500)), density.modes, density.std)
    m = len(density.modes)
    assert coverage["covered"] == m
    np.testing.assert_allclose(coverage["high_quality"], 1 - np.exp(-4.5), atol=0.01)  # Two dimensions, three stds.
    np.testing.assert_allclose(coverage["mode_kl"], (m - 1) / (2 * 2500), atol=0.01)


def test_collapsed_samples_cover_one_mode():
    assert mode_coverage(np.zeros([100, 2]), CENTRES, 0.1) == {"covered": 1, "high_quality": 1, "mode_kl": np.log(4)}


@pytest.mark.parametrize("samples", [np.full([10, 2], 9.0), np.full([10, 2], np.nan)])
def test_samples_far_from_all_modes_cover_none_with_the_largest_divergence(samples):
    assert mode_coverage(samples, CENTRES, 0.1) == {"covered": 0, "high_quality": 0, "mode_kl": np.log(4)}


def test_a_known_histogram():
    """Of 100 samples 64, 32 and 1 are at modes, and 3 between modes."""
    samples = np.repeat([*CENTRES[:3], [0.5, 0.5]], [64, 32, 1, 3], axis=0)
    coverage = mode_coverage(samples, CENTRES, 0.1)
    p = np.array([64, 32, 1]) / 97
    assert coverage["covered"] == 2
    assert coverage["high_quality"] == 0.97
    np.testing.assert_allclose(coverage["mode_kl"], (p * np.log(4 * p)).sum())
    assert mode_coverage(samples, CENTRES, 0.1, share=0.0)["covered"] == 3
    assert mode_coverage(samples, CENTRES, 0.1, radius=8.0)["high_quality"] == 1


def test_segments_of_a_curve_are_counted_as_modes():
    roll = synthetic.swiss_roll()
    points = np.asarray(jax.jit(jax.vmap(roll.sample))(jax.random.split(jax.random.key(0), 4000)))
    coverage = mode_coverage(points, roll.modes, roll.std, roll.num_modes)
    assert coverage["covered"] == roll.num_modes == 20
    assert coverage["high_quality"] > 0.99
    assert coverage["mode_kl"] < 0.01
    inner = points[np.linalg.norm(points, axis=1) < 1.2]
    assert mode_coverage(inner, roll.modes, roll.std, roll.num_modes)["covered"] < 15


def test_the_svm_classifies_held_out_digits():
    assert accuracy() >= 0.97


def test_the_digits_themselves_are_balanced():
    balance = class_balance(digits().images)
    assert balance["classes"] == 10
    assert balance["smallest_class"] > 0.09
    assert balance["class_kl"] < 1e-3


def test_the_divergence_of_a_single_class_is_the_negative_log_of_its_frequency():
    images, labels = digits().images, digits().labels
    images = images[labels == 0][::4]  # Some of them are held out, and all are classified correctly.
    balance = class_balance(images)
    assert balance["classes"] == 1
    assert balance["smallest_class"] == 0
    np.testing.assert_allclose(balance["class_kl"], -np.log((labels == 0).mean()))
