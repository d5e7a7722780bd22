"""JAX's random bits with the cipher written out, for the CPU, where JAX runs its twenty rounds in a loop.

A loop is many small kernels, and a step of a small game waits for those of each draw; written out they are one kernel.
The cipher is Threefry-2x32 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3", section 3.3).
"""

import math

import jax
import jax.numpy as jnp
from jax import Array
from jax.extend.random import define_prng_impl

PARITY = 0x1BD11BDA
ROTATIONS = (13, 15, 26, 6), (17, 29, 16, 24)

Words = tuple[Array, Array]


def unrolled(key: Array) -> Array:
    """The same key, or keys, with the same draws to the bit; as it is where JAX has no loop or another generator."""
    theirs = jax.config.jax_threefry_partitionable and jax.random.key_impl(key) == "threefry2x32"
    if not theirs or jax.default_backend() != "cpu":
        return key
    return jax.random.wrap_key_data(jax.random.key_data(key), impl=IMPLEMENTATION)


@jax.jit  # Traced and lowered once for all draws of a shape.
def encipher(key: Array, high: Array, low: Array) -> Words:
    """The counters (high, low) under a key [2], all uint32: two words, each of the counters' shape."""
    keys = key[0], key[1], key[0] ^ key[1] ^ jnp.uint32(PARITY)
    x, y = high + keys[0], low + keys[1]
    for i in range(5):
        for by in ROTATIONS[i % 2]:
            x = x + y
            y = x ^ (y << by | y >> (32 - by))
        x, y = x + keys[(i + 1) % 3], y + keys[(i + 2) % 3] + jnp.uint32(i + 1)
    return x, y


def _counted(key: Array, shape: tuple[int, ...]) -> Words:
    """What the places of an array come to, counted row by row."""
    if (size := math.prod(shape)) >= 2**32:
        raise ValueError(f"{size} draws at once are too many")
    low = jax.lax.iota(jnp.uint32, size).reshape(shape)
    return encipher(key, jnp.zeros_like(low), low)


def _bits(key: Array, width: int, shape: tuple[int, ...]) -> Array:
    x, y = _counted(key, shape)
    if width == 64:
        return x.astype(jnp.uint64) << 32 | y.astype(jnp.uint64)
    return (x ^ y).astype(f"uint{width}")


def _split(key: Array, shape: tuple[int, ...]) -> Array:
    return jnp.stack(_counted(key, shape), axis=-1)


def _fold_in(key: Array, data: Array) -> Array:
    return jnp.stack(encipher(key, jnp.uint32(0), jnp.asarray(data).astype(jnp.uint32)))


def _seed(seed: Array) -> Array:
    return jax.random.key_data(jax.random.key(seed))


IMPLEMENTATION = define_prng_impl(
    key_shape=(2,), seed=_seed, split=_split, random_bits=_bits, fold_in=_fold_in, name="threefry_unrolled", tag="fry1"
)
