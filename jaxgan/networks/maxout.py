"""The fully connected networks of the first GANs for MNIST: a rectifier generator, a maxout discriminator with dropout.

Weights start uniform; within, pixels are in [0, 1]. With `classes` they are those of the conditional GAN (Mirza &
Osindero 2014, section 4.1), else those of the original (Goodfellow et al. 2014, the authors' mnist.yaml).
"""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from jaxgan.networks.layers import Initializer

ONE_HOT = 10.0  # how much wider its weights are: with one input of 1 units vary as with a hundred that vary by 1


class Generator(nn.Module):
    """Latents [B, Z] to images [B, *shape]; with `classes` latents, labels int32 [B] and keys [B] for dropout.

    Dropout is part of this generator's noise: samples have it too.
    """

    shape: tuple[int, ...]
    width: int = 1200  # units of the last hidden layer
    classes: int = 0
    bias_init: Initializer = nn.initializers.zeros  # of the pixels' logits

    @nn.compact
    def __call__(self, z: Array, *beside: Array, train: bool = True) -> Array:
        layer = lambda width, x, limit=0.05: nn.relu(nn.Dense(width, kernel_init=_within(limit))(x))
        if self.classes:
            labels, keys = beside
            of_z = layer(self.width // 6, z)  # 200 units
            of_class = layer(self.width - self.width // 6, nn.one_hot(labels, self.classes), 0.05 * ONE_HOT)  # 1000
            x = dropout(jnp.concatenate([of_z, of_class], axis=1), _part(keys, 0), 0.5)
            x = dropout(layer(self.width, x), _part(keys, 1), 0.5)
        else:
            x = layer(self.width, layer(self.width, z))
        x = nn.Dense(math.prod(self.shape), kernel_init=_within(0.05), bias_init=self.bias_init)(x)
        return jnp.tanh(0.5 * x.reshape(-1, *self.shape))  # A sigmoid, from -1 to 1.


class Discriminator(nn.Module):
    """Images [B, ...], then labels int32 [B] if there are `classes`, then keys [B] for dropout, to logits [B]."""

    units: int = 240  # of a hidden layer, each the largest of five
    classes: int = 0

    @nn.compact
    def __call__(self, x: Array, *beside: Array, train: bool = True) -> Array:
        *labels, keys = beside
        drop = lambda x, n, keep: dropout(x, _part(keys, n), keep) if train else x
        x = drop(0.5 * x.reshape(len(x), -1) + 0.5, 0, 0.8)
        x = drop(maxout(x, self.units, 5, _within(0.005)), 1, 0.5)
        if self.classes:
            one_hot = nn.one_hot(labels[0], self.classes)
            of_class = maxout(one_hot, self.units * 5 // 24, 5, _within(0.005 * ONE_HOT))  # 50 units
            x = jnp.concatenate([x, drop(of_class, 2, 0.5)], axis=1)
        x = drop(maxout(x, self.units, 4 if self.classes else 5, _within(0.005)), 3, 0.5)
        return nn.Dense(1, kernel_init=_within(0.005))(x)[:, 0]


def maxout(x: Array, units: int, pieces: int, kernel_init: Initializer) -> Array:
    """A layer [B, units], each unit the largest of `pieces` linear ones (Goodfellow et al. 2013); within a module."""
    return nn.Dense(units * pieces, kernel_init=kernel_init)(x).reshape(-1, pieces, units).max(1)


def dropout(x: Array, keys: Array, keep: float) -> Array:
    """Set each entry of x [B, ...] to 0 but with probability `keep`, and scale the others; a key [B] an example."""
    kept = jax.vmap(lambda key, row: jax.random.bernoulli(key, keep, row.shape))(keys, x)
    return jnp.where(kept, x / keep, 0.0)


def _part(keys: Array, n: int) -> Array:
    return jax.vmap(jax.random.fold_in, (0, None))(keys, n)


def _within(limit: float) -> Initializer:
    return lambda key, shape, dtype: jax.random.uniform(key, shape, dtype, -limit, limit)
