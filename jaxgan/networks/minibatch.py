"""Layers that compare the examples of a batch, so that a discriminator can detect mode collapse."""

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from jaxgan.core import axis


class MinibatchDiscrimination(nn.Module):
    """Appends `kernels` similarities to the rest of the batch to features [B, A] (Salimans et al. 2016, section 3.2).

    Each kernel maps example i to a vector M_i with `dims` entries. Its similarity is the sum of exp(-||M_i - M_j||₁)
    over all other examples j of the whole batch, on all devices. Weights are initialised from N(0, 0.05); the authors'
    code also rescales them by the first batch, which is omitted here. Returns features [B, A + kernels].
    """

    kernels: int = 100
    dims: int = 5

    @nn.compact
    def __call__(self, x: Array) -> Array:
        init = nn.initializers.normal(0.05)
        m = nn.DenseGeneral((self.kernels, self.dims), use_bias=False, kernel_init=init)(x)
        distance = jnp.abs(m[:, None] - axis.all_gather(m)[None]).sum(-1)
        return jnp.concatenate([x, jnp.exp(-distance).sum(1) - 1.0], axis=1)  # Subtract exp(0), the example itself.


def minibatch_std(x: Array, group: int = 4) -> Array:
    """Appends a channel with the mean standard deviation within groups of examples (Karras et al. 2018, section 3).

    Args:
        x: Feature maps [B, H, W, C].
        group: Number of consecutive examples of the whole batch in a group.

    Returns:
        Feature maps [B, H, W, C + 1]. The last channel is constant within a group.

    Raises:
        ValueError: `group` does not divide the number of examples on all devices.
    """
    b, h, w, _ = x.shape
    is_local = b % group == 0  # Otherwise groups extend over several devices.
    examples = x if is_local else axis.all_gather(x)
    if len(examples) % group:
        raise ValueError(f"group size {group} does not divide a batch of {len(examples)}; use a multiple of {group}")
    groups = examples.reshape(len(examples) // group, group, -1)
    std = jnp.sqrt(((groups - groups.mean(1, keepdims=True)) ** 2).mean(1) + 1e-8).mean(-1).repeat(group)
    std = std if is_local else std[axis.global_indices(len(examples))]
    return jnp.concatenate([x, jnp.broadcast_to(std[:, None, None, None], (b, h, w, 1))], axis=-1)
