"""The U-Net generator of pix2pix (Isola et al. 2017, section 6.1.1; phillipi/pix2pix, models.lua).

The paper's norm is batch norm on batches of one image, with the statistics of that image in training and at test time.
That is instance norm with a scale and a bias, which is used here, so that images are independent of each other in
batches of any size. Layers before a norm have no bias, because the norm subtracts it.
"""

import functools

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from jaxgan.core import prng
from jaxgan.networks.layers import Conv, ConvTranspose, dropout, instance_norm, leaky_relu
from jaxgan.networks.patchgan import KERNEL_INIT, scale_init


class Generator(nn.Module):
    """Maps images [B, H, W, C] and example keys [B] to images [B, H, W, channels] in [-1, 1].

    H and W are multiples of 2 ** levels. The keys are for dropout, which is the only noise and stays on in sampling.
    Without `dropouts` no keys are needed.
    """

    channels: int = 3
    width: int = 64  # channels at half the size; doubled at each halving, at most 8 times as many
    levels: int = 8  # how many times the size is halved; 8 reduce 256 x 256 pixels to one
    dropouts: int = 3  # how many of the decoder's blocks, from the smallest, end with dropout of one half

    @nn.compact
    def __call__(self, x: Array, keys: Array | None = None, train: bool = True) -> Array:
        widths = [self.width * min(2**level, 8) for level in range(self.levels)]
        down = functools.partial(Conv, strides=(2, 2), kernel_init=KERNEL_INIT)
        up = functools.partial(ConvTranspose, strides=(2, 2), kernel_init=KERNEL_INIT)
        norm = lambda x: instance_norm(affine=True, scale_init=scale_init)(x)
        x = down(widths[0])(x)
        skips = [x]
        for width in widths[1:-1]:
            x = norm(down(width, use_bias=False)(leaky_relu(x)))
            skips.append(x)
        x = down(widths[-1])(leaky_relu(x))  # No norm: of a single pixel it would be 0.
        for n, skip in enumerate(reversed(skips)):
            x = norm(up(skip.shape[-1], use_bias=False)(nn.relu(x)))
            if n < self.dropouts:
                x = dropout(x, prng.fold_in(keys, n), 0.5)
            x = jnp.concatenate([x, skip], axis=-1)
        return jnp.tanh(up(self.channels)(nn.relu(x)))
