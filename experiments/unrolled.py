"""Unrolled Generative Adversarial Networks (Metz et al. 2016, arXiv 1611.02163): eight Gaussians on a ring.

    python launch.py train unrolled/ring

The generator minimises the minimax loss against the discriminator as it would be after `unroll` further updates.
Without unrolling this is the original GAN, whose generator covers one or two modes. The settings are those of appendix
A: z in R^256, orthogonal initial weights, ReLU, and a discriminator with one hidden layer. To save time the batch has
256 examples and training takes 15,000 steps, where the paper has 512 and 25,000.
"""

import dataclasses
from typing import Any

import flax.linen as nn
import optax
from jax import Array

from jaxgan.core import games, losses, prng
from jaxgan.core.losses import AdversarialLoss
from jaxgan.data import synthetic
from jaxgan.evaluate.modes import mode_coverage
from jaxgan.networks import mlp
from jaxgan.networks.layers import Initializer
from jaxgan.runs import targets
from jaxgan.runs.registry import register
from jaxgan.training import experiment
from jaxgan.training.experiment import Experiment, setting

PAPER = "Metz et al. 2016, arXiv 1611.02163"
RING = synthetic.ring(scale=1.0)
RADIUS = 0.3  # of a mode; without a moving average the generator's modes are wider than the data's
TARGET = targets.density(
    RING,
    evaluate=lambda samples: mode_coverage(samples, RING.modes, RING.std, radius=RADIUS / RING.std),
    limits=(-4.0, 4.0),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(experiment.Config):
    """The networks of appendix A, without unrolling."""

    steps: int = 15_000
    latent: int = setting(256, "dimensions of z")
    width: int = setting(128, "units of a hidden layer")
    lr: float = setting(1e-4, "learning rate of both players")
    b1: float = setting(0.5, "Adam's beta1")
    b2: float = setting(0.999, "Adam's beta2")


@dataclasses.dataclass(frozen=True, kw_only=True)
class UnrolledConfig(Config):
    """Unrolled GAN."""

    unroll: int = setting(10, "discriminator updates that the generator looks ahead", high=1_000)


class Discriminator(nn.Module):
    """Maps points [B, 2] to logits [B]. The points are divided by 4 first."""

    width: int
    kernel_init: Initializer

    @nn.compact
    def __call__(self, x: Array, train: bool = True) -> Array:
        return mlp.Critic(self.width, 1, nn.relu, self.kernel_init)(x / 4.0)


def build(
    config: Config, loss: AdversarialLoss = losses.minimax, discriminator: nn.Module | None = None, **options: Any
) -> Experiment:
    """The game without unrolling. `options` are arguments of `games.two_player`, such as `penalty`."""
    orthogonal = nn.initializers.orthogonal(0.8)
    adam = optax.adam(config.lr, config.b1, config.b2, eps_root=1e-16)
    return TARGET.two_player(
        config,
        mlp.Generator((2,), config.width, 2, kernel_init=orthogonal),
        discriminator or Discriminator(config.width, orthogonal),
        loss,
        prng.normal_latent(config.latent),
        g_optimizer=adam,
        d_optimizer=adam,
        **options,
    )


@register(
    "unrolled/ring",
    UnrolledConfig(),
    paper=PAPER,
    dataset="8 Gaussians on a ring",
    shows="a generator that looks ahead covers all modes where the original GAN covers one",
    task="2-D",
    minutes=3,
)
def build_unrolled(config: UnrolledConfig) -> Experiment:
    """The game in which the generator looks ahead."""
    plain = build(config)
    return dataclasses.replace(plain, game=games.unrolled(plain.game, config.unroll))
