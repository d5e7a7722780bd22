"""Which Training Methods for GANs do actually Converge? (Mescheder et al. 2018, arXiv 1801.04406): the Dirac-GAN.

    python launch.py train minimax/dirac

The data are all zero, the generator is one number theta, the discriminator D(x) = psi x; both players descend with
steps of size h, in turn. The equilibrium is theta = psi = 0, and it depends on the objective whether it is reached
(section 2; settings of the authors' notebook).
"""

import dataclasses
import functools
from collections.abc import Mapping

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from jaxgan import losses, optim, penalties, pictures
from jaxgan.data.source import density
from jaxgan.game import Network, spec
from jaxgan.objectives import Penalty, two_player
from jaxgan.registry import Config, Experiment, register

PAPER = "Mescheder et al. 2018, arXiv 1801.04406"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dirac(Config):
    """The Dirac-GAN."""

    steps: int = 500  # moves of the discriminator
    batch_size: int = 8  # examples a step, over all devices; all alike
    log_every: int = 10  # steps
    sample_every: int = 100  # steps, a multiple of log_every
    evaluate_every: int = 10  # steps, a multiple of log_every
    save_every: int = 100  # steps, a multiple of log_every
    h: float = 0.2  # step size of both players


@dataclasses.dataclass(frozen=True, kw_only=True)
class Clipped(Dirac):
    """With weight clipping."""

    clip: float = 1.0  # largest size of psi


@dataclasses.dataclass(frozen=True, kw_only=True)
class OneCentred(Dirac):
    """With WGAN-GP's penalty."""

    penalty: float = 0.7  # weight of the penalty
    target: float = 1.0  # the gradient norm it asks for


@dataclasses.dataclass(frozen=True, kw_only=True)
class ZeroCentred(Dirac):
    """With R1 and R2."""

    gamma: float = 0.3  # weight of half the squared gradient norms


class Point(nn.Module):
    """The generator: every sample [B, 1] is theta, which starts at 1."""

    @nn.compact
    def __call__(self, z: Array, train: bool = True) -> Array:
        theta = self.param("theta", nn.initializers.ones, (1,))
        return jnp.broadcast_to(theta, (len(z), 1))


class Slope(nn.Module):
    """The discriminator: psi x, logits [B]; psi starts at 1."""

    @nn.compact
    def __call__(self, x: Array, train: bool = True) -> Array:
        return x @ self.param("psi", nn.initializers.ones, (1,))


def build(
    loss: losses.Adversarial,
    config: Dirac,
    penalty: Penalty | None = None,
    clip: optax.GradientTransformation | None = None,
) -> Experiment:
    """Alternating gradient descent from (1, 1)."""
    generator, discriminator = Network("generator", Point(), (spec(1),)), Network("discriminator", Slope(), (spec(1),))
    latent = lambda keys: jnp.zeros([len(keys), 1])
    game = two_player(
        generator,
        discriminator,
        loss,
        latent,
        g_optimizer=optax.sgd(config.h),
        d_optimizer=optax.chain(optax.sgd(config.h), clip or optax.identity()),
        penalty=penalty,
    )

    def evaluate(samples: np.ndarray) -> Mapping[str, float]:
        return {"distance": float(np.abs(samples).mean())}

    data = np.zeros([1_000, 1])
    picture = lambda samples: pictures.line(samples, data, limits=(-2.0, 2.0))
    sample = lambda state, keys: generator.bind(state, train=False)(latent(keys))
    return Experiment(game, density(lambda key: jnp.zeros([1])), sample, evaluate, picture)


def clipped(config: Clipped) -> Experiment:
    """WGAN."""
    return build(losses.wasserstein, config, clip=optim.clip_weights(config.clip))


def one_centred(config: OneCentred) -> Experiment:
    """WGAN-GP."""

    def penalty(critic: penalties.Critic, real: Array, fake: Array, key: Array) -> Array:
        return config.penalty * penalties.gradient_penalty(critic, real, fake, key, config.target)

    return build(losses.wasserstein, config, penalty)


def zero_centred(config: ZeroCentred) -> Experiment:
    """RpGAN + R1 + R2."""

    def penalty(critic: penalties.Critic, real: Array, fake: Array, key: Array) -> Array:
        return config.gamma * (penalties.r1(critic, real) + penalties.r2(critic, fake))

    return build(losses.relativistic, config, penalty)


for name, config, make, shows in (
    ("minimax", Dirac(), functools.partial(build, losses.minimax), "circles the equilibrium and never arrives"),
    ("non_saturating", Dirac(), functools.partial(build, losses.non_saturating), "spirals in, ever more slowly"),
    ("wgan", Clipped(), clipped, "clipped, it circles still"),
    ("wgan_gp", OneCentred(), one_centred, "the 1-centred penalty does not converge either"),
    ("r3gan", ZeroCentred(), zero_centred, "the 0-centred penalties converge, exponentially"),
):
    register(f"{name}/dirac", config, paper=PAPER, dataset="a point mass at 0", shows=shows, cost="3 s, 2 CPU cores")(
        make
    )
