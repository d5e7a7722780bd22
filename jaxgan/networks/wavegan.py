"""WaveGAN: DCGAN in one dimension, on sounds [B, T, 1] (Donahue et al. 2019, appendix D)."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from jaxgan.core import prng
from jaxgan.networks.layers import Conv, ConvTranspose, leaky_relu

KERNEL, STRIDE = (25,), (4,)
FIRST_LENGTH = 16  # values of the smallest feature map


def num_layers(length: int) -> int:
    """Returns how many times 16 must be multiplied by 4 to reach `length`. Raises ValueError unless it is 1 or more."""
    n = round(math.log(length / FIRST_LENGTH, 4)) if length >= FIRST_LENGTH * 4 else 0
    if FIRST_LENGTH * 4**n != length or n < 1:
        raise ValueError(f"{length} values are not 16 times a power of 4; use 1024, 4096, 16384 or 65536")
    return n


class Generator(nn.Module):
    """Maps latents [B, Z] to sounds [B, length] in [-1, 1]."""

    length: int = 16_384
    width: int = 64  # channels at a quarter of the length; doubled each time the length is divided by 4 again

    @nn.compact
    def __call__(self, z: Array, train: bool = True) -> Array:
        *widths, first = [self.width << i for i in range(num_layers(self.length))]
        x = nn.relu(nn.Dense(FIRST_LENGTH * first)(z).reshape(-1, FIRST_LENGTH, first))
        for width in reversed(widths):
            x = nn.relu(ConvTranspose(width, KERNEL, STRIDE)(x))
        return jnp.tanh(ConvTranspose(1, KERNEL, STRIDE)(x))[..., 0]


class Critic(nn.Module):
    """Maps sounds [B, T], and one PRNG key per example for the shifts [B], to logits [B].

    Between layers, each example's features are shifted by up to `shuffle` values, see `phase_shuffle`.
    """

    width: int = 64  # channels at a quarter of the length; doubled each time the length is divided by 4 again
    shuffle: int = 2  # largest shift; 0 for none

    @nn.compact
    def __call__(self, x: Array, keys: Array, train: bool = True) -> Array:
        n, x = num_layers(x.shape[1]), x[..., None]
        for i in range(n):
            x = leaky_relu(Conv(self.width << i, KERNEL, STRIDE)(x))
            if train and self.shuffle and i < n - 1:
                x = phase_shuffle(x, prng.fold_in(keys, i), self.shuffle)
        return nn.Dense(1)(x.reshape(len(x), -1))[:, 0]


def phase_shuffle(x: Array, keys: Array, n: int) -> Array:
    """Returns features [B, T, C] shifted by one of -n, ..., n for each example, as its key [B] decides (section 3.2).

    What a shift leaves open is filled by reflection at the edge.
    """
    padded = jnp.pad(x, ((0, 0), (n, n), (0, 0)), mode="reflect")

    def shift(x: Array, key: Array) -> Array:
        return jax.lax.dynamic_slice_in_dim(x, jax.random.randint(key, (), 0, 2 * n + 1), x.shape[0] - 2 * n)

    return jax.vmap(shift)(padded, keys)
