"""DCGAN's networks (Radford et al. 2015), for square images of `base` times a power of two pixels.

4x4 kernels as in the authors' code (github.com/Newmarket/dcgan.torch), whose weights are all drawn from N(0, 0.02) and
the scales of batch norm from N(1, 0.02). No bias comes right before a batch norm, which would take it away again.
"""

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from jaxgan.networks.layers import Conv, ConvTranspose, Initializer, batch_norm, leaky_relu


class Generator(nn.Module):
    """z [B, Z] to images [B, size, size, channels] in [-1, 1]."""

    size: int  # pixels
    channels: int = 1
    width: int = 64  # channels at half the full size; twice as many at each halving
    base: int = 4  # pixels of the first feature map
    init: Initializer = nn.initializers.normal(0.02)

    @nn.compact
    def __call__(self, z: Array, train: bool = True) -> Array:
        """Generate."""
        ...
