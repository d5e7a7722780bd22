"""Fully connected networks, for points in the plane and for small images.

Sizes and initial weights are those of improved WGAN training's toys (Gulrajani et al. 2017): three layers of 512 units,
He uniform. Their critic has ReLU where ours leaks.
"""

import math

import flax.linen as nn
import jax
from jax import Array

from jaxgan.networks.layers import Activation, Initializer, leaky_relu

HE = nn.initializers.he_uniform()


class Generator(nn.Module):
    """Latents [B, Z] to examples [B, *shape]."""

    shape: tuple[int, ...]  # (2,) for points in the plane, (H, W, C) for images
    width: int = 512
    depth: int = 3  # hidden layers
    activation: Activation = nn.relu
    out: Activation = jax.nn.identity  # tanh for images
    kernel_init: Initializer = HE

    @nn.compact
    def __call__(self, z: Array, train: bool = True) -> Array:
        x = _hidden(z, self.width, self.depth, self.activation, self.kernel_init)
        x = nn.Dense(math.prod(self.shape), kernel_init=self.kernel_init)(x)
        return self.out(x.reshape(-1, *self.shape))


class Critic(nn.Module):
    """Examples [B, ...] to logits [B]."""

    width: int = 512
    depth: int = 3  # hidden layers
    activation: Activation = leaky_relu
    kernel_init: Initializer = HE

    @nn.compact
    def __call__(self, x: Array, train: bool = True) -> Array:
        x = _hidden(x.reshape(len(x), -1), self.width, self.depth, self.activation, self.kernel_init)
        return nn.Dense(1, kernel_init=self.kernel_init)(x)[:, 0]


def _hidden(x: Array, width: int, depth: int, activation: Activation, kernel_init: Initializer) -> Array:
    for _ in range(depth):
        x = activation(nn.Dense(width, kernel_init=kernel_init)(x))
    return x
