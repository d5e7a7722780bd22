"""Clipped weights and singular values stay within the limit; half-lives and schedules are exact in images."""

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from jaxgan.core import optim
from jaxgan.core.game import Game, Network, Phase, Player, init_state, input_spec
from jaxgan.core.update import make_update
from jaxgan.networks.layers import batch_norm


def test_clipped_weights_stay_within_the_limit(key):
    optimizer = optax.chain(optim.rmsprop(0.02), optim.clip_weights(0.1))
    params = {"w": jax.random.normal(key, [100]), "b": jnp.zeros([])}
    state = optimizer.init(params)
    for k in jax.random.split(key, 20):
        grads = jax.tree.map(lambda p, k=k: jax.random.normal(k, p.shape), params)
        updates, state = optimizer.update(grads, state, params)
        params = optax.apply_updates(params, updates)
        assert max(jnp.abs(p).max() for p in jax.tree.leaves(params)) <= 0.1 * (1 + 1e-6)
    assert 0 < (jnp.abs(params["w"]) < 0.099).mean() < 1


def test_rmsprop_is_that_of_pytorch_for_gradients_as_small_as_those_of_clipped_critics():
    optimizer, rng = optim.rmsprop(5e-5), np.random.default_rng(0)
    state, v = optimizer.init(jnp.zeros(8)), np.zeros(8)
    for _ in range(20):
        grad = np.float32(1e-6 * rng.normal(size=8))
        updates, state = optimizer.update(grad, state)
        v = 0.99 * v + 0.01 * np.float64(grad) ** 2
        assert_allclose(updates, -5e-5 * grad / (np.sqrt(v) + 1e-8), rtol=1e-4)


def test_clipping_changes_only_weights_beyond_the_limit():
    params, updates = jnp.array([0.0, 0.5, -0.5, 3.0]), jnp.array([0.25, 1.0, -1.0, -0.5])
    clipped, _ = optim.clip_weights(1.0).update(updates, optax.EmptyState(), params)
    assert_array_equal(params + clipped, [0.25, 1.0, -1.0, 1.0])


def test_clipping_without_parameters_is_an_error():
    with pytest.raises(ValueError, match="needs the parameters"):
        optim.clip_weights(1.0).update(jnp.zeros(1), optax.EmptyState())


def critic(*shape):
    """Returns random parameters and buffers of a critic whose kernel has the given shape."""
    random = lambda *shape: jnp.asarray(np.random.default_rng(0).normal(size=shape), jnp.float32)
    layers = {"Conv_0": {"kernel": random(*shape), "bias": 9 * random(5)}, "BatchNorm_0": {"scale": random(3)}}
    return {"d": layers}, {"d": {"batch_stats": {"BatchNorm_0": {"mean": jnp.zeros(3), "var": jnp.full(3, 0.25)}}}}


@pytest.mark.parametrize("shape", [(2, 2, 3, 5), (3, 5), (7, 1), (1, 1, 1, 2, 5)])
def test_clipped_singular_values_are_those_of_numpy(shape):
    params, buffers = critic(*shape)
    clipped = optim.with_clipped_singular_values(params, buffers)
    kernel = np.float64(params["d"]["Conv_0"]["kernel"])
    u, s, vh = np.linalg.svd(kernel.reshape(-1, shape[-1]), full_matrices=False)
    assert s.max() > 1
    expected = (u * np.minimum(s, 1) @ vh).reshape(shape)
    assert_allclose(clipped["d"]["Conv_0"]["kernel"], expected, atol=1e-5)
    assert_array_equal(clipped["d"]["Conv_0"]["bias"], params["d"]["Conv_0"]["bias"])
    chex.assert_trees_all_close(optim.with_clipped_singular_values(clipped, buffers), clipped, atol=1e-6)


def test_layers_without_large_singular_values_stay_exactly():
    params, buffers = critic(2, 2, 3, 5)
    small = jax.tree.map(lambda x: 0.1 * jnp.abs(x), params)
    assert np.linalg.svd(small["d"]["Conv_0"]["kernel"].reshape(-1, 5), compute_uv=False).max() < 1
    chex.assert_trees_all_equal(optim.with_clipped_singular_values(small, buffers), small)


def test_scales_of_batch_norm_are_clipped_by_the_running_standard_deviation():
    params, buffers = critic(3, 5)
    scale = jnp.array([-1.0, 0.4, 2.0])
    clipped = optim.with_clipped_singular_values({"d": params["d"] | {"BatchNorm_0": {"scale": scale}}}, buffers)
    assert_allclose(clipped["d"]["BatchNorm_0"]["scale"], [0.005, 0.4, 0.5], rtol=1e-6)
    others = {"d": {"LayerNorm_0": {"scale": scale}}}  # has no running statistics
    chex.assert_trees_all_equal(optim.with_clipped_singular_values(others, buffers), others)


def test_singular_values_are_clipped_at_every_third_update():
    params, buffers = critic(3, 5)
    optimizer = optax.chain(optax.sgd(1.0), optim.clip_singular_values(every=3))
    state, largest = optimizer.init(params), []
    grads = jax.tree.map(lambda p: -p, params)
    for _ in range(4):
        updates, state = optimizer.update(grads, state, params, buffers=buffers)
        params = optax.apply_updates(params, updates)
        largest.append(np.linalg.svd(params["d"]["Conv_0"]["kernel"], compute_uv=False).max())
    assert_allclose(largest[2], 1, rtol=1e-5)
    assert min(largest[0], largest[1], largest[3]) > 1.5


class Scaled(nn.Module):
    """Batch norm alone: examples [B, 2] to logits [B]."""

    @nn.compact
    def __call__(self, x, train=True):
        return batch_norm(train)(x).sum(1)


def test_a_projection_sees_the_statistics_of_its_own_step(key):
    """Also through `freeze`, here of another parameter."""
    network = Network("d", Scaled(), (input_spec(2),))

    def loss(state, batch, key):
        logits, state = network(state, batch["real"])
        return logits.mean(), (state, {})

    clipped = optax.chain(optax.sgd(0.1), optim.clip_singular_values())
    optimizer = optim.freeze(clipped, lambda path: path.endswith("bias"))
    game = Game((network,), {"d": Player(("d",), optimizer)}, (Phase("d", "d", loss),))
    batch = {"real": 0.1 * jax.random.normal(key, [16, 2]), "index": jnp.arange(16)}
    state, _ = make_update(game)(game.phases, init_state(game, key), batch, key)
    variance = state.buffers["d"]["batch_stats"]["BatchNorm_0"]["var"]
    assert (variance < 0.95).all()  # Before the step it is 1.
    assert_allclose(state.params["d"]["BatchNorm_0"]["scale"], jnp.sqrt(variance), rtol=1e-6)


@pytest.mark.parametrize(("half_life", "batch_size"), [(10_000, 64), (500_000, 64), (32, 64)])
def test_an_old_value_has_half_its_weight_after_a_half_life(half_life, batch_size):
    decay = optim.ema_decay(half_life, batch_size)(jnp.int32(7))
    assert_allclose(np.float64(decay) ** (half_life / batch_size), 0.5, rtol=1e-3)


def test_ramp_up_limits_the_half_life_to_a_fraction_of_the_images_seen():
    decay = jax.jit(optim.ema_decay(10_000, 50, ramp_up=0.05))
    assert decay(jnp.int32(0)) == 0
    assert_allclose(decay(jnp.int32(100)), 0.5 ** (50 / (0.05 * 100 * 50)), rtol=1e-6)
    late = [4_000, 1_000_000]  # From 200,000 images on, 5 % of them are at least 10,000.
    assert_allclose([decay(jnp.int32(step)) for step in late], optim.ema_decay(10_000, 50)(jnp.int32(0)), rtol=1e-6)


def test_a_half_life_follows_its_schedule():
    decay = jax.jit(optim.ema_decay(optax.linear_schedule(0.0, 10_000, 5_000), 50))
    assert decay(jnp.int32(0)) == 0
    assert_allclose(decay(jnp.int32(50)), 0.5 ** (50 / 5_000), rtol=1e-6)
    assert_allclose(decay(jnp.int32(10**6)), 0.5 ** (50 / 10_000), rtol=1e-6)


@pytest.mark.parametrize("every", [1, 5, 16 / 17])
@pytest.mark.parametrize(
    "schedule",
    [
        optax.linear_schedule(1.0, 0.0, 4_000, 1_000),
        optax.cosine_decay_schedule(1.0, 5_000),
        optax.piecewise_constant_schedule(1.0, {2_400: 0.1}),
        optax.warmup_constant_schedule(0.0, 1.0, 1_000),
    ],
)
def test_a_schedule_is_a_function_of_images(schedule, every):
    counts = jnp.arange(0, 100, 7)
    seen = [schedule(float(count * 50 * every)) for count in counts.tolist()]
    assert_allclose(jax.jit(jax.vmap(optim.in_images(schedule, 50, every)))(counts), seen, rtol=1e-5, atol=1e-6)


def test_a_schedule_reaches_its_end_with_the_last_image():
    batch_size, every, images = 64, 5, 3.2e9  # An int32 would overflow.
    schedule = optim.in_images(optax.linear_schedule(2e-4, 0.0, images), batch_size, every)
    last = images // (batch_size * every)
    assert_allclose([schedule(jnp.int32(n)) for n in (0, last // 2, last)], [2e-4, 1e-4, 0.0], rtol=1e-6)


def test_an_optimizer_follows_its_schedule():
    optimizer = optax.sgd(optim.in_images(optax.linear_schedule(1.0, 0.0, 40), batch_size=10))
    state, rates = optimizer.init(jnp.ones([])), []
    for _ in range(5):
        update, state = optimizer.update(jnp.ones([]), state)
        rates.append(-update)
    assert_allclose(rates, [1.0, 0.75, 0.5, 0.25, 0.0], atol=1e-6)


def test_lazy_adam_has_the_same_effect_per_interval():
    """With a constant gradient in all updates, Adam moves by the learning rate at each of them."""
    every = 16
    lazy, eager = optim.lazy_adam(0.01, every), optax.adam(0.01, 0.0, 0.99)

    def distance(optimizer, updates):
        x, state = jnp.zeros([]), optimizer.init(jnp.zeros([]))
        with jax.numpy_dtype_promotion("standard"):
            for _ in range(updates):
                update, state = optimizer.update(jnp.ones([]), state, x)
                x = x + update
        return float(x)

    assert distance(lazy, every + 1) == pytest.approx(distance(eager, every), rel=1e-4)
