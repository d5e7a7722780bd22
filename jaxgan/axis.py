"""The data axis: over which devices a batch is split, when it is split at all.

Inside a program of `parallel.py` the axis is bound, `mean` is a collective, and `positions` are this device's share.
Outside, in a notebook or a test, the same code runs on the whole batch.
"""

from typing import TypeVar

import jax
import jax.numpy as jnp
from jax import Array

AXIS = "data"
Tree = TypeVar("Tree")


def bound() -> bool:
    """Whether the code being traced runs on a share of the batch."""
    try:
        jax.lax.axis_index(AXIS)
    except NameError:
        return False
    return True


def mean(tree: Tree) -> Tree:
    """Mean over the devices of every floating leaf; other leaves must be equal already, and stay as they are."""
    if not bound():
        return tree
    floating = lambda x: jnp.issubdtype(x.dtype, jnp.floating)
    return jax.tree.map(lambda x: jax.lax.pmean(x, AXIS) if floating(x) else x, tree)


def batch_mean(x: Array) -> Array:
    """Mean of x [B, ...] over the whole batch, on all devices: what a loss needs that is not linear in the mean."""
    return mean(x.mean(0))


def gather(x: Array) -> Array:
    """The whole batch [B, ...] of which this device holds a share of x, in the order of `positions`."""
    return jax.lax.all_gather(x, AXIS, tiled=True) if bound() else x


def size() -> int:
    """How many devices share the batch."""
    return jax.lax.axis_size(AXIS) if bound() else 1


def positions(batch_size: int) -> Array:
    """Positions in the whole batch, int32 [B], of the examples that this device holds."""
    share = batch_size // size()
    first = jax.lax.axis_index(AXIS) * share if bound() else 0
    return first + jnp.arange(share)
