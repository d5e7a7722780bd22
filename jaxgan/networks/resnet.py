"""Residual networks for images of 32 pixels and more, as in SN-GAN and, with their own settings, WGAN-GP.

Defaults are those for CIFAR-10 (Miyato et al. 2018, table 4). For 48 pixels: `Generator(3, (256, 128, 64), first=512,
bottom=6)` and `Critic((64, 128, 256, 512, 1024), downs=4)`; for 64 the same from `bottom=4` with one block more.
"""

import functools
import math
from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from jaxgan.networks.layers import Conv, batch_norm, spectral_norm

INNER = nn.initializers.variance_scaling(2.0, "fan_avg", "uniform")  # Glorot by √2, for 3 x 3 kernels within a block
OUTER = nn.initializers.glorot_uniform()  # for all else


class ConditionalNorm(nn.Module):
    """Batch norm whose scale and shift belong to the class, labels int32 [B] (Dumoulin et al. 2017)."""

    classes: int

    @nn.compact
    def __call__(self, x: Array, labels: Array, train: bool) -> Array:
        x = batch_norm(train, use_scale=False, use_bias=False)(x)
        per_class = lambda name, init: self.param(name, init, (self.classes, x.shape[-1]))[labels][:, None, None]
        return x * per_class("scale", nn.initializers.ones) + per_class("bias", nn.initializers.zeros)


class Generator(nn.Module):
    """Latents [B, Z], and labels int32 [B] if there are `classes`, to images [B, H, H, channels] in [-1, 1]."""

    channels: int
    widths: tuple[int, ...] = (256, 256, 256)  # of the blocks, each of which doubles the size
    first: int = 256  # channels of the smallest map
    bottom: int = 4  # its side
    classes: int = 0
    spectral: bool = False  # normalised, as SAGAN's
    attention: int = 0  # the side of the map in which each place also sees all others; 0 for none

    @nn.compact
    def __call__(self, z: Array, labels: Array | None = None, train: bool = True) -> Array:
        normed = functools.partial(spectral_norm, train) if self.spectral else lambda layer: layer
        conv = lambda width, side, init, **options: normed(Conv(width, (side, side), kernel_init=init, **options))
        if self.classes:
            norm = lambda x: ConditionalNorm(self.classes)(x, labels, train)
        else:
            norm = lambda x: batch_norm(train)(x)
        smallest = (self.bottom, self.bottom, self.first)
        x = normed(nn.Dense(math.prod(smallest), kernel_init=OUTER))(z).reshape(-1, *smallest)
        for width in self.widths:
            # No bias before a norm.
            inner = conv(width, 3, INNER, use_bias=False)(upsample(nn.relu(norm(x))))
            inner = conv(width, 3, INNER)(nn.relu(norm(inner)))
            x = inner + conv(width, 1, OUTER)(upsample(x))
            if x.shape[1] == self.attention:
                x = SelfAttention(self.spectral)(x, train)
        return jnp.tanh(conv(self.channels, 3, OUTER)(nn.relu(batch_norm(train)(x))))


class Critic(nn.Module):
    """Images [B, H, H, C], and labels int32 [B] if there are `classes`, to logits [B].

    Classes come in by projection: the logit gains the features' product with a vector of the class (Miyato & Koyama
    2018, Eq. 4). `WGAN-GP` takes the mean of the last map and no spectral norm.
    """

    widths: tuple[int, ...] = (128, 128, 128, 128)  # of the blocks
    downs: int = 2  # how many of them, from the first, halve the size
    classes: int = 0
    spectral: bool = True
    pool: Callable[..., Array] = jnp.sum  # over the last map
    attention: int = 0  # the side of the first map in which each place also sees all others; 0 for none

    @nn.compact
    def __call__(self, x: Array, labels: Array | None = None, train: bool = True) -> Array:
        normed = functools.partial(spectral_norm, train) if self.spectral else lambda layer: layer
        conv = lambda width, side, init: normed(Conv(width, (side, side), kernel_init=init))
        for n, width in enumerate(self.widths):
            shrink = downsample if n < self.downs else lambda x: x
            # The first block sees the image itself, and its shortcut is shrunk before it is convolved.
            inner = conv(width, 3, INNER)(nn.relu(x) if n else x)
            inner = shrink(conv(width, 3, INNER)(nn.relu(inner)))
            if n == 0:
                x = conv(width, 1, OUTER)(shrink(x))
            elif n < self.downs or x.shape[-1] != width:
                x = shrink(conv(width, 1, OUTER)(x))
            x = x + inner
            if n < self.downs and x.shape[1] == self.attention:
                x = SelfAttention(self.spectral)(x, train)
        features = self.pool(nn.relu(x), axis=(1, 2))
        logits = normed(nn.Dense(1, use_bias=not self.spectral, kernel_init=OUTER))(features)[:, 0]
        if not self.classes:
            return logits
        one_hot = nn.one_hot(labels, self.classes, dtype=features.dtype)
        of_class = normed(nn.Dense(features.shape[-1], use_bias=False, kernel_init=OUTER))(one_hot)
        return logits + (features * of_class).sum(-1)


def upsample(x: Array) -> Array:
    """Images [B, H, W, C] at twice the size, each pixel four times."""
    return x.repeat(2, 1).repeat(2, 2)


def downsample(x: Array) -> Array:
    """Images [B, H, W, C] at half the size, each pixel the mean of four."""
    b, h, w, c = x.shape
    return x.reshape(b, h // 2, 2, w // 2, 2, c).mean((2, 4))


class SelfAttention(nn.Module):
    """A map [B, H, W, C] in which each place also sees all others; the identity at the start (Zhang et al. 2018).

    Keys and values are max-pooled to a quarter, as in the authors' code.
    """

    spectral: bool = True

    @nn.compact
    def __call__(self, x: Array, train: bool = True) -> Array:
        b, h, w, c = x.shape
        normed = functools.partial(spectral_norm, train) if self.spectral else lambda layer: layer
        conv = lambda width: normed(Conv(width, (1, 1), use_bias=False, kernel_init=OUTER))
        rows = lambda x: x.reshape(b, -1, x.shape[-1])
        pooled = lambda x: nn.max_pool(x, (2, 2), (2, 2))
        queries, keys = rows(conv(max(c // 8, 1))(x)), rows(pooled(conv(max(c // 8, 1))(x)))
        values = rows(pooled(conv(max(c // 2, 1))(x)))
        weights = nn.softmax(jnp.einsum("bqc,bkc->bqk", queries, keys))
        self.sow("intermediates", "weights", weights)
        seen = conv(c)(jnp.einsum("bqk,bkc->bqc", weights, values).reshape(b, h, w, -1))
        return x + self.param("gamma", nn.initializers.zeros, ()) * seen
