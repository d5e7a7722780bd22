"""Residual networks of SN-GAN, WGAN-GP and SAGAN for square images.

The defaults are SN-GAN's for CIFAR-10 (Miyato et al. 2018, Table 4). For 48 x 48 pixels use `Generator(3, (256, 128,
64), first=512, bottom=6)` and `Critic((64, 128, 256, 512, 1024), downs=4)`. For 64 x 64 pixels use `Generator(3, (512,
256, 128, 64), first=1024)` and the same critic.
"""

import functools
import math
from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from jaxgan.networks.layers import Conv, batch_norm, spectral_norm

BLOCK_INIT = nn.initializers.variance_scaling(2.0, "fan_avg", "uniform")  # √2 times Glorot, for a block's 3x3 kernels
OUTER_INIT = nn.initializers.glorot_uniform()  # for all other kernels


class ConditionalNorm(nn.Module):
    """Batch norm with a scale and a bias for each class, selected by labels int32 [B] (Dumoulin et al. 2017)."""

    classes: int

    @nn.compact
    def __call__(self, x: Array, labels: Array, train: bool) -> Array:
        x = batch_norm(train, use_scale=False, use_bias=False)(x)
        per_class = lambda name, init: self.param(name, init, (self.classes, x.shape[-1]))[labels][:, None, None]
        return x * per_class("scale", nn.initializers.ones) + per_class("bias", nn.initializers.zeros)


class Generator(nn.Module):
    """Maps latents [B, Z], and labels int32 [B] if `classes` > 0, to images [B, H, H, channels] in [-1, 1].

    The side H is `bottom * 2 ** len(widths)`. Labels select the scales and biases of batch norm.
    """

    channels: int
    widths: tuple[int, ...] = (256, 256, 256)  # channels of each block; a block doubles the size
    first: int = 256  # channels of the smallest feature map
    bottom: int = 4  # side of the smallest feature map in pixels
    classes: int = 0
    spectral: bool = False  # whether to use spectral norm in each layer, as in SAGAN
    attention: int = 0  # side of the feature map that self-attention is applied to; 0 for none

    @nn.compact
    def __call__(self, z: Array, labels: Array | None = None, train: bool = True) -> Array:
        normed = functools.partial(spectral_norm, train) if self.spectral else lambda layer: layer
        conv = lambda width, side, init, **options: normed(Conv(width, (side, side), kernel_init=init, **options))
        if self.classes:
            norm = lambda x: ConditionalNorm(self.classes)(x, labels, train)
        else:
            norm = lambda x: batch_norm(train)(x)
        smallest = (self.bottom, self.bottom, self.first)
        x = normed(nn.Dense(math.prod(smallest), kernel_init=OUTER_INIT))(z).reshape(-1, *smallest)
        for width in self.widths:
            # The norm that follows would subtract a bias.
            inner = conv(width, 3, BLOCK_INIT, use_bias=False)(upsample(nn.relu(norm(x))))
            inner = conv(width, 3, BLOCK_INIT)(nn.relu(norm(inner)))
            x = inner + conv(width, 1, OUTER_INIT)(upsample(x))
            if x.shape[1] == self.attention:
                x = SelfAttention(self.spectral)(x, train)
        return jnp.tanh(conv(self.channels, 3, OUTER_INIT)(nn.relu(batch_norm(train)(x))))


class Critic(nn.Module):
    """Maps images [B, H, H, C], and labels int32 [B] if `classes` > 0, to logits [B].

    Labels enter by projection: the inner product of the features and a class embedding is added to the logit (Miyato &
    Koyama 2018, Eq. 4). WGAN-GP uses `pool=jnp.mean` and `spectral=False`.
    """

    widths: tuple[int, ...] = (128, 128, 128, 128)  # channels of each block
    downs: int = 2  # number of blocks that halve the size; they come first
    classes: int = 0
    spectral: bool = True  # whether to use spectral norm in each layer
    pool: Callable[..., Array] = jnp.sum  # reduces the last feature map over its pixels
    attention: int = 0  # side of the feature map that self-attention is applied to; 0 for none
    widen_first: bool = False  # whether the width changes in a block's first convolution (SAGAN, BigGAN) or its second

    @nn.compact
    def __call__(self, x: Array, labels: Array | None = None, train: bool = True) -> Array:
        normed = functools.partial(spectral_norm, train) if self.spectral else lambda layer: layer
        conv = lambda width, side, init: normed(Conv(width, (side, side), kernel_init=init))
        for n, width in enumerate(self.widths):
            resize = downsample if n < self.downs else lambda x: x
            # The first block omits the first ReLU and downsamples its shortcut before the convolution. Its input is
            # the image, and both its convolutions have the output's width.
            hidden = width if self.widen_first or n == 0 else x.shape[-1]
            inner = conv(hidden, 3, BLOCK_INIT)(nn.relu(x) if n else x)
            inner = resize(conv(width, 3, BLOCK_INIT)(nn.relu(inner)))
            if n == 0:
                x = conv(width, 1, OUTER_INIT)(resize(x))
            elif n < self.downs or x.shape[-1] != width:
                x = resize(conv(width, 1, OUTER_INIT)(x))
            x = x + inner
            if n < self.downs and x.shape[1] == self.attention:
                x = SelfAttention(self.spectral)(x, train)
        features = self.pool(nn.relu(x), axis=(1, 2))
        logits = normed(nn.Dense(1, use_bias=not self.spectral, kernel_init=OUTER_INIT))(features)[:, 0]
        if not self.classes:
            return logits
        one_hot = nn.one_hot(labels, self.classes, dtype=features.dtype)
        class_embedding = normed(nn.Dense(features.shape[-1], use_bias=False, kernel_init=OUTER_INIT))(one_hot)
        return logits + (features * class_embedding).sum(-1)


def upsample(x: Array) -> Array:
    """Returns images [B, 2H, 2W, C] from [B, H, W, C] by repeating pixels."""
    return x.repeat(2, 1).repeat(2, 2)


def downsample(x: Array) -> Array:
    """Returns images [B, H/2, W/2, C] from [B, H, W, C] by averaging 2 x 2 pixels."""
    b, h, w, c = x.shape
    return x.reshape(b, h // 2, 2, w // 2, 2, c).mean((2, 4))


class SelfAttention(nn.Module):
    """Adds self-attention over all pixels to feature maps [B, H, W, C] (SAGAN, Zhang et al. 2018, section 3).

    The output is x + gamma * attention, where gamma is initialised to 0. As in the authors' code, keys and values are
    max-pooled to half the height and width. The attention weights [B, HW, HW/4] are sown as "weights" in the collection
    "intermediates".
    """

    spectral: bool = True  # whether to use spectral norm in each layer

    @nn.compact
    def __call__(self, x: Array, train: bool = True) -> Array:
        b, h, w, c = x.shape
        normed = functools.partial(spectral_norm, train) if self.spectral else lambda layer: layer
        conv = lambda width: normed(Conv(width, (1, 1), use_bias=False, kernel_init=OUTER_INIT))
        flatten = lambda x: x.reshape(b, -1, x.shape[-1])
        pool = lambda x: nn.max_pool(x, (2, 2), (2, 2))
        queries, keys = flatten(conv(max(c // 8, 1))(x)), flatten(pool(conv(max(c // 8, 1))(x)))
        values = flatten(pool(conv(max(c // 2, 1))(x)))
        weights = nn.softmax(jnp.einsum("bqc,bkc->bqk", queries, keys))
        self.sow("intermediates", "weights", weights)
        attended = conv(c)(jnp.einsum("bqk,bkc->bqc", weights, values).reshape(b, h, w, -1))
        return x + self.param("gamma", nn.initializers.zeros, ()) * attended
