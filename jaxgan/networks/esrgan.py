"""The generator of ESRGAN: residual-in-residual dense blocks without norms (Wang et al. 2018, section 3.1)."""

import functools

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from jaxgan.networks.layers import Conv, leaky_relu
from jaxgan.networks.resnet import upsample

RESIDUAL_SCALE = 0.2  # by which residuals are multiplied before they are added, section 3.1
# Section 3.1: "smaller initialization", a tenth of He's in the authors' code.
SMALL_INIT = nn.initializers.variance_scaling(2.0 * 0.1**2, "fan_in", "normal")

conv3x3 = functools.partial(Conv, kernel=(3, 3), kernel_init=SMALL_INIT)


class DenseBlock(nn.Module):
    """Adds to maps [B, H, W, C] a residual of five convolutions, of which each sees the outputs of all before it."""

    growth: int = 32  # channels of each convolution but the last

    @nn.compact
    def __call__(self, x: Array) -> Array:
        maps = [x]
        for _ in range(4):
            maps.append(leaky_relu(conv3x3(self.growth)(jnp.concatenate(maps, axis=-1))))
        return x + RESIDUAL_SCALE * conv3x3(x.shape[-1])(jnp.concatenate(maps, axis=-1))


class ResidualInResidual(nn.Module):
    """Adds to maps [B, H, W, C] a residual of three dense blocks (RRDB)."""

    growth: int = 32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        inner = x
        for _ in range(3):
            inner = DenseBlock(self.growth)(inner)
        return x + RESIDUAL_SCALE * inner


class Generator(nn.Module):
    """Maps images [B, H, W, C] to images [B, r H, r W, channels] with r = 2 ** doublings.

    The output is not bounded. The paper has 16 blocks, or 23 for the published model.
    """

    channels: int = 3
    width: int = 64  # channels of all layers but those within dense blocks
    growth: int = 32  # channels of the convolutions within dense blocks
    blocks: int = 23
    doublings: int = 2  # how many times the size is doubled

    @nn.compact
    def __call__(self, x: Array, train: bool = True) -> Array:
        x = conv3x3(self.width)(x)
        first = x
        for _ in range(self.blocks):
            x = ResidualInResidual(self.growth)(x)
        x = first + conv3x3(self.width)(x)
        for _ in range(self.doublings):
            x = leaky_relu(conv3x3(self.width)(upsample(x)))
        return conv3x3(self.channels)(leaky_relu(conv3x3(self.width)(x)))
