"""VGAN: videos [B, T, H, H, 3] of a moving foreground over a background at rest (Vondrick et al. 2016)."""

from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from jaxgan.networks import dcgan
from jaxgan.networks.dcgan import num_halvings
from jaxgan.networks.layers import Conv, ConvTranspose, batch_norm, leaky_relu

NORMAL = nn.initializers.normal(0.01)
BASE = 4  # side of the smallest feature map in pixels


class Layers(NamedTuple):
    """A video and what it is made of: mask * foreground + (1 - mask) * background."""

    video: Array  # [B, T, H, H, 3] in [-1, 1]
    mask: Array  # [B, T, H, H, 1] in [0, 1]
    foreground: Array  # [B, T, H, H, 3] in [-1, 1]
    background: Array  # [B, H, H, 3] in [-1, 1]


class Generator(nn.Module):
    """Maps latents [B, Z] to `Layers` of size / 2 frames: 8 of 16 x 16 pixels, 32 of 64 x 64."""

    size: int = 64  # side of a frame in pixels, 4 times a power of two
    width: int = 64  # channels at half the size; doubled each time the size is halved again

    @nn.compact
    def __call__(self, z: Array, train: bool = True) -> Layers:
        *widths, first = [self.width << i for i in range(num_halvings(self.size, BASE))]
        upsampling_conv = lambda width, **options: ConvTranspose(width, (4, 4, 4), 2, kernel_init=NORMAL, **options)
        x = nn.Dense(2 * BASE * BASE * first, use_bias=False, kernel_init=NORMAL)(z)
        x = nn.relu(batch_norm(train)(x.reshape(-1, 2, BASE, BASE, first)))
        for width in reversed(widths):
            x = nn.relu(batch_norm(train)(upsampling_conv(width, use_bias=False)(x)))
        foreground, mask = jnp.tanh(upsampling_conv(3)(x)), nn.sigmoid(upsampling_conv(1)(x))
        background = dcgan.Generator(self.size, 3, self.width, BASE)(z, train=train)
        return Layers(mask * foreground + (1.0 - mask) * background[:, None], mask, foreground, background)


class Discriminator(nn.Module):
    """Maps videos [B, T, H, H, C] to logits [B] by 3-D convolutions."""

    width: int = 64  # channels at half the size; doubled each time the size is halved again

    @nn.compact
    def __call__(self, x: Array, train: bool = True) -> Array:
        for i in range(num_halvings(x.shape[2], BASE)):
            options = {"padding": [(1, 1)] * 3, "use_bias": i == 0, "kernel_init": NORMAL}
            x = Conv(self.width << i, (4, 4, 4), 2, **options)(x)
            x = leaky_relu(batch_norm(train)(x) if i else x)
        return nn.Dense(1, kernel_init=NORMAL)(x.reshape(len(x), -1))[:, 0]
