"""Tests of minibatch discrimination and minibatch standard deviation: closed forms, and eight devices against one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, PartitionSpec
from numpy.testing import assert_allclose

from jaxgan.core import axis
from jaxgan.networks.minibatch import MinibatchDiscrimination, minibatch_std

LAYER = MinibatchDiscrimination(kernels=3, dims=2)


def kernel(variables):
    (leaf,) = jax.tree.leaves(variables)
    return np.asarray(leaf, np.float64).reshape(5, 3, 2)


def test_discrimination_sums_similarities_to_all_other_examples(key):
    x = jax.random.normal(key, [6, 5])
    variables = LAYER.init(key, x)
    out = LAYER.apply(variables, x)
    assert_allclose(out[:, :5], x)
    m = np.einsum("ia,akd->ikd", np.asarray(x, np.float64), kernel(variables))
    for i in range(6):
        others = [np.exp(-np.abs(m[i] - m[j]).sum(-1)) for j in range(6) if j != i]
        assert_allclose(out[i, 5:], sum(others), rtol=1e-5)


def test_discrimination_detects_equal_examples(key):
    """The similarity of equal examples is 1 for each pair, and that of distant examples 0."""
    x = jax.random.normal(key, [1, 5])
    variables = LAYER.init(key, x)
    equal = LAYER.apply(variables, jnp.broadcast_to(x, (7, 5)))
    assert_allclose(equal[:, 5:], 6.0, rtol=1e-6)
    distant = 1e5 * jax.random.normal(key, [7, 5])
    assert_allclose(LAYER.apply(variables, distant)[:, 5:], 0.0, atol=1e-6)


def test_discrimination_is_equivariant_to_the_order_of_the_batch(key):
    x = jax.random.normal(key, [6, 5])
    variables = LAYER.init(key, x)
    assert_allclose(LAYER.apply(variables, x[::-1]), LAYER.apply(variables, x)[::-1], rtol=1e-5)


def test_discrimination_and_its_gradients_on_eight_devices_equal_one_device(key):
    x, weight = jax.random.normal(key, [16, 5]), jnp.arange(16.0)
    variables = LAYER.init(key, x)

    def step(variables, x, weight):
        loss = lambda variables, x: (weight * (LAYER.apply(variables, x)[:, 5:] ** 2).sum(1)).mean()
        penalty = lambda variables: (jax.grad(loss, 1)(variables, x) ** 2).sum(1).mean()
        grads = axis.pmean(jax.grad(loss)(variables, x))
        return (
            LAYER.apply(variables, x),
            grads,
            jax.grad(loss, 1)(variables, x),
            axis.pmean(jax.grad(penalty)(variables)),
        )

    out, grads, x_grads, penalty_grads = jax.jit(step)(variables, x, weight)
    mesh = jax.make_mesh((8,), (axis.AXIS_NAME,), (AxisType.Auto,))
    replicated, sharded = PartitionSpec(), PartitionSpec(axis.AXIS_NAME)
    specs = {"in_specs": (replicated, sharded, sharded), "out_specs": (sharded, replicated, sharded, replicated)}
    actual = jax.jit(jax.shard_map(step, mesh=mesh, check_vma=False, **specs))(variables, x, weight)
    # The loss of a device is the mean of two examples and not of sixteen, so gradients in inputs are 8 times as large.
    expected = out, grads, 8 * x_grads, jax.tree.map(lambda g: 64 * g, penalty_grads)
    jax.tree.map(lambda a, b: assert_allclose(a, b, rtol=1e-4, atol=1e-4 * np.abs(b).max()), actual, expected)


def test_minibatch_std_equals_numpy(key):
    x = jax.random.normal(key, [8, 3, 3, 2])
    out = minibatch_std(x, group=4)
    np.testing.assert_array_equal(out[..., :2], x)
    expected = np.asarray(x).reshape(2, 4, -1).std(1).mean(1)
    np.testing.assert_allclose(out[:, 0, 0, 2], expected.repeat(4), rtol=1e-4)
    assert np.ptp(out[:4, ..., 2]) == 0
    with pytest.raises(ValueError, match="group size 4 does not divide a batch of 6"):
        minibatch_std(x[:6])


def test_groups_extend_over_devices(key):
    x = jax.random.normal(key, [16, 2, 2, 3])
    mesh = jax.make_mesh((8,), (axis.AXIS_NAME,), (AxisType.Auto,))
    spec = PartitionSpec(axis.AXIS_NAME)
    sharded = jax.shard_map(minibatch_std, mesh=mesh, in_specs=spec, out_specs=spec, check_vma=False)
    np.testing.assert_allclose(jax.jit(sharded)(x), minibatch_std(x), rtol=1e-5)
