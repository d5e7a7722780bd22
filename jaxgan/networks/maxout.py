"""The fully connected networks of the first GANs for MNIST: a ReLU generator and a maxout discriminator with dropout.

With `classes` > 0 they are those of the conditional GAN (Mirza & Osindero 2014, section 4.1), and otherwise those of
the original GAN (Goodfellow et al. 2014, mnist.yaml in the authors' code). Initial weights are uniform.
"""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from jaxgan.networks.layers import Initializer, dropout

# Scales the initial weights of one-hot labels: a single 1 then has the effect of 100 inputs with variance 1.
ONE_HOT_SCALE = 10.0


class Generator(nn.Module):
    """Maps latents [B, Z] to images [B, *shape] in [-1, 1].

    With `classes` > 0 it also takes labels int32 [B] and example keys [B] for dropout. Dropout is then active both in
    training and in sampling, as part of the generator's noise.
    """

    shape: tuple[int, ...]
    width: int = 1200  # units of the last hidden layer
    classes: int = 0
    bias_init: Initializer = nn.initializers.zeros  # of the output layer, whose outputs are logits of pixels in [0, 1]

    @nn.compact
    def __call__(self, z: Array, *inputs: Array, train: bool = True) -> Array:
        layer = lambda width, x, limit=0.05: nn.relu(nn.Dense(width, kernel_init=_uniform(limit))(x))
        if self.classes:
            labels, keys = inputs
            one_hot = nn.one_hot(labels, self.classes)
            z_features = layer(self.width // 6, z)  # 200 units by default
            class_features = layer(self.width - self.width // 6, one_hot, 0.05 * ONE_HOT_SCALE)  # 1000 units by default
            x = dropout(jnp.concatenate([z_features, class_features], axis=1), _fold_in(keys, 0), 0.5)
            x = dropout(layer(self.width, x), _fold_in(keys, 1), 0.5)
        else:
            x = layer(self.width, layer(self.width, z))
        x = nn.Dense(math.prod(self.shape), kernel_init=_uniform(0.05), bias_init=self.bias_init)(x)
        return jnp.tanh(0.5 * x.reshape(-1, *self.shape))  # equals 2 * sigmoid(x) - 1


class Discriminator(nn.Module):
    """Maps images [B, ...], labels int32 [B] if `classes` > 0, and example keys [B] for dropout, to logits [B].

    Dropout is active only in training. The first layer sees the pixels rescaled from [-1, 1] to [0, 1].
    """

    units: int = 240  # maxout units of a hidden layer
    classes: int = 0

    @nn.compact
    def __call__(self, x: Array, *inputs: Array, train: bool = True) -> Array:
        *labels, keys = inputs
        drop = lambda x, n, keep_prob: dropout(x, _fold_in(keys, n), keep_prob) if train else x
        x = drop(0.5 * x.reshape(len(x), -1) + 0.5, 0, 0.8)
        x = drop(maxout(x, self.units, 5, _uniform(0.005)), 1, 0.5)
        if self.classes:
            one_hot = nn.one_hot(labels[0], self.classes)
            class_init = _uniform(0.005 * ONE_HOT_SCALE)
            class_features = maxout(one_hot, self.units * 5 // 24, 5, class_init)  # 50 units by default
            x = jnp.concatenate([x, drop(class_features, 2, 0.5)], axis=1)
        x = drop(maxout(x, self.units, 4 if self.classes else 5, _uniform(0.005)), 3, 0.5)
        return nn.Dense(1, kernel_init=_uniform(0.005))(x)[:, 0]


def maxout(x: Array, units: int, pieces: int, kernel_init: Initializer) -> Array:
    """Applies a dense maxout layer to x [B, ...] and returns [B, units] (Goodfellow et al. 2013).

    Each unit is the maximum of `pieces` linear functions of x. Call it within a compact method.
    """
    return nn.Dense(units * pieces, kernel_init=kernel_init)(x).reshape(-1, pieces, units).max(1)


def _fold_in(keys: Array, n: int) -> Array:
    return jax.vmap(jax.random.fold_in, (0, None))(keys, n)


def _uniform(limit: float) -> Initializer:
    return lambda key, shape, dtype: jax.random.uniform(key, shape, dtype, -limit, limit)
