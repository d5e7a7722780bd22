"""The residual generator of CycleGAN (Zhu et al. 2017, section 7.2, after Johnson et al. 2016).

Instance norm without scale and bias follows each convolution but the last. These convolutions have no bias, because
the norm subtracts it.
"""

import functools

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from jaxgan.networks.layers import Conv, ConvTranspose, instance_norm, reflect_pad
from jaxgan.networks.patchgan import KERNEL_INIT

SYMMETRIC = ((1, 1), (1, 1))
DOUBLING = ((1, 2), (1, 2))  # padding with which a transposed 3 x 3 convolution of stride 2 doubles the size


class Generator(nn.Module):
    """Maps images [B, H, W, C] to images [B, H, W, channels] in [-1, 1]; H and W are multiples of 2 ** halvings.

    The paper has 6 blocks for 128 x 128 pixels, and 9 for 256 x 256.
    """

    channels: int = 3
    width: int = 64  # channels at the full size; doubled at each halving
    halvings: int = 2
    blocks: int = 9  # residual blocks at the smallest size

    @nn.compact
    def __call__(self, x: Array, train: bool = True) -> Array:
        conv = functools.partial(Conv, kernel=(3, 3), use_bias=False, kernel_init=KERNEL_INIT)
        up = functools.partial(ConvTranspose, kernel=(3, 3), use_bias=False, kernel_init=KERNEL_INIT)
        norm = lambda x: instance_norm()(x)
        x = nn.relu(norm(conv(self.width, kernel=(7, 7), padding="VALID")(reflect_pad(x, 3))))
        widths = [self.width << n for n in range(self.halvings + 1)]
        for width in widths[1:]:
            x = nn.relu(norm(conv(width, strides=(2, 2), padding=SYMMETRIC)(x)))
        for _ in range(self.blocks):
            inner = nn.relu(norm(conv(widths[-1], padding="VALID")(reflect_pad(x, 1))))
            x = x + norm(conv(widths[-1], padding="VALID")(reflect_pad(inner, 1)))
        for width in reversed(widths[:-1]):
            x = nn.relu(norm(up(width, strides=(2, 2), padding=DOUBLING)(x)))
        last = Conv(self.channels, (7, 7), padding="VALID", kernel_init=KERNEL_INIT)
        return jnp.tanh(last(reflect_pad(x, 3)))
