"""Layers through which the examples of a batch see each other, so that a discriminator can tell that they are alike."""

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from jaxgan import axis


class MinibatchDiscrimination(nn.Module):
    """Features [B, A] with `kernels` more: how near the rest of the batch is (Salimans et al. 2016, section 3.2).

    A kernel takes example i to M_i, `dims` numbers, and adds up exp(-||M_i - M_j||₁) over all others of the whole
    batch, on all devices. Weights start at N(0, 0.05); the authors' code then rescales them by the first batch.
    """

    kernels: int = 100
    dims: int = 5

    @nn.compact
    def __call__(self, x: Array) -> Array:
        init = nn.initializers.normal(0.05)
        own = nn.DenseGeneral((self.kernels, self.dims), use_bias=False, kernel_init=init)(x)
        distance = jnp.abs(own[:, None] - axis.gather(own)[None]).sum(-1)
        return jnp.concatenate([x, jnp.exp(-distance).sum(1) - 1.0], axis=1)  # Less the example itself.


def minibatch_std(x: Array, group: int = 4) -> Array:
    """Maps [B, H, W, C] with one channel more: the mean deviation within groups of examples (Karras et al. 2018).

    Groups are of neighbours in the batch. Raises ValueError where they do not divide what a device holds of it.
    """
    b, h, w, _ = x.shape
    if b % group:
        raise ValueError(f"groups of {group} do not divide the {b} examples of a device")
    parts = x.reshape(b // group, group, -1)
    std = jnp.sqrt(((parts - parts.mean(1, keepdims=True)) ** 2).mean(1) + 1e-8).mean(-1)
    return jnp.concatenate([x, jnp.broadcast_to(std.repeat(group)[:, None, None, None], (b, h, w, 1))], axis=-1)
