"""Fully connected encoders, autoencoders and critics of pairs, for small images."""

import math

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from jaxgan.networks.heads import Outputs
from jaxgan.networks.layers import leaky_relu
from jaxgan.networks.mlp import HE_UNIFORM


class Encoder(nn.Module):
    """Maps examples [B, ...] to codes [B, dims]."""

    dims: int
    width: int = 128
    depth: int = 2  # hidden layers

    @nn.compact
    def __call__(self, x: Array, train: bool = True) -> Array:
        x = x.reshape(len(x), -1)
        for _ in range(self.depth):
            x = leaky_relu(nn.Dense(self.width, kernel_init=HE_UNIFORM)(x))
        return nn.Dense(self.dims)(x)


class AutoencoderCritic(nn.Module):
    """Maps examples [B, ...] in [-1, 1] to "logits", minus the error of their reconstruction, and to "code" [B, dims].

    The error is the mean over all values of |x - x'|^power.
    """

    dims: int = 16
    width: int = 128
    power: int = 2  # 2 for squared errors (EBGAN), 1 for absolute ones (BEGAN)

    @nn.compact
    def __call__(self, x: Array, train: bool = True) -> Outputs:
        code = Encoder(self.dims, self.width, depth=1)(x)
        hidden = leaky_relu(nn.Dense(self.width, kernel_init=HE_UNIFORM)(code))
        reconstruction = jnp.tanh(nn.Dense(math.prod(x.shape[1:]))(hidden)).reshape(x.shape)
        error = (jnp.abs(x - reconstruction) ** self.power).mean(range(1, x.ndim))
        return {"logits": -error, "code": code}


class PairCritic(nn.Module):
    """Maps examples [B, ...] and codes [B, D] to logits [B] of the pairs."""

    width: int = 128
    depth: int = 2  # hidden layers

    @nn.compact
    def __call__(self, x: Array, z: Array, train: bool = True) -> Array:
        x = jnp.concatenate([x.reshape(len(x), -1), z], axis=1)
        for _ in range(self.depth):
            x = leaky_relu(nn.Dense(self.width, kernel_init=HE_UNIFORM)(x))
        return nn.Dense(1, kernel_init=HE_UNIFORM)(x)[:, 0]
