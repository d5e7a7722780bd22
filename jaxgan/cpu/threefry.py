"""JAX's Threefry random generator with unrolled rounds, which is faster on the CPU and gives identical bits.

On the CPU, JAX runs the twenty rounds in a loop, which takes many small kernels for each draw and slows down the steps
of small networks. Unrolled, the rounds are one kernel. The generator is Threefry-2x32 (Salmon et al. 2011, "Parallel
random numbers: as easy as 1, 2, 3", section 3.3).
"""

import math

import jax
import jax.numpy as jnp
from jax import Array
from jax.extend.random import define_prng_impl

PARITY = 0x1BD11BDA  # constant of the key schedule
ROTATIONS = (13, 15, 26, 6), (17, 29, 16, 24)

Words = tuple[Array, Array]


def unrolled_key(key: Array) -> Array:
    """Returns the typed key, or array of keys, with the unrolled implementation; all draws keep their bits.

    Returns `key` unchanged on other backends than the CPU, and if it is not a key of JAX's default implementation
    (threefry2x32, partitionable).
    """
    is_default = jax.config.jax_threefry_partitionable and jax.random.key_impl(key) == "threefry2x32"
    if not is_default or jax.default_backend() != "cpu":
        return key
    return jax.random.wrap_key_data(jax.random.key_data(key), impl=IMPLEMENTATION)


@jax.jit  # Draws of the same shape share one trace.
def threefry2x32(key: Array, high: Array, low: Array) -> Words:
    """Returns two random words for each 64-bit counter.

    Args:
        key: Raw key, uint32 [2].
        high: Upper words of the counters, uint32.
        low: Lower words of the counters, uint32, with the shape of `high`.

    Returns:
        Two uint32 arrays with the shape of the counters.
    """
    keys = key[0], key[1], key[0] ^ key[1] ^ jnp.uint32(PARITY)
    x, y = high + keys[0], low + keys[1]
    for i in range(5):
        for bits in ROTATIONS[i % 2]:
            x = x + y
            y = x ^ (y << bits | y >> (32 - bits))
        x, y = x + keys[(i + 1) % 3], y + keys[(i + 2) % 3] + jnp.uint32(i + 1)
    return x, y


def _random_words(key: Array, shape: tuple[int, ...]) -> Words:
    """Returns two random words for each element of an array, whose counter is its row-major index."""
    if (size := math.prod(shape)) >= 2**32:
        raise ValueError(f"cannot draw {size} values at once; draw fewer than 2**32 = {2**32} with each key")
    low = jax.lax.iota(jnp.uint32, size).reshape(shape)
    return threefry2x32(key, jnp.zeros_like(low), low)


def _bits(key: Array, width: int, shape: tuple[int, ...]) -> Array:
    x, y = _random_words(key, shape)
    if width == 64:
        return x.astype(jnp.uint64) << 32 | y.astype(jnp.uint64)
    return (x ^ y).astype(f"uint{width}")


def _split(key: Array, shape: tuple[int, ...]) -> Array:
    return jnp.stack(_random_words(key, shape), axis=-1)


def _fold_in(key: Array, data: Array) -> Array:
    return jnp.stack(threefry2x32(key, jnp.uint32(0), jnp.asarray(data).astype(jnp.uint32)))


def _seed(seed: Array) -> Array:
    return jax.random.key_data(jax.random.key(seed))


IMPLEMENTATION = define_prng_impl(
    key_shape=(2,), seed=_seed, split=_split, random_bits=_bits, fold_in=_fold_in, name="threefry_unrolled", tag="fry1"
)
