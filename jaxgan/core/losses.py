"""Adversarial losses on logits, and distances between images or features.

Discriminators return logits, without a sigmoid. With softplus(t) = log(1 + e^t), -log sigmoid(D) is softplus(-D) and
-log(1 - sigmoid(D)) is softplus(D), which is exact and finite for every logit.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import optax
from jax import Array
from jax.nn import relu, softplus

from jaxgan.core import axis


class Adversarial(NamedTuple):
    """A pair of losses to minimise.

    Attributes:
        d: (real_logits, fake_logits) -> scalar, the discriminator's loss.
        g: (fake_logits) -> scalar, the generator's loss.

    Constants of a paper are keyword arguments: `functools.partial(least_squares.d, a=-1.0)`.
    """

    d: Callable[..., Array]
    g: Callable[..., Array]

    def generator_loss(self, real_logits: Array, fake_logits: Array) -> Array:
        """Returns the generator's loss, which does not depend on the real logits."""
        return self.g(fake_logits)


class Relativistic(NamedTuple):
    """A pair of losses to minimise, in which the generator's loss compares fakes with reals as well.

    Attributes:
        d: (real_logits, fake_logits) -> scalar, the discriminator's loss.
        g: (real_logits, fake_logits) -> scalar, the generator's loss.
    """

    d: Callable[..., Array]
    g: Callable[..., Array]

    def generator_loss(self, real_logits: Array, fake_logits: Array) -> Array:
        """Returns the generator's loss."""
        return self.g(real_logits, fake_logits)


AdversarialLoss = Adversarial | Relativistic


def _cross_entropy(real_logits: Array, fake_logits: Array, smoothing: float = 0.0) -> Array:
    """Cross-entropy with targets 1 - smoothing for reals and 0 for fakes (Salimans et al. 2016, section 3.4)."""
    chex.assert_rank([real_logits, fake_logits], 1)
    # A target a costs a softplus(-D) + (1 - a) softplus(D) = softplus(-D) + (1 - a) D. Fakes are never smoothed.
    return (softplus(-real_logits) + smoothing * real_logits).mean() + softplus(fake_logits).mean()


def _least_squares_d(real_logits: Array, fake_logits: Array, a: float = 0.0, b: float = 1.0) -> Array:
    """Half the mean squared distance of real logits to b and of fake logits to a."""
    return 0.5 * ((real_logits - b) ** 2).mean() + 0.5 * ((fake_logits - a) ** 2).mean()


def _least_squares_g(fake_logits: Array, c: float = 1.0) -> Array:
    """Half the mean squared distance of fake logits to c."""
    return 0.5 * ((fake_logits - c) ** 2).mean()


def _relative_to_average(real_logits: Array, fake_logits: Array) -> Array:
    """Cross-entropy of logits minus the mean logit of the other side, over the whole batch on all devices."""
    return _cross_entropy(real_logits - axis.batch_mean(fake_logits), fake_logits - axis.batch_mean(real_logits))


# D: -E log σ(D(x)) - E log(1 - σ(D(G(z)))). G: E log(1 - σ(D(G(z)))), for the sigmoid σ.
# Goodfellow et al. 2014, Eq. 1. For fakes that D rejects with certainty the generator's gradient -sigmoid(D) vanishes.
minimax = Adversarial(
    d=_cross_entropy,
    g=lambda fake_logits: -softplus(fake_logits).mean(),
)

# D: as in `minimax`. G: -E log σ(D(G(z))).
# Goodfellow et al. 2014, section 3. For fakes that D rejects with certainty the gradient -sigmoid(-D) is -1.
non_saturating = Adversarial(
    d=_cross_entropy,
    g=lambda fake_logits: softplus(-fake_logits).mean(),
)

# D: E (D(x) - b)^2 / 2 + E (D(G(z)) - a)^2 / 2. G: E (D(G(z)) - c)^2 / 2.
# Mao et al. 2016, Eq. 2. With a, b, c = -1, 1, 0 and an optimal D, G minimises a Pearson chi-squared divergence.
least_squares = Adversarial(d=_least_squares_d, g=_least_squares_g)

# D: E max(0, 1 - D(x)) + E max(0, 1 + D(G(z))). G: -E D(G(z)).
# Lim & Ye 2017; Miyato et al. 2018, Eqs. 16 and 17.
hinge = Adversarial(
    d=lambda real_logits, fake_logits: relu(1.0 - real_logits).mean() + relu(1.0 + fake_logits).mean(),
    g=lambda fake_logits: -fake_logits.mean(),
)

# D: E D(G(z)) - E D(x). G: -E D(G(z)).
# Arjovsky et al. 2017, Eq. 2. For a K-Lipschitz critic, -d / K is at most the earth mover's distance.
wasserstein = Adversarial(
    d=lambda real_logits, fake_logits: fake_logits.mean() - real_logits.mean(),
    g=lambda fake_logits: -fake_logits.mean(),
)

# D: -E log σ(D(x) - D(G(z))). G: -E log σ(D(G(z)) - D(x)).
# Jolicoeur-Martineau 2018 (RpGAN); Huang et al. 2024, Eq. 2. Real i is paired with fake i.
relativistic = Relativistic(
    d=lambda real_logits, fake_logits: softplus(fake_logits - real_logits).mean(),
    g=lambda real_logits, fake_logits: softplus(real_logits - fake_logits).mean(),
)

# D: -E log σ(D(x) - E D(G(z))) - E log(1 - σ(D(G(z)) - E D(x))). G: the same with x and G(z) exchanged.
# Jolicoeur-Martineau 2018 (RaGAN).
relativistic_average = Relativistic(
    d=_relative_to_average,
    g=lambda real_logits, fake_logits: _relative_to_average(fake_logits, real_logits),
)


def l1(x: Array, y: Array) -> Array:
    """Returns the mean absolute difference over all axes."""
    chex.assert_equal_shape([x, y])
    return jnp.abs(x - y).mean()


def l2(x: Array, y: Array) -> Array:
    """Returns the mean squared difference over all axes."""
    chex.assert_equal_shape([x, y])
    return ((x - y) ** 2).mean()


def feature_matching(real_features: Any, fake_features: Any) -> Array:
    """Returns the squared distance of mean features, ||E f(x) - E f(G(z))||^2 (Salimans et al. 2016, section 3.1).

    Args:
        real_features: Features of reals, a pytree of arrays [B, ...].
        fake_features: Features of fakes, of the same structure.

    Means are over the whole batch, on all devices; squares are summed over all leaves.
    """
    difference = lambda real, fake: axis.batch_mean(real) - axis.batch_mean(fake)
    return optax.tree.norm(jax.tree.map(difference, real_features, fake_features), squared=True)
