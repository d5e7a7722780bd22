"""Residual networks of 1-D convolutions for characters (Gulrajani et al. 2017, appendix E and the authors' code)."""

import flax.linen as nn
from jax import Array

from jaxgan.networks.layers import Conv

KERNEL_INIT = nn.initializers.he_uniform()
RESIDUAL_SCALE = 0.3


class ResidualBlock(nn.Module):
    """Adds 0.3 times two convolutions of 5 characters, each after a ReLU, to features [B, T, C]."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        inner = x
        for _ in range(2):
            inner = Conv(x.shape[-1], (5,), kernel_init=KERNEL_INIT)(nn.relu(inner))
        return x + RESIDUAL_SCALE * inner


class Generator(nn.Module):
    """Maps latents [B, Z] to probabilities of characters [B, length, vocabulary]."""

    length: int
    vocabulary: int
    width: int = 512  # channels
    blocks: int = 5

    @nn.compact
    def __call__(self, z: Array, train: bool = True) -> Array:
        x = nn.Dense(self.length * self.width)(z).reshape(-1, self.length, self.width)
        for _ in range(self.blocks):
            x = ResidualBlock()(x)
        return nn.softmax(Conv(self.vocabulary, (1,))(x))


class Critic(nn.Module):
    """Maps probabilities of characters, or characters in one-hot form, [B, T, V] to logits [B]."""

    width: int = 512  # channels
    blocks: int = 5

    @nn.compact
    def __call__(self, x: Array, train: bool = True) -> Array:
        x = Conv(self.width, (1,))(x)
        for _ in range(self.blocks):
            x = ResidualBlock()(x)
        return nn.Dense(1)(x.reshape(len(x), -1))[:, 0]
