"""Per-example random draws.

Each example has a PRNG key of its own, derived from its position in the whole batch. Its noise therefore does not
depend on which device holds it, nor on the number of devices.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from jaxgan.core import axis


def example_keys(key: Array, index: Array) -> Array:
    """Returns one key per example, [B], from a single key and `batch["index"]`, int32 [B]."""
    return jax.vmap(jax.random.fold_in, (None, 0))(key, index)


def materialise(key: Array) -> Array:
    """Returns the key, computed once before it is used.

    Otherwise XLA may repeat its derivation in every draw from it, and LLVM takes long to compile such a draw.
    """
    data = jax.lax.optimization_barrier(jax.random.key_data(key))
    return jax.random.wrap_key_data(data, impl=jax.random.key_impl(key))


def as_example_keys(key: Array, count: int) -> Array:
    """Returns `count` example keys: `key` itself if it is already [count], else one for each position on this device.

    Args:
        key: One key for the whole batch, or one key per example.
        count: Number of examples on this device.
    """
    if key.ndim:
        return key
    return example_keys(key, axis.global_indices(count * axis.num_shards()))


def fold_in(keys: Array, data: int) -> Array:
    """Returns example keys [B] for another draw of the same examples: `jax.random.fold_in` on each of them."""
    return jax.vmap(jax.random.fold_in, (0, None))(keys, data)


def normal(keys: Array, *shape: int) -> Array:
    """Draws from N(0, 1): [B, *shape], each example from its own key."""
    return jax.vmap(lambda key: jax.random.normal(key, shape))(keys)


def uniform(keys: Array, *shape: int, minval: float = 0.0, maxval: float = 1.0) -> Array:
    """Draws from U[minval, maxval): [B, *shape], each example from its own key."""
    return jax.vmap(lambda key: jax.random.uniform(key, shape, minval=minval, maxval=maxval))(keys)


def spherical_interpolation(a: Array, b: Array, t: float | Array) -> Array:
    """Returns latents [B, Z] at the fraction t of the arc from a to b, on which normal latents keep their norm.

    Reference: White 2016, "Sampling generative networks", section 2.1.
    """
    unit = lambda x: x / jnp.linalg.norm(x, axis=1, keepdims=True)
    angle = jnp.arccos(jnp.clip((unit(a) * unit(b)).sum(1, keepdims=True), -1.0, 1.0))
    small = angle < 1e-3
    sine = jnp.where(small, 1.0, jnp.sin(angle))
    weights = lambda t: jnp.where(small, t, jnp.sin(t * angle) / sine)
    return weights(1.0 - t) * a + weights(t) * b


def normal_latent(size: int) -> Callable[[Array], Array]:
    """Returns the function that draws latents z [B, size] from N(0, 1), from example keys [B]."""
    return lambda keys: normal(keys, size)


def uniform_latent(size: int) -> Callable[[Array], Array]:
    """Returns the function that draws latents z [B, size] from U[-1, 1), from example keys [B]."""
    return lambda keys: uniform(keys, size, minval=-1.0)
