"""DINOv2's vision transformer (Oquab et al. 2023, arXiv 2304.07193), whose features FD-DINOv2 compares.

Modules and parameters have the names of the published weights in the format of `transformers`.
"""

import math

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxgan.networks.layers import Conv

EPSILON = 1e-6  # of layer norms


class Attention(nn.Module):
    """Multi-head self-attention over tokens [B, T, D]."""

    heads: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        b, t, d = x.shape
        split = lambda name: nn.Dense(d, name=name)(x).reshape(b, t, self.heads, d // self.heads)
        query, key, value = split("query"), split("key"), split("value")
        weights = nn.softmax(jnp.einsum("bqhc,bkhc->bhqk", query, key) / math.sqrt(d // self.heads))
        return nn.Dense(d, name="dense")(jnp.einsum("bhqk,bkhc->bqhc", weights, value).reshape(b, t, d))


class Block(nn.Module):
    """A transformer block with layer scale: attention, then a multilayer perceptron, both normalised before."""

    heads: int
    mlp_ratio: int = 4

    @nn.compact
    def __call__(self, x: Array) -> Array:
        d = x.shape[-1]
        scale = lambda name: self.param(name, nn.initializers.ones, (d,))[None, None]
        x = x + scale("lambda1") * Attention(self.heads, name="attention")(nn.LayerNorm(EPSILON, name="norm1")(x))
        hidden = nn.Dense(self.mlp_ratio * d, name="fc1")(nn.LayerNorm(EPSILON, name="norm2")(x))
        return x + scale("lambda2") * nn.Dense(d, name="fc2")(nn.gelu(hidden, approximate=False))


class DINOv2(nn.Module):
    """Maps images [B, H, H, 3] to the normalised class token [B, dims]. H must be a multiple of `patch`.

    The defaults are those of ViT-L/14. Position embeddings for `grid` x `grid` patches are resized bicubically.
    """

    dims: int = 1024
    depth: int = 24
    heads: int = 16
    patch: int = 14  # pixels
    grid: int = 37  # 518 pixels

    @nn.compact
    def __call__(self, images: Array) -> Array:
        square = (self.patch, self.patch)
        patches = Conv(self.dims, square, square, padding="VALID", name="projection")(images)
        b, side, _, d = patches.shape
        zeros = nn.initializers.zeros
        class_token = self.param("cls_token", zeros, (1, 1, d))
        positions = self.param("position_embeddings", zeros, (1, 1 + self.grid**2, d))
        resize = jnp.asarray(bicubic_matrix(self.grid, side))
        of_patches = positions[0, 1:].reshape(self.grid, self.grid, d)
        of_patches = jnp.einsum("ui,vj,ijd->uvd", resize, resize, of_patches).reshape(1, side**2, d)
        tokens = patches.reshape(b, side**2, d) + of_patches
        first = jnp.broadcast_to(class_token + positions[:, :1], (b, 1, d))
        x = jnp.concatenate([first, tokens], axis=1)
        for n in range(self.depth):
            x = Block(self.heads, name=f"layer_{n}")(x)
        return nn.LayerNorm(EPSILON, name="layernorm")(x)[:, 0]


def bicubic_matrix(old: int, new: int) -> np.ndarray:
    """Returns the matrix [new, old] of PyTorch's bicubic interpolation, without antialiasing or aligned corners.

    The kernel is that of Keys 1981 with a = -0.75; samples beyond the edges repeat the edge.
    """
    if old == new:
        return np.eye(old, dtype=np.float32)
    a, matrix = -0.75, np.zeros([new, old])
    near = lambda t: ((a + 2) * t - (a + 3)) * t**2 + 1
    far = lambda t: ((a * t - 5 * a) * t + 8 * a) * t - 4 * a
    for row, centre in enumerate((np.arange(new) + 0.5) * old / new - 0.5):
        first = math.floor(centre)
        t = centre - first
        for offset, weight in zip(range(-1, 3), (far(1 + t), near(t), near(1 - t), far(2 - t)), strict=True):
            matrix[row, min(max(first + offset, 0), old - 1)] += weight
    return matrix.astype(np.float32)
