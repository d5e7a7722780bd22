"""Fully connected networks, for points in the plane and for small images.

Sizes and initial weights are those of improved WGAN training's toys (Gulrajani et al. 2017): three layers of 512 units,
He uniform. Their critic has ReLU where ours leaks.
"""

import functools
import math
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from jaxgan.networks.layers import Activation, Initializer, leaky_relu, spectral_norm
from jaxgan.networks.maxout import maxout

HE = nn.initializers.he_uniform()


class Generator(nn.Module):
    """Latents [B, Z] to examples [B, *shape]."""

    shape: tuple[int, ...]  # (2,) for points in the plane, (H, W, C) for images
    width: int = 512
    depth: int = 3  # hidden layers
    activation: Activation = nn.relu
    out: Activation = jax.nn.identity  # tanh for images
    kernel_init: Initializer = HE
    norm: Callable[[bool], Activation] | None = None  # of hidden layers, given `train`; takes the place of their biases

    @nn.compact
    def __call__(self, z: Array, train: bool = True) -> Array:
        x = z
        for _ in range(self.depth):
            x = nn.Dense(self.width, use_bias=self.norm is None, kernel_init=self.kernel_init)(x)
            x = self.activation(x if self.norm is None else self.norm(train)(x))
        x = nn.Dense(math.prod(self.shape), kernel_init=self.kernel_init)(x)
        return self.out(x.reshape(-1, *self.shape))


class Critic(nn.Module):
    """Examples [B, ...] to logits [B]."""

    width: int = 512
    depth: int = 3  # hidden layers
    activation: Activation = leaky_relu
    kernel_init: Initializer = HE
    spectral: bool = False  # layers are divided by their spectral norm

    @nn.compact
    def __call__(self, x: Array, train: bool = True) -> Array:
        normed = functools.partial(spectral_norm, train) if self.spectral else lambda layer: layer
        x = x.reshape(len(x), -1)
        for _ in range(self.depth):
            x = self.activation(normed(nn.Dense(self.width, kernel_init=self.kernel_init))(x))
        return normed(nn.Dense(1, kernel_init=self.kernel_init))(x)[:, 0]


class MaxoutCritic(nn.Module):
    """Examples [B, ...] to logits [B], by units that are the largest of `pieces` (Goodfellow et al. 2013)."""

    width: int = 200
    depth: int = 3  # hidden layers
    pieces: int = 5
    kernel_init: Initializer = nn.initializers.normal(0.02)

    @nn.compact
    def __call__(self, x: Array, train: bool = True) -> Array:
        x = x.reshape(len(x), -1)
        for _ in range(self.depth):
            x = maxout(x, self.width, self.pieces, self.kernel_init)
        return nn.Dense(1, kernel_init=self.kernel_init)(x)[:, 0]


class Packed(nn.Module):
    """A critic of packs: it judges `pack` neighbours of a batch as one example (Lin et al. 2017, section 3).

    Examples [B, ..., C] to its logits [B / pack]; a pack has shape [..., pack * C], one example's channels after the
    other's.
    """

    critic: nn.Module
    pack: int

    def __call__(self, x: Array, train: bool = True) -> Array:
        *_, channels = shape = x.shape[1:]
        if len(x) % self.pack:
            raise ValueError(f"{len(x)} examples on a device are no whole packs of {self.pack}")
        x = jnp.moveaxis(x.reshape(-1, self.pack, *shape), 1, -2)
        return self.critic(x.reshape(len(x), *shape[:-1], self.pack * channels), train=train)
