"""Critics that are trained against fixed generators, and what the figures measure on them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import multivariate_normal

from experiments.figures import fixed_generator, wgan, wgan_gp
from jaxgan.core import losses, penalties
from jaxgan.core.game import init_state
from jaxgan.data import synthetic
from jaxgan.data.streams import WindowData
from jaxgan.networks import mlp


@pytest.fixture
def config():
    return fixed_generator.Config(width=16, depth=2)


def test_log_density_ratio_is_that_of_the_noisy_mixture(key):
    ring = synthetic.ring()
    points = ring.modes + 0.02 * np.asarray(jax.random.normal(key, [8, 2]))
    density = lambda variance: sum(multivariate_normal(m, variance).pdf(points) for m in np.float64(ring.modes)) / 8
    expected = np.log(density(ring.std**2) / density(ring.std**2 + 1))
    assert_allclose(fixed_generator.log_density_ratio(ring, jnp.float32(points)), expected, rtol=1e-4)


def test_only_peaks_at_modes_are_counted():
    axis, modes = np.linspace(-3, 3, 121), synthetic.ring().modes
    bumps = lambda centres: lambda x: jnp.exp(-10 * jnp.square(x[:, None] - centres[None]).sum(-1)).sum(1)
    cone = lambda x: -jnp.linalg.norm(x, axis=1)
    surfaces = [fixed_generator.values_on_lattice(f, axis) for f in (bumps(modes), bumps(modes[:3]), cone)]
    counts = [fixed_generator.count_peaks(values, axis, modes, radius=0.25) for values in surfaces]
    assert counts == [8, 3, 0]


@pytest.mark.parametrize("theta", [-0.5, 0.25, 1.0])
def test_optimal_linear_critic_of_parallel_segments_has_slope_1_plus_half_theta_over_the_weight(key, theta):
    y = jax.random.uniform(key, [64])
    real, fake = jnp.stack([0 * y, y], axis=1), jnp.stack([0 * y + theta, y], axis=1)

    def loss(slope):
        critic = lambda x: x @ slope
        penalty = 10.0 * penalties.gradient_penalty(critic, real, fake, key)
        return losses.wasserstein.d(critic(real), critic(fake)) + penalty

    optimum = jnp.float32([-np.sign(theta) * (1 + abs(theta) / (2 * 10.0)), 0.0])
    assert_allclose(jax.grad(loss)(optimum), 0, atol=1e-5)


def test_critics_of_one_run_are_independent(key, config):
    experiment = fixed_generator.penalised(wgan.parallel_segments, config)
    (network,), (phase,) = experiment.game.networks, experiment.game.phases
    state = jax.jit(lambda key: init_state(experiment.game, key))(key)
    batch = experiment.source.batch(WindowData(), key, jnp.int32(0), jnp.arange(8))
    loss = lambda params, batch: phase.loss(state.with_params(critics={"critic": params}), batch, key)[0]
    gradient = jax.jit(jax.grad(loss))
    grads = gradient(state.params["critics"]["critic"], batch)
    assert network(state, batch["real"][0])[0].shape == (len(wgan.THETAS), 8)
    for k in (0, 5):
        params = jax.tree.map(lambda x, k=k: x[k : k + 1], state.params["critics"]["critic"])
        expected = gradient(params, {name: x if name == "index" else x[k : k + 1] for name, x in batch.items()})
        jax.tree.map(lambda a, b, k=k: assert_allclose(a[k], b[0], atol=1e-6), grads, expected)


def test_parallel_segments_are_theta_apart(key):
    real, fake = jax.vmap(wgan.parallel_segments)(jax.random.split(key, 50))
    assert_allclose(real[..., 0], 0)
    assert_allclose(fake[..., 0], np.tile(wgan.THETAS, (50, 1)))
    assert 0 <= fake[..., 1].min() < 0.1 < 0.9 < fake[..., 1].max() <= 1


@pytest.mark.parametrize("clip", [0.1, 0.001])
def test_weights_at_the_bounds_change_the_gradient_by_the_same_factor_at_each_layer(key, clip):
    width, depth = 256, 12
    params = mlp.Critic(width, depth).init(key, jnp.zeros([1, 2]))["params"]
    params = jax.tree.map(lambda x: clip * jnp.sign(x), params)
    norms = wgan_gp.activation_gradient_norms(params, *jax.random.normal(key, [2, 64, 2]))
    slope = -np.polyfit(np.arange(depth), np.log10(norms), 1)[0]
    assert_allclose(slope, np.log10(clip * np.sqrt(width / 2)), atol=0.1)


def test_activation_gradient_norms_equal_finite_differences(key, config):
    params = mlp.Critic(config.width, config.depth).init(key, jnp.zeros([1, 2]))["params"]
    real, fake = jax.random.normal(key, [2, 4, 2])
    x = np.float64(jnp.concatenate([real, fake]))
    first, second, last = (jax.tree.map(np.float64, params[f"Dense_{i}"]) for i in range(3))
    h = np.maximum(x @ first["kernel"], 0)

    def loss(h):
        logits = (np.maximum(h @ second["kernel"], 0) @ last["kernel"])[:, 0]
        return logits[4:].mean() - logits[:4].mean()

    steps = 1e-6 * np.eye(h.size).reshape(-1, *h.shape)
    slopes = [(loss(h + step) - loss(h - step)) / 2e-6 for step in steps]
    assert_allclose(wgan_gp.activation_gradient_norms(params, real, fake)[0], np.linalg.norm(slopes), rtol=1e-4)
