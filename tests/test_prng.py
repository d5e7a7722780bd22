"""The noise of an example does not depend on other examples, on their order, or on the number of devices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, PartitionSpec
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from jaxgan.core import prng
from jaxgan.core.axis import AXIS_NAME

draws = pytest.mark.parametrize("draw", [prng.normal, prng.uniform])


@draws
def test_noise_depends_on_the_index_of_the_example_alone(draw, key):
    index = jnp.array([5, 0, 3, 2])
    whole = draw(prng.example_keys(key, jnp.arange(8)), 2, 3)
    assert_array_equal(draw(prng.example_keys(key, index), 2, 3), whole[index])
    assert whole.shape == (8, 2, 3)
    assert len(np.unique(whole)) == whole.size


@draws
def test_one_key_draws_the_same_batch_on_one_device_and_on_eight(draw, key):
    mesh = jax.make_mesh((8,), (AXIS_NAME,), (AxisType.Auto,))
    draw_shard = lambda key: draw(prng.as_example_keys(key, 2), 3)
    eight = jax.shard_map(
        draw_shard, mesh=mesh, in_specs=PartitionSpec(), out_specs=PartitionSpec(AXIS_NAME), check_vma=False
    )
    assert_array_equal(jax.jit(eight)(key), draw(prng.example_keys(key, jnp.arange(16)), 3))


def test_example_keys_are_returned_unchanged(key):
    keys = jax.random.split(key, 4)
    assert_array_equal(jax.random.key_data(prng.as_example_keys(keys, 4)), jax.random.key_data(keys))


def test_distributions(key):
    keys = prng.example_keys(key, jnp.arange(4096))
    assert stats.kstest(np.ravel(prng.normal(keys, 2)), "norm").pvalue > 0.01
    assert stats.kstest(np.ravel(prng.uniform(keys, 2, minval=-1.0)), "uniform", (-1.0, 2.0)).pvalue > 0.01
    assert_allclose(np.corrcoef(prng.normal(keys, 2).T)[0, 1], 0.0, atol=0.05)


def test_latents_are_normal_or_uniform(key):
    keys = prng.example_keys(key, jnp.arange(8))
    assert_array_equal(prng.normal_latent(3)(keys), prng.normal(keys, 3))
    assert_array_equal(prng.uniform_latent(3)(keys), prng.uniform(keys, 3, minval=-1.0))
