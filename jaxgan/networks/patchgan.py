"""The PatchGAN discriminator of pix2pix and CycleGAN: a logit for each patch (Isola et al. 2017, section 6.1.2)."""

import functools

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from jaxgan.networks.layers import Conv, instance_norm, leaky_relu

KERNEL_INIT = nn.initializers.normal(0.02)


def scale_init(key: Array, shape: tuple[int, ...], dtype: jnp.dtype) -> Array:
    """Draws scales of norms from N(1, 0.02), as the authors' code of pix2pix does."""
    return 1.0 + KERNEL_INIT(key, shape, dtype)


class Discriminator(nn.Module):
    """Maps images [B, H, W, C] to the logits of their patches, [B, h, w].

    A patch is the receptive field of one logit: a square of 1, 16, 34, 70, 142 or 286 pixels for `halvings` 0 to 5.
    Patches overlap and are 2 ** halvings pixels apart. With 0 all kernels are 1 x 1 (PixelGAN).
    """

    halvings: int = 3  # convolutions with stride 2
    width: int = 64  # channels of the first layer; doubled from layer to layer, at most 8 times as many
    affine: bool = True  # whether norms have a scale and a bias: yes in pix2pix, no in CycleGAN

    @nn.compact
    def __call__(self, x: Array, train: bool = True) -> Array:
        norm = lambda x: instance_norm(self.affine, **({"scale_init": scale_init} if self.affine else {}))(x)
        if self.halvings:
            conv = functools.partial(Conv, padding=((1, 1), (1, 1)), kernel_init=KERNEL_INIT)
            strides = [2] * self.halvings + [1]
        else:
            conv = functools.partial(Conv, kernel=(1, 1), kernel_init=KERNEL_INIT)
            strides = [1, 1]
        for n, stride in enumerate(strides):
            width = self.width * min(2**n, 8)
            x = conv(width, strides=(stride, stride), use_bias=n == 0)(x)  # A norm would subtract a bias.
            x = leaky_relu(norm(x) if n else x)
        return conv(1)(x)[..., 0]
