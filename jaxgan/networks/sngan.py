"""The critic of SN-GAN (Miyato et al. 2018, Table 3) for square images of `base` times a power of two pixels."""

import functools

import flax.linen as nn
from jax import Array

from jaxgan.networks.layers import Conv, spectral_norm


class Critic(nn.Module):
    """Images [B, H, H, C] to logits [B]; every layer is spectrally normalised."""

    width: int = 64  # channels at the full size; twice as many each time the size halves
    base: int = 4  # pixels of the last feature map

    @nn.compact
    def __call__(self, x: Array, train: bool = True) -> Array:
        normed = functools.partial(spectral_norm, train)
        activate = functools.partial(nn.leaky_relu, negative_slope=0.1)
        width = self.width
        while x.shape[1] > self.base:
            x = activate(normed(Conv(width, (3, 3)))(x))
            x = activate(normed(Conv(width, (4, 4), strides=(2, 2)))(x))
            width *= 2
        x = activate(normed(Conv(width, (3, 3)))(x))
        return normed(nn.Dense(1))(x.reshape(len(x), -1))[:, 0]
