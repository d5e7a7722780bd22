"""The networks of SRGAN (Ledig et al. 2017, Figure 4): the generator SRResNet and the discriminator.

Convolutions before a batch norm have no bias, because the norm subtracts it.
"""

import functools

import flax.linen as nn
from jax import Array

from jaxgan.networks.layers import Conv, PReLU, batch_norm, leaky_relu, pixel_shuffle


class Generator(nn.Module):
    """Maps images [B, H, W, C] to images [B, r H, r W, channels] with r = 2 ** doublings.

    The output is not bounded.
    """

    channels: int = 3
    width: int = 64  # channels of all layers but those before a pixel shuffle, which have four times as many
    blocks: int = 16  # residual blocks
    doublings: int = 2  # how many times the size is doubled

    @nn.compact
    def __call__(self, x: Array, train: bool = True) -> Array:
        conv = functools.partial(Conv, self.width, (3, 3))
        norm = lambda x: batch_norm(train)(x)
        x = PReLU()(Conv(self.width, (9, 9))(x))
        first = x
        for _ in range(self.blocks):
            inner = PReLU()(norm(conv(use_bias=False)(x)))
            x = x + norm(conv(use_bias=False)(inner))
        x = first + norm(conv(use_bias=False)(x))
        for _ in range(self.doublings):
            x = PReLU()(pixel_shuffle(Conv(4 * self.width, (3, 3))(x)))
        return Conv(self.channels, (9, 9))(x)


class Discriminator(nn.Module):
    """Maps images [B, H, W, C] to logits [B]; H and W are multiples of 2 ** stages."""

    width: int = 64  # channels of the first two convolutions; doubled from stage to stage
    stages: int = 4  # pairs of convolutions, of which the second halves the size
    units: int = 1024  # of the hidden dense layer

    @nn.compact
    def __call__(self, x: Array, train: bool = True) -> Array:
        for stage in range(self.stages):
            for stride in (1, 2):
                is_first = stage == 0 and stride == 1
                x = Conv(self.width << stage, (3, 3), (stride, stride), use_bias=is_first)(x)
                x = leaky_relu(x if is_first else batch_norm(train)(x))
        x = leaky_relu(nn.Dense(self.units)(x.reshape(len(x), -1)))
        return nn.Dense(1)(x)[:, 0]
