"""SN-GAN's plain convolutional networks (Miyato et al. 2018, Table 3).

Images are square, with a side of `base` times a power of two.
"""

import functools
from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from jaxgan.networks.dcgan import num_halvings
from jaxgan.networks.layers import Activation, Conv, ConvTranspose, batch_norm, spectral_norm


class Generator(nn.Module):
    """Maps latents [B, Z] to images [B, size, size, channels] in [-1, 1]."""

    size: int  # side of the images in pixels
    channels: int = 3
    width: int = 64  # channels at the full size; doubled each time the size is halved
    base: int = 4  # side of the first feature map in pixels

    @nn.compact
    def __call__(self, z: Array, train: bool = True) -> Array:
        widths = [self.width << n for n in reversed(range(num_halvings(self.size, self.base)))]
        first = 2 * widths[0]
        x = nn.Dense(self.base**2 * first)(z).reshape(-1, self.base, self.base, first)
        for width in widths:
            x = nn.relu(batch_norm(train)(ConvTranspose(width, strides=(2, 2), use_bias=False)(x)))
        return jnp.tanh(Conv(self.channels, (3, 3))(x))


class Critic(nn.Module):
    """Maps images [B, H, H, C] to logits [B], with spectral norm in each layer, or another normalisation of weights."""

    width: int = 64  # channels at the full size; doubled each time the size is halved
    base: int = 4  # side of the last feature map in pixels
    normalise: Callable[[bool, nn.Module], Activation] = spectral_norm  # (train, layer) -> the normalised layer

    @nn.compact
    def __call__(self, x: Array, train: bool = True) -> Array:
        normed = functools.partial(self.normalise, train)
        activate = functools.partial(nn.leaky_relu, negative_slope=0.1)
        width = self.width
        while x.shape[1] > self.base:
            x = activate(normed(Conv(width, (3, 3)))(x))
            x = activate(normed(Conv(width, (4, 4), strides=(2, 2)))(x))
            width *= 2
        x = activate(normed(Conv(width, (3, 3)))(x))
        return normed(nn.Dense(1))(x.reshape(len(x), -1))[:, 0]
