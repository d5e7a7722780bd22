"""DCGAN (Radford et al. 2015) for square images of `base` times a power of two pixels.

Kernels are 4x4 and the scales of batch norm start at N(1, 0.02), as in github.com/soumith/dcgan.torch. No bias stands
right before a batch norm, which would subtract it again. Labels come in beside the latents and as constant maps beside
the image (Mirza & Osindero 2014).
"""

import functools

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from jaxgan.networks.layers import Conv, ConvTranspose, Initializer, batch_norm, leaky_relu, spectral_norm

NORMAL = nn.initializers.normal(0.02)


def _around_one(key: Array, shape: tuple[int, ...], dtype: jnp.dtype) -> Array:
    return 1.0 + NORMAL(key, shape, dtype)


class Generator(nn.Module):
    """Latents [B, Z], and labels int32 [B] if there are `classes`, to images [B, size, size, channels]."""

    size: int  # pixels
    channels: int = 1
    width: int = 64  # channels at half the size; twice as many each time the size halves again
    base: int = 4  # pixels of the first feature map
    kernel_init: Initializer = NORMAL
    norm: bool = True  # batch norm
    classes: int = 0

    @nn.compact
    def __call__(self, z: Array, labels: Array | None = None, train: bool = True) -> Array:
        if self.classes:
            z = jnp.concatenate([z, nn.one_hot(labels, self.classes, dtype=z.dtype)], axis=1)
        *widths, first = [self.width << i for i in range(halvings(self.size, self.base))]
        activate = lambda x: nn.relu(batch_norm(train, scale_init=_around_one)(x) if self.norm else x)
        double = functools.partial(ConvTranspose, strides=(2, 2), kernel_init=self.kernel_init)
        x = nn.Dense(self.base**2 * first, use_bias=not self.norm, kernel_init=self.kernel_init)(z)
        x = activate(x.reshape(-1, self.base, self.base, first))
        for width in reversed(widths):
            x = activate(double(width, use_bias=not self.norm)(x))
        return jnp.tanh(double(self.channels)(x))


class Discriminator(nn.Module):
    """Images [B, H, H, C], and labels int32 [B] if there are `classes`, to logits [B]."""

    width: int = 64  # channels at half the size; twice as many each time the size halves again
    base: int = 4  # pixels of the last feature map
    norm: bool = True  # batch norm; not where a penalty takes each example's gradient, for it couples them
    kernel_init: Initializer = NORMAL
    classes: int = 0
    spectral: bool = False  # layers are divided by their spectral norm

    @nn.compact
    def __call__(self, x: Array, labels: Array | None = None, train: bool = True) -> Array:
        normed = functools.partial(spectral_norm, train) if self.spectral else lambda layer: layer
        if self.classes:
            maps = nn.one_hot(labels, self.classes, dtype=x.dtype)[:, None, None]
            x = jnp.concatenate([x, jnp.broadcast_to(maps, (*x.shape[:3], self.classes))], axis=-1)
        for i in range(halvings(x.shape[1], self.base)):
            norm = self.norm and i > 0
            x = normed(Conv(self.width << i, strides=(2, 2), use_bias=not norm, kernel_init=self.kernel_init))(x)
            x = leaky_relu(batch_norm(train, scale_init=_around_one)(x) if norm else x)
        return normed(nn.Dense(1, kernel_init=self.kernel_init))(x.reshape(len(x), -1))[:, 0]


def halvings(size: int, base: int) -> int:
    """How often size halves on the way to base."""
    n = max(1, (size // base).bit_length() - 1)
    if base << n != size:
        raise ValueError(f"size {size} is not {base} doubled once or more; use {base << n} or {base << (n + 1)}")
    return n
