"""BigGAN's generator (Brock et al. 2018, arXiv 1809.11096, appendix B). Its critic is `resnet.Critic`.

For 128 x 128 pixels use `Generator(3, (1536, 768, 384, 192, 96), first=1536, attention=64)` with 120 latents, and the
critic `resnet.Critic((96, 192, 384, 768, 1536, 1536), downs=5, attention=64)`.
"""

import functools
import math

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from jaxgan.networks.layers import Activation, Conv, batch_norm, spectral_norm
from jaxgan.networks.resnet import SelfAttention, upsample

INIT = nn.initializers.orthogonal()


class Generator(nn.Module):
    """Maps latents [B, Z] and labels int32 [B] to images [B, H, H, channels] in [-1, 1].

    The side H is `bottom * 2 ** len(widths)`. z is split into 1 + len(widths) equal parts. The first part becomes the
    smallest feature map. Each other part, with a class vector that all blocks share, determines scales and biases of
    batch norm in one block. All linear maps but the class vectors have spectral norm. Raises ValueError unless
    1 + len(widths) divides Z.
    """

    channels: int = 3
    widths: tuple[int, ...] = (256, 256, 256)  # channels of each block; a block doubles the size
    first: int = 256  # channels of the smallest feature map
    bottom: int = 4  # side of the smallest feature map in pixels
    classes: int = 10
    embedding: int = 128  # dimensions of the class vectors
    attention: int = 0  # side of the feature map that self-attention is applied to; 0 for none

    @nn.compact
    def __call__(self, z: Array, labels: Array, train: bool = True) -> Array:
        parts = 1 + len(self.widths)
        if z.shape[1] % parts:
            raise ValueError(f"{z.shape[1]} latents do not split into {parts} equal parts; use a multiple of {parts}")
        normed = functools.partial(spectral_norm, train)
        conv = lambda width, side: normed(Conv(width, (side, side), kernel_init=INIT))
        class_vector = nn.Embed(self.classes, self.embedding)(labels).astype(z.dtype)
        z_first, *z_blocks = jnp.split(z, parts, axis=1)
        smallest = (self.bottom, self.bottom, self.first)
        x = normed(nn.Dense(math.prod(smallest), kernel_init=INIT))(z_first).reshape(-1, *smallest)
        for width, z_block in zip(self.widths, z_blocks, strict=True):
            condition = jnp.concatenate([class_vector, z_block], axis=1)
            inner = upsample(nn.relu(_conditional_norm(x, condition, normed, train)))
            inner = nn.relu(_conditional_norm(conv(width, 3)(inner), condition, normed, train))
            x = conv(width, 3)(inner) + conv(width, 1)(upsample(x))
            if x.shape[1] == self.attention:
                x = SelfAttention()(x, train)
        return jnp.tanh(conv(self.channels, 3)(nn.relu(batch_norm(train)(x))))


def _conditional_norm(x: Array, condition: Array, normed: Activation, train: bool) -> Array:
    """Batch norm with a scale, about 1, and a bias that are linear in `condition`. Call it within a module."""
    linear = lambda: normed(nn.Dense(x.shape[-1], use_bias=False, kernel_init=INIT))(condition)[:, None, None]
    return batch_norm(train, use_scale=False, use_bias=False)(x) * (1.0 + linear()) + linear()
