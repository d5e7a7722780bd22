"""A pool of fakes: what is shown was made before, nothing is lost, and all devices hold the same pool."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

from jaxgan import pool
from jaxgan.axis import AXIS
from jaxgan.parallel import Devices


def fakes(step, n=4):
    """Fakes that are their own number."""
    return (step * n + jnp.arange(n, dtype=jnp.float32))[:, None]


def test_fakes_are_shown_as_they_are_until_the_pool_is_full(key):
    held = jax.tree.map(jnp.asarray, pool.empty(8, 1))
    for step in range(2):
        shown, held = pool.query(held, fakes(step), jax.random.fold_in(key, step))
        np.testing.assert_array_equal(shown, fakes(step))
    np.testing.assert_array_equal(held["images"][:, 0], np.arange(8))
    assert held["filled"] == 8


def test_a_batch_that_fills_the_pool_to_the_brim_drops_the_rest(key):
    held = jax.tree.map(jnp.asarray, pool.empty(6, 1))
    for step in range(2):
        _, held = pool.query(held, fakes(step), key)
    np.testing.assert_array_equal(held["images"][:, 0], np.arange(6))
    assert held["filled"] == 6


def test_then_half_are_exchanged_for_earlier_ones_and_none_is_shown_twice_at_once(key):
    held = jax.tree.map(jnp.asarray, pool.empty(8, 1))
    query = jax.jit(pool.query)
    exchanged = 0
    for step in range(200):
        before = set(np.ravel(held["images"]).tolist())
        shown, after = query(held, fakes(step), jax.random.fold_in(key, step))
        if step >= 2:
            new, old = set(np.ravel(fakes(step)).tolist()), set(np.ravel(shown).tolist())
            assert len(old) == 4
            assert old <= new | before
            # What is shown and what is stored are together what there was.
            assert sorted(old | set(np.ravel(after["images"]).tolist())) == sorted(new | before)
            exchanged += len(old - new)
        held = after
    assert 0.45 < exchanged / (198 * 4) < 0.55


def test_eight_devices_query_as_one(key):
    held = {"images": jnp.arange(32.0)[:, None], "filled": jnp.int32(32)}
    batch = fakes(9, 16)
    alone = pool.query(held, batch, key)
    mesh = Devices.take(8).mesh
    query = lambda fakes: pool.query(held, fakes, key)
    mapped = jax.shard_map(query, mesh=mesh, in_specs=P(AXIS), out_specs=(P(AXIS), P()), check_vma=False)
    jax.tree.map(np.testing.assert_array_equal, jax.jit(mapped)(batch), alone)


def test_a_batch_larger_than_the_pool_is_refused(key):
    with pytest.raises(ValueError, match="pool of 2 cannot take a batch of 4"):
        pool.query(pool.empty(2, 1), fakes(0), key)
