"""Multilayer perceptrons, for points and for small images."""

import math
from collections.abc import Callable

import flax.linen as nn
from jax import Array
from jax.nn.initializers import he_uniform

Activation = Callable[[Array], Array]


class Generator(nn.Module):
    """z [B, Z] to points [B, D], or to images [B, H, W, C] in [-1, 1]; ReLU, He uniform (Gulrajani et al. 2017, toys)."""

    shape: tuple[int, ...]  # of an example
    width: int = 128
    depth: int = 2
    kernel_init: nn.initializers.Initializer = he_uniform()

    @nn.compact
    def __call__(self, z: Array, train: bool = True) -> Array:
        for _ in range(self.depth):
            z = nn.relu(nn.Dense(self.width, kernel_init=self.kernel_init)(z))
        x = nn.Dense(math.prod(self.shape), kernel_init=self.kernel_init)(z).reshape(-1, *self.shape)
        return nn.tanh(x) if len(self.shape) == 3 else x


class Critic(nn.Module):
    """Examples [B, ...] to logits [B]; He uniform."""

    width: int = 128
    depth: int = 2
    activation: Activation = lambda x: nn.leaky_relu(x, 0.2)
    kernel_init: nn.initializers.Initializer = he_uniform()

    @nn.compact
    def __call__(self, x: Array, train: bool = True) -> Array:
        x = x.reshape(len(x), -1)
        for _ in range(self.depth):
            x = self.activation(nn.Dense(self.width, kernel_init=self.kernel_init)(x))
        return nn.Dense(1, kernel_init=self.kernel_init)(x)[:, 0]
