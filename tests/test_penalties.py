"""Closed forms, finite differences, second-order gradients and noise of the gradient penalties."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, PartitionSpec
from jax.test_util import check_grads
from numpy.testing import assert_allclose

from jaxgan.core import penalties, prng
from jaxgan.core.axis import AXIS_NAME

squared_gradient_norm = jax.jit(penalties.squared_gradient_norm, static_argnums=0)
gradient_penalty = jax.jit(penalties.gradient_penalty, static_argnums=0, static_argnames=("target", "one_sided"))
dragan = jax.jit(penalties.dragan, static_argnums=0)
every_penalty = pytest.mark.parametrize(
    "penalty",
    [
        penalties.r1,
        penalties.r2,
        penalties.r1_r2,
        penalties.gradient_penalty,
        partial(penalties.gradient_penalty, one_sided=True),
        penalties.dragan,
    ],
    ids=["r1", "r2", "r1_r2", "gradient_penalty", "one_sided", "dragan"],
)


def linear(a):
    return lambda x: (x * a).sum((1, 2))


def quadratic(x):
    return 0.5 * (x**2).sum(tuple(range(1, x.ndim)))


@pytest.fixture
def real(key):
    return jax.random.normal(key, [6, 2, 3])


@pytest.fixture
def fake(key):
    return jax.random.normal(jax.random.fold_in(key, 1), [6, 2, 3])


def test_squared_gradient_norm_matches_finite_differences():
    rng = np.random.default_rng(0)
    x, v, w = rng.normal(size=(4, 2, 3)), rng.normal(size=(6, 5)), rng.normal(size=5)
    critic = lambda x: jnp.tanh(x.reshape(len(x), -1) @ v) @ w
    h, steps = 1e-5, np.eye(6).reshape(6, 1, 2, 3)
    with jax.enable_x64(True):
        slopes = np.array([critic(x + h * e) - critic(x - h * e) for e in steps]) / (2 * h)
        assert_allclose(squared_gradient_norm(critic, jnp.array(x)), (slopes**2).sum(0), rtol=1e-8)


def test_squared_gradient_norm_includes_the_coupling_of_examples(real):
    coupled = lambda x: quadratic(x - x.mean(0, keepdims=True))
    assert_allclose(squared_gradient_norm(coupled, real), 2 * quadratic(real - real.mean(0)[None]), rtol=1e-5)


@pytest.mark.parametrize("shape", [(5,), (5, 2), (5, 4, 4, 3)])
def test_quadratic_critic(shape, key):
    x, zeros = jax.random.normal(key, shape), jnp.zeros(shape)
    expected = (np.asarray(x).reshape(5, -1) ** 2).sum(1)
    assert_allclose(squared_gradient_norm(quadratic, x), expected, rtol=1e-5)
    assert_allclose(penalties.gradient_norm(quadratic, x), np.sqrt(expected), rtol=1e-5)
    assert_allclose(penalties.r1(quadratic, x, zeros, key), expected.mean() / 2, rtol=1e-5)
    assert_allclose(penalties.r2(quadratic, zeros, x, key), expected.mean() / 2, rtol=1e-5)
    assert_allclose(penalties.r1_r2(quadratic, x, 2 * x, key), 5 * expected.mean() / 2, rtol=1e-5)


@pytest.mark.parametrize("length", [0.5, 2.0])
def test_linear_critic(length, real, fake, key):
    critic = linear(length * real[:1] / jnp.linalg.norm(real[0]))
    assert_allclose(penalties.r1(critic, real, fake, key), length**2 / 2, rtol=1e-5)
    assert_allclose(penalties.r2(critic, real, fake, key), length**2 / 2, rtol=1e-5)
    assert_allclose(dragan(critic, real, fake, key), (length - 1) ** 2, rtol=1e-5)
    penalty = lambda **options: gradient_penalty(critic, real, fake, key, **options)
    assert_allclose(penalty(), (length - 1) ** 2, rtol=1e-5)
    assert_allclose(penalty(target=0.0), length**2, rtol=1e-5)
    assert_allclose(penalty(one_sided=True), max(length - 1, 0) ** 2, rtol=1e-5)
    assert_allclose(penalty(target=3.0, one_sided=True), 0.0)


@every_penalty
def test_slopes_in_the_critic_match_finite_differences(penalty, key):
    with jax.enable_x64(True):
        rng = np.random.default_rng(0)
        real, fake, v, w = map(jnp.array, (rng.normal(size=shape) for shape in [(4, 3), (4, 3), (3, 5), (5,)]))
        cost = jax.jit(lambda v: penalty(lambda x: jnp.tanh(x @ v) @ w, real, fake, key))
        check_grads(cost, (v,), order=1, modes=["rev"], rtol=1e-6)


@every_penalty
@pytest.mark.parametrize("a", [0.0, 1.0])
def test_differentiable_in_the_critic(penalty, a, real, fake, key):
    """Also at a = 0, where the norm is not."""
    cost = lambda a: penalty(linear(a), real, fake, key)
    value, grads = jax.jit(jax.value_and_grad(cost))(jnp.full([1, 2, 3], a))
    assert np.isfinite([value, *grads.ravel()]).all()
    assert (grads > 0).all() == (a > 0)


def test_epsilon_is_one_number_per_example_and_differs_between_examples(key):
    keys, ones = prng.example_keys(key, jnp.arange(64)), jnp.ones([64, 2, 2, 1])
    uneven = lambda x: ((x[:, 0] - x[:, 1]) ** 2 + (x[:, :, 0] - x[:, :, 1]) ** 2).sum((1, 2))
    assert_allclose(gradient_penalty(uneven, ones, 0 * ones, key, target=0.0), 0.0, atol=1e-9)
    # The gradient norm is 2 ε here, so the penalty of a single example determines its ε.
    penalty = lambda real, fake, keys: gradient_penalty(quadratic, real, fake, keys, target=0.0)
    single = jax.jit(jax.vmap(penalty))(ones[:, None], 0 * ones[:, None], keys[:, None])
    epsilon = np.sqrt(single) / 2
    assert len(np.unique(epsilon)) == 64
    assert 0 <= epsilon.min() < 0.1 < 0.9 < epsilon.max() < 1
    assert_allclose(penalty(ones, 0 * ones, keys), single.mean(), rtol=1e-5)
    assert_allclose(penalty(ones[:3], 0 * ones[:3], keys[:3]), single[:3].mean(), rtol=1e-5)


def test_epsilon_is_the_weight_of_the_reals(key):
    real, fake = jnp.full([256, 1], 3.0), jnp.full([256, 1], 1.0)
    epsilon = prng.uniform(prng.example_keys(key, jnp.arange(256)), 1)
    expected = ((2 * epsilon) ** 2).mean()  # The gradient is x̂ = 3 ε + 1 (1 - ε) = 1 + 2 ε
    assert_allclose(gradient_penalty(quadratic, real, fake, key), expected, rtol=1e-5)


def test_dragan_perturbs_by_half_the_standard_deviation_of_the_batch(key):
    real = jnp.tile(jnp.array([[0.4, 0.0], [-0.4, 0.0]]), (4096, 1))  # Variance 0.08.
    second = lambda x: x[:, 1] + 0.5 * x[:, 1] ** 2  # Its gradient is 1 + δ.
    assert_allclose(dragan(second, real, real, key), 0.08 / 4, rtol=0.05)


@pytest.mark.parametrize("per_example", [False, True])
def test_eight_devices_equal_one(per_example, key):
    real, fake = jax.random.normal(key, [2, 16, 3])
    keys = prng.example_keys(key, jnp.arange(16)) if per_example else key
    critic = lambda x: jnp.tanh(x).sum(1) ** 2

    def both(real, fake, key):
        return penalties.gradient_penalty(critic, real, fake, key), penalties.dragan(critic, real, fake, key)

    split = PartitionSpec(AXIS_NAME)
    eight = jax.shard_map(
        lambda *args: jax.lax.pmean(both(*args), AXIS_NAME),
        mesh=jax.make_mesh((8,), (AXIS_NAME,), (AxisType.Auto,)),
        in_specs=(split, split, split if per_example else PartitionSpec()),
        out_specs=PartitionSpec(),
        check_vma=False,
    )
    assert_allclose(jax.jit(eight)(real, fake, keys), jax.jit(both)(real, fake, keys), rtol=1e-5)
