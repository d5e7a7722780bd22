"""The image pool shows only images it was given, loses none while it fills, and is the same on all devices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

from jaxgan.core import image_pool
from jaxgan.core.axis import AXIS_NAME
from jaxgan.training.devices import Devices


def fakes(step, count=4):
    """Returns the fakes of a step, one-dimensional examples with distinct values."""
    return (step * count + jnp.arange(count, dtype=jnp.float32))[:, None]


def empty_pool(size):
    return jax.tree.map(jnp.asarray, image_pool.empty(size, 1))


def values(array):
    return set(np.ravel(array).tolist())


def test_fakes_are_shown_unchanged_until_the_pool_is_full(key):
    pool = empty_pool(8)
    for step in range(2):
        shown, pool = image_pool.query(pool, fakes(step), jax.random.fold_in(key, step))
        np.testing.assert_array_equal(shown, fakes(step))
    np.testing.assert_array_equal(pool["images"][:, 0], np.arange(8))
    assert pool["filled"] == 8


def test_fakes_beyond_the_last_free_slot_are_not_stored(key):
    pool = empty_pool(6)
    for step in range(2):
        _, pool = image_pool.query(pool, fakes(step), key)
    np.testing.assert_array_equal(pool["images"][:, 0], np.arange(6))
    assert pool["filled"] == 6


def test_a_full_pool_exchanges_half_of_the_fakes_and_shows_no_image_twice_in_a_batch(key):
    pool, query, exchanged = empty_pool(8), jax.jit(image_pool.query), 0
    for step in range(200):
        stored = values(pool["images"])
        shown, pool = query(pool, fakes(step), jax.random.fold_in(key, step))
        if step >= 2:
            new, shown = values(fakes(step)), values(shown)
            assert len(shown) == 4
            assert shown <= new | stored
            assert sorted(shown | values(pool["images"])) == sorted(new | stored)  # No image is lost.
            exchanged += len(shown - new)
    assert 0.45 < exchanged / (198 * 4) < 0.55


def test_eight_devices_query_as_one(key):
    pool = {"images": jnp.arange(32.0)[:, None], "filled": jnp.int32(32)}
    batch = fakes(9, 16)
    query = lambda fakes: image_pool.query(pool, fakes, key)
    sharded = jax.shard_map(
        query, mesh=Devices.all(8).mesh, in_specs=P(AXIS_NAME), out_specs=(P(AXIS_NAME), P()), check_vma=False
    )
    jax.tree.map(np.testing.assert_array_equal, jax.jit(sharded)(batch), query(batch))


def test_a_batch_larger_than_the_pool_is_an_error(key):
    with pytest.raises(ValueError, match="a pool of 2 cannot take a batch of 4"):
        image_pool.query(image_pool.empty(2, 1), fakes(0), key)
