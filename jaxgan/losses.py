"""What the players minimise: adversarial objectives on logits, and distances between images or features.

No network ends in a sigmoid: with softplus(t) = log(1 + e^t), -log σ(D) is softplus(-D) and -log(1 - σ(D)) is
softplus(D), exact and finite for every logit.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jax.nn import relu, softplus

from jaxgan import axis


class Adversarial(NamedTuple):
    """An objective: d and g map (real_logits, fake_logits) to the scalar that the player minimises.

    Where a paper has constants they are keyword arguments: `partial(least_squares.d, a=-1.0)`.
    """

    d: Callable[..., Array]
    g: Callable[..., Array]


def _cross_entropy(real_logits: Array, fake_logits: Array, smoothing: float = 0.0) -> Array:
    """Cross-entropy to targets of 1 - smoothing for reals and 0 for fakes (Salimans et al. 2016, section 3.4)."""
    # A target a costs a softplus(-D) + (1 - a) softplus(D) = softplus(-D) + (1 - a) D. Fakes are never smoothed.
    return (softplus(-real_logits) + smoothing * real_logits).mean() + softplus(fake_logits).mean()


def _to_targets(real_logits: Array, fake_logits: Array, a: float = 0.0, b: float = 1.0) -> Array:
    """Half the mean squared distance of reals to b and of fakes to a."""
    return 0.5 * ((real_logits - b) ** 2).mean() + 0.5 * ((fake_logits - a) ** 2).mean()


def _to_target(real_logits: Array, fake_logits: Array, c: float = 1.0) -> Array:
    """Half the mean squared distance of fakes to c."""
    return 0.5 * ((fake_logits - c) ** 2).mean()


def _relative_to_average(real_logits: Array, fake_logits: Array) -> Array:
    """Cross-entropy of logits less the other side's mean, which is taken over the whole batch, on all devices."""
    return _cross_entropy(real_logits - axis.batch_mean(fake_logits), fake_logits - axis.batch_mean(real_logits))


# Goodfellow et al. 2014, Eq. 1. Where D is sure of the fakes, G's slope -σ(D) vanishes.
minimax = Adversarial(
    d=_cross_entropy,
    g=lambda real_logits, fake_logits: -softplus(fake_logits).mean(),
)

# Goodfellow et al. 2014, section 3. Where D is sure of the fakes, G's slope -σ(-D) is -1.
non_saturating = Adversarial(
    d=_cross_entropy,
    g=lambda real_logits, fake_logits: softplus(-fake_logits).mean(),
)

# Mao et al. 2016, Eq. 2; with a, b, c = -1, 1, 0 and the best D, G descends a Pearson χ² divergence.
least_squares = Adversarial(d=_to_targets, g=_to_target)

# Lim & Ye 2017; Miyato et al. 2018, Eqs. 16 and 17.
hinge = Adversarial(
    d=lambda real_logits, fake_logits: relu(1.0 - real_logits).mean() + relu(1.0 + fake_logits).mean(),
    g=lambda real_logits, fake_logits: -fake_logits.mean(),
)

# Arjovsky et al. 2017, Eq. 2: -d estimates the earth mover's distance, to a factor, if the critic is Lipschitz.
wasserstein = Adversarial(
    d=lambda real_logits, fake_logits: fake_logits.mean() - real_logits.mean(),
    g=lambda real_logits, fake_logits: -fake_logits.mean(),
)

# Jolicoeur-Martineau 2018 (RpGAN); Huang et al. 2024, Eq. 2. Each real is compared with one fake, in order.
relativistic = Adversarial(
    d=lambda real_logits, fake_logits: softplus(fake_logits - real_logits).mean(),
    g=lambda real_logits, fake_logits: softplus(real_logits - fake_logits).mean(),
)

# Jolicoeur-Martineau 2018 (RaGAN).
relativistic_average = Adversarial(
    d=_relative_to_average,
    g=lambda real_logits, fake_logits: _relative_to_average(fake_logits, real_logits),
)


def l1(x: Array, y: Array) -> Array:
    """Mean absolute difference, over all axes."""
    return jnp.abs(x - y).mean()


def l2(x: Array, y: Array) -> Array:
    """Mean squared difference, over all axes."""
    return ((x - y) ** 2).mean()


def feature_matching(real_features: Any, fake_features: Any) -> Array:
    """Squared distance of the mean features, ||E f(x) - E f(x̃)||² (Salimans et al. 2016, section 3.1).

    Features are a pytree of [B, ...]; means are over the whole batch, on all devices, and squares are summed.
    """
    gap = lambda real, fake: axis.batch_mean(real) - axis.batch_mean(fake)
    return optax.tree.norm(jax.tree.map(gap, real_features, fake_features), squared=True)
