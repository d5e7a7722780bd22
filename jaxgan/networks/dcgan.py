"""DCGAN (Radford et al. 2015) for square images with a side of `base` times a power of two.

As in github.com/soumith/dcgan.torch, kernels are 4x4 and the scales of batch norm are initialised from N(1, 0.02).
Layers before a batch norm have no bias, because batch norm subtracts it. Class labels are concatenated one-hot with the
latents and, as constant maps, with the image (Mirza & Osindero 2014).
"""

import functools
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from jaxgan.networks.layers import Conv, ConvTranspose, Initializer, batch_norm, leaky_relu, spectral_norm

NORMAL = nn.initializers.normal(0.02)


def _scale_init(key: Array, shape: tuple[int, ...], dtype: jnp.dtype) -> Array:
    return 1.0 + NORMAL(key, shape, dtype)


class Generator(nn.Module):
    """Maps latents [B, Z], and labels int32 [B] if `classes` > 0, to images [B, size, size, channels] in [-1, 1]."""

    size: int  # side of the images in pixels
    channels: int = 1
    width: int = 64  # channels at half the size; doubled each time the size is halved again
    base: int = 4  # side of the first feature map in pixels
    kernel_init: Initializer = NORMAL
    norm: bool = True  # whether to use batch norm
    classes: int = 0
    kernel: tuple[int, int] = (4, 4)  # kernel size in pixels

    @nn.compact
    def __call__(self, z: Array, labels: Array | None = None, train: bool = True) -> Array:
        if self.classes:
            z = jnp.concatenate([z, nn.one_hot(labels, self.classes, dtype=z.dtype)], axis=1)
        *widths, first = [self.width << i for i in range(num_halvings(self.size, self.base))]
        activate = lambda x: nn.relu(batch_norm(train, scale_init=_scale_init)(x) if self.norm else x)
        upsampling_conv = functools.partial(ConvTranspose, kernel=self.kernel, strides=2, kernel_init=self.kernel_init)
        x = nn.Dense(self.base**2 * first, use_bias=not self.norm, kernel_init=self.kernel_init)(z)
        x = activate(x.reshape(-1, self.base, self.base, first))
        for width in reversed(widths):
            x = activate(upsampling_conv(width, use_bias=not self.norm)(x))
        return jnp.tanh(upsampling_conv(self.channels)(x))


class Discriminator(nn.Module):
    """Maps images [B, H, H, C], and labels int32 [B] if `classes` > 0, to logits [B].

    With a head it returns that module's dict of outputs, see `jaxgan.networks.heads`.
    """

    width: int = 64  # channels at half the size; doubled each time the size is halved again
    base: int = 4  # side of the last feature map in pixels
    norm: bool = True  # whether to use batch norm; per-example gradient penalties need False
    kernel_init: Initializer = NORMAL
    classes: int = 0
    spectral: int = 0  # power iterations of the spectral norm of each layer in each call; 0 for none
    head: nn.Module | None = None
    kernel: tuple[int, int] = (4, 4)  # kernel size in pixels

    @nn.compact
    def __call__(self, x: Array, labels: Array | None = None, train: bool = True) -> Any:
        normed = lambda layer: spectral_norm(train, layer, self.spectral) if self.spectral else layer
        if self.classes:
            maps = nn.one_hot(labels, self.classes, dtype=x.dtype)[:, None, None]
            x = jnp.concatenate([x, jnp.broadcast_to(maps, (*x.shape[:3], self.classes))], axis=-1)
        for i in range(num_halvings(x.shape[1], self.base)):
            norm = self.norm and i > 0
            options = {"use_bias": not norm, "kernel_init": self.kernel_init}
            x = normed(Conv(self.width << i, self.kernel, strides=2, **options))(x)
            x = leaky_relu(batch_norm(train, scale_init=_scale_init)(x) if norm else x)
        if self.head is not None:
            return self.head(x.reshape(len(x), -1), labels, train)
        return normed(nn.Dense(1, kernel_init=self.kernel_init))(x.reshape(len(x), -1))[:, 0]


def num_halvings(size: int, base: int) -> int:
    """Returns how many times `size` must be halved to reach `base`. Raises ValueError unless it is 1 or more."""
    n = max(1, (size // base).bit_length() - 1)
    if base << n != size:
        raise ValueError(
            f"image size {size} is not base {base} times 2, 4, 8, ...; use size {base << n} or {base << (n + 1)}"
        )
    return n
