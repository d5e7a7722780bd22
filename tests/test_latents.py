"""Noise belongs to examples: it does not depend on neighbours, order or devices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, PartitionSpec
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from jaxgan import latents
from jaxgan.axis import AXIS

draws = pytest.mark.parametrize("draw", [latents.normal, latents.uniform])


@draws
def test_noise_follows_its_example(draw, key):
    index = jnp.array([5, 0, 3, 2])
    whole = draw(latents.each(key, jnp.arange(8)), 2, 3)
    assert_array_equal(draw(latents.each(key, index), 2, 3), whole[index])
    assert whole.shape == (8, 2, 3)
    assert len(np.unique(whole)) == whole.size


@draws
def test_one_key_serves_a_batch_on_any_number_of_devices(draw, key):
    mesh = jax.make_mesh((8,), (AXIS,), (AxisType.Auto,))
    share = lambda key: draw(latents.per_example(key, 2), 3)
    eight = jax.shard_map(share, mesh=mesh, in_specs=PartitionSpec(), out_specs=PartitionSpec(AXIS), check_vma=False)
    assert_array_equal(jax.jit(eight)(key), draw(latents.each(key, jnp.arange(16)), 3))


def test_keys_of_examples_stay_as_they_are(key):
    keys = jax.random.split(key, 4)
    assert_array_equal(jax.random.key_data(latents.per_example(keys, 4)), jax.random.key_data(keys))


def test_distributions(key):
    keys = latents.each(key, jnp.arange(4096))
    assert stats.kstest(np.ravel(latents.normal(keys, 2)), "norm").pvalue > 0.01
    assert stats.kstest(np.ravel(latents.uniform(keys, 2, minval=-1.0)), "uniform", (-1.0, 2.0)).pvalue > 0.01
    assert_allclose(np.corrcoef(latents.normal(keys, 2).T)[0, 1], 0.0, atol=0.05)
