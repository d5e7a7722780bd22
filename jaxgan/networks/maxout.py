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
    """Latents [B, Z], and labels int32 [B] if there are `classes`, to images [B, *shape]."""

    shape: tuple[int, ...]
    width: int = 1200  # units of the last hidden layer
    classes: int = 0
    bias_init: Initializer = nn.initializers.zeros  # of the pixels' logits

    @nn.compact
    def __call__(self, z: Array, labels: Array | None = None, train: bool = True) -> Array:
        dense = lambda width, x, limit=0.05: nn.Dense(width, kernel_init=_within(limit))(x)
        if self.classes:
            one_hot = nn.one_hot(labels, self.classes)
            of_class = nn.relu(dense(self.width - self.width // 6, one_hot, limit=0.05 * ONE_HOT))  # 1000 units
            x = jnp.concatenate([nn.relu(dense(self.width // 6, z)), of_class], axis=1)  # and 200
        else:
            x = nn.relu(dense(self.width, z))
        x = nn.relu(dense(self.width, x))
        x = nn.Dense(math.prod(self.shape), kernel_init=_within(0.05), bias_init=self.bias_init)(x)
        return jnp.tanh(0.5 * x.reshape(-1, *self.shape))  # A sigmoid, from -1 to 1.


class Discriminator(nn.Module):
    """Images [B, ...], then labels int32 [B] if there are `classes`, then keys [B] for dropout, to logits [B]."""

    units: int = 240  # of a hidden layer, each the largest of five
    classes: int = 0

    @nn.compact
    def __call__(self, x: Array, *beside: Array, train: bool = True) -> Array:
        *labels, keys = beside
        drop = lambda x, n, keep: dropout(x, jax.vmap(jax.random.fold_in, (0, None))(keys, n), keep) if train else x
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


def _within(limit: float) -> Initializer:
    return lambda key, shape, dtype: jax.random.uniform(key, shape, dtype, -limit, limit)
