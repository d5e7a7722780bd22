"""Tests that the unrolled Threefry generator gives the same bits as JAX's."""

import chex
import jax
import jax.numpy as jnp
import pytest

from jaxgan.cpu import threefry

SEEDS = [0, 1, 2**31, -1]


def keys(seed: int) -> tuple[jax.Array, jax.Array]:
    """Returns the key of a seed with the unrolled implementation and with JAX's."""
    key = jax.random.key(seed)
    unrolled = threefry.unrolled_key(key)
    assert unrolled.dtype != key.dtype
    return unrolled, key


def test_known_answers():
    """Known answers that the authors published, for counters and keys of zeros, ones, and digits of pi."""
    for counter, key, answer in (
        ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
        ((0xFFFFFFFF,) * 2, (0xFFFFFFFF,) * 2, (0x1CB996FC, 0xBB002BE7)),
        ((0x243F6A88, 0x85A308D3), (0x13198A2E, 0x03707344), (0xC4923A9C, 0x483DF7A0)),
    ):
        words = threefry.threefry2x32(jnp.array(key, jnp.uint32), *jnp.array(counter, jnp.uint32))
        assert tuple(map(int, words)) == answer


@pytest.mark.parametrize("seed", SEEDS)
def test_derived_keys(seed: int):
    unrolled, key = keys(seed)
    for derive in (
        lambda k: jax.random.split(k, 3),
        lambda k: jax.random.split(k, (2, 5)),
        lambda k: jax.random.fold_in(k, 0),
        lambda k: jax.random.fold_in(k, 2**32 - 1),
    ):
        chex.assert_trees_all_equal(jax.random.key_data(derive(unrolled)), jax.random.key_data(derive(key)))


@pytest.mark.parametrize("seed", SEEDS)
def test_draws(seed: int):
    unrolled, key = keys(seed)
    for draw in (
        lambda k: jax.random.normal(k, (3, 5)),
        lambda k: jax.random.uniform(k, ()),
        lambda k: jax.random.randint(k, (7,), 0, 10),
        lambda k: jax.random.permutation(k, 11),
        lambda k: jax.random.bernoulli(k, 0.3, (4, 2)),
        lambda k: jax.random.bits(k, (5,), "uint8"),
        lambda k: jax.random.bits(k, (5,), "uint16"),
    ):
        chex.assert_trees_all_equal(draw(unrolled), draw(key))


def test_float64():
    with jax.enable_x64(True):
        unrolled, key = keys(3)
        chex.assert_trees_all_equal(jax.random.normal(unrolled, (9,)), jax.random.normal(key, (9,)))


def test_arrays_of_keys():
    keys = jax.random.split(jax.random.key(5), 6)
    unrolled = threefry.unrolled_key(keys)
    draw = jax.vmap(lambda k, i: jax.random.normal(jax.random.fold_in(k, i), (4,)))
    chex.assert_trees_all_equal(draw(unrolled, jnp.arange(6)), draw(keys, jnp.arange(6)))


def test_draws_compile_without_a_loop():
    key = threefry.unrolled_key(jax.random.key(0))
    assert "while" not in jax.jit(lambda k: jax.random.normal(k, (8,))).lower(key).as_text()


def test_keys_of_other_generators_are_returned_unchanged():
    key = jax.random.key(0, impl="rbg")
    assert threefry.unrolled_key(key) is key
