import jax
import numpy as np
import pytest

from jaxgan.data import synthetic
from jaxgan.data.digits import digits
from jaxgan.evaluate.classifier import accuracy, class_balance
from jaxgan.evaluate.modes import modes

CENTRES = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])


@pytest.mark.parametrize("density", [synthetic.ring(), synthetic.grid()])
def test_a_perfect_sampler_has_full_marks(density, key):
    found = modes(jax.vmap(density.draw)(jax.random.split(key, 2500)), density.modes, density.std)
    m = len(density.modes)
    assert found["covered"] == m
    np.testing.assert_allclose(found["high_quality"], 1 - np.exp(-4.5), atol=0.01)  # Two dimensions, three stds.
    np.testing.assert_allclose(found["mode_kl"], (m - 1) / (2 * 2500), atol=0.01)


def test_a_collapsed_sampler_covers_one():
    assert modes(np.zeros([100, 2]), CENTRES, 0.1) == {"covered": 1, "high_quality": 1, "mode_kl": np.log(4)}


@pytest.mark.parametrize("samples", [np.full([10, 2], 9.0), np.full([10, 2], np.nan)])
def test_a_sampler_that_misses_covers_none_at_the_greatest_divergence(samples):
    assert modes(samples, CENTRES, 0.1) == {"covered": 0, "high_quality": 0, "mode_kl": np.log(4)}


def test_a_known_histogram():
    """Of 100 samples 64, 32 and 1 are at modes, 3 between them."""
    samples = np.repeat([*CENTRES[:3], [0.5, 0.5]], [64, 32, 1, 3], axis=0)
    found = modes(samples, CENTRES, 0.1)
    p = np.array([64, 32, 1]) / 97
    assert found["covered"] == 2
    assert found["high_quality"] == 0.97
    np.testing.assert_allclose(found["mode_kl"], (p * np.log(4 * p)).sum())
    assert modes(samples, CENTRES, 0.1, share=0.0)["covered"] == 3
    assert modes(samples, CENTRES, 0.1, radius=8.0)["high_quality"] == 1


def test_the_classifier_knows_digits_it_has_not_seen():
    assert accuracy() >= 0.97


def test_the_digits_themselves_are_balanced():
    found = class_balance(digits().images)
    assert found["classes"] == 10
    assert found["smallest_class"] > 0.09
    assert found["class_kl"] < 1e-3


def test_one_class_alone_diverges_by_the_log_of_its_share():
    images, labels = digits().images, digits().labels
    images = images[labels == 0][::4]  # Some of them are held out, and none is mistaken.
    found = class_balance(images)
    assert found["classes"] == 1
    assert found["smallest_class"] == 0
    np.testing.assert_allclose(found["class_kl"], -np.log((labels == 0).mean()))


def test_the_stretches_of_a_curve_are_counted_as_modes():
    roll = synthetic.swiss_roll()
    points = np.asarray(jax.jit(jax.vmap(roll.draw))(jax.random.split(jax.random.key(0), 4000)))
    found = modes(points, roll.modes, roll.std, roll.parts)
    assert found["covered"] == roll.parts == 20
    assert found["high_quality"] > 0.99
    assert found["mode_kl"] < 0.01
    half = modes(points[np.linalg.norm(points, axis=1) < 1.2], roll.modes, roll.std, roll.parts)
    assert half["covered"] < 15
