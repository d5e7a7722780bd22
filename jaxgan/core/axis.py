"""The mesh axis over which a batch is split, for code that must run both inside and outside a mapped program.

Inside a step that is compiled for several devices, each device holds a shard of the batch and these functions are
collectives. Outside, in a notebook or a test, the same code sees the whole batch and they do nothing.
"""

from typing import TypeVar

import jax
import jax.numpy as jnp
from jax import Array

AXIS_NAME = "data"
Tree = TypeVar("Tree")


def is_sharded() -> bool:
    """Returns whether the code being traced sees a shard of the batch."""
    try:
        jax.lax.axis_index(AXIS_NAME)
    except NameError:
        return False
    return True


def num_shards() -> int:
    """Returns how many devices share the batch."""
    return jax.lax.axis_size(AXIS_NAME) if is_sharded() else 1


def pmean(tree: Tree) -> Tree:
    """Averages the floating-point leaves over the devices. Other leaves must already be equal on all of them."""
    if not is_sharded():
        return tree
    return jax.tree.map(lambda x: jax.lax.pmean(x, AXIS_NAME) if jnp.issubdtype(x.dtype, jnp.floating) else x, tree)


def batch_mean(x: Array) -> Array:
    """Returns the mean of x [B, ...] over the whole batch, on all devices.

    `x.mean(0)` in a loss is the mean of one shard. That is enough for a loss that is linear in batch means, because
    gradients are averaged over devices afterwards. Use this function for anything that is not linear, for example a
    clipped balance, a sign, or the norm of mean features.
    """
    return pmean(x.mean(0))


def all_gather(x: Array) -> Array:
    """Returns the whole batch [B, ...] from the shards x, ordered as `global_indices`."""
    return jax.lax.all_gather(x, AXIS_NAME, tiled=True) if is_sharded() else x


def global_indices(batch_size: int) -> Array:
    """Returns the positions in the whole batch of the examples on this device, int32 [batch_size / num_shards]."""
    shard_size = batch_size // num_shards()
    first = jax.lax.axis_index(AXIS_NAME) * shard_size if is_sharded() else 0
    return first + jnp.arange(shard_size)
