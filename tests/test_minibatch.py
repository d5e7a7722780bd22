"""What examples tell of each other: closed forms, and one device and eight."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, PartitionSpec
from numpy.testing import assert_allclose

from jaxgan import axis
from jaxgan.networks.minibatch import MinibatchDiscrimination, minibatch_std

LAYER = MinibatchDiscrimination(kernels=3, dims=2)


def kernel(variables):
    (found,) = jax.tree.leaves(variables)
    return np.asarray(found, np.float64).reshape(5, 3, 2)


def test_discrimination_is_the_sum_over_all_others(key):
    x = jax.random.normal(key, [6, 5])
    variables = LAYER.init(key, x)
    out = LAYER.apply(variables, x)
    assert_allclose(out[:, :5], x)
    m = np.einsum("ia,akd->ikd", np.asarray(x, np.float64), kernel(variables))
    for i in range(6):
        others = [np.exp(-np.abs(m[i] - m[j]).sum(-1)) for j in range(6) if j != i]
        assert_allclose(out[i, 5:], sum(others), rtol=1e-5)


def test_a_collapsed_batch_shows(key):
    """Examples that are alike are as near as can be; those far apart are alone."""
    x = jax.random.normal(key, [1, 5])
    variables = LAYER.init(key, x)
    alike = LAYER.apply(variables, jnp.broadcast_to(x, (7, 5)))
    assert_allclose(alike[:, 5:], 6.0, rtol=1e-6)
    apart = 1e5 * jax.random.normal(key, [7, 5])
    assert_allclose(LAYER.apply(variables, apart)[:, 5:], 0.0, atol=1e-6)


def test_the_order_of_the_batch_is_without_effect(key):
    x = jax.random.normal(key, [6, 5])
    variables = LAYER.init(key, x)
    assert_allclose(LAYER.apply(variables, x[::-1]), LAYER.apply(variables, x)[::-1], rtol=1e-5)


def test_eight_devices_discriminate_as_one_also_in_their_gradients(key):
    x, weight = jax.random.normal(key, [16, 5]), jnp.arange(16.0)
    variables = LAYER.init(key, x)

    def play(variables, x, weight):
        loss = lambda variables, x: (weight * (LAYER.apply(variables, x)[:, 5:] ** 2).sum(1)).mean()
        penalty = lambda variables: (jax.grad(loss, 1)(variables, x) ** 2).sum(1).mean()
        grads = axis.mean(jax.grad(loss)(variables, x))
        return (
            LAYER.apply(variables, x),
            grads,
            jax.grad(loss, 1)(variables, x),
            axis.mean(jax.grad(penalty)(variables)),
        )

    out, grads, slopes, second = jax.jit(play)(variables, x, weight)
    mesh = jax.make_mesh((8,), (axis.AXIS,), (AxisType.Auto,))
    whole, spread = PartitionSpec(), PartitionSpec(axis.AXIS)
    specs = {"in_specs": (whole, spread, spread), "out_specs": (spread, whole, spread, whole)}
    eight = jax.jit(jax.shard_map(play, mesh=mesh, check_vma=False, **specs))(variables, x, weight)
    # Each device's mean is over two examples, not sixteen: a gradient in inputs is eight times as large.
    want = out, grads, 8 * slopes, jax.tree.map(lambda g: 64 * g, second)
    jax.tree.map(lambda a, b: assert_allclose(a, b, rtol=1e-4, atol=1e-4 * np.abs(b).max()), eight, want)


def test_minibatch_std_is_numpys(key):
    x = jax.random.normal(key, [8, 3, 3, 2])
    out = minibatch_std(x, group=4)
    np.testing.assert_array_equal(out[..., :2], x)
    want = np.asarray(x).reshape(2, 4, -1).std(1).mean(1)
    np.testing.assert_allclose(out[:, 0, 0, 2], want.repeat(4), rtol=1e-4)
    assert np.ptp(out[:4, ..., 2]) == 0
    with pytest.raises(ValueError, match="groups of 4 do not divide the 6"):
        minibatch_std(x[:6])
