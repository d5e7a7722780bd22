"""R3GAN's residual networks without any norm (Huang et al. 2024) for images of `base` times a power of two pixels.

Config E of the paper: grouped convolutions in inverted bottlenecks, initial weights by depth as in fix-up, bilinear
resampling. Defaults are those for CIFAR-10. For 64 pixels one stage more; for 28, three stages from a base of 7.
"""

import math

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from jaxgan.networks.layers import Conv, leaky_relu

LINEAR = nn.initializers.variance_scaling(1.0, "fan_in", "normal")  # of layers that no activation follows
EXPANSION = 2  # channels within a block, of those outside


class Generator(nn.Module):
    """Latents [B, Z], and labels int32 [B] if there are `classes`, to images [B, H, H, channels], not bounded.

    The smallest map is made of patterns, each as strong as a product of z says. A class is a vector beside z, as long.
    """

    channels: int = 3
    widths: tuple[int, ...] = (768, 768, 768, 768)  # of the stages, from the smallest map on
    blocks: int = 2  # in each stage
    groups: int = 96  # of the channels within a block
    base: int = 4  # pixels of the smallest map
    classes: int = 0

    @nn.compact
    def __call__(self, z: Array, labels: Array | None = None, train: bool = True) -> Array:
        if self.classes:
            z = jnp.concatenate([z, _of_class(labels, self.classes, z)], axis=1)
        first, *_ = self.widths
        basis = self.param("basis", nn.initializers.normal(1.0), (self.base, self.base, first))
        x = basis[None] * nn.Dense(first, use_bias=False, kernel_init=LINEAR)(z)[:, None, None]
        for n, width in enumerate(self.widths):
            x = upsample(_linear(width, x)) if n else x
            x = _stage(x, self.blocks, self.groups, len(self.widths))
        return Conv(self.channels, (1, 1), use_bias=False, kernel_init=LINEAR)(x)


class Discriminator(nn.Module):
    """Images [B, H, H, C], and labels int32 [B] if there are `classes`, to logits [B].

    With classes the logit is the product of features, as many as there are channels, and a vector of the class.
    """

    widths: tuple[int, ...] = (768, 768, 768, 768)  # of the stages, from the image on
    blocks: int = 2  # in each stage
    groups: int = 96  # of the channels within a block
    classes: int = 0

    @nn.compact
    def __call__(self, x: Array, labels: Array | None = None, train: bool = True) -> Array:
        x = Conv(self.widths[0], (1, 1), use_bias=False, kernel_init=LINEAR)(x)
        for n, width in enumerate(self.widths):
            x = _linear(width, downsample(x)) if n else x
            x = _stage(x, self.blocks, self.groups, len(self.widths))
        side, width = x.shape[-2:]
        basis = self.param("basis", nn.initializers.normal(1 / side), (side, side, width))
        features = (x * basis[None]).sum((1, 2))
        out = nn.Dense(width if self.classes else 1, use_bias=False, kernel_init=LINEAR)(features)
        if not self.classes:
            return out[:, 0]
        return (out * _of_class(labels, self.classes, out, 1 / width)).sum(-1)


def upsample(x: Array) -> Array:
    """Images [B, H, W, C] at twice the size by the filter [1, 2, 1]: each pixel, and between two of them their mean.

    Beyond the edge there is 0. It is four times the transpose of `downsample`.
    """
    for axis in (1, 2):
        after = _at(x, axis, slice(1, None), (0, 1))
        x = jnp.stack([x, 0.5 * (x + after)], axis + 1).reshape(*x.shape[:axis], -1, *x.shape[axis + 1 :])
    return x


def downsample(x: Array) -> Array:
    """Images [B, H, W, C] at half the size: a quarter, a half and a quarter of three neighbours, along each axis."""
    for axis in (1, 2):
        even, odd = (_at(x, axis, slice(n, None, 2)) for n in (0, 1))
        before = _at(odd, axis, slice(None, -1), (1, 0))
        x = 0.25 * (before + odd) + 0.5 * even
    return x


def _at(x: Array, axis: int, part: slice, pad: tuple[int, int] = (0, 0)) -> Array:
    """Part of x along an axis, and zeros around it."""
    around = [(0, 0)] * x.ndim
    around[axis] = pad
    return jnp.pad(x[(slice(None),) * axis + (part,)], around)


def _stage(x: Array, blocks: int, groups: int, stages: int) -> Array:
    """Residual blocks 1x1, 3x3 in groups, 1x1, each the identity at the start; within a module."""
    # He's gain for leaky ReLU, less by the number of blocks in the network to the power 1/4.
    init = nn.initializers.variance_scaling(2 / (1 + 0.2**2) / math.sqrt(blocks * stages), "fan_in", "normal")
    width = x.shape[-1]
    for _ in range(blocks):
        inner = leaky_relu(Conv(EXPANSION * width, (1, 1), kernel_init=init)(x))
        inner = leaky_relu(Conv(EXPANSION * width, (3, 3), groups=groups, kernel_init=init)(inner))
        x = x + Conv(width, (1, 1), use_bias=False, kernel_init=nn.initializers.zeros)(inner)
    return x


def _linear(width: int, x: Array) -> Array:
    """Other channels, if they are to be as many as there are not; within a module."""
    return x if x.shape[-1] == width else Conv(width, (1, 1), use_bias=False, kernel_init=LINEAR)(x)


def _of_class(labels: Array, classes: int, like: Array, variance: float = 1.0) -> Array:
    """A learned vector of the class, as long as those of `like`, that starts at N(0, variance / classes)."""
    init = nn.initializers.variance_scaling(variance, "fan_in", "normal")
    return nn.Dense(like.shape[-1], use_bias=False, kernel_init=init)(nn.one_hot(labels, classes, dtype=like.dtype))
