"""Features of a convolutional network with random weights, for images without classes and without published weights.

Distances on them tell runs on the same images apart. They are not FID, and are not comparable between image sizes.
"""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxgan.networks.layers import Conv, leaky_relu

WIDTHS = (32, 64, 128)  # channels after each halving of the size
SEED = 0
BATCH = 64  # images per call
PROTOCOL: dict[str, Any] = {"evaluator": f"network of random weights, widths {WIDTHS}, seed {SEED}"}


class RandomNetwork(nn.Module):
    """Maps images uint8 [B, H, W, C] to the means over the pixels of three layers, float32 [B, 224]."""

    @nn.compact
    def __call__(self, images: Array) -> Array:
        x, means = images.astype(jnp.float32) / 127.5 - 1.0, []
        for width in WIDTHS:
            x = leaky_relu(Conv(width, strides=(2, 2), kernel_init=nn.initializers.he_normal())(x))
            means.append(x.mean((1, 2)))
        return jnp.concatenate(means, 1)


def features(images: np.ndarray) -> np.ndarray:
    """Returns the features float32 [N, 224] of images uint8 [N, H, W, C]."""
    compute, variables = _compiled(images.shape[-1])
    padded = np.concatenate([images, np.zeros((-len(images) % BATCH, *images.shape[1:]), np.uint8)])
    chunks = [compute(variables, padded[start : start + BATCH]) for start in range(0, len(padded), BATCH)]
    return np.concatenate(jax.device_get(chunks))[: len(images)]


@functools.cache
def _compiled(channels: int) -> tuple[Any, Any]:
    network = RandomNetwork()
    variables = network.init(jax.random.key(SEED), jnp.zeros([1, 8, 8, channels], jnp.uint8))
    return jax.jit(network.apply), variables
