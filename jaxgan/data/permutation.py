"""Pseudorandom permutations evaluated one index at a time, without a shuffled array or any other state."""

import math
from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

ROUNDS = 10  # With 8, a hundred thousand permutations of 10 to 100 items show uneven neighbours; with 10, none do.
GOLDEN = np.uint32(0x9E3779B9)  # 2**32 over the golden ratio, the increment of the round keys

Uints = TypeVar("Uints", Array, np.ndarray)


def permute(index: Array, n: int, key: Array, epoch: Array) -> Array:
    """Returns the image of `index` under a pseudorandom permutation of 0, ..., n - 1, chosen by `key` and `epoch`.

    Each round is a bijection of the n numbers: a rotation of all of them, then a round of an unbalanced Feistel network
    on the first a x b of them, with a x b close to n. No number leaves the range, so no cycle walking is needed.

    Args:
        index: Integers [...] in [0, n).
        n: Number of items, below 2 ** 31.
        key: Typed key [].
        epoch: Integers, [] or of the shape of index.

    References:
        Black and Rogaway 2002, Ciphers with arbitrary finite domains: the generalised Feistel network.
    """
    body = lambda _, carry: _round(*carry, n, jnp.where)
    start = index.astype(jnp.uint32), _initial_round_key(jax.random.key_data(key), epoch)
    # Without a loop XLA would fuse the rounds into the gather of the images and repeat them for every row of pixels.
    x, _ = jax.lax.fori_loop(0, ROUNDS, body, start, unroll=5)
    return x.astype(index.dtype)


def permute_on_host(index: np.ndarray, n: int, key: np.ndarray, epoch: np.ndarray) -> np.ndarray:
    """Returns the same numbers as `permute`, computed by NumPy, so that it need not wait for a busy device.

    Args:
        index: Integers [...] in [0, n).
        n: Number of items, below 2 ** 31.
        key: `jax.random.key_data` of the key, as a NumPy array.
        epoch: Integers, broadcastable to the shape of index.
    """
    x, round_key = index.astype(np.uint32), _initial_round_key(key, epoch)
    for _ in range(ROUNDS):
        x, round_key = _round(x, round_key, n, np.where)
    return x.astype(index.dtype)


def _initial_round_key(key_data: Uints, epoch: Uints) -> Uints:
    round_key = epoch.astype(np.uint32)
    for word in key_data:
        round_key = _mix(round_key ^ word)
    return round_key


def _round(x: Uints, round_key: Uints, n: int, where: Callable[..., Uints]) -> tuple[Uints, Uints]:
    a = round(math.sqrt(n))
    b = n // a
    round_key = _mix(round_key + GOLDEN)
    x = (x + (round_key >> 1)) % n  # The shift by one bit keeps the sum within 32 bits.
    high, low = x // b, x % b
    return where(x < a * b, low * a + (high + (_mix(low ^ round_key) >> 1)) % a, x), round_key


def _mix(x: Uints) -> Uints:
    """Computes a bijective hash of uint32; each input bit affects each output bit (Wellons 2018, lowbias32)."""
    x = (x ^ (x >> 16)) * np.uint32(0x7FEB352D)
    x = (x ^ (x >> 15)) * np.uint32(0x846CA68B)
    return x ^ (x >> 16)
