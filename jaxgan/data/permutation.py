"""A pseudorandom order of n things, computed for each index by itself: no shuffled array, no buffer, no state."""

import math
from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

ROUNDS = 10  # With 8, a hundred thousand orders of 10 to 100 things show uneven neighbours; with 10, they do not.
GOLDEN = np.uint32(0x9E3779B9)

Numbers = TypeVar("Numbers", Array, np.ndarray)


def permute(index: Array, n: int, key: Array, epoch: Array) -> Array:
    """Return where `index` comes in the order of 0, ..., n - 1 that `key` and `epoch` choose.

    Each round is a bijection of the n numbers: a rotation of them all, then a round of an unbalanced Feistel network on
    the largest a x b of them. No number ever leaves the range, so none has to walk back in a loop of unknown length.

    Args:
        index: Integers [...] in [0, n).
        n: How many there are, below 2 ** 31.
        key: Typed key [].
        epoch: Integers, [] or of the shape of index.

    References:
        Black and Rogaway 2002, Ciphers with arbitrary finite domains: the generalised Feistel network.
    """
    turn = lambda _, carry: _turn(*carry, n, jnp.where)
    start = index.astype(jnp.uint32), _word(jax.random.key_data(key), epoch)
    # A loop, because XLA would fuse rounds without one into the gather of the images, once for every row of pixels.
    x, _ = jax.lax.fori_loop(0, ROUNDS, turn, start, unroll=5)
    return x.astype(index.dtype)


def permute_on_host(index: np.ndarray, n: int, key: np.ndarray, epoch: np.ndarray) -> np.ndarray:
    """The same without a device, which may be busy; `key` is the data of the key, `epoch` of the shape of index."""
    x, word = index.astype(np.uint32), _word(key, epoch)
    for _ in range(ROUNDS):
        x, word = _turn(x, word, n, np.where)
    return x.astype(index.dtype)


def _word(key: Numbers, epoch: Numbers) -> Numbers:
    word = epoch.astype(np.uint32)
    for part in key:
        word = _mix(word ^ part)
    return word


def _turn(x: Numbers, word: Numbers, n: int, where: Callable[..., Numbers]) -> tuple[Numbers, Numbers]:
    a = round(math.sqrt(n))
    b = n // a
    word = _mix(word + GOLDEN)
    x = (x + (word >> 1)) % n  # Shifts by one bit keep sums within 32.
    high, low = x // b, x % b
    return where(x < a * b, low * a + (high + (_mix(low ^ word) >> 1)) % a, x), word


def _mix(x: Numbers) -> Numbers:
    """A bijection of uint32 in which every bit of the result depends on every bit of x (Wellons 2018, lowbias32)."""
    x = (x ^ (x >> 16)) * np.uint32(0x7FEB352D)
    x = (x ^ (x >> 15)) * np.uint32(0x846CA68B)
    return x ^ (x >> 16)
