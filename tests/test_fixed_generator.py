"""Critics that are trained against fixed generators, and what the figures measure on them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from experiments.figures import fixed_generator, wgan, wgan_gp
from jaxgan.core import losses, penalties
from jaxgan.core.game import init_state
from jaxgan.data import synthetic
from jaxgan.data.streams import WindowData
from jaxgan.networks import mlp


@pytest.fixture
def config():
    return fixed_generator.Config(width=16, depth=2)


def test_contrast_of_turns_is_the_height_of_a_ridge_along_the_roll():
    spiral = synthetic.swiss_roll().modes
    distance = lambda x: jnp.linalg.norm(x[:, None] - spiral[None], axis=-1).min(1)
    ridge = lambda x: jnp.where(distance(x) < 0.1, 1.0, 0.0)
    real = np.concatenate([spiral[::4], 5 + spiral[::4]])  # Half of the data lie on the ridge: D has deviation 1/2.
    assert_allclose(wgan_gp.contrast_of_turns(ridge, spiral, real), 2.0, rtol=0.02)
    bowl = lambda x: -jnp.square(x).sum(1)
    assert wgan_gp.contrast_of_turns(bowl, spiral, spiral) < 0


def test_weights_of_dead_units_are_left_out(key):
    params = mlp.Critic(8, 2, jax.nn.relu).init(key, jnp.zeros([1, 2]))["params"]
    points = np.asarray(jax.random.normal(key, [50, 2]))
    with_biases = lambda name, biases: {**params[name], "bias": jnp.float32(biases)}
    live = {**params, "Dense_0": with_biases("Dense_0", [50] * 8), "Dense_1": with_biases("Dense_1", [1_000] * 8)}
    dead = {**live, "Dense_0": with_biases("Dense_0", [-50] + [50] * 7)}
    assert wgan_gp.live_weights(live, points).size == 2 * 8 + 8 * 8 + 8
    assert wgan_gp.live_weights(dead, points).size == 2 * 7 + 7 * 8 + 8


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
