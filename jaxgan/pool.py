"""A pool of earlier fakes, so that a discriminator does not forget what a generator used to make.

Shrivastava et al. 2017, section 2.3; Zhu et al. 2017, section 4 (50 images).
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxgan import axis


def empty(size: int, *shape: int) -> dict[str, np.ndarray]:
    """A pool that will hold `size` examples of that shape: a buffer for `Game.buffers`."""
    return {"images": np.zeros([size, *shape], np.float32), "filled": np.int32(0)}


def query(pool: dict[str, Any], fakes: Array, key: Array) -> tuple[Array, dict[str, Any]]:
    """Return what the discriminator is shown in place of the fakes [B, ...], and the pool afterwards.

    While the pool fills, the fakes themselves, which are stored. Then for every fake with probability one half an
    earlier one, whose place it takes. The whole batch, over all devices, must fit into the pool: no two fakes of it
    meet in one place. Raises ValueError if it does not.
    """
    everyone, size = axis.gather(fakes), len(pool["images"])
    batch = len(everyone)
    if batch > size:
        raise ValueError(f"a pool of {size} cannot take a batch of {batch}")
    coin_key, place_key = jax.random.split(key)
    coin = jax.random.bernoulli(coin_key, shape=[batch])
    position = pool["filled"] + jnp.arange(batch)
    filling = position < size
    place = jnp.where(pool["filled"] < size, position, jax.random.permutation(place_key, size)[:batch])
    stored = pool["images"].at[place].get(mode="clip")
    swapped = jnp.expand_dims(coin & (pool["filled"] == size), range(1, fakes.ndim))
    shown = jnp.where(swapped, stored, everyone)
    # A place beyond the pool, while it fills, is dropped, and so is a fake that the coin does not favour.
    target = jnp.where(filling | swapped.reshape(batch), place, size)
    images = pool["images"].at[target].set(everyone, mode="drop")
    mine = shown[axis.positions(batch)]
    return mine, {"images": images, "filled": jnp.minimum(pool["filled"] + batch, size)}
