"""Penalties on the gradient of a critic in its input; their weights are visible where they are added to a loss.

A critic maps images [B, ...] to logits [B]. The gradient at an example is that of the sum of all logits, so a critic
that couples examples is penalised as it plays; WGAN-GP's argument excludes batch norm. `key` is one key, which goes
with a whole batch, or one key per example (`latents.each`).
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from jaxgan import axis, latents

Critic = Callable[[Array], Array]


def square_norm(critic: Critic, x: Array) -> Array:
    """Squared norm [B] of the critic's gradient at each example of x, over all axes but the first."""
    grads = jax.grad(lambda x: critic(x).sum())(x)
    return (grads**2).sum(range(1, x.ndim))


def norm(critic: Critic, x: Array) -> Array:
    """Norm [B] of the critic's gradient at each example of x; its own gradient is finite where it vanishes."""
    return jnp.sqrt(square_norm(critic, x) + 1e-12)  # The root alone has an infinite slope at 0.


def gradient_penalty(
    critic: Critic, real: Array, fake: Array, key: Array, target: float = 1.0, one_sided: bool = False
) -> Array:
    """Mean squared distance of the gradient norm to `target`, between reals and fakes (Gulrajani et al. 2017, Eq. 3).

    One-sided, norms below the target cost nothing (WGAN-LP, Petzka et al. 2018).
    """
    epsilon = latents.uniform(latents.per_example(key, len(real)), *[1] * (real.ndim - 1))
    excess = norm(critic, epsilon * real + (1.0 - epsilon) * fake) - target
    return ((jax.nn.relu(excess) if one_sided else excess) ** 2).mean()


def dragan(critic: Critic, real: Array, key: Array) -> Array:
    """Mean squared distance of the gradient norm to 1, around reals (Kodali et al. 2017).

    The perturbation has the paper's form, N(0, cI), at the scale of the authors' code, where it goes with the data:
    √c is half the standard deviation of the whole batch, all its entries taken together.
    """
    center = axis.mean(real.mean())
    deviation = jnp.sqrt(axis.mean(((real - center) ** 2).mean()))
    noise = latents.normal(latents.per_example(key, len(real)), *real.shape[1:])
    return ((norm(critic, real + 0.5 * deviation * noise) - 1.0) ** 2).mean()


def r1(critic: Critic, real: Array) -> Array:
    """Half the mean squared gradient norm at reals (Mescheder et al. 2018, Eq. 9); its weight is the paper's γ."""
    return 0.5 * square_norm(critic, real).mean()


def r2(critic: Critic, fake: Array) -> Array:
    """Half the mean squared gradient norm at fakes (Mescheder et al. 2018, Eq. 10); its weight is the paper's γ."""
    return 0.5 * square_norm(critic, fake).mean()
