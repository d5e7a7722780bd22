"""Gradient penalties on a critic. All take (critic, real, fake, key) and return a scalar without its weight.

A critic maps examples [B, ...] to logits [B]. The gradient at one example is that of the sum of all logits, so a critic
that couples examples (batch norm) is penalised as it is used; the argument of WGAN-GP excludes batch norm. `key` is one
key for the whole batch, or one key per example (`prng.example_keys`).
"""

import math
from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp
from jax import Array

from jaxgan.core import axis, prng

Critic = Callable[[Array], Array]
Penalty = Callable[[Critic, Array, Array, Array], Array]


def squared_gradient_norm(critic: Critic, x: Array) -> Array:
    """Returns ||∇_x D(x)||^2 [B], the squared norm of the critic's gradient at each example of x [B, ...]."""
    grads = jax.grad(lambda x: critic(x).sum())(x)
    return (grads**2).sum(range(1, x.ndim))


def gradient_norm(critic: Critic, x: Array) -> Array:
    """Returns the norm [B] of the critic's gradient at each example of x [B, ...].

    1e-12 is added under the square root, so that this function has a finite gradient where the norm is 0.
    """
    return jnp.sqrt(squared_gradient_norm(critic, x) + 1e-12)


def path_lengths(synthesise: Callable[[Array], Array], styles: Array, noise: Array) -> Array:
    """Returns the norms [B] of J'y, J the derivative of each image in its styles (Karras et al. 2020, Eq. 4).

    Args:
        synthesise: Styles to images [B, H, W, C].
        styles: [B, L, W], for L layers. The squared norm is the mean over layers.
        noise: y [B, H, W, C], drawn from N(0, 1). It is divided by √(H W), as in the authors' code.
    """
    _, h, w, _ = noise.shape
    grads = jax.grad(lambda styles: (synthesise(styles) * noise).sum() / math.sqrt(h * w))(styles)
    return jnp.sqrt((grads**2).sum(2).mean(1) + 1e-12)


def gradient_penalty(
    critic: Critic, real: Array, fake: Array, key: Array, target: float = 1.0, one_sided: bool = False
) -> Array:
    """Returns E (||∇D(x̂)|| - target)^2, the mean squared distance of gradient norms to `target`.

    Points x̂ = ε x + (1 - ε) G(z) lie between reals and fakes. If `one_sided`, it is E max(0, ||∇D(x̂)|| - target)^2.

    Args:
        critic: Examples [B, ...] to logits [B].
        real: Examples [B, ...].
        fake: Examples of the same shape.
        key: Draws the position between each real and its fake, from U[0, 1).
        target: The desired gradient norm.
        one_sided: Whether norms below the target cost nothing (WGAN-LP, Petzka et al. 2018).

    References: Gulrajani et al. 2017 (WGAN-GP), Eq. 3.
    """
    chex.assert_equal_shape([real, fake])
    epsilon = prng.uniform(prng.as_example_keys(key, len(real)), *[1] * (real.ndim - 1))
    excess = gradient_norm(critic, epsilon * real + (1.0 - epsilon) * fake) - target
    return ((jax.nn.relu(excess) if one_sided else excess) ** 2).mean()


def dragan(critic: Critic, real: Array, fake: Array, key: Array) -> Array:
    """Returns E (||∇D(x + δ)|| - 1)^2 at perturbed reals (DRAGAN; Kodali et al. 2017, arXiv 1705.07215). No fakes.

    δ is drawn from N(0, c I) as in the paper, with sqrt(c) half the standard deviation over all entries of the whole
    batch, as in the authors' code.
    """
    center = axis.pmean(real.mean())
    std = jnp.sqrt(axis.pmean(((real - center) ** 2).mean()))
    noise = prng.normal(prng.as_example_keys(key, len(real)), *real.shape[1:])
    return ((gradient_norm(critic, real + 0.5 * std * noise) - 1.0) ** 2).mean()


def r1(critic: Critic, real: Array, fake: Array, key: Array) -> Array:
    """Returns E ||∇D(x)||^2 / 2 at reals (Mescheder et al. 2018, Eq. 9). Its weight is gamma."""
    return 0.5 * squared_gradient_norm(critic, real).mean()


def r2(critic: Critic, real: Array, fake: Array, key: Array) -> Array:
    """Returns E ||∇D(G(z))||^2 / 2 at fakes (Mescheder et al. 2018, Eq. 10). Its weight is gamma."""
    return 0.5 * squared_gradient_norm(critic, fake).mean()


def r1_r2(critic: Critic, real: Array, fake: Array, key: Array) -> Array:
    """Returns the sum of `r1` and `r2`, the penalty of R3GAN (Huang et al. 2024)."""
    return r1(critic, real, fake, key) + r2(critic, real, fake, key)


def max_gradient(critic: Critic, real: Array, fake: Array, key: Array) -> Array:
    """Returns max ||∇D(x̂)||^2 over points x̂ between reals and fakes of the whole batch, on all devices.

    Points are drawn as in `gradient_penalty`. The authors' code (ZhimingZhou/LGANs-for-reproduce) has the weight 0.1 on
    CIFAR-10, and can add the points of largest gradient of former steps. Reference: Zhou et al. 2019 (Lipschitz GAN),
    arXiv 1902.05687.
    """
    epsilon = prng.uniform(prng.as_example_keys(key, len(real)), *[1] * (real.ndim - 1))
    return axis.all_gather(squared_gradient_norm(critic, epsilon * real + (1.0 - epsilon) * fake)).max()
