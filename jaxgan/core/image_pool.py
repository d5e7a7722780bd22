"""A pool of earlier fakes that keeps the discriminator from forgetting what the generator used to produce.

Shrivastava et al. 2017, section 2.3; Zhu et al. 2017 (CycleGAN), section 4, with 50 images.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxgan.core import axis


def empty(size: int, *shape: int) -> dict[str, np.ndarray]:
    """Returns an empty pool for `size` examples of the given shape, as an initial value for `Game.buffers`."""
    return {"images": np.zeros([size, *shape], np.float32), "filled": np.int32(0)}


def query(pool: dict[str, Any], fakes: Array, key: Array) -> tuple[Array, dict[str, Any]]:
    """Returns the examples [B, ...] to show the discriminator instead of `fakes` [B, ...], and the updated pool.

    While the pool fills, fakes are stored and shown. After that each fake is, with probability 1/2, exchanged for a
    stored example, whose slot it takes. The batch over all devices must fit into the pool, so that no two fakes of a
    batch take the same slot; otherwise raises ValueError.
    """
    all_fakes, size = axis.all_gather(fakes), len(pool["images"])
    batch_size = len(all_fakes)
    if batch_size > size:
        raise ValueError(f"a pool of {size} cannot take a batch of {batch_size}")
    coin_key, slot_key = jax.random.split(key)
    coin = jax.random.bernoulli(coin_key, shape=[batch_size])
    next_slot = pool["filled"] + jnp.arange(batch_size)
    filling = next_slot < size
    slot = jnp.where(pool["filled"] < size, next_slot, jax.random.permutation(slot_key, size)[:batch_size])
    stored = pool["images"].at[slot].get(mode="clip")
    swapped = jnp.expand_dims(coin & (pool["filled"] == size), range(1, fakes.ndim))
    shown = jnp.where(swapped, stored, all_fakes)
    # Slot `size` is out of range, and writes to it are dropped.
    write_slot = jnp.where(filling | swapped.reshape(batch_size), slot, size)
    images = pool["images"].at[write_slot].set(all_fakes, mode="drop")
    shard = shown[axis.global_indices(batch_size)]
    return shard, {"images": images, "filled": jnp.minimum(pool["filled"] + batch_size, size)}
