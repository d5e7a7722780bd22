"""R3GAN's residual networks without normalisation layers, Config E of the paper (Huang et al. 2024).

They have inverted bottlenecks with grouped convolutions, initial weights scaled by depth as in Fixup, and bilinear
resampling. The defaults are those for CIFAR-10. For 64 x 64 pixels use five stages; for 28 x 28, three and `base=7`.

As in the authors' code, reduced precision leaves the stage of the smallest feature map in the dtype of the inputs.
"""

import math
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from jaxgan.networks.layers import Conv, leaky_relu

LINEAR_INIT = nn.initializers.variance_scaling(1.0, "fan_in", "normal")  # for layers without an activation
EXPANSION = 2  # a block's inner channels divided by its outer channels


class Generator(nn.Module):
    """Maps latents [B, Z], and labels int32 [B] if `classes` > 0, to unbounded images [B, H, H, channels].

    The side H is `base * 2 ** (len(widths) - 1)`. Each channel of the smallest feature map is a learned pattern times a
    linear function of z. A class embedding with Z entries is concatenated with z.
    """

    channels: int = 3
    widths: tuple[int, ...] = (768, 768, 768, 768)  # channels of each stage, starting with the smallest feature map
    blocks: int = 2  # residual blocks in each stage
    groups: int = 96  # groups of the 3x3 convolutions; must divide EXPANSION times each width
    base: int = 4  # side of the smallest feature map in pixels
    classes: int = 0
    dtype: Any = None  # in which all stages but the first compute, such as bfloat16; None for that of the inputs

    @nn.compact
    def __call__(self, z: Array, labels: Array | None = None, train: bool = True) -> Array:
        if self.classes:
            z = jnp.concatenate([z, _class_embedding(labels, self.classes, z)], axis=1)
        first, *_ = self.widths
        basis = self.param("basis", nn.initializers.normal(1.0), (self.base, self.base, first))
        x = basis[None] * nn.Dense(first, use_bias=False, kernel_init=LINEAR_INIT)(z)[:, None, None]
        for n, width in enumerate(self.widths):
            x = upsample(_project(x.astype(self.dtype or x.dtype), width)) if n else x
            x = _stage(x, self.blocks, self.groups, len(self.widths))
        return Conv(self.channels, (1, 1), use_bias=False, kernel_init=LINEAR_INIT)(x).astype(z.dtype)


class Discriminator(nn.Module):
    """Maps images [B, H, H, C], and labels int32 [B] if `classes` > 0, to logits [B].

    With classes the logit is the inner product of the features and a class embedding.
    """

    widths: tuple[int, ...] = (768, 768, 768, 768)  # channels of each stage, starting with the full size
    blocks: int = 2  # residual blocks in each stage
    groups: int = 96  # groups of the 3x3 convolutions; must divide EXPANSION times each width
    classes: int = 0
    dtype: Any = None  # in which all stages but the last compute, such as bfloat16; None for that of the inputs

    @nn.compact
    def __call__(self, x: Array, labels: Array | None = None, train: bool = True) -> Array:
        last, in_dtype = len(self.widths) - 1, x.dtype
        x = x.astype(self.dtype or in_dtype) if last else x
        x = Conv(self.widths[0], (1, 1), use_bias=False, kernel_init=LINEAR_INIT)(x)
        for n, width in enumerate(self.widths):
            x = _project(downsample(x), width) if n else x
            x = x.astype(in_dtype) if n == last else x
            x = _stage(x, self.blocks, self.groups, len(self.widths))
        side, width = x.shape[-2:]
        basis = self.param("basis", nn.initializers.normal(1 / side), (side, side, width))
        features = (x * basis[None]).sum((1, 2))
        out = nn.Dense(width if self.classes else 1, use_bias=False, kernel_init=LINEAR_INIT)(features)
        if not self.classes:
            return out[:, 0]
        return (out * _class_embedding(labels, self.classes, out, 1 / width)).sum(-1)


def upsample(x: Array) -> Array:
    """Returns images [B, 2H, 2W, C] from [B, H, W, C] by bilinear interpolation, with the filter [1, 3, 3, 1] / 4.

    Pixels are squares: each becomes two pixels a quarter of its side to the left and to the right of its centre, along
    each axis. Pixels outside the image count as 0. The map is four times the transpose of `downsample`.
    """
    for axis in (1, 2):
        low, high = (0.75 * x + 0.25 * _shift(x, axis, by) for by in (1, -1))
        x = jnp.stack([low, high], axis + 1).reshape(*x.shape[:axis], -1, *x.shape[axis + 1 :])
    return x


def downsample(x: Array) -> Array:
    """Returns images [B, H/2, W/2, C] from [B, H, W, C] by the filter [1, 3, 3, 1] / 8 along each axis, with stride 2.

    Each output pixel is centred between two input pixels. Pixels outside the image count as 0.
    """
    for axis in (1, 2):
        even, odd = (x[(slice(None),) * axis + (slice(start, None, 2),)] for start in (0, 1))
        x = 0.375 * (even + odd) + 0.125 * (_shift(odd, axis, 1) + _shift(even, axis, -1))
    return x


def _shift(x: Array, axis: int, by: int) -> Array:
    """Returns x moved by 1 or -1 along one axis; the free place is filled with zeros."""
    kept, pads = [slice(None)] * x.ndim, [(0, 0)] * x.ndim
    kept[axis], pads[axis] = (slice(None, -1), (1, 0)) if by == 1 else (slice(1, None), (0, 1))
    return jnp.pad(x[tuple(kept)], pads)


def _stage(x: Array, blocks: int, groups: int, stages: int) -> Array:
    """Applies residual blocks of 1x1, grouped 3x3 and 1x1 convolutions, each initialised as the identity.

    `stages` is the number of stages in the network, for the scale of the initial weights. Call it within a module.
    """
    # He's gain for leaky ReLU, divided by the number of blocks in the network to the power 1/4.
    init = nn.initializers.variance_scaling(2 / (1 + 0.2**2) / math.sqrt(blocks * stages), "fan_in", "normal")
    width = x.shape[-1]
    for _ in range(blocks):
        inner = leaky_relu(Conv(EXPANSION * width, (1, 1), kernel_init=init)(x))
        inner = leaky_relu(Conv(EXPANSION * width, (3, 3), groups=groups, kernel_init=init)(inner))
        x = x + Conv(width, (1, 1), use_bias=False, kernel_init=nn.initializers.zeros)(inner)
    return x


def _project(x: Array, width: int) -> Array:
    """Returns x with `width` channels, by a 1x1 convolution if it has another number. Call it within a module."""
    return x if x.shape[-1] == width else Conv(width, (1, 1), use_bias=False, kernel_init=LINEAR_INIT)(x)


def _class_embedding(labels: Array, classes: int, like: Array, variance: float = 1.0) -> Array:
    """Returns learned class vectors [B, N] for `like` [B, N], initialised from N(0, variance / classes).

    Call it within a module.
    """
    init = nn.initializers.variance_scaling(variance, "fan_in", "normal")
    return nn.Dense(like.shape[-1], use_bias=False, kernel_init=init)(nn.one_hot(labels, classes, dtype=like.dtype))
