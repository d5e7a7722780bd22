"""Threefry written out gives JAX's own bits."""

import chex
import jax
import jax.numpy as jnp
import pytest

from jaxgan import threefry

SEEDS = [0, 1, 2**31, -1]


def keys(seed: int) -> tuple[jax.Array, jax.Array]:
    theirs = jax.random.key(seed)
    ours = threefry.unrolled(theirs)
    assert ours.dtype != theirs.dtype
    return ours, theirs


def test_known_answers():
    """Those published with the generator: counters and keys of zeros, of ones, and of the digits of pi."""
    for counter, key, answer in (
        ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
        ((0xFFFFFFFF,) * 2, (0xFFFFFFFF,) * 2, (0x1CB996FC, 0xBB002BE7)),
        ((0x243F6A88, 0x85A308D3), (0x13198A2E, 0x03707344), (0xC4923A9C, 0x483DF7A0)),
    ):
        found = threefry.encipher(jnp.array(key, jnp.uint32), *jnp.array(counter, jnp.uint32))
        assert tuple(map(int, found)) == answer


@pytest.mark.parametrize("seed", SEEDS)
def test_derived_keys(seed: int):
    ours, theirs = keys(seed)
    for derive in (
        lambda k: jax.random.split(k, 3),
        lambda k: jax.random.split(k, (2, 5)),
        lambda k: jax.random.fold_in(k, 0),
        lambda k: jax.random.fold_in(k, 2**32 - 1),
    ):
        chex.assert_trees_all_equal(jax.random.key_data(derive(ours)), jax.random.key_data(derive(theirs)))


@pytest.mark.parametrize("seed", SEEDS)
def test_draws(seed: int):
    ours, theirs = keys(seed)
    for draw in (
        lambda k: jax.random.normal(k, (3, 5)),
        lambda k: jax.random.uniform(k, ()),
        lambda k: jax.random.randint(k, (7,), 0, 10),
        lambda k: jax.random.permutation(k, 11),
        lambda k: jax.random.bernoulli(k, 0.3, (4, 2)),
        lambda k: jax.random.bits(k, (5,), "uint8"),
        lambda k: jax.random.bits(k, (5,), "uint16"),
    ):
        chex.assert_trees_all_equal(draw(ours), draw(theirs))


def test_float64():
    with jax.enable_x64(True):
        ours, theirs = keys(3)
        chex.assert_trees_all_equal(jax.random.normal(ours, (9,)), jax.random.normal(theirs, (9,)))


def test_many_keys_at_once():
    theirs = jax.random.split(jax.random.key(5), 6)
    ours = threefry.unrolled(theirs)
    draw = jax.vmap(lambda k, i: jax.random.normal(jax.random.fold_in(k, i), (4,)))
    chex.assert_trees_all_equal(draw(ours, jnp.arange(6)), draw(theirs, jnp.arange(6)))


def test_no_loop_is_left():
    key = threefry.unrolled(jax.random.key(0))
    assert "while" not in jax.jit(lambda k: jax.random.normal(k, (8,))).lower(key).as_text()


def test_another_generator_is_left_as_it_is():
    key = jax.random.key(0, impl="rbg")
    assert threefry.unrolled(key) is key
