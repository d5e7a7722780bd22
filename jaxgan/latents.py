"""Noise that belongs to examples: an example draws the same whichever device holds it, and whoever is beside it."""

import jax
from jax import Array

from jaxgan import axis


def each(key: Array, index: Array) -> Array:
    """Return one key per example, [B]; `index` is batch["index"], int32 [B], the positions in the whole batch."""
    return jax.vmap(jax.random.fold_in, (None, 0))(key, index)


def per_example(key: Array, count: int) -> Array:
    """Return `count` keys: `key` as it is if it holds one per example already, else one for each position.

    One key goes with a whole batch, of which this device has its share; a part of a batch brings keys of its own.
    """
    if key.ndim:
        return key
    return each(key, axis.positions(count * axis.size()))


def normal(keys: Array, *shape: int) -> Array:
    """Draw from N(0, 1): [B, *shape], an example's draw from its own key."""
    return jax.vmap(lambda key: jax.random.normal(key, shape))(keys)


def uniform(keys: Array, *shape: int, minval: float = 0.0, maxval: float = 1.0) -> Array:
    """Draw from U[minval, maxval): [B, *shape], an example's draw from its own key."""
    return jax.vmap(lambda key: jax.random.uniform(key, shape, minval=minval, maxval=maxval))(keys)
