"""Fully connected networks for 2-D points and small images.

The default sizes and initial weights are those for the toy data of improved WGAN training (Gulrajani et al. 2017):
three layers of 512 units, He uniform. Their critic uses ReLU; the default here is leaky ReLU.
"""

import math
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from jaxgan.networks.layers import Activation, Initializer, leaky_relu, spectral_norm
from jaxgan.networks.maxout import maxout

HE_UNIFORM = nn.initializers.he_uniform()


class Generator(nn.Module):
    """Maps latents [B, Z], and labels int32 [B] if `classes` > 0, to examples [B, *shape]."""

    shape: tuple[int, ...]  # (2,) for 2-D points, (H, W, C) for images
    width: int = 512
    depth: int = 3  # number of hidden layers
    activation: Activation = nn.relu
    out: Activation = jax.nn.identity  # of the output layer; tanh for images
    kernel_init: Initializer = HE_UNIFORM
    norm: Callable[[bool], Activation] | None = None  # returns the hidden layers' norm, given `train`; replaces biases
    classes: int = 0  # labels are appended to z as one-hot vectors

    @nn.compact
    def __call__(self, z: Array, labels: Array | None = None, train: bool = True) -> Array:
        x = jnp.concatenate([z, nn.one_hot(labels, self.classes, dtype=z.dtype)], axis=1) if self.classes else z
        for _ in range(self.depth):
            x = nn.Dense(self.width, use_bias=self.norm is None, kernel_init=self.kernel_init)(x)
            x = self.activation(x if self.norm is None else self.norm(train)(x))
        x = nn.Dense(math.prod(self.shape), kernel_init=self.kernel_init)(x)
        return self.out(x.reshape(-1, *self.shape))


class Critic(nn.Module):
    """Maps examples [B, ...] to logits [B], or with a head to its dict of outputs, see `jaxgan.networks.heads`."""

    width: int = 512
    depth: int = 3  # number of hidden layers
    activation: Activation = leaky_relu
    kernel_init: Initializer = HE_UNIFORM
    spectral: int = 0  # power iterations of the spectral norm of each layer in each call; 0 for none
    head: nn.Module | None = None

    @nn.compact
    def __call__(self, x: Array, labels: Array | None = None, train: bool = True) -> Any:
        normed = lambda layer: spectral_norm(train, layer, self.spectral) if self.spectral else layer
        x = x.reshape(len(x), -1)
        for _ in range(self.depth):
            x = self.activation(normed(nn.Dense(self.width, kernel_init=self.kernel_init))(x))
        if self.head is not None:
            return self.head(x, labels, train)
        return normed(nn.Dense(1, kernel_init=self.kernel_init))(x)[:, 0]


class MaxoutCritic(nn.Module):
    """Maps examples [B, ...] to logits [B] by maxout layers (Goodfellow et al. 2013)."""

    width: int = 200
    depth: int = 3  # number of hidden layers
    pieces: int = 5  # linear functions of which a unit is the maximum
    kernel_init: Initializer = nn.initializers.normal(0.02)

    @nn.compact
    def __call__(self, x: Array, train: bool = True) -> Array:
        x = x.reshape(len(x), -1)
        for _ in range(self.depth):
            x = maxout(x, self.width, self.pieces, self.kernel_init)
        return nn.Dense(1, kernel_init=self.kernel_init)(x)[:, 0]


class PackedCritic(nn.Module):
    """Applies a critic to packs of `pack` consecutive examples (PacGAN, Lin et al. 2017, section 3).

    Maps examples [B, ..., C] to the critic's outputs, for example logits [B / pack]. The critic receives packs
    [B / pack, ..., pack * C], with the examples concatenated along the channels. Raises ValueError if `pack` does not
    divide the number of examples on a device.
    """

    critic: nn.Module
    pack: int

    def __call__(self, x: Array, train: bool = True) -> Array:
        *_, channels = shape = x.shape[1:]
        if len(x) % self.pack:
            raise ValueError(
                f"pack size {self.pack} does not divide the {len(x)} examples on a device; "
                f"use a batch size that is a multiple of {self.pack} times the number of devices"
            )
        x = jnp.moveaxis(x.reshape(-1, self.pack, *shape), 1, -2)
        return self.critic(x.reshape(len(x), *shape[:-1], self.pack * channels), train=train)
