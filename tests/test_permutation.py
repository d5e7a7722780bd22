"""Permutations are bijections, statistically random, and equal on host and device."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import chisquare

from jaxgan.data.permutation import permute, permute_on_host


@functools.partial(jax.jit, static_argnums=0)
def permutations(n, keys, epochs):
    """Returns the permutations [E, K, n] of n items for E epochs and K keys."""
    single = lambda epoch, key: permute(jnp.arange(n), n, key, epoch)
    return jax.vmap(jax.vmap(single, (None, 0)), (0, None))(epochs, keys)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 7, 12, 97, 100, 1797, 60000])
def test_permute_is_a_bijection(n, key):
    images = permutations(n, key[None], jnp.array([0, 1, 2**31 - 1]))
    np.testing.assert_array_equal(np.sort(images), np.broadcast_to(np.arange(n), [3, 1, n]))


@pytest.mark.parametrize("n", [10, 1797])
def test_permutations_differ_between_epochs_and_keys(n, key):
    images = np.asarray(permutations(n, jax.random.split(key, 20), jnp.arange(20))).reshape(400, n)
    assert len(np.unique(images, axis=0)) == 400


def test_permute_is_elementwise_in_index_and_epoch(key):
    index, epoch = jnp.arange(6) % 3, jnp.array([0, 0, 0, 7, 7, 7])
    vector = permute(index, 3, key, epoch)
    scalars = [permute(i, 3, key, e) for i, e in zip(index, epoch, strict=True)]
    np.testing.assert_array_equal(vector, scalars)


@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_all_permutations_of_a_few_items_are_equally_likely(n, key):
    numbering = {order: i for i, order in enumerate(itertools.permutations(range(n)))}
    images = permutations(n, jax.random.split(key, 20_000), jnp.arange(1))[0]
    numbers = [numbering[tuple(order)] for order in images.tolist()]
    assert chisquare(np.bincount(numbers, minlength=len(numbering))).pvalue > 1e-3


@pytest.mark.parametrize("n", [10, 97, 110, 1797])
def test_statistics_are_those_of_random_permutations(n, key):
    k = 1_000_000 // n // 5 * 5
    order = np.asarray(permutations(n, jax.random.split(key, k // 5), jnp.arange(5))).reshape(k, n)
    for index in (0, n // 2, n - 1):
        assert chisquare(np.bincount(order[:, index], minlength=n)).pvalue > 1e-3
    for lag in (1, 2, 3, round(n**0.5)):
        steps = (np.roll(order, -lag, axis=1) - order) % n
        assert chisquare(np.bincount(steps.ravel(), minlength=n)[1:]).pvalue > 1e-3
    np.testing.assert_allclose(np.abs(order - np.arange(n)).mean(), (n**2 - 1) / (3 * n), rtol=0.01)
    np.testing.assert_allclose((order == np.arange(n)).sum(1).mean(), 1, atol=5 / k**0.5)
    rises = (order[:, 1:] > order[:, :-1]).sum(1)
    np.testing.assert_allclose(rises.mean(), (n - 1) / 2, atol=5 * ((n + 1) / 12 / k) ** 0.5)
    np.testing.assert_allclose(rises.var(), (n + 1) / 12, rtol=5 * (2 / k) ** 0.5)


@pytest.mark.parametrize("n", [1, 2, 7, 1797, 60_000, 2**31 - 1])
def test_host_and_device_compute_the_same_permutation(n):
    key = jax.random.key(n)
    index = np.random.default_rng(n).integers(0, n, 500).astype(np.uint32)
    epoch = np.random.default_rng(1).integers(0, 2**32, 500, dtype=np.uint32)
    device = jax.jit(permute, static_argnums=1)(index, n, key, epoch)
    np.testing.assert_array_equal(permute_on_host(index, n, np.asarray(jax.random.key_data(key)), epoch), device)
