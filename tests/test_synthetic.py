"""Samples of toy densities have the stated distributions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import ks_2samp, kstest
from sklearn.datasets import make_swiss_roll

from jaxgan.data import synthetic
from jaxgan.data.digits import digits


def draw(density, n, seed=0):
    return np.asarray(jax.jit(jax.vmap(density.sample))(jax.random.split(jax.random.key(seed), n)))


def nearest(points, modes):
    return np.linalg.norm(points[:, None] - modes, axis=-1).argmin(1)


@pytest.mark.parametrize("n", [1, 2, 8])
def test_ring_has_n_modes_at_equal_angles(n):
    modes = synthetic.ring(n, radius=2.0, scale=1.0).modes
    np.testing.assert_allclose(modes[:, 0] + 1j * modes[:, 1], 2 * np.exp(2j * np.pi * np.arange(n) / n), atol=1e-6)


def test_grid_is_a_lattice_from_minus_four_to_four():
    modes = synthetic.grid(scale=1.0).modes
    assert {tuple(mode) for mode in modes} == {(x, y) for x in (-4, -2, 0, 2, 4) for y in (-4, -2, 0, 2, 4)}


@pytest.mark.parametrize("density", [synthetic.ring(), synthetic.grid()])
def test_samples_are_equally_many_gaussians_around_each_mode(density):
    m, n = len(density.modes), 50_000
    assert density.num_modes == m
    points = draw(density, n)
    mode = nearest(points, density.modes)
    np.testing.assert_allclose(np.bincount(mode, minlength=m) / n, 1 / m, atol=5 * (1 / m / n) ** 0.5)
    noise = (points - density.modes[mode]) / density.std
    assert kstest(noise.ravel(), "norm").pvalue > 1e-3
    np.testing.assert_allclose(np.cov(noise.T), np.eye(2), atol=0.03)


@pytest.mark.parametrize(
    ("make", "scale"),
    [
        (synthetic.ring, 1.414),
        (synthetic.grid, 2.828),
        (synthetic.swiss_roll, 7.5),
        (synthetic.line, 0.816),
        (synthetic.circle, 1.414),
    ],
)
def test_default_scale_divides_points_modes_and_std_and_brings_the_standard_deviation_near_one(make, scale):
    scaled, raw = make(), make(scale=1.0)
    points = draw(scaled, 10_000)
    np.testing.assert_allclose(points.std(), 1, atol=0.1)
    np.testing.assert_allclose(scale * points, draw(raw, 10_000), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(scale * scaled.std, raw.std)
    np.testing.assert_allclose(scale * scaled.modes, raw.modes, rtol=1e-6)


@pytest.mark.parametrize("density", [synthetic.ring(std=0.3), synthetic.grid(std=0.3)])
def test_density_integrates_to_one_and_has_the_entropy_of_the_samples(density):
    axis = jnp.linspace(-3, 3, 301)
    points = jnp.stack(jnp.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    p = np.exp(density.log_density(points))
    np.testing.assert_allclose(p.sum() * 0.02**2, 1, rtol=1e-4)
    entropy = -density.log_density(jnp.asarray(draw(density, 50_000))).mean()
    np.testing.assert_allclose(entropy, -(p * np.log(p + 1e-30)).sum() * 0.02**2, atol=0.02)


def test_swiss_roll_has_the_distribution_of_scikit_learns():
    samples = draw(synthetic.swiss_roll(), 20_000)
    reference = make_swiss_roll(20_000, noise=0.25, random_state=0)[0][:, [0, 2]] / 7.5
    for statistic in (lambda p: p[:, 0], lambda p: p[:, 1], lambda p: np.hypot(*p.T), lambda p: p @ [1.0, 1.0]):
        assert ks_2samp(statistic(samples), statistic(reference)).pvalue > 1e-3


def test_swiss_roll_without_noise_is_the_curve_at_uniform_t():
    points = 7.5 * draw(synthetic.swiss_roll(std=0.0), 20_000).astype(np.float64)
    t = np.hypot(*points.T)
    np.testing.assert_allclose(points, np.stack([t * np.cos(t), t * np.sin(t)], axis=1), atol=1e-3)
    assert kstest(t / (1.5 * np.pi), "uniform", (1, 2)).pvalue > 1e-3


def test_line_is_uniform_along_the_first_axis():
    x, y = draw(synthetic.line(length=3.0, std=0.01, scale=1.0), 20_000).T
    noise = np.random.default_rng(0).normal(0, 0.01, 20_000)
    assert ks_2samp(x, np.linspace(-1.5, 1.5, 20_000) + noise).pvalue > 1e-3
    assert kstest(y / 0.01, "norm").pvalue > 1e-3


def test_circle_has_uniform_angles_and_normal_distances():
    x, y = draw(synthetic.circle(radius=3.0, std=0.01, scale=1.0), 20_000).T
    assert kstest((np.arctan2(y, x) / np.pi + 1) / 2, "uniform").pvalue > 1e-3
    assert kstest((np.hypot(x, y) - 3.0) / 0.01, "norm").pvalue > 1e-3


def test_digits_have_17_grey_levels_from_0_to_255():
    images, labels = digits().images, digits().labels
    assert images.shape == (1797, 8, 8, 1)
    assert labels.shape == (1797,)
    np.testing.assert_array_equal(np.unique(images), np.rint(np.arange(17) * 255 / 16))
    np.testing.assert_array_equal(np.unique(labels), np.arange(10))
