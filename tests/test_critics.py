"""A critic against a fixed generator: what the best one is, and how the figures look at it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import multivariate_normal

from experiments import critics, wgan, wgan_gp
from jaxgan import losses, penalties
from jaxgan.data import synthetic
from jaxgan.game import init
from jaxgan.networks import mlp


@pytest.fixture
def small():
    return critics.Config(width=16, depth=2)


def test_the_log_ratio_is_that_of_the_noisy_mixture(key):
    ring = synthetic.ring()
    points = ring.modes + 0.02 * np.asarray(jax.random.normal(key, [8, 2]))
    density = lambda square: sum(multivariate_normal(m, square).pdf(points) for m in np.float64(ring.modes)) / 8
    expected = np.log(density(ring.std**2) / density(ring.std**2 + 1))
    assert_allclose(critics.log_ratio(ring, jnp.float32(points)), expected, rtol=1e-4)


def test_peaks_are_counted_at_modes_and_nowhere_else():
    at, modes = np.linspace(-3, 3, 121), synthetic.ring().modes
    bumps = lambda points: jnp.exp(-10 * jnp.square(points[:, None] - modes[None]).sum(-1)).sum(1)
    cone = lambda points: -jnp.linalg.norm(points, axis=1)
    few = lambda points: jnp.exp(-10 * jnp.square(points[:, None] - modes[None, :3]).sum(-1)).sum(1)
    counts = [critics.peaks(critics.surface(f, at), at, modes, radius=0.25) for f in (bumps, few, cone)]
    assert counts == [8, 3, 0]


@pytest.mark.parametrize("theta", [-0.5, 0.25, 1.0])
def test_the_best_line_between_parallel_segments_is_steeper_than_one_by_half_theta_over_the_weight(key, theta):
    y = jax.random.uniform(key, [64])
    real, fake = jnp.stack([0 * y, y], axis=1), jnp.stack([0 * y + theta, y], axis=1)

    def loss(slope):
        critic = lambda x: x @ slope
        penalty = 10.0 * penalties.gradient_penalty(critic, real, fake, key)
        return losses.wasserstein.d(critic(real), critic(fake)) + penalty

    best = jnp.float32([-np.sign(theta) * (1 + abs(theta) / (2 * 10.0)), 0.0])
    assert_allclose(jax.grad(loss)(best), 0, atol=1e-5)


def test_several_critics_learn_as_each_would_alone(key, small):
    experiment = critics.penalised(wgan.lines, small)
    (network,), (phase,) = experiment.game.networks, experiment.game.phases
    state = jax.jit(lambda key: init(experiment.game, key))(key)
    batch = experiment.source.batch({}, key, jnp.int32(0), jnp.arange(8))
    loss = lambda params, batch: phase.loss(state.using(critics={"critic": params}), batch, key)[0]
    slope = jax.jit(jax.grad(loss))
    together = slope(state.params["critics"]["critic"], batch)
    assert network(state, batch["real"][0])[0].shape == (len(wgan.THETAS), 8)
    for k in (0, 5):
        own = jax.tree.map(lambda x, k=k: x[k : k + 1], state.params["critics"]["critic"])
        expected = slope(own, {name: x if name == "index" else x[k : k + 1] for name, x in batch.items()})
        jax.tree.map(lambda a, b, k=k: assert_allclose(a[k], b[0], atol=1e-6), together, expected)


def test_lines_are_theta_apart(key):
    real, fakes = jax.vmap(wgan.lines)(jax.random.split(key, 50))
    assert_allclose(real[..., 0], 0)
    assert_allclose(fakes[..., 0], np.tile(wgan.THETAS, (50, 1)))
    assert 0 <= fakes[..., 1].min() < 0.1 < 0.9 < fakes[..., 1].max() <= 1


@pytest.mark.parametrize("clip", [0.1, 0.001])
def test_weights_at_the_bounds_change_the_gradient_by_the_same_factor_at_each_layer(key, clip):
    width, depth = 256, 12
    params = mlp.Critic(width, depth).init(key, jnp.zeros([1, 2]))["params"]
    params = jax.tree.map(lambda x: clip * jnp.sign(x), params)
    norms = wgan_gp.layer_norms(params, *jax.random.normal(key, [2, 64, 2]))
    slope = -np.polyfit(np.arange(depth), np.log10(norms), 1)[0]
    assert_allclose(slope, np.log10(clip * np.sqrt(width / 2)), atol=0.1)


def test_layer_norms_are_those_of_finite_differences(key, small):
    params = mlp.Critic(small.width, small.depth).init(key, jnp.zeros([1, 2]))["params"]
    real, fake = jax.random.normal(key, [2, 4, 2])
    x = np.float64(jnp.concatenate([real, fake]))
    first, second, last = (jax.tree.map(np.float64, params[f"Dense_{i}"]) for i in range(3))
    h = np.maximum(x @ first["kernel"], 0)

    def loss(h):
        logits = (np.maximum(h @ second["kernel"], 0) @ last["kernel"])[:, 0]
        return logits[4:].mean() - logits[:4].mean()

    steps = 1e-6 * np.eye(h.size).reshape(-1, *h.shape)
    slopes = [(loss(h + step) - loss(h - step)) / 2e-6 for step in steps]
    assert_allclose(wgan_gp.layer_norms(params, real, fake)[0], np.linalg.norm(slopes), rtol=1e-4)
